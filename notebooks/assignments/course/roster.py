"""The roster: who takes the course, from the tables that a platform exports.

It reads Canvas' gradebook, Moodle's gradebook, list of participants and grading worksheet (in
English, German, French or Spanish), GitHub Classroom's roster, Canvas' list of a group set, and
any CSV with some of the headings in FIELDS.
"""

import csv
import functools
import io
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from camkit._files import write_whole

# Moodle's headings in English, German, French and Spanish, by what the column holds.
MOODLE_FIELDS = {
    "first": ("First name", "Vorname", "Prénom", "Nombre"),
    "last": ("Last name", "Surname", "Nachname", "Nom", "Nom de famille", "Apellido(s)"),
    "name": ("Full name", "Vollständiger Name", "Nom complet", "Nombre completo"),
    "login": ("Username", "Anmeldename", "Nom d'utilisateur", "Nombre de usuario"),
    "sis": ("ID number", "ID-Nummer", "Numéro d'identification", "Número de ID"),
    "email": (
        "Email address",
        "E-Mail-Adresse",
        "Adresse de courriel",
        "Adresse e-mail",
        "Dirección de correo",
        "Correo electrónico",
    ),
}

# The same of Canvas, GitHub Classroom, Moodle's worksheet, and tables that a teacher makes.
OTHER_FIELDS = {
    "login": ("SIS Login ID", "login", "login_id"),
    "email": ("email", "e-mail", "mail", "Adresse mail", "correo"),
    "sis": ("SIS User ID", "Matrikelnummer", "student number", "student ID"),
    "github": ("github_username", "github username"),
    "canvas": ("ID", "canvas_user_id"),
    "group": ("Group", "Gruppe", "Groupe", "Grupo", "group_name"),
    "identifier": ("identifier", "Identifiant", "Identificador"),
    "name": ("Student", "name"),
    "first": ("firstname",),
    "last": ("lastname",),
}
FIELDS = {
    heading.casefold(): name
    for fields in (MOODLE_FIELDS, OTHER_FIELDS)
    for name, headings in fields.items()
    for heading in headings
}

# Words that students write beside their name, and that tell one attempt from another.
ATTEMPT = re.compile(
    r"(abgabe|alt|answers?|assignment|attempt|aufgabe|backup|better|blank|copia|copie|copy"
    r"|corrected|devoir|done|draft|entrega|erste?|exercise|final|finished|first|fixed|homework|hw"
    r"|kopie|l[oö]sung|last|latest|my|neu|new|notebook|old|second|solved|solutions?|submission|tarea"
    r"|task|test|third|try|[uü]bung|untitled|updated|version|versuch|v|work|zweite?|[\d\W_])+",
    re.I,
)

# What a login is made from: the first of these that a row holds.
LOGINS = ("login", "email", "sis", "identifier", "github", "name")

# What contradicts that two rows are one student's, where it differs.
IDENTIFIERS = ("login", "email", "sis", "canvas")

# Columns that a platform reads again, by the platform.
CANVAS = (
    "Student",
    "ID",
    "SIS User ID",
    "SIS Login ID",
    "Integration ID",
    "Root Account",
    "Section",
)
MOODLE = tuple(heading for headings in MOODLE_FIELDS.values() for heading in headings)

# How Moodle's grading worksheet numbers who takes part in an assignment, and its column of times.
PARTICIPANT = re.compile(r"(?:participante?|teilnehmer\S*?)\s*(\d+)", re.I)
HANDED_IN = (
    "Last modified (submission)",
    "Zuletzt geändert (Abgabe)",
    "Dernière modification (travail remis)",
    "Última modificación (entrega)",
)

# Rows of Canvas' gradebook that are no student's.
NO_STUDENTS = ("", "Points Possible", "Student, Test")


class RosterError(ValueError):
    """A table of students cannot be used; the message says why."""


