"""Grade what students hand in, each submission in a process with limits.

Whatever happens there ends as a line in a student's feedback.
"""

import hashlib
import itertools
import json
import secrets
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from threading import Timer

import nbformat
from nbformat import NotebookNode
from tqdm import tqdm

from camkit._files import write_whole
from course import (
    bench,
    feedback,
    gradebook,
    isolation,
    lateness,
    returns,
    similarity,
    sources,
    tables,
    year,
)
from course.collecting import OTHER_FILES, Collected, collect
from course.explanations import explain_outputs
from course.files import File
from course.gradebook import Score
from course.lateness import Late
from course.marks import mark
from course.roster import Roster, recognise
from course.submissions import SECONDS_APART, Submission
from course.tables import Result

NOTHING = "Nothing was handed in."
BLANK = "The notebook was handed in as it was handed out: it has not been begun."
CHANGED = "An answer has changed since a person gave it points: read it again in Formgrader."
OLDER = "{} is older than the notebook that was graded before. {}"
LATER = "It could not be graded: {}. It waits, and the next call grades it."
NO_TIME = "Nobody says when it was handed in: it counts as on time."
NO_FOLDER = "Moodle has given no file of it: the page is in feedback/ alone, so send it yourself."
NO_IDENTIFIER = (
    "The marks are not in moodle-marks/, since no table of students has the e-mail address or ID "
    "number that the others have: add it, or enter the marks in Moodle."
)
EARLIER = "The notebook of {} that was handed in earlier counts."
# After so many seconds it is told which submission is being graded.
LONG = 30

# What may be so for most of a class.
OF_SEVERAL = (NOTHING, NO_TIME, NO_FOLDER)
LONGEST_RECEIPT = 1000


@dataclass(frozen=True)
class Job:
    """One submission to grade into a year's folder, and the teacher's rule on lateness."""

    folder: Path
    assignment: str
    student: str
    released: NotebookNode
    submission: Submission
    rule: lateness.Rule
    tests: str
    again: bool


@dataclass
class Outcome:
    """What came of a job.

    Args:
        fault: Why it could not be graded, "" if it could: the machine is at fault, no student.
        changes: Rows of changes.csv.
        is_new: Whether it was graded now, and not before.
    """

    fault: str = ""
    changes: list[tuple[str, ...]] = field(default_factory=list)
    is_new: bool = False


class MachineFault(RuntimeError):
    """A submission could not be graded, and no student is at fault; the message says why."""


def grade(
    folder: Path,
    submitted: Path,
    workers: int = 2,
    *,
    roster: Roster | None = None,
    due: Mapping[str, datetime] | None = None,
    again: bool = False,
) -> Collected:
    """Grade what students handed in, into gradebook.db, feedback/ and tables.

    What has been graded stays so: a run that was stopped goes on, and what was graded from another
    folder keeps its rows. A submission is graded anew if it changed, or the tests did (the source
    with its hidden tests, checks.py, the settings of Execute); changes.csv says what that changed.
    What waits or has other tests by now is graded even if `submitted` lacks it, from what was kept
    when it was handed in. A second process waits for the first.

    Args:
        folder: The year's folder, with a gradebook and release/.
        submitted: A folder or a .zip archive, as `collecting` reads it.
        workers: Submissions that are graded at once.
        roster: The students; without one names and logins are taken as they stand.
        due: {assignment: when it is due, in UTC}, of those for which that is new.
        again: Whether to grade anew what was graded and has not changed, of all students.

    Returns:
        What was found in `submitted`, what could not be read, and what waits to be graded.

    Raises:
        RosterError: If rows of the roster contradict what the year knows of its students.
        OSError: If the disk is full or cannot be written to; nothing is lost.
    """
    folder = Path(folder).resolve()
    roster = roster or Roster()
    with year.exclusive(folder), tempfile.TemporaryDirectory() as scratch:
        released = _released_notebooks(folder)
        lateness.set_due(folder, due or {})
        rule = lateness.penalty(folder)
        tests = {assignment: _digest_of_tests(folder, assignment) for assignment in released}
        recognise(roster, gradebook.known_students(folder))
        collected = collect(Path(submitted), Path(scratch), released, roster)
        gradebook.enrol(folder, roster.people, collected.numbers)
        kept = _kept_submissions(folder, released)
        logins = {person.login for person in roster.people}
        unread = _unread_so_far(folder, released, logins, kept, collected)
        handed_in = _what_counts(kept, collected)
        jobs = [
            Job(
                folder,
                assignment,
                student,
                released[assignment],
                submission,
                rule,
                tests[assignment],
                again,
            )
            for (student, assignment), submission in handed_in.items()
        ]
        outcomes = _grade_all(jobs, workers)
        for job, outcome in zip(jobs, outcomes, strict=True):
            if outcome.fault:
                collected.waiting[job.student, job.assignment] = outcome.fault
            else:
                _hand_back(job)
        _write_changes(folder, outcomes)
        _write_tables(folder, list(released), roster, collected, rule, unread)
        groups = {key: submission.group for key, submission in handed_in.items()}
        pairs = similarity.rows(folder, released, groups)
        tables.write_csv(folder / "similarity.csv", pairs, tables.FOR_EXCEL)
    return collected


