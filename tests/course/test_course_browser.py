"""The course as students meet it.

They meet it in JupyterLab, in a terminal, in Jupyter without nbgrader, and in their feedback.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest
from chromium import FAINT, OVERFLOW, needs_chromium, notebook_page
from course import grading, proof, sources
from course.release import release
from lesson_files import ROOT
from nbformat.v4 import new_code_cell
from nbgrader import utils

NAME = "1-gap-equation"
RIGHT = {"pool": "def pool(F):\n    return F.mean(axis=(1, 2))"}
WRONG = {"scores": "def scores(f, W, b):\n    return f @ W.T + b"}
SAID = (
    "That is W the wrong way round: W[k, c] is the weight of channel k for class c. "
    "At [0, 0] yours is 11, right is 17."
)
NOISY = {
    "pool": """import sys

def pool(F):
    print('W0000 oneDNN', file=sys.stderr)
    return F.mean(axis=(1, 2))""",
    "scores": """import warnings

def scores(f, W, b):
    warnings.warn('deprecated')
    return f @ W + b""",
    "scores_of_maps": """import os

def scores_of_maps(M, b):
    os.write(2, b'E0000 cuda_dnn.cc')
    return M.mean(axis=(1, 2)) + b""",
}
SCREENSHOTS = ROOT / "build" / "screenshots"

in_browser = needs_chromium
assigned = pytest.mark.parametrize("name", [path.stem for path in sources.assignments()])


@pytest.fixture(scope="module")
def year(tmp_path_factory):
    """A year's folder with all assignments released in it."""
    year = tmp_path_factory.mktemp("course")
    release(year)
    return year


@pytest.fixture(scope="module")
def folder(year, tmp_path_factory):
    """One assignment as a student has it, which JupyterLab serves."""
    return Path(shutil.copytree(year / "release" / NAME, tmp_path_factory.mktemp("student") / NAME))


def released(year, name):
    return nbformat.read(year / "release" / name / f"{name}.ipynb", as_version=4)


def solved(year, name):
    """The release with the instructor's answers in it."""
    source = nbformat.read(sources.HERE / f"{name}.ipynb", as_version=4)
    answers = {cell.id: cell.source for cell in source.cells if utils.is_solution(cell)}
    return sources.with_sources(released(year, name), answers)


def failed(told, notebook):
    """{cell: what is told of it} of a validation's report, in its order."""
    parts = [" ".join(part.split()) for part in told.split("The following cell failed:")[1:]]
    sources = {
        cell.id: " ".join(cell.source.split()) for cell in notebook.cells if utils.is_grade(cell)
    }
    found = {}
    for part in parts:
        # Both stubs of texts read alike, and stand in the order of the notebook.
        known = [cell for cell, source in sources.items() if part.startswith(source)]
        found[next(cell for cell in known if cell not in found)] = part
    return found


def check_report(told, notebook):
    """All graded cells but the solved one are named, each with what is wrong with it."""
    found = failed(told, notebook)
    assert list(found) == [
        cell.id for cell in notebook.cells if utils.is_grade(cell) and cell.id != "check-pool"
    ]
    assert SAID in found["check-scores"]
    assert found.pop("check-scores").count("The bias is missing.") == 1, (
        "the check's source, and not the error"
    )
    for name in ("look", "answer"):
        assert "You did not provide a response." in found.pop(name)
    assert found and all("NotImplementedError" in part for part in found.values())


# --- in JupyterLab


