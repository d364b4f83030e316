"""The graded course: right answers get full marks, wrong ones lose theirs.

Nothing that is handed in breaks the grading.
"""

import ast
import base64
import copy
import csv
import functools
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import checks
import nbformat
import numpy as np
import pytest
from bs4 import BeautifulSoup
from course import (
    cli,
    feedback,
    files,
    gradebook,
    grading,
    guide,
    isolation,
    limits,
    proof,
    similarity,
    sources,
    submissions,
    year as year_folder,
)
from course.gradebook import Score
from course.marks import mark
from course.release import release
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = sources.HERE / "course"
ASSIGNMENTS = [path.stem for path in sources.assignments()]


COMMAND = [sys.executable, "-m", "course"]


def command_environment():
    """The environment in which COMMAND can be called, as the Makefile makes it."""
    folders = [str(sources.HERE), str(ROOT / "notebooks" / "site")]
    if os.environ.get("PYTHONPATH"):
        folders.append(os.environ["PYTHONPATH"])
    return os.environ | {"PYTHONPATH": os.pathsep.join(folders)}


# --- the package


def imported_modules(path):
    """The modules of the course's package that a file of it imports, wherever in the file."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            modules.update(name.removeprefix("course.") for name in names if "course." in name)
        elif isinstance(node, ast.ImportFrom) and node.module == "course":
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module.startswith("course."):
            modules.add(node.module.removeprefix("course."))
    return modules


def test_no_module_of_the_course_imports_itself_through_others():
    remaining = {path.stem: imported_modules(path) for path in PACKAGE.glob("*.py")}
    assert remaining["cli"] and remaining["_child"]
    while remaining:
        lowest = [name for name, modules in remaining.items() if not modules & set(remaining)]
        assert lowest, f"an import cycle among {sorted(remaining)}"
        for name in lowest:
            del remaining[name]


def test_the_course_neither_edits_the_path_nor_forks_with_a_function():
    """`preexec_fn` can deadlock where a process has threads, as grading has."""
    for path in [*PACKAGE.glob("*.py"), *sources.HERE.glob("*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        attributes = {
            ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)
        }
        keywords = {node.arg for node in ast.walk(tree) if isinstance(node, ast.keyword)}
        assert "sys.path" not in attributes and "preexec_fn" not in keywords, path.name


def test_the_command_line_says_what_it_can_do_and_what_is_missing(tmp_path):
    def call(*arguments):
        return subprocess.run(
            [*COMMAND, *arguments], env=command_environment(), capture_output=True, text=True
        )

    helped = call("--help")
    assert helped.returncode == 0
    assert all(command in helped.stdout for command in ("build", "prove", "grade"))
    refused = call("--folder", str(tmp_path), "--seed", "2031", "grade", str(tmp_path))
    assert refused.returncode == 2
    assert "holds no gradebook: make course SEED=2031 makes it" in refused.stderr


def test_some_assignments_can_be_proved_alone(monkeypatch, capsys):
    proved = []
    monkeypatch.setattr(proof, "prove", lambda name, seed: proof.Proof([name], {}))
    monkeypatch.setattr(
        proof, "prove_by_nbgrader", lambda name, prices, seed: proved.append((name, seed))
    )
    cli.main(["--seed", "7", "prove", "3", "5-localization"])
    assert proved == [("3-cam", 7), ("5-localization", 7)]
    cli.main(["prove"])
    assert [name for name, _ in proved[2:]] == ASSIGNMENTS
    with pytest.raises(SystemExit):
        cli.main(["prove", "3", "7"])
    assert "there is no assignment 7: there are 1-gap-equation" in capsys.readouterr().err


# --- grading, on a tiny assignment: two functions and an answer


def marked(cell, **mark):
    cell.metadata["nbgrader"] = {
        "schema_version": 3,
        "grade_id": cell.id,
        "grade": False,
        "solution": False,
        "locked": False,
        "task": False,
    } | mark
    return cell


def tiny():
    hidden = "### BEGIN HIDDEN TESTS\n{}\n### END HIDDEN TESTS"
    solved = "def {}(x):\n    ### BEGIN SOLUTION\n    return {}\n    ### END SOLUTION"
    checks = {
        "one": "TOKEN = 'hush'\nassert one(41) == 42",
        "two": "sum(two(n) == 2 * n for n in range(3, 7)) / 2",
    }
    answer = "### BEGIN SOLUTION\nBecause.\n### END SOLUTION"
    parameters = marked(new_code_cell("SEED = 2026", id="parameters"), locked=True)
    parameters.metadata["tags"] = ["parameters"]
    return new_notebook(
        cells=[
            new_markdown_cell("# Tiny: what is two?", id="title"),
            parameters,
            marked(new_code_cell(solved.format("one", "x + 1"), id="one"), solution=True),
            marked(
                new_code_cell(
                    "import checks\nassert one(1) == 2\n" + hidden.format(checks["one"]),
                    id="check-one",
                ),
                grade=True,
                locked=True,
                points=2,
            ),
            marked(new_code_cell(solved.format("two", "2 * x"), id="two"), solution=True),
            marked(
                new_code_cell(
                    "import checks\nassert two(1) == 2\n" + hidden.format(checks["two"]),
                    id="check-two",
                ),
                grade=True,
                locked=True,
                points=2,
            ),
            marked(new_markdown_cell(answer, id="why"), grade=True, solution=True, points=3),
        ],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        },
    )


GOOD = {
    "one": "def one(x):\n    return x + 1",
    "two": "def two(x):\n    return 2 * x",
    "why": "The sums swap.",
}
WRONG = "def one(x):\n    return x"
LOOP = "def one(x):\n    while True: pass"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A course's folder with the tiny assignment released, 5 seconds of computing for a cell."""
    folder = tmp_path_factory.mktemp("course")
    source = folder / "1-tiny.ipynb"
    nbformat.write(tiny(), source)
    config = (sources.HERE / "nbgrader_config.py").read_text()
    assert config.count("timeout = 30") == 1
    (folder / "nbgrader_config.py").write_text(config.replace("timeout = 30", "timeout = 5"))
    release(folder, 2026, [source])
    return folder


