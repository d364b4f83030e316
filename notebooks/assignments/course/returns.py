"""What goes back to a platform: marks as its gradebook's CSV, feedback as Moodle's bulk upload."""

import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from camkit._files import write_whole
from course import year
from course.roster import CANVAS, MOODLE, Roster, squash

POINTS_POSSIBLE = "    Points Possible"


def canvas_rows(
    roster: Roster, most: Mapping[str, float], points: Mapping[tuple[str, str], str]
) -> Iterator[list[str]]:
    """Yield the rows of the CSV that Canvas imports into its gradebook.

    The columns up to Section are those of the gradebook's export, from which the roster was read,
    and so are the headings of assignments that stand there, such as "1-gap-equation (4711)"; others
    become new assignments (`lib/gradebook_importer.rb` of Canvas;
    https://community.canvaslms.com/t5/Instructor-Guide/tkb-p/Instructor, "How do I import grades in
    the Gradebook?").

    Args:
        roster: The students.
        most: {assignment: the most points}, of those that have been handed in.
        points: {(login, assignment): points}.
    """
    columns = [heading for heading in CANVAS if heading in roster.headings]
    yield [*columns, *(_canvas_heading(name, roster.headings) for name in most)]
    blanks = [""] * (len(columns) - 1)
    yield [POINTS_POSSIBLE, *blanks, *(f"{value:g}" for value in most.values())]
    for person in roster.people:
        if person.canvas_row:
            cells = [person.canvas_row.get(heading, "") for heading in columns]
            yield [*cells, *(points.get((person.login, name), "") for name in most)]


def _canvas_heading(assignment: str, headings: Sequence[str]) -> str:
    """Return the heading that an assignment has in Canvas' export, or else its name."""
    for heading in headings:
        title = re.sub(r"\s*\(\d+\)$", "", heading)
        if squash(title) == squash(assignment):
            return heading
    return assignment


def moodle_rows(
    roster: Roster, most: Mapping[str, float], points: Mapping[tuple[str, str], str]
) -> Iterator[list[str]]:
    """Yield the rows of the CSV that Moodle imports into its gradebook.

    Moodle asks which column identifies a student (map "Email address", "ID number" or "Username"),
    and to which grade item each other column belongs (https://docs.moodle.org/en/Grade_import).
    """
    columns = [heading for heading in MOODLE if heading in roster.headings]
    yield [*columns, *most]
    for person in roster.people:
        if person.moodle_row:
            cells = [person.moodle_row.get(heading, "") for heading in columns]
            yield [*cells, *(points.get((person.login, name), "") for name in most)]


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
