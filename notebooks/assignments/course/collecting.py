"""Collect what a platform hands over: which student handed in what, and when.

`owners` says which layouts are read.
"""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from nbformat import NotebookNode

from course import environment, files, lateness, sources, submissions
from course.files import File
from course.owners import Owner, Owners, bears
from course.roster import Person, Roster
from course.submissions import Candidate, Submission

# What is handed out beside a notebook, and the receipts of nbgrader's exchange.
KNOWN_FILES = ("checks.py", "nbgrader_config.py", lateness.RECEIPT, "submission_secret.txt")

# Endings of archives that cannot be unpacked here.
OTHER_ARCHIVES = (".rar", ".7z", ".tar", ".tgz", ".gz", ".xz")

# Of a Python file that is laid beside a notebook.
LARGEST_MODULE = 1 << 20

ELSEWHERE = (
    "In Moodle this notebook of {} was handed in where {} belongs: it was graded as what it is, "
    "and Moodle takes no feedback page for it."
)
OTHER_FILES = "Other files, which were not read: "
NO_NOTEBOOK = "it is not a notebook (.ipynb)"


class Unread(NamedTuple):
    """Something that was handed in and not understood: whose, where it lies, and the reason."""

    student: str
    place: str
    reason: str


@dataclass
class Collected:
    """What a folder of submissions holds.

    Args:
        submissions: {(student, assignment): what was handed in}.
        students: Everyone who has a file or a folder there.
        numbers: {student: number in Canvas}.
        blank: {(student, assignment)} of notebooks that are as they were handed out.
        unread: What could not be read or belongs to nobody.
        notes: Lines on how the folders were understood, and on files beside the notebooks.
        waiting: {(student, assignment): why this machine could not grade it}, which grading adds.
        to_read: {(student, assignment): how many answers a person has still to read}, of all that
            are graded, which grading adds.
    """

    submissions: dict[tuple[str, str], Submission] = field(default_factory=dict)
    students: set[str] = field(default_factory=set)
    numbers: dict[str, str] = field(default_factory=dict)
    blank: set[tuple[str, str]] = field(default_factory=set)
    unread: list[Unread] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    waiting: dict[tuple[str, str], str] = field(default_factory=dict)
    to_read: dict[tuple[str, str], int] = field(default_factory=dict)


def collect(
    submitted: Path, scratch: Path, released: Mapping[str, NotebookNode], roster: Roster
) -> Collected:
    """Return what students handed in; nothing in the folder goes unmentioned.

    Args:
        submitted: A folder or a .zip archive, in one of the layouts in `owners`.
        scratch: An empty folder for what archives hold.
        released: {assignment: the notebook as it was handed out}.
        roster: The students; with an empty roster names and logins are taken as they stand.
    """
    collected = Collected()
    listing = files.list_files(submitted, scratch)
    texts = [file for file in listing.files if _is_text(file.place)]
    for place in [file.place for file in listing.files] + listing.empty:
        if not _is_text(place):
            _add_unread(collected, "", place, "the name of a folder is not text: rename it")
    candidates = [
        submissions.examine(file, released) for file in texts if submissions.is_notebook(file)
    ]
    places = [file.place for file in texts] + [*listing.unread]
    empty = [(*folder, "") for folder in listing.empty if folder and _is_text(folder)]
    owners = Owners(places + empty, candidates, list(released), roster)
    collected.notes += [("", note) for note in (*roster.notes, *owners.notes)]
    for folder in empty:
        _students(collected, folder, owners)
    for place, reason in listing.unread.items():
        for student in _students(collected, place, owners) or [""]:
            _add_unread(collected, student, place, reason)
    _assemble(collected, candidates, owners, released)
    known = _add_modules(collected, texts, owners)
    others = [file for file in texts if file.place not in known]
    _mention_others(collected, others, owners, released)
    return collected


def _is_text(place: Iterable[str]) -> bool:
    """Return whether all names of a place are text, whatever bytes the system stores."""
    try:
        "".join(place).encode()
    except UnicodeEncodeError:
        return False
    return True


def _add_unread(collected: Collected, student: str, place: Sequence[str], reason: str) -> None:
    """Note what could not be read."""
    shown = os.fsencode("/".join(part for part in place if part)).decode(errors="replace")
    line = Unread(student, shown, reason)
    if line not in collected.unread:
        collected.unread.append(line)


