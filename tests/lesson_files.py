"""The lessons as the tests read and run them."""

from pathlib import Path

import pytest
import run
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[1]
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
lessons = pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)


def execute(path, parameters=None, **options):
    """run.run, with C++ libraries' standard error watched: a kernel that is told of pytest leaves
    that out.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_CURRENT_TEST")
        return run.run(path, parameters, **options)


def read_page(text):
    """The parsed page, with everything in it that a browser would fetch from elsewhere."""
    soup = BeautifulSoup(text, "html.parser")
    fetched = [
        tag
        for tag in soup.find_all(["script", "link", "img", "iframe", "source"])
        if not (tag.get("src") or tag.get("href") or "data:").startswith("data:")
    ]
    return soup, fetched
