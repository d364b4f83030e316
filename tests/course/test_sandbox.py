"""How a submission is run: nothing but a wrong answer costs points, and nothing is changed.

What takes a kernel is at the end; most of it stands in HANDED_IN of test_course.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import types
import zipfile
from fractions import Fraction

import checks
import nbformat
import numpy as np
import pandas as pd
import pytest
import scipy.special
from course import (
    autograde,
    bench,
    cli,
    environment,
    explanations,
    feedback,
    gradebook,
    grading,
    isolation,
    lateness,
    limits,
    proof,
    sources,
    year,
)
from course.bench import Bench
from course.release import release
from nbformat.v4 import new_code_cell, new_notebook, new_output
from test_course import (  # noqa: F401  fixtures
    LOOP,
    MEMORY,
    answered,
    folder,
    folder_copy,
    marked,
    released,
    rows as points_of,
    table,
    tiny,
    with_cell,
)

# --- the bench

TEST = "from checks import agree, share\nagree(one(1), 2)\nshown = 5\n### BEGIN HIDDEN TESTS\n{}"


@pytest.fixture
def table_of():
    """A function that makes a bench of cells that have run: given cells first, then own ones."""

    def make(given="import numpy as np", own=""):
        result = Bench({"__name__": "__main__"}, bench.load_checks(sources.checks_path()))
        result.watch(checks)
        with result.given_cell():
            bench.execute(given, result.namespace)
        bench.execute("def one(x):\n    return x + 1", result.namespace)
        bench.execute(own, result.namespace)
        result.put_back()
        return result

    return make


@pytest.mark.parametrize(
    "own",
    [
        "sum = 0",
        "from numpy import *",
        "np = agree = share = None",
        "import checks; checks.agree = checks.share = print",
        "import numpy; numpy.einsum = numpy.allclose = numpy.isclose = print",
        "import builtins; builtins.sum = builtins.__import__ = print",
        "import numpy.random; numpy.random.default_rng = None",
        "import weakref\nclass Gone: pass\ngone = weakref.proxy(Gone())",
    ],
)
def test_what_a_cell_does_to_names_has_no_effect_on_tests(table_of, own):
    before = np.isclose, np.einsum, sum
    hidden = (
        "share(2, [lambda: agree(sum([one(1), *np.random.default_rng(0).integers(1, 2, 1)]), 3)])"
    )
    assert table_of(own=own).run_test(TEST.format(hidden)) == 2
    assert (np.isclose, np.einsum, sum) == before


@pytest.mark.parametrize(
    "own, body",
    [
        ("sum = max = 0", "sum([x, 1])"),
        ("np = None", "int(np.add(x, 1))"),
        ("from numpy import *", "max([x], key=abs) + 1"),
        ("def max(x):\n    return x + 1", "max(x)"),
        ("from numpy import *", "sum([[x, 1]], axis=1)[0]"),
    ],
)
def test_an_answer_finds_builtins_and_given_names_or_the_students_own(table_of, own, body, capsys):
    result = table_of(own=f"{own}\n\ndef one(x):\n    return {body}")
    mine = dict(result.namespace)
    hidden = "share(2, [lambda: agree(one(2), 3), lambda: agree(one(3), 4)])"
    assert result.run_test(TEST.format(hidden)) == 2
    assert capsys.readouterr().out == ""
    assert mine.items() <= result.namespace.items()


TEST_OF_A_LIBRARY = (
    "from checks import agree, share\nfrom scipy.special import softmax\n"
    "import numpy as np\n### BEGIN HIDDEN TESTS\n"
    "share(2, [lambda: agree(one(np.eye(2)), softmax(np.eye(2), axis=1))])"
)
REPLACED_BY = {
    "the reference": "import scipy.special\nscipy.special.softmax = np.zeros_like",
    "the inside of NumPy": "import numpy._core.numeric as n\nn.less_equal = lambda *a: np.True_",
    "the teacher's checks": "import gc\nfor d in gc.get_objects():\n"
    "    if type(d) is dict and d.get('__name__') == '_checks_of_the_course':\n"
    "        d.update(agree=print, _are_close=lambda *a: np.True_, ABSOLUTE_TOLERANCE=9)",
}


@pytest.mark.parametrize("own", REPLACED_BY)
@pytest.mark.parametrize("place", ["cell", "function"])
def test_what_a_test_takes_from_libraries_is_not_the_students(own, place, monkeypatch):
    monkeypatch.setattr(np._core.numeric, "less_equal", np.less_equal)
    monkeypatch.setattr(scipy.special, "softmax", scipy.special.softmax)
    result = Bench({"__name__": "__main__"}, bench.load_checks(sources.checks_path()))
    result.watch_imports(bench.imported_by([TEST_OF_A_LIBRARY]))
    cell, inside = REPLACED_BY[own], "pass"
    if place == "function":
        cell, inside = "", cell.replace("\n", "\n    ")
    zeros = f"import numpy as np\n{cell}\ndef one(x):\n    {inside}\n    return np.zeros((2, 2))"
    bench.execute(zeros, result.namespace)
    assert result.run_test(TEST_OF_A_LIBRARY) == 0
    right = "from scipy.special import softmax\n\ndef one(x):\n    return softmax(x, axis=1)"
    bench.execute(right, result.namespace)
    assert result.run_test(TEST_OF_A_LIBRARY) == 2


def test_a_thread_replaces_nothing_while_a_test_runs():
    result = Bench({"__name__": "__main__"}, bench.load_checks(sources.checks_path()))
    result.watch_imports(bench.imported_by([TEST_OF_A_LIBRARY]))
    told = []

    def overwrite():
        try:
            scipy.special.softmax = np.zeros_like
        except AttributeError as error:
            told.append(str(error))

    def one(x):
        thread = threading.Thread(target=overwrite)
        thread.start()
        thread.join()
        return np.zeros((2, 2))

    result.namespace["one"] = one
    assert result.run_test(TEST_OF_A_LIBRARY) == 0
    assert told == ["scipy.special.softmax is not to be replaced while a test runs"]
    assert type(scipy.special) is type(np) is types.ModuleType


LOOKS = {
    "sys": "import sys\n    frame = sys._getframe(1)",
    "inspect": "import inspect\n    frame = inspect.currentframe()",
    "a stack": "import inspect\n    frame = inspect.stack()[1].frame",
    "logging": "import logging\n    frame = logging.currentframe()",
    "an error": "try: 1 / 0\n    except Exception as e: frame = e.__traceback__.tb_frame",
    "a generator": "frame = (0 for _ in '').gi_frame",
    "threads": "import sys\n    frame = list(sys._current_frames().values())[0]",
    "a profiler": "import sys\n    sys.setprofile(None)",
    "gc": "import gc\n    frame = gc.get_objects()",
}
NO_LOOKS = {
    "a named tuple": "from collections import namedtuple\n    namedtuple('P', 'a b')",
    "a warning": "import warnings\n    warnings.warn('old')",
    "a log": "import logging\n    logging.warning('new')",
    "a traceback": "import traceback\n    try: 1 / 0\n    except Exception: traceback.format_exc()",
    "a dataclass": "from dataclasses import make_dataclass\n    make_dataclass('P', ['a'])",
    "gc.collect": "import gc\n    gc.collect()",
}
PROGRAM = """
import json, sys
from course import bench
table = bench.Bench({"__name__": "__main__"}, bench.load_checks(sys.argv[1]))
bench.refuse_to_be_looked_at(table)
for body in json.loads(sys.argv[2]):
    bench.execute(f"def one(x):\\n    {body}\\n    return x + 1", table.namespace)
    table.namespace["one"](1)
    try:
        table.run_test("one(1)")
        print("ran")
    except RuntimeError as error:
        print(error)