@pytest.fixture
def folder_copy(folder, tmp_path_factory):
    """A copy of the course's folder, which a test may change."""
    return Path(shutil.copytree(folder, tmp_path_factory.mktemp("course") / "copy"))


@pytest.fixture(scope="module")
def released(folder):
    return nbformat.read(folder / "release" / "1-tiny" / "1-tiny.ipynb", as_version=4)


def answered(released, **answers):
    return sources.with_sources(released, GOOD | answers)


def cell(notebook, name):
    return next(i for i, one in enumerate(notebook.cells) if one.id == name)


def without(notebook, name):
    del notebook.cells[cell(notebook, name)]
    return notebook


def with_cell(notebook, name, source):
    """The notebook with a cell of the student's own before the cell `name`."""
    notebook.cells.insert(cell(notebook, name), new_code_cell(source))
    return notebook


def twice(notebook, name):
    notebook.cells.insert(cell(notebook, name), copy.deepcopy(notebook.cells[cell(notebook, name)]))
    return notebook


def as_text(notebook, name):
    """The notebook with this code cell made a Markdown cell."""
    old = notebook.cells[cell(notebook, name)]
    notebook.cells[cell(notebook, name)] = new_markdown_cell(
        old.source, id=old.id, metadata=old.metadata
    )
    return notebook


def unmarked(notebook):
    for one in notebook.cells:
        one.metadata.pop("nbgrader", None)
    return notebook


def answer_one(body, imports=""):
    """Return what hands in a function `one` with this body, right but for what it does besides."""
    source = f"{imports}\ndef one(x):\n    {body}\n    return x + 1"

    def hand_in(released):
        return answered(released, one=source)

    return hand_in


# The limit of the submissions below: low, so that none takes much.
MEMORY = 3 << 30
LIMITS = (
    f"assert resource.getrlimit(resource.RLIMIT_AS) == ({MEMORY}, {MEMORY})\n"
    f"    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == {limits.FILE_SIZE}"
)