# --- what is whose


def _students(collected: Collected, place: tuple[str, ...], owners: Owners) -> list[str]:
    """Return the students whose a file is, several of a group, and note it if that is nobody."""
    owner = owners.of(place)
    if not owner.name and not owner.number:
        _add_unread(collected, "", place, "it lies outside any student's folder")
        return []
    people, group = owners.people(owner)
    number = owner.number.removeprefix("canvas ") if "canvas" in owner.number else ""
    if len(people) == 1 or group:
        students = [person.login for person in people]
        if number and owner.name and not group and not bears(people[0], owner.name):
            _note_group(collected, students[0], place, owner.name)
    elif owners.roster:
        _add_unread(collected, "", place, _why_nobodys(owner, people))
        return []
    else:
        # Moodle's number is another one for each assignment, Canvas' is the student's.
        names = (owner.name, number)
        students = [unicodedata.normalize("NFC", "_".join(name for name in names if name))]
    collected.students.update(students)
    if number and not group:
        collected.numbers[students[0]] = number
    return students


def _why_nobodys(owner: Owner, people: Sequence[Person]) -> str:
    """Return why a file is nobody's in the roster, and what to do about it."""
    who = " ".join(part for part in (owner.name, f"({owner.number})") if part != "()")
    if people:
        logins = " or ".join(person.login for person in people)
        return f"{who} may be {logins}: write one of these in place of the name"
    return (
        f"{who} is no student in the roster: write the name, the login or the number that stands "
        "there, or add the student to it"
    )


def _note_group(collected: Collected, student: str, place: tuple[str, ...], name: str) -> None:
    """Note that Canvas names a file with a student's number by something else than the student."""
    file = next(part for part in place if name in part)
    note = (
        f"{file} was handed in as {name!r}, with this student's number: if that is a group, the "
        "others of it have no file of their own: put Canvas' list of the group set beside the "
        "table of students, or copy the marks to them"
    )
    if (student, note) not in collected.notes:
        collected.notes.append((student, note))


def _assemble(
    collected: Collected,
    candidates: Sequence[Candidate],
    owners: Owners,
    released: Mapping[str, NotebookNode],
) -> None:
    """Sort the notebooks by students, and choose among copies."""
    by_student: dict[str, list[tuple[Candidate, Owner]]] = defaultdict(list)
    for candidate in candidates:
        place = candidate.file.place
        for student in _students(collected, place, owners):
            by_student[student].append((candidate, owners.of(place)))
    activities = owners.activities(candidates)
    for student, pairs in by_student.items():
        pairs = _without_namesakes(collected, student, pairs)
        chosen = submissions.choose([one for one, _ in pairs], released)
        for candidate in chosen.unassigned:
            _add_unread(collected, student, candidate.file.place, candidate.problem)
        collected.blank.update((student, assignment) for assignment in chosen.blank)
        owner_of = {candidate.file: owner for candidate, owner in pairs}
        for assignment, submission in chosen.submissions.items():
            owner = owner_of[submission.file]
            _, group = owners.people(owner)
            asked = activities.get(owners.download(submission.file.place), assignment)
            if submission.notebook and asked != assignment:
                submission.remarks.append(ELSEWHERE.format(assignment, asked))
            # Moodle takes no feedback for a group's folder, nor elsewhere than where it came from.
            is_taken = group != owner.name and asked == assignment
            collected.submissions[student, assignment] = replace(
                submission,
                is_late=owner.is_late,
                moodle=owner.moodle if is_taken else "",
                group=group,
                time=lateness.time_handed_in(submission.file, _time_in_roster(owner, owners)),
            )
            if submission.notebook is None:
                for remark in submission.remarks:
                    _add_unread(collected, student, submission.file.place, remark)


def _time_in_roster(owner: Owner, owners: Owners) -> str:
    """Return when Moodle's grading worksheet says that something was handed in, "" without one."""
    people, group = owners.people(owner)
    if len(people) != 1 or group == owner.name:
        return ""
    return people[0].participants.get(owner.number.removeprefix("participant "), "")


