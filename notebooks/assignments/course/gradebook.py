"""Points in nbgrader's gradebook."""

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from nbgrader.api import MissingEntry

from course import year


class Score(NamedTuple):
    """The score of a graded cell.

    Args:
        points: The points; None if a person has still to give them.
        most: The most points.
        comment: A person's comment.
        is_to_be_read: Whether a person has to read the answer, or to read it again.
    """

    points: float | None
    most: float
    comment: str
    is_to_be_read: bool = False


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
            comment = comments.get(grade.name) or ""
            result[grade.name] = Score(points, grade.max_score, comment, grade.needs_manual_grade)
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