@dataclass(eq=False)
class Person:
    """One student.

    Args:
        login: The name of the student's folders and rows.
        fields: What the tables say, by the names in FIELDS.
        participants: {Moodle's number, another one for each assignment: when its work was handed
            in, in Moodle's words}.
        canvas_row: {heading: cell} of Canvas' gradebook; empty without it.
        moodle_row: {heading: cell} of Moodle's own columns; empty without a table of Moodle's.
        groups: The groups that the student hands in with, squashed.
    """

    login: str
    fields: dict[str, str]
    participants: dict[str, str] = field(default_factory=dict)
    canvas_row: dict[str, str] = field(default_factory=dict)
    moodle_row: dict[str, str] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)

    def names(self) -> set[str]:
        """Return all spellings of the name, squashed."""
        first = self.fields.get("first", "")
        last = self.fields.get("last", "")
        name = self.fields.get("name", "")
        turned = " ".join(reversed(name.split(",", 1)))
        spellings = {squash(text) for text in (name, turned, first + last, last + first)}
        return spellings - {"", squash(first), squash(last)}

    def is_spelled_in(self, text_words: Set[str], other_words: Set[str]) -> bool:
        """Return whether words are those of the name, or the login, beside none but other words.

        Args:
            text_words: The words of a text, as `words` returns them.
            other_words: Words that may stand beside a name, besides those of ATTEMPT.
        """
        for spelling in (self.fields.get("name", ""), self.login):
            name_words = words(spelling)
            others = " ".join(text_words - name_words - other_words)
            is_name = name_words and not ATTEMPT.fullmatch(" ".join(name_words))
            if is_name and name_words <= text_words and ATTEMPT.fullmatch(f" {others}"):
                return True
        return False

    def exact_keys(self) -> set[str]:
        """Return what no two students share: logins, addresses and numbers."""
        keys = {fold(self.fields.get(name, "")) for name in LOGINS if name != "name"}
        keys |= {f"participant {number}" for number in self.participants}
        if self.fields.get("canvas"):
            keys.add(f"canvas {self.fields['canvas']}")
        return (keys | {fold(self.login)}) - {""}


class Roster:
    """The students of a course, each found by name, number or login."""

    def __init__(self, people: Iterable[Person] = (), headings: Iterable[str] = ()) -> None:
        self.people = list(people)
        self.headings = tuple(headings)
        # Lines on how the tables were read.
        self.notes: list[str] = []

    def __bool__(self) -> bool:
        return bool(self.people)

    def find(
        self, *, name: str = "", number: str = "", beside: Set[str] | None = frozenset()
    ) -> list[Person]:
        """Return the students with this number, or else with this login or name.

        Args:
            name: A login, an address or a name, in any order, with or without spaces.
            number: "canvas 12345" or "participant 12345".
            beside: Words that may stand beside a name, besides those of ATTEMPT; None if nothing
                may.

        Returns:
            One student; several if the name fits all of them; [] if it fits nobody.
        """
        squashed = squash(name)
        name_words = words(name)
        tests = (
            lambda person: number in person.exact_keys(),
            lambda person: fold(name) in person.exact_keys(),
            lambda person: squashed in person.names() | {squash(person.login)},
            lambda person: beside is not None and person.is_spelled_in(name_words, beside),
        )
        for fits in tests:
            found = [person for person in self.people if fits(person)]
            if found:
                return found
        return []

    def find_group(self, name: str) -> list[Person]:
        """Return the students of a group."""
        return [person for person in self.people if squash(name) in person.groups]


def fold(text: str) -> str:
    """Return a text such that two spellings of it in Unicode, or in capitals, are equal.

    >>> fold("Müller") == fold("MU\u0308LLER")
    True
    """
    return unicodedata.normalize("NFKC", text).casefold().strip()


def squash(text: str) -> str:
    """Return the letters and digits of a text, as platforms squash a name.

    >>> squash("O'Brien, Pat")
    'obrienpat'
    """
    folded = fold(text)
    return "".join(letter for letter in folded if unicodedata.category(letter)[0] in "LMN")


