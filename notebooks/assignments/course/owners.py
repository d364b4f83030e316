"""Tell by its place whose a file is.

Read are, as folders and as .zip archives:

- Moodle's "Download all submissions", in folders FULLNAME_NUMBER_assignsubmission_file (with a "_"
  at the end before Moodle 4.1), or in one folder, where the file's name follows after a "_"
  (`mod/assign/classes/downloader.php` of Moodle). The number is another one for each assignment.
- Canvas' "Download Submissions": NAME_LATE_USER_FILE_FILENAME, where NAME is the sortable name in
  small letters without spaces and signs, LATE stands on late ones only, and a "-1" before the
  file's ending on the second attempt; NAME_LATE_USER_text.html for a text that was typed in, and
  the name of a group with the USER of one of its students (`lib/content_zipper.rb` of Canvas).
- Groups of Moodle: GROUP-FULLNAME for each of its students before Moodle 4.1, and then one folder
  GROUP_NUMBER_assignsubmission_file, where the number is the group's.
- GitHub Classroom's clones: ASSIGNMENT-LOGIN, in a folder ASSIGNMENT-submissions if
  `gh classroom clone student-repos` made them.
- nbgrader's submitted/STUDENT/ASSIGNMENT/, with timestamp.txt, and any folders named by students,
  sorted by assignment or not; folders of files named by students; one folder too many; and all of
  these side by side.
"""

import functools
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from course import files
from course.roster import ATTEMPT, Person, Roster, squash, words
from course.submissions import Candidate

MOODLE = re.compile(
    r"(?P<name>.+?)(?:_(?P<number>\d+))?_assignsubmission_(?P<kind>[a-z]+)(?:_(?P<rest>.*))?"
)
CANVAS = re.compile(
    r"(?:(?P<name>.+?)_)??(?P<late>LATE_)?(?P<number>\d+|anon_[^_]+)"
    r"_(?:(?P<file>\d+)_(?P<rest>.+)|(?P<typed>text|link)\.html)"
)
# What stands between the names of students who hand in together.
TOGETHER = re.compile(r"\s*[&+;]\s*|[\s_]+(?:and|und|et|y)[\s_]+", re.I)

CLASSROOM = "-submissions"

# What Google Drive, Windows and Jupyter add to the name of a copy.
COPY = re.compile(
    r"\b(copy of|copie de|copia de|copia di|cópia de|kopie van|kopie von)\s+"
    r"|[-_ ]+(copy|copie|copia|kopie)\s*\d*$",
    re.I,
)

Place = tuple[str, ...]


class Owner(NamedTuple):
    """Who handed a file in, as its place says.

    Args:
        name: A login or a name; it is "" if the place names nobody.
        number: "canvas 12345" or "participant 12345"; "" if the place has none.
        is_late: Whether the platform marked it as late; None if it marks nothing.
        moodle: The beginning of Moodle's folder, FULLNAME_NUMBER.
        typed: "text" or "link" if that was typed in on the platform; "" for a file.
    """

    name: str
    number: str = ""
    is_late: bool | None = None
    moodle: str = ""
    typed: str = ""


class Work(NamedTuple):
    """A notebook below a folder: its assignment, the folders between them, and its own name."""

    assignment: str
    folders: Place
    name: str


