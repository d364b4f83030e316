"""Grade what students hand in, each submission in a process with limits.

Whatever happens there ends as a line in a student's feedback.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from tqdm import tqdm

from camkit._files import write_whole
from course import feedback, gradebook, isolation, submissions, tables, year
from course.explanations import explain_outputs
from course.submissions import Submission

NOTHING = "Nothing was handed in."
WAITS = "The written answer waits to be graded by hand."
LONGEST_RECEIPT = 1000


@dataclass(frozen=True)
class Job:
    """One submission to grade into a year's folder."""

    folder: Path
    assignment: str
    student: str
    released: NotebookNode
    submission: Submission


def grade(folder: Path, submitted: Path, workers: int = 2) -> None:
    """Grade submitted/STUDENT/…ipynb into gradebook.db, feedback/, grades.csv and remarks.csv.

    What has been graded stays so: a run that was stopped goes on, a submission that changed is
    graded anew, and what was graded from another folder keeps its rows. A second process waits for
    the first.

    Args:
        folder: The year's folder, with a gradebook and release/.
        submitted: A folder with a folder for each student, named by the login.
        workers: Submissions that are graded at once.

    Raises:
        OSError: If the disk is full or cannot be written to; nothing is lost.
    """
    folder = Path(folder).resolve()
    submitted = Path(submitted)
    with year.exclusive(folder):
        released = _released_notebooks(folder)
        students, remarks = _student_folders(submitted)
        jobs = []
        for student in students:
            handed_in, unassigned = submissions.read(student, released)
            remarks += [(student.name, "", line) for line in unassigned]
            for assignment, submission in handed_in.items():
                jobs.append(Job(folder, assignment, student.name, released[assignment], submission))
        _grade_all(jobs, workers)
        for job in jobs:
            _hand_back(job, submitted)
        logins = [student.name for student in students]
        _write_tables(folder, list(released), logins, remarks)


def _released_notebooks(folder: Path) -> dict[str, NotebookNode]:
    """Return {assignment: the notebook as it was handed out} of a year."""
    paths = sorted((folder / "release").glob("*/*.ipynb"))
    return {path.stem: nbformat.read(path, as_version=4) for path in paths}


def _student_folders(submitted: Path) -> tuple[list[Path], list[tuple[str, str, str]]]:
    """Return the students' folders, and the rows of remarks on folders whose names are not text."""
    students = []
    remarks = []
    for path in submitted.iterdir():
        if not path.is_dir() or path.name.startswith("."):
            continue
        name = submissions.file_name(path)
        if name == path.name:
            students.append(path)
        else:
            remarks.append((name, "", "The name of this folder is not text: rename it."))
    return sorted(students), remarks


def _grade_all(jobs: list[Job], workers: int) -> None:
    """Grade submissions, some at once, with a progress bar."""
    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(total=len(jobs), unit="submission", disable=None) as bar,
    ):
        for _ in pool.map(_grade_if_changed, jobs):
            bar.update()


def _grade_if_changed(job: Job) -> None:
    """Grade a submission that has changed since it was graded, and write its feedback.

    The feedback is written anew, too, where a person has changed points or comments.
    """
    record = _read_record(job.folder, job.assignment, job.student)
    digest = _digest(job)
    if record.get("digest") != digest:
        record = {"digest": digest, "told": _grade_now(job)}
    scores = gradebook.scores(job.folder, job.assignment, job.student)
    points = {cell: list(score) for cell, score in scores.items()}
    if record.get("points") == points:
        return
    feedback.write(job.folder, job.assignment, job.student, job.released, scores, record["told"])
    path = year.record_path(job.folder, job.assignment, job.student)
    path.parent.mkdir(parents=True, exist_ok=True)
    record["points"] = points
    write_whole(path, json.dumps(record).encode())


def _digest(job: Job) -> str:
    """Return a checksum of all that the result of grading depends on."""
    notebook, remarks = job.submission
    text = nbformat.writes(notebook) if notebook else ""
    content = f"{text}{nbformat.writes(job.released)}{remarks}"
    return hashlib.sha256(content.encode()).hexdigest()


def _grade_now(job: Job) -> list[str]:
    """Grade a submission into the gradebook and return all remarks on it."""
    notebook, remarks = job.submission
    reason = "It cannot be graded."
    if notebook:
        path = year.tidied_path(job.folder, job.assignment, job.student)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(nbformat.writes(notebook), encoding="utf-8")
        reason = isolation.grade_one(job.folder, job.assignment, job.student)
    if reason:
        # A full disk is nobody's mistake: it raises here, before any points are written.
        year.check_disk(job.folder)
        gradebook.give_zero(job.folder, job.assignment, job.student)
        return [*remarks, f"{reason} That is 0 points."]
    executed = year.autograded_path(job.folder, job.assignment, job.student)
    return remarks + explain_outputs(nbformat.read(executed, as_version=4))


def _read_record(folder: Path, assignment: str, student: str) -> dict:
    """Return what is recorded of a graded submission, {} of one that has not been graded.

    "digest" is its checksum, "told" the remarks for its author, "points" those of each cell.
    """
    path = year.record_path(folder, assignment, student)
    if not path.exists():
        return {}
    return json.loads(path.read_text(encoding="utf-8"))


def _hand_back(job: Job, submitted: Path) -> None:
    """Put the receipt of nbgrader's exchange beside a feedback page: release_feedback needs it.

    A submission that did not come through the exchange gets a dummy receipt; without one,
    release_feedback stops for everybody.
    """
    submission = submitted / job.student / job.assignment
    page_folder = year.feedback_path(job.folder, job.assignment, job.student).parent
    dummies = {
        "timestamp.txt": b"",
        "submission_secret.txt": secrets.token_hex().encode(),
    }
    for name, dummy in dummies.items():
        receipt = submission / name
        if receipt.is_file():
            with open(receipt, "rb") as file:
                write_whole(page_folder / name, file.read(LONGEST_RECEIPT))
        elif not (page_folder / name).exists():
            write_whole(page_folder / name, dummy)


def _write_tables(
    folder: Path,
    assignments: list[str],
    logins: Iterable[str],
    remarks: list[tuple[str, str, str]],
) -> None:
    """Write grades.csv and remarks.csv for these students and all in the gradebook."""
    with year.open_gradebook(folder) as book:
        enrolled = [person.id for person in book.students]
        everyone = sorted({*logins, *enrolled})
        rows = tables.grade_rows(book, everyone, assignments)
        tables.write_csv(folder / "grades.csv", rows)
    remark_rows = list(remarks)
    for student in everyone:
        for assignment in assignments:
            lines = _remarks_on(_read_record(folder, assignment, student))
            remark_rows += [(student, assignment, line) for line in lines]
    remark_rows.sort()
    tables.write_csv(folder / "remarks.csv", [tables.REMARK_COLUMNS, *remark_rows])


def _remarks_on(record: Mapping) -> list[str]:
    """Return a line on each thing that the teacher should know of a submission."""
    if not record:
        return [NOTHING]
    waits = any(points is None for points, _, _ in record["points"].values())
    return record["told"] + [WAITS] if waits else record["told"]
