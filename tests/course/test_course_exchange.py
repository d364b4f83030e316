"""An assignment's way through nbgrader's exchange, in JupyterLab: a student fetches, validates and
submits it, the teacher grades it and reads its texts, and the student fetches the feedback.
"""

import os
import subprocess
import sys
from contextlib import contextmanager

import nbformat
import pytest
from chromium import TIMEOUT, needs_chromium
from course.release import release
from servers import serving_lab
from test_course import ASSIGNMENTS, COMMAND, command_environment, rows
from test_course_browser import NAME, SCREENSHOTS, solved

pytestmark = needs_chromium

EXCHANGE = """
c = get_config()
c.CourseDirectory.course_id = "camkit"
c.Exchange.root = {exchange!r}
c.Exchange.cache = {cache!r}
"""
# What a person gives for the texts.
GIVEN = {"look": "4", "answer": "3.5"}
COMMENT = "Which of the two maps?"


@pytest.fixture(scope="module")
def year(tmp_path_factory):
    """The teacher's folder of the year, with all assignments."""
    folder = tmp_path_factory.mktemp("teacher") / "year"
    folder.mkdir()
    release(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The student's folder, which JupyterLab serves."""
    folder = tmp_path_factory.mktemp("student") / "home"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def exchange(year, folder, tmp_path_factory):
    """The exchange, which the settings of student and teacher name."""
    place = tmp_path_factory.mktemp("exchange")
    place.chmod(0o777)
    for home in (year.parent, folder.parent):
        config = home / "config"
        config.mkdir()
        text = EXCHANGE.format(exchange=str(place), cache=str(home / "cache"))
        (config / "nbgrader_config.py").write_text(text)
    return place


@contextmanager
def opened(browser, address):
    """A page of a browser of its own."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(TIMEOUT)
    page.goto(address)
    yield page
    context.close()


@contextmanager
def assignment_list(browser, lab):
    """The list of assignments in a student's JupyterLab."""
    with opened(browser, f"{lab}/lab?reset") as page:
        page.wait_for_function("window.jupyterapp && jupyterapp.restored")
        page.evaluate("jupyterapp.restored")
        # While the address asks for a reset, a click on a link within the page reloads all of it.
        page.wait_for_url(lambda url: "reset" not in url)
        page.evaluate("jupyterapp.commands.execute('nbgrader:open-assignment-list')")
        yield page


def listed(page, kind):
    """The entry of the assignment in a list: released, fetched or submitted."""
    return page.locator(f"#{kind}_assignments_list > .list_item").filter(has_text=NAME)


def nbgrader(command, year, name=NAME):
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", command, name],
        cwd=year,
        env=os.environ | {"JUPYTER_CONFIG_DIR": str(year.parent / "config")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def grade(year):
    call = [*COMMAND, "--folder", str(year), "grade", str(year / "submitted")]
    done = subprocess.run(call, env=command_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return rows(year)


def fetch_and_submit(page, year, folder):
    """Do in JupyterLab what a student does, who answers all right."""
    assert page.locator("#released_assignments_list > .list_item").count() == len(ASSIGNMENTS)
    listed(page, "released").get_by_role("button", name="Fetch").click()
    fetched = listed(page, "fetched")
    fetched.locator("a.assignment-notebooks-link").click()
    nbformat.write(solved(year, NAME), folder / NAME / f"{NAME}.ipynb")
    fetched.get_by_role("button", name="Validate").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_text("Success! Your notebook passes all the tests.").wait_for()
    dialog.get_by_role("button").last.click()
    fetched.get_by_role("button", name="Submit").click()
    listed(page, "submitted").wait_for()


def give_points(page, formgrader):
    """Do in Formgrader what a teacher does: read the texts, put in points and a comment."""
    for address in (f"{formgrader}/gradebook/{NAME}", f"{formgrader}/gradebook/{NAME}/{NAME}"):
        page.goto(address)
        page.locator("td a").first.wait_for()
    # The page keeps nothing that is put in before it knows the points so far.
    with page.expect_response(lambda response: "/api/comments" in response.url):
        page.locator("td a").first.click()
    page.wait_for_load_state("networkidle")
    for cell, points in GIVEN.items():
        put_in(page, f"#{cell}", points)
    put_in(page, "#answer-comment", COMMENT)


def put_in(page, field, text):
    """Write a text into a field of Formgrader and wait until it is saved."""
    page.locator(field).fill(text)
    with page.expect_response(lambda response: response.request.method == "PUT"):
        page.keyboard.press("Tab")


def test_from_fetch_to_feedback(exchange, year, folder, lab, browser):
    """A person has to judge how it looks.

    See build/screenshots/course-assignments.png and course-formgrader.png.
    """
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for name in ASSIGNMENTS:
        nbgrader("release_assignment", year, name)
    with assignment_list(browser, lab) as page:
        listed(page, "released").wait_for()
        fetch_and_submit(page, year, folder)
        page.screenshot(path=SCREENSHOTS / "course-assignments.png")

    nbgrader("collect", year)
    assert list(grade(year).values()) == ["21"]
    with (
        serving_lab(year, year.parent) as teachers_lab,
        opened(browser, f"{teachers_lab}/formgrader") as page,
    ):
        give_points(page, f"{teachers_lab}/formgrader")
        page.screenshot(path=SCREENSHOTS / "course-formgrader.png")
    assert list(grade(year).values()) == ["28.5"]

    nbgrader("release_feedback", year)
    with assignment_list(browser, lab) as page:
        with page.expect_response(lambda response: "fetch_feedback" in response.url):
            listed(page, "submitted").get_by_role("button", name="Fetch Feedback").click()
    (path,) = (folder / NAME / "feedback").rglob("*.html")
    feedback = path.read_text(encoding="utf-8")
    assert "28.5 of 30 points" in feedback and COMMENT in feedback