"""


def test_a_function_sees_nothing_of_what_calls_it_while_a_test_runs():
    bodies = [*LOOKS.values(), *NO_LOOKS.values()]
    arguments = [str(sources.checks_path()), json.dumps(bodies)]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    found = dict(zip([*LOOKS, *NO_LOOKS], done.stdout.splitlines(), strict=True))
    expected = dict.fromkeys(LOOKS, bench.LOOKED) | dict.fromkeys(NO_LOOKS, "ran")
    assert found == expected, done.stderr


def test_a_test_runs_once_where_no_name_of_the_students_hides_another():
    namespace = {"__name__": "__main__", "exit": print, "runs": []}
    result = Bench(namespace, bench.load_checks(sources.checks_path()))
    with result.given_cell():
        bench.execute("shown = 1", namespace)
    test = "shown = 5\nruns.append(1)\n### BEGIN HIDDEN TESTS\n1.5"
    assert result.run_test(test) == result.run_test(test) == 1.5
    assert namespace["runs"] == [1, 1]


def test_a_wrong_answer_stays_wrong_whatever_names_hide(table_of, capsys):
    result = table_of(own="sum = 0\n\ndef one(x):\n    return 2")
    hidden = "share(2, [lambda: agree(one(1), 2), lambda: agree(one(3), 4)])"
    assert result.run_test(TEST.format(hidden)) == 1
    assert capsys.readouterr().out.count("case 2 of 2") == 1
    result.namespace["one"] = lambda x: x
    with pytest.raises(AssertionError, match="Yours is 1, right is 2"):
        result.run_test(TEST.format(hidden))


@pytest.mark.parametrize(
    "body",
    [
        "import checks; checks.agree = lambda *a, **k: None; return 0",
        "np.isclose = lambda a, b, **k: np.ones(np.shape(b), bool); return 0",
        "import numpy as np; np.asarray = lambda *a: np.zeros(1); return 0",
    ],
)
def test_an_answer_that_changes_libraries_while_it_is_tested_gains_nothing(table_of, body):
    result = table_of(own=f"def one(x):\n    {body}")
    with pytest.raises((AssertionError, AttributeError)):
        result.run_test(TEST.format("2"))
    assert np.isclose(1, 1) and np.asarray([1, 2]).size == 2


def test_tests_see_the_students_functions_and_give_back_what_all_may_see(table_of):
    result = table_of()
    assert result.run_test(TEST.format("secret = 1\nshown + one(secret)")) == 7
    assert result.namespace["shown"] == 5
    assert "secret" not in result.namespace


def test_given_cells_find_what_given_cells_have_defined(table_of):
    result = table_of(given="import numpy as np\nF = np.ones(3)", own="np = F = 0; max = min")
    with result.given_cell():
        bench.execute("total = max(F.sum(), np.pi)", result.namespace)
    assert result.namespace["total"] == np.pi
    assert result.namespace["max"] is min, "the student's own, where only the student uses it"


def test_a_test_that_fails_says_so_as_before(table_of):
    with pytest.raises(AssertionError, match="1 of 1 values differ"):
        table_of(own="def one(x):\n    return 0").run_test(TEST.format(""))


def test_what_was_replaced_is_named(table_of):
    result = table_of()
    np.isclose, kept = print, np.isclose
    assert result.put_back() == ["numpy.isclose"] and np.isclose is kept
    assert result.put_back() == []


# --- the checks


def in_place(numbers):
    numbers *= 2
    return numbers


def test_functions_may_work_in_place():
    numbers = np.array([1.0, 2.0])
    checks.agree(checks.call(in_place, numbers), 2 * numbers, {"Not doubled.": numbers})
    assert numbers.tolist() == [1, 2]
    model = object()
    assert checks.call(lambda given: given, model) is model, "what holds no numbers is no copy"


def tensors():
    """The value [[1, 2]] as libraries have it."""
    import keras

    return [
        [[1, 2]],
        ([1.0, 2.0],),
        [np.array([1, 2])],
        pd.DataFrame([[1, 2]]),
        np.float32([[1, 2]]),
        keras.ops.convert_to_tensor([[1.0, 2.0]]),
        [keras.ops.convert_to_tensor([1.0, 2.0])],
        {"row": [1, 2]}.values(),
        np.array([[1, Fraction(2)]]),
    ]


def test_right_values_are_right_in_whatever_holds_them():
    for value in tensors():
        checks.agree(checks.call(lambda: value), [[1, 2]])  # noqa: B023  called at once
        assert checks.flat(checks.plain(value)) == [1, 2]


def test_a_tensor_with_a_gradient_is_read():
    class Tensor:
        def __array__(self, *arguments, **options):
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

        def detach(self):
            return types.SimpleNamespace(cpu=lambda: types.SimpleNamespace(numpy=lambda: [1, 2]))

    checks.agree([Tensor()], [[1, 2]])


def test_parts_of_unequal_length_are_a_mistake_in_words():
    with pytest.raises(checks.Mistake, match="parts that make no array"):
        checks.agree([1, [2, 3]], [1, 2, 3])
    checks.agree(checks.flat((1, [2, 3])), [1, 2, 3])


def test_an_empty_table_and_an_iterator_are_read_and_a_dictionary_is_a_mistake_in_words():
    checks.agree(pd.DataFrame([], columns=["one", "other"]), np.zeros((0, 2)))
    checks.agree(checks.call(map, abs, [-1, 2]), [1, 2])
    checks.agree([[7.0]], 7)
    with pytest.raises(checks.Mistake, match="returns a dict: return an array, a list or a tuple"):
        checks.flat({"gain": 1.0})


def test_work_that_is_left_to_a_library_is_told(capsys):
    def renamed(maps, size):
        from camkit import upsample as enlarge

        return enlarge(maps, size)

    import camkit

    arguments = [np.eye(2), (4, 4)]
    checks.tell_calls(renamed, arguments, [camkit.upsample])
    told = capsys.readouterr().out
    assert "upsample" in told and told.startswith(checks.LEFT_TO_LIBRARY)
    checks.tell_calls(lambda maps, size: maps, arguments, [camkit.upsample])
    assert not capsys.readouterr().out and sys.getprofile() is None
    cell = new_code_cell(outputs=[new_output("stream", text=told)])
    (line,) = explanations.explain_outputs(new_notebook(cells=[cell]))
    assert "upsample" in line


LIBRARIES = {
    "2-transfer": {
        "for_resnet": "import keras\ndef for_resnet(images):\n"
        "    return keras.applications.resnet.preprocess_input(images.astype(float))",
        "confusion": "from sklearn import metrics\ndef confusion(true, said, C):\n"
        "    return metrics.confusion_matrix(true, said, labels=range(C), normalize='true')",
    },
    "3-cam": {
        "interpolation": "def interpolation(n, size):\n"
        "    return camkit.upsample(np.eye(n), (size, n))"
    },
    "5-localization": {
        "iou": "def iou(one, other):\n    return localize.iou(one, other)",
        "pxap": "from sklearn.metrics import average_precision_score as ap\n"
        "def pxap(maps, masks):\n    return ap(masks.ravel(), maps.ravel())",
        "pointing": "from camkit.localize import pointing_game as pointing",
    },
}


# --- right answers

# A chain of layers is no way through the branches of the backbone: no right answer.
NO_ANSWERS = {("cut", "Sequential of the layers before gap")}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["1-gap-equation", "3-cam", "5-localization"])
def test_strangers_alternatives_get_full_points(shared, name):
    notebook = sources.with_seed(sources.source_path(name), sources.SEED)
    namespace = {"__name__": "__main__"}
    assert proof.grade_in_process(notebook, namespace) == proof.pair_tests(notebook)[1]
    path = shared / "strangers" / "course" / "alternatives" / f"{name}.py"
    answers = proof.read_answers(path)
    lost = {
        (answer.cell, answer.mistake)
        for answer in answers
        if proof.losses_by(answer, notebook, namespace)
    }
    assert answers and lost <= NO_ANSWERS


CHEAT = """
import checks
checks.agree = lambda *arguments, **options: None
np.isclose = np.allclose = lambda one, other, **options: np.ones(np.shape(other), bool)
{} = lambda *arguments: np.zeros((2, 2))
"""


def test_replaced_checks_give_no_point_of_an_assignment():
    notebook = sources.with_seed(sources.source_path("1-gap-equation"), sources.SEED)
    tests, full = proof.pair_tests(notebook)
    cheats = {cell: CHEAT.format(cell) for cell in tests}
    changed = sources.with_sources(notebook, cheats)
    points = proof.grade_in_process(changed, {"__name__": "__main__"})
    assert sum(full.values()) == 21 and set(points.values()) == {0}


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_check_sees_work_that_is_left_to_a_library(name, capsys, monkeypatch):
    """It costs no points by itself: the teacher decides."""
    notebook = sources.with_seed(sources.source_path(name), sources.SEED)
    _, full = proof.pair_tests(notebook)
    told = []
    real = checks.tell_calls

    def tell_calls(*arguments):
        real(*arguments)
        told.append(capsys.readouterr().out)

    monkeypatch.setattr(checks, "tell_calls", tell_calls)
    monkeypatch.setattr(proof, "load_checks", lambda path: checks)
    monkeypatch.setattr(
        proof.contextlib, "redirect_stdout", lambda _: proof.contextlib.nullcontext()
    )
    namespace = {"__name__": "__main__"}
    assert proof.grade_in_process(notebook, namespace) == full
    assert len(told) == len(LIBRARIES[name]) and not any("leaves its work" in one for one in told)
    told.clear()
    changed = sources.with_sources(notebook, LIBRARIES[name])
    assert proof.grade_in_process(changed, {"__name__": "__main__"}) == full
    assert all("leaves its work" in one for one in told)


# --- whose fault it is


@pytest.fixture
def class_of(folder_copy, tmp_path):  # noqa: F811
    """A copy of the tiny course's folder, and a folder to hand in."""
    return folder_copy, tmp_path / "submitted"


