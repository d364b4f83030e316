"""Collect what a platform hands over: which student handed in what, and when.

Read are, as folders and as .zip archives:

- Moodle's "Download all submissions", in folders FULLNAME_NUMBER_assignsubmission_file (with a "_"
  at the end before Moodle 4.1), or in one folder, where the file's name follows after a "_"
  (`mod/assign/classes/downloader.php` of Moodle). The number is another one for each assignment.
- Canvas' "Download Submissions": NAME_LATE_USER_FILE_FILENAME, where NAME is the sortable name in
  small letters without spaces and signs, LATE stands on late ones only, and a "-1" before the
  file's ending on the second attempt (`lib/content_zipper.rb` of Canvas).
- GitHub Classroom's clones: ASSIGNMENT-LOGIN, in a folder ASSIGNMENT-submissions if
  `gh classroom clone student-repos` made them.
- nbgrader's submitted/STUDENT/ASSIGNMENT/, with timestamp.txt, and any folders named by students,
  sorted by assignment or not; a flat folder of files named by students; one folder too many.
"""

import functools
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from nbformat import NotebookNode

from course import files, lateness, submissions
from course.files import File
from course.roster import Roster
from course.submissions import Candidate, Submission

MOODLE = re.compile(
    r"(?P<name>.+?)_(?P<number>\d+)_assignsubmission_(?P<kind>[a-z]+)(?:_(?P<rest>.*))?"
)
CANVAS = re.compile(
    r"(?:(?P<name>.+?)_)??(?P<late>LATE_)?(?P<number>\d+|anon_[^_]+)_(?P<file>\d+)_(?P<rest>.+)"
)
CLASSROOM = "-submissions"

# What is handed out beside a notebook, and the receipts of nbgrader's exchange.
KNOWN_FILES = ("checks.py", "nbgrader_config.py", lateness.RECEIPT, "submission_secret.txt")

# Endings of archives that cannot be unpacked here.
OTHER_ARCHIVES = (".rar", ".7z", ".tar", ".tgz", ".gz", ".xz")


class Owner(NamedTuple):
    """Who handed a file in, as its place says.

    Args:
        name: A login or a name; it is "" if the place names nobody.
        number: "canvas 12345" or "participant 12345"; "" if the place has none.
        is_late: Whether the platform marked it as late; None if it marks nothing.
        moodle: The beginning of Moodle's folder, FULLNAME_NUMBER.
    """

    name: str
    number: str = ""
    is_late: bool | None = None
    moodle: str = ""


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
    """

    submissions: dict[tuple[str, str], Submission] = field(default_factory=dict)
    students: set[str] = field(default_factory=set)
    numbers: dict[str, str] = field(default_factory=dict)
    blank: set[tuple[str, str]] = field(default_factory=set)
    unread: list[Unread] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)


def collect(
    submitted: Path, scratch: Path, released: Mapping[str, NotebookNode], roster: Roster
) -> Collected:
    """Return what students handed in; nothing in the folder goes unmentioned.

    Args:
        submitted: A folder or a .zip archive, in one of the layouts above.
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
    owners = _Owners(places + empty, candidates, list(released), roster)
    if owners.note:
        collected.notes.append(("", owners.note))
    for folder in empty:
        _student(collected, folder, owners)
    for place, reason in listing.unread.items():
        student = _student(collected, place, owners)
        _add_unread(collected, student, place, reason)
    _assemble(collected, candidates, owners, released)
    _mention_others(collected, texts, owners, released)
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


# --- whose a file is


