"""Cells that were retyped, moved, split, copied, stripped or deleted are found again.

Nothing here runs a kernel but the last tests.
"""

import copy
import doctest
import json
import re
from random import Random

import nbformat
import pytest
from course import cells, gradebook, grading, sources, submissions, syntax, year
from course.files import File
from course.marks import mark
from course.release import release
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_raw_cell
from test_course import cell as index_of, marked, unmarked

STUB = "def {}(x):\n    raise NotImplementedError  # your code in place of this line"
CHECK = "assert {0}(1) == 2, '{0}'"
TEXT = "The sums swap, since a mean asks for no order."
POOL = "def pool(x):\n    return x + 1"
SCORES = "def scores(x):\n    return 2 * x"
HELPER = "def plus(x):\n    return x + 1"
POOL_WITH_HELPER = "def pool(x):\n    return plus(x)"
POOL_WITH_ROOT = "def pool(x):\n    return root(x) + 1"
HALVES = ("def pool(x):\n    y = x", "    return y + 1")


def locked(source, cell_id, **more):
    return marked(new_code_cell(source, id=cell_id), locked=True, **more)


RELEASED = new_notebook(
    cells=[
        new_markdown_cell("# Tiny: what is a mean?", id="title"),
        locked("SEED = 2026", "parameters"),
        locked("import math", "imports"),
        new_markdown_cell("## What is a pool?", id="pool-text"),
        marked(new_code_cell(STUB.format("pool"), id="pool"), solution=True),
        locked(CHECK.format("pool"), "check-pool", grade=True, points=2),
        new_markdown_cell("## What are scores?", id="scores-text"),
        marked(new_code_cell(STUB.format("scores"), id="scores"), solution=True),
        locked(CHECK.format("scores"), "check-scores", grade=True, points=2),
        new_markdown_cell("## Why?\n\nSay why the sums swap.", id="why-text"),
        marked(
            new_markdown_cell("*Your answer here.*", id="why"), grade=True, solution=True, points=3
        ),
    ]
)
ORDER = [one.id for one in RELEASED.cells]
GIVEN = {one.id: one.source for one in RELEASED.cells}
ANSWERS = {"pool": POOL, "scores": SCORES, "why": TEXT}


class Student:
    """A student who edits a notebook in which the right answers stand."""

    def __init__(self):
        self.notebook = copy.deepcopy(RELEASED)
        for name, source in ANSWERS.items():
            self.write(name, source)

    def __getitem__(self, name):
        return self.notebook.cells[index_of(self.notebook, name)]

    def write(self, name, source):
        self[name].source = source
        return self

    def blank(self, *names):
        for name in names:
            self.write(name, GIVEN[name])
        return self

    def delete(self, *names):
        for name in names:
            del self.notebook.cells[index_of(self.notebook, name)]
        return self

    def above(self, name, new):
        self.notebook.cells.insert(index_of(self.notebook, name), new)
        return self

    def below(self, name, new):
        self.notebook.cells.insert(index_of(self.notebook, name) + 1, new)
        return self

    def move_below(self, name, other):
        moved = self[name]
        return self.delete(name).below(other, moved)

    def swap_sections(self):
        """Move the section on pooling below all others."""
        listed = self.notebook.cells
        first, second = (index_of(self.notebook, name) for name in ("pool-text", "scores-text"))
        listed[first:] = listed[second:] + listed[first:second]
        return self

    def retype(self, name, make=new_code_cell):
        """Put a new cell, without a mark, in the place of one."""
        return self.above(name, make(self[name].source)).delete(name)

    def change_type(self, name, make):
        return self.above(name, make(self[name].source, metadata=self[name].metadata)).delete(name)

    def copy_of(self, name, source):
        """A cell with the mark of another, as copying and splitting make it."""
        return new_code_cell(source, metadata=copy.deepcopy(self[name].metadata))


