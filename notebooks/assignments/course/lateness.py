"""When work was handed in, whether that was late, and what it costs by the teacher's rule.

The rule is nbgrader's: `c.LateSubmissionPlugin.penalty_method`, or a plugin of the teacher's as
`c.AssignLatePenalties.plugin_class`, in the year's nbgrader_config.py
(https://nbgrader.readthedocs.io/en/stable/plugins/late-plugin.html). Without one nothing is lost.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from babel.dates import get_day_names, get_month_names
from dateutil import parser
from nbgrader.preprocessors import AssignLatePenalties
from nbgrader.utils import parse_utc

from course import year
from course.files import File

# A teacher's rule: the points lost, by student, points and seconds late.
Rule = Callable[[str, float, float], float | None]

RECEIPT = "timestamp.txt"
LONGEST_TIME = 100


# The languages of Moodle whose dates are read.
LANGUAGES = ("en", "de", "fr", "es")


class MoodleDates(parser.parserinfo):
    """The words in Moodle's dates, such as "Freitag, 9. Oktober 2026, 21:30"."""

    JUMP = [*parser.parserinfo.JUMP, "de", "à"]
    MONTHS = [
        (*names, *(get_month_names(locale=language)[number] for language in LANGUAGES))
        for number, names in enumerate(parser.parserinfo.MONTHS, start=1)
    ]
    WEEKDAYS = [
        (*names, *(get_day_names(locale=language)[number] for language in LANGUAGES))
        for number, names in enumerate(parser.parserinfo.WEEKDAYS)
    ]


class Late(NamedTuple):
    """How late a submission was: in words for a table ("" if it was not), and the points lost."""

    words: str = ""
    lost: float = 0


def time_handed_in(file: File, worksheet: str = "") -> str:
    """Return when a file was handed in, in ISO 8601 and UTC; "" if nobody says so.

    That is what the receipt of nbgrader's exchange says that lies beside it, or Moodle's grading
    worksheet. The time of the file itself is that of a download or a clone.

    Args:
        file: The file.
        worksheet: The time in the worksheet, in words of Moodle's and this computer's time zone.
    """
    receipt = file.path.parent / RECEIPT
    try:
        if receipt.is_file():
            text = receipt.read_text(encoding="utf-8", errors="replace")[:LONGEST_TIME]
            return parse_utc(text.strip()).isoformat()
        return _to_utc(parser.parse(worksheet, MoodleDates())).isoformat()
    except (ValueError, OverflowError):
        return ""


def parse_due(text: str) -> datetime:
    """Return a date and time, in UTC, as nbgrader stores them.

    Args:
        text: ISO 8601, such as "2026-10-09 23:59", in this computer's time zone unless it names
            another; a date alone means its end.

    Raises:
        ValueError: If the text is no date.
    """
    due = datetime.fromisoformat(text)
    if len(text) == len("2026-10-09"):
        due += timedelta(days=1)
    return _to_utc(due)


def _to_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def set_due(folder: Path, due: Mapping[str, datetime]) -> None:
    """Write when assignments are due into the gradebook, where Formgrader shows it, too."""
    with year.open_gradebook(folder) as book:
        for assignment, moment in due.items():
            book.update_or_create_assignment(assignment, duedate=moment)


def penalty(folder: Path) -> Rule:
    """Return the teacher's rule, as the settings of a year's folder name it."""
    step = AssignLatePenalties(config=year.nbgrader_api(folder).config)
    step.init_plugin()
    return step.plugin_inst.late_submission_penalty


def judge(
    student: str,
    points: float,
    record: Mapping,
    due: datetime | None,
    rule: Rule,
) -> Late:
    """Return how late a submission was, and what that costs.

    A platform that marks work as late says no time: the rule is then asked for a second.

    Args:
        student: The student's login.
        points: The points of the submission.
        record: What is recorded of it, with "time" and "is_late".
        due: When it was due, in UTC; None if that is not known.
        rule: The teacher's rule, of `penalty`.
    """
    time = record.get("time")
    seconds = 0.0
    if time and due:
        seconds = max(0.0, (datetime.fromisoformat(time) - due).total_seconds())
    words = f"{seconds / 3600:.1f} hours" if seconds else ""
    if record.get("is_late") and not seconds:
        seconds = 1.0
        words = "late"
    if not seconds:
        return Late()
    lost = rule(student, points, seconds) or 0.0
    return Late(words, min(max(lost, 0.0), points))
