"""The pages of the lessons, and the interactive ones in JupyterLab, in a headless browser."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from chromium import FAINT, OVERFLOW, TIMEOUT, needs_chromium, notebook_page
from lesson_files import LESSONS, ROOT, lessons
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of the lessons that a browser may change, beside the embedded data."""
    home = tmp_path_factory.mktemp("lab")
    (home / "data").symlink_to(ROOT / "data")
    return Path(shutil.copytree(ROOT / "notebooks", home / "notebooks"))


@pytest.fixture
def opened(lab, browser):
    """Return a context manager: name -> page of the notebook, all of whose cells have run.

    No error may stand on the page or the console, then and at the end of the block.
    """

    @contextmanager
    def open_and_run(name):
        with notebook_page(lab, browser, name) as (page, errors):

            def check():
                page.wait_for_function(
                    "jupyterapp.shell.currentWidget.sessionContext.session.kernel.status == 'idle'"
                )
                red = page.locator(
                    "[data-mime-type='application/vnd.jupyter.stderr'], "
                    "[data-mime-type*='jupyter.error']"
                )
                all_errors = errors + red.all_inner_texts()
                assert not all_errors, "\n".join(all_errors)

            page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
            check()
            yield page
            check()

    return open_and_run


def view(page, label):
    """The interactive view that has a control of this name, with its readout."""
    found = page.locator(".widget-vbox", has=page.get_by_text(label, exact=True)).first
    found.scroll_into_view_if_needed()
    return found, found.get_by_role("status")


def move(found, label):
    """Move a control one step by keyboard; for a list, return what it then shows."""
    row = found.locator(".widget-inline-hbox", has=found.page.get_by_text(label, exact=True))
    control = row.locator("select, [role=slider]")
    control.focus()
    if control.get_attribute("role") == "slider":
        value = float(control.get_attribute("aria-valuenow"))
        highest = float(control.get_attribute("aria-valuemax"))
        assert highest > 0, f"{label} cannot be moved"
        found.page.keyboard.press("ArrowRight" if value < highest else "ArrowLeft")
        return None
    last = control.evaluate("list => list.selectedIndex == list.length - 1")
    # JupyterLab takes the arrow keys for itself unless the list is open.
    for key in ["Space", "ArrowUp" if last else "ArrowDown", "Enter"]:
        found.page.keyboard.press(key)
    return control.evaluate("list => list.selectedOptions[0].text").replace("\xa0", " ")


