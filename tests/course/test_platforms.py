"""In and out of the platforms: which student handed in what and when, and what goes back.

Nothing here runs a notebook but the last test.
"""

import codecs
import os
import shutil
import time
import unicodedata
import zipfile
from datetime import UTC, datetime

import nbformat
import pytest
from course import (
    cli,
    collecting,
    files,
    gradebook,
    grading,
    lateness,
    owners,
    returns,
    roster,
    sources,
    tables,
    year,
)
from course.release import release
from course.roster import Roster, RosterError
from nbformat.v4 import new_code_cell, new_notebook
from test_course import answered, table as read_rows, tiny

STUB = "raise NotImplementedError"


def assignment(name):
    """A released notebook of two steps; its marks are its own."""
    cells = []
    for step in ("one", "two"):
        cell = new_code_cell(STUB, id=step)
        cell.metadata["nbgrader"] = {"grade_id": f"{step}-{name}", "solution": True}
        cells.append(cell)
    return new_notebook(cells=cells)


RELEASED = {name: assignment(name) for name in ("1-gap-equation", "2-transfer")}


def solved(name="1-gap-equation", answers=("pass", "pass")):
    """The text of a notebook that was handed in; `answers` are the sources of its cells."""
    notebook = assignment(name)
    for cell, answer in zip(notebook.cells, answers, strict=False):
        cell.source = answer
    return nbformat.writes(notebook).encode()


BLANK = solved(answers=())


def hand_in(folder, *places, data=None):
    """Write solved notebooks (or `data`) at places of a folder."""
    for place in places:
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        name = "2-transfer" if "2-transfer" in place else "1-gap-equation"
        path.write_bytes(solved(name) if data is None else data)


def pack(folder, archive):
    """Pack all files of a folder into a .zip file, and return its path."""
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                packed.write(path, path.relative_to(folder))
    return archive


@pytest.fixture
def submitted(tmp_path):
    folder = tmp_path / "submitted"
    folder.mkdir()
    return folder


@pytest.fixture
def collect(tmp_path):
    """A function that collects a folder or archive of submissions to RELEASED."""

    def collect(submitted, people=None):
        scratch = tmp_path / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        return collecting.collect(submitted, scratch, RELEASED, people or Roster())

    return collect