def hand_in(submitted, text, *students):
    for student in students:
        path = submitted / student / "1-tiny.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


class FakeMachine:
    """Grades without running anything: `points` for check-one, or fails with `fault`."""

    def __init__(self):
        self.fault = ""
        self.points = 2
        self.graded = []

    def grade_one(self, folder, assignment, student):  # noqa: F811
        if self.fault:
            return self.fault
        self.graded.append(student)
        handed_in = year.tidied_path(folder, assignment, student)
        executed = year.autograded_path(folder, assignment, student)
        gradebook.give_zero(folder, assignment, student)
        executed.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(handed_in, executed)
        with year.open_gradebook(folder) as book:
            book.find_grade("check-one", assignment, assignment, student).auto_score = self.points
            book.db.commit()
        return ""


@pytest.fixture
def machine(monkeypatch):
    fake = FakeMachine()
    monkeypatch.setattr(isolation, "grade_one", fake.grade_one)
    return fake


def test_each_submission_is_told_as_it_is_graded(class_of, machine, capsys):  # noqa: F811
    folder, submitted = class_of  # noqa: F811
    hand_in(submitted, "damaged", "anna", "ben")
    for told in (["anna", "ben"], []):
        grading.grade(folder, submitted)
        lines = capsys.readouterr().err.splitlines()
        assert [line[:7] for line in lines] == ["1 of 2:", "2 of 2:"][: len(told)]
        assert sorted(line[7:] for line in lines) == [f" {name}: 1-tiny: graded" for name in told]


