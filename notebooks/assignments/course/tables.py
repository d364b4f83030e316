"""The tables that a teacher reads: grades.csv and remarks.csv."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from nbgrader.api import Gradebook, MissingEntry

from camkit._files import write_whole
from camkit.atlas.verdicts import with_apostrophe, without_apostrophe

# Canvas' headings, by which it finds a student, though the columns on lateness are for the teacher.
COLUMNS = ["Student", "ID", "SIS Login ID", "Section"]
REMARK_COLUMNS = ("student", "assignment", "remark")
CHANGE_COLUMNS = ("student", "assignment", "step", "before", "after", "because of", "date")

# With a byte-order mark: without one Excel takes a table for one in an older encoding.
FOR_EXCEL = "utf-8-sig"


class Result(NamedTuple):
    """What a submission got, as cells of a table.

    Args:
        points: The points; not final while answers are to be read.
        late: How late it was, in words; "" if it was not.
        to_read: How many answers a person has to read; "" if none.
    """

    points: str
    late: str
    to_read: str = ""


def grade_rows(
    book: Gradebook,
    students: Iterable[str],
    assignments: Sequence[str],
    results: Mapping[tuple[str, str], Result],
) -> Iterator[list[str]]:
    """Yield the rows of grades.csv: a row for each student, three columns for each assignment.

    Cells are empty where nothing was handed in.
    """
    headings = []
    for name in assignments:
        headings += [name, f"{name} late", f"{name} to read"]
    yield [*COLUMNS, *headings]
    for login in students:
        name, number = _person(book, login)
        cells = []
        for assignment in assignments:
            cells += results.get((login, assignment), Result("", ""))
        yield [name, number, login, "", *cells]


def _person(book: Gradebook, login: str) -> tuple[str, str]:
    """Return a student's name, the login if the gradebook has none, and the number in the LMS."""
    try:
        person = book.find_student(login)
    except MissingEntry:
        return login, ""
    names = [name for name in (person.last_name, person.first_name) if name]
    return ", ".join(names) or login, person.lms_user_id or ""


def read_csv(path: Path) -> list[list[str]]:
    """Return the rows of a table that `write_csv` has written, [] if there is none."""
    if not path.exists():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        return [[without_apostrophe(cell) for cell in row] for row in csv.reader(file)]


def write_csv(path: Path, rows: Iterable[Sequence[str]], encoding: str = "utf-8") -> None:
    """Write a table in which no cell is a formula to a spreadsheet."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for row in rows:
        writer.writerow([with_apostrophe(cell) for cell in row])
    write_whole(path, text.getvalue().encode(encoding))
