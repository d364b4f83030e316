"""nbgrader's marks: the metadata that says which cells of a notebook are answers and tests."""

from nbformat import NotebookNode


def mark(cell: NotebookNode) -> dict:
    """Return nbgrader's mark of a cell, {} if it has none or only a malformed one."""
    metadata = cell.metadata.get("nbgrader")
    if isinstance(metadata, dict) and metadata.get("grade_id"):
        return metadata
    return {}


def grade_ids(notebook: NotebookNode) -> list[str]:
    """Return the grade ids of the marked cells of a notebook, in order."""
    return [mark(cell)["grade_id"] for cell in notebook.cells if mark(cell)]


def cells_by_grade_id(notebook: NotebookNode) -> dict[str, NotebookNode]:
    """Return {grade id: cell} of the marked cells of a notebook; of copies the last one counts."""
    return {mark(cell)["grade_id"]: cell for cell in notebook.cells if mark(cell)}


def is_given(cell: NotebookNode) -> bool:
    """Return whether a cell was handed out to be run as it stands, and is no test."""
    found = mark(cell)
    return bool(found.get("locked") and not found.get("grade") and not found.get("solution"))


def name_cell(cell: NotebookNode) -> str:
    """Return what a cell is called at the beginning of a sentence for its author."""
    if mark(cell):
        return f"The cell {mark(cell)['grade_id']}"
    return "A cell of yours"