TAKEN = {
    "why": "why held no answer: the text in other cells",
    "pool": "pool held no answer: another cell with this function was graded",
}


def elsewhere(name, place, other, make):
    """Leave the stub of an answer, and write the answer into a new cell beside another one."""

    def edit(student):
        return place(student.blank(name), other, make(ANSWERS[name]))

    return edit, TAKEN[name]


# What a student does, and what a remark says of it (None: there is no remark).
EDITS = {
    "nothing": (lambda s: s, None),
    # retyped
    "code": (lambda s: s.retype("pool"), "pool held no answer"),
    "code as Markdown": (lambda s: s.retype("pool", new_markdown_cell), "pool held no answer"),
    "code made Markdown": (lambda s: s.change_type("pool", new_markdown_cell), None),
    "text": (lambda s: s.retype("why", new_markdown_cell), "why held no answer"),
    "text as raw": (lambda s: s.retype("why", new_raw_cell), "why held no answer"),
    "text as code": (lambda s: s.retype("why", new_code_cell), "why held no answer"),
    "text as a comment": (
        lambda s: s.delete("why").below("why-text", new_code_cell(f"# {TEXT}")),
        "why held no answer",
    ),
    "text made code": (lambda s: s.change_type("why", new_code_cell), None),
    "check": (lambda s: s.retype("check-pool"), None),
    "answer and check": (lambda s: s.retype("pool").retype("check-pool"), "pool held no answer"),
    "text and check": (
        lambda s: s.retype("why", new_markdown_cell).retype("check-scores"),
        "why held no answer",
    ),
    "everything": (
        lambda s: [s.retype(one.id, type_of(one)) for one in RELEASED.cells][0],
        "pool, scores held no answer",
    ),
    # elsewhere
    "text below its stub": elsewhere("why", Student.below, "why", new_markdown_cell),
    "text above its stub": elsewhere("why", Student.above, "why", new_markdown_cell),
    "text in a code cell below its stub": elsewhere("why", Student.below, "why", new_code_cell),
    "text far away": elsewhere("why", Student.above, "pool", new_markdown_cell),
    "text in the question": (
        lambda s: s.blank("why").write("why-text", f"{GIVEN['why-text']}\n\n{TEXT}"),
        "why held no answer",
    ),
    "code below its stub": elsewhere("pool", Student.below, "pool", new_code_cell),
    "code above its stub": elsewhere("pool", Student.above, "pool", new_code_cell),
    "code below its check": elsewhere("pool", Student.below, "check-pool", new_code_cell),
    "code with a magic": (
        lambda s: s.blank("pool").above("pool", new_code_cell(f"%%time\n{POOL}")),
        "pool held no answer",
    ),
    "code with a question for help": (
        lambda s: s.blank("pool").above("pool", new_code_cell(f"{POOL}\nfiles = !ls\npool?")),
        "pool held no answer",
    ),
    "code in its check": (
        lambda s: s.blank("pool").write("check-pool", f"{POOL}\n\n{GIVEN['check-pool']}"),
        "pool held no answer",
    ),
    "two answers in one cell": (
        lambda s: s.write("pool", f"{POOL}\n\n{SCORES}").delete("scores"),
        "scores held no answer",
    ),
    "all answers in a cell at the top": (
        lambda s: s.blank("pool", "scores").above("title", new_code_cell(f"{POOL}\n\n{SCORES}")),
        "scores held no answer",
    ),
    # split
    "halves with a mark each": (
        lambda s: s.above("pool", s.copy_of("pool", HALVES[0])).write("pool", HALVES[1]),
        "pool had been split: its parts were joined",
    ),
    "halves, the upper marked": (
        lambda s: s.write("pool", HALVES[0]).below("pool", new_code_cell(HALVES[1])),
        "pool had been split",
    ),
    "halves, the lower marked": (
        lambda s: s.write("pool", HALVES[1]).above("pool", new_code_cell(HALVES[0])),
        "pool had been split",
    ),
    "an import with the mark": (
        lambda s: s.above("pool", s.copy_of("pool", "from math import floor as root")).write(
            "pool", POOL_WITH_ROOT
        ),
        "pool had been split",
    ),
    "an import without a mark": (
        lambda s: s.above("pool", new_code_cell("from math import floor as root")).write(
            "pool", POOL_WITH_ROOT
        ),
        None,
    ),
    "text in halves": (
        lambda s: s.write("why", "The sums swap,").below(
            "why", new_markdown_cell("since a mean asks for no order.")
        ),
        "why stands in 2 cells, which were joined",
    ),
    "text in halves, the lower marked": (
        lambda s: s.above("why", new_markdown_cell("The sums swap,")).write(
            "why", "since a mean asks for no order."
        ),
        "why stands in 2 cells",
    ),
    # twice
    "a stub below": (
        lambda s: s.below("pool", s.copy_of("pool", GIVEN["pool"])),
        "There were 2 cells pool: the last with an answer was graded.",
    ),
    "a stub without its comment below": (
        lambda s: s.below("pool", s.copy_of("pool", GIVEN["pool"].partition("  #")[0])),
        "There were 2 cells pool",
    ),
    "a stub without its argument below": (
        lambda s: s.below("pool", s.copy_of("pool", GIVEN["pool"].replace("(x)", "(y)"))),
        "There were 2 cells pool",
    ),
    "a wrong one above": (
        lambda s: s.above("pool", s.copy_of("pool", "def pool(x):\n    return x")),
        "There were 2 cells pool",
    ),
    "a broken one above": (
        lambda s: s.above("pool", s.copy_of("pool", "def pool(x:\n    return x")),
        "There were 2 cells pool",
    ),
    "a broken one below": (
        lambda s: s.below("pool", s.copy_of("pool", "def pool(x:\n    return x")),
        "There were 2 cells pool",
    ),
    "one that the next needs": (
        lambda s: s.above(
            "pool", s.copy_of("pool", f"{HELPER}\n\ndef pool(x):\n    return x")
        ).write("pool", POOL_WITH_HELPER),
        "There were 2 cells pool",
    ),
    "an equal one": (lambda s: s.above("pool", copy.deepcopy(s["pool"])), None),
    "the question": (lambda s: s.above("why-text", copy.deepcopy(s["why-text"])), None),
    "an equal text": (lambda s: s.above("why", copy.deepcopy(s["why"])), None),
    "a check": (lambda s: s.above("check-pool", copy.deepcopy(s["check-pool"])), None),
    "a wrong one of one's own after the check": (
        lambda s: s.below("check-pool", new_code_cell("def pool(x):\n    return x")),
        None,
    ),
    # given cells
    "deleted": (lambda s: s.delete("imports"), "imports had been deleted: it was put back"),
    "all deleted": (
        lambda s: s.delete(*(name for name in ORDER if name not in ANSWERS)),
        "check-scores had been deleted: it was put back",
    ),
    "imports in another cell": (
        lambda s: s.delete("imports").above("pool", new_code_cell("import os\nimport math")),
        "imports had been deleted: it was put back",
    ),
    "an import added": (
        lambda s: s.write("imports", "import math\nfrom math import floor as root").write(
            "pool", POOL_WITH_ROOT
        ),
        "imports had been changed: it was put back",
    ),
    "another seed": (
        lambda s: s.write("parameters", "SEED = 1"),
        "parameters had been changed: it was put back",
    ),
    "an easier check": (
        lambda s: s.write("check-pool", "pass"),
        "check-pool had been changed: it was put back",
    ),
    "formatted": (
        lambda s: s.write("check-pool", 'assert (\n    pool(1) == 2\n), "pool"  # formatted'),
        None,
    ),
    "a text changed": (lambda s: s.write("title", "# Mine"), None),
    # moved
    "an answer below its check": (lambda s: s.move_below("pool", "check-pool"), None),
    "answers to the end": (
        lambda s: s.move_below("pool", "why").move_below("scores", "why"),
        None,
    ),
    "text to the top": (lambda s: s.move_below("why", "title"), None),
    "checks to the end": (
        lambda s: s.move_below("check-pool", "why").move_below("check-scores", "why"),
        None,
    ),
    "checks to the top": (lambda s: s.move_below("check-scores", "title"), None),
    "imports to the end": (lambda s: s.move_below("imports", "why"), None),
    "sections swapped, a helper in the first": (
        lambda s: (
            s.write("pool", POOL_WITH_HELPER).above("pool", new_code_cell(HELPER)).swap_sections()
        ),
        None,
    ),
    "sections swapped, a helper in the second": (
        lambda s: (
            s.write("scores", "def scores(x):\n    return plus(x) + x - 1")
            .above("scores", new_code_cell(HELPER))
            .swap_sections()
        ),
        None,
    ),
    "a helper among moved cells": (
        lambda s: (
            s.write("pool", POOL_WITH_HELPER)
            .above("pool", new_code_cell(HELPER))
            .move_below("check-scores", "title")
            .move_below("pool", "check-pool")
        ),
        None,
    ),
    # stripped
    "marks": (lambda s: unmarked(s.notebook) and s, None),
    "marks and ids": (lambda s: without_ids(unmarked(s.notebook)) and s, "pool, scores held no"),
    "ids": (lambda s: without_ids(s.notebook) and s, None),
    "empty cells between": (lambda s: s.above("pool", new_code_cell("\n")), None),
}


