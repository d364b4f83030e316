"""The analysis that the programs open; each test file runs in the environment of its program."""

import pytest
from made_analyses import marked_analysis


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    return marked_analysis(tmp_path_factory.mktemp("export"))