# name: (what is handed in, points of check-one and check-two, what a remark must say)
HANDED_IN = {
    "good": (lambda r: answered(r), (2, 2), None),
    "half right": (
        lambda r: answered(r, two="def two(x):\n    return 2 * x if x < 5 else 0"),
        (2, 1),
        None,
    ),
    "prints on standard error": (
        answer_one("print('W0000 oneDNN', file=sys.stderr)", "import sys"),
        (2, 2),
        None,
    ),
    "C prints on standard error": (
        answer_one(r"os.write(2, b'E0000 cuda_dnn.cc\n')", "import os"),
        (2, 2),
        None,
    ),
    "warns": (answer_one("warnings.warn('deprecated')", "import warnings"), (2, 2), None),
    "syntax error": (lambda r: answered(r, one="def one(x)\n    return x + 1"), (0, 2), None),
    "endless loop": (
        lambda r: answered(r, one=LOOP),
        (0, 2),
        "check-one ran longer",
    ),
    "sys.exit": (answer_one("sys.exit()", "import sys"), (0, 2), r"ends Python with exit\(\)"),
    "exit in a cell": (
        lambda r: with_cell(
            with_cell(answered(r), "two", "exit()"), "two", "import time; time.sleep(1)"
        ),
        (2, 2),
        None,
    ),
    "exit in an answer": (answer_one("exit()"), (2, 2), None),
    "killed kernel": (
        answer_one("os.kill(os.getpid(), 9)", "import os"),
        (0, 2),
        "check-one ended the Python process",
    ),
    "os._exit in a cell": (
        lambda r: with_cell(answered(r), "two", "import os; os._exit(0)"),
        (2, 2),
        "A cell of yours ended the Python process",
    ),
    "deaf loop": (
        answer_one("while True:\n        try: pass\n        except: pass"),
        (0, 2),
        "check-one ran longer",
    ),
    "many endless loops": (
        lambda r: with_cell(with_cell(answered(r, one=LOOP), "two", "one(1)"), "two", "one(2)"),
        (0, 2),
        "A cell of yours ran longer",
    ),
    "elsewhere": (
        lambda r: with_cell(
            with_cell(answered(r), "one", "%cd -q /"), "one", "import os; os.chdir('/tmp')"
        ),
        (2, 2),
        None,
    ),
    "names of builtins": (
        lambda r: with_cell(answered(r), "one", "sum = range = 0\nfrom numpy import *"),
        (2, 2),
        None,
    ),
    "names that look for tests": (
        answer_one(
            '"""See 01-gap-equation.ipynb."""\n    for _i in range(2): gc = _i\n    __main__ = gc',
            "import gc, inspect",
        ),
        (2, 2),
        None,
    ),
    "other checks": (
        lambda r: with_cell(
            answered(r, one=WRONG), "check-one", "import checks; checks.agree = print"
        ),
        (0, 2),
        "A cell of yours: It replaces functions of libraries.*checks.agree",
    ),
    "shows a result": (
        answer_one("get_ipython().displayhook(2)\n    return x"),
        (0, 2),
        None,
    ),
    "memory at once": (answer_one("bytearray(200 << 30)"), (0, 2), "more memory"),
    "memory bit by bit": (
        answer_one("a = []\n    while True: a.append(bytes(64 << 20))"),
        (0, 2),
        "more memory",
    ),
    "prints without end": (
        answer_one("while True: print('x' * 10000)"),
        (0, 2),
        "printed without end",
    ),
    "deleted test": (
        lambda r: without(answered(r, one=WRONG), "check-one"),
        (0, 2),
        "check-one had been deleted",
    ),
    "deleted answer": (
        lambda r: without(answered(r), "one"),
        (0, 2),
        "one had been deleted: no answer was found",
    ),
    "easier test": (
        lambda r: sources.with_sources(answered(r, one=WRONG), {"check-one": "pass"}),
        (0, 2),
        "check-one had been changed",
    ),
    "another seed": (
        lambda r: answered(r, parameters="SEED = 1"),
        (2, 2),
        "parameters had been changed",
    ),
    "test twice": (lambda r: twice(answered(r, one=WRONG), "check-one"), (0, 2), None),
    "answer twice": (lambda r: twice(answered(r), "one"), (2, 2), None),
    "test as text": (lambda r: as_text(answered(r), "check-one"), (2, 2), None),
    "no marks": (lambda r: unmarked(answered(r)), (2, 2), None),
    "empty file": (lambda r: "", (0, 0), "empty or damaged"),
    "no notebook": (lambda r: "hello", (0, 0), "empty or damaged"),
    "looks for tests": (
        answer_one("assert not glob.glob('**/*.ipynb', recursive=True)", "import glob"),
        (2, 2),
        None,
    ),
    "lists files": (
        answer_one("assert os.listdir() == ['checks.py'], os.listdir()", "import os"),
        (2, 2),
        None,
    ),
    "looks for the gradebook": (answer_one("open('../gradebook.db')"), (0, 2), None),
    "reads In": (answer_one("assert 'hu' + 'sh' not in str(In) + str(globals())"), (2, 2), None),
    "asks the network": (
        answer_one("urllib.request.urlopen('http://example.com')", "import urllib.request"),
        (0, 2),
        "asks for the network",
    ),
    "runs within limits": (answer_one(LIMITS, "import resource"), (2, 2), None),
    "looks at the test": (
        answer_one("sys._getframe(1).f_locals", "import sys"),
        (0, 2),
        "check-one looks at the program that grades it",
    ),
    "looks for the test by its name": (
        answer_one("assert '__test__' not in globals()"),
        (2, 2),
        None,
    ),
    "imports the course": (answer_one("import course"), (0, 2), None),
    "leaves a daemon": (
        answer_one(
            "subprocess.Popen(['sleep', '4242'], start_new_session=True)", "import subprocess"
        ),
        (2, 2),
        None,
    ),
    "a name: with 'spaces' & ü": (lambda r: answered(r), (2, 2), None),
    "=1+1": (lambda r: answered(r), (2, 2), None),
}