def is_code(cell):
    return cell.cell_type == "code"


def type_of(cell):
    return new_code_cell if is_code(cell) else new_markdown_cell


def without_ids(notebook):
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
    return notebook


def run(notebook):
    """Run a notebook's code, and return what it defines and the ids of the cells that failed."""
    values = {}
    failed = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            try:
                exec(re.sub("%%time|files = !ls|.*[?]$", "", cell.source, flags=re.M), values)
            except Exception:
                failed.append(cell.id)
    return values, failed


def sources_by_mark(notebook):
    return {mark(cell)["grade_id"]: cell.source for cell in notebook.cells if mark(cell)}


@pytest.mark.parametrize("edit", EDITS)
def test_a_right_answer_is_found_whatever_was_done_to_its_cell(edit):
    change, told = EDITS[edit]
    restored = cells.restore(change(Student()).notebook, RELEASED)
    assert [cell.id for cell in restored.notebook.cells if cell.id in ORDER] == ORDER
    assert restored.answered == list(ANSWERS)
    found = sources_by_mark(restored.notebook)
    for cell in RELEASED.cells:
        if mark(cell).get("locked"):
            assert found[cell.id] == cell.source
    assert " ".join(found["why"].removeprefix("# ").split()) == TEXT
    values, failed = run(restored.notebook)
    assert not set(failed) & set(ORDER) and (values["SEED"], values["scores"](1)) == (2026, 2)
    if told:
        assert told in " ".join(restored.remarks)
    else:
        assert not restored.remarks
    assert re.fullmatch(r"(The [^.]+\.|Each [^.]+\.|There [^.]+\.| )*", " ".join(restored.remarks))


