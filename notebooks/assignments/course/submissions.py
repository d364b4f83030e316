"""Read notebooks: which assignment each is, which copy counts, and what was changed in it."""

import json
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode

from course.files import LARGEST_FILE, File
from course.marks import cells_by_grade_id, grade_ids, mark, name_cell
from course.spies import find_spying

# Archives store times in steps of two seconds.
SECONDS_APART = 2


@dataclass(frozen=True)
class Submission:
    """What was handed in for an assignment.

    Args:
        notebook: The notebook, None if no file is one.
        remarks: Lines for the student and the teacher.
        file: The file that counts.
        is_late: Whether the platform marked it as late; None if it marks nothing.
        moodle: The beginning of the name of Moodle's folder.
        time: When the platform received it, in ISO 8601 and UTC; "" if that is not known.
    """

    notebook: NotebookNode | None
    remarks: list[str]
    file: File
    is_late: bool | None = None
    moodle: str = ""
    time: str = ""


class Candidate(NamedTuple):
    """A file that may be a notebook of an assignment.

    Args:
        file: The file.
        expected: The assignment that it is named as, None if it is named as none.
        assignment: The assignment that it is; "" if it is none.
        notebook: The notebook, None if it is none.
        problem: What is wrong with it, for the student.
    """

    file: File
    expected: str | None
    assignment: str = ""
    notebook: NotebookNode | None = None
    problem: str = ""


class NoAssignment(ValueError):
    """A file is the notebook of no assignment; the message says why."""


def is_notebook(file: File) -> bool:
    """Return whether a file is named as a notebook, whatever a browser added to the name."""
    return ".ipynb" in file.place[-1].lower()


def examine(file: File, released: Mapping[str, NotebookNode]) -> Candidate:
    """Return what a file is. A notebook is recognised by the marks of its cells.

    Args:
        file: The file.
        released: {assignment: the notebook as it was handed out}.
    """
    name = file.place[-1]
    expected = assignment_in_name(file.place, released)
    try:
        assignment, notebook = identify(file, released)
    except NoAssignment as error:
        return Candidate(file, expected, problem=str(error))
    problem = ""
    if expected not in (None, assignment):
        problem = f"{name} is the notebook of {assignment}."
    return Candidate(file, expected, assignment, notebook, problem)


def choose(
    candidates: Sequence[Candidate], released: Mapping[str, NotebookNode]
) -> tuple[dict[str, Submission], list[Candidate]]:
    """Return what a student handed in for each assignment, of several copies the best supported.

    Returns:
        {assignment: Submission}, its notebook None if a file is named as the assignment and is not
        its notebook; and the files that belong to no assignment.
    """
    copies: dict[str, list[Candidate]] = {}
    misnamed: dict[str, list[Candidate]] = {}
    unassigned = []
    for candidate in candidates:
        if candidate.notebook:
            copies.setdefault(candidate.assignment, []).append(candidate)
        if candidate.problem and candidate.expected:
            misnamed.setdefault(candidate.expected, []).append(candidate)
        elif candidate.problem:
            unassigned.append(candidate)

    handed_in = {}
    for assignment, files in copies.items():
        submission = _take_best(files, released[assignment])
        submission.remarks.extend(one.problem for one in misnamed.pop(assignment, []))
        handed_in[assignment] = submission
    for assignment, files in misnamed.items():
        handed_in[assignment] = Submission(None, [one.problem for one in files], files[-1].file)
    return handed_in, unassigned


def assignment_in_name(place: Sequence[str], released: Mapping[str, NotebookNode]) -> str | None:
    """Return the assignment that a file is named as, by its own name or that of a folder."""
    for assignment in released:
        if assignment in "/".join(place):
            return assignment
    return None


def _take_best(copies: list[Candidate], released: NotebookNode) -> Submission:
    """Return the copy with most answers, of those the newest, tidied, with remarks on the others.

    A released notebook that was downloaded once more is newer than the answers, and has none.
    """

    def rank(copy: Candidate) -> tuple:
        return (
            count_answers(copy.notebook, released),
            copy.file.modified // SECONDS_APART,
            copy.file.place,
        )

    *others, best = sorted(copies, key=rank)
    remarks = []
    for other in others:
        if other.notebook.cells == best.notebook.cells:
            continue
        reason = _why(rank(best), rank(other))
        shown = _names(best, other)
        remarks.append(f"{shown[1]} was handed in as well: {shown[0]} {reason} and was graded.")
    return Submission(best.notebook, remarks + tidy(best.notebook, released), best.file)


