"""What goes back to a platform: marks as its gradebook's CSV, feedback as Moodle's bulk upload."""

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from camkit._files import write_whole
from course import tables, year
from course.roster import CANVAS, MOODLE_FIELDS, Person, Roster, squash

POINTS_POSSIBLE = "    Points Possible"

# By which columns Moodle finds a student.
MOODLE_IDENTIFIERS = ("email", "sis", "login")


def canvas_rows(
    roster: Roster, most: Mapping[str, float], points: Mapping[tuple[str, str], str]
) -> Iterator[list[str]]:
    """Yield the rows of the CSV that Canvas imports into its gradebook.

    The columns up to Section are those of the gradebook's export, from which the roster was read,
    and so are the headings of assignments that stand there, such as "1-gap-equation (4711)"; others
    become new assignments (`lib/gradebook_importer.rb` of Canvas;
    https://community.canvaslms.com/t5/Instructor-Guide/tkb-p/Instructor, "How do I import grades in
    the Gradebook?"). An empty cell wipes a mark there: without points a cell keeps what the export
    has, and a row that would be empty is left out.

    Args:
        roster: The students.
        most: {assignment: the most points}, of those that have been handed in.
        points: {(login, assignment): points}.
    """
    columns = [heading for heading in CANVAS if heading in roster.headings]
    headings = {name: _canvas_heading(name, roster.headings) for name in most}
    yield [*columns, *headings.values()]
    blanks = [""] * (len(columns) - 1)
    yield [POINTS_POSSIBLE, *blanks, *(f"{value:g}" for value in most.values())]
    for person in roster.people:
        marks = [
            points.get((person.login, name), person.canvas_row.get(heading, ""))
            for name, heading in headings.items()
        ]
        if person.canvas_row and any(marks):
            yield [*(person.canvas_row.get(heading, "") for heading in columns), *marks]


def _canvas_heading(assignment: str, headings: Sequence[str]) -> str:
    """Return the heading that an assignment has in Canvas' export, or else its name."""
    for heading in headings:
        title = re.sub(r"\s*\(\d+\)$", "", heading)
        if squash(title) == squash(assignment):
            return heading
    return assignment


def moodle_rows(
    roster: Roster, assignment: str, points: Mapping[tuple[str, str], str]
) -> tuple[list[list[str]], list[str]]:
    """Return the rows of the CSV that Moodle imports into its gradebook, and who is left out.

    Moodle asks which column identifies a student (map "Email address", "ID number" or "Username"),
    and to which grade item the last one belongs (https://docs.moodle.org/en/Grade_import). It takes
    an empty mark for none, which wipes the one that is there, and gives a row whose identifier is
    empty to the student of the row before. So each row has both: the first of those columns that
    half of the students have is in the table, others only where all have them.

    Args:
        roster: The students.
        assignment: The assignment, whose marks alone stand in the table.
        points: {(login, assignment): points}.

    Returns:
        The rows, the first with the headings, and the logins of students who have points and no
        identifier.
    """
    people = [person for person in roster.people if person.moodle_row]
    cells = {person: _moodle_cells(person) for person in people}
    held = [kind for person in people for kind in cells[person]]
    of_most = (kind for kind in MOODLE_IDENTIFIERS if 2 * held.count(kind) >= len(people))
    identifier = next(of_most, MOODLE_IDENTIFIERS[0])
    marked = [person for person in people if (person.login, assignment) in points]
    kept = [person for person in marked if identifier in cells[person]]
    columns = {}
    for kind, spellings in MOODLE_FIELDS.items():
        holders = sum(kind in cells[person] for person in kept)
        if holders == len(kept) or (holders and kind not in MOODLE_IDENTIFIERS):
            own = (heading for heading in roster.headings if heading in spellings)
            columns[kind] = next(own, spellings[0])
    rows = [[*columns.values(), assignment]]
    for person in kept:
        row = [cells[person].get(kind, "") for kind in columns]
        rows.append([*row, points[person.login, assignment]])
    return rows, [person.login for person in marked if person not in kept]


def _moodle_cells(person: Person) -> dict[str, str]:
    """Return {kind of column: cell} of a student; Moodle's own tables go before others."""
    cells = {}
    for kind, spellings in MOODLE_FIELDS.items():
        own = (person.moodle_row.get(heading, "").strip() for heading in spellings)
        cell = next(filter(None, own), person.fields.get(kind, ""))
        if cell:
            cells[kind] = cell
    return cells


def write_marks(
    folder: Path,
    roster: Roster,
    most: Mapping[str, float],
    points: Mapping[tuple[str, str], str],
) -> list[str]:
    """Write canvas.csv and moodle-marks/ into a year's folder, in place of those of earlier calls.

    Args:
        folder: The year's folder.
        roster: The students.
        most: {assignment: the most points}, of those that have been handed in.
        points: {(login, assignment): points} that are final.

    Returns:
        The logins of students whose marks Moodle cannot be given.
    """
    marks = folder / "moodle-marks"
    for path in (folder / "canvas.csv", folder / "moodle.csv", *marks.glob("*.csv")):
        path.unlink(missing_ok=True)
    if any(person.canvas_row for person in roster.people):
        tables.write_csv(folder / "canvas.csv", canvas_rows(roster, most, points))
    left_out = set()
    for assignment in most:
        rows, without = moodle_rows(roster, assignment, points)
        left_out.update(without)
        if len(rows) > 1:
            marks.mkdir(exist_ok=True)
            tables.write_csv(marks / f"{assignment}.csv", rows)
    return sorted(left_out)


def write_moodle_feedback(folder: Path, assignment: str, starts: Mapping[str, str]) -> Path:
    """Write the feedback pages of an assignment as Moodle takes them, and return the .zip file.

    It is for "Upload multiple feedback files in a zip" among the grading actions: a folder
    FULLNAME_NUMBER_assignsubmission_file_ for each student, as the download has them
    (`mod/assign/feedback/file/importziplib.php` of Moodle).

    Args:
        folder: The year's folder.
        assignment: The assignment.
        starts: {login: FULLNAME_NUMBER in Moodle}.
    """

    def fill(stream):
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            for student, start in sorted(starts.items()):
                page = year.feedback_path(folder, assignment, student)
                archive.write(page, f"{start}_assignsubmission_file_/{page.name}")

    path = Path(folder) / "moodle-feedback" / f"{assignment}.zip"
    path.parent.mkdir(exist_ok=True)
    write_whole(path, fill)
    return path