def _released_notebooks(folder: Path) -> dict[str, NotebookNode]:
    """Return {assignment: the notebook as it was handed out} of a year."""
    paths = sorted((folder / "release").glob("*/*.ipynb"))
    return {path.stem: nbformat.read(path, as_version=4) for path in paths}


def _kept_submissions(
    folder: Path, released: Mapping[str, NotebookNode]
) -> dict[tuple[str, str], Submission]:
    """Return {(student, assignment): what was handed in last, to any call}.

    It is kept as the tidied notebook, unless no file was one, and as a file of all else, which
    years that were graded by an earlier version lack.
    """
    kept = {}
    for assignment in released:
        paths = [*year.kept_paths(folder, assignment), *year.tidied_paths(folder, assignment)]
        for student in {path.relative_to(folder).parts[1] for path in paths}:
            tidied = year.tidied_path(folder, assignment, student)
            notebook = nbformat.read(tidied, as_version=4) if tidied.exists() else None
            about = year.kept_path(folder, assignment, student)
            content = json.loads(about.read_bytes()) if about.exists() else {}
            kept[student, assignment] = Submission(
                notebook,
                content.get("remarks", []),
                File((student, assignment, tidied.name), tidied, content.get("modified", 0)),
                is_late=content.get("is_late"),
                moodle=content.get("moodle", ""),
                time=content.get("time", ""),
                group=content.get("group", ""),
                modules={
                    path.name: path.read_bytes()
                    for path in year.module_paths(folder, assignment, student)
                },
            )
    return kept


def _what_counts(
    kept: Mapping[tuple[str, str], Submission], collected: Collected
) -> dict[tuple[str, str], Submission]:
    """Return what counts of each student: what was handed in now, or else to an earlier call.

    A file that is no notebook, or one without an answer, displaces no notebook, nor does an older
    notebook, and that is told. Moodle names its folder once and again: a notebook that came by mail
    goes back there, too.
    """
    counts = dict(kept)
    for key, submission in collected.submissions.items():
        earlier = kept.get(key)
        if earlier:
            moodle = submission.moodle or earlier.moodle
            if not submission.notebook and earlier.notebook:
                _tell_that_earlier_counts(collected, key, submission)
                submission = earlier
            elif earlier.notebook and _is_older(submission, earlier):
                if _sources(submission) != _sources(earlier):
                    name = submission.file.place[-1]
                    line = OLDER.format(name, EARLIER.format(key[1]))
                    collected.notes.append((key[0], line))
                submission = earlier
            submission = replace(submission, moodle=moodle)
        counts[key] = submission
    for student, assignment in collected.blank:
        if (student, assignment) in kept:
            line = f"A notebook was handed in as it was handed out. {EARLIER.format(assignment)}"
            collected.notes.append((student, line))
    return counts


