"""Read notebooks: which assignment each is, and which of several copies counts."""

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode, from_dict

from course.cells import Restored, count_known, new_cell, restore
from course.files import LARGEST_FILE, File
from course.marks import grade_ids

# Archives store times in steps of two seconds.
SECONDS_APART = 2

# So many functions and checks of an assignment make a notebook without marks one of it.
LEAST_KNOWN = 3


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
        group: The group that handed it in, as the platform calls it; "" if a student did alone.
        modules: {name: content} of the Python files beside the notebook that it may import.
    """

    notebook: NotebookNode | None
    remarks: list[str]
    file: File
    is_late: bool | None = None
    moodle: str = ""
    time: str = ""
    group: str = ""
    modules: Mapping[str, bytes] = field(default_factory=dict)


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


class Chosen(NamedTuple):
    """What a student handed in.

    Args:
        submissions: {assignment: Submission}. Its notebook is None if a file is named as the
            assignment and is not its notebook.
        blank: The assignments whose notebook was handed in as it was handed out.
        unassigned: The files that belong to no assignment.
    """

    submissions: dict[str, Submission]
    blank: set[str]
    unassigned: list[Candidate]


class NoAssignment(ValueError):
    """A file is the notebook of no assignment; the message says why."""


def is_notebook(file: File) -> bool:
    """Return whether a file is named as a notebook, whatever a browser added to the name."""
    return ".ipynb" in file.place[-1].lower()


def examine(file: File, released: Mapping[str, NotebookNode]) -> Candidate:
    """Return what a file is. A notebook is recognised by its cells.

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


def choose(candidates: Sequence[Candidate], released: Mapping[str, NotebookNode]) -> Chosen:
    """Return what a student handed in for each assignment, of several copies the best supported."""
    copies: dict[str, list[Candidate]] = {}
    misnamed: dict[str, list[Candidate]] = {}
    chosen = Chosen({}, set(), [])
    for candidate in candidates:
        if candidate.notebook:
            copies.setdefault(candidate.assignment, []).append(candidate)
        if candidate.problem and candidate.expected:
            misnamed.setdefault(candidate.expected, []).append(candidate)
        elif candidate.problem:
            chosen.unassigned.append(candidate)

    for assignment, files in copies.items():
        submission = _take_best(files, released[assignment])
        if submission:
            submission.remarks.extend(one.problem for one in misnamed.pop(assignment, []))
            chosen.submissions[assignment] = submission
        else:
            chosen.blank.add(assignment)
    for assignment, files in misnamed.items():
        problems = [one.problem for one in files]
        chosen.submissions[assignment] = Submission(None, problems, files[-1].file)
    return chosen


def assignment_in_name(place: Sequence[str], released: Mapping[str, NotebookNode]) -> str | None:
    """Return the assignment that a file is named as, by its own name or that of a folder."""
    for assignment in released:
        if assignment in "/".join(place):
            return assignment
    return None


def _take_best(copies: list[Candidate], released: NotebookNode) -> Submission | None:
    """Return the copy with most answers, of those the newest, with remarks on the others.

    A released notebook that was downloaded once more is newer than the answers, and has none. If
    nothing was written into any copy, the result is None.
    """
    attempts = [_Attempt(copy.file, restore(copy.notebook, released)) for copy in copies]
    *others, best = sorted(attempts, key=_Attempt.rank)
    notebook, _, remarks_on_cells = best.restored
    if notebook == released:
        return None
    remarks = []
    for other in others:
        if other.restored.notebook == notebook:
            continue
        shown = _names(best.file, other.file)
        reason = _why(best.rank(), other.rank())
        remarks.append(f"{shown[1]} was handed in as well: {shown[0]} {reason} and was graded.")
    remarks += remarks_on_cells
    return Submission(notebook, remarks, best.file)