@functools.cache
def words(text: str) -> frozenset[str]:
    """Return the words of a name in any order, without accents and apostrophes.

    >>> sorted(words("O'Brien-Müller, Pat")), words("Jürgen_Müller") == words("Müller Jürgen")
    (['muller', 'obrien', 'pat'], True)
    """
    decomposed = unicodedata.normalize("NFKD", fold(text))
    letters = [letter for letter in decomposed if unicodedata.category(letter) != "Mn"]
    joined = re.sub("['\u2019]", "", "".join(letters))
    return frozenset(re.findall(r"[^\W_]+", joined))


def read(source: Path) -> Roster:
    """Return the roster of a table, or of all tables (.csv) in a folder.

    Rows of several tables are one student's if they share a login, an address or a number, or else
    a name that is unique in both.

    Raises:
        RosterError: If a table is no CSV, has none of the headings, or a login cannot name a
            folder.
    """
    roster = Roster()
    headings: list[str] = []
    for path in _tables(source):
        rows = _rows(path, roster.notes)
        newcomers = [person for person in map(_person, rows) if person]
        _check_rows(path, newcomers)
        if not newcomers:
            raise RosterError(
                f"{path} names no student: its headings should be those of an export in English, "
                "German, French or Spanish, such as 'Student' and 'ID' (Canvas), 'Full name' and "
                "'Email address' (Moodle) or 'github_username'"
            )
        headings += [heading for heading in rows[0] if heading not in headings]
        known = Roster(roster.people)
        for person in newcomers:
            _check_login(path, person)
            _enrol(roster, person, _same_person(known, person, newcomers))
    roster.headings = tuple(headings)
    return roster


def keep(
    source: Path, folder: Path, known: Mapping[str, Sequence[Mapping[str, str]]] | None = None
) -> Roster:
    """Return the roster of a table or folder, and copy its tables into a folder for later calls.

    Args:
        source: The table, or the folder of tables.
        folder: Where the copies go, in place of earlier ones.
        known: The students whom the year knows, as `recognise` takes them.

    Raises:
        RosterError: As `read` and `recognise` do; then the earlier copies stay.
    """
    roster = read(source)
    recognise(roster, known or {})
    copies = {path.name: path.read_bytes() for path in _tables(source)}
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.csv"):
        path.unlink()
    for name, data in copies.items():
        write_whole(folder / name, data)
    return roster


def recognise(roster: Roster, known: Mapping[str, Sequence[Mapping[str, str]]]) -> None:
    """Give the students of a roster the logins under which a year knows them, in place.

    A student is known by any login, address or number, or else by a name that is unique in the
    roster and in the year.

    Args:
        roster: The students of this call's tables.
        known: {login: the fields of each table that named the student}.

    Raises:
        RosterError: If a row belongs to two known students, two rows to one, or a name to a student
            with other identifiers; then no login is changed.
    """
    by_key: dict[str, set[str]] = defaultdict(set)
    by_name: dict[str, set[str]] = defaultdict(set)
    for login, tables in known.items():
        for fields in ({"name": login}, *tables):
            person = Person(login, dict(fields))
            for key in person.exact_keys():
                by_key[key].add(login)
            for name in person.names():
                by_name[name].add(login)
    logins = {}
    rows: dict[str, Person] = {}
    for person in roster.people:
        found = set().union(*(by_key.get(key, ()) for key in person.exact_keys()))
        if len(found) > 1:
            raise RosterError(
                f"the row of {_shown(person)} belongs to several students whom this year knows: "
                f"{', '.join(sorted(found))}; correct its login, address or number, or remove one "
                "from the gradebook if they are one student (teachers.md says how)"
            )
        login = found.pop() if found else _namesake(person, roster, by_name, known)
        other = rows.setdefault(login, person)
        if other is not person:
            raise RosterError(
                f"the rows of {_shown(other)} and of {_shown(person)} both belong to {login}, whom "
                "this year knows: give each student a login, an address and a number of their own"
            )
        logins[person] = login
    for person, login in logins.items():
        person.login = login