def _is_older(submission: Submission, earlier: Submission) -> bool:
    """Return whether a notebook is older than one that was handed in to an earlier call.

    The platform's times decide, or else those of the files. Where neither tell, it is not.
    """
    times = submission.time, earlier.time
    if all(times) and times[0] != times[1]:
        return times[0] < times[1]
    changed, changed_earlier = submission.file.modified, earlier.file.modified
    return changed < changed_earlier - SECONDS_APART


def _sources(submission: Submission) -> list[str]:
    """Return the sources of a notebook's cells."""
    return [cell.source for cell in submission.notebook.cells]


def _tell_that_earlier_counts(
    collected: Collected, key: tuple[str, str], submission: Submission
) -> None:
    """Say, of the files of a student that are no notebook, that an earlier one counts."""
    student, assignment = key
    for number, line in enumerate(collected.unread):
        if line.student == student and line.reason in submission.remarks:
            reason = f"{line.reason} {EARLIER.format(assignment)}"
            collected.unread[number] = line._replace(reason=reason)


def _keep(job: Job) -> None:
    """Keep what was handed in for later calls, whether or not it can be graded now."""
    submission = job.submission
    tidied = year.tidied_path(job.folder, job.assignment, job.student)
    if submission.notebook:
        _write_if_new(tidied, nbformat.writes(submission.notebook).encode())
        for path in year.module_paths(job.folder, job.assignment, job.student):
            if path.name not in submission.modules:
                path.unlink()
        for name, content in submission.modules.items():
            _write_if_new(tidied.with_name(name), content)
    content = {
        "remarks": submission.remarks,
        "is_late": submission.is_late,
        "moodle": submission.moodle,
        "time": submission.time,
        "group": submission.group,
        "modified": submission.file.modified,
    }
    path = year.kept_path(job.folder, job.assignment, job.student)
    _write_if_new(path, json.dumps(content).encode())


def _write_if_new(path: Path, data: bytes) -> None:
    """Write a file, with its folder, unless it holds this already."""
    if not path.exists() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)


def _grade_all(jobs: list[Job], workers: int) -> list[Outcome]:
    """Grade submissions, some at once, with a progress bar and a line for each that is graded."""
    done = itertools.count(1)
    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(total=len(jobs), unit="submission", disable=None) as bar,
    ):

        def grade_and_tell(job: Job) -> Outcome:
            with _told_if_long(job):
                outcome = _grade_if_changed(job)
            bar.update()
            number = next(done)
            if outcome.is_new:
                _tell(f"{number} of {len(jobs)}: {job.student}: {job.assignment}: graded")
            return outcome

        return list(pool.map(grade_and_tell, jobs))


def _tell(line: str) -> None:
    """Print a line above the progress bar."""
    tqdm.write(line, file=sys.stderr)


@contextmanager
def _told_if_long(job: Job) -> Iterator[None]:
    """Context manager: if it takes long, say which submission is being graded."""
    line = f"{job.student}: {job.assignment}: is still being graded after {LONG:g} seconds"
    timer = Timer(LONG, _tell, [line])
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _grade_if_changed(job: Job) -> Outcome:
    """Grade a submission that has changed since it was graded, and write its feedback.

    The feedback is written anew, too, where a person has changed points or comments.
    """
    old = _read_record(job.folder, job.assignment, job.student)
    digest = _digest(job)
    reason = _why_again(job, old, digest)
    told = old.get("told", [])
    _keep(job)
    if reason:
        try:
            told = _grade_now(job)
        except MachineFault as error:
            return Outcome(str(error))
    scores = gradebook.scores(job.folder, job.assignment, job.student)
    record = {
        "digest": digest,
        "tests": job.tests,
        "told": told,
        "points": {cell: list(score) for cell, score in scores.items()},
        "time": job.submission.time,
        "is_late": job.submission.is_late,
        "moodle": job.submission.moodle,
    }
    with year.open_gradebook(job.folder) as book:
        due = book.find_assignment(job.assignment).duedate
        submission = book.find_submission(job.assignment, job.student)
        points = submission.score
        # By the time that its receipt names, Formgrader knows that a submission is graded.
        time = datetime.fromisoformat(job.submission.time) if job.submission.time else None
        if submission.timestamp != time:
            submission.timestamp = time
            book.db.commit()
    late = lateness.judge(job.student, points, record, due, job.rule)
    record["late"] = list(late)
    outcome = Outcome(is_new=bool(reason))
    if old:
        outcome.changes = _changes(job, old["points"], scores, reason)
    if record == old:
        return outcome
    remarks = [*told, *_remarks_on_time(late)]
    feedback.write(job.folder, job.assignment, job.student, job.released, scores, remarks)
    path = year.record_path(job.folder, job.assignment, job.student)
    _write_if_new(path, json.dumps(record).encode())
    return outcome