def test_a_submission_that_takes_long_is_named_while_it_is_graded(class_of, monkeypatch, capsys):  # noqa: F811
    folder, submitted = class_of  # noqa: F811
    hand_in(submitted, "damaged", "anna")
    is_told = threading.Event()
    write = grading.tqdm.write

    def tell(line, **options):
        write(line, **options)
        is_told.set()

    monkeypatch.setattr(grading.tqdm, "write", tell)
    monkeypatch.setattr(grading, "LONG", 0.01)
    give_zero = gradebook.give_zero
    monkeypatch.setattr(gradebook, "give_zero", lambda *a: is_told.wait(60) and give_zero(*a))
    grading.grade(folder, submitted)
    first, second = capsys.readouterr().err.splitlines()
    assert first == "anna: 1-tiny: is still being graded after 0.01 seconds"
    assert second == "1 of 1: anna: 1-tiny: graded"


def test_one_fact_about_several_students_is_one_remark(class_of, released, machine):  # noqa: F811
    """Answers to be read are a column, what Canvas has taken does not concern Moodle."""
    folder, submitted = class_of  # noqa: F811
    hand_in(submitted, nbformat.writes(answered(released)), "Jo_7_assignsubmission_file_")
    hand_in(submitted, nbformat.writes(answered(released)), "anna", "ben")
    (submitted / "cem").mkdir()
    (submitted / "dora").mkdir()
    grading.grade(folder, submitted)
    assert table(folder / "remarks.csv")[1:] == [
        ["", "1-tiny", f"{grading.NO_FOLDER} This concerns 2 students: anna, ben."],
        ["", "1-tiny", f"{grading.NOTHING} This concerns 2 students: cem, dora."],
    ]
    canvas = submitted.with_name("canvas")
    canvas.mkdir()
    for number, name in enumerate(("anna", "ben")):
        data = nbformat.writes(answered(released))
        (canvas / f"{name}_{number}0_9{number}_1-tiny.ipynb").write_text(data)
    grading.grade(folder, canvas)
    assert "anna_00" in points_of(folder)
    assert not [row for row in table(folder / "remarks.csv") if "anna_00" in str(row)]