class _Attempt(NamedTuple):
    """One of several copies: its file, and its answers in the released notebook."""

    file: File
    restored: Restored

    def rank(self) -> tuple:
        """Return the number of answers, the time, and the name, by which copies are sorted."""
        name = self.file.place[-1]
        copy = re.search(r"[-(](\d{1,3})\)?\.ipynb", name, flags=re.I)
        return (
            len(self.restored.answered),
            self.file.modified // SECONDS_APART,
            (int(copy[1]) if copy else 0, self.file.place),
        )


def _names(best: File, other: File) -> tuple[str, str]:
    """Return the names of two files, with their folders if the names are equal."""
    if best.place[-1] != other.place[-1]:
        return best.place[-1], other.place[-1]
    return "/".join(best.place), "/".join(other.place)


def _why(best: tuple, other: tuple) -> str:
    """Return by what a copy outranks another."""
    if best[0] != other[0]:
        though = ", though older," if other[1] > best[1] else ""
        return f"answers {best[0]} cells, not {other[0]}{though}"
    if best[1] != other[1]:
        return "is newer"
    return "is as old and has the later name"


def identify(file: File, released: Mapping[str, NotebookNode]) -> tuple[str, NotebookNode]:
    """Return the assignment that a file belongs to, and its notebook.

    Raises:
        NoAssignment: If the file is too large or not a notebook, or has none of the cells.
    """
    notebook = _read_notebook(file)
    marked = set(grade_ids(notebook))
    shared = {
        assignment: len(marked & set(grade_ids(original)))
        for assignment, original in released.items()
    }
    least = 1
    if not any(shared.values()):
        shared = {name: count_known(notebook, original) for name, original in released.items()}
        least = LEAST_KNOWN
    # Of assignments with equally many cells in it the one counts as which the file is named.
    named = assignment_in_name(file.place, released)
    assignment = max(shared, key=lambda name: (shared[name], name == named))
    if shared[assignment] < least:
        raise NoAssignment(
            f"{file.place[-1]} has none of the cells that were handed out: start from the "
            "released notebook and copy your answers into it."
        )
    return assignment, notebook


def _read_notebook(file: File) -> NotebookNode:
    """Return a notebook with what grading reads: its cells' sources, marks, ids and pictures."""
    name = file.place[-1]
    if file.path.stat().st_size > LARGEST_FILE:
        raise NoAssignment(f"{name} is larger than {LARGEST_FILE >> 20} MB: clear its outputs.")
    data = file.path.read_bytes()
    try:
        # UTF-8 with or without a byte-order mark, UTF-16 or UTF-32, as the standard of JSON allows.
        text = data.decode(json.detect_encoding(data))
        content = json.loads(text)
        if content.get("nbformat", 4) < 4:
            # nbformat warns of what grading does not mind.
            with warnings.catch_warnings(action="ignore"):
                content = nbformat.reads(text, as_version=4)
        notebook = NotebookNode(cells=[_read_cell(cell) for cell in content["cells"]])
        # Half of a character can be read from JSON, and not be written.
        json.dumps(notebook, ensure_ascii=False).encode()
    # Damage raises whatever json, nbformat and access to its parts raise.
    except Exception as error:
        raise NoAssignment(f"{name} is not a notebook: it is empty or damaged.") from error
    return notebook


def _read_cell(content: Mapping) -> NotebookNode:
    """Return a cell without its outputs; what is wrong in its metadata is left out."""
    source = content.get("source", "")
    lines = "".join(source).replace("\r\n", "\n").replace("\r", "\n")
    cell = new_cell(content["cell_type"], lines)
    metadata = content.get("metadata")
    known = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    if isinstance(known, dict) and isinstance(known.get("grade_id"), str):
        cell.metadata.nbgrader = from_dict(known)
    if isinstance(content.get("id"), str):
        cell.id = content["id"]
    if cell.cell_type != "code" and isinstance(content.get("attachments"), dict):
        cell.attachments = from_dict(content["attachments"])
    return cell
