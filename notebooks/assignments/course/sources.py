"""The instructor's notebooks and what is handed out beside them."""

import os
import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

# The folder of camkit's course, and that of the course at hand, which may be another's.
CAMKIT = Path(__file__).resolve().parents[1]
HERE = Path(os.environ.get("COURSE_ASSIGNMENTS") or CAMKIT).resolve()
SEED = 2026
HANDED_OUT = ("checks.py", "nbgrader_config.py")


def assignments() -> list[Path]:
    """Return the instructor's notebooks in the order in which they are handed out."""
    return sorted(HERE.glob("[1-9]-*.ipynb"))


def source_path(name: str) -> Path:
    """Return the path of the instructor's notebook of an assignment."""
    return HERE / f"{name}.ipynb"


def wrong_answers_path(name: str) -> Path:
    """Return the path of the known wrong answers to an assignment."""
    return HERE / "wrong" / f"{name}.py"


def right_answers_path(name: str) -> Path:
    """Return the path of the known right answers to an assignment, besides the instructor's."""
    return HERE / "right" / f"{name}.py"


def handed_out_path(name: str) -> Path:
    """Return the path of a file handed out beside each notebook: the course's own, or camkit's."""
    own = HERE / name
    return own if own.exists() else CAMKIT / name


def checks_path() -> Path:
    """Return the path of the checks."""
    return handed_out_path("checks.py")


def with_seed(path: Path, seed: int) -> NotebookNode:
    """Return the notebook at `path` with SEED = seed in its parameters cell.

    The seed is the year: pictures, numbers and hidden tests are drawn from it.

    Raises:
        ValueError: If there is not exactly one parameters cell with exactly one such line.
    """
    notebook = nbformat.read(path, as_version=4)
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    cell.source, count = re.subn(r"^SEED = \d+", f"SEED = {seed}", cell.source, flags=re.M)
    if count != 1:
        raise ValueError(
            f"{Path(path).name}: the parameters cell needs exactly one line `SEED = …`, "
            f"it has {count}"
        )
    return notebook


def with_sources(notebook: NotebookNode, sources: dict[str, str]) -> NotebookNode:
    """Return a copy of a notebook in which the cells {cell id: source} have these sources.

    Raises:
        KeyError: If the notebook has no cell of such an id.
    """
    copy = nbformat.from_dict(notebook)
    cells = {cell.id: cell for cell in copy.cells}
    for cell_id, source in sources.items():
        cells[cell_id].source = source
    return copy