def _why_again(job: Job, old: Mapping, digest: str) -> str:
    """Return why a submission is to be graded, "" if it was graded and nothing has changed."""
    if old.get("digest") != digest:
        return "another notebook"
    if old.get("tests") != job.tests:
        return "other tests"
    return "graded again" if job.again else ""


def _changes(
    job: Job, old: Mapping[str, list], new: Mapping[str, Score], reason: str
) -> list[tuple[str, ...]]:
    """Return the rows of changes.csv on the steps whose points are others than before.

    Args:
        job: The submission.
        old: {cell: what is recorded of its score}.
        new: {cell: its score}.
        reason: Why it was graded now; "" if it was not, and a person has changed points.
    """
    rows = []
    for cell, score in new.items():
        before = Score(*old[cell]) if cell in old else Score(None, score.most, "")
        if score.points != before.points:
            values = (before.points, score.points)
            shown = ["by hand" if value is None else f"{value:g}" for value in values]
            is_by_hand = score.by_hand or before.by_hand
            because = reason if reason and not is_by_hand else "read by hand"
            rows.append((job.student, job.assignment, cell, *shown, because))
    return rows


def _write_changes(folder: Path, outcomes: list[Outcome]) -> None:
    """Add to changes.csv what this call has changed."""
    path = folder / "changes.csv"
    today = f"{datetime.now():%Y-%m-%d %H:%M}"
    rows = sorted((*row, today) for outcome in outcomes for row in outcome.changes)
    if rows:
        earlier = tables.read_csv(path)[1:]
        tables.write_csv(path, [tables.CHANGE_COLUMNS, *earlier, *rows])


def _remarks_on_time(late: Late) -> list[str]:
    """Return the line on a late submission."""
    if not late.words:
        return []
    words = "late" if late.words == "late" else f"{late.words} late"
    cost = f": {late.lost:g} points are taken off" if late.lost else ""
    return [f"It was handed in {words}{cost}."]


def _digest(job: Job) -> str:
    """Return a checksum of what was handed in, and out."""
    notebook = job.submission.notebook
    text = json.dumps(notebook, sort_keys=True) if notebook else ""
    content = f"{text}{nbformat.writes(job.released)}{job.submission.remarks}"
    if job.submission.modules:
        content += str(sorted(job.submission.modules.items()))
    return hashlib.sha256(content.encode()).hexdigest()


def _digest_of_tests(folder: Path, assignment: str) -> str:
    """Return a checksum of what decides on the points of an answer."""
    source = year.source_folder(folder, assignment) / f"{assignment}.ipynb"
    settings = year.nbgrader_api(folder).config.Execute
    parts = [
        source.read_bytes() if source.exists() else b"",
        sources.checks_path().read_bytes(),
        Path(bench.__file__).read_bytes(),
        json.dumps(settings, sort_keys=True, default=repr).encode(),
    ]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def _grade_now(job: Job) -> list[str]:
    """Grade a submission into the gradebook and return all remarks on it.

    Raises:
        MachineFault: If it could not be graded; its points are as they were.
    """
    notebook = job.submission.notebook
    remarks = job.submission.remarks
    if not notebook:
        # A full disk is nobody's mistake: it raises here, before any points are written.
        year.check_disk(job.folder)
        gradebook.give_zero(job.folder, job.assignment, job.student)
        return [*remarks, "It cannot be graded. That is 0 points."]
    whose = (job.folder, job.assignment, job.student)
    executed = year.autograded_path(*whose)
    read = gradebook.read_cells(*whose)
    before = _answers_to_cells(executed) if read and executed.exists() else {}
    fault = isolation.grade_one(*whose)
    if fault:
        year.check_disk(job.folder)
        raise MachineFault(fault)
    if before:
        after = _answers_to_cells(executed)
        unchanged = {cell for cell in read if before.get(cell) == after.get(cell)}
        gradebook.mark_as_read(*whose, unchanged)
    return remarks + explain_outputs(nbformat.read(executed, as_version=4))


