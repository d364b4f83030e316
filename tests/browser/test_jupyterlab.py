"""The interactive lessons in JupyterLab, in a headless browser."""

import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from chromium import TIMEOUT, atlas, changed, needs_chromium, next_class, notebook_page
from lesson_files import ROOT
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy of the lessons that a browser may change, beside the embedded data."""
    home = tmp_path_factory.mktemp("lab")
    (home / "data").symlink_to(ROOT / "data")
    return Path(shutil.copytree(ROOT / "notebooks", home / "notebooks"))


RUN = """async ids => {
    const notebook = jupyterapp.shell.currentWidget.content;
    for (const id of ids) {
        notebook.activeCellIndex = notebook.widgets.findIndex(cell => cell.model.id === id);
        await jupyterapp.commands.execute('notebook:run-cell');
    }
}"""


@pytest.fixture
def opened(lab, browser):
    """Return a context manager: name, cells -> page of the notebook, where these cells have run.

    A lesson as a whole runs elsewhere: here, what its view needs is enough. No error may stand on
    the page or the console, then and at the end of the block.
    """

    @contextmanager
    def open_and_run(name, cells):
        with notebook_page(lab, browser, name) as (page, errors):

            def check():
                page.wait_for_function(
                    "jupyterapp.shell.currentWidget.sessionContext.session.kernel.status == 'idle'"
                )
                # An image that cannot be loaded has told so by then.
                page.wait_for_function("[...document.images].every(image => image.complete)")
                red = page.locator(
                    "[data-mime-type='application/vnd.jupyter.stderr'], "
                    "[data-mime-type*='jupyter.error']"
                )
                all_errors = errors + red.all_inner_texts()
                assert not all_errors, "\n".join(all_errors)

            page.evaluate(RUN, cells)
            check()
            yield page
            check()

    return open_and_run


START = ["parameters", "imports"]


def code_cells(path):
    """The ids of all cells of code."""
    return [cell.id for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


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


def write(path, *sources):
    """Write a notebook with these cells, which are called one, two."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [
        new_code_cell(source, id=id) for source, id in zip(sources, ["one", "two"], strict=False)
    ]
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


def test_a_control_is_moved_by_keyboard(folder, opened):
    source = (
        "import ipywidgets\nslider = ipywidgets.IntSlider(3, description='steps')\n"
        "display(slider, ipywidgets.interactive_output(lambda x: print('at', x), {'x': slider}))"
    )
    write(folder / "try.ipynb", source)
    with opened("try.ipynb", ["one"]) as page:
        page.get_by_text("at 3").wait_for()
        page.get_by_role("slider").focus()
        page.keyboard.press("ArrowRight")
        page.get_by_text("at 4").wait_for()


def test_errors_are_seen(folder, opened):
    """Those of a cell, and those on the page."""
    image = "from IPython.display import HTML\nHTML('<img src=x onerror=\"nowhere()\">')"
    write(folder / "wrong.ipynb", image, "1 / 0")
    with pytest.raises(AssertionError) as caught, opened("wrong.ipynb", ["one", "two"]):
        pass
    assert "nowhere" in str(caught.value) and "ZeroDivisionError" in str(caught.value)


def test_class_picker(opened):
    with opened("03-class-activation-maps.ipynb", [*START, "model", "seen", "picker"]) as page:
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


def test_a_point_leads_to_its_picture(opened):
    with opened("04-gap-features.ipynb", [*START, "model", "features", "tsne", "explorer"]) as page:
        found, status = atlas(page)
        start = status.inner_text()
        canvas = found.locator("canvas.features")
        canvas.scroll_into_view_if_needed()
        canvas.focus()
        page.keyboard.press("l")
        assert found.locator("h2.group").inner_text() == "nearest in the map: 30 pictures"
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowDown")
        changed(status, start)


BLIND = """
import json
from html import escape
from pathlib import Path
from IPython.display import HTML

row = {"path": "Test/a.jpg", "true": "Plum", "predicted": "Plum", "comment": "with"}
page = Path("site/blind.html").read_text("utf-8")
page = page.replace("= PICTURES", "= " + json.dumps([row | {"picture": "<p>a plum</p>"}]))
HTML(f'<div><iframe title="Blind test" srcdoc="{escape(page)}"></iframe></div>')
"""


def test_pictures_are_judged_in_a_frame(folder, opened):
    """The last cells of lesson 5, with one picture."""
    write(folder / "blind.ipynb", BLIND)
    with opened("blind.ipynb", ["one"]) as page:
        frame = page.frame_locator("iframe[title='Blind test']")
        frame.get_by_role("button", name="The model is right").click()
        with page.expect_download() as download:
            frame.get_by_role("link", name="Save blind.csv").click()
        assert "Test/a.jpg" in download.value.path().read_text(encoding="utf-8")