def test_a_fault_of_the_machine_is_no_zero(class_of, released, machine):  # noqa: F811
    folder, submitted = class_of  # noqa: F811
    hand_in(submitted, nbformat.writes(answered(released)), "anna", "ben")
    machine.fault = "grading ended with code 1: ModuleNotFoundError: No module named 'camkit'"
    call = ["--folder", str(folder), "grade", str(submitted)]
    with pytest.raises(SystemExit) as ended:
        cli.main(call)
    assert "2 submissions wait to be graded" in str(ended.value)
    assert "anna: 1-tiny: grading ended with code 1: ModuleNotFoundError" in str(ended.value)
    assert set(points_of(folder).values()) <= {""}
    remarks = table(folder / "remarks.csv")[1:]
    assert [row[:2] for row in remarks] == [["anna", "1-tiny"], ["ben", "1-tiny"]]
    assert all("It waits, and the next call grades it" in row[2] for row in remarks)

    machine.fault = ""
    cli.main(call)
    assert points_of(folder) == {"anna": "2", "ben": "2"}
    machine.fault = "the disk is on fire"
    hand_in(submitted, nbformat.writes(answered(released, one="# newer")), "ben")
    with pytest.raises(SystemExit, match="1 submission waits"):
        cli.main(call)
    assert points_of(folder) == {"anna": "2", "ben": "2"}, "an earlier answer keeps its points"


def test_formgrader_knows_what_is_graded(class_of, released, machine):  # noqa: F811
    """Else it offers to grade with nbgrader's own command, which guards against nothing."""
    folder, _ = class_of  # noqa: F811
    handed_in = folder / "submitted" / "anna" / "1-tiny"
    handed_in.mkdir(parents=True)
    nbformat.write(answered(released), handed_in / "1-tiny.ipynb")
    (handed_in / lateness.RECEIPT).write_text("2026-10-09 21:30:00.123456 UTC\n")
    grading.grade(folder, folder / "submitted")
    assert year.nbgrader_api(folder).get_autograded_students("1-tiny") == {"anna"}


def correct_a_test(folder):  # noqa: F811
    """Change a hidden test of the year's version, as a teacher does."""
    source = year.source_folder(folder, "1-tiny") / "1-tiny.ipynb"
    source.write_text(source.read_text().replace("== 42", "== 42 or True"))


def test_a_corrected_test_grades_anew_and_says_what_that_changed(
    class_of,
    released,  # noqa: F811
    machine,
):
    folder, submitted = class_of  # noqa: F811
    hand_in(submitted, nbformat.writes(answered(released)), "anna", "ben")
    changes = folder / "changes.csv"
    grading.grade(folder, submitted)
    machine.graded.clear()
    grading.grade(folder, submitted)
    assert machine.graded == [] and not changes.exists()

    correct_a_test(folder)
    machine.points = 1
    grading.grade(folder, submitted)
    assert sorted(machine.graded) == ["anna", "ben"]
    headings, *rows = table(changes)
    assert headings == ["student", "assignment", "step", "before", "after", "because of", "date"]
    assert [row[:-1] for row in rows] == [
        ["anna", "1-tiny", "check-one", "2", "1", "other tests"],
        ["ben", "1-tiny", "check-one", "2", "1", "other tests"],
    ]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", row[-1]) for row in rows)

    machine.graded.clear()
    config = folder / "nbgrader_config.py"
    config.write_text(config.read_text() + "\nc.LateSubmissionPlugin.penalty_method = 'zero'\n")
    grading.grade(folder, submitted)
    assert machine.graded == [], "a rule on lateness is no test"
    config.write_text(config.read_text().replace("timeout = 5", "timeout = 6"))
    machine.points = 2
    hand_in(submitted, nbformat.writes(answered(released, one="# newer")), "ben")
    grading.grade(folder, submitted)
    assert table(changes)[1:3] == rows, "what was said before stays"
    assert [row[5] for row in table(changes)[3:]] == ["other tests", "another notebook"]

    machine.graded.clear()
    cli.main(["--folder", str(folder), "grade", "--again", str(submitted)])
    assert sorted(machine.graded) == ["anna", "ben"] and len(table(changes)) == 5


@pytest.fixture
def two_calls(class_of, released):  # noqa: F811
    """The course's folder, a folder with anna's answer, and another one with ben's alone."""
    folder, submitted = class_of  # noqa: F811
    others = submitted.with_name("others")
    hand_in(submitted, nbformat.writes(answered(released)), "anna")
    hand_in(others, nbformat.writes(answered(released)), "ben")
    return folder, submitted, others


def test_what_waits_is_graded_by_a_call_for_others(two_calls, machine):
    folder, submitted, others = two_calls  # noqa: F811
    machine.fault = "no memory was left"
    grading.grade(folder, submitted)
    with pytest.raises(SystemExit, match="2 submissions wait(.|\n)*anna: 1-tiny: no memory"):
        cli.main(["--folder", str(folder), "grade", str(others)])
    remarks = {row[0]: row[2] for row in table(folder / "remarks.csv")[1:]}
    assert "no memory was left. It waits" in remarks["anna"]

    machine.fault = ""
    cli.main(["--folder", str(folder), "grade", str(others)])
    assert points_of(folder) == {"anna": "2", "ben": "2"}
    assert sorted(machine.graded) == ["anna", "ben"]


def test_a_corrected_test_grades_anew_what_others_handed_in_before(two_calls, machine):
    folder, submitted, others = two_calls  # noqa: F811
    hand_in(submitted, "damaged", "cem")
    grading.grade(folder, submitted)
    correct_a_test(folder)
    machine.points = 1
    grading.grade(folder, others)
    assert points_of(folder) == {"anna": "1", "ben": "1", "cem": "0"}
    assert [row[0] for row in table(folder / "changes.csv")[1:]] == ["anna"]
    machine.graded.clear()
    grading.grade(folder, others)
    assert machine.graded == []