def _without_namesakes(
    collected: Collected, student: str, pairs: list[tuple[Candidate, Owner]]
) -> list[tuple[Candidate, Owner]]:
    """Return the notebooks of a student without those that two of the same name handed in."""
    numbers: dict[str, set[str]] = defaultdict(set)
    for candidate, owner in pairs:
        if owner.number:
            numbers[candidate.assignment].add(owner.number)
    kept = []
    for candidate, owner in pairs:
        if len(numbers[candidate.assignment]) < 2 or not candidate.assignment:
            kept.append((candidate, owner))
        else:
            several = ", ".join(sorted(numbers[candidate.assignment]))
            reason = (
                f"{several} have one name: tell them apart by Moodle's grading worksheet, with "
                "--students"
            )
            _add_unread(collected, student, candidate.file.place, reason)
    return kept


def _add_modules(
    collected: Collected, texts: Sequence[File], owners: Owners
) -> set[tuple[str, ...]]:
    """Add the Python files that a student handed in beside a notebook, and return their places.

    A file is refused, and that is told, if a cell would import it in place of another module.
    """
    known = set()
    beside = defaultdict(list)
    for key, submission in collected.submissions.items():
        if submission.notebook:
            beside[key[0], submission.file.place[:-1]].append(key)
    # Of two attempts the newer counts.
    for file in sorted(texts, key=lambda one: one.modified):
        name = owners.file_name(file.place)
        stem, ending = os.path.splitext(name)
        if ending != ".py" or not stem.isidentifier():
            continue
        for student in _students(collected, file.place, owners):
            for key in beside[student, file.place[:-1]]:
                known.add(file.place)
                submission = collected.submissions[key]
                collected.submissions[key] = _with_module(submission, name, file)
    for submission in collected.submissions.values():
        if submission.modules:
            names = ", ".join(sorted(submission.modules))
            submission.remarks.append(f"It was graded with what was handed in beside it: {names}.")
    return known


def _with_module(submission: Submission, name: str, file: File) -> Submission:
    """Return a submission with a Python file beside it, or with a remark that it was refused."""
    problem = _problem_of_module(name, file)
    if problem:
        submission.remarks.append(problem)
    if problem or name in KNOWN_FILES:
        return submission
    return replace(submission, modules={**submission.modules, name: file.path.read_bytes()})


def _problem_of_module(name: str, file: File) -> str:
    """Return why a Python file is not laid beside a notebook, "" if it is or need not be."""
    if name in KNOWN_FILES:
        is_changed = file.path.read_bytes() != sources.handed_out_path(name).read_bytes()
        return f"Another {name} was handed in: it was not used." if is_changed else ""
    if environment.is_taken(name.removesuffix(".py")):
        return f"{name} was not used: Python, a library or the course has a module of its name."
    if file.path.stat().st_size > LARGEST_MODULE:
        return f"{name} was not used: it is larger than {LARGEST_MODULE >> 20} MB."
    return ""


def _mention_others(
    collected: Collected,
    texts: Sequence[File],
    owners: Owners,
    released: Mapping[str, NotebookNode],
) -> None:
    """Mention the files that are no notebooks.

    Beside a student's notebook they are a note. They are unread work where there is no notebook, or
    where they are named as an assignment that the student has no notebook of.
    """
    read = {*collected.submissions, *collected.blank}
    students = {student for student, _ in read}
    beside: dict[str, list[str]] = defaultdict(list)
    for file in texts:
        name = file.place[-1]
        if submissions.is_notebook(file) or name in KNOWN_FILES:
            continue
        for student in _students(collected, file.place, owners):
            named = submissions.assignment_in_name(file.place, released)
            is_missed = named is not None and (student, named) not in read
            typed = owners.of(file.place).typed
            if name.lower().endswith(OTHER_ARCHIVES):
                reason = "it is an archive of another kind: unpack it, or make it a .zip"
                _add_unread(collected, student, file.place, reason)
            elif student not in students or is_missed:
                reason = NO_NOTEBOOK
                if typed:
                    reason = f"a {typed} was typed in, and no notebook handed in"
                _add_unread(collected, student, file.place, reason)
            else:
                beside[student].append(name)
    for student, names in beside.items():
        collected.notes.append((student, OTHER_FILES + ", ".join(names)))