class _Owners:
    """Whose each file is, by its place and those of all others."""

    def __init__(
        self,
        places: Sequence[tuple[str, ...]],
        candidates: Sequence[Candidate],
        assignments: Collection[str],
        roster: Roster,
    ) -> None:
        self.assignments = assignments
        self.roster = roster
        # Each of a student's files asks for the same names, and the roster compares all people.
        self.find = functools.cache(roster.find)
        self.note = ""
        self.canvas_folders = _canvas_folders(places)
        plain = [place for place in places if self._by_platform(place) is None]
        self.level = self._level_of_students(plain, candidates)
        self.has_folders = any(len(self._folders(place)) > self.level for place in plain)

    def of(self, place: tuple[str, ...]) -> Owner:
        """Return who handed in the file at a place."""
        owner = self._by_platform(place)
        if owner:
            return owner
        folders = self._folders(place)
        stem = _without_assignment(_stem(place[-1]), self.assignments)
        for name in (*folders, stem):
            if self.find(name=name):
                return Owner(name)
        if len(folders) > self.level:
            return Owner(folders[self.level])
        # In a flat folder the files are named by students.
        return Owner("" if self.has_folders else stem)

    def _by_platform(self, place: tuple[str, ...]) -> Owner | None:
        """Return the owner whom a name of Moodle's or Canvas' tells, None if there is no such."""
        for depth, part in enumerate(place):
            found = MOODLE.fullmatch(part)
            if found:
                number = f"participant {found['number']}"
                return Owner(found["name"], number, moodle=f"{found['name']}_{found['number']}")
            found = CANVAS.fullmatch(part)
            if found and place[:depth] in self.canvas_folders:
                number = f"canvas {found['number']}"
                return Owner(found["name"] or "", number, is_late=bool(found["late"]))
        return None

    def _folders(self, place: tuple[str, ...]) -> list[str]:
        """Return the folders of a place (and archives, without .zip) that can name a student."""
        folders = []
        slug = ""
        for part in place[:-1]:
            name = _stem(part)
            if slug and name.startswith(f"{slug}-"):
                name = name.removeprefix(f"{slug}-")
            if name.endswith(CLASSROOM):
                slug = name.removesuffix(CLASSROOM)
                continue
            name = _without_assignment(name, self.assignments)
            if name:
                folders.append(name)
        if files.is_archive(place[-1]):
            folders.append(_stem(place[-1]))
        return folders

    def _level_of_students(
        self, places: Sequence[tuple[str, ...]], candidates: Sequence[Candidate]
    ) -> int:
        """Return how many folders stand above those of the students.

        A student hands in an assignment in one folder. Where most folders hold one assignment in
        several folders, the students' are those below.
        """
        own = set(places)
        plain = [candidate for candidate in candidates if candidate.file.place in own]
        level = 0
        while True:
            below: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
            for candidate in plain:
                folders = self._folders(candidate.file.place)
                if candidate.assignment and len(folders) > level + 1:
                    inner = "/".join(folders[level + 1 :])
                    below[folders[level]][candidate.assignment].add(inner)
                elif candidate.assignment and len(folders) > level:
                    # The notebook lies in the folder itself, which is no sign of anything.
                    below[folders[level]].setdefault(candidate.assignment, set())
            crowded = [
                name
                for name, folders_of in below.items()
                if any(len(inner) > 1 for inner in folders_of.values())
            ]
            if 2 * len(crowded) <= len(below):
                return level
            level += 1
            self.note = f"The folders in {', '.join(sorted(crowded))} were taken for the students'."