class Owners:
    """Whose each file is, by its place and those of all others.

    Args:
        places: The places of all files.
        candidates: Those that may be notebooks.
        assignments: The names of all assignments.
        roster: The students; it may be empty.
    """

    def __init__(
        self,
        places: Sequence[Place],
        candidates: Sequence[Candidate],
        assignments: Collection[str],
        roster: Roster,
    ) -> None:
        self.assignments = assignments
        self.roster = roster
        # Each of a student's files asks for the same names, and the roster compares all people.
        self.find = functools.cache(roster.find)
        self.words = words(" ".join(assignments))
        self.notes: list[str] = []
        self.canvas_folders = _canvas_folders(places, roster)
        self.folders = {
            place: self._folders(place) for place in places if self._by_platform(place) is None
        }
        self.shared = self._shared_folders(candidates)
        self.with_folders = set()
        for folders in self.folders.values():
            depth = self._depth(folders)
            if len(folders) > depth:
                self.with_folders.add(folders[:depth])

    def of(self, place: Place) -> Owner:
        """Return who handed in the file at a place."""
        owner = self._by_platform(place)
        if owner:
            return owner
        folders = self.folders[place]
        for name in folders:
            if self._named_together(name):
                return Owner(name)
        own_name = self._own_name(place)
        for beside in (None, self.words):
            for name in (*folders, own_name):
                if len(self.find(name=name, beside=beside)) == 1:
                    return Owner(name)
        depth = self._depth(folders)
        if len(folders) > depth:
            return Owner(folders[depth])
        # Where no student has a folder, the files are named by students.
        return Owner("" if folders in self.with_folders else own_name)

    def activities(self, candidates: Sequence[Candidate]) -> dict[Place, str]:
        """Return {Moodle's download of an activity: the assignment that it asked for}.

        That is the assignment of three quarters of the notebooks in it. Of a folder in which a
        student has two numbers nothing is known, since two downloads lie in it.
        """
        found = defaultdict(list)
        numbers = defaultdict(set)
        for candidate in candidates:
            root = self.download(candidate.file.place)
            if root is not None and candidate.assignment:
                owner = self.of(candidate.file.place)
                found[root].append(candidate.assignment)
                numbers[root, owner.name].add(owner.number)
        mixed = {root for (root, _), several in numbers.items() if len(several) > 1}
        result = {}
        for root in found.keys() - mixed:
            assignment, count = Counter(found[root]).most_common(1)[0]
            if 4 * count >= 3 * len(found[root]):
                result[root] = assignment
        return result

    def download(self, place: Place) -> Place | None:
        """Return the folders above a student's in Moodle's download, None if it is none."""
        for depth, part in enumerate(place):
            if MOODLE.fullmatch(part):
                return place[:depth]
        return None

    def file_name(self, place: Place) -> str:
        """Return the name that a student gave a file, without what a platform put before it."""
        name = place[-1]
        found = MOODLE.fullmatch(name)
        if found is None and place[:-1] in self.canvas_folders:
            found = CANVAS.fullmatch(name)
        rest = found["rest"] if found else None
        # Canvas numbers attempts.
        return re.sub(r"-\d+(?=\.\w+$)", "", rest) if rest else name

    def people(self, owner: Owner) -> tuple[list[Person], str]:
        """Return the students whom an owner may be, and the group that they handed in with.

        Returns:
            Several students and "" if it is not known which of them it is; several students and
            the name of their group if it is all of them; [] and "" if it is none of the roster.
        """
        is_of_platform = owner.number or owner.moodle
        members = self.roster.find_group(owner.name) if is_of_platform else []
        members = members or self._named_together(owner.name)
        if members:
            return members, owner.name
        people = self.find(name=owner.name, number=owner.number, beside=self.words)
        group = ""
        if owner.moodle and len(people) == 1:
            group = _group_beside(people[0], owner.name)
        return people, group

    def _named_together(self, name: str) -> list[Person]:
        """Return the students of "Anna Müller & Jörg Weiß", [] if any of them is not known."""
        parts = TOGETHER.split(name)
        if len(parts) < 2 or len(self.find(name=name)) == 1:
            return []
        found = [self.find(name=part, beside=self.words) for part in parts]
        people = [several[0] for several in found if len(several) == 1]
        return people if len(set(people)) == len(parts) else []

    def _by_platform(self, place: Place) -> Owner | None:
        """Return the owner whom a name of Moodle's or Canvas' tells, None if there is no such."""
        for depth, part in enumerate(place):
            found = MOODLE.fullmatch(part)
            if found:
                number = f"participant {found['number']}" if found["number"] else ""
                typed = "text" if found["kind"] == "onlinetext" else ""
                moodle = "_".join(filter(None, (found["name"], found["number"])))
                return Owner(found["name"], number, moodle=moodle, typed=typed)
            found = CANVAS.fullmatch(part)
            if found and place[:depth] in self.canvas_folders:
                number = f"canvas {found['number']}"
                is_late = bool(found["late"])
                return Owner(found["name"] or "", number, is_late, typed=found["typed"] or "")
        return None

    def _folders(self, place: Place) -> Place:
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
        return tuple(folders)

    def _own_name(self, place: Place) -> str:
        """Return the name of a file without endings and without the assignment."""
        name = unicodedata.normalize("NFC", place[-1])
        stem = _stem(name)
        if stem == name:
            # Of other files the ending is short; a dot may stand in a login.
            stem = re.sub(r"\.\w{1,4}$", "", name)
        return _without_assignment(stem, self.assignments)

    def _depth(self, folders: Place) -> int:
        """Return how many folders stand above that of a student."""
        depth = 0
        while depth < len(folders) and folders[: depth + 1] in self.shared:
            depth += 1
        return depth

    def _shared_folders(self, candidates: Sequence[Candidate]) -> set[Place]:
        """Return the folders that hold the work of several students, and note which those are."""
        shared: set[Place] = set()
        parents: list[Place] = [()]
        for parent in parents:
            works = self._works_below(parent, candidates)
            if _hold_folders_of_students(works):
                kind = "folders"
            elif _hold_files_of_students(works):
                kind = "files"
            else:
                continue
            names = ", ".join(sorted(works))
            self.notes.append(
                f"The {kind} in {names} were taken for the students'; if one student handed them "
                "in, name the students with --students."
            )
            children = [(*parent, name) for name in works]
            shared.update(children)
            parents += children
        return shared

    def _works_below(
        self, parent: Place, candidates: Sequence[Candidate]
    ) -> Mapping[str, list[Work]]:
        """Return {folder in a parent folder: the notebooks in it}."""
        works = defaultdict(list)
        depth = len(parent)
        for candidate in candidates:
            place = candidate.file.place
            folders = self.folders.get(place, ())
            if candidate.assignment and folders[:depth] == parent and len(folders) > depth:
                work = Work(candidate.assignment, folders[depth + 1 :], self._own_name(place))
                works[folders[depth]].append(work)
        return works


