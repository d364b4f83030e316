"""Another author's course: the proof reads one folder, and knows no assignment by name."""

import os
import subprocess
import sys

import nbformat
import pytest
from course import cli, guide, proof, sources
from course.release import release
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from test_course import marked

TEST = """
from checks import agree, share

agree(area(2, 3), 6)
### BEGIN HIDDEN TESTS
share(2, [lambda: agree(area(side, 4), 4 * side)])
### END HIDDEN TESTS
"""
GIVEN = """
import numpy as np

side = np.random.default_rng(SEED).uniform(2, 9)
"""
WRONG = """
#%% area: the sum
def area(a, b):
    return a + b

#%% area: by heart
def area(a, b):
    return 6
"""


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A folder with one assignment, with a right function, two wrong ones and a text."""
    solution = "def area(a, b):\n    ### BEGIN SOLUTION\n    return a * b\n    ### END SOLUTION"
    model = "It is {side:.2f}.\n\n**Rubric, for the grader.** The side:\n\n{{side}}\n\n1: so."
    parameters = marked(new_code_cell("SEED = 2026", id="parameters"), locked=True)
    parameters.metadata["tags"] = ["parameters"]
    cells = [
        parameters,
        marked(new_code_cell(GIVEN.strip(), id="imports"), locked=True),
        marked(new_code_cell(solution, id="area"), solution=True),
        marked(new_code_cell(TEST.strip(), id="check-area"), grade=True, locked=True, points=2),
        marked(
            new_markdown_cell(f"### BEGIN SOLUTION\n{model}\n### END SOLUTION", id="why"),
            grade=True,
            solution=True,
            points=1,
        ),
    ]
    nbformat.write(new_notebook(cells=cells), tmp_path / "1-area.ipynb")
    (tmp_path / "wrong").mkdir()
    (tmp_path / "wrong" / "1-area.py").write_text(WRONG)
    monkeypatch.setattr(sources, "HERE", tmp_path)
    return tmp_path


def test_the_prices_of_anothers_mistakes(course):
    found = proof.prove("1-area", seed=7)
    assert [tuple(price) for price in found.prices] == [
        ("area", "the sum", 2),
        ("area", "by heart", 2),
    ]
    assert "```text\n6." in found.answers["why"], "the value of that year, in its place"
    text = guide.section("1-area", found)
    assert "| `area` | 2 | the sum | 2 |" in text and "|  |  | by heart | 2 |" in text
    assert "**The written answer** `why`, 1 point. An answer" in text


def test_the_guide_of_a_course_with_fewer_assignments_says_what_to_do(course):
    (course / "guide.md").write_text("# Guide\n\n<!-- 1-area -->\n\n<!-- 2-gone -->\n")
    guide.write(course, {"1-area": proof.prove("1-area", seed=7)})
    page = (course / "guide.html").read_text(encoding="utf-8")
    assert "by heart" in page and "2-gone.ipynb</code> in this course: take this section" in page


def test_a_wrong_answer_that_costs_nothing_is_named(course):
    path = course / "wrong" / "1-area.py"
    path.write_text(WRONG + "\n#%% area: right, if slowly\ndef area(a, b):\n    return b * a\n")
    with pytest.raises(
        proof.ProofError, match="right, if slowly: should cost points of check-area"
    ):
        proof.prove("1-area", seed=7)


def test_files_that_a_course_lacks_are_camkits(course):
    release(course, seed=7)
    given = course / "release" / "1-area"
    for name in sources.HANDED_OUT:
        assert (given / name).read_bytes() == (sources.CAMKIT / name).read_bytes()


def test_a_folder_without_assignments_is_refused(course, capsys):
    (course / "1-area.ipynb").rename(course / "area.ipynb")
    with pytest.raises(SystemExit):
        cli.main(["build"])
    assert "holds no assignment: name them 1-name.ipynb" in capsys.readouterr().err
    assert not (course / "build").exists()


def test_the_environment_names_the_folder(course):
    code = "from course import cli, sources; print(sources.assignments(), cli._default_folder(7))"
    environment = os.environ | {
        "COURSE_ASSIGNMENTS": str(course),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert str(course / "1-area.ipynb") in told and str(course / "build" / "course" / "7") in told