def test_what_was_handed_in_is_kept_once_and_also_known_from_earlier_versions(two_calls, machine):
    folder, submitted, others = two_calls  # noqa: F811
    grading.grade(folder, submitted)
    kept = year.kept_path(folder, "1-tiny", "anna")
    assert "notebook" not in json.loads(kept.read_text())
    # Earlier versions kept the notebook alone.
    kept.unlink()
    correct_a_test(folder)
    machine.points = 1
    grading.grade(folder, others)
    assert points_of(folder) == {"anna": "1", "ben": "1"}


def give_by_hand(folder, student, points):  # noqa: F811
    """Give points for the written answer, as a person does in Formgrader."""
    with year.open_gradebook(folder) as book:
        answer = book.find_grade("why", "1-tiny", "1-tiny", student)
        answer.manual_score = points
        answer.needs_manual_grade = False
        book.db.commit()


def lines_on(folder, student):  # noqa: F811
    """The remarks on a student."""
    return [row[2] for row in table(folder / "remarks.csv")[1:] if row[0] == student]


def test_a_file_that_is_no_notebook_displaces_none(class_of, released, machine, tmp_path):  # noqa: F811
    """A class's download is graded again and again, and holds what was replaced by mail."""
    folder, download = class_of  # noqa: F811
    mail = tmp_path / "mail"
    own = "Anna_77_assignsubmission_file_"
    other = "Ben_78_assignsubmission_file_"
    hand_in(download, "damaged", own)
    hand_in(download, nbformat.writes(answered(released)), other)
    grading.grade(folder, download)
    assert points_of(folder) == {"Anna": "0", "Ben": "2"}

    hand_in(mail, nbformat.writes(answered(released)), "Anna")
    grading.grade(folder, mail)
    give_by_hand(folder, "Anna", 2.5)
    changes = table(folder / "changes.csv")
    earlier = "The notebook of 1-tiny that was handed in earlier counts."
    for text, line in (
        ("damaged", f"{own}/1-tiny.ipynb: 1-tiny.ipynb is not a notebook: it is empty or damaged."),
        (nbformat.writes(released), "A notebook was handed in as it was handed out."),
    ):
        hand_in(download, text, own)
        grading.grade(folder, download, again=True)
        assert points_of(folder) == {"Anna": "4.5", "Ben": "2"}
        assert lines_on(folder, "Anna") == [f"{line} {earlier}"]
    assert [row[2:5] for row in table(folder / "changes.csv")[len(changes) :]] == [
        ["why", "0", "2.5"]
    ]
    with zipfile.ZipFile(folder / "moodle-feedback" / "1-tiny.zip") as packed:
        assert f"{own}/1-tiny.html" in packed.namelist(), "known from the first call"
    hand_in(mail, nbformat.writes(answered(released)), "Cem")
    grading.grade(folder, mail)
    assert lines_on(folder, "Cem") == [grading.NO_FOLDER]


def test_what_could_not_be_read_is_told_until_a_notebook_replaces_it(two_calls, released, machine):  # noqa: F811
    folder, submitted, others = two_calls  # noqa: F811
    for name in ("cem/1-tiny.pdf", "dora/answer.html", "anna/notes.txt"):
        (submitted / name).parent.mkdir(exist_ok=True)
        (submitted / name).write_text("unread")
    pdf, html = (
        f"{name}: it is not a notebook (.ipynb)" for name in ("cem/1-tiny.pdf", "dora/answer.html")
    )
    for folder_of_call in (submitted, others, others):
        grading.grade(folder, folder_of_call)
        assert lines_on(folder, "cem")[:1] == [pdf] and lines_on(folder, "dora")[:1] == [html]
        assert lines_on(folder, "anna") == ["Other files, which were not read: notes.txt"]
    hand_in(others, nbformat.writes(answered(released)), "cem", "dora")
    hand_in(others, nbformat.writes(answered(released, one="# newer")), "anna")
    grading.grade(folder, others)
    assert not table(folder / "remarks.csv")[1:]


@pytest.mark.filterwarnings("error::sqlalchemy.exc.SAWarning")
def test_points_by_hand_stay_where_nothing_can_be_graded(class_of, machine):  # noqa: F811
    folder, submitted = class_of  # noqa: F811
    hand_in(submitted, "damaged", "anna")
    grading.grade(folder, submitted)
    give_by_hand(folder, "anna", 2)
    correct_a_test(folder)
    grading.grade(folder, submitted)
    assert points_of(folder) == {"anna": "2"}


def test_a_given_cell_that_cannot_import_is_a_fault_of_the_machine():
    missing = new_output("error", ename="ModuleNotFoundError", evalue="No module named 'camkit'")
    given = marked(new_code_cell("import camkit", id="imports", outputs=[missing]), locked=True)
    with pytest.raises(RuntimeError, match="the given cell imports fails: No module"):
        autograde.check_machine(given)
    own = new_code_cell("import torch", outputs=[missing])
    autograde.check_machine(own)


def given_cell(source):
    """A given cell of this source."""
    return marked(new_code_cell(source, id="given"), locked=True)