@pytest.mark.parametrize("seed", range(20))
def test_answers_are_found_after_any_edits_of_other_cells(seed):
    random = Random(seed)
    student = Student()
    listed = student.notebook.cells
    for count in range(8):
        edit = random.choice(("move", "delete", "copy", "insert"))
        position = random.randrange(len(listed))
        if edit == "move":
            listed.insert(random.randrange(len(listed)), listed.pop(position))
        elif edit == "delete" and listed[position].id not in ANSWERS:
            del listed[position]
        elif edit == "copy" and listed[position].id not in ANSWERS:
            listed.insert(random.randrange(len(listed)), copy.deepcopy(listed[position]))
        else:
            own = random.choice((new_code_cell("1 / 0"), new_markdown_cell(f"Note {count}.")))
            listed.insert(position, own)
    if seed % 2:
        unmarked(student.notebook)
    restored = cells.restore(student.notebook, RELEASED)
    assert [cell.id for cell in restored.notebook.cells if cell.id in ORDER] == ORDER
    found = {cell.id: cell.source for cell in restored.notebook.cells}
    assert {name: found[name] for name in ANSWERS if name != "why"} == {
        "pool": POOL,
        "scores": SCORES,
    }
    assert TEXT in found["why"]
    assert not set(run(restored.notebook)[1]) & set(ORDER)