def _canvas_folders(places: Sequence[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """Return the folders in which all that is there is named as Canvas names submissions.

    A single such name in a folder may be a student's own choice, but not at the top.
    """
    names: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for place in places:
        for depth, part in enumerate(place):
            names[place[:depth]].add(part)
    folders = set()
    for folder, parts in names.items():
        found = [CANVAS.fullmatch(part) for part in parts]
        numbers = {match["number"] for match in found if match}
        if all(found) and (not folder or len(numbers) > 1):
            folders.add(folder)
    return folders


def _stem(name: str) -> str:
    """Return the name of a file without endings, and without what browsers add to a copy."""
    stem = re.sub(r"(\.ipynb|\.zip|\.json|\.txt)+$", "", name, flags=re.I)
    stem = re.sub(r"\s*\(\d+\)$", "", stem)
    return unicodedata.normalize("NFC", stem)


def _without_assignment(name: str, assignments: Collection[str]) -> str:
    """Return what is left of a name without an assignment at its beginning or end."""
    for assignment in assignments:
        rest = re.sub(rf"^{re.escape(assignment)}([-_ ]+|$)", "", name, flags=re.I)
        rest = re.sub(rf"[-_ ]+{re.escape(assignment)}$", "", rest, flags=re.I)
        if rest != name:
            return rest
    return name


# --- what is whose


def _student(collected: Collected, place: tuple[str, ...], owners: _Owners) -> str:
    """Return the student whose a file is, and note it if that is nobody: then it is ""."""
    owner = owners.of(place)
    if not owner.name and not owner.number:
        _add_unread(collected, "", place, "it lies outside any student's folder")
        return ""
    person = owners.find(name=owner.name, number=owner.number)
    number = owner.number.removeprefix("canvas ") if "canvas" in owner.number else ""
    if person:
        student = person.login
    elif owners.roster:
        who = " ".join(part for part in (owner.name, f"({owner.number})") if part != "()")
        _add_unread(collected, "", place, f"{who} is no student, or several, in the roster")
        return ""
    else:
        # Moodle's number is another one for each assignment, Canvas' is the student's.
        names = (owner.name, number)
        student = unicodedata.normalize("NFC", "_".join(name for name in names if name))
    collected.students.add(student)
    if number:
        collected.numbers[student] = number
    return student


def _assemble(
    collected: Collected,
    candidates: Sequence[Candidate],
    owners: _Owners,
    released: Mapping[str, NotebookNode],
) -> None:
    """Sort the notebooks by students, and choose among copies."""
    by_student: dict[str, list[tuple[Candidate, Owner]]] = defaultdict(list)
    for candidate in candidates:
        place = candidate.file.place
        student = _student(collected, place, owners)
        if student:
            by_student[student].append((candidate, owners.of(place)))
    for student, pairs in by_student.items():
        pairs = _without_namesakes(collected, student, pairs)
        chosen = submissions.choose([one for one, _ in pairs], released)
        for candidate in chosen.unassigned:
            _add_unread(collected, student, candidate.file.place, candidate.problem)
        collected.blank.update((student, assignment) for assignment in chosen.blank)
        owner_of = {candidate.file: owner for candidate, owner in pairs}
        for assignment, submission in chosen.submissions.items():
            owner = owner_of[submission.file]
            collected.submissions[student, assignment] = replace(
                submission,
                is_late=owner.is_late,
                moodle=owner.moodle,
                time=lateness.time_handed_in(submission.file, _time_in_roster(owner, owners)),
            )
            if submission.notebook is None:
                for remark in submission.remarks:
                    _add_unread(collected, student, submission.file.place, remark)


def _time_in_roster(owner: Owner, owners: _Owners) -> str:
    """Return when Moodle's grading worksheet says that something was handed in, "" without one."""
    person = owners.find(number=owner.number) if owner.number else None
    if not person:
        return ""
    return person.participants.get(owner.number.removeprefix("participant "), "")


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


def _mention_others(
    collected: Collected,
    texts: Sequence[File],
    owners: _Owners,
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
        student = _student(collected, file.place, owners)
        if not student:
            continue
        named = submissions.assignment_in_name(file.place, released)
        is_missed = named is not None and (student, named) not in read
        if name.lower().endswith(OTHER_ARCHIVES):
            reason = "it is an archive of another kind: unpack it, or make it a .zip"
            _add_unread(collected, student, file.place, reason)
        elif student not in students or is_missed:
            _add_unread(collected, student, file.place, "it is not a notebook (.ipynb)")
        else:
            beside[student].append(name)
    for student, names in beside.items():
        collected.notes.append((student, f"Other files, which were not read: {', '.join(names)}"))
