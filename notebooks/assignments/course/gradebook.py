"""Students and points in nbgrader's gradebook."""

import json
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from nbgrader.api import MissingEntry

from camkit._files import write_whole
from course import year
from course.roster import Person


class Score(NamedTuple):
    """The score of a graded cell.

    Args:
        points: The points with extra credit; None if a person has still to give them.
        most: The most points.
        comment: A person's comment.
        is_to_be_read: Whether a person has to read the answer, or to read it again.
        by_hand: Whether a person gave points or extra credit.
    """

    points: float | None
    most: float
    comment: str
    is_to_be_read: bool = False
    by_hand: bool = False


def known_students(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Return {login: the fields of each table that named the student} of a year's gradebook."""
    path = year.known_path(folder)
    said = json.loads(path.read_bytes()) if path.exists() else {}
    known = {}
    with year.open_gradebook(folder) as book:
        for student in book.students:
            names = [name for name in (student.first_name, student.last_name) if name]
            fields = {
                "name": " ".join(names),
                "email": student.email,
                "canvas": student.lms_user_id,
            }
            held = {kind: value for kind, value in fields.items() if value}
            tables = said.get(student.id, [])
            known[student.id] = tables if held in tables else [*tables, held]
    return known


def enrol(folder: Path, people: Iterable[Person], numbers: Mapping[str, str] | None = None) -> None:
    """Write students into the gradebook, and what their tables say into known_path.

    The gradebook has no place for a second login or number, by which a later table may name them.

    Args:
        folder: The year's folder.
        people: The students of the roster.
        numbers: {login: the number that Canvas gave}, also of students in no table.
    """
    known = known_students(folder)
    with year.open_gradebook(folder) as book:
        for person in people:
            details = {
                "first_name": person.fields.get("first"),
                "last_name": person.fields.get("last") or person.fields.get("name"),
                "email": person.fields.get("email"),
                "lms_user_id": person.fields.get("canvas"),
            }
            given = {name: value for name, value in details.items() if value}
            book.update_or_create_student(person.login, **given)
            tables = known.setdefault(person.login, [])
            if person.fields not in tables:
                tables.append(person.fields)
        for student, number in (numbers or {}).items():
            book.update_or_create_student(student, lms_user_id=number)
    write_whole(year.known_path(folder), json.dumps(known, ensure_ascii=False).encode())


def give_zero(folder: Path, assignment: str, student: str) -> None:
    """Write zero points for a whole submission; points that a person gave stay."""
    autograded = year.autograded_path(folder, assignment, student).parent
    shutil.rmtree(autograded, ignore_errors=True)
    with year.open_gradebook(folder) as book:
        book.update_or_create_student(student)
        # nbgrader links what is not yet in the session: SQLAlchemy warns if it is flushed between.
        with book.db.no_autoflush:
            book.update_or_create_submission(assignment, student)
        for notebook in book.find_assignment(assignment).notebooks:
            submission = book.find_submission_notebook(notebook.name, assignment, student)
            for grade in submission.grades:
                grade.auto_score = 0
                grade.needs_manual_grade = False
        book.db.commit()


def scores(folder: Path, assignment: str, student: str) -> dict[str, Score]:
    """Return {cell: Score} of a graded submission."""
    with year.open_gradebook(folder) as book:
        (notebook,) = book.find_submission(assignment, student).notebooks
        comments = {comment.name: comment.comment for comment in notebook.comments}
        result = {}
        for grade in notebook.grades:
            points = grade.auto_score if grade.manual_score is None else grade.manual_score
            extra = grade.extra_credit or 0
            result[grade.name] = Score(
                None if points is None else points + extra,
                grade.max_score,
                comments.get(grade.name) or "",
                grade.needs_manual_grade,
                grade.manual_score is not None or bool(extra),
            )
        return result


def read_cells(folder: Path, assignment: str, student: str) -> set[str]:
    """Return the cells to which a person gave points that stand."""
    with year.open_gradebook(folder) as book:
        try:
            (notebook,) = book.find_submission(assignment, student).notebooks
        except MissingEntry:
            return set()
        return {
            grade.name
            for grade in notebook.grades
            if grade.manual_score is not None and not grade.needs_manual_grade
        }


def mark_as_read(folder: Path, assignment: str, student: str, cells: Collection[str]) -> None:
    """Note that the points that a person gave to cells stand: nbgrader asks for all again."""
    with year.open_gradebook(folder) as book:
        (notebook,) = book.find_submission(assignment, student).notebooks
        for grade in notebook.grades:
            if grade.name in cells:
                grade.needs_manual_grade = False
        book.db.commit()