def _hold_folders_of_students(works: Mapping[str, Sequence[Work]]) -> bool:
    """Return whether folders are not those of students, but hold them.

    A student hands in an assignment in one folder: so most folders that hold an assignment in
    several folders are not a student's.
    """
    crowded = 0
    for inner in works.values():
        folders = defaultdict(set)
        for work in inner:
            if work.folders and not ATTEMPT.fullmatch(work.folders[0]):
                folders[work.assignment].add(work.folders)
        crowded += any(len(several) > 1 for several in folders.values())
    return 2 * crowded > len(works)


def _hold_files_of_students(works: Mapping[str, Sequence[Work]]) -> bool:
    """Return whether folders are not those of students, but hold files named by students.

    So it is if each folder holds another assignment, and its files names that are no attempts of
    one student, nor begin with the folder's name.
    """
    is_named_alike = any(
        work.name.casefold().startswith(folder.casefold())
        for folder in works
        for work in works[folder]
    )
    inner = [work for several in works.values() for work in several]
    names = [(work.assignment, work.name) for work in inner]
    folders_of = {(work.assignment, folder) for folder in works for work in works[folder]}
    return (
        len(inner) > len(works)
        and len(folders_of) == len({work.assignment for work in inner})
        and len(set(names)) == len(names)
        and not is_named_alike
        and not any(work.folders or ATTEMPT.fullmatch(work.name or "v") for work in inner)
    )


def _group_beside(person: Person, name: str) -> str:
    """Return GROUP of a name GROUP-FULLNAME, "" if it has none or ends with another name."""
    parts = name.split("-")
    for count in range(1, len(parts)):
        if squash("-".join(parts[count:])) in person.names():
            return "-".join(parts[:count])
    return ""


def bears(person: Person, name: str) -> bool:
    """Return whether a name from Canvas is a student's, in whole or in part, accents aside.

    A person of whom no name is known bears any.
    """
    parts = [person.fields.get(part, "") for part in ("first", "last", "name")]
    words = [_plain(word) for word in re.split(r"\W+", " ".join(parts))]
    is_like_one = any(word in _plain(name) for word in words if len(word) > 2)
    return not person.names() or squash(name) in person.names() or is_like_one


def _plain(text: str) -> str:
    """Return the letters of a text without accents, and without those that are not Latin."""
    return unicodedata.normalize("NFKD", squash(text)).encode("ascii", "ignore").decode()


def _canvas_folders(places: Sequence[Place], roster: Roster) -> set[Place]:
    """Return the folders in which Canvas named submissions.

    A single such name may be a student's own choice, unless all that is at the top is named so.
    """
    names: dict[Place, set[str]] = defaultdict(set)
    for place in places:
        for depth, part in enumerate(place):
            names[place[:depth]].add(part)
    known = {person.fields["canvas"] for person in roster.people if "canvas" in person.fields}
    folders = set()
    for folder, parts in names.items():
        found = [match for match in map(CANVAS.fullmatch, parts) if match]
        numbers = {match["number"] for match in found}
        is_alone = not folder and len(found) == len(parts)
        if len(numbers) > 1 or (numbers and is_alone):
            if numbers & known or _are_numbers_of_students(found):
                folders.add(folder)
    return folders


def _are_numbers_of_students(found: Sequence[re.Match]) -> bool:
    """Return whether numbers in names as Canvas makes them stand for one student each.

    In "jana_2026_10" and "pat_2026_10" the number is no student's. A group's file has the group's
    name, and the number of a student who may have files of the own name, too.
    """
    names = defaultdict(set)
    for match in found:
        names[match["number"]].add(unicodedata.normalize("NFC", match["name"] or ""))
    several = [number for number, borne in names.items() if len(borne) > 1]
    files_numbers = [match["file"] for match in found if match["file"]]
    are_unique = len(set(files_numbers)) == len(files_numbers)
    return not several or (are_unique and 2 * len(several) <= len(names))


def _stem(name: str) -> str:
    """Return the name of a file without endings, and without what programs add to a copy."""
    stem = re.sub(r"(\.ipynb|\.zip|\.json|\.txt)+$", "", name, flags=re.I)
    stem = re.sub(r"\s*\(\d+\)$", "", stem)
    return COPY.sub("", unicodedata.normalize("NFC", stem))


def _without_assignment(name: str, assignments: Collection[str]) -> str:
    """Return what is left of a name without an assignment at its beginning or end."""
    for assignment in assignments:
        rest = re.sub(rf"^{re.escape(assignment)}([-_ ]+|$)", "", name, flags=re.I)
        rest = re.sub(rf"[-_ ]+{re.escape(assignment)}$", "", rest, flags=re.I)
        if rest != name:
            return rest
    return name
