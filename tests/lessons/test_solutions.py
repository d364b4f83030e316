"""The exercises of the lessons: each solution passes its check, each mistake gets its message."""

import ast
import os
import re

import nbformat
import pytest
import run
from lesson_files import LESSONS
from nbformat.v4 import new_code_cell

# `make check-solutions LESSONS="03 1"` takes the lessons whose names begin so.
STARTS = tuple(os.environ.get("LESSONS", "").split()) or ""
CHOSEN = [path for path in LESSONS if path.name.startswith(STARTS)]
chosen = pytest.mark.parametrize("lesson", CHOSEN, ids=lambda path: path.stem)

SOLUTION = re.compile(r"<details><summary>Solution</summary>(.*?)</details>", re.S)
CODE = re.compile(r"```python\n(.*?)```", re.S)
MISTAKES = """
from workbook import check
for mistake, value in {mistakes}.items():
    print(mistake)
    check(value, {right}, {mistakes})
"""


def exercises(lesson):
    """{id of the exercise: (code of its solution, statements that check it)} of a lesson."""
    cells = {cell.id: cell for cell in nbformat.read(lesson, as_version=4).cells}
    found = {}
    for name, cell in cells.items():
        if "exercise" in cell.metadata.get("tags", []):
            exercise = name.removesuffix("-answer")
            solution = SOLUTION.search(cells[exercise].source)
            assert solution, f"{exercise} has no solution"
            statements = ast.parse(cell.source).body
            checks = [each for each in statements if ast.unparse(each).startswith("check(")]
            assert checks, f"{name} checks nothing"
            found[exercise] = ("\n".join(CODE.findall(solution[1])), checks)
    return found


def trials(lesson):
    """Return cells that solve each exercise of a lesson, and make each of its mistakes."""
    cells = []
    for exercise, (solution, checks) in exercises(lesson).items():
        lines = [solution, *(ast.unparse(each) for each in checks)]
        cells.append(new_code_cell("\n".join(lines), id=f"{exercise}-solved"))
        for number, each in enumerate(checks):
            _, right, *mistakes = each.value.args
            if mistakes:
                source = MISTAKES.format(
                    right=ast.unparse(right), mistakes=ast.unparse(mistakes[0])
                )
                cells.append(new_code_cell(source, id=f"{exercise}-mistakes-{number}"))
    return cells


def printed(cell):
    return "".join(
        each.get("text", "") for each in cell.get("outputs", []) if each.output_type == "stream"
    )


@chosen
def test_exercises_have_a_skeleton_and_a_solution(lesson):
    for exercise, (solution, _) in exercises(lesson).items():
        ast.parse(solution)
        assert solution, f"the solution of {exercise} has no code"


@chosen
@pytest.mark.solutions
def test_solutions_are_right(lesson, monkeypatch):
    checked = exercises(lesson)
    if not checked:
        pytest.skip("no exercise of this lesson has a check")
    read = run.read

    def with_trials(path, parameters=None):
        notebook = read(path, parameters)
        notebook.cells += trials(lesson)
        return notebook

    monkeypatch.setattr(run, "read", with_trials)
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    notebook = run.run(lesson)
    assert run.problems(notebook) == []
    for cell in notebook.cells:
        marks = re.findall(r"^[✓✗○]", printed(cell), re.M)
        if cell.id.endswith("-solved"):
            exercise = cell.id.removesuffix("-solved")
            assert marks == ["✓"] * len(checked[exercise][1]), f"{cell.id}: {printed(cell)}"
        elif re.search(r"-mistakes-\d+$", cell.id):
            lines = printed(cell).splitlines()
            said = [line.removeprefix("✗ ") for line in lines if line.startswith("✗")]
            mistakes = [lines[n - 1] for n, line in enumerate(lines) if line.startswith("✗")]
            assert said == mistakes and "✓" not in marks, f"{cell.id}: {printed(cell)}"