def test_what_is_graded_is_the_same_each_time():
    """Random ids would have a submission graded anew at every call."""
    student = Student().above("pool", new_code_cell(HELPER))
    first = cells.restore(student.notebook, RELEASED)
    without_ids(student.notebook)
    assert cells.restore(student.notebook, RELEASED) == first
    ids = [cell.id for cell in first.notebook.cells]
    assert len(set(ids)) == len(ids) == len(ORDER) + 1


def test_a_notebook_without_an_answer_is_the_released_one():
    for change in (
        lambda s: s,
        lambda s: s.delete("pool", "imports"),
        lambda s: unmarked(s.notebook) and s,
        lambda s: s.move_below("pool", "why").above("pool", new_markdown_cell("")),
        lambda s: s.write("pool", GIVEN["pool"].partition("  #")[0]),
    ):
        student = change(Student().blank("pool", "scores", "why"))
        restored = cells.restore(student.notebook, RELEASED)
        assert restored.notebook == RELEASED and not restored.answered


def test_code_beside_a_blank_cell_is_told():
    for change, told in (
        (lambda s: s.below("pool", new_code_cell("x + 1")), "nor does the code beside it define"),
        (lambda s: s.below("pool", new_code_cell(" ")), ""),
        (lambda s: s.below("check-pool", new_code_cell("x + 1")), ""),
        (lambda s: s.delete("pool"), "pool had been deleted: no answer was found"),
    ):
        restored = cells.restore(change(Student().blank("pool")).notebook, RELEASED)
        assert restored.answered == ["scores", "why"]
        assert told in " ".join(restored.remarks) and bool(told) == bool(restored.remarks)


def test_a_wrong_answer_stays_wrong():
    wrong = "def pool(x):\n    return x"
    for student in (
        Student().write("pool", wrong),
        Student().write("pool", wrong).write("check-pool", "pool = lambda x: 2"),
        Student().write("pool", wrong).delete("check-pool"),
    ):
        restored = cells.restore(student.notebook, RELEASED)
        assert sources_by_mark(restored.notebook)["pool"] == wrong
        assert sources_by_mark(restored.notebook)["check-pool"] == GIVEN["check-pool"]


def test_notes_are_no_part_of_an_answer_that_stands_in_its_cell():
    student = Student().above("pool", new_markdown_cell("My notes."))
    student.below("why", new_code_cell("1 + 1"))
    restored = cells.restore(student.notebook, RELEASED)
    assert sources_by_mark(restored.notebook)["why"] == TEXT and not restored.remarks
    own = [cell.source for cell in restored.notebook.cells if cell.id.startswith("own")]
    assert own == ["My notes.", "1 + 1"]


def test_of_a_given_cell_only_what_answers_may_need_is_taken():
    """A training that takes a hundred times as long is not run."""
    student = Student().write("imports", "import math\nimport time\nTINY = 1e-9\ntime.sleep(9)")
    student.write("parameters", "SEED = 1").write("check-pool", "while True: pass")
    restored = cells.restore(student.notebook, RELEASED)
    own = [cell.source for cell in restored.notebook.cells if cell.id.startswith("own")]
    assert own == ["import time\nTINY = 1e-09"] and restored.remarks == [
        "Each of the cells parameters, imports, check-pool had been changed: it was put back "
        "before grading."
    ]


