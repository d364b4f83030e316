"""Read what a student handed in: which file is which assignment, and what was changed in it."""

import os
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode

from course.marks import cells_by_grade_id, grade_ids, mark, name_cell
from course.spies import find_spying

LARGEST_FILE = 64 << 20


class Submission(NamedTuple):
    """What was handed in for an assignment: the notebook (None: no file is one), and remarks."""

    notebook: NotebookNode | None
    remarks: list[str]


class NoAssignment(ValueError):
    """A file is the notebook of no assignment; the message says why."""


def file_name(path: Path) -> str:
    """Return the name of a file as text, whatever bytes it is made of."""
    return os.fsencode(path.name).decode(errors="replace")


def read(
    folder: Path, released: Mapping[str, NotebookNode]
) -> tuple[dict[str, Submission], list[str]]:
    """Read a student's folder.

    A notebook is recognised by the marks of its cells, whatever its file is called; of several
    copies the last changed one is taken.

    Args:
        folder: The student's folder, with any folders in it.
        released: {assignment: the notebook as it was handed out}.

    Returns:
        {assignment: Submission}, its notebook None if a file is named as the assignment and is not
        its notebook; and remarks on the files that belong to no assignment.
    """
    copies: dict[str, list[tuple[str, NotebookNode]]] = {}
    misnamed: dict[str, list[str]] = {}
    unassigned: list[str] = []
    for path in _notebook_files(folder):
        expected = _assignment_in_name(str(path.relative_to(folder)), released)
        try:
            assignment, notebook = identify(path, released)
        except NoAssignment as error:
            problem = str(error)
        else:
            copies.setdefault(assignment, []).append((file_name(path), notebook))
            if expected in (None, assignment):
                continue
            problem = f"{file_name(path)} is the notebook of {assignment}."
        if expected is None:
            unassigned.append(problem)
        else:
            misnamed.setdefault(expected, []).append(problem)

    handed_in = {}
    for assignment, files in copies.items():
        submission = _take_newest(files, released[assignment])
        submission.remarks.extend(misnamed.pop(assignment, []))
        handed_in[assignment] = submission
    for assignment, problems in misnamed.items():
        handed_in[assignment] = Submission(None, problems)
    return handed_in, unassigned


def _notebook_files(folder: Path) -> list[Path]:
    """Return the notebooks below a folder, the last changed one last."""
    files = [
        path
        for path in folder.rglob("*.ipynb")
        if path.is_file() and ".ipynb_checkpoints" not in path.parts
    ]
    return sorted(files, key=lambda path: (path.stat().st_mtime, path.name))


def _assignment_in_name(name: str, released: Mapping[str, NotebookNode]) -> str | None:
    """Return the assignment that a file is named as, by its own name or that of a folder."""
    for assignment in released:
        if assignment in name:
            return assignment
    return None


def _take_newest(files: list[tuple[str, NotebookNode]], released: NotebookNode) -> Submission:
    """Return the last of the copies (file name, notebook) of an assignment, tidied, and remarks."""
    *older, (newest_name, notebook) = files
    remarks = [
        f"{name} was handed in as well: {newest_name} is newer and was graded." for name, _ in older
    ]
    return Submission(notebook, remarks + tidy(notebook, released))


def identify(path: Path, released: Mapping[str, NotebookNode]) -> tuple[str, NotebookNode]:
    """Return the assignment that a file belongs to, and its notebook.

    Raises:
        NoAssignment: If the file is too large, not a notebook, or its cells have no marks.
    """
    notebook = _read_notebook(path)
    marked = set(grade_ids(notebook))
    shared = {
        assignment: len(marked & set(grade_ids(original)))
        for assignment, original in released.items()
    }
    assignment = max(shared, key=shared.get)
    if shared[assignment] == 0:
        raise NoAssignment(
            f"{file_name(path)} lacks the marks that its cells were handed out with: start from "
            "the released notebook and copy your answers into it."
        )
    return assignment, notebook


def _read_notebook(path: Path) -> NotebookNode:
    """Return a notebook in which grading can read all that it needs."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise NoAssignment(
                f"{file_name(path)} is larger than {LARGEST_FILE >> 20} MB: clear its outputs."
            )
        # nbformat warns of what grading does not mind, such as two cells with one id.
        with warnings.catch_warnings(action="ignore"):
            notebook = nbformat.read(path, as_version=4)
        _read_as_grading_does(notebook)
    except NoAssignment:
        raise
    # nbformat raises whatever json, jsonschema and attribute access raise.
    except Exception as error:
        raise NoAssignment(
            f"{file_name(path)} is not a notebook: it is empty or damaged."
        ) from error
    return notebook


def _read_as_grading_does(notebook: NotebookNode) -> None:
    """Touch everything that grading reads or writes, so that damage shows here."""
    set(grade_ids(notebook))
    nbformat.writes(notebook).encode()
    for cell in notebook.cells:
        cell.cell_type + cell.source  # noqa: B018


def tidy(notebook: NotebookNode, released: NotebookNode) -> list[str]:
    """Change a notebook into one that nbgrader can grade, and return a remark on each change.

    Cells that must not be changed or deleted are restored by nbgrader itself; here it is only
    remarked.
    """
    return [
        *_unmark_copies(notebook),
        *_compare_locked_cells(notebook, released),
        *_disarm_spies(notebook),
    ]


def _unmark_copies(notebook: NotebookNode) -> list[str]:
    """Leave the mark of a copied cell to the last copy: nbgrader refuses duplicate marks."""
    remarks = []
    copies_left = Counter(grade_ids(notebook))
    for cell in notebook.cells:
        grade_id = mark(cell).get("grade_id")
        if copies_left[grade_id] > 1:
            copies_left[grade_id] -= 1
            del cell.metadata["nbgrader"]
            remarks.append(f"There were two cells {grade_id}: the last of them was graded.")
    return remarks


def _compare_locked_cells(notebook: NotebookNode, released: NotebookNode) -> list[str]:
    """Return a remark on each locked cell of the release that was deleted or changed."""
    remarks = []
    cells = cells_by_grade_id(notebook)
    for original in released.cells:
        if not mark(original).get("locked"):
            continue
        grade_id = mark(original)["grade_id"]
        if grade_id not in cells:
            change = "deleted"
        elif cells[grade_id].source.strip() != original.source.strip():
            change = "changed"
        else:
            continue
        remarks.append(f"The cell {grade_id} had been {change}: it was restored before grading.")
    return remarks


def _disarm_spies(notebook: NotebookNode) -> list[str]:
    """Make each cell that could read the tests raise an error instead of running."""
    remarks = []
    for cell in notebook.cells:
        if cell.cell_type != "code" or mark(cell).get("locked"):
            continue
        spied = find_spying(cell.source)
        if not spied:
            continue
        remark = (
            f"{name_cell(cell)} reads {spied}, where tests and notes can be found. It was not run: "
            "ask your teacher."
        )
        cell.source = f"raise PermissionError({remark!r})\n\n{cell.source}"
        remarks.append(remark)
    return remarks