@in_browser
def test_a_student_writes_runs_and_validates(year, folder, lab, browser):  # noqa: F811
    """A person has to judge how it looks.

    See build/screenshots/course-assignment.png and course-validate.png.
    """
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    notebook = released(year, NAME)
    ids = [cell.id for cell in notebook.cells]
    with notebook_page(lab, browser, f"{NAME}.ipynb") as (page, errors):

        def cell(name):
            return page.locator(".jp-Notebook .jp-Cell").nth(ids.index(name))

        for name, source in (RIGHT | WRONG).items():
            cell(name).locator(".cm-content").click()
            page.keyboard.press("Control+End")
            page.keyboard.press("Shift+Home")
            page.keyboard.type(source.splitlines()[-1].strip())
            cells = "jupyterapp.shell.currentWidget.content.widgets"
            assert (
                page.evaluate(f"at => {cells}[at].model.sharedModel.source", ids.index(name))
                == source
            )
        cell("title").click()
        for _ in ids[: ids.index("check-scores") + 1]:
            page.keyboard.press("Shift+Enter")
        cell("check-scores").get_by_text(SAID).wait_for()
        assert (
            cell("check-pool").locator(".jp-OutputArea").inner_text().strip()
            == "pool is right for the tiny volume"
        )
        cell("scores").scroll_into_view_if_needed()
        page.screenshot(path=SCREENSHOTS / "course-assignment.png")

        page.get_by_role("button", name="Validate").click(
            force=True
        )  # some versions have a text above it
        dialog = page.get_by_role("dialog")
        dialog.get_by_text("The following cell failed:").first.wait_for()
        check_report(dialog.inner_text(), notebook)
        dialog.get_by_text(SAID).scroll_into_view_if_needed()
        page.screenshot(path=SCREENSHOTS / "course-validate.png")
        dialog.get_by_role("button", name="Ok").click()
        dialog.wait_for(state="detached")
        assert errors == []


def test_jupyterlab_takes_nbgraders_extensions():
    """This JupyterLab calls the extension compatible, and the server's half of it can be loaded."""

    def listed(module):
        done = subprocess.run(
            [sys.executable, "-m", module, "list"], capture_output=True, text=True, check=True
        )
        return re.sub(r"\x1b\[\d+m", "", done.stdout + done.stderr)

    assert re.search(r"@jupyter/nbgrader v\S+ enabled +OK\b", listed("jupyterlab.labextensions"))
    server = listed("jupyter_server.extension.serverextension")
    assert "nbgrader.server_extensions.validate_assignment enabled" in server
    assert re.search(r"nbgrader\.server_extensions\.validate_assignment +OK\b", server)


# --- in a terminal


def validate(path, folder):
    """What nbgrader prints on the notebook at `path` when it is called in `folder`."""
    call = [sys.executable, "-m", "nbgrader", "validate", str(path)]
    environment = {
        name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"
    }
    # A kernel that is told of pytest leaves out what C libraries write.
    return subprocess.run(
        call, cwd=folder, stdout=subprocess.PIPE, text=True, check=True, env=environment
    ).stdout


@pytest.fixture
def handed_out(year, tmp_path):
    return Path(shutil.copytree(year / "release" / NAME, tmp_path / NAME))


def test_validation_names_what_fails_and_what_is_wrong(year, handed_out):
    notebook = released(year, NAME)
    nbformat.write(sources.with_sources(notebook, RIGHT | WRONG), handed_out / f"{NAME}.ipynb")
    told = validate(f"{NAME}.ipynb", handed_out)
    assert "VALIDATION FAILED ON 9 CELL(S)!" in told
    check_report(told, notebook)


@pytest.mark.parametrize("place", [".", NAME], ids=["beside its settings", "from the folder above"])
def test_a_solved_notebook_is_valid_whatever_stands_on_standard_error(year, handed_out, place):
    nbformat.write(sources.with_sources(solved(year, NAME), NOISY), handed_out / f"{NAME}.ipynb")
    told = validate(f"{place}/{NAME}.ipynb", handed_out if place == "." else handed_out.parent)
    assert told.endswith("Success! Your notebook passes all the tests.\n"), (
        "a C library's lines may stand before it"
    )


# --- without nbgrader