@pytest.mark.parametrize(
    "source, is_answer",
    [("Jana Müller, 12345678", False), (TEXT, True), ("求和与顺序无关。" * 5, True)],
)
def test_a_name_far_from_a_blank_answer_is_no_answer(source, is_answer):
    student = Student().blank("why").above("title", new_markdown_cell(source))
    student.write("title", f"{GIVEN['title']}\n\nBy Jana Müller, who took the course in 2026")
    restored = cells.restore(student.notebook, RELEASED)
    assert sources_by_mark(restored.notebook)["why"] == (source if is_answer else GIVEN["why"])
    assert ("why" in restored.answered) is is_answer


def test_pictures_in_a_text_stay():
    picture = {"a.png": {"image/png": "iVBORw0KGgo="}}
    cell = new_markdown_cell(f"{TEXT} ![](attachment:a.png)", attachments=picture)
    restored = cells.restore(Student().delete("why").below("why-text", cell).notebook, RELEASED)
    assert restored.notebook.cells[-1].attachments == picture


@pytest.mark.parametrize(
    "source, other, is_same",
    [
        ("a = 'x'  # a letter", 'a = "x"', True),
        ("%time f(1)", "%time f(2)", False),
        ("Some text. ", "Some text.", True),
        ("x = (", "x = [", False),
    ],
)
def test_layout_and_comments_are_no_difference(source, other, is_same):
    assert syntax.same(source, other) is is_same


def test_the_examples_hold():
    assert doctest.testmod(syntax).failed == 0


def test_deep_nesting_and_odd_characters_are_no_python():
    for source in ("(" * 5000, "a = 1\0", "def f(:", "\ud800"):
        assert not syntax.is_python(source) and not syntax.functions(source)


# --- the real assignments


def without_solutions(notebook):
    """The notebook with stubs in place of its solutions."""
    released = copy.deepcopy(notebook)
    for cell in released.cells:
        stub = "raise NotImplementedError" if cell.cell_type == "code" else "*Your answer here.*"
        cell.source = re.sub(
            r"(\s*)### BEGIN SOLUTION.*### END SOLUTION", rf"\1{stub}", cell.source, flags=re.S
        )
    return released


@pytest.mark.parametrize("name", [path.stem for path in sources.assignments()])
def test_all_answers_of_an_assignment_are_found_anywhere(name):
    instructor = nbformat.read(sources.source_path(name), as_version=4)
    released = without_solutions(instructor)
    right = {cell.id: cell for cell in instructor.cells if mark(cell).get("solution")}
    fresh = [type_of(cell)(cell.source) for cell in right.values()]
    given = [cell for cell in released.cells if not mark(cell).get("solution")]
    for listed in (
        # Alone, the last one first.
        fresh[::-1],
        # All above, or below, a released notebook.
        fresh + released.cells,
        released.cells + fresh,
        # In a released notebook whose cells for answers were deleted.
        fresh[:4] + given + fresh[4:],
    ):
        submitted = new_notebook(cells=copy.deepcopy(listed))
        restored = cells.restore(submitted, released)
        found = sources_by_mark(restored.notebook)
        for name, cell in right.items():
            if is_code(cell):
                assert found[name] == cell.source.strip()
            else:
                # Far from their questions it cannot be known which text is which: both are read.
                assert cell.source.strip() in found[name]
        ids = [cell.id for cell in given]
        assert [cell for cell in restored.notebook.cells if cell.id in ids] == given


# --- which assignment a file is


def identified(notebook, tmp_path, released=RELEASED):
    path = tmp_path / "a.ipynb"
    path.write_bytes(
        nbformat.writes(notebook).encode() if not isinstance(notebook, bytes) else notebook
    )
    return submissions.examine(File((path.name,), path, 0), {"1-tiny": released})