def test_a_cell_that_cannot_be_read_or_stands_too_low_is_named_in_place_of_a_missing_name():
    source = "import numpy\n\ndef one(x)\n    return x + 1"
    message = "expected ':' (1234.py, line 3)"
    answer = new_code_cell(
        source, outputs=[new_output("error", ename="SyntaxError", evalue=message)]
    )
    missing = new_output("error", ename="NameError", evalue="name 'one' is not defined")
    test = new_code_cell("assert one(1) == 2", outputs=[missing])
    autograde._explain_missing_name(test, [answer], [])
    assert test.outputs[0].evalue == (
        "A cell of yours has a syntax error in line 3, `def one(x)`: expected ':'"
    )
    other = new_output("error", ename="NameError", evalue="name 'two' is not defined")
    test = new_code_cell("assert two(1) == 2", outputs=[other])
    autograde._explain_missing_name(test, [answer], [])
    assert test.outputs[0].evalue == "name 'two' is not defined"
    below = new_code_cell("two = numpy.ones(3)")
    autograde._explain_missing_name(test, [answer], [below])
    assert test.outputs[0].evalue == (
        "A cell of yours further down defines two: define it above the cell that needs it, and "
        "run all cells from the first on."
    )


def test_remarks_say_that_a_given_cell_calls_the_students_functions():
    cell = given_cell("one(1)")
    cell.outputs = [new_output("error", ename="CellTimeoutError", evalue="")]
    (line,) = explanations.explain_outputs(new_notebook(cells=[cell]))
    assert line == (
        "The cell given (it calls your functions) ran longer than a cell may and was stopped."
    )


def test_input_is_explained():
    assert "nobody answers" in feedback.reword("StdinNotImplementedError", "raw_input was called")


def test_a_test_that_fails_frees_the_memory_of_the_answer(table_of):
    result = table_of(own="def one(x):\n    filled = [x] * 100\n    return filled[x * 1000]")
    with pytest.raises(IndexError) as raised:
        result.run_test(TEST.format(""))
    frames = [step for step in raised.traceback if step.name == "one"]
    assert len(frames) == 1 and "filled" not in frames[0].frame.f_locals


def test_neighbours_that_cannot_be_read_do_not_end_grading(class_of):
    folder, submitted = class_of  # noqa: F811
    neighbours = ("anna", "ben", "cem", "dora")
    for attempt in range(10):
        # Another text each time, so that all are graded again.
        hand_in(submitted, " " * attempt, *neighbours)
        grading.grade(folder, submitted, workers=4)
        assert points_of(folder) == dict.fromkeys(neighbours, "0")
    told = [row for row in table(folder / "remarks.csv")[1:] if "empty or damaged" in row[2]]
    assert {row[0] for row in told} == set(neighbours)


# --- the environment


@pytest.fixture
def wheel(tmp_path):
    """A package of one module that nobody has, as pip installs it."""
    path = tmp_path / "nobodyhas-1.0-py3-none-any.whl"
    info = "nobodyhas-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("nobodyhas.py", "value = 42\n")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: nobodyhas\nVersion: 1.0\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def without_unshare(monkeypatch):
    """A machine that lacks `unshare` and `setpriv`, as macOS does."""
    monkeypatch.setenv("PATH", os.path.dirname(sys.executable))
    assert shutil.which("unshare") is None
    assert isolation.isolation_prefix() == []


def in_environment(made, *command):
    """Run a command as a kernel runs, in place of the kernel."""
    prefix = made.command[:-3]
    done = subprocess.run([*prefix, *command], env=made.variables, capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["with mounts", "without"])
def test_what_a_student_installs_or_removes_is_the_students(tmp_path, wheel, request, kind):
    if kind == "without":
        request.getfixturevalue("without_unshare")
    made = environment.make_environment(tmp_path)
    python = made.command[-3]
    pip = [python, "-m", "pip", "--no-cache-dir"]
    told = in_environment(made, *pip, "install", "--no-index", "--no-deps", str(wheel))
    assert "Successfully installed nobodyhas" in told
    told = in_environment(made, *pip, "uninstall", "-y", "tqdm")
    assert "outside environment" in told
    program = "import nobodyhas, tqdm, camkit; print(nobodyhas.value, tqdm.__version__)"
    assert in_environment(made, python, "-c", program).startswith("42 ")
    assert importlib.util.find_spec("nobodyhas") is None and importlib.util.find_spec("tqdm")


def test_mounts_hide_tests_and_protect_packages(tmp_path):
    secret = tmp_path / "year"
    secret.mkdir()
    (secret / "gradebook.db").write_text("points")
    made = environment.make_environment(tmp_path, hidden=[secret])
    if made.command[0] != "unshare":
        pytest.skip("mounts are not allowed here")
    python = made.command[-3]
    program = (
        "import os, sys\n"
        f"print(os.listdir({str(secret)!r}), os.listdir({str(sources.HERE)!r}))\n"
        f"open({str(made.room / 'own')!r}, 'w')\n"
        f"print(os.access({sys.prefix!r}, os.W_OK))\n"
        f"print(os.system('umount {secret} 2>/dev/null') != 0)"
    )
    assert in_environment(made, python, "-c", program).split("\n")[:3] == ["[] []", "False", "True"]
    assert (secret / "gradebook.db").read_text() == "points" and os.access(sys.prefix, os.W_OK)


