"""Progress bars: where they are shown."""

import sys
from types import SimpleNamespace

import pytest

from camkit._progress import progress


@pytest.mark.parametrize("shell, shown", [(SimpleNamespace(kernel=1), True), (None, False)])
def test_a_bar_is_shown_in_a_kernel_and_not_where_ipykernel_is_only_imported(
    monkeypatch, shell, shown
):
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert progress(3, "Counting", "image").disable is not shown