def changed(status, before, *texts):
    """The readout, once it is another than before; it holds these texts."""
    for _ in range(TIMEOUT // 100):
        after = status.inner_text()
        if after != before:
            break
        status.page.wait_for_timeout(100)
    assert after != before
    assert all(text in after for text in texts), (texts, after)
    return after


# --- the pages

FOLD = "open => document.querySelectorAll('details').forEach(details => details.open = open)"
CUT_CODE = """Array.from(document.querySelectorAll(".highlight pre"))
    .filter(pre => Math.max(...pre.textContent.split("\\n").map(line => line.length)) <= 100)
    .filter(pre => pre.scrollWidth > pre.clientWidth).map(pre => pre.textContent)"""
CUT_TABLES = """Array.from(document.querySelectorAll("table"))
    .filter(table => table.offsetWidth > table.parentElement.clientWidth
                     || table.scrollWidth > table.clientWidth)
    .map(table => table.textContent)"""
CUT_FORMULAS = """Array.from(document.querySelectorAll(".formula"))
    .filter(box => box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight)
    .map(box => box.textContent)"""


@pytest.fixture
def leaf(executed, browser, tmp_path):
    """Return a context manager: lesson, width, height -> its page in a window of this size.

    Nothing may come from elsewhere, and nothing may stand on the console.
    """

    @contextmanager
    def open_page(lesson, width, height):
        (tmp_path / "page.html").write_text(executed(lesson)[1], encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": height})
        page = context.new_page()
        messages, fetched = [], []
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("request", lambda request: fetched.append(request.url))
        page.goto((tmp_path / "page.html").as_uri())
        yield page
        assert messages == []
        assert [url for url in fetched if not url.startswith(("file:", "data:"))] == []
        context.close()

    return open_page


@lessons
@pytest.mark.parametrize("width, height", [(1280, 900), (390, 844)], ids=["desk", "phone"])
def test_page_is_easy_on_the_eye(lesson, width, height, leaf):
    """By day and by night, all that is folded opened, too.

    build/screenshots/LESSON-WIDTH-light.jpg and -dark.jpg show what a person has to judge.
    """
    folder = ROOT / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    with leaf(lesson, width, height) as page:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.evaluate(FOLD, False)
            page.screenshot(
                path=folder / f"{lesson.stem}-{width}-{scheme}.jpg",
                type="jpeg",
                quality=85,
                full_page=True,
            )
            page.evaluate(FOLD, True)
            assert page.evaluate(OVERFLOW) <= 0
            assert page.evaluate(FAINT) == []
        for figure in page.locator("main img").all():  # still by night: black print on white
            assert (
                figure.evaluate("image => getComputedStyle(image).backgroundColor")
                == "rgb(255, 255, 255)"
            )
        if width == 1280:
            code = page.locator(".jp-CodeCell .highlight pre").first
            assert 14 <= code.evaluate("pre => parseFloat(getComputedStyle(pre).fontSize)") <= 15
            assert page.evaluate(CUT_CODE) == []
            assert page.evaluate(CUT_TABLES) == []
            assert page.evaluate(CUT_FORMULAS) == []


@lessons
def test_contents_stay_while_one_scrolls(lesson, leaf):
    with leaf(lesson, 1280, 900) as page:
        contents = page.locator("nav.contents")
        assert not page.locator("details.contents").is_visible()
        for share in (0, 0.5, 1):
            page.evaluate(
                "share => scrollTo(0, share * document.documentElement.scrollHeight)", share
            )
            box = contents.bounding_box()
            assert 0 <= box["y"] and box["y"] + box["height"] <= 900
        title = page.locator("main h2").nth(1)
        title.evaluate("heading => heading.scrollIntoView()")
        marked = (
            "title => "
            "document.querySelector('nav.contents a:target-current')?.textContent === title"
        )
        page.wait_for_function(marked, arg=title.text_content())


@lessons
def test_contents_are_folded_on_a_phone(lesson, leaf):
    with leaf(lesson, 390, 844) as page:
        last = page.locator("details.contents a").last
        assert not page.locator("nav.contents").is_visible() and not last.is_visible()
        page.locator("details.contents summary").click()
        last.click()
        assert 0 <= page.locator("main h2").last.bounding_box()["y"] < 844


def next_class(found, status):
    """Ask an atlas for the map of the next class in its list, by keyboard.

    Returns its name, and the readout before and after.
    """
    before = status.inner_text()
    classes = found.get_by_label("Map of class")
    classes.press("ArrowDown")
    name = classes.evaluate("list => list.selectedOptions[0].text").split(" · ")[0]
    return name, before, changed(status, before, f"Map of {name}:")


@pytest.mark.parametrize("number", ["03", "04", "05", "14"])
def test_views_live_on_the_pages(number, leaf):
    """Without Python: another class, another picture; on the pages with a review, a verdict."""
    with leaf(next(path for path in LESSONS if path.name.startswith(number)), 1280, 900) as page:
        page.locator("iframe.camkit-atlas-frame").scroll_into_view_if_needed()
        found = page.frame_locator("iframe.camkit-atlas-frame")
        status = found.locator(".status").filter(has_text="Map of")
        _, _, other = next_class(found, status)
        found.locator(".tiles").focus()
        page.keyboard.press("ArrowRight")
        changed(status, other)
        if found.locator(".review").count():
            page.keyboard.press("4")
            found.get_by_text("Saved: resolution.").wait_for()
        frame = page.locator("iframe.camkit-atlas-frame").bounding_box()
        height = found.locator(".camkit-atlas").bounding_box()["height"]
        # A frame has whole pixels.
        assert frame["height"] >= int(height), "nothing is cut"


# --- the interactive lessons in JupyterLab


def write(path, source):
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(
        new_notebook(cells=[new_code_cell(source, id="one")], metadata={"kernelspec": kernel}), path
    )


def test_a_control_is_moved_by_keyboard(folder, opened):
    source = (
        "import ipywidgets\nslider = ipywidgets.IntSlider(3, description='steps')\n"
        "display(slider, ipywidgets.interactive_output(lambda x: print('at', x), {'x': slider}))"
    )
    write(folder / "try.ipynb", source)
    with opened("try.ipynb") as page:
        page.get_by_text("at 3").wait_for()
        page.get_by_role("slider").focus()
        page.keyboard.press("ArrowRight")
        page.get_by_text("at 4").wait_for()


@pytest.mark.parametrize(
    "source, found",
    [
        ("1 / 0", "ZeroDivisionError"),
        ("from IPython.display import HTML\nHTML('<img src=x onerror=\"nowhere()\">')", "nowhere"),
    ],
)
def test_errors_are_seen(folder, opened, source, found):
    write(folder / "wrong.ipynb", source)
    with pytest.raises(AssertionError, match=found):
        with opened("wrong.ipynb") as page:
            page.wait_for_timeout(500)


def atlas(page):
    """The error atlas of a lesson, with the line that tells what is shown."""
    found = page.locator(".camkit-atlas").first
    found.scroll_into_view_if_needed()
    found.locator(".status").filter(has_text="Map of").wait_for()
    return found, found.locator(".status")


def test_class_picker(folder, opened):
    with opened(next(folder.glob("03*.ipynb")).name) as page:
        found, status = atlas(page)
        name, start, other = next_class(found, status)
        assert other.split(": true")[0] == start.split(": true")[0], "the picture stays"
        found.get_by_role("listbox", name="Pictures of the group").focus()
        page.keyboard.press("ArrowRight")
        third = changed(status, other, f"Map of {name}:")
        assert third.split(": true")[0] != other.split(": true")[0], "the map's class stays"
        groups = found.get_by_label("Pictures of", exact=True)
        groups.focus()
        page.keyboard.press("ArrowDown")
        name = groups.evaluate("list => list.selectedOptions[0].text").rsplit(" (", 1)[0]
        changed(status, third, f"{name}/")
        assert (
            found.locator("figure.chosen canvas").get_attribute("aria-label").startswith("map of ")
        )


def test_a_point_leads_to_its_picture(folder, opened):
    with opened(next(folder.glob("04*.ipynb")).name) as page:
        found, status = atlas(page)
        start = status.inner_text()
        canvas = found.locator("canvas.features")
        canvas.scroll_into_view_if_needed()
        canvas.focus()
        page.keyboard.press("l")
        assert found.locator("h3.group").inner_text() == "nearest in the map: 30 pictures"
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowDown")
        changed(status, start)


def test_error_review(folder, opened):
    """A verdict reaches the CSV file at once, and is there when the notebook is opened again."""
    with opened(next(folder.glob("05*.ipynb")).name) as page:
        found, status = atlas(page)
        found.get_by_label("Pictures of", exact=True).select_option(
            label=found.locator("option").nth(1).text_content()
        )
        page.wait_for_timeout(1000)  # the group's first picture may be there already
        start = status.inner_text()
        found.get_by_role("listbox", name="Pictures of the group").focus()
        page.keyboard.press("ArrowRight")
        second = changed(status, start)
        page.keyboard.press("3")
        found.get_by_text("Saved: background. 1 of ").wait_for()
        screenshots = ROOT / "build" / "screenshots"
        screenshots.mkdir(parents=True, exist_ok=True)
        found.screenshot(path=screenshots / "05-error-atlas.png")
    tables = [file.read_text() for file in folder.parent.rglob("reviews/*.csv")]
    # The split of the picture stands behind its name.
    name = second.split(": true")[0].split(" (")[0]
    assert any(
        name in line and ",background," in line for table in tables for line in table.splitlines()
    )
    with opened(next(folder.glob("05*.ipynb")).name) as page:
        found, status = atlas(page)
        found.get_by_text("1 of 15 errors reviewed.").wait_for()


def test_method_layer_and_class(folder, opened):
    """Each control changes what it names, and the rest of the readout stays."""
    with opened(next(folder.glob("06-*.ipynb")).name) as page:
        found, status = view(page, "Method")
        start = status.inner_text()
        method, layer, shown = start.split(":")[0].split(", ")
        for label in ("Map of class", "Layer", "Method"):
            before, other = status.inner_text(), move(found, label)
            shown = f"map of {other}" if label == "Map of class" else shown
            layer = other if label == "Layer" else layer
            method = other if label == "Method" else method
            after = changed(status, before, "its peak lies in the quarter of ")
            assert after.split(":")[0] == f"{method}, {layer}, {shown}"
            assert found.locator("img").get_attribute("alt") == after
        screenshots = ROOT / "build" / "screenshots"
        screenshots.mkdir(parents=True, exist_ok=True)
        found.screenshot(path=screenshots / "06-method-layer-and-class.png")


def test_the_app_serves_the_atlas_and_a_verdict_survives_it(browser, tmp_path):
    """In Voila; its own template asks for an icon font from afar, which nobody needs."""
    verdicts = tmp_path / "verdicts.csv"
    messages = []
    environment = {
        **os.environ,
        "VERDICTS": str(verdicts),
        "ANALYSIS": "",
        "REFERENCE": "",
        "JUPYTER_DATA_DIR": str(tmp_path / "share"),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    for start in ("0 of", "1 of"):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "voila",
                "atlas.ipynb",
                "--no-browser",
                f"--port={port}",
                "--Voila.ip=127.0.0.1",
            ],
            cwd=ROOT / "notebooks" / "app",
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=open(tmp_path / "server.log", "w"),
        )
        try:
            page = browser.new_page()
            page.set_default_timeout(TIMEOUT)
            page.route(
                re.compile("^https:"), lambda route: route.fulfill(body="", content_type="text/css")
            )
            page.on(
                "console",
                lambda message: messages.append(message.text) if message.type == "error" else None,
            )
            page.on("pageerror", lambda error: messages.append(str(error)))
            for _ in range(120):
                try:
                    page.goto(f"http://127.0.0.1:{port}/")
                    break
                except Exception:
                    assert server.poll() is None, (tmp_path / "server.log").read_text()
                    time.sleep(0.5)
            found, status = atlas(page)
            found.get_by_text(f"{start} 15 errors reviewed.").wait_for()
            if start == "0 of":
                assert "taken for" in found.locator("h3.group").inner_text()
                page.wait_for_timeout(500)
                found.locator(".tiles").focus()
                page.keyboard.press("2")
                found.get_by_text("Saved: ambiguous. 1 of 15 errors reviewed.").wait_for()
                assert ",ambiguous," in verdicts.read_text()
                folder = ROOT / "build" / "screenshots"
                folder.mkdir(parents=True, exist_ok=True)
                page.screenshot(path=folder / "app.png", full_page=True)
            page.close()
        finally:
            server.terminate()
            server.wait(timeout=30)
    assert messages == []
