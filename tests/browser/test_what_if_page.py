"""What if: the brush, the flip sets and the threshold of the atlas, in Chromium and in Firefox."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from chromium import needs_chromium, watch
from made_analyses import NAMES, analysis_of, image_set
from PIL import Image

import camkit
from camkit.atlas._encoding import script_json
from camkit.atlas.record import Record
from camkit.localize import boxes

pytestmark = needs_chromium

CELLS = (4, 5)


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    """Five errors and three images that are right, whose leads a few of the 20 cells decide."""
    root = tmp_path_factory.mktemp("what_if")
    made = analysis_of(image_set(root / "data"), cells=CELLS, step=0.25)
    # Maps of the same means that differ more from cell to cell.
    means = made.maps.mean(axis=(1, 2), keepdims=True)
    return replace(made, maps=means + 3 * (made.maps - means))


@pytest.fixture(scope="module")
def address(analysis):
    return camkit.write_atlas(analysis, analysis.folder.parent / "page").as_uri()


@pytest.fixture(params=["browser", "firefox"])
def leaf(request, address):
    """The page with the most confident error and an open brush; its console stays empty."""
    context = request.getfixturevalue(request.param).new_context(
        viewport={"width": 1280, "height": 1000}
    )
    page = context.new_page()
    told = []
    watch(page, told)
    page.goto(address)
    page.get_by_label("Pictures of", exact=True).select_option(label="all errors (5)")
    page.locator("summary", has_text="What if?").click()
    page.locator(".readout", has_text="No cell is struck out.").wait_for()
    yield page
    context.close()
    assert told == []


def stored_maps(analysis, i):
    """Return the maps of image i as the page holds them, in 8 bits."""
    maps = np.asarray(analysis.maps[i], "float64")
    low = maps.min(axis=(0, 1))
    step = (maps.max(axis=(0, 1)) - low) / 255
    return low + step * np.rint((maps - low) / step)


def shares(logits):
    """Return the probabilities as the page writes them."""
    weights = np.exp(logits - logits.max())
    return [f"{100 * share:.1f} %" for share in weights / weights.sum()]


def expected_readout(analysis, i, cells, mean_over="all"):
    """Return what the page says of image i without some cells."""
    before = np.asarray(analysis.logits[i], "float64")
    after = camkit.strike(stored_maps(analysis, i), before, cells, mean_over=mean_over)
    these = "this cell" if cells.sum() == 1 else f"these {cells.sum()} cells"
    lead = f"Without {these} ({100 * cells.mean():.1f} % of the map): "
    answer, now = before.argmax(), after.argmax()
    was = f"{shares(before)[answer]}."
    if now == answer:
        return f"{lead}still {NAMES[answer]}, {shares(after)[now]}, was {was}"
    return f"{lead}{NAMES[now]} {shares(after)[now]}, was {NAMES[answer]} {was}"


def readout(page):
    return page.locator(".readout").inner_text()


def scores(page):
    """Return {class: (probability, the one before)} of the table."""
    rows = page.locator(".what-if tbody tr").all()
    return {row.locator("th").inner_text(): row.locator("td").all_inner_texts()[:2] for row in rows}


def pixel(page, row, column):
    """Return the colour on the screen near the upper left corner of a cell of the brush."""
    canvas = page.locator("canvas.brush")
    image = Image.open(io.BytesIO(canvas.screenshot())).convert("RGB")
    x = (column + 0.5) * image.width / CELLS[1]
    y = (row + 0.2) * image.height / CELLS[0]
    return np.array(image.getpixel((int(x), int(y))), int)


def middle_of(page, row, column):
    box = page.locator("canvas.brush").bounding_box()
    x = box["x"] + (column + 0.5) * box["width"] / CELLS[1]
    y = box["y"] + (row + 0.5) * box["height"] / CELLS[0]
    return x, y


def test_the_brush_the_keys_undo_and_reset(analysis, leaf):
    worst = analysis.errors.index[0]
    page = leaf
    plain = pixel(page, 1, 0)
    cells = np.zeros(CELLS, bool)

    # A drag from the first to the fourth cell of the second row.
    page.locator("canvas.brush").scroll_into_view_if_needed()
    page.mouse.move(*middle_of(page, 1, 0))
    page.mouse.down()
    page.mouse.move(*middle_of(page, 1, 3))
    page.mouse.up()
    cells[1, :4] = True
    assert readout(page) == expected_readout(analysis, worst, cells)
    # What is struck out is white with a cross.
    assert pixel(page, 1, 0).min() > 240 and abs(plain - pixel(page, 1, 0)).max() > 20
    after = camkit.strike(stored_maps(analysis, worst), analysis.logits[worst], cells)
    before = shares(np.asarray(analysis.logits[worst], "float64"))
    assert scores(page) == {
        name: [now, was] for name, now, was in zip(NAMES, shares(after), before, strict=True)
    }

    # By keys: from the fourth cell one down and one to the right, which is struck out, too.
    page.locator("canvas.brush").focus()
    for key in ("ArrowDown", "ArrowRight", "Space"):
        page.keyboard.press(key)
    cells[2, 4] = True
    assert readout(page) == expected_readout(analysis, worst, cells)
    cell = page.get_by_text(re.compile("^Row 3, column 5: "))
    assert cell.inner_text().endswith(", struck out.")

    page.get_by_role("radio", name=re.compile("cells that are left")).check()
    assert readout(page) == expected_readout(analysis, worst, cells, "remaining")

    page.get_by_role("button", name="Undo").click()
    cells[2, 4] = False
    assert readout(page) == expected_readout(analysis, worst, cells, "remaining")
    assert cell.inner_text().endswith(", not struck out.")
    told = cell.inner_text()
    page.get_by_label("Map under the brush").select_option(index=1)
    assert cell.inner_text() != told
    page.get_by_label("Map under the brush").select_option(index=0)
    assert cell.inner_text() == told
    page.get_by_role("button", name="Reset").click()
    assert readout(page) == "No cell is struck out."
    assert abs(plain - pixel(page, 1, 0)).max() <= 2


def test_the_flip_set(analysis, leaf):
    worst = analysis.errors.index[0]
    page = leaf
    stored = stored_maps(analysis, worst)
    flip = camkit.flip_set(stored, analysis.logits[worst], analysis.labels[worst])
    true = NAMES[analysis.labels[worst]]
    page.get_by_role("button", name=f"Flip set to {true}: {flip.count} cell").click()
    assert readout(page) == expected_readout(analysis, worst, flip.cells)
    assert f"{NAMES[flip.winner]} " in readout(page)
    # Rounded to 8 bits, the last cell takes away a little less here than it does in the analysis.
    exact = analysis.table["flip_cells"][worst]
    assert exact == flip.count - 1
    assert page.get_by_text(f"has {exact} cells in this flip set").is_visible()
    row, column = np.argwhere(flip.cells)[0]
    assert pixel(page, row, column).min() > 240
    # Another picture starts afresh.
    page.locator(".tile").nth(1).click()
    page.locator(".readout", has_text="No cell is struck out.").wait_for()


def test_the_keys_of_a_page_that_was_just_opened(analysis, leaf):
    leaf.reload()
    first = leaf.locator(".tile[aria-selected=true]").get_attribute("id")
    leaf.keyboard.press("ArrowRight")
    assert leaf.locator(".tile[aria-selected=true]").get_attribute("id") != first
    leaf.keyboard.press("ArrowLeft")
    assert leaf.locator(".tile[aria-selected=true]").get_attribute("id") == first
    leaf.keyboard.press("/")
    leaf.keyboard.type("a")
    assert leaf.evaluate("document.activeElement.value") == "a"


def test_the_threshold_and_its_box(analysis, leaf):
    worst = analysis.errors.index[0]
    page = leaf
    page.get_by_label("Map under the brush").select_option(NAMES[analysis.labels[worst]])
    page.get_by_label("Threshold of the map").fill("60")
    heat = camkit.upsample(stored_maps(analysis, worst)[..., analysis.labels[worst]], (20, 30))
    x0, y0, x1, y1 = boxes(heat, 0.6)[0]
    kept = heat >= heat.min() + 0.6 * np.ptp(heat)
    evidence = np.maximum(heat, 0)
    text = page.locator(".what-if .note", has_text="Box of the largest part").inner_text()
    assert f"x {x0} to {x1}, y {y0} to {y1} of 30 × 20 pixels" in text
    assert f"{100 * kept.mean():.1f} % of the area" in text
    assert f"{100 * evidence[kept].sum() / evidence.sum():.1f} % of the evidence" in text


def test_errors_by_the_size_of_their_flip_sets(analysis, leaf):
    page = leaf
    sizes = analysis.errors["flip_cells"]
    page.get_by_label("Order").select_option("fewest cells to flip first")
    tiles = page.locator(".tile").all()
    tiles.sort(key=lambda tile: int(tile.get_attribute("aria-posinset")))
    shown = [int(re.search(r"(\d)\.png", tile.get_attribute("aria-label"))[1]) for tile in tiles]
    numbers = [int(re.search(r"(\d)\.png", path)[1]) for path in analysis.paths]
    expected = sizes.sort_index().sort_values(kind="stable").index
    assert shown == [numbers[i] for i in expected]
    page.get_by_text("Filter", exact=True).click()
    limit = int(sizes.min())
    assert limit < sizes.max()
    page.get_by_label("Cells that flip it, to").press_sequentially(str(limit))
    page.keyboard.press("Tab")
    count = int((sizes <= limit).sum())
    page.locator("h2.group", has_text=f"all errors: {count} of 5 pictures").wait_for()


def test_a_finger_strikes_cells_out(analysis, address, browser):
    worst = analysis.errors.index[0]
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True)
    page = context.new_page()
    page.goto(address)
    page.get_by_label("Pictures of", exact=True).select_option(label="all errors (5)")
    page.locator("summary", has_text="What if?").tap()
    page.locator("canvas.brush").scroll_into_view_if_needed()
    page.touchscreen.tap(*middle_of(page, 0, 2))
    cells = np.zeros(CELLS, bool)
    cells[0, 2] = True
    assert readout(page) == expected_readout(analysis, worst, cells)
    context.close()


def test_maps_that_do_not_add_up_have_no_brush(analysis, browser, tmp_path):
    page = browser.new_page()
    page.goto(camkit.write_atlas(replace(analysis, bias=None), tmp_path / "page").as_uri())
    page.locator("summary", has_text="What if?").click()
    assert page.get_by_text("they do not add up to the scores").is_visible()
    assert page.locator("canvas.brush").count() == 0
    assert page.get_by_label("Order").locator("option", has_text="flip").count() == 0
    page.close()


def test_missing_classes_are_told(analysis, browser, tmp_path, monkeypatch):
    monkeypatch.setattr("camkit.atlas.page.MAP_BYTES", 0)
    monkeypatch.setattr("camkit.atlas.record.TOP_CLASSES", 2)
    monkeypatch.setattr("camkit.atlas.record.NEIGHBOURS", 1)
    page = browser.new_page()
    page.goto(camkit.write_atlas(analysis, tmp_path / "page").as_uri())
    page.locator("summary", has_text="What if?").click()
    near_errors = Record(analysis).neighbours[0][analysis.errors.index]
    right = np.flatnonzero(analysis.predicted == analysis.labels)
    [i, *_] = np.setdiff1d(right, near_errors)
    page.get_by_label("Pictures of", exact=True).select_option(label="all pictures (8)")
    page.get_by_label("Order").select_option("by file")
    page.locator(".tile").nth(i).click()
    stored = 100 * np.sort(analysis.probs[i])[-2:].sum()
    text = (
        "2 of 3 classes are stored for this picture; the others are not compared, and percentages "
        f"are shares among these, which had {stored:.1f} % of the probability."
    )
    page.locator(".what-if .note", has_text=text).wait_for()
    assert len(scores(page)) == 2
    page.close()


# A page with the view of a notebook; the answers of the kernel lie there beforehand.
WIDGET = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Widget</title>
<style>{css}</style></head><body><div id="widget"></div><script type="module">
const {{ default: widget }} = await import(URL.createObjectURL(
  new Blob([{view}], {{ type: "text/javascript" }})));
const answers = {answers};
let listener;
const model = {{
  get: () => {index},
  on: (_, asked) => {{ listener = asked; }},
  send: ({{ kind, i, number }}) => {{
    const [message, data] = answers[kind][i];
    const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
    setTimeout(() => listener({{ number, ...message }}, [bytes.buffer]));
  }},
}};
widget.render({{ model, el: document.getElementById("widget") }});
</script></body></html>"""


def test_the_brush_in_the_view_of_a_notebook(analysis, browser, tmp_path):
    view = camkit.error_atlas(analysis)
    answers = {"detail": [], "picture": []}
    for i in range(len(analysis)):
        for kind, answer in (("detail", view._detail), ("picture", view._picture)):
            message, [data] = answer(i)
            answers[kind].append([message, base64.b64encode(data).decode()])
    texts = {"view": view._esm, "answers": answers, "index": view.index}
    file = tmp_path / "widget.html"
    file.write_text(
        WIDGET.format(css=view._css, **{name: script_json(text) for name, text in texts.items()}),
        encoding="utf-8",
    )
    page = browser.new_page()
    page.goto(file.as_uri())
    page.get_by_label("Pictures of", exact=True).select_option(label="all errors (5)")
    page.locator("summary", has_text="What if?").click()
    page.locator("canvas.brush").focus()
    page.keyboard.press("Space")
    cells = np.zeros(CELLS, bool)
    cells[0, 0] = True
    page.locator(".readout", has_text="Without this cell").wait_for()
    assert readout(page) == expected_readout(analysis, analysis.errors.index[0], cells)
    page.close()