@assigned
def test_an_assignment_needs_no_nbgrader(name, year, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['nbgrader'] = None\n")
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    )

    def errors(notebook):
        """{cell: the errors that it ends in}, in a Jupyter that has no nbgrader."""
        notebook.cells.append(new_code_cell("import nbgrader", id="last"))
        nbclient.execute(notebook, cwd=str(year / "release" / name), allow_errors=True, timeout=120)
        found = {
            cell.id: [out.ename for out in cell.outputs if out.output_type == "error"]
            for cell in notebook.cells
            if cell.cell_type == "code"
        }
        assert found.pop("last") == ["ModuleNotFoundError"]
        return found

    handed_out = released(year, name)
    checks = {
        cell.id for cell in handed_out.cells if utils.is_grade(cell) and cell.cell_type == "code"
    }
    for cell, names in errors(handed_out).items():
        allowed = (
            [["NotImplementedError"]]
            if cell in checks
            else [[], ["NotImplementedError"], ["NameError"]]
        )
        assert names in allowed, cell
    assert not any(errors(solved(year, name)).values())


# --- the feedback


@pytest.fixture(scope="module")
def feedback(year, tmp_path_factory):
    """The page of a student who left most steps.

    One step is right, one wrong, and one wrong on other numbers only.
    """
    wrong = {
        cell: source
        for cell, told, source in proof.wrong_answers(NAME)
        if (cell, told)
        in {("class_maps", "weights transposed"), ("softmax", "overflows at high scores")}
    }
    submitted = tmp_path_factory.mktemp("submitted")
    (submitted / "kim").mkdir()
    nbformat.write(
        sources.with_sources(released(year, NAME), RIGHT | wrong),
        submitted / "kim" / f"{NAME}.ipynb",
    )
    grading.grade(year, submitted)
    return year / "feedback" / "kim" / NAME / f"{NAME}.html"


@in_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_feedback_says_in_words_what_was_wrong(width, feedback, browser):  # noqa: F811
    """A person has to judge how it looks.

    See build/screenshots/course-feedback-WIDTH-light.png and -dark.png.
    """
    from axe_playwright_python.sync_playwright import Axe

    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page = browser.new_page(viewport={"width": width, "height": 900})
    told, fetched = [], []
    page.on("console", lambda message: told.append(message.text))
    page.on("request", lambda request: fetched.append(request.url))
    page.goto(feedback.as_uri())
    text = page.locator("main").inner_text()
    assert (
        " ".join(text.split()).count(
            "That is W the wrong way round: W[k, c] is channel k for class c. At ["
        )
        == 1
    )
    assert text.count("has not been written") == 6, "five steps and a cell that needs one"
    assert re.findall(r"On other numbers, case (\d) of 4: 15 of 15 values differ\.", text) == [
        "3",
        "4",
    ]
    assert "No points are lost here. ValueError: matmul" in text, "a cell that puts steps together"
    assert not re.search(r"check-|AssertionError|Mistake|NotImplementedError:|/tmp|ipykernel", text)
    points = [row.split("\t") for row in page.locator("main table tbody").inner_text().splitlines()]
    assert (
        points[0] == ["1. How does a channel become one number?", "2 of 2"]
        and points[2][1] == "2 of 4"
    )
    assert len(points) == 10
    assert {got for _, got in points[3:]} == {"0 of 2", "0 of 3", "0 of 4", "0 of 5"}
    page.get_by_role("row", name="Where in the picture").get_by_role("link").click()
    assert 0 <= page.get_by_role("heading", name="Where in the picture").bounding_box()["y"] < 300
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=SCREENSHOTS / f"course-feedback-{width}-{scheme}.png", full_page=True)
        assert page.evaluate(OVERFLOW) <= 0
        assert page.evaluate(FAINT) == []
        faults = [
            (fault["id"], fault["impact"], [node["html"] for node in fault["nodes"]][:3])
            for fault in Axe().run(page).response["violations"]
            if fault["impact"] in ("serious", "critical")
        ]
        assert faults == []
    assert told == [] and [url for url in fetched if not url.startswith(("file:", "data:"))] == []
    page.close()