def _namesake(
    person: Person,
    roster: Roster,
    by_name: Mapping[str, Set[str]],
    known: Mapping[str, Sequence[Mapping[str, str]]],
) -> str:
    """Return the login of the known student with a person's name, or else the person's own.

    Raises:
        RosterError: If that student has another login, address or number.
    """
    names = person.names()
    found = set().union(*(by_name.get(name, ()) for name in names))
    if len(found) != 1 or sum(bool(names & other.names()) for other in roster.people) > 1:
        return person.login
    (login,) = found
    for kind in IDENTIFIERS:
        before = {fields[kind] for fields in known[login] if kind in fields}
        if before and kind in person.fields:
            raise RosterError(
                f"the row of {_shown(person)} has the name of {login}, whom this year knows with "
                f"{min(before)!r}: write that into the row if they are one student, or else a row "
                f"for {login} into the table"
            )
    return login


def _shown(person: Person) -> str:
    """Return a student's name and identifiers, for a message."""
    identifiers = [person.fields[kind] for kind in IDENTIFIERS if kind in person.fields]
    return f"{person.fields.get('name', person.login)!r} ({', '.join(identifiers)})"


def _tables(source: Path) -> list[Path]:
    """Return the path of a table, or those of all tables (.csv) in a folder."""
    source = Path(source)
    return sorted(source.glob("*.csv")) if source.is_dir() else [source]


def _windows_text(data: bytes) -> str:
    """Return bytes as text of Windows-1252, "" if they are none."""
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return ""
    controls = {letter for letter in text if unicodedata.category(letter) == "Cc"}
    return text if controls <= set("\t\r\n") else ""


def _rows(path: Path, notes: list[str]) -> list[dict[str, str]]:
    """Return the rows of a CSV as {heading: cell}, and add to notes how it was read."""
    data = path.read_bytes()
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        text = _windows_text(data)
        if not text:
            raise RosterError(f"{path} is not in UTF-8: save it as CSV UTF-8") from error
        notes.append(
            f"{path.name} is not in UTF-8: it was read as Western European (Windows-1252); if "
            "names with accents are wrong, save it as CSV UTF-8"
        )
    first_line, _, rest = text.partition("\n")
    if first_line.startswith("sep="):  # what Excel writes to name its delimiter
        text, first_line = rest, first_line.removeprefix("sep=")
    delimiter = max(",;\t", key=first_line.count)
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restval="")
    try:
        return [{_heading(key): cell for key, cell in row.items() if key} for row in table]
    except csv.Error as error:
        raise RosterError(f"{path} is not a CSV: {error}") from error


def _heading(text: str) -> str:
    """Return a heading with the apostrophe and the letters with accents that are used here."""
    return unicodedata.normalize("NFC", text.strip().replace("\u2019", "'"))


def _fields(row: Mapping[str, str]) -> dict[str, str]:
    """Return what a row says, by the names in FIELDS."""
    fields: dict[str, str] = {}
    for heading, cell in row.items():
        name = FIELDS.get(heading.casefold())
        if name and cell.strip():
            fields.setdefault(name, unicodedata.normalize("NFC", cell.strip()))
    if fields.keys() >= {"first", "name"} and "last" not in fields:
        if squash(fields["first"]) not in squash(fields["name"]):  # "Name" beside "Vorname"
            fields["last"] = fields.pop("name")
    if "name" not in fields and ("first" in fields or "last" in fields):
        fields["name"] = " ".join(fields[part] for part in ("first", "last") if part in fields)
    return fields