def table(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_tables(folder, lines):
    """Write {name: lines} as tables into a new folder, and return the folder."""
    folder.mkdir()
    for name, rows in lines.items():
        table(folder / f"{name}.csv", *rows)
    return folder


# --- layouts

MOODLE = (
    "Müller Jana_1234567_assignsubmission_file_/1-gap-equation.ipynb",
    "O'Brien Pat_1234568_assignsubmission_file_/1-gap-equation (1).ipynb",
)
LAYOUTS = {
    "Moodle, folders": (MOODLE, {"Müller Jana", "O'Brien Pat"}),
    "Moodle 4.1, folders": (
        [place.replace("file_/", "file/") for place in MOODLE],
        {"Müller Jana", "O'Brien Pat"},
    ),
    "Moodle, flat": (
        [place.replace("file_/", "file_") for place in MOODLE],
        {"Müller Jana", "O'Brien Pat"},
    ),
    "Moodle, a zip in a folder": (
        [f"course-1-gap/{place}" for place in MOODLE],
        {"Müller Jana", "O'Brien Pat"},
    ),
    "Canvas": (
        [
            "müllerjana_12345_67890_1-gap-equation.ipynb",
            "obrienpat_LATE_12346_67891_1-gap-equation-1.ipynb",
        ],
        {"müllerjana_12345", "obrienpat_12346"},
    ),
    "Canvas, anonymous": (["anon_a1b2C_67890_work.ipynb"], {"anon_a1b2C"}),
    "GitHub Classroom": (
        ["1-gap-equation-octojana/x.ipynb", "1-gap-equation-pat99/1-gap-equation.ipynb"],
        {"octojana", "pat99"},
    ),
    "GitHub Classroom's command": (
        ["week1-submissions/week1-octojana/x.ipynb", "week1-submissions/week1-pat-99/x.ipynb"],
        {"octojana", "pat-99"},
    ),
    "by student": (["jana/x.ipynb", "pat/1-gap-equation/a.ipynb"], {"jana", "pat"}),
    "by assignment": (
        ["1-gap-equation/jana/x.ipynb", "1-gap-equation/pat/x.ipynb"],
        {"jana", "pat"},
    ),
    "by weeks": (["hw1/jana/x.ipynb", "hw1/pat/x.ipynb"], {"jana", "pat"}),
    "two levels too many": (["a/b/jana/x.ipynb", "a/b/pat/x.ipynb"], {"jana", "pat"}),
    "files by weeks": (["hw1/jana.ipynb", "hw1/pat.ipynb"], {"jana", "pat"}),
    "one student": (
        ["jana/old.ipynb", "jana/1-gap-equation (1).ipynb", "jana/final v2.ipynb"],
        {"jana"},
    ),
    "one student's first and second try": (
        ["jana/first try.ipynb", "jana/my second try, corrected.ipynb"],
        {"jana"},
    ),
    "one student's tries, named by the student": (
        ["jana/jana a.ipynb", "jana/jana b.ipynb"],
        {"jana"},
    ),
    "one student's tries, in folders": (["jana/try 1/x.ipynb", "jana/final/x.ipynb"], {"jana"}),
    "Moodle beside GitHub Classroom": (
        [*MOODLE, "1-gap-equation-octojana/x.ipynb"],
        {"Müller Jana", "O'Brien Pat", "octojana"},
    ),
    "side by side": (
        [
            *MOODLE,
            "müllerkim_12345_67890_1-gap-equation.ipynb",
            "obrienlou_LATE_12346_67891_1-gap-equation-1.ipynb",
            "hw1/ann/x.ipynb",
            "hw1/bob/x.ipynb",
            "dan.ipynb",
        ],
        {
            "Müller Jana",
            "O'Brien Pat",
            "müllerkim_12345",
            "obrienlou_12346",
            "ann",
            "bob",
            "dan",
        },
    ),
    "flat": (["jana.ipynb", "pat_1-gap-equation (2).ipynb"], {"jana", "pat"}),
    "copies, as Google Drive, Windows and Jupyter name them": (
        [
            "jana/Copy of 1-gap-equation.ipynb",
            "jana/Copy of Copy of 1-gap-equation.ipynb",
            "pat/1-gap-equation-Copy1.ipynb",
        ],
        {"jana", "pat"},
    ),
    "flat, copies": (
        ["Kopie von jana_1-gap-equation.ipynb", "pat - Copy.ipynb"],
        {"jana", "pat"},
    ),
    "flat, with a year": (
        ["jana_2026_10_a.ipynb", "pat_2026_10_a.ipynb"],
        {"jana_2026_10_a", "pat_2026_10_a"},
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("packed", [False, True])
def test_who_handed_in_what_is_told_by_the_platforms_names(
    layout, packed, submitted, collect, tmp_path
):
    places, students = LAYOUTS[layout]
    hand_in(submitted, *places)
    source = pack(submitted, tmp_path / "download.zip") if packed else submitted
    collected = collect(source)
    assert set(collected.submissions) == {(student, "1-gap-equation") for student in students}
    assert collected.students == students and not collected.unread


def test_a_student_of_moodle_is_one_in_all_weeks(submitted, collect):
    """The number in the folder's name is another one for each assignment."""
    hand_in(
        submitted,
        "week1/Müller Jana_1234567_assignsubmission_file_/1-gap-equation.ipynb",
        "week2/Müller Jana_1250001_assignsubmission_file_/2-transfer.ipynb",
    )
    assert set(collect(submitted).submissions) == {
        ("Müller Jana", "1-gap-equation"),
        ("Müller Jana", "2-transfer"),
    }


def test_how_folders_were_understood_is_told(submitted, collect):
    """The weeks hold an assignment each, in files named by students; others are one student's."""
    hand_in(submitted, "hw1/jana.ipynb", "hw1/pat.ipynb", "hw2/2-transfer-jana.ipynb")
    collected = collect(submitted)
    assert set(collected.submissions) == {
        ("jana", "1-gap-equation"),
        ("pat", "1-gap-equation"),
        ("jana", "2-transfer"),
    }
    ((owner, note),) = collected.notes
    assert owner == "" and note.startswith("The files in hw1, hw2 were taken for the students';")
    hand_in(submitted, "hw1/pat.müller.pdf", data=b"%PDF")
    assert collect(submitted).students == {"jana", "pat", "pat.müller"}
    hand_in(submitted, "kim/first.ipynb", "kim/second.ipynb")
    assert collect(submitted).students == {"hw1", "hw2", "kim"}


def test_names_are_compared_under_unicode_normalisation(submitted, collect):
    """macOS stores an umlaut as two characters."""
    hand_in(submitted, "Müller/1-gap-equation.ipynb")
    hand_in(submitted, unicodedata.normalize("NFD", "Müller") + "/2-transfer.ipynb")
    assert {student for student, _ in collect(submitted).submissions} == {"Müller"}


def test_names_in_a_zip_of_macos_are_utf_8(submitted, collect, tmp_path):
    """Finder does not set the flag that says so, and adds files of its own."""
    with zipfile.ZipFile(tmp_path / "ascii.zip", "w") as archive:
        archive.writestr("Zo__/1-gap-equation.ipynb", solved())
        archive.writestr("__MACOSX/Zo__/._1-gap-equation.ipynb", solved())
    data = (tmp_path / "ascii.zip").read_bytes()
    (submitted / "mac.zip").write_bytes(data.replace(b"Zo__", "Zoë".encode()))
    collected = collect(submitted / "mac.zip")
    assert set(collected.submissions) == {("Zoë", "1-gap-equation")} and not collected.unread


def test_what_systems_and_editors_leave_is_no_work(submitted, collect):
    hand_in(submitted, "jana/1-gap-equation.ipynb")
    for place in (
        "__MACOSX/jana/._1-gap-equation.ipynb",
        "jana/._1-gap-equation.ipynb",
        "jana/.ipynb_checkpoints/1-gap-equation-checkpoint.ipynb",
        "jana/.virtual_documents/1-gap-equation.ipynb",
        "jana/__pycache__/checks.cpython-311.pyc",
        "jana/.DS_Store",
        "Thumbs.db",
    ):
        hand_in(submitted, place, data=b"\0")
    collected = collect(submitted)
    assert set(collected.submissions) == {("jana", "1-gap-equation")}
    assert not collected.submissions["jana", "1-gap-equation"].remarks
    assert not collected.unread and not collected.notes and collected.students == {"jana"}


@pytest.mark.parametrize(
    "name",
    [
        "a.ipynb.txt",
        "a.ipynb.json",
        "A.IPYNB",
        "a.Ipynb.TXT",
        "a (1).ipynb",
        "a.ipynb.zip",
        "a.ZIP",
    ],
)
def test_endings_of_browsers_and_archives_are_read(name, submitted, collect, tmp_path):
    path = submitted / "jana" / name
    if name.lower().endswith(".zip"):
        hand_in(tmp_path / "inner", "deep/1-gap-equation.ipynb")
        path.parent.mkdir()
        pack(tmp_path / "inner", path)
    else:
        hand_in(submitted, f"jana/{name}")
    collected = collect(submitted)
    assert set(collected.submissions) == {("jana", "1-gap-equation")} and not collected.unread


def test_a_zip_for_each_student_is_read(submitted, collect, tmp_path):
    hand_in(tmp_path / "inner", "1-gap-equation.ipynb", "2-transfer.ipynb")
    pack(tmp_path / "inner", submitted / "jana.zip")
    pack(tmp_path / "inner", submitted / "müllerpat_12345_777_work.zip")
    assert collect(submitted).students == {"jana", "müllerpat_12345_777_work"}
    (submitted / "jana.zip").unlink()
    assert collect(submitted).students == {"müllerpat_12345"}


def test_a_zip_in_a_zip_is_read(submitted, collect, tmp_path):
    hand_in(tmp_path / "inner", "drive-download-001/Copy of 1-gap-equation.ipynb")
    (tmp_path / "outer").mkdir()
    pack(tmp_path / "inner", tmp_path / "outer" / "homework.zip")
    folder = submitted / "Müller Jana_1234567_assignsubmission_file_"
    folder.mkdir()
    pack(tmp_path / "outer", folder / "hand in.zip")
    collected = collect(pack(submitted, tmp_path / "download.zip"))
    assert set(collected.submissions) == {("Müller Jana", "1-gap-equation")}
    assert not collected.unread


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_notebooks_with_a_byte_order_mark_and_in_utf_16_are_read(encoding, submitted, collect):
    hand_in(submitted, "jana/a.ipynb", data=solved(answers=["# ü"]).decode().encode(encoding))
    submission = collect(submitted).submissions["jana", "1-gap-equation"]
    assert submission.notebook.cells[0].source == "# ü" and not submission.remarks


# --- what was not understood


@pytest.mark.parametrize(
    "place, reason",
    [
        ("jana/1-gap-equation.pdf", "it is not a notebook (.ipynb)"),
        ("jana/work", "it is not a notebook (.ipynb)"),
        ("jana/all.rar", "it is an archive of another kind: unpack it, or make it a .zip"),
        ("jana/1-gap-equation.zip", "it cannot be unpacked: File is not a zip file"),
        ("jana/notes.ipynb", "notes.ipynb is not a notebook: it is empty or damaged."),
        (
            "jana/1-gap-equation.ipynb",
            "1-gap-equation.ipynb is not a notebook: it is empty or damaged.",
        ),
    ],
)
def test_what_is_not_understood_is_listed_with_its_reason(place, reason, submitted, collect):
    hand_in(submitted, place, data=b"%PDF-1.7")
    collected = collect(submitted)
    assert collected.unread == [("jana", place, reason)]
    assert collected.students == {"jana"}


def test_a_file_outside_the_students_folders_is_listed(submitted, collect):
    names = ["1-gap-equation.ipynb", "Copy of 1-gap-equation.ipynb", "pat.ipynb"]
    hand_in(submitted, "jana/a.ipynb", *names)
    reason = "it lies outside any student's folder"
    assert collect(submitted).unread == [("", name, reason) for name in names]


def test_other_files_are_a_note_beside_a_notebook_and_unread_work_in_its_place(submitted, collect):
    hand_in(submitted, "jana/a.ipynb")
    hand_in(submitted, "jana/README.md", "jana/2-transfer.docx", "jana/checks.py", data=b"")
    (submitted / "pat").mkdir()
    collected = collect(submitted)
    assert collected.notes == [("jana", "Other files, which were not read: README.md")]
    assert collected.unread == [("jana", "jana/2-transfer.docx", "it is not a notebook (.ipynb)")]
    assert collected.students == {"jana", "pat"}


BESIDE = {
    "folders": ("jana/1-gap-equation.ipynb", "jana/helpers.py"),
    "Moodle, folders": (MOODLE[0], MOODLE[0].replace("1-gap-equation.ipynb", "helpers.py")),
    "Moodle, flat": [
        f"Müller Jana_1234567_assignsubmission_file_{name}" for name in ("a.ipynb", "helpers.py")
    ],
    "Canvas": ("müllerjana_12_34_1-gap-equation.ipynb", "müllerjana_12_35_helpers-1.py"),
}


@pytest.mark.parametrize("layout", BESIDE)
@pytest.mark.parametrize("packed", [False, True])
def test_modules_beside_a_notebook_belong_to_it(layout, packed, submitted, collect, tmp_path):
    notebook, module = BESIDE[layout]
    hand_in(submitted, notebook)
    hand_in(submitted, module, data=b"one = 1")
    collected = collect(pack(submitted, tmp_path / "all.zip") if packed else submitted)
    (submission,) = collected.submissions.values()
    assert submission.modules == {"helpers.py": b"one = 1"}
    assert collected.notes == [] and collected.unread == []


def test_a_module_of_another_student_or_folder_or_name_is_no_ones(submitted, collect, monkeypatch):
    hand_in(submitted, "jana/a.ipynb", "pat/a.ipynb")
    hand_in(submitted, "jana/helpers.py", "pat/old/tools.py", "pat/my tools.py", data=b"one = 1")
    hand_in(submitted, "pat/numpy.py", "pat/Checks.py", "pat/large.py", data=b"one = 12")
    (submitted / "pat" / "checks.py").write_bytes(sources.checks_path().read_bytes())
    monkeypatch.setattr(collecting, "LARGEST_MODULE", 7)
    collected = collect(submitted)
    modules = {who: one.modules for (who, _), one in collected.submissions.items()}
    assert modules == {"jana": {"helpers.py": b"one = 1"}, "pat": {}}
    told = [
        line.split(" was ")[0] for line in collected.submissions["pat", "1-gap-equation"].remarks
    ]
    assert sorted(told) == ["Checks.py", "large.py", "numpy.py"]
    assert collected.notes == [("pat", "Other files, which were not read: my tools.py, tools.py")]


def test_a_name_that_is_no_text_is_listed(submitted, collect):
    (submitted / os.fsdecode(b"\xff")).mkdir()
    hand_in(submitted, "jana/" + os.fsdecode(b"\xff.ipynb"), "pat/.work.ipynb")
    assert set(collect(submitted).submissions) == {
        ("jana", "1-gap-equation"),
        ("pat", "1-gap-equation"),
    }
    assert collect(submitted).unread == [
        ("", "\ufffd", "the name of a folder is not text: rename it")
    ]


def test_hostile_archives_are_refused(submitted, collect, monkeypatch):
    for name in ("../../jana/a.ipynb", "/etc/a.ipynb"):
        with zipfile.ZipFile(submitted / "pat.zip", "w") as archive:
            archive.writestr(name, solved())
        collected = collect(submitted)
        assert not collected.submissions
        assert collected.unread == [("pat", "pat.zip", f"it holds {name!r}, which leads out of it")]

    with zipfile.ZipFile(submitted / "pat.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.ipynb", bytes(1 << 20))
    monkeypatch.setattr(files, "LARGEST_ARCHIVE", 1 << 19)
    assert "it would unpack to 1,048,576 bytes" in collect(submitted).unread[0].reason

    data = solved()
    for depth in range(files.DEEPEST_ARCHIVE + 1):
        with zipfile.ZipFile(submitted / "pat.zip", "w") as archive:
            archive.writestr(f"{depth}.zip" if depth else "a.ipynb", data)
        data = (submitted / "pat.zip").read_bytes()
    assert "other archives: unpack it" in collect(submitted).unread[0].reason


# --- several copies


def at(path, seconds):
    """Say that a file was last changed so many seconds ago."""
    moment = time.time() - seconds
    os.utime(path, (moment, moment))


@pytest.mark.parametrize(
    "ages, answers, graded, reason",
    [
        ((0, 0), ([], ["x", "y"]), 1, "answers 2 cells, not 0"),
        ((0, 60), ([], ["x", "y"]), 1, "answers 2 cells, not 0, though older,"),
        ((0, 60), (["x"], ["x", "y"]), 1, "answers 2 cells, not 1, though older,"),
        ((60, 0), (["x", "y"], ["x", "z"]), 1, "is newer"),
        ((0, 60), (["x", "y"], ["x", "z"]), 0, "is newer"),
        ((0, 0), (["x", "y"], ["x", "z"]), 1, "is as old and has the later name"),
    ],
)
def test_of_copies_the_best_supported_is_graded(ages, answers, graded, reason, submitted, collect):
    names = ("a.ipynb", "a (1).ipynb")
    for name, age, answer in zip(names, ages, answers, strict=True):
        hand_in(submitted, f"jana/{name}", data=solved(answers=answer))
        at(submitted / "jana" / name, age)
    submission = collect(submitted).submissions["jana", "1-gap-equation"]
    best = names[graded]
    other = names[1 - graded]
    assert submission.file.place[-1] == best
    assert submission.remarks == [f"{other} was handed in as well: {best} {reason} and was graded."]


def test_a_notebook_that_nobody_began_is_no_submission(submitted, collect):
    """A repository holds all six notebooks from the beginning; 0 points would be imported."""
    hand_in(submitted, "jana/1-gap-equation.ipynb", "pat/2-transfer.ipynb")
    hand_in(submitted, "jana/2-transfer.ipynb", data=solved("2-transfer", answers=()))
    hand_in(submitted, "kim/1-gap-equation.ipynb", "kim/a (1).ipynb", data=BLANK)
    collected = collect(submitted)
    assert set(collected.submissions) == {("jana", "1-gap-equation"), ("pat", "2-transfer")}
    assert collected.blank == {("jana", "2-transfer"), ("kim", "1-gap-equation")}
    assert collected.students == {"jana", "kim", "pat"} and not collected.unread


# --- the roster

CANVAS_TABLE = (
    "Student,ID,SIS User ID,SIS Login ID,Section,1 GAP equation (4711),Final Score",
    "    Points Possible,,,,,25,(read only)",
    '"Müller, Jana",12345,S1,jana,A,,',
    '"O\'Brien, Pat",12346,S2,pat,A,,',
    '"Student, Test",99,,,A,,',
)
WORKSHEET = (
    '\ufeffIdentifier,"Full name","Email address",Status,Grade,"Last modified (submission)"',
    '"Participant 1234567","Jana Müller",jana@example.org,Submitted,,'
    '"Friday, 9 October 2026, 9:30 PM"',
    '"Participant 1234568","Pat O\'Brien",pat@example.org,Submitted,,-',
)


def test_a_roster_maps_names_numbers_and_logins_to_one_student(submitted, collect, tmp_path):
    github = (
        "identifier,github_username,github_id,name",
        "jana,octojana,1,",
        "pat@example.org,pat99,2,",
    )
    lines = {"canvas": CANVAS_TABLE, "moodle": WORKSHEET, "github": github}
    people = roster.read(write_tables(tmp_path / "tables", lines))
    assert [person.login for person in people.people] == ["jana", "pat"]
    for place in (
        "Jana Müller_1234567_assignsubmission_file_/a.ipynb",
        "Somebody Else_1234567_assignsubmission_file_/a.ipynb",
        "mullerjana_12345_67890_a.ipynb",
        "1-gap-equation-octojana/a.ipynb",
        "week1/JANA/a.ipynb",
        unicodedata.normalize("NFD", "Müller, Jana") + "/a.ipynb",
        "jana@example.org.ipynb",
        "S1/a.ipynb",
    ):
        shutil.rmtree(submitted)
        hand_in(submitted, place)
        collected = collect(submitted, people)
        assert set(collected.submissions) == {("jana", "1-gap-equation")}, place
        assert not collected.unread, place


def test_a_group_of_canvas_is_told_and_the_rest_of_the_class_is_read(submitted, collect, tmp_path):
    """Canvas names a group's file by the group, with the number of one of its students."""
    people = roster.read(table(tmp_path / "canvas.csv", *CANVAS_TABLE))
    group = "teamrot_12345_67894_2-transfer.ipynb"
    own = "müllerjana_12345_67890_1-gap-equation.ipynb"
    other = "obrienpat_LATE_12346_67891_1-gap-equation-1.ipynb"
    hand_in(submitted, group, own, other)
    collected = collect(submitted, people)
    assert set(collected.submissions) == {
        ("jana", "1-gap-equation"),
        ("jana", "2-transfer"),
        ("pat", "1-gap-equation"),
    }
    ((student, note),) = collected.notes
    assert student == "jana" and note.startswith(f"{group} was handed in as 'teamrot'")
    assert "put Canvas' list of the group set beside" in note
    assert "copy the marks" in note and not collected.unread
    # Without a table of students the group is one of its own.
    assert collect(submitted).students == {"teamrot_12345", "müllerjana_12345", "obrienpat_12346"}
    for place in (own, other):
        (submitted / place).unlink()
    assert collect(submitted, people).notes == collected.notes


def test_a_number_that_several_names_share_is_no_students(submitted, collect):
    hand_in(
        submitted, *(f"{name}_2026_10_x.ipynb" for name in ("jana", "pat")), "kim_2027_10_x.ipynb"
    )
    assert collect(submitted).students == {"jana_2026_10_x", "pat_2026_10_x", "kim_2027_10_x"}


@pytest.mark.parametrize(
    "name, given, is_own",
    [
        ("Ångström-Łukasz, Zoë", "angstromlukaszzoe", True),
        ("O'Brien, Siobhán", "obriensiobhan", True),
        ("Wu, Li", "wuli", True),
        ("Müller, Jürgen", "mullerjurgen", True),
        ("Müller, Jürgen", "schulzjürgen", True),
        ("Müller, Jürgen", "teamrot", False),
        ("李, 明", "李明", True),
    ],
)
def test_a_name_of_canvas_is_a_students_with_accents_and_without(name, given, is_own):
    assert owners.bears(roster.Person("x", {"name": name}), given) is is_own


def test_what_was_typed_in_is_told_as_that(submitted, collect, tmp_path):
    people = roster.read(table(tmp_path / "canvas.csv", *CANVAS_TABLE))
    hand_in(submitted, "müllerjana_12345_67890_1-gap-equation.ipynb")
    typed = "obrienpat_LATE_12346_text.html"
    online = "Jana Müller_1_assignsubmission_onlinetext_/onlinetext.html"
    hand_in(submitted, typed, data=b"")
    reason = "a text was typed in, and no notebook handed in"
    assert collect(submitted, people).unread == [("pat", typed, reason)]
    shutil.rmtree(submitted)
    hand_in(submitted, online, data=b"")
    assert collect(submitted, people).unread == [("jana", online, reason)]


def test_who_is_not_in_the_roster_is_listed_and_not_graded(submitted, collect, tmp_path):
    people = roster.read(table(tmp_path / "canvas.csv", *CANVAS_TABLE))
    hand_in(submitted, "jana/a.ipynb", "kim/a.ipynb")
    collected = collect(submitted, people)
    assert set(collected.submissions) == {("jana", "1-gap-equation")}
    ((student, place, reason),) = collected.unread
    assert (student, place) == ("", "kim/a.ipynb")
    assert reason.startswith("kim is no student in the roster: write the name, the login or")


NAMES = (
    "login,name,Matrikelnummer",
    "jm,Jürgen Müller,1234567",
    'pat,"O\'Brien, Pat",1234568',
    "ann,Anna-Lena Schmidt,1234569",
    "len,Lena Schmidt,1234570",
    "wang,王小明,1234571",
    "kim1,Kim Lee,1234572",
    "kim2,Lee Kim,1234573",
    "my,My Nguyen,1234574",
)


@pytest.mark.parametrize(
    "name, login",
    [
        ("Müller Jürgen - Assignment 1", "jm"),
        ("Müller, Jürgen - Assignment 1", "jm"),
        ("Jürgen_Müller_assignment1 (2)", "jm"),
        ("muller-jurgen-1-gap-equation", "jm"),
        ("Gap equation Müller Jürgen FINAL v2", "jm"),
        ("Copy of jürgen müller hw1", "jm"),
        ("jm_assignment1", "jm"),
        ("OBrien Pat Aufgabe 1", "pat"),
        ("Schmidt, Lena - Übung 1", "len"),
        ("Schmidt Anna Lena", "ann"),
        ("王小明 assignment1", "wang"),
        ("nguyen my 1", "my"),
        # Somebody else, as far as the roster says.
        ("Jürgen Karl Müller - Assignment 1", None),
        ("Müller - Assignment 1", None),
        ("Jürgen Müller and Pat Nobody", None),
        ("Assignment 1", None),
        ("1234", None),
        ("Kim Lee - Assignment 1", None),
    ],
)
@pytest.mark.parametrize("place", ["{}.ipynb", "{}/x.ipynb"])
def test_the_words_of_a_name_count_in_any_order(name, login, place, submitted, collect, tmp_path):
    people = roster.read(table(tmp_path / "students.csv", *NAMES))
    hand_in(submitted, place.format(name))
    collected = collect(submitted, people)
    assert {student for student, _ in collected.submissions} == ({login} if login else set())
    assert collected.students == ({login} if login else set())
    assert len(collected.unread) == (0 if login else 1)


def test_a_name_that_fits_two_students_is_listed_with_their_logins(submitted, collect, tmp_path):
    people = roster.read(table(tmp_path / "students.csv", *NAMES))
    hand_in(submitted, "lee_kim_hw1.ipynb")
    ((_, _, reason),) = collect(submitted, people).unread
    assert reason == "lee_kim_hw1 may be kim1 or kim2: write one of these in place of the name"
    shutil.rmtree(submitted)
    hand_in(submitted, "Kim Lee hw1/kim2.ipynb")
    assert collect(submitted, people).students == {"kim2"}


TEAM_WORKSHEET = (
    "Identifier,Full name,Email address,Group",
    "Participant 11,Jana Müller,jana@example.org,Team Rot",
    "Participant 12,Pat O'Brien,pat@example.org,Team Rot",
    "Participant 13,Kim Lee,kim@example.org,Default group",
)


@pytest.mark.parametrize(
    "places, folders",
    [
        (  # Before Moodle 4.1 each student of a group has a folder.
            [
                "Team Rot-Jana Müller_11_assignsubmission_file_/a.ipynb",
                "Team Rot-Pat O'Brien_12_assignsubmission_file_/a.ipynb",
                "Default group-Kim Lee_13_assignsubmission_file_/a.ipynb",
            ],
            ["Team Rot-Jana Müller_11", "Team Rot-Pat O'Brien_12", "Default group-Kim Lee_13"],
        ),
        (  # Now a group has one, with its own number, which may be that of a participant.
            [
                "Team Rot_13_assignsubmission_file/a.ipynb",
                "Default group_assignsubmission_file/a.ipynb",
            ],
            ["", "", ""],
        ),
    ],
)
def test_a_group_of_moodle_hands_in_for_each_of_its_students(
    places, folders, submitted, collect, tmp_path
):
    people = roster.read(table(tmp_path / "worksheet.csv", *TEAM_WORKSHEET))
    hand_in(submitted, *places)
    collected = collect(submitted, people)
    assert not collected.unread and not collected.notes
    found = {student: one for (student, _), one in collected.submissions.items()}
    logins = ["jana@example.org", "pat@example.org", "kim@example.org"]
    assert [found[login].group for login in logins] == ["Team Rot", "Team Rot", "Default group"]
    assert [found[login].moodle for login in logins] == folders


def test_a_name_with_a_hyphen_is_no_group(submitted, collect, tmp_path):
    people = roster.read(table(tmp_path / "students.csv", *NAMES))
    hand_in(submitted, "Anna-Lena Schmidt_11_assignsubmission_file_/a.ipynb")
    ((key, found),) = collect(submitted, people).submissions.items()
    assert key == ("ann", "1-gap-equation") and found.group == ""
    shutil.rmtree(submitted)
    hand_in(submitted, "Eva-Lena Schmidt_11_assignsubmission_file_/a.ipynb")
    assert not collect(submitted, people).submissions


def test_a_group_of_canvas_hands_in_for_all_that_its_list_names(submitted, collect, tmp_path):
    groups = (
        "name,canvas_user_id,user_id,login_id,sections,group_name,canvas_group_id,group_id",
        "Jana Müller,12345,S1,jana,A,Team Rot,7,",
        "Pat O'Brien,12346,S2,pat,A,Team Rot,7,",
    )
    lines = {"canvas": CANVAS_TABLE, "groups": groups}
    people = roster.read(write_tables(tmp_path / "tables", lines))
    assert [person.login for person in people.people] == ["jana", "pat"]
    own = "obrienpat_12346_67891_2-transfer.ipynb"
    hand_in(submitted, "teamrot_12345_67894_1-gap-equation.ipynb", own)
    collected = collect(submitted, people)
    assert {key: one.group for key, one in collected.submissions.items()} == {
        ("jana", "1-gap-equation"): "teamrot",
        ("pat", "1-gap-equation"): "teamrot",
        ("pat", "2-transfer"): "",
    }
    assert not collected.notes and collected.numbers == {"pat": "12346"}


def test_two_students_of_one_name_are_told_apart_by_their_numbers_or_refused(
    submitted, collect, tmp_path
):
    places = [f"Kim Lee_{number}_assignsubmission_file_/a.ipynb" for number in (11, 12)]
    hand_in(submitted, *places)
    collected = collect(submitted)
    assert not collected.submissions
    assert [line.place for line in collected.unread] == places
    assert "participant 11, participant 12 have one name" in collected.unread[0].reason
    rows = [f"Participant {number},Kim Lee,kim{number}@example.org" for number in (11, 12)]
    people = roster.read(table(tmp_path / "m.csv", "Identifier,Full name,Email address", *rows))
    logins = {student for student, _ in collect(submitted, people).submissions}
    assert logins == {"kim11@example.org", "kim12@example.org"}


@pytest.mark.parametrize(
    "text, message",
    [
        (b"a,b\n1,2\n", "names no student: its headings should be those"),
        (b"", "names no student"),
        (b"login\n\x81\n", "is not in UTF-8"),
        (b"login\n../x\n", "cannot be the name of a folder"),
        (b"login,name\njm,Jana M\nJM,Jan M\n", "'jm' to 'Jana M' and to 'Jan M'"),
        (b"Nachname;Vorname\nKim;Jo\nKim;Jo\n", "two rows for 'Jo Kim', without a login"),
        (
            b"Identifier,Full name\nParticipant 1,Jo Kim\nParticipant 2,Jo Kim\n",
            "two rows for 'Jo Kim', without a login, an address or a number: add a column",
        ),
    ],
)
def test_a_table_that_is_no_roster_is_refused(text, message, tmp_path):
    (tmp_path / "a.csv").write_bytes(text)
    with pytest.raises(RosterError, match=message):
        roster.read(tmp_path / "a.csv")


def test_tables_of_spreadsheets_are_read(tmp_path):
    """Excel writes semicolons in many countries, and UTF-16 as "Unicode text"."""
    text = "login;name\njana;Müller\n"
    for data in (text.encode("utf-8-sig"), codecs.BOM_UTF16_LE + text.encode("utf-16-le")):
        (tmp_path / "a.csv").write_bytes(data)
        assert roster.read(tmp_path / "a.csv").find(name="müller")[0].login == "jana"


@pytest.mark.parametrize(
    "text, names",
    [
        (
            "Matrikelnummer;Name;Vorname;E-Mail\n1;Müller;Jan;j@x.de\n2;Müller;Petra;p@x.de\n",
            {"j@x.de": "Jan Müller", "p@x.de": "Petra Müller"},
        ),
        ("sep=;\nlogin;name\njana;Jana Müller\n", {"jana": "Jana Müller"}),
        ("login,name,Gruppe\njo,Jo Kim,A\njo,Jo Kim,B\n", {"jo": "Jo Kim"}),
        ("Identifier,Status\nParticipant 7,\n", {"participant 7": None}),  # blind marking
    ],
)
def test_tables_of_a_registrar_keep_every_student(text, names, tmp_path):
    (tmp_path / "a.csv").write_text(text)
    people = roster.read(tmp_path / "a.csv").people
    assert {person.login: person.fields.get("name") for person in people} == names


WORKSHEETS = {
    "de": (
        'ID,"Vollständiger Name","ID-Nummer",E-Mail-Adresse,Status,"Zuletzt geändert (Abgabe)"',
        'Teilnehmer/in1234567,"Jana Müller",77,jana@example.org,Ja,'
        '"Freitag, 9. Oktober 2026, 21:30"',
    ),
    "fr": (
        'Identifiant,"Nom complet","Adresse de courriel",Statut,'
        '"Dernière modification (travail remis)"',
        'Participant1234567,"Jana Müller",jana@example.org,,"vendredi 9 octobre 2026, 21:30"',
    ),
    "es": (
        'Identificador,"Nombre completo","Dirección de correo",Estado,'
        '"Última modificación (entrega)"',
        '"Participante 1234567","Jana Müller",jana@example.org,,'
        '"viernes, 9 de octubre de 2026, 21:30"',
    ),
}


@pytest.mark.parametrize("language", WORKSHEETS)
def test_moodles_worksheet_is_read_in_other_languages(language, submitted, collect, tmp_path):
    hand_in(submitted, MOODLE[0])
    people = roster.read(table(tmp_path / "m.csv", *WORKSHEETS[language]))
    collected = collect(submitted, people)
    submission = collected.submissions["jana@example.org", "1-gap-equation"]
    local = datetime(2026, 10, 9, 21, 30).astimezone(UTC).replace(tzinfo=None)
    assert submission.time == local.isoformat() and not collected.unread
    points = {("jana@example.org", "2-transfer"): "21"}
    (first, jana), _ = returns.moodle_rows(people, "2-transfer", points)
    assert set(jana) >= {"Jana Müller", "jana@example.org", "21"} and len(first) == len(jana)


@pytest.mark.parametrize(
    "headings",
    [
        "Vorname,Nachname,Anmeldename,E-Mail-Adresse",
        "Prénom,Nom de famille,Nom d\u2019utilisateur,Adresse de courriel",
        "Nombre,Apellido(s),Nombre de usuario,Dirección de correo",
    ],
)
def test_moodles_participants_are_read_in_other_languages(headings, tmp_path):
    people = roster.read(table(tmp_path / "m.csv", headings, "Jana,Müller,jm,j@example.org"))
    for name in ("Müller Jana", "Jana Müller", "jm", "j@example.org"):
        assert [person.login for person in people.find(name=name)] == ["jm"]
    assert {"Jana", "Müller", "jm"} <= set(people.people[0].moodle_row.values())


@pytest.mark.parametrize(
    "text, moment",
    [
        ("Friday, 9 October 2026, 9:30 PM", datetime(2026, 10, 9, 21, 30)),
        ("Mittwoch, 13. März 2024, 10:15", datetime(2024, 3, 13, 10, 15)),
        ("Dienstag, 2. Dezember 2025, 10:37", datetime(2025, 12, 2, 10, 37)),
        ("mardi 4 août 2026, 00:05", datetime(2026, 8, 4, 0, 5)),
        ("miércoles, 5 de agosto de 2026, 23:59", datetime(2026, 8, 5, 23, 59)),
    ],
)
def test_moodles_dates_are_read_in_other_languages(text, moment, tmp_path):
    file = files.File(("a.ipynb",), tmp_path / "a.ipynb", 0)
    local = moment.astimezone(UTC).replace(tzinfo=None)
    assert lateness.time_handed_in(file, text) == local.isoformat()


def test_a_notebook_that_came_under_another_name_keeps_its_points(submitted, collect, tmp_path):
    """A week later the right place holds a notebook of the other assignment, on Canvas."""
    hand_in(submitted, "Jana Müller_1234567_assignsubmission_file_/abgabe.ipynb")
    people = roster.read(table(tmp_path / "moodle.csv", *WORKSHEET))
    earlier = collect(submitted, people).submissions
    (jana,) = earlier
    assert jana == ("jana@example.org", "1-gap-equation")

    shutil.rmtree(submitted)
    hand_in(submitted, "müllerjana_12345_67890_1-gap-equation.ipynb", data=solved("2-transfer"))
    canvas = roster.read(table(tmp_path / "canvas.csv", *CANVAS_TABLE))
    roster.recognise(canvas, {person.login: [person.fields] for person in people.people})
    collected = collect(submitted, canvas)
    counts = grading._what_counts(earlier, collected)
    assert set(counts) == {jana, ("jana@example.org", "2-transfer")}
    assert counts[jana].notebook == earlier[jana].notebook
    (line,) = collected.unread
    assert line.reason.endswith("The notebook of 1-gap-equation that was handed in earlier counts.")


REGISTRAR = (
    "Matrikelnummer;Nachname;Vorname;E-Mail;Studiengang",
    "S1;Müller;Jana;jana@example.org;Informatik",
    "S2;O'Brien;Pat;pat@example.org;Informatik",
)


@pytest.mark.parametrize(
    "weeks",
    [
        (["moodle"], ["canvas", "moodle"], ["canvas"]),
        (["registrar"], ["moodle"], ["canvas"]),
        (["canvas"], ["registrar"], ["moodle"], ["canvas", "moodle", "registrar"]),
    ],
)
def test_a_student_stays_one_whatever_tables_later_weeks_bring(weeks, tmp_path):
    """The second number of a student stands in no table that has the first."""
    lines = {"moodle": WORKSHEET, "canvas": CANVAS_TABLE, "registrar": REGISTRAR}
    year.make_gradebook(tmp_path)
    logins = set()
    for number, names in enumerate(weeks):
        folder = tmp_path / f"tables {number}"
        people = roster.read(write_tables(folder, {name: lines[name] for name in names}))
        roster.recognise(people, gradebook.known_students(tmp_path))
        gradebook.enrol(tmp_path, people.people)
        logins.add(tuple(person.login for person in people.people))
    assert len(logins) == 1
    (logins,) = logins
    assert set(gradebook.known_students(tmp_path)) == {*logins}
    # Years of earlier versions have the gradebook alone, with what its tables hold.
    year.known_path(tmp_path).unlink()
    roster.recognise(people, gradebook.known_students(tmp_path))
    assert tuple(person.login for person in people.people) == logins


def test_two_students_of_the_gradebook_who_are_one_can_be_made_one(tmp_path):
    year.make_gradebook(tmp_path)
    for name, lines in (("canvas", CANVAS_TABLE), ("registrar", REGISTRAR[:2])):
        path = table(tmp_path / f"{name}.csv", *(line.replace("S1", "") for line in lines))
        gradebook.enrol(tmp_path, roster.read(path).people)
    people = roster.read(table(tmp_path / "all.csv", "login,email", "jana,jana@example.org"))
    with pytest.raises(RosterError, match="several students .*: jana, jana@example.org;"):
        roster.recognise(people, gradebook.known_students(tmp_path))
    with year.open_gradebook(tmp_path) as book:
        book.remove_student("jana")
    roster.recognise(people, gradebook.known_students(tmp_path))
    assert [person.login for person in people.people] == ["jana@example.org"]


KNOWN = {
    "jana": [{"name": "Jana Müller", "email": "jana@example.org", "sis": "S1"}],
    "pat": [{"name": "Pat O'Brien", "email": "pat@example.org"}],
    "Kim Lee": [],
}


def recognised(*people):
    """The logins of students in a year that knows those of KNOWN, or what is wrong."""
    known_roster = Roster([roster.Person(fields["email"], fields) for fields in people])
    try:
        roster.recognise(known_roster, KNOWN)
    except RosterError as error:
        return str(error)
    return [person.login for person in known_roster.people]


def test_a_row_that_contradicts_what_the_year_knows_is_refused():
    def person(email, name="Jana Müller", **fields):
        return {"email": email, "name": name, **fields}

    assert recognised(person("new@example.org", sis="S1"), person("pat@example.org", "P. O")) == [
        "jana",
        "pat",
    ]
    assert recognised(person("kim@example.org", "Lee, Kim")) == ["Kim Lee"]
    assert recognised(person("x@example.org"), person("y@example.org")) == [
        "x@example.org",
        "y@example.org",
    ], "two of one name, of whom it is not said who is the earlier one"
    assert recognised(person("pat@example.org", sis="S1")) == (
        "the row of 'Jana Müller' (pat@example.org, S1) belongs to several students whom this year "
        "knows: jana, pat; correct its login, address or number, or remove one from the gradebook "
        "if they are one student (teachers.md says how)"
    )
    assert recognised(person("jana@example.org"), person("new@example.org", "J. M", sis="S1")) == (
        "the rows of 'Jana Müller' (jana@example.org) and of 'J. M' (new@example.org, S1) both "
        "belong to jana, whom this year knows: give each student a login, an address and a number "
        "of their own"
    )
    assert recognised(person("new@example.org")) == (
        "the row of 'Jana Müller' (new@example.org) has the name of jana, whom this year knows "
        "with 'jana@example.org': write that into the row if they are one student, or else a row "
        "for jana into the table"
    )


def test_a_row_that_connects_two_students_of_another_table_is_refused(tmp_path):
    table(tmp_path / "a.csv", *WORKSHEET)
    table(tmp_path / "b.csv", "email,login,ID number", "jana@example.org,jana,S1")
    table(tmp_path / "c.csv", "email,login", "pat@example.org,jana")
    message = (
        r"the row of 'jana' \(jana, pat@example.org\) belongs to two students of other tables, "
        r"'Jana Müller' \(jana, jana@example.org, S1\) and 'Pat O'Brien' \(pat@example.org\)"
    )
    with pytest.raises(RosterError, match=message.replace("'Pat O'Brien'", '"Pat O\'Brien"')):
        roster.read(tmp_path)


def test_the_tables_are_kept_for_later_calls(tmp_path):
    kept = tmp_path / "students"
    roster.keep(table(tmp_path / "old.csv", "login", "pat"), kept)
    people = roster.keep(table(tmp_path / "canvas.csv", *CANVAS_TABLE), kept)
    assert [path.name for path in kept.iterdir()] == ["canvas.csv"]
    logins = [person.login for person in roster.read(kept).people]
    assert logins == [person.login for person in people.people] == ["jana", "pat"]


# --- lateness


def test_the_time_comes_from_the_hub_or_from_moodle_and_late_from_canvas(
    submitted, collect, tmp_path
):
    hand_in(submitted, "jana/1-gap-equation/1-gap-equation.ipynb")
    receipt = submitted / "jana" / "1-gap-equation" / "timestamp.txt"
    receipt.write_text("2026-10-09 21:30:00.000000 UTC\n")
    submission = collect(submitted).submissions["jana", "1-gap-equation"]
    assert submission.time == "2026-10-09T21:30:00" and not submission.is_late

    shutil.rmtree(submitted)
    hand_in(submitted, *MOODLE)
    people = roster.read(table(tmp_path / "m.csv", *WORKSHEET))
    found = collect(submitted, people).submissions
    local = datetime(2026, 10, 9, 21, 30).astimezone(UTC).replace(tzinfo=None)
    assert found["jana@example.org", "1-gap-equation"].time == local.isoformat()
    assert found["pat@example.org", "1-gap-equation"].time == ""

    shutil.rmtree(submitted)
    hand_in(submitted, *LAYOUTS["Canvas"][0])
    found = collect(submitted).submissions
    assert [found[key].is_late for key in sorted(found)] == [False, True]


def test_a_due_date_is_read_as_it_is_written():
    assert lateness.parse_due("2026-10-09T23:59+02:00") == datetime(2026, 10, 9, 21, 59)
    assert lateness.parse_due("2026-10-09") == lateness.parse_due("2026-10-10 00:00")
    with pytest.raises(ValueError, match="friday"):
        lateness.parse_due("friday")


def test_lateness_costs_what_the_teachers_rule_says():
    due = datetime(2026, 10, 9, 22)

    def judge(time, is_late=False, rule=lambda student, points, seconds: points * seconds / 7200):
        return lateness.judge("jana", 8, {"time": time, "is_late": is_late}, due, rule)

    assert judge("2026-10-09T22:00:00") == ("", 0)
    assert judge("2026-10-09T23:30:00") == ("1.5 hours", 6)
    assert judge("2026-10-19T23:30:00") == ("241.5 hours", 8), "not below zero"
    assert judge("2026-10-09T23:30:00", rule=lambda *_: None) == ("1.5 hours", 0)
    assert judge("", is_late=True, rule=lambda student, points, seconds: seconds) == ("late", 1)
    assert judge("") == ("", 0)


@pytest.mark.parametrize(
    "due, time, is_late, told",
    [
        (datetime(2026, 10, 9), "", None, [grading.NO_TIME]),
        (datetime(2026, 10, 9), "", False, []),
        (datetime(2026, 10, 9), "2026-10-09T00:00:00", None, []),
        (None, "", None, []),
    ],
)
def test_work_whose_time_nobody_knows_is_told(due, time, is_late, told):
    """Canvas marks what is late, so what it does not mark is on time."""
    record = {"told": [], "points": {}, "time": time, "is_late": is_late, "late": lateness.Late()}
    assert grading.remarks_on(record, due) == told


def test_a_table_of_windows_is_read_and_told(tmp_path):
    path = table(tmp_path / "s.csv", "Name,Matrikelnummer", "Jörg Weiß,7", "Zoë Lefèvre,8")
    path.write_bytes(path.read_text(encoding="utf-8").encode("cp1252"))
    people = roster.read(tmp_path)
    assert [person.fields["name"] for person in people.people] == ["Jörg Weiß", "Zoë Lefèvre"]
    (note,) = people.notes
    assert note.startswith("s.csv is not in UTF-8: it was read as Western European")
    for data in (b"Name,login\nJ\xf6rg\0,7\n", b"Name,login\nJ\x81rg,7\n"):
        path.write_bytes(data)
        with pytest.raises(RosterError, match="is not in UTF-8: save it"):
            roster.read(path)


PAIR = ("name,login", '"Müller, Anna",anna', "Jörg Weiß,joerg", "Ina Ortega y Gasset,ina")


@pytest.mark.parametrize(
    "place, logins",
    [
        ("Weiß_Jörg/x.ipynb", {"joerg"}),
        ("Müller, Anna & Weiß, Jörg/1-gap-equation.ipynb", {"anna", "joerg"}),
        ("Anna Müller und Jörg Weiß/x.ipynb", {"anna", "joerg"}),
        ("anna+joerg/Anna Müller.ipynb", {"anna", "joerg"}),
        ("Anna_Müller_and_Jörg_Weiß.ipynb", {"anna", "joerg"}),
        ("Ina Ortega y Gasset/x.ipynb", {"ina"}),
        ("Anna Müller und Max/x.ipynb", set()),
        ("Anna Müller & Müller Anna/x.ipynb", {"anna"}),
    ],
)
def test_students_whose_names_stand_together_hand_in_for_each(
    place, logins, submitted, collect, tmp_path
):
    hand_in(submitted, place)
    collected = collect(submitted, roster.read(table(tmp_path / "s.csv", *PAIR)))
    assert {student for student, _ in collected.submissions} == logins
    assert bool(collected.unread) == (not logins)


def test_work_in_another_activity_of_moodle_is_told_and_goes_back_to_none(submitted, collect):
    """Moodle skips a page whose number is another activity's."""
    places = [f"Jana {n}_{n}_assignsubmission_file_/2-transfer.ipynb" for n in range(3)]
    wrong = "Pat_77_assignsubmission_file_/work.ipynb"
    hand_in(submitted, *places, wrong)
    collected = collect(submitted)
    told = collected.submissions["Pat", "1-gap-equation"]
    assert told.moodle == "" and told.remarks == [
        collecting.ELSEWHERE.format("1-gap-equation", "2-transfer")
    ]
    assert collected.submissions["Jana 1", "2-transfer"].moodle == "Jana 1_1"
    # Of two downloads in one folder each has numbers of its own.
    hand_in(submitted, "Jana 1_9_assignsubmission_file_/1-gap-equation.ipynb")
    assert collect(submitted).submissions["Pat", "1-gap-equation"].remarks == []


# --- what goes back


def test_marks_go_back_as_canvas_exports_them(tmp_path):
    """Canvas reads Student, ID, SIS User ID, SIS Login ID, Section, then the assignments.

    The heading of an assignment keeps Canvas' number, and the row after it the possible points.
    """
    people = roster.read(table(tmp_path / "canvas.csv", *CANVAS_TABLE))
    most = {"1-gap-equation": 25, "2-transfer": 25}
    rows = list(returns.canvas_rows(people, most, {("jana", "1-gap-equation"): "21"}))
    assert rows == [
        [
            "Student",
            "ID",
            "SIS User ID",
            "SIS Login ID",
            "Section",
            "1 GAP equation (4711)",
            "2-transfer",
        ],
        ["    Points Possible", "", "", "", "", "25", "25"],
        ["Müller, Jana", "12345", "S1", "jana", "A", "21", ""],
    ]


def test_a_mark_that_only_canvas_has_goes_back_as_it_is(tmp_path):
    """Canvas takes an empty cell for a mark that was taken back."""
    *_, pat, _ = CANVAS_TABLE
    older = pat.replace("S2,pat,A,", "S2,pat,A,3")
    newer = pat.replace("S2,pat,A,", "S2,pat,A,17.5")
    lines = {
        f"{day}_Grades": (*CANVAS_TABLE[:3], row)
        for day, row in (("2026-10-02", older), ("2026-10-09", newer))
    }
    people = roster.read(write_tables(tmp_path / "tables", lines))
    most = {"1-gap-equation": 25, "2-transfer": 25}
    *_, jana, pat = returns.canvas_rows(people, most, {("jana", "2-transfer"): "21"})
    assert jana[5:] == ["", "21"] and pat[5:] == ["17.5", ""]


def test_marks_go_back_with_the_columns_by_which_moodle_finds_a_student(tmp_path):
    """Moodle's import maps a column to the address, the ID number or the user name."""
    people = roster.read(table(tmp_path / "moodle.csv", *WORKSHEET))
    points = {("pat@example.org", "2-transfer"): "9.5"}
    assert returns.moodle_rows(people, "2-transfer", points) == (
        [["Full name", "Email address", "2-transfer"], ["Pat O'Brien", "pat@example.org", "9.5"]],
        [],
    ), "Moodle takes an empty cell for a mark that was taken back"


def test_every_row_for_moodle_has_an_identifier(tmp_path):
    """Moodle gives a row without one to the student of the row before."""
    rows = (*REGISTRAR, "S3;Lee;Kim;;Informatik")
    people = roster.read(table(tmp_path / "registrar.csv", *rows))
    points = {
        ("jana@example.org", "2-transfer"): "21",
        ("S3", "2-transfer"): "9",
        ("pat@example.org", "1-gap-equation"): "0",
    }
    assert returns.moodle_rows(people, "2-transfer", points) == (
        [
            ["Vorname", "Nachname", "Full name", "ID number", "Email address", "2-transfer"],
            ["Jana", "Müller", "Jana Müller", "S1", "jana@example.org", "21"],
        ],
        ["S3"],
    )
    (tmp_path / "moodle.csv").write_text("of an earlier version")
    most = {"1-gap-equation": 25, "2-transfer": 25, "3-cam": 30}
    assert returns.write_marks(tmp_path, people, most, points) == ["S3"]
    written = sorted(path.name for path in (tmp_path / "moodle-marks").iterdir())
    assert written == ["1-gap-equation.csv", "2-transfer.csv"]
    assert not (tmp_path / "moodle.csv").exists()
    returns.write_marks(tmp_path, people, most, {})
    assert not [*(tmp_path / "moodle-marks").iterdir()], "a mark that is no longer final"


def moodle_reads(name, numbers):
    """Return (number, file) as Moodle's bulk upload takes a name in a zip apart, or None.

    That is `is_valid_filename_for_import` of mod/assign/feedback/file/importziplib.php: the parts
    of a folder's name between underscores are the full name, the number, the kind and name of the
    plugin, and a rest that may be empty.
    """
    parts = name.split("/")
    while parts:
        info = parts.pop(0).split("_", 4)
        if len(info) < 4 or info[1] not in numbers or info[2:4] != ["assignsubmission", "file"]:
            continue
        rest = [part for part in (*info[4:], *parts) if part]
        return info[1], "/".join(rest)
    return None


def test_feedback_goes_back_as_moodles_bulk_upload(tmp_path):
    for student in ("jana", "pat"):
        page = year.feedback_path(tmp_path, "1-gap-equation", student)
        page.parent.mkdir(parents=True)
        page.write_text(student)
    starts = {"jana": "Müller Jana_1234567", "pat": "OBrien Pat_1234568"}
    path = returns.write_moodle_feedback(tmp_path, "1-gap-equation", starts)
    with zipfile.ZipFile(path) as archive:
        found = {
            moodle_reads(name, ["1234567", "1234568"]): archive.read(name)
            for name in archive.namelist()
        }
    assert found == {
        ("1234567", "1-gap-equation.html"): b"jana",
        ("1234568", "1-gap-equation.html"): b"pat",
    }


def test_excel_sees_that_a_table_is_in_utf_8(tmp_path):
    tables.write_csv(tmp_path / "a.csv", [["Müller"]], tables.FOR_EXCEL)
    assert (tmp_path / "a.csv").read_bytes() == codecs.BOM_UTF8 + "Müller\r\n".encode()


def test_a_table_is_read_as_it_was_written(tmp_path):
    """Else changes.csv, to which each call adds, would gain an apostrophe at each."""
    rows = [["=1+1", "'@ben", "-", "6 - 1"]]
    tables.write_csv(tmp_path / "a.csv", rows)
    assert tables.read_csv(tmp_path / "a.csv") == rows
    assert read_rows(tmp_path / "a.csv") == [["'=1+1", "''@ben", "'-", "6 - 1"]]


# --- from end to end, on a tiny assignment

RULE = """
from nbgrader.plugins import BasePlugin

class HalfAPointAnHour(BasePlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return total_seconds_late / 7200

c.AssignLatePenalties.plugin_class = HalfAPointAnHour
"""


def test_a_download_is_graded_and_goes_back(tmp_path, capsys):
    folder = tmp_path / "year"
    folder.mkdir()
    nbformat.write(tiny(), folder / "1-tiny.ipynb")
    settings = (sources.HERE / "nbgrader_config.py").read_text(encoding="utf-8")
    (folder / "nbgrader_config.py").write_text(settings + RULE, encoding="utf-8")
    release(folder, 2026, [folder / "1-tiny.ipynb"])
    notebook = answered(nbformat.read(year.released_path(folder, "1-tiny"), as_version=4))

    submitted = tmp_path / "submitted"
    data = nbformat.writes(notebook).encode()
    hand_in(submitted, MOODLE[0].replace("1-gap-equation", "1-tiny"), data=data)
    hand_in(submitted, "O'Brien Pat_1234568_assignsubmission_file_/1-tiny.pdf", data=b"%PDF")
    students = table(tmp_path / "worksheet.csv", *WORKSHEET)

    def call(*arguments):
        cli.main(["--folder", str(folder), "grade", *map(str, arguments)])

    archive = pack(submitted, tmp_path / "download.zip")
    with pytest.raises(SystemExit) as ended:
        call(archive, "--students", students, "--due", "1-tiny=2026-10-09T20:30")
    place = "O'Brien Pat_1234568_assignsubmission_file_/1-tiny.pdf"
    assert ended.value.code == (
        "error: 1 file was not understood:\n"
        f"  pat@example.org: {place}: it is not a notebook (.ipynb)"
    )
    assert (folder / "grades.csv").read_bytes().startswith(codecs.BOM_UTF8)
    assert ["Müller", "", "jana@example.org", "", "3.5", "1.0 hours", "1"] in [
        [row[0].split()[-1], *row[1:]] for row in read_rows(folder / "grades.csv")
    ]
    # What a person has still to read is no mark, and is told.
    assert not (folder / "moodle-marks").exists()
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == (
        "1-tiny: answers still to be read in Formgrader: 1; marks that are not final until then, "
        "and in no table for a platform: 1"
    )
    assert not (folder / "canvas.csv").exists()
    with zipfile.ZipFile(folder / "moodle-feedback" / "1-tiny.zip") as packed:
        (name,) = packed.namelist()
        page = packed.read(name).decode()
    assert name == "Müller Jana_1234567_assignsubmission_file_/1-tiny.html"
    assert "It was handed in 1.0 hours late: 0.5 points are taken off." in page
    remarks = read_rows(folder / "remarks.csv")
    assert ["pat@example.org", "", f"{place}: it is not a notebook (.ipynb)"] in remarks

    # Without the table of students, which was kept, and without the file that nobody can read.
    (submitted / place).unlink()
    with year.open_gradebook(folder) as book:
        answer = book.find_grade("why", "1-tiny", "1-tiny", "jana@example.org")
        answer.manual_score, answer.needs_manual_grade = 2, False
        book.db.commit()
    call()
    assert read_rows(folder / "moodle-marks" / "1-tiny.csv")[1][-1] == "5.5"
    call(submitted, "--due", "1-tiny=2026-10-09T21:30")
    marks = [
        ["Full name", "Email address", "1-tiny"],
        ["Jana Müller", "jana@example.org", "6"],
    ]
    assert read_rows(folder / "moodle-marks" / "1-tiny.csv") == marks
    assert "answers still to be read" not in capsys.readouterr().out
    (submitted / "empty").mkdir()
    with pytest.raises(SystemExit, match="holds no notebook"):
        call(submitted / "empty")

    # Another platform's table has no address: its students are the same nevertheless.
    students = table(tmp_path / "canvas.csv", *CANVAS_TABLE)
    with pytest.raises(SystemExit, match="holds no notebook"):
        call(submitted / "empty", "--students", students)
    *_, jana = read_rows(folder / "canvas.csv")
    assert jana == ["Müller, Jana", "12345", "S1", "jana", "A", "6"]
    assert [row[2] for row in read_rows(folder / "grades.csv")] == [
        "SIS Login ID",
        "jana@example.org",
        "pat@example.org",
    ]
    # A table that contradicts what the year knows displaces no other.
    wrong = table(tmp_path / "wrong.csv", "email,login", "pat@example.org,jana")
    with pytest.raises(SystemExit, match="belongs to several students whom this year knows"):
        call(submitted / "empty", "--students", wrong)
    assert [path.name for path in (folder / "students").iterdir()] == ["canvas.csv"]


def test_another_year_that_is_there_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli, "_default_folder", lambda seed: tmp_path / str(seed))
    (tmp_path / "2032").mkdir()
    (tmp_path / "2032" / "gradebook.db").write_text("")
    with pytest.raises(SystemExit):
        cli.main(["grade", str(tmp_path)])
    assert (
        "2026 holds no gradebook: make course SEED=2026 makes it, and there is one of 2032: make "
        "grade … SEED=2032"
    ) in capsys.readouterr().err


def test_the_command_line_refuses_what_it_cannot_use(tmp_path, capsys):
    folder = tmp_path / "year"
    (folder / "release" / "1-tiny").mkdir(parents=True)
    (folder / "gradebook.db").write_text("")
    for arguments, message in (
        ([tmp_path / "none"], "is not a folder or .zip file"),
        ([], "nothing has been graded yet: name what the platform gave you"),
        ([tmp_path, "--students", tmp_path / "none.csv"], "none.csv does not exist"),
        ([tmp_path, "--due", "2-x=2026-10-09"], "--due 2-x: there are 1-tiny"),
        ([tmp_path, "--due", "1-tiny=friday"], "is not like 3-cam=2026-10-09T23:59"),
    ):
        with pytest.raises(SystemExit):
            cli.main(["--folder", str(folder), "grade", *map(str, arguments)])
        assert message in capsys.readouterr().err
