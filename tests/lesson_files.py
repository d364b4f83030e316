"""The lessons as the tests read and run them."""

from pathlib import Path

import nbformat
import pytest
import run
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).resolve().parents[1]
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Seconds for a cell of a notebook that a test has made: a kernel's reply can be lost.
LIMIT = 300
lessons = pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)


def execute(path, parameters=None, **options):
    """Return run.run's notebook; a kernel that knows of pytest would not watch what C++ writes."""
    if path not in LESSONS:
        options.setdefault("timeout", LIMIT)
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


def notebook_file(folder, *sources, name="01-try.ipynb"):
    """Write a notebook: a title, the parameters, and code cells that are called one, two, ..."""
    names = ["one", "two", "three"]
    parameters = "\n".join(f"{name} = {value!r}" for name, value in run.DEFAULTS.items())
    notebook = new_notebook(
        cells=[
            new_markdown_cell(
                "# What is $M_c$?\n\nSee [two](02-two.ipynb#How), [all](00-index.ipynb).",
                id="title",
            ),
            new_code_cell(parameters, id="parameters", metadata={"tags": ["parameters"]}),
            *(new_code_cell(source, id=name) for name, source in zip(names, sources, strict=False)),
        ]
    )
    nbformat.write(notebook, folder / name)
    return folder / name