@pytest.fixture(scope="module")
def graded(folder, released, tmp_path_factory):
    """The folder with all of HANDED_IN graded."""
    submitted = tmp_path_factory.mktemp("submitted")
    for student, (make, *_) in HANDED_IN.items():
        path = submitted / student / "1-tiny.ipynb"
        path.parent.mkdir()
        made = make(copy.deepcopy(released))
        path.write_text(made if isinstance(made, str) else nbformat.writes(made))
    graded = Path(shutil.copytree(folder, tmp_path_factory.mktemp("course") / "graded"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "MEMORY", MEMORY)
        grading.grade(graded, submitted)
    return graded


@pytest.fixture
def graded_copy(graded, tmp_path_factory):
    """A copy of the graded folder, which a test may change."""
    return Path(shutil.copytree(graded, tmp_path_factory.mktemp("course") / "copy"))


def rows(folder):
    """{login: points} in grades.csv."""
    return {row[2].removeprefix("'"): row[4] for row in table(folder / "grades.csv")[1:]}


def table(path):
    with open(path, newline="", encoding="utf-8-sig") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("student", HANDED_IN)
def test_whatever_is_handed_in_ends_in_a_mark_and_a_line(graded, student):
    _, expected, pattern = HANDED_IN[student]
    scores = gradebook.scores(graded, "1-tiny", student)
    remarks = [
        remark
        for name, _, remark in table(graded / "remarks.csv")[1:]
        if name.removeprefix("'") == student
    ]
    assert (scores["check-one"].points, scores["check-two"].points) == expected, remarks
    if pattern:
        assert re.search(pattern, " ".join(remarks))
    else:
        assert not remarks
    assert float(rows(graded)[student]) == sum(expected)
    page = (graded / "feedback" / student / "1-tiny" / "1-tiny.html").read_text(encoding="utf-8")
    text = BeautifulSoup(page, "html.parser").get_text()
    assert f"{sum(expected):g} of 7 points" in text
    assert "hush" not in text, "a hidden test"
    text = re.sub(r"\s+", " ", text)
    assert all(re.sub(r"\s+", " ", remark) in text for remark in remarks)


def test_nothing_that_a_student_started_goes_on(graded):
    assert subprocess.run(["pgrep", "-f", "sleep 424" + "2"]).returncode == 1


def test_what_is_graded_stays_so_until_it_changes_or_a_person_grades(
    graded_copy, released, tmp_path, monkeypatch
):
    for student in ("good", "half right"):
        path = tmp_path / student / "1-tiny.ipynb"
        path.parent.mkdir()
        nbformat.write(HANDED_IN[student][0](copy.deepcopy(released)), path)
    graded_now = []
    grade_one = isolation.grade_one

    def recorded(folder, assignment, student):
        graded_now.append(student)
        return grade_one(folder, assignment, student)

    monkeypatch.setattr(isolation, "grade_one", recorded)
    grading.grade(graded_copy, tmp_path)
    assert graded_now == [], "both were graded before"

    with year_folder.open_gradebook(graded_copy) as book:
        answer = book.find_grade("why", "1-tiny", "1-tiny", "good")
        answer.manual_score, answer.needs_manual_grade = 2.5, False
        book.find_comment("why", "1-tiny", "1-tiny", "good").manual_comment = "*Which* sums?"
        book.db.commit()
    grading.grade(graded_copy, tmp_path)
    assert graded_now == [] and (rows(graded_copy)["good"], rows(graded_copy)["half right"]) == (
        "6.5",
        "3",
    )
    assert set(rows(graded_copy)) >= set(HANDED_IN), "who was graded before keeps a row"
    page = (graded_copy / "feedback" / "good" / "1-tiny" / "1-tiny.html").read_text(
        encoding="utf-8"
    )
    assert "2.5 of 3 points" in page and "Comment: *Which* sums?" in page

    path = tmp_path / "half right" / "1-tiny.ipynb"
    nbformat.write(answered(released), path)
    grading.grade(graded_copy, tmp_path)
    assert graded_now == ["half right"] and rows(graded_copy)["half right"] == "4"

    older = path.stat().st_mtime - 3600
    nbformat.write(answered(released, one=WRONG), path)
    os.utime(path, (older, older))
    ((_, note),) = grading.grade(graded_copy, tmp_path).notes
    assert note.startswith("1-tiny.ipynb is older than the notebook that was graded before.")
    assert graded_now == ["half right"] and rows(graded_copy)["half right"] == "4"

    (tmp_path / "good" / "1-tiny.ipynb").write_text("saved half")
    grading.grade(graded_copy, tmp_path)
    assert rows(graded_copy)["good"] == "6.5", "a damaged file displaces no notebook"


def test_what_a_person_has_read_is_read_again_only_where_it_has_changed(
    folder_copy, released, tmp_path
):
    """nbgrader asks for all again that a person has graded, whatever was handed in."""
    path = tmp_path / "kim" / "1-tiny.ipynb"
    path.parent.mkdir()

    def grade(again=False, **answers):
        nbformat.write(answered(released, **answers), path)
        grading.grade(folder_copy, tmp_path, again=again)
        with year_folder.open_gradebook(folder_copy) as book:
            (notebook,) = book.find_submission("1-tiny", "kim").notebooks
            return {grade.name for grade in notebook.grades if grade.needs_manual_grade}

    assert grade() == {"why"}
    with year_folder.open_gradebook(folder_copy) as book:
        for name in ("check-one", "why"):
            step = book.find_grade(name, "1-tiny", "1-tiny", "kim")
            step.manual_score, step.needs_manual_grade = 1, False
        book.db.commit()
    assert grade(again=True) == set() and rows(folder_copy) == {"kim": "4"}
    assert grade(two=WRONG.replace("one", "two"), why="Their sums swap.") == {"why"}
    assert rows(folder_copy) == {"kim": "2"}
    assert ["kim", "1-tiny", grading.CHANGED] in table(folder_copy / "remarks.csv")


def test_points_that_a_person_gave_are_told_as_that_and_count_everywhere(folder_copy, tmp_path):
    path = tmp_path / "kim" / "1-tiny.ipynb"
    path.parent.mkdir()
    path.write_text("saved half")
    grading.grade(folder_copy, tmp_path)
    assert not (folder_copy / "changes.csv").exists()
    with year_folder.open_gradebook(folder_copy) as book:
        read = book.find_grade("why", "1-tiny", "1-tiny", "kim")
        read.manual_score, read.needs_manual_grade = 2, False
        book.find_grade("check-one", "1-tiny", "1-tiny", "kim").extra_credit = 0.5
        book.db.commit()
    told = [
        ["kim", "1-tiny", "check-one", "0", "0.5", "read by hand"],
        ["kim", "1-tiny", "why", "0", "2", "read by hand"],
    ]
    for again in (False, True):
        grading.grade(folder_copy, tmp_path, again=again)
        assert [row[:-1] for row in table(folder_copy / "changes.csv")[1:]] == told
        assert rows(folder_copy) == {"kim": "2.5"}
    page = year_folder.feedback_path(folder_copy, "1-tiny", "kim").read_text(encoding="utf-8")
    assert "2.5 of 7 points" in page and "0.5 of 2 points" in page


def test_no_cell_is_a_formula(graded):
    cells = {
        cell
        for name in ("grades.csv", "remarks.csv", "similarity.csv")
        for row in table(graded / name)
        for cell in row
    }
    assert "'=1+1" in cells and not [cell for cell in cells if cell.startswith("=")]


def test_a_folder_whose_name_is_no_text_is_set_aside(folder_copy, tmp_path):
    (tmp_path / os.fsdecode(b"\xff")).mkdir()
    grading.grade(folder_copy, tmp_path)
    assert ["", "", "\ufffd: the name of a folder is not text: rename it"] in table(
        folder_copy / "remarks.csv"
    )
    # A class of nobody: the table is written, with its headings alone.
    assert table(folder_copy / "similarity.csv") == [list(similarity.COLUMNS)]


def test_a_notebook_that_nobody_began_has_no_points(folder_copy, released, tmp_path):
    """An import would write a zero. Of an assignment that nobody began there is no remark."""
    for student in ("jana", "kim", "pat"):
        (tmp_path / student).mkdir()
    nbformat.write(released, tmp_path / "jana" / "1-tiny.ipynb")
    grading.grade(folder_copy, tmp_path)
    assert rows(folder_copy) == {"jana": "", "kim": "", "pat": ""}
    assert len(table(folder_copy / "remarks.csv")) == 1, "the headings alone"

    (tmp_path / "pat" / "1-tiny.ipynb").write_text("saved half")
    grading.grade(folder_copy, tmp_path)
    assert rows(folder_copy) == {"jana": "", "kim": "", "pat": "0"}
    remarks = table(folder_copy / "remarks.csv")
    assert ["jana", "1-tiny", grading.BLANK] in remarks
    assert ["kim", "1-tiny", grading.NOTHING] in remarks


def test_the_table_has_a_row_for_each_student_of_the_gradebook(graded_copy, tmp_path):
    with year_folder.open_gradebook(graded_copy) as book:
        book.add_student("absent", first_name="Ada", last_name="Byron", lms_user_id="17")
    grading.grade(graded_copy, tmp_path)
    first, *others = table(graded_copy / "grades.csv")
    headings = ["Student", "ID", "SIS Login ID", "Section"]
    assert first == [*headings, "1-tiny", "1-tiny late", "1-tiny to read"]
    assert ["Byron, Ada", "17", "absent", "", "", "", ""] in others
    assert ["absent", "1-tiny", "Nothing was handed in."] in table(graded_copy / "remarks.csv")


def is_running(command):
    """Return whether a process has this text in its command line."""
    return subprocess.run(["pgrep", "-f", command], capture_output=True).returncode == 0


def wait_until(condition, otherwise):
    """Wait for a condition, for a minute; then fail with the message `otherwise`."""
    for _ in range(600):
        time.sleep(0.1)
        if condition():
            return
    pytest.fail(otherwise)


def test_grading_that_was_killed_goes_on(folder_copy, released, tmp_path):
    """Its processes end with it; the next call grades what is missing."""
    submitted = tmp_path / "submitted"
    for student in ("first", "second"):
        (submitted / student).mkdir(parents=True)
        slow = {"one": "import time\n\ndef one(x):\n    time.sleep(0.8)\n    return x + 1"}
        nbformat.write(answered(released, **slow), submitted / student / "1-tiny.ipynb")
    call = [*COMMAND, "--folder", str(folder_copy), "grade", str(submitted)]
    environment = command_environment()
    running = subprocess.Popen(
        call, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    wait_until(
        lambda: is_running(f"course._child {folder_copy} 1-tiny"), "no grading process began"
    )
    running.kill()
    running.wait()
    wait_until(
        lambda: not is_running(f"course._child {folder_copy} 1-tiny"),
        "a grading process outlives the grading",
    )
    subprocess.run(call, env=environment, check=True, capture_output=True)
    assert (rows(folder_copy)["first"], rows(folder_copy)["second"]) == ("4", "4")


def test_feedback_goes_back_through_the_exchange_of_a_hub(folder_copy, tmp_path):
    """What is collected with nbgrader and graded here is given back with nbgrader."""
    exchange, config, home = tmp_path / "exchange", tmp_path / "config", tmp_path / "home"
    for made in (exchange, config, home):
        made.mkdir()
    exchange.chmod(0o777)
    (config / "nbgrader_config.py").write_text(
        "c = get_config()\n"
        "c.CourseDirectory.course_id = 'camkit'\n"
        f"c.Exchange.root = '{exchange}'\n"
        f"c.Exchange.cache = '{tmp_path / 'cache'}'\n"
    )

    def call(command, cwd):
        done = subprocess.run(
            [sys.executable, "-m", "nbgrader", command, "1-tiny"],
            cwd=cwd,
            capture_output=True,
            text=True,
            env=os.environ | {"JUPYTER_CONFIG_DIR": str(config)},
        )
        assert done.returncode == 0, done.stderr

    call("release_assignment", folder_copy)
    call("fetch_assignment", home)
    own = home / "1-tiny" / "1-tiny.ipynb"
    nbformat.write(answered(nbformat.read(own, as_version=4)), own)
    call("submit", home)
    call("collect", folder_copy)
    by_mail = folder_copy / "submitted" / "aaron" / "tiny.ipynb"  # has no receipt, and comes first
    by_mail.parent.mkdir()
    nbformat.write(nbformat.read(own, as_version=4), by_mail)
    grading.grade(folder_copy, folder_copy / "submitted")
    call("release_feedback", folder_copy)
    call("fetch_feedback", home)
    (page,) = (home / "1-tiny" / "feedback").rglob("*.html")
    assert "4 of 7 points" in page.read_text(encoding="utf-8") and "aaron" not in page.read_text(
        encoding="utf-8"
    )
    assert len(list((exchange / "camkit" / "feedback").iterdir())) == len(
        list((folder_copy / "feedback").iterdir())
    )


def test_a_notebook_is_known_by_its_marks(released, tmp_path):
    other = copy.deepcopy(released)
    for one in other.cells:
        if mark(one):
            one.metadata.nbgrader["grade_id"] += "-b"
    both = {"1-tiny": released, "2-other": other}
    student = tmp_path / "student"
    (student / "2-other").mkdir(parents=True)
    nbformat.write(answered(released), student / "2-other" / "2-other.ipynb")
    (student / "notes.ipynb").write_text("{")

    def choose():
        handed_in = files.list_files(student, tmp_path).files
        candidates = [submissions.examine(file, both) for file in handed_in]
        return submissions.choose(candidates, both)

    found, blank, unknown = choose()
    assert (
        not blank and set(found) == {"1-tiny", "2-other"} and found["1-tiny"].notebook is not None
    )
    assert found["2-other"].notebook is None
    assert found["2-other"].remarks == ["2-other.ipynb is the notebook of 1-tiny."]
    assert [candidate.problem for candidate in unknown] == [
        "notes.ipynb is not a notebook: it is empty or damaged."
    ]

    newer = student / "Tiny (1).ipynb"
    nbformat.write(answered(released, one="# newer"), newer)
    os.utime(newer, (time.time() + 10, time.time() + 10))
    found = choose().submissions
    assert found["1-tiny"].notebook.cells[2].source == "# newer"
    assert "Tiny (1).ipynb is newer and was graded" in found["1-tiny"].remarks[0]


WRITTEN = """# Mine

The sum is **equal**, $f_k \\cdot w$:

| fruit | score |
| --- | --- |
| lime | 2 |

![bild.png](attachment:bild%201.png) ![far](https://example.com/x.png) ![gone](attachment:gone.png)
[a link](javascript:alert(3)) and `code`

<details open ontoggle=alert(4)>more</details>
"""


def test_feedback_shows_written_answers_as_jupyter_does(released):
    """With pasted pictures, and nothing of HTML, of files or of the network."""
    stream = io.BytesIO()
    Image.new("RGB", (2, 2), "lime").save(stream, "png")
    picture = base64.b64encode(stream.getvalue()).decode()
    notebook = answered(released, why=WRITTEN)
    notebook.cells[cell(notebook, "why")].attachments = {
        "bild 1.png": {"image/png": picture, 'image/jpeg" onerror="alert(5)': "x"},
        "gone.png": {"image/png": "anVuaw=="},
    }
    scores = {"check-one": Score(2, 2, ""), "check-two": Score(2, 2, ""), "why": Score(None, 3, "")}
    scores["why"] = scores["why"]._replace(is_to_be_read=True)
    made = feedback.feedback_notebook(notebook, released, scores, [], "kim")
    page = feedback.pages.page(made, "1-tiny.html")
    answer = BeautifulSoup(page, "html.parser").find(class_="answer")
    assert answer.table.td.text == "lime" and answer.find("math") and answer.code.text == "code"
    assert [one.text for one in answer.find_all("strong")] == ["Mine", "equal"]
    (shown,) = answer.find_all("img")
    assert shown["src"].startswith("data:image/") and set(shown.attrs) == {"src", "alt"}
    assert not answer.find_all(["a", "h1", "details"])
    text = answer.get_text()
    assert "![far](https://example.com/x.png)" in text and "![gone](attachment:gone.png)" in text
    assert "a link (javascript:alert(3))" in text and "<details open ontoggle=alert(4)>" in text
    assert "4 of 7 points so far: 1 answer is still to be read" in page


def test_feedback_shows_what_students_write_as_it_is(folder, released):
    nasty = "<script>alert(1)</script>\n\nA <b>b</b> $\\begin{x$ ![a](/etc/passwd)"
    notebook = answered(released, why=nasty)
    notebook.cells[cell(notebook, "one")].outputs = [
        nbformat.v4.new_output(
            "display_data", {"text/html": "<img src=x onerror=alert(2)>", "text/plain": "a picture"}
        ),
        nbformat.v4.new_output(
            "display_data", {"image/png": "anVuaw==", "text/plain": "no picture"}
        ),
    ]
    scores = {
        "check-one": Score(2, 2, ""),
        "check-two": Score(None, 2, "<b>no</b>"),
        "why": Score(0, 3, ""),
    }
    made = feedback.feedback_notebook(notebook, released, scores, ["<i>`told`"], "<b>")
    page = feedback.pages.page(made, "1-tiny.html")
    soup = BeautifulSoup(page, "html.parser")
    assert not soup.find_all(["script", "img", "b", "i"]) and "onerror" not in page
    assert (
        all(part in soup.get_text() for part in nasty.split("\n\n"))
        and "a picture" in soup.get_text()
        and "<i>`told`" in soup.get_text()
    )


@pytest.mark.parametrize(
    "got, said",
    [
        ([[2, 4], [6, 8]], "Summed.\nAt [0, 0] yours is 2, right is 1."),
        ([[1, 2], [3, 5]], "1 of 4 values differ.\nAt [1, 1] yours is 5, right is 4."),
        (
            [[3, 6], [9, 12]],
            "4 of 4 values differ (all are 3 times what is right).\n"
            "At [0, 0] yours is 3, right is 1.",
        ),
        ([[0, 0], [0, 0]], "4 of 4 values differ.\nAt [0, 0] yours is 0, right is 1."),
        ([1, 2], "The shape of your result is (2,), it should be (2, 2)."),
        (None, "Your function returns nothing. Does it end with `return`?"),
        ([["a", "b"], ["c", "d"]], "Your function returns <U1 where numbers are wanted."),
        ([[1, np.nan], [3, 4]], "1 of 4 values differ.\nAt [0, 1] yours is nan, right is 2."),
    ],
)
def test_a_check_says_what_was_found_and_the_mistake(got, said):
    with pytest.raises(checks.Mistake) as told:
        checks.agree(got, [[1, 2], [3, 4]], {"Summed.": [[2, 4], [6, 8]]})
    assert str(told.value) == said and told.value._render_traceback_() == [said]


def test_share_gives_the_part_that_passes_and_says_the_rest(capsys):
    got = checks.share(3, [lambda: None, lambda: checks.agree(1, 2), lambda: 1 / 0])
    assert type(got) is float and got == 1
    assert capsys.readouterr().out.splitlines() == [
        "On other numbers, case 2 of 3: Mistake: 1 of 1 values differ.",
        "Yours is 1, right is 2.",
        "On other numbers, case 3 of 3: ZeroDivisionError: division by zero",
    ]


# --- the assignments


def source_cells(name):
    return nbformat.read(sources.HERE / f"{name}.ipynb", as_version=4).cells


assigned = pytest.mark.parametrize("name", ASSIGNMENTS)


@assigned
def test_an_assignment_is_made_as_the_others(name):
    cells = source_cells(name)
    marks = [mark(cell) for cell in cells]
    assert all(
        cell_mark.get("grade_id", cell.id) == cell.id
        for cell_mark, cell in zip(marks, cells, strict=True)
    )
    assert len({cell.id for cell in cells}) == len(cells)
    assert all(re.fullmatch(r"[a-z][a-z0-9]*([_-][a-z0-9]+)*", cell.id) for cell in cells)
    assert sum(cell_mark.get("points", 0) for cell_mark in marks) == 30
    look, answer = (cell for cell in cells if cell.cell_type == "markdown" and mark(cell))
    assert [(cell.id, mark(cell)["points"]) for cell in (look, answer)] == [
        ("look", 5),
        ("answer", 4),
    ]
    title = " ".join(cells[0].source.split())
    assert "30 points, 21 for the functions and 9 for the words" in title
    assert all("nbgrader" in cell.metadata for cell in cells if cell.cell_type == "code")
    for cell in cells:
        assert not cell.get("outputs") and cell.get("execution_count") is None, cell.id
        wide = [
            line
            for line in cell.source.splitlines()
            if len(line) > (100 if cell.cell_type == "code" else 120)
        ]
        assert not wide, (cell.id, wide)
        assert not re.search(r"https?://|\bjet\b|\]\(\.\./", cell.source), (
            f"{cell.id}: handed out alone, it leads nowhere"
        )
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert all("?" in heading for heading in re.findall(r"^##+ (?!BEGIN|END)(.+)", text, re.M))
    for cell, levels in ((look, "530"), (answer, "420")):
        rubric = cell.source.split(guide.RUBRIC)[1]
        assert re.findall(r"(?:^|[*}])\s+(\d): ", rubric) == list(levels), cell.id
        assert rubric.count("*Example:") == 3
    assert "{{facts}}" in look.source and "2026" in look.source


@assigned
def test_a_check_tells_mistakes_apart(name, monkeypatch):
    """No two mistakes that a visible check names have the same value, and none the right one."""
    seen, real = [], checks.agree
    monkeypatch.setattr(proof, "load_checks", lambda path: checks)

    def agree(got, want, mistakes=()):
        values = [want, *dict(mistakes).values()]
        for i, one in enumerate(values):
            for other in values[:i]:
                same = np.shape(one) == np.shape(other)
                assert not (same and np.allclose(one, other)), (name, list(mistakes)[i - 1])
        seen.append(len(values))
        return real(got, want, mistakes)

    monkeypatch.setattr(checks, "agree", agree)
    notebook = sources.with_seed(sources.HERE / f"{name}.ipynb", 2026)
    points = proof.grade_in_process(notebook, {"__name__": "__main__"})
    assert points == proof.pair_tests(notebook)[1]
    assert sum(count > 2 for count in seen) >= 7, "most steps name mistakes"


@functools.cache
def proved(name, seed=sources.SEED):
    return proof.prove(name, seed)


@pytest.mark.parametrize(
    "name, seed", [(name, seed) for name in ASSIGNMENTS for seed in (2026, 2027 + int(name[0]) % 2)]
)
def test_wrong_answers_lose_their_points_and_no_others(name, seed):
    """All of 2026, half of the assignments of 2027 and the others of 2028.

    `make course-proof SEED=2027` proves a whole year.
    """
    assert len(proved(name, seed).prices) >= 16


def numbers(text):
    """The decimals and percentages of a text, each as its value and half of its last digit."""
    found = []
    for number, percent in re.findall(r"(?<![\w.])(-?\d+\.\d+|-?\d+(?= ?%))( ?%)?", text):
        unit = 0.5 * 10.0 ** -len(number.partition(".")[2])
        scale = 0.01 if percent else 1
        found.append((float(number) * scale, unit * scale))
    return found


@assigned
def test_numbers_in_model_answers_are_those_of_the_year_that_they_are_about(name):
    """Each stands in the question, or in a table of 2026 that the rubric shows."""
    questions = "\n".join(
        cell.source
        for cell in source_cells(name)
        if cell.cell_type == "markdown" and not mark(cell).get("solution")
    )
    for cell, solution in proved(name).answers.items():
        model, rubric = solution.split(guide.RUBRIC)
        known = [value for value, _ in numbers(rubric + questions)]
        for value, half_digit in numbers(model):
            assert any(abs(abs(value) - abs(one)) <= half_digit + 1e-9 for one in known), (
                f"{cell}: {value:g}"
            )
        shown = rubric + questions
        for number in re.findall(r"\b(?:[Pp]icture|[Ss]cene|[Ff]rame) (\d+)", model):
            assert re.search(rf"\b{number}\b", shown), f"{cell}: picture {number}"
    assert len(numbers(proved(name).answers["look"].split(guide.RUBRIC)[0])) >= 4


@assigned
def test_nbgrader_finds_the_same_points(name):
    """The instructor's version, the release, and a submission with a wrong answer in every cell.

    `make course-proof` grades all wrong answers.
    """
    proof.prove_by_nbgrader(name, proved(name).prices, rounds=1)


def test_there_are_six_assignments_and_enough_wrong_answers():
    assert [name[0] for name in ASSIGNMENTS] == list("123456")
    count = sum(len(proof.wrong_answers(name)) for name in ASSIGNMENTS)
    assert count >= 60 and f"{count} known wrong answers" in (ROOT / "README.md").read_text(
        encoding="utf-8"
    )


@pytest.fixture(scope="module")
def year(tmp_path_factory):
    """A course's folder with all assignments of 2027 released in it."""
    folder = tmp_path_factory.mktemp("year")
    release(folder, 2027)
    return folder


def regions(cell, kind):
    """The lines between the marks of a kind of region in a cell."""
    found = re.findall(rf"### BEGIN {kind}\n(.*?)### END {kind}", cell.source + "\n", re.S)
    return [line.strip() for part in found for line in part.splitlines() if line.strip()]


@assigned
def test_a_release_holds_no_solution_no_hidden_test_and_no_output(year, name):
    assert {path.name for path in (year / "release" / name).iterdir()} == {
        f"{name}.ipynb",
        *sources.HANDED_OUT,
    }
    text = (year / "release" / name / f"{name}.ipynb").read_text(encoding="utf-8")
    released = nbformat.reads(text, as_version=4)
    assert "SEED = 2027" in text and not re.search("BEGIN|HIDDEN|Rubric|RUBRIC", text)
    assert all(
        not cell.get("outputs") and cell.get("execution_count") is None for cell in released.cells
    )
    released_cells = {cell.id: cell for cell in released.cells}
    stubs = 0
    for cell in source_cells(name):
        secret = regions(cell, "SOLUTION") + regions(cell, "HIDDEN TESTS")
        shown = set(map(str.strip, released_cells[cell.id].source.splitlines()))
        assert not set(secret) & shown, cell.id
        stubs += bool(regions(cell, "SOLUTION"))
        if regions(cell, "SOLUTION"):
            assert shown & {
                "raise NotImplementedError  # your code in place of this line",
                "*Your answer here.*",
            }
    assert (
        stubs
        == len(proof.pair_tests(nbformat.from_dict({"cells": source_cells(name)}))[0]) + 2
        >= 7
    )
    long = [
        line for cell in source_cells(name) for line in regions(cell, "SOLUTION") if len(line) > 40
    ]
    assert long and not [line for line in long if json.dumps(line)[1:-1] in text], (
        "not in a comment or a text either"
    )


def test_the_guide_lists_every_wrong_answer_and_its_price(tmp_path):
    guide.write(tmp_path, {name: proved(name) for name in ASSIGNMENTS})
    page = BeautifulSoup((tmp_path / "guide.html").read_text(encoding="utf-8"), "html.parser")
    rows = [
        tuple(cell.get_text() for cell in row.find_all("td"))[2:] for row in page.find_all("tr")
    ]
    for name in ASSIGNMENTS:
        for _, told, lost in proved(name).prices:
            assert (told.replace("`", "`"), f"{lost:g}") in rows, (name, told)
    assert page.get_text().count("An answer for full points") == 2 * len(ASSIGNMENTS)
    assert "{{" not in page.get_text(), "the year's tables stand there"
    for name in ("guide", "teachers"):
        soup = BeautifulSoup((tmp_path / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        assert not soup.find_all(["script", "link", "iframe"]) and "<!--" not in soup.get_text()
        links = {
            link["href"]
            for link in soup.select("a[href]")
            if not link["href"].startswith(("#", "http"))
        }
        assert links <= {"guide.html", "teachers.html"}, "pages that are written beside it"
        text = (sources.HERE / f"{name}.md").read_text(encoding="utf-8")
        for link in re.findall(r"\]\((?!http)([^)]+)\)", text):
            assert (sources.HERE / link).exists(), f"{link} is read in the repository, too"
        assert all(soup.find(id=link["href"][1:]) for link in soup.select('a[href^="#"]'))