def _answers_to_cells(path: Path) -> dict[str, str]:
    """Return {graded cell: the student's answer, in it or above it} of a graded notebook."""
    answers = {}
    answer = ""
    for cell in nbformat.read(path, as_version=4).cells:
        if mark(cell).get("solution"):
            answer = cell.source
        if mark(cell).get("grade"):
            answers[mark(cell)["grade_id"]] = answer
    return answers


def _read_record(folder: Path, assignment: str, student: str) -> dict:
    """Return what is recorded of a graded submission, {} of one that has not been graded.

    "digest" is its checksum, "told" the remarks for its author, "points" those of each cell, "time"
    and "is_late" what the platform says, "late" what follows, "moodle" the name of Moodle's folder.
    """
    path = year.record_path(folder, assignment, student)
    if not path.exists():
        return {}
    return json.loads(path.read_text(encoding="utf-8"))


def _hand_back(job: Job) -> None:
    """Put the receipt of nbgrader's exchange beside a feedback page: release_feedback needs it.

    A submission that did not come through the exchange gets a dummy receipt; without one,
    release_feedback stops for everybody.
    """
    submission = job.submission.file.path.parent
    page_folder = year.feedback_path(job.folder, job.assignment, job.student).parent
    dummies = {
        lateness.RECEIPT: b"",
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
    roster: Roster,
    collected: Collected,
    rule: lateness.Rule,
    unread: list[tuple[str, str, str]],
) -> None:
    """Write all tables, and what goes back to a platform, for everyone in the gradebook."""
    with year.open_gradebook(folder) as book:
        due = {name: book.find_assignment(name).duedate for name in assignments}
        waiting = {student for student, _ in collected.waiting}
        known = {person.id for person in book.students}
        everyone = sorted(known | waiting | collected.students)
        records = {
            (student, assignment): _read_record(folder, assignment, student)
            for student in everyone
            for assignment in assignments
        }
        results = {}
        for (student, assignment), record in records.items():
            if record:
                points = book.find_submission(assignment, student).score
                # When the work is due may have changed since it was graded.
                late = lateness.judge(student, points, record, due[assignment], rule)
                record["late"] = late
                to_read = sum(score.is_to_be_read for score in _scores(record))
                collected.to_read[student, assignment] = to_read
                shown = str(to_read or "")
                results[student, assignment] = Result(f"{points - late.lost:g}", late.words, shown)
        rows = tables.grade_rows(book, everyone, assignments, results)
        tables.write_csv(folder / "grades.csv", rows, tables.FOR_EXCEL)
        begun = {assignment for _, assignment in results}
        most = {name: book.find_assignment(name).max_score for name in assignments if name in begun}
    # A platform shows its students every mark as final.
    points = {key: result.points for key, result in results.items() if not result.to_read}
    for student in returns.write_marks(folder, roster, most, points):
        collected.notes.append((student, NO_IDENTIFIER))
    remarks = sorted({*_remarks_on_files(collected), *unread})
    for assignment in begun:
        graded = {
            student: record
            for (student, name), record in records.items()
            if name == assignment and record
        }
        starts = {
            student: record["moodle"] for student, record in graded.items() if record.get("moodle")
        }
        if starts:
            returns.write_moodle_feedback(folder, assignment, starts)
            # What Canvas has marked as late or not goes back through Canvas.
            remarks += [
                (student, assignment, NO_FOLDER)
                for student, record in graded.items()
                if student not in starts and record.get("is_late") is None
            ]
    for (student, assignment), record in records.items():
        # Of an assignment that nobody has handed in yet there is nothing to remark.
        waits = collected.waiting.get((student, assignment))
        if waits:
            remarks.append((student, assignment, LATER.format(waits)))
        if assignment in begun and (record or not waits):
            is_blank = not record and (student, assignment) in collected.blank
            lines = [BLANK] if is_blank else remarks_on(record, due[assignment])
            remarks += [(student, assignment, line) for line in lines]
    rows = [tables.REMARK_COLUMNS, *sorted(_once(remarks))]
    tables.write_csv(folder / "remarks.csv", rows, tables.FOR_EXCEL)