def _names(best: Candidate, other: Candidate) -> tuple[str, str]:
    """Return the names of two files, with their folders if the names are equal."""
    if best.file.place[-1] != other.file.place[-1]:
        return best.file.place[-1], other.file.place[-1]
    return "/".join(best.file.place), "/".join(other.file.place)


def _why(best: tuple, other: tuple) -> str:
    """Return by what a copy outranks another."""
    if best[0] != other[0]:
        though = ", though older," if other[1] > best[1] else ""
        return f"answers {best[0]} cells, not {other[0]}{though}"
    if best[1] != other[1]:
        return "is newer"
    return "is as old and has the later name"


def count_answers(notebook: NotebookNode, released: NotebookNode) -> int:
    """Return how many cells for answers are not as they were handed out."""
    stubs = {
        mark(cell)["grade_id"]: _lines(cell)
        for cell in released.cells
        if mark(cell).get("solution")
    }
    answered = set()
    for cell in notebook.cells:
        grade_id = mark(cell).get("grade_id")
        if grade_id in stubs and _lines(cell) != stubs[grade_id]:
            answered.add(grade_id)
    return len(answered)


def _lines(cell: NotebookNode) -> list[str]:
    """Return the lines of a cell, whatever ends them."""
    return cell.source.strip().splitlines()


def identify(file: File, released: Mapping[str, NotebookNode]) -> tuple[str, NotebookNode]:
    """Return the assignment that a file belongs to, and its notebook.

    Raises:
        NoAssignment: If the file is too large, not a notebook, or its cells have no marks.
    """
    notebook = _read_notebook(file)
    marked = set(grade_ids(notebook))
    shared = {
        assignment: len(marked & set(grade_ids(original)))
        for assignment, original in released.items()
    }
    assignment = max(shared, key=shared.get)
    if shared[assignment] == 0:
        raise NoAssignment(
            f"{file.place[-1]} lacks the marks that its cells were handed out with: start from "
            "the released notebook and copy your answers into it."
        )
    return assignment, notebook


def _read_notebook(file: File) -> NotebookNode:
    """Return a notebook in which grading can read all that it needs."""
    name = file.place[-1]
    try:
        if file.path.stat().st_size > LARGEST_FILE:
            raise NoAssignment(f"{name} is larger than {LARGEST_FILE >> 20} MB: clear its outputs.")
        data = file.path.read_bytes()
        # UTF-8 with or without a byte-order mark, UTF-16 or UTF-32, as the standard of JSON allows.
        text = data.decode(json.detect_encoding(data))
        # nbformat warns of what grading does not mind, such as two cells with one id.
        with warnings.catch_warnings(action="ignore"):
            notebook = nbformat.reads(text, as_version=4)
        _read_as_grading_does(notebook)
    except NoAssignment:
        raise
    # nbformat raises whatever json, jsonschema and attribute access raise.
    except Exception as error:
        raise NoAssignment(f"{name} is not a notebook: it is empty or damaged.") from error
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
        *_unmark_copies(notebook, released),
        *_compare_locked_cells(notebook, released),
        *_disarm_spies(notebook),
    ]


def _unmark_copies(notebook: NotebookNode, released: NotebookNode) -> list[str]:
    """Leave the mark of a copied cell to one copy, since nbgrader refuses duplicate marks.

    That is the last one that is not as it was handed out, or else the last one.
    """
    remarks = []
    originals = cells_by_grade_id(released)
    for grade_id, count in Counter(grade_ids(notebook)).items():
        if count == 1:
            continue
        copies = [cell for cell in notebook.cells if mark(cell).get("grade_id") == grade_id]
        changed = [
            cell
            for cell in copies
            if grade_id in originals
            and not mark(originals[grade_id]).get("locked")
            and _lines(cell) != _lines(originals[grade_id])
        ]
        kept = (changed or copies)[-1]
        for cell in copies:
            if cell is not kept:
                del cell.metadata["nbgrader"]
        which = "the last" if kept is copies[-1] else "the last with an answer"
        remarks += [f"There were two cells {grade_id}: {which} of them was graded."] * (count - 1)
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
        elif _lines(cells[grade_id]) != _lines(original):
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