def test_without_an_environment_nothing_is_graded(tmp_path, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("ensurepip is missing")

    monkeypatch.setattr(environment.venv.EnvBuilder, "create", fail)
    with pytest.raises(OSError, match="no environment for students.*ensurepip.*pip install"):
        environment.make_environment(tmp_path)


# --- with nbgrader


def grade_tiny(folder, submitted, notebooks):  # noqa: F811
    for student, notebook in notebooks.items():
        hand_in(submitted, nbformat.writes(notebook), student)
    collected = grading.grade(folder, submitted)
    assert collected.waiting == {}
    return {
        student: [
            gradebook.scores(folder, "1-tiny", student)[cell].points
            for cell in ("check-one", "check-two")
        ]
        for student in notebooks
    }


@pytest.mark.slow
def test_a_student_who_installs_changes_nothing_for_others(
    class_of,
    released,  # noqa: F811
    wheel,
    without_unshare,
):
    installs = answered(
        released, one="import nobodyhas\n\ndef one(x):\n    return nobodyhas.value - 40"
    )
    with_cell(
        installs,
        "parameters",
        f"%pip install -q --no-index --no-deps {wheel}\n"
        "!pip uninstall -q -y nbformat ipykernel camkit",
    )
    needs = answered(released, one="import nobodyhas\n\ndef one(x):\n    return x + 1")
    good = answered(released)
    folder, submitted = class_of  # noqa: F811
    points = grade_tiny(folder, submitted, {"anna": installs, "ben": needs, "cem": good})
    assert points == {"anna": [0, 2], "ben": [0, 2], "cem": [2, 2]}
    assert importlib.util.find_spec("nobodyhas") is None and importlib.util.find_spec("ipykernel")


@pytest.mark.slow
def test_an_answer_imports_what_was_handed_in_beside_it(class_of, released):  # noqa: F811
    """A file that has the name of another module is laid nowhere, and the teacher is told."""
    folder, submitted = class_of  # noqa: F811
    imports = answered(
        released,
        one="from helpers import plus\n\ndef one(x):\n    return plus(x)",
        two="import numpy\n\ndef two(x):\n    return numpy.multiply(2, x)",
    )
    hand_in(submitted, "", "anna")
    (submitted / "anna" / "helpers.py").write_text("def plus(x):\n    return x + 1\n")
    for name in ("numpy.py", "checks.py", "camkit.py", "course.py", "random.py"):
        (submitted / "anna" / name).write_text("raise SystemExit('mine')\n")
    assert grade_tiny(folder, submitted, {"anna": imports}) == {"anna": [2, 2]}
    remarks = [row[2] for row in table(folder / "remarks.csv")[1:] if row[0] == "anna"]
    refused = "{}.py was not used: Python, a library or the course has a module of its name."
    assert remarks == [
        "Another checks.py was handed in: it was not used.",
        "It was graded with what was handed in beside it: helpers.py.",
        *(refused.format(name) for name in ("camkit", "course", "numpy", "random")),
    ]


@pytest.mark.slow
def test_loops_cost_their_steps_on_a_busy_machine_too(class_of, released):  # noqa: F811
    """Several processes want each core; the same points as on a machine that has nothing to do."""
    loop = with_cell(with_cell(answered(released, one=LOOP), "two", "one(2)"), "two", "one(1)")
    folder, submitted = class_of  # noqa: F811
    spin = [sys.executable, "-c", "while True: pass"]
    busy = [subprocess.Popen(spin) for _ in range(3 * os.cpu_count())]
    try:
        points = grade_tiny(folder, submitted, {"loop": loop, "good": answered(released)})
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert points == {"loop": [0, 2], "good": [2, 2]}
    remarks = [row[2] for row in table(folder / "remarks.csv")[1:] if row[0] == "loop"]
    assert any(re.search("check-one ran longer", remark) for remark in remarks)


def release_with_given_cell(parent, source):
    """Release the tiny assignment, with a given cell between its steps, into parent/year."""
    notebook = tiny()
    notebook.cells.insert(4, given_cell(source))
    path = parent / "1-tiny.ipynb"
    nbformat.write(notebook, path)
    (parent / "year").mkdir()
    release(parent / "year", 2026, [path])
    return nbformat.read(year.released_path(parent / "year", "1-tiny"), as_version=4)


@pytest.mark.slow
def test_a_given_cell_that_fails_after_an_answer_is_not_the_machines_fault(tmp_path, monkeypatch):
    year_folder = tmp_path / "year"
    handed_out = release_with_given_cell(tmp_path, "import _decimal, wave")
    monkeypatch.setattr(limits, "MEMORY", MEMORY)

    fills = "full = []\n\ndef one(x):\n    while True:\n        full.append(bytes(1 << 20))"
    collects = "def one(x):\n    out = []\n    while True:\n        out.append([0] * 100)"
    submissions = {
        "full": answered(handed_out, one=fills),
        "collects": answered(handed_out, one=collects),
        "missing": answered(handed_out, one="def one(x)\n    return x + 1"),
        "good": answered(handed_out),
        "poisons": with_cell(answered(handed_out), "one", "import sys\nsys.modules['wave'] = None"),
    }
    points = grade_tiny(year_folder, tmp_path / "submitted", submissions)
    assert points == {
        "full": [0, 2],
        "collects": [0, 2],
        "missing": [0, 2],
        "good": [2, 2],
        "poisons": [2, 2],
    }
    page = year.feedback_path(year_folder, "1-tiny", "missing").read_text(encoding="utf-8")
    assert "The cell one has a syntax error in line 1" in page
    assert "is not defined" not in page


@pytest.mark.slow
def test_a_given_cell_that_fails_without_answers_too_is_the_machines_fault(tmp_path):
    handed_out = release_with_given_cell(tmp_path, "import nobody_has_this")
    hand_in(tmp_path / "submitted", nbformat.writes(answered(handed_out)), "good")
    collected = grading.grade(tmp_path / "year", tmp_path / "submitted")
    assert "the given cell given fails" in collected.waiting["good", "1-tiny"]