def _once(remarks: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Return rows of remarks in which one fact about several students is one row."""
    students = defaultdict(list)
    for student, assignment, line in remarks:
        if line in OF_SEVERAL:
            students[assignment, line].append(student)
    rows = [row for row in remarks if row[2] not in OF_SEVERAL]
    for (assignment, line), names in students.items():
        if len(names) == 1:
            rows.append((names[0], assignment, line))
        else:
            rows.append(
                ("", assignment, f"{line} This concerns {len(names)} students: {', '.join(names)}.")
            )
    return rows


def _remarks_on_files(collected: Collected) -> list[tuple[str, str, str]]:
    """Return the rows of remarks on files that are no assignment's."""
    remarks = [(student, "", line) for student, line in collected.notes]
    # What stands in for a notebook is remarked with its assignment.
    told = {line for handed_in in collected.submissions.values() for line in handed_in.remarks}
    for line in collected.unread:
        if line.reason not in told:
            remarks.append((line.student, "", f"{line.place}: {line.reason}"))
    return remarks


def _unread_so_far(
    folder: Path,
    released: Mapping[str, NotebookNode],
    logins: set[str],
    kept: Mapping[tuple[str, str], Submission],
    collected: Collected,
) -> list[tuple[str, str, str]]:
    """Return the rows of remarks on files that could not be read, in this call or an earlier one.

    They stay until the student hands in another notebook: one of the assignment that the file is
    named as, or of the only one that had come when the file came, or else any.
    """
    new = {
        key
        for key, submission in collected.submissions.items()
        if submission.notebook
        and not (key in kept and kept[key].notebook and _sources(kept[key]) == _sources(submission))
    }
    path = year.unread_path(folder)
    rows = []
    for student, assignment, line in json.loads(path.read_bytes()) if path.exists() else []:
        is_replaced = any(who == student and assignment in ("", name) for who, name in new)
        if not is_replaced and (not logins or student in logins):
            rows.append((student, assignment, line))
    assignments = {assignment for _, assignment in collected.submissions}
    only = min(assignments) if len(assignments) == 1 else ""
    lines = {(row[0], row[2]) for row in rows}
    notes = [note for note in collected.notes if not note[1].startswith(OTHER_FILES)]
    for student, _, line in _remarks_on_files(collected):
        if student and (student, line) not in notes and (student, line) not in lines:
            named = (name for name in released if name in line)
            rows.append((student, next(named, only), line))
    _write_if_new(path, json.dumps(rows, ensure_ascii=False).encode())
    return [(student, "", line) for student, _, line in rows]


def remarks_on(record: Mapping, due: datetime | None) -> list[str]:
    """Return a line on each thing that the teacher should know of a submission."""
    if not record:
        return [NOTHING]
    lines = record["told"] + _remarks_on_time(record["late"])
    if due and not record.get("time") and record.get("is_late") is None:
        lines.append(NO_TIME)
    # What nobody has read yet is a column of grades.csv and a number at the end of `make grade`.
    if any(score.is_to_be_read and score.points is not None for score in _scores(record)):
        lines.append(CHANGED)
    return lines


def _scores(record: Mapping) -> list[Score]:
    """Return the scores in the record of a graded submission."""
    scores = [Score(*score) for score in record["points"].values()]
    # A record that an earlier version wrote does not say what is to be read.
    return [
        score._replace(is_to_be_read=score.is_to_be_read or score.points is None)
        for score in scores
    ]