LIVING = """
import numpy as np
from living import show_threshold
cells = np.random.default_rng(0).normal(size=(5, 6))
show_threshold(np.full((60, 72, 3), 200, "uint8"), cells, [20, 12, 52, 40], "Plum")
"""


def test_a_living_view(folder, opened):
    """By the arrow keys, which elsewhere lead to another cell, and by the space bar."""
    write(folder / "living.ipynb", LIVING, "1 + 1")
    with opened("living.ipynb", ["one", "two"]) as page:
        found = page.get_by_role("region", name="The box of Plum at a threshold")
        found.scroll_into_view_if_needed()
        status = found.get_by_role("status")
        slider = found.get_by_label("Threshold τ")
        for key in ("ArrowUp", "ArrowRight", "ArrowDown", "ArrowRight"):
            slider.press(key)
        expect(status).to_contain_text("τ = 0.22: box x ")
        found.get_by_role("button", name="Play").press("Space")
        expect(status).not_to_contain_text("τ = 0.22: ", timeout=TIMEOUT)
        screenshots = ROOT / "build" / "screenshots"
        screenshots.mkdir(parents=True, exist_ok=True)
        found.screenshot(path=screenshots / "lab-living.png")


def test_error_review(folder, opened):
    """A verdict reaches the CSV file at once, and is there when the notebook is opened again."""
    review = [*START, "images", "model", "errors", "review"]
    with opened("05-error-review.ipynb", review) as page:
        found, status = atlas(page)
        found.get_by_label("Pictures of", exact=True).select_option(
            label=found.locator("option").nth(1).text_content()
        )
        first = found.locator(".tile.current").get_attribute("aria-label")
        expect(status).to_contain_text(first.split(": true")[0], timeout=TIMEOUT)
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
    with opened("05-error-review.ipynb", review) as page:
        found, status = atlas(page)
        found.get_by_text("1 of 15 errors reviewed.").wait_for()


ATLAS = """
import camkit
images = camkit.load_images("mini", "Test", per_class=2)
backbone = camkit.backbone("mini")
model = camkit.gap_classifier(backbone, images.class_names)
before = camkit.analyze(model, images)
camkit.train_head(model, camkit.load_images("mini", "Training", per_class=4), epochs=1)
after = camkit.analyze(model, images)
"""


def test_what_if_the_comparison_and_the_model_in_the_view(folder, opened):
    """The three live panels, by mouse and by keys that JupyterLab has a use for, too."""
    write(folder / "live.ipynb", ATLAS, "camkit.error_atlas(after, before=before, model=model)")
    with opened("live.ipynb", ["one", "two"]) as page:
        found, _ = atlas(page)
        screenshots = ROOT / "build" / "screenshots"
        screenshots.mkdir(parents=True, exist_ok=True)

        found.get_by_role("button", name=re.compile("^mended: ")).click()
        found.locator(".both p", has_text="So: mended.").wait_for()
        sides = found.locator(".both figcaption").all_inner_texts()
        assert [side.split(":")[0] for side in sides] == ["before", "after"] * (len(sides) // 2)
        found.locator(".both").screenshot(path=screenshots / "lab-compare.png")

        found.locator("summary", has_text="What if?").click()
        readout = found.locator(".readout")
        readout.filter(has_text="No cell is struck out.").wait_for()
        brush = found.locator("canvas.brush")
        brush.scroll_into_view_if_needed()
        brush.focus()
        for key in ("ArrowDown", "ArrowRight", "Space"):
            page.keyboard.press(key)
        readout.filter(has_text="Without this cell (0.6 % of the map)").wait_for()
        found.get_by_text(re.compile("^Row 2, column 2: .*, struck out")).wait_for()
        page.keyboard.press("u")
        readout.filter(has_text="No cell is struck out.").wait_for()
        box = brush.bounding_box()
        page.mouse.move(box["x"] + 4, box["y"] + box["height"] / 2)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 4, box["y"] + box["height"] / 2, steps=3)
        page.mouse.up()
        readout.filter(has_text="Without these 13 cells (7.7 % of the map)").wait_for()
        found.locator("div.what-if").screenshot(path=screenshots / "lab-what-if.png")

        found.locator("summary", has_text="Try it").click()
        panel = found.get_by_role("region", name="Try it")
        answer = panel.get_by_role("status").filter(has_text="the model says")
        answer.wait_for()
        before = answer.inner_text()
        panel.get_by_role("application").focus()
        page.keyboard.press("Space")
        after = changed(answer, before, "the model says")
        assert after.split(":")[0] == before.split(":")[0], "the picture stays"
        panel.locator(".pair").screenshot(path=screenshots / "lab-try-it.png")


def test_method_layer_and_class(folder, opened):
    """Each control changes what it names, and the rest of the readout stays."""
    with opened("06-grad-cam.ipynb", code_cells(folder / "06-grad-cam.ipynb")) as page:
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