def _person(row: Mapping[str, str]) -> Person | None:
    """Return the student of a row, None if it is no student's."""
    fields = _fields(row)
    is_canvas = {"Student", "ID"} <= row.keys()
    if is_canvas and row["Student"].strip() in NO_STUDENTS:
        return None
    participants = {}
    # Moodle heads that column "ID" in German, as Canvas does another.
    for name in ("identifier", "canvas"):
        found = PARTICIPANT.fullmatch(fields.get(name, ""))
        if found:
            del fields[name]
            times = [row[heading] for heading in HANDED_IN if heading in row]
            participants[found[1]] = "".join(times[:1])
    login = next((fields[name] for name in LOGINS if name in fields), "")
    if not login and not participants:
        return None
    # A worksheet of blind marking holds nothing but the numbers.
    login = login or f"participant {next(iter(participants))}"
    person = Person(login, fields, participants)
    if fields.get("group"):
        person.groups = {squash(fields["group"])}
    if is_canvas:
        person.canvas_row = dict(row)
    elif "github" not in fields:
        person.moodle_row = {heading: row[heading] for heading in MOODLE if heading in row}
    return person


def _check_rows(path: Path, people: list[Person]) -> None:
    """Raise RosterError if two rows of a table may be two students, and nothing tells them apart.

    A student may stand in several rows, one for each group, with one login, address or number.
    """
    holders: dict[str, Person] = {}
    for person in people:
        for key in person.exact_keys():
            other = holders.setdefault(key, person)
            if other is person:
                continue
            name = person.fields.get("name", "")
            if name and person.login == other.login == name:
                raise RosterError(
                    f"{path} has two rows for {name!r}, without a login, an address or a number: "
                    "add a column such as 'Email address', which tells whether they are one student"
                )
            if person.names() and other.names() and not person.names() & other.names():
                raise RosterError(
                    f"{path} gives {key!r} to {other.fields['name']!r} and to {name!r}: give each "
                    "student a login, an address and a number of their own"
                )


def _check_login(path: Path, person: Person) -> None:
    """Raise RosterError if a login cannot be the name of a folder."""
    if "/" in person.login or "\0" in person.login or person.login.startswith("."):
        raise RosterError(f"{path}: the login {person.login!r} cannot be the name of a folder")


def _same_person(known: Roster, person: Person, newcomers: list[Person]) -> Person | None:
    """Return the student of other tables who has the name of this one, if both are unique."""
    namesakes = [other for other in newcomers if other.names() & person.names()]
    found = [other for other in known.people if other.names() & person.names()]
    if len(found) == 1 and len(namesakes) == 1:
        return found[0]
    return None


def _check_together(one: Person, other: Person, row: Person) -> None:
    """Raise RosterError if a row connects two students who have different identifiers.

    Tables may hold a student's login and address in one row each, which a third connects.
    """
    for kind in IDENTIFIERS:
        values = [fold(person.fields.get(kind, "")) for person in (one, other)]
        if all(values) and values[0] != values[1]:
            raise RosterError(
                f"the row of {_shown(row)} belongs to two students of other tables, "
                f"{_shown(one)} and {_shown(other)}: correct its login, address or number"
            )


def _enrol(roster: Roster, person: Person, namesake: Person | None) -> None:
    """Add a student to the roster, or what is new of one who stands there, maybe in several rows.

    The name decides only where no login, address or number does.
    """
    same = [other for other in roster.people if other.exact_keys() & person.exact_keys()]
    if namesake and namesake not in same and not any(other.names() for other in same):
        same.append(namesake)
    first, *others = [other for other in roster.people if other in same] or [person]
    for other in others:
        _check_together(first, other, person)
    for other in (*others, person):
        first.fields = other.fields | first.fields
        first.participants = other.participants | first.participants
        first.groups = other.groups | first.groups
        # The names of Canvas' exports begin with their date, so the last one is the newest.
        first.canvas_row = other.canvas_row or first.canvas_row
        first.moodle_row = other.moodle_row | first.moodle_row
    kept = [other for other in roster.people if other not in others]
    roster.people = kept if same else [*kept, first]