@pytest.mark.parametrize("ids", [True, False])
def test_a_notebook_without_marks_is_known_by_its_cells(ids, tmp_path):
    notebook = unmarked(Student().notebook)
    candidate = identified(notebook if ids else without_ids(notebook), tmp_path)
    assert (candidate.assignment, candidate.problem) == ("1-tiny", "")


def test_another_notebook_is_not_taken_for_an_assignment(tmp_path):
    other = new_notebook(
        cells=[locked("SEED = 2026", "parameters"), new_code_cell(POOL), new_markdown_cell(TEXT)]
    )
    candidate = identified(unmarked(other), tmp_path)
    assert candidate.notebook is None
    assert candidate.problem.startswith("a.ipynb has none of the cells that were handed out")


@pytest.mark.parametrize(
    "change",
    [
        {"source": None},
        {"source": 3},
        {"source": "\ud800"},
        {"cell_type": []},
    ],
)
def test_a_damaged_source_makes_no_notebook(change, tmp_path):
    damaged = json.loads(nbformat.writes(Student().notebook))
    damaged["cells"][-1] |= change
    candidate = identified(json.dumps(damaged).encode(), tmp_path)
    assert candidate.problem == "a.ipynb is not a notebook: it is empty or damaged."


def test_what_programs_leave_out_or_damage_beside_the_sources_is_not_needed(tmp_path):
    content = json.loads(nbformat.writes(Student().notebook))
    sloppy = {"cells": [dict(cell) for cell in content["cells"]]}
    wrong = (
        {"metadata": None},
        {"metadata": {"nbgrader": {"grade_id": [1]}}},
        {"id": [1]},
        {"id": ""},
        {"outputs": None},
        {"outputs": [{"output_type": "?"}]},
        {"attachments": 3},
        {"execution_count": "x"},
    )
    for cell, change in zip(sloppy["cells"], wrong, strict=False):
        cell |= change
    for cell in sloppy["cells"][len(wrong) :]:
        del cell["metadata"]
    candidate = identified(json.dumps(sloppy).encode(), tmp_path)
    restored = cells.restore(candidate.notebook, RELEASED)
    assert restored.answered == list(ANSWERS) and not restored.remarks


def saved_by_colab(content):
    """Without ids, which are metadata there, and with a picture among the outputs."""
    picture = nbformat.v4.new_output("display_data", {"image/png": "iVBORw0KGgo="})
    for number, cell in enumerate(content["cells"]):
        del cell["id"]
        cell["metadata"] |= {"id": f"Xb3{number}", "executionInfo": {"user": {"userId": ""}}}
        if cell["cell_type"] == "code":
            cell["outputs"] = [picture]
    content |= {"nbformat_minor": 0, "metadata": {"colab": {"provenance": []}}}


def saved_by_vs_code(content):
    """With ids and languages of its own."""
    for number, cell in enumerate(content["cells"]):
        cell["id"] = f"{number:08x}"
        cell["metadata"] |= {"vscode": {"languageId": "python"}}


@pytest.mark.parametrize("keeps_marks", [True, False])
@pytest.mark.parametrize("save", [saved_by_colab, saved_by_vs_code])
def test_what_other_programs_save_is_read_as_it_was(save, keeps_marks, tmp_path):
    notebook = Student().notebook
    content = json.loads(nbformat.writes(notebook if keeps_marks else unmarked(notebook)))
    save(content)
    candidate = identified(json.dumps(content).encode(), tmp_path)
    restored = cells.restore(candidate.notebook, RELEASED)
    assert restored.answered == list(ANSWERS)
    assert not (keeps_marks and restored.remarks)
    assert sources_by_mark(restored.notebook) | ANSWERS == sources_by_mark(restored.notebook)


def test_notebooks_of_an_old_format_are_read(tmp_path):
    old = nbformat.convert(Student().notebook, 3)
    candidate = identified(json.dumps(old).encode(), tmp_path)
    assert cells.restore(candidate.notebook, RELEASED).answered == list(ANSWERS)


