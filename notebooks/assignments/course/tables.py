"""The tables that a teacher reads: grades.csv and remarks.csv."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from nbgrader.api import Gradebook, MissingEntry

from camkit._files import write_whole
from camkit.atlas.verdicts import FORMULA

# Canvas takes these headings as they are and finds a student by ID or login. In Moodle, map
# SIS Login ID to username.
COLUMNS = ["Student", "ID", "SIS Login ID", "Section"]
REMARK_COLUMNS = ("student", "assignment", "remark")


def grade_rows(
    book: Gradebook, students: Iterable[str], assignments: Sequence[str]
) -> Iterator[list[str]]:
    """Yield the rows of grades.csv: a row for each student, a column for each assignment.

    A cell is empty where nothing was handed in.
    """
    yield [*COLUMNS, *assignments]
    for login in students:
        name, number = _person(book, login)
        points = [_points(book, assignment, login) for assignment in assignments]
        yield [name, number, login, "", *points]


def _points(book: Gradebook, assignment: str, login: str) -> str:
    """Return the points of a submission, "" without one."""
    try:
        return f"{book.find_submission(assignment, login).score:g}"
    except MissingEntry:
        return ""


def _person(book: Gradebook, login: str) -> tuple[str, str]:
    """Return a student's name, the login if the gradebook has none, and the number in the LMS."""
    try:
        person = book.find_student(login)
    except MissingEntry:
        return login, ""
    names = [name for name in (person.last_name, person.first_name) if name]
    return ", ".join(names) or login, person.lms_user_id or ""


def write_csv(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Write a table in which no cell is a formula to a spreadsheet."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for row in rows:
        writer.writerow([_as_text(cell) for cell in row])
    write_whole(path, text.getvalue().encode())


def _as_text(cell: str) -> str:
    """Return a cell with an apostrophe before it if a spreadsheet would calculate it."""
    return f"'{cell}" if FORMULA.match(cell) else cell
