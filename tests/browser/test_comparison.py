"""Two models side by side on a page from disk, in Chromium and in a released Firefox."""

import re
from dataclasses import replace

import numpy as np
import pytest
from chromium import FAINT, OVERFLOW, needs_chromium, pixels, serious, watch
from made_analyses import LABELS, NAMES, analysis_of, image_set

import camkit

AFTER = np.array([0, 0, 1, 1, 2, 0, 2, 1])


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    """(before, after, address of the page): before had a Dog, no Cat, and one image less."""
    root = tmp_path_factory.mktemp("compared")
    images = image_set(root / "data")
    names = ["Bee", "Ant", "Dog"]
    before = analysis_of(images, np.array([1, 2, 0, 0, 1, 2, 2, 0]), names, cells=(5, 3), step=0.1)
    before = replace(before, labels=np.where(LABELS < 2, 1 - LABELS, -1)).select(np.arange(7))
    after = analysis_of(images, AFTER, step=0.1)
    return before, after, camkit.write_atlas(after, root / "page", before=before).as_uri()


@pytest.fixture(params=[pytest.param("browser", marks=needs_chromium), "firefox"])
def leaf(atlas, request):
    """leaf(width) opens the page; its console stays empty."""
    driven = request.getfixturevalue(request.param)
    contexts, told = [], []

    def open_page(width=1280):
        context = driven.new_context(
            viewport={"width": width, "height": 900}, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        watch(page, told)
        page.goto(atlas[2])
        page.wait_for_function("document.querySelector('.both p').textContent")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert told == []


def opened(page, name, answers):
    """Show the images of a change, and wait for the first one."""
    page.get_by_role("button", name=name).click()
    page.wait_for_function(
        "text => document.querySelector('.both p').textContent === text", arg=answers
    )


def wait_until_shown(page, canvas, wanted):
    """Wait until a canvas shows an image within 4 of 255 levels: its photograph loads by itself."""
    for _ in range(150):
        if np.abs(pixels(canvas) - wanted).max() <= 4:
            return
        page.wait_for_timeout(200)
    pytest.fail(f"the canvas is {np.abs(pixels(canvas) - wanted).max()} levels off")


@pytest.mark.smoke
def test_what_changed_is_told_and_its_pictures_open(atlas, leaf):
    before, after, _ = atlas
    page = leaf()
    comparison = camkit.compare(before, after)
    told = page.locator(".comparison").inner_text()
    # Of seven images Ant 1 and Cat 6 are mended, 0 and 3 are right as before.
    assert "+28.6 points" in told and "28.6 % correct before, 57.1 % after" in told
    assert (
        "2 mended, 0 broken: chance alone divides them at least so unequally with p = 0.500" in told
    )
    assert all(note in told for note in comparison.notes) and len(comparison.notes) == 3
    buttons = page.locator(".comparison li button").all_inner_texts()
    assert buttons == [
        f"{change}: {count} picture{'s' * (count > 1)}"
        for change, count in comparison.counts.items()
        if count
    ]
    shares = (100 * before.probs[6].max(), 100 * after.probs[6].max())
    answers = "Before: Dog ({:.1f} %). After: Cat ({:.1f} %). So: mended."
    opened(page, "mended: 2 pictures", answers.format(*shares))
    assert page.locator("h2.group").inner_text() == "mended: 2 pictures"


def test_both_maps_have_the_same_limits(atlas, leaf):
    before, after, _ = atlas
    page = leaf()
    i = 5
    answers = "Before: Dog ({:.1f} %). After: Ant ({:.1f} %). So: both wrong, changed answer."
    shares = (100 * before.probs[i].max(), 100 * after.probs[i].max())
    opened(page, "both wrong, changed answer", answers.format(*shares))
    captions = page.locator(".sides figcaption").all_inner_texts()
    assert [caption.split(",")[0] for caption in captions] == [
        "before: Dog",
        "after: no map of Dog",
        "before: Ant",
        "after: Ant",
    ]
    shown = [before.maps[i, ..., 2], None, before.maps[i, ..., 1], after.maps[i, ..., 0]]
    top = max(heat.max() for heat in shown if heat is not None)
    assert f"{top:.2f}" in page.locator(".both .bar").inner_text()
    image = camkit.read_image(after.paths[i])
    for canvas, heat in zip(page.locator(".sides canvas").all(), shown, strict=True):
        wanted = image if heat is None else camkit.overlay(image, heat, vmin=0, vmax=top)
        wait_until_shown(page, canvas, wanted)


def test_a_class_that_is_chosen_is_shown_by_both_and_a_missing_image_is_told(atlas, leaf):
    before, after, _ = atlas
    page = leaf()
    page.get_by_role("button", name="mended: 2 pictures").click()
    page.locator(".both p", has_text="After: Cat").wait_for()
    page.get_by_label("Map of class").select_option(str(NAMES.index("Bee")))
    page.wait_for_function("document.querySelectorAll('.sides figure').length === 6")
    assert page.locator(".sides figcaption").nth(4).inner_text().startswith("before: Bee, ")
    page.get_by_label("Pictures of", exact=True).select_option(label="Cat (3)")
    # The most confident one was not analysed before.
    page.locator(".both p", has_text="does not hold this picture").wait_for()
    assert page.locator(".sides figure").count() == 0


def test_classes_lead_to_what_changed_in_them(leaf):
    page = leaf()
    row = page.locator(".comparison tbody tr", has_text="Ant")
    assert row.inner_text().split("\t")[1:] == ["33.3 %", "66.7 %", "1", "0"]
    row.get_by_role("button").click()
    page.get_by_role("heading", name="Ant, mended or broken: 1 picture").wait_for()
    # A click anywhere in a row counts.
    page.locator(".comparison tbody tr", has_text="Cat").locator("td").last.click()
    page.get_by_role("heading", name="Cat, mended or broken: 1 picture").wait_for()


def test_striking_and_comparing_load_the_picture_that_is_shown(
    atlas, browser, tmp_path, monkeypatch
):
    """Of many data files a page loads those of the pictures that are looked at."""
    before, after, _ = atlas
    monkeypatch.setattr("camkit.atlas.page.CHUNK", 1)
    address = camkit.write_atlas(after, tmp_path / "page", before=before).as_uri()
    told, fetched = [], []
    page = browser.new_page()
    watch(page, told, fetched)
    page.goto(address)
    page.wait_for_function("document.querySelector('.both p').textContent")
    shown = {after.paths.index(path) for path in after.errors["path"]}
    page.get_by_role("button", name="mended: 2 pictures").click()
    page.locator(".both p", has_text="So: mended.").wait_for()
    page.locator("summary", has_text="What if?").click()
    page.locator("canvas.brush").press("Space")
    page.locator(".readout", has_text="Without this cell").wait_for()
    loaded = {int(found[1]) for url in fetched if (found := re.search(r"data/(\d{5})\.js", url))}
    assert len(loaded) == 2 and len(loaded - shown) == 1
    table = camkit.compare(before, after).table
    assert loaded - shown <= set(table.index[table["change"] == "mended"])
    assert told == []
    page.close()


def test_it_fits_a_telephone(leaf):
    page = leaf(390)
    page.get_by_role("button", name="mended: 2 pictures").click()
    page.locator(".both p", has_text="After: Cat").wait_for()
    assert page.evaluate(OVERFLOW) <= 0 and page.evaluate(FAINT) == []
    boxes = page.locator(".sides canvas").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect().toJSON())"
    )
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)
    # Two beside each other.
    assert abs(boxes[0]["y"] - boxes[1]["y"]) < 2 and boxes[0]["x"] < boxes[1]["x"]


def test_no_table_is_cut_off_on_a_tablet_and_a_projector(leaf):
    page = leaf()
    page.get_by_label("Pictures of", exact=True).select_option(index=1)
    page.locator("summary", has_text="What if?").click()
    page.locator(".what-if tbody tr").first.wait_for()
    for width in (820, 1024, 1280):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(OVERFLOW) <= 0
        hidden = page.locator(".comparison table, .what-if table").evaluate_all(
            "all => all.map((table) => table.offsetWidth - table.parentElement.clientWidth)"
        )
        assert len(hidden) == 2 and max(hidden) <= 0


def test_axe_finds_nothing_serious(leaf):
    page = leaf()
    assert serious(page) == []