def test_outputs_are_dropped_and_lines_end_as_in_python(tmp_path):
    student = Student().write("pool", POOL.replace("\n", "\r\n"))
    student.write("check-pool", GIVEN["check-pool"].replace("\n", "\r\n"))
    output = nbformat.v4.new_output("stream", text="x" * 1_000_000)
    student["pool"].outputs = [output]
    notebook = identified(student.notebook, tmp_path).notebook
    assert sum(len(cell.get("outputs", [])) for cell in notebook.cells) == 0
    restored = cells.restore(notebook, RELEASED)
    assert sources_by_mark(restored.notebook)["pool"] == POOL and not restored.remarks


# --- with nbgrader, on a real assignment

GAP = "1-gap-equation"


def write_answer_anew(notebook):
    """Delete the cell of the written answer, and write the answer into a new one."""
    position = index_of(notebook, "answer")
    notebook.cells[position] = new_markdown_cell(notebook.cells[position].source)


def write_below_the_stub(notebook):
    """Leave the stub of the written answer, and write the answer below it."""
    answer = notebook.cells[index_of(notebook, "answer")]
    notebook.cells.append(new_markdown_cell(answer.source))
    answer.source = "*Your answer here.*"


def delete_what_was_given(notebook):
    """Delete the given cells, of which other cells need most, and put a check at the end."""
    for name in ("parameters", "imports", "data", "check-pool"):
        del notebook.cells[index_of(notebook, name)]
    check = notebook.cells.pop(index_of(notebook, "check-scores"))
    notebook.cells.append(check)


@pytest.mark.slow
def test_all_points_are_given_for_right_answers_in_other_cells(tmp_path):
    """A written answer that was typed into a new cell cost 25 of 25 points once."""
    folder = tmp_path / "year"
    folder.mkdir()
    release(folder, paths=[sources.source_path(GAP)])
    released = nbformat.read(year.released_path(folder, GAP), as_version=4)
    instructor = nbformat.read(sources.source_path(GAP), as_version=4)
    right = {cell.id: cell.source for cell in instructor.cells if mark(cell).get("solution")}
    written = {cell.id for cell in instructor.cells if cell.id in right and not is_code(cell)}
    edits = (write_answer_anew, write_below_the_stub, delete_what_was_given)
    for edit in edits:
        notebook = sources.with_sources(released, right)
        edit(notebook)
        path = tmp_path / "submitted" / edit.__name__ / "a.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
    grading.grade(folder, tmp_path / "submitted")
    for edit in edits:
        scores = gradebook.scores(folder, GAP, edit.__name__)
        tests = {name: score for name, score in scores.items() if name not in written}
        assert all(scores[name].points is None for name in written), "a person has to read them"
        assert all(score.points == score.most for score in tests.values()) and len(tests) == 8
        graded = nbformat.read(year.autograded_path(folder, GAP, edit.__name__), as_version=4)
        assert sources_by_mark(graded)["answer"] == right["answer"]


def test_two_stubs_without_marks_are_no_text_and_one_line():
    """Colab drops marks and ids, and of two stubs that read alike neither is known by its text."""
    released = copy.deepcopy(RELEASED)
    released.cells.append(
        marked(
            new_markdown_cell("*Your answer here.*", id="why-two"),
            grade=True,
            solution=True,
            points=3,
        )
    )
    handed_in = copy.deepcopy(released)
    handed_in.cells[ORDER.index("pool")].source = POOL
    handed_in.cells[ORDER.index("scores")].source = SCORES
    restored = cells.restore(without_ids(unmarked(handed_in)), released)
    assert restored.answered == ["pool", "scores"]
    line = "Each of the cells pool, scores held no answer: another cell with this function was"
    assert [one for one in restored.remarks if "held no answer" in one] == [f"{line} graded."]
