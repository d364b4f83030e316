"""The error atlas as a page on disk, in a headless browser, with hostile names."""

import base64
import json
import pathlib

import numpy as np
import pandas as pd
import pytest
from chromium import (
    FAINT,
    FOLD,
    OVERFLOW,
    changed,
    elsewhere,
    needs_chromium,
    pixels,
    serious,
    watch,
)
from made_analyses import ROOT, analysis_of
from matplotlib import colormaps
from matplotlib.path import Path as Polygon
from PIL import Image

import camkit
from camkit.atlas import _encoding, _view
from camkit.atlas.verdicts import Verdicts

pytestmark = needs_chromium

NAMES = sorted(
    [
        "<script>hacked=1<",
        "\"quotes\" & 'more' `${hacked=1}`",
        "中文 😀",
        "=1+1, with spaces",
        "Zebra",
    ]
)
FILES = [
    "plain.png",
    "<img src=x onerror=hacked=1>.png",
    "a \"b\" 'c'.png",
    "文件 😀.png",
    "n" * 251 + ".png",
    "%2e%2e#?.png",
]
LABELS = np.repeat(np.arange(5), 6)
PREDICTED = np.where(np.arange(30) % 3 == 0, (LABELS + 1 + (np.arange(30) > 20)) % 5, LABELS)
# All modules of the view as one, with the pure functions that are tested here.
JS = _view.joined("mount.js") + "export { csv, pointsInside, unpack, upsample };"


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    """(analysis, address of its page, folder): hostile names, ten errors, a reference of 60."""
    root = tmp_path_factory.mktemp("hostile")
    test = hostile_images(root / "data", "Test", copies=1)
    training = hostile_images(root / "data", "Training", copies=2)
    analysis = analysis_of(test, predicted=PREDICTED, names=NAMES, cells=(7, 7), step=0.1)
    analysis.gap += 3 * analysis.labels[:, None] * np.arange(6) % 5
    reference = analysis_of(training, predicted=training.labels, names=NAMES, cells=(7, 7))
    file = camkit.write_atlas(analysis, test, root / "page", reference=reference)
    return analysis, file.as_uri(), root


def hostile_images(folder, split, copies):
    """Return a set of 30 images of noise; of two copies, names begin with the copy's number."""
    for i, label in enumerate(np.tile(LABELS, copies)):
        prefix = str(i // 30) if copies > 1 else ""
        name = prefix + FILES[i % 6]
        # A file name may have 255 bytes.
        longest = 250 if i % 6 == 4 else 255
        target = folder / split / NAMES[label] / name[-longest:]
        target.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (40, 60, 3), "uint8")
        Image.fromarray(pixels).save(target)
    return camkit.load_images(folder, split)


@pytest.fixture
def leaf(atlas, browser):
    """leaf(width) opens the page; its console stays empty and nothing comes from elsewhere."""
    opened, told, fetched = [], [], []

    def open_page(width=1280, **options):
        context = (
            opened[0]
            if opened and not options
            else browser.new_context(
                viewport={"width": width, "height": 900}, accept_downloads=True, **options
            )
        )
        opened.append(context)
        page = context.new_page()
        watch(page, told, fetched)
        page.goto(atlas[1])
        page.get_by_role("option", selected=True).first.wait_for()
        page.wait_for_function("document.querySelector('.status').textContent")
        return page

    yield open_page
    assert told == []
    assert elsewhere(fetched) == []
    for context in set(opened):
        context.close()


def status(page):
    return page.locator(".status").inner_text()


def group(page, title):
    """Chooses a group by its title, without the count; gives back its heading."""
    options = page.get_by_label("Pictures of", exact=True).locator("option")
    text = next(text for text in options.all_text_contents() if text.rsplit(" (", 1)[0] == title)
    page.get_by_label("Pictures of", exact=True).select_option(label=text)
    return page.locator("h2.group").inner_text()


def card(page, text):
    """Unfold the first part of the summary with a text, and return it."""
    part = page.locator(".card", has_text=text).first
    part.evaluate("part => { part.open = true; }")
    return part


# --- what is told


@pytest.mark.smoke
def test_names_are_text_and_pairs_are_those_of_the_table(atlas, leaf):
    analysis, _, _ = atlas
    page = leaf()
    pairs = (
        analysis.errors.groupby(["true", "predicted"])
        .size()
        .sort_values(ascending=False, kind="stable")
    )
    told = page.locator("optgroup[label='Confused pairs'] option").all_text_contents()
    counts = [int(text.rsplit(" (", 1)[1][:-1]) for text in told]
    assert counts == sorted(counts, reverse=True)
    assert {text.rsplit(" (", 1)[0]: n for text, n in zip(told, counts, strict=True)} == {
        f"{true} taken for {predicted}": n for (true, predicted), n in pairs.items()
    }
    said = page.locator("main").inner_text()
    assert "66.7 % correct" in said and "10 of 30 pictures" in said
    assert all(name in page.locator("main").text_content() for name in NAMES)
    assert (
        page.evaluate("typeof hacked") == "undefined"
        and page.locator("main script, main img[src=x]").count() == 0
    )


def test_a_group_in_the_order_asked_for(atlas, leaf):
    analysis, _, _ = atlas
    page = leaf()
    assert group(page, "all errors") == "all errors: 10 pictures"
    names = page.locator(".tiles [role=option]")
    shown = [
        text.split(": true")[0]
        for text in names.evaluate_all("all => all.map(one => one.ariaLabel)")
    ]
    wanted = ["/".join(path.split("/")[-2:]) for path in analysis.errors["path"]]
    assert shown == wanted[: len(shown)] and len(shown) > 4
    page.get_by_label("Order").select_option("margin")
    lowest = analysis.table.loc[analysis.errors.index].nsmallest(1, "margin").index[0]
    page.wait_for_function(
        "name => document.querySelector('.status').textContent.startsWith(name)",
        arg="/".join(analysis.paths[lowest].split("/")[-2:]),
    )


def test_any_class_of_a_picture(atlas, leaf):
    analysis, _, _ = atlas
    page = leaf()
    group(page, "all errors")
    i = int(analysis.errors.index[0])
    page.keyboard.press("Tab")
    page.locator(".tiles").focus()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.type") == "search"
    page.keyboard.type("zeb")
    c = NAMES.index("Zebra")
    page.wait_for_function("document.querySelector('.status').textContent.includes('Map of Zebra')")
    mean, bias, logit = (
        f"{value:+.2f}".replace("-", "−")
        for value in (
            analysis.logits[i, c] - analysis.bias[c],
            analysis.bias[c],
            analysis.logits[i, c],
        )
    )
    score = f"mean {mean}, with the bias {bias} the logit {logit}"
    probability = f"{100 * analysis.probs[i, c]:.1f} %"
    assert f"Map of Zebra: {score}, probability {probability}." in status(page)
    assert page.get_by_label("Map of class").locator("option").count() == 1
    page.get_by_label("Search for a class (/)").fill("")
    assert page.get_by_label("Map of class").locator("option").count() == 5
    assert page.locator("figure.chosen figcaption").inner_text() == "map of Zebra"


def test_the_matrix_leads_to_the_pictures(atlas, leaf):
    page = leaf()
    page.get_by_text("Confusion matrix", exact=True).click()
    page.locator("canvas.matrix").focus()
    page.keyboard.press("ArrowRight")
    where = page.locator("details:has(canvas.matrix) [role=status]")
    assert where.inner_text() == f"true {NAMES[0]}, predicted {NAMES[1]}: 2 pictures"
    page.keyboard.press("Enter")
    assert page.locator("h2.group").inner_text() == f"{NAMES[0]} taken for {NAMES[1]}: 2 pictures"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    assert page.locator("h2.group").inner_text() == f"{NAMES[0]}, correctly classified: 4 pictures"


def on_screen(canvas, points):
    """Return the positions of points of the map in the window."""
    box = canvas.bounding_box()
    side = min(box["width"], box["height"]) - 16
    middle = np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
    return [tuple(point) for point in (middle + (points - 0.5) * side).tolist()]


def test_the_map_of_features_in_both_directions(atlas, leaf):
    analysis, _, root = atlas
    script = (root / "page" / "data" / "index.js").read_text()
    index = json.loads(script.removeprefix("window.camkitAtlas=").removesuffix(";"))["index"]
    points = np.array(index["points"])
    page = leaf()
    canvas = page.locator("canvas.features")
    canvas.scroll_into_view_if_needed()
    alone = int(np.argmax(np.sort(np.linalg.norm(points[:, None] - points, axis=-1), axis=1)[:, 1]))
    page.mouse.move(*on_screen(canvas, points)[alone])
    page.wait_for_function(
        "name => document.querySelector('.hovered span').textContent.startsWith(name)",
        arg=index["names"][alone],
    )
    page.mouse.click(*on_screen(canvas, points)[alone])
    page.wait_for_function(
        "name => document.querySelector('.status').textContent.startsWith(name)",
        arg=index["names"][alone],
    )
    # The heading and the tiles follow: the image is in the group that is shown.
    current = page.locator(".tile.current").get_attribute("aria-label")
    assert current.startswith(index["names"][alone])
    assert NAMES[analysis.labels[alone]] in page.locator("h2.group").inner_text()
    # Texts of other lengths may have moved the map.
    at = on_screen(canvas, points)
    box = canvas.bounding_box()
    low = np.array([box["x"], box["y"]]) + 2
    high = low + (box["width"] - 4, box["height"] - 4)
    corners = np.array(at[alone]) + [(-60, -60), (60, -60), (60, 60), (-60, 60)]
    ring = [tuple(corner) for corner in np.clip(corners, low, high).tolist()]
    caught = int(Polygon(ring).contains_points(at).sum())
    page.mouse.move(*ring[0])
    page.mouse.down()
    for corner in [*ring[1:], ring[0]]:
        page.mouse.move(*corner, steps=5)
    page.mouse.up()
    noun = "picture" if caught == 1 else "pictures"
    assert page.locator("h2.group").inner_text() == f"inside the lasso: {caught} {noun}"
    canvas.focus()
    page.keyboard.press("l")
    assert page.locator("h2.group").inner_text() == "nearest in the map: 30 pictures"
    start = status(page)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    changed(page.locator(".status"), start)


def wait_for_status(page, beginning):
    page.wait_for_function(
        "name => document.querySelector('.status').textContent.startsWith(name)", arg=beginning
    )


def current_tile(page):
    """Return what is said of the tile of the picture that is shown."""
    return page.locator(".tile.current").get_attribute("aria-label")


def test_nearest_pictures_open_with_their_own_maps_and_the_way_back(leaf):
    page = leaf()
    name = status(page).split(": ")[0]
    page.locator(".near button").first.click()
    page.wait_for_function("document.querySelectorAll('.near button').length == 0")
    assert "(training)" in status(page) and "(training)" in current_tile(page)
    heading = f"{name.removesuffix(' (test)')} and its nearest pictures: 6 pictures"
    assert page.locator("h2.group").inner_text() == heading
    page.locator(".tiles").focus()
    page.keyboard.press("ArrowLeft")
    wait_for_status(page, name)


# --- the summary leads to the picture


@pytest.mark.parametrize("width, screens", [(1280, 0.6), (390, 1.6)])
def test_the_first_picture_is_near_and_the_first_stop_of_the_keyboard_leads_to_it(
    leaf, width, screens
):
    page = leaf(width, reduced_motion="reduce")
    picture = page.locator("figure.picture")
    assert picture.bounding_box()["y"] < screens * 900
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the pictures"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.className") == "shown"
    assert 0 <= picture.bounding_box()["y"] < 200
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('.tile.current').id.endsWith('-1')")


def test_a_pair_in_the_summary_brings_its_picture_into_view(leaf):
    page = leaf(reduced_motion="reduce")
    button = card(page, "Most confused").locator("button").nth(1)
    title = button.inner_text().rsplit(" (", 1)[0]
    button.click()
    assert page.locator("h2.group").inner_text().startswith(title)
    assert page.evaluate("document.activeElement.className") == "shown"
    assert 0 <= page.locator("figure.picture").bounding_box()["y"] < 200
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('.tile.current').id.endsWith('-1')")


def test_a_row_of_the_class_table_shows_the_class_by_click_and_by_key(leaf):
    page = leaf(reduced_motion="reduce")
    page.get_by_text("All classes, lowest recall first").click()
    table = page.get_by_role("region", name="Precision and recall")
    row = table.locator("tbody tr", has_text="Zebra")
    row.locator("td").nth(2).click()
    assert page.locator("h2.group").inner_text() == "Zebra: 6 pictures"
    first = table.locator("tbody button").first
    first.focus()
    page.keyboard.press("Enter")
    assert page.locator("h2.group").inner_text() == f"{first.inner_text()}: 6 pictures"


def test_both_pictures_of_a_fault_open_and_take_verdicts(atlas, leaf, tmp_path):
    """Copies in both splits: the rows say which split, and the training picture is reviewed."""
    page = leaf(reduced_motion="reduce")
    # Which of two copies is listed and which stands beside it is no matter here.
    kind = card(page, "Data: copy")
    item = kind.locator("li", has_text="(t").filter(has=page.locator("button.other")).first
    first, other = item.locator("button").all()
    texts = [first.inner_text(), other.get_attribute("aria-label")]
    splits = ["test" if "(test)" in text else "training" for text in texts]
    assert sorted(splits) == ["test", "training"]
    for button, split in ((first, splits[0]), (other, splits[1])):
        button.click()
        page.wait_for_function(
            "split => document.querySelector('.status').textContent.includes(split)",
            arg=f"({split})",
        )
        assert page.locator("h2.group").inner_text().startswith("“copy” faults: ")
        if split == "test":
            continue
        assert "(training)" in current_tile(page)
        assert page.locator(".tile.current.compared").count() == (button is other)
        assert status(page).endswith("shown to compare.") == (button is other)
        page.keyboard.press("1")
        page.get_by_text("Saved: label wrong.").wait_for()
        assert "reviewed: label wrong" in current_tile(page)
        path = page.get_by_label("File", exact=True).input_value()
        assert "/Training/" in path
    rows = Verdicts(saved_csv(page, tmp_path)).read().reset_index()
    assert rows["path"].tolist() == [path]
    assert rows["true"].tolist() == [path.split("/")[-2]]


# --- verdicts


def saved_csv(page, folder):
    with page.expect_download() as download:
        page.get_by_role("button", name="Save verdicts as CSV").click()
    download.value.save_as(folder / "saved.csv")
    return folder / "saved.csv"


def test_verdicts_stay_and_are_saved_as_the_same_csv(atlas, leaf, tmp_path):
    analysis, _, _ = atlas
    page = leaf()
    group(page, "all errors")
    first, second = analysis.errors["path"].iloc[:2]
    page.get_by_label("Reviewer").fill("Kim")
    page.get_by_label("Comment").click()
    page.locator(".tiles").focus()
    page.keyboard.press("2")
    page.get_by_text("Saved: ambiguous. 1 of 10 errors reviewed.").wait_for()
    page.get_by_label("Comment").fill('=2+2, "twice"\nand 中文')
    page.get_by_label("Correct label").fill("zebra")
    page.get_by_label("Reviewer").focus()
    page.locator(".tiles").focus()
    page.keyboard.press("ArrowRight")
    wait_for_status(page, "/".join(second.split("/")[-2:]))
    page.keyboard.press("1")
    page.get_by_text("Saved: label wrong. 2 of 10 errors reviewed.").wait_for()
    page.reload()
    page.get_by_text("2 of 10 errors reviewed.").wait_for()
    group(page, "all errors")
    wait_for_status(page, "/".join(first.split("/")[-2:]))
    assert page.get_by_label("Reviewer").input_value() == "Kim"
    assert page.get_by_label("Verdict").input_value() == "ambiguous"
    assert "; reviewed: ambiguous" in current_tile(page)
    page.get_by_label("Reviewer").fill("Lee")
    page.get_by_label("Comment").focus()
    page.get_by_text('Kim: ambiguous, correct label Zebra, =2+2, "twice"').wait_for()
    file = saved_csv(page, tmp_path)
    row = {
        "true": NAMES[analysis.labels[analysis.errors.index[0]]],
        "predicted": analysis.errors["predicted"].iloc[0],
        "verdict": "ambiguous",
        "comment": '=2+2, "twice"\nand 中文',
        "reviewer": "Kim",
        "path": first,
        "correct_label": "Zebra",
    }
    rows = Verdicts(file).read()
    assert len(rows) == 2
    assert rows.loc[(first, "Kim")].to_dict() | {"path": first, "reviewer": "Kim"} == row
    Verdicts(tmp_path / "python.csv").save(row)
    header, own = (tmp_path / "python.csv").read_text().split("\n", 1)
    text = file.read_text()
    assert header.startswith("\ufeff"), "a spreadsheet reads UTF-8"
    assert text.startswith(header + "\n")
    assert "\n" + own in text, "byte for byte"


def test_a_change_in_another_window_is_shown_and_not_overwritten(leaf):
    one = leaf()
    one.get_by_label("Verdict").select_option("ambiguous")
    one.get_by_text("Saved: ambiguous.").wait_for()
    two = leaf()
    two.get_by_label("Verdict").select_option("other")
    two.get_by_text("Saved: other.").wait_for()
    one.wait_for_function("document.querySelector('.review select').value == 'other'")
    one.evaluate("""
        const key = Object.keys(localStorage).find(key => key.startsWith("camkit-verdicts"));
        localStorage.setItem(key, localStorage[key].replace("other", "background"));
    """)
    one.get_by_label("Verdict").select_option("resolution")
    one.get_by_text("Not saved: changed elsewhere in the meantime to “background”.").wait_for()
    assert one.get_by_label("Verdict").input_value() == "background"


def test_a_name_that_is_typed_in_another_window_takes_the_verdicts_there_too(leaf, tmp_path):
    one = leaf()
    two = leaf()
    one.get_by_label("Verdict").select_option("ambiguous")
    two.wait_for_function("document.querySelector('.review select').value == 'ambiguous'")
    one.get_by_label("Reviewer").fill("Kim")
    one.locator(".tiles").focus()
    one.get_by_text("The verdicts on 1 picture now belong to Kim.").wait_for()
    two.get_by_text("Kim: ambiguous").wait_for()
    assert two.get_by_label("Verdict").input_value() == "not reviewed"
    rows = Verdicts(saved_csv(two, tmp_path)).read()
    assert rows.index.get_level_values("reviewer").tolist() == ["Kim"]


def test_verdicts_move_to_the_name_that_is_typed_later(leaf):
    page = leaf()
    page.locator(".tiles").focus()
    page.keyboard.press("1")
    page.get_by_text("Saved: label wrong.").wait_for()
    page.reload()
    page.get_by_label("Reviewer").fill("Kim")
    page.get_by_label("Comment").focus()
    page.get_by_text("The verdicts on 1 picture now belong to Kim.").wait_for()
    assert page.get_by_label("Verdict").input_value() == "label wrong"
    assert page.locator(".others li").count() == 0


def test_the_next_picture_comes_after_a_verdict_if_that_is_asked_for(leaf):
    page = leaf()
    group(page, "all errors")
    page.get_by_label("Then go to the next picture").check()
    names = [status(page).split(": ")[0]]
    page.locator(".tiles").focus()
    page.keyboard.press("1")
    page.wait_for_function("document.querySelector('.tile.current').id.endsWith('-1')")
    page.get_by_text("Saved: label wrong. 1 of 10 errors reviewed.").wait_for()
    assert names[0] != status(page).split(": ")[0]
    page.reload()
    assert page.get_by_label("Then go to the next picture").is_checked()
    left = page.locator("optgroup[label='Review'] option").all_text_contents()
    assert left == ["errors not reviewed (9)", "reviewed (1)"]


def test_what_is_being_typed_is_stored_when_the_page_is_left(leaf):
    page = leaf()
    page.get_by_label("Correct label").fill("zebra")
    page.get_by_label("Comment").press_sequentially("in a cage")
    page.reload()
    page.get_by_text("1 of 10 errors reviewed.").wait_for()
    assert page.get_by_label("Comment").input_value() == "in a cage"
    page.get_by_label("Correct label").fill("Okapi")
    page.reload()
    page.get_by_text("1 of 10 errors reviewed.").wait_for()
    assert page.get_by_label("Correct label").input_value() == "Okapi"
    # A pause is enough for a comment, and the field stays as it is.
    page.get_by_label("Comment").press_sequentially(" ")
    page.get_by_text("Saved: Okapi, which is a new class").or_(
        page.get_by_text("Saved: label wrong")
    ).wait_for()
    assert page.get_by_label("Comment").input_value() == "in a cage "


def test_keys_in_the_list_of_verdicts_go_on_by_enter_and_digits_work_outside_of_text(leaf):
    page = leaf()
    group(page, "all errors")
    page.get_by_label("Then go to the next picture").check()
    page.keyboard.press("1")
    current = "document.querySelector('.tile.current').id.endsWith('-%d')"
    page.wait_for_function(current % 1)
    page.get_by_label("Verdict").focus()
    for word in ("label wrong", "ambiguous"):
        page.keyboard.press("ArrowDown")
        page.get_by_text(f"Saved: {word}.").wait_for()
        assert page.evaluate(current % 1)
    page.keyboard.press("Enter")
    page.wait_for_function(current % 2)
    page.get_by_label("Order").focus()
    page.keyboard.press("3")
    page.wait_for_function(current % 3)
    page.get_by_role("button", name="Copy path").click()
    page.keyboard.press("4")
    page.wait_for_function(current % 4)
    page.locator(".tiles").focus()
    page.keyboard.press("/")
    page.keyboard.type("zeb1")
    page.keyboard.press("Enter")
    page.keyboard.press("5")
    page.wait_for_function(current % 5)
    assert page.get_by_label("Search for a class (/)").input_value() == "zeb1"


def test_where_nothing_is_listed_nothing_is_reviewed(leaf):
    page = leaf()
    page.get_by_text("Filter", exact=True).click()
    page.get_by_label("Path has the text").fill("no such path")
    page.get_by_label("Confidence, %, from").focus()
    page.get_by_text("No picture is listed, so there is none to review.").wait_for()
    page.locator(".tiles").focus()
    page.keyboard.press("1")
    assert page.get_by_label("Verdict").is_disabled()
    assert page.get_by_label("Verdict").input_value() == "not reviewed"
    page.get_by_role("button", name="Clear the filter").click()
    assert page.get_by_label("Verdict").is_enabled()
    page.get_by_text("0 of 10 errors reviewed.").wait_for()


def test_a_correct_label_that_changes_nothing_or_is_new_is_told(leaf):
    page = leaf()
    group(page, NAMES[0])
    page.get_by_role("button", name="Select all", exact=True).click()
    label = page.get_by_label("Correct label")
    label.fill("Okapi")
    page.get_by_label("Reviewer").focus()
    page.get_by_text("Saved for 6 pictures: Okapi, which is a new class.").wait_for()
    label.fill("no label")
    page.get_by_label("Reviewer").focus()
    page.get_by_text("Saved for 6 pictures: no label. 6 of them had another one.").wait_for()
    label.fill(NAMES[0])
    page.get_by_label("Reviewer").focus()
    page.get_by_text("6 of them have the new label already: enter the correct one.").wait_for()


def test_a_verdict_for_all_of_a_lasso_or_a_range(atlas, leaf, tmp_path):
    page = leaf()
    group(page, "all errors")
    tiles = page.locator(".tiles")
    tiles.focus()
    page.keyboard.press("2")
    page.get_by_text("Saved: ambiguous.").wait_for()
    for _ in range(2):
        page.keyboard.press("Shift+ArrowRight")
    page.get_by_text("What you enter now is for all 3 pictures selected.").wait_for()
    assert page.locator(".tile[aria-selected=true]").count() == 3
    page.keyboard.press("1")
    page.get_by_text("Saved for 3 pictures: label wrong. 1 of them had another one.").wait_for()
    page.get_by_role("button", name="Select all", exact=True).click()
    page.get_by_label("Comment").fill("seen by all")
    page.get_by_label("Reviewer").focus()
    page.get_by_text("Saved for 10 pictures: seen by all. 10 of 10 errors reviewed.").wait_for()
    rows = Verdicts(saved_csv(page, tmp_path)).read()
    assert rows["verdict"].value_counts().to_dict() == {"not reviewed": 7, "label wrong": 3}
    tiles.focus()
    page.keyboard.press("Escape")
    assert page.locator(".tile[aria-selected=true]").count() == 1
    page.keyboard.press("Control+a")
    page.keyboard.press(" ")
    assert page.get_by_text("9 pictures selected.", exact=True).is_visible()


def test_a_group_is_filtered_and_a_click_elsewhere_lifts_the_filter(leaf):
    page = leaf(reduced_motion="reduce")
    group(page, "all errors")
    page.locator(".tiles").focus()
    page.keyboard.press("3")
    page.get_by_text("Saved: background.").wait_for()
    page.get_by_text("Filter", exact=True).click()
    page.get_by_label("Reviewed as").select_option("not reviewed")
    assert page.locator("h2.group").inner_text() == "all errors: 9 of 10 pictures"
    page.get_by_label("Path has the text").fill("zebra")
    page.get_by_label("Confidence, %, from").focus()
    assert page.locator("h2.group").inner_text() == "all errors: 2 of 10 pictures"
    page.get_by_label("Order").select_option("verdict")
    card(page, "Data: copy").locator("li button").first.click()
    assert page.get_by_label("Path has the text").input_value() == ""
    assert page.get_by_label("Order").is_disabled(), "pairs stay together"


SUGGEST = """Object.defineProperty(window, "camkitAtlas", {
    get: () => window.data,
    set: (data) => {
        const [kind] = data.index.summary.faults;
        kind.rows[0].suggestion = "Zebra";
        window.data = data;
    },
})"""


def test_a_suggested_label_is_taken_by_one_button(atlas, browser):
    context = browser.new_context()
    context.add_init_script(SUGGEST)
    page = context.new_page()
    page.goto(atlas[1])
    card(page, "Data: ").locator("li button").first.click()
    page.get_by_role("button", name="Take the suggestion: Zebra").click()
    page.get_by_text("Saved: label wrong").wait_for()
    label = page.get_by_label("Correct label")
    assert label.input_value() == "Zebra"
    assert not page.get_by_role("button", name="Take the suggestion").is_visible()
    # The focus has left the form, so the next key is a verdict and no letter of a class.
    page.keyboard.press("3")
    page.get_by_text("Saved: background").wait_for()
    assert label.input_value() == "Zebra"
    page.keyboard.press("0")
    page.get_by_text("Saved: not reviewed").wait_for()
    assert label.input_value() == "", "taken back with the verdict"
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("Taken back for 1 picture.").wait_for()
    assert page.get_by_label("Verdict").input_value() == "background"
    assert label.input_value() == "Zebra"
    context.close()


# --- verdicts of a file


def test_a_page_shows_the_verdicts_that_it_was_written_with(atlas, browser, tmp_path):
    analysis, _, root = atlas
    first, second = analysis.errors["path"].iloc[:2]
    columns = ["path", "true", "predicted", "verdict", "comment", "reviewer", "correct_label"]
    rows = [
        ["/".join(first.split("/")[-3:]), "", "", "label wrong", "", "Kim", "Zebra"],
        [f"C:/fruit/{'/'.join(second.split('/')[-3:])}", "", "", "ambiguous", "", "Kim", ""],
        ["/elsewhere/1.jpg", "Zebra", "Zebra", "other", "", "Kim", ""],
    ]
    with pytest.warns(UserWarning, match="1 of 3 verdicts are on images .* /elsewhere/1.jpg"):
        file = camkit.write_atlas(
            analysis, tmp_path / "page", verdicts=pd.DataFrame(rows, columns=columns)
        )
    context = browser.new_context(accept_downloads=True)
    page = context.new_page()
    page.goto(file.as_uri())
    page.get_by_text("2 of 10 errors reviewed.").wait_for()
    page.get_by_text("not certain by their path: 1 verdict, kept for the CSV file only.").wait_for()
    group(page, "all errors")
    page.get_by_text("Kim: label wrong, correct label Zebra").wait_for()
    saved = Verdicts(saved_csv(page, tmp_path)).read().reset_index()
    assert set(saved["path"]) == {first, second, "/elsewhere/1.jpg"}

    # The page is written again for fewer images, without the file: the browser has its own.
    page.get_by_label("Reviewer").fill("Lee")
    page.locator(".tiles").focus()
    page.keyboard.press("4")
    page.get_by_text("Saved: resolution.").wait_for()
    part = analysis.select(np.sort(analysis.errors.index.to_numpy()))
    page.goto(camkit.write_atlas(part, tmp_path / "part").as_uri())
    page.get_by_text("1 of 10 errors reviewed.").wait_for()
    # Written again with another verdict of Lee, it tells the difference, and asks.
    mine = pd.DataFrame([[first, "", "", "other", "", "Lee", ""]], columns=columns)
    page.goto(camkit.write_atlas(part, tmp_path / "again", verdicts=mine).as_uri())
    page.get_by_text("Lee: here “resolution”, in the file “other”").wait_for()
    page.get_by_role("button", name="Take those of the file").click()
    page.get_by_text("Taken from the file: 1 verdict.").wait_for()
    page.reload()
    page.get_by_text("1 of 10 errors reviewed.").wait_for()
    assert page.get_by_text("in the file").count() == 0
    group(page, "all errors")
    assert page.locator(".tile", has_text="other").count() == 1
    context.close()


def test_a_file_of_a_colleague_is_read_and_differences_are_told(atlas, leaf, tmp_path):
    analysis, _, _ = atlas
    page = leaf()
    group(page, "all errors")
    paths = analysis.errors["path"].tolist()
    page.get_by_label("Reviewer").fill("Kim")
    page.locator(".tiles").focus()
    page.keyboard.press("1")
    page.get_by_text("Saved: label wrong.").wait_for()
    lines = [
        "path;true;predicted;verdict;comment;reviewer",
        *(f'"{path.replace(chr(34), chr(34) * 2)}";;;other;grün;Lee' for path in paths[:3]),
        f'"{paths[0].replace(chr(34), chr(34) * 2)}";;;ambiguous;;Kim',
        "/nowhere/x.jpg;;;other;;Lee",
    ]
    file = tmp_path / "lee.csv"
    file.write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8", newline="")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_text("lee.csv: taken over 3 of 5 verdicts.").wait_for()
    page.get_by_text("Kim: here “label wrong”, in the file “ambiguous”").wait_for()
    page.get_by_text("/nowhere/x.jpg").wait_for()
    assert page.get_by_label("Verdict").input_value() == "label wrong"
    page.get_by_text("Lee: other, grün").wait_for()
    page.get_by_role("button", name="Keep those here").click()
    page.get_by_text("Kept as they are here: 1 verdict.").wait_for()
    page.reload()
    page.get_by_text("3 of 10 errors reviewed.").wait_for()
    rows = Verdicts(saved_csv(page, tmp_path)).read()
    assert len(rows) == 5 and ("/nowhere/x.jpg", "Lee") in rows.index
    wrong = tmp_path / "notes.csv"
    wrong.write_text("a,b\n1,2\n")
    page.locator("input[type=file]").set_input_files(wrong)
    page.get_by_text("notes.csv was not read: a table of verdicts also has").wait_for()


def test_one_file_needs_no_other_and_does_all_that_the_page_does(atlas, browser, tmp_path):
    analysis, address, root = atlas
    training = camkit.load_images(root / "data", "Training")
    reference = analysis_of(training, predicted=training.labels, names=NAMES, cells=(7, 7))
    file = tmp_path / "mail" / "atlas.html"
    camkit.write_atlas(analysis, file, reference=reference, single=True)
    context = browser.new_context(accept_downloads=True, reduced_motion="reduce")
    page = context.new_page()
    told, fetched = [], []
    watch(page, told, fetched)
    page.goto(file.as_uri())
    group(page, "all errors")
    worst = analysis.errors["path"].iloc[0]
    wait_for_status(page, "/".join(worst.split("/")[-2:]))
    page.get_by_label("Reviewer").fill("Kim")
    page.locator(".tiles").focus()
    page.keyboard.press("1")
    page.get_by_text("Saved: label wrong.").wait_for()
    with context.expect_page() as opened:
        page.get_by_role("button", name="Open full size").click()
    opened.value.wait_for_load_state()
    assert opened.value.url.startswith("blob:"), "no file of this machine"
    assert opened.value.evaluate("document.images[0].naturalWidth") == 60
    opened.value.close()
    page.locator(".near button").first.click()
    page.wait_for_function("document.querySelectorAll('.near button').length == 0")
    assert "(training)" in status(page)
    card(page, "Data: ").locator("li button").first.click()
    page.get_by_text("Filter", exact=True).click()
    page.get_by_label("Reviewed as").select_option("not reviewed")
    saved = saved_csv(page, tmp_path)
    # The file tells nothing of the folders above the images, and its verdicts find them.
    assert Verdicts(saved).read().index.tolist() == [
        (str(pathlib.Path(worst).relative_to(root)), "Kim")
    ]
    tags = camkit.load_verdicts(saved).tags(analysis.paths)
    assert [path for path, tag in zip(analysis.paths, tags, strict=True) if tag] == [worst]
    assert told == []
    assert {url.split(":")[0] for url in fetched if url != file.as_uri()} <= {"data", "blob"}

    # The folder of the same images finds the verdict by their content.
    page.goto(address)
    page.get_by_text("1 of 10 errors reviewed.").wait_for()
    context.close()


def test_the_file_of_the_picture_opens_at_full_size(atlas, leaf):
    analysis, _, _ = atlas
    page = leaf()
    group(page, "all errors")
    path = analysis.errors["path"].iloc[0]
    wait_for_status(page, "/".join(path.split("/")[-2:]))
    assert page.get_by_label("File", exact=True).input_value() == path
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy path").click()
    page.get_by_text("Copied.", exact=True).wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == path
    with page.context.expect_page() as opened:
        page.get_by_role("button", name="Open full size").click()
    opened.value.wait_for_load_state()
    assert opened.value.evaluate("document.images[0].naturalWidth") == 60
    assert opened.value.url == pathlib.Path(path).as_uri()


# --- what is seen


def test_canvases_show_what_camkit_overlay_makes(atlas, leaf):
    """Within 2 of 255 levels of the map that the page holds; within 4 of the map as it was."""
    analysis, _, _ = atlas
    page = leaf()
    group(page, "all errors")
    i = int(analysis.errors.index[0])
    page.wait_for_function(
        "name => document.querySelector('.status').textContent.startsWith(name)",
        arg="/".join(analysis.paths[i].split("/")[-2:]),
    )
    image, top = camkit.read_image(analysis.paths[i]), analysis.maps[i].max()
    assert (pixels(page.locator("figure.picture canvas")) == image).all()
    true, predicted = (
        analysis.maps[i, ..., analysis.labels[i]],
        analysis.maps[i, ..., analysis.predicted[i]],
    )
    for name, heat in (("truth", true), ("answer", predicted)):
        shown = pixels(page.locator(f"figure.{name} canvas"))
        step = np.ptp(heat) / 255
        held = heat.min() + step * np.rint((heat - heat.min()) / step)
        assert np.abs(shown - camkit.overlay(image, held, vmin=0, vmax=top)).max() <= 2
        assert np.abs(shown - camkit.overlay(image, heat, vmin=0, vmax=top)).max() <= 4
    reach = np.abs(predicted - true).max()
    enlarged = camkit.upsample(predicted - true, image.shape[:2])
    wanted = 255 * colormaps["coolwarm"]((enlarged / reach + 1) / 2)[..., :3]
    assert np.abs(pixels(page.locator("figure.difference canvas")) - wanted).max() <= 4


def test_the_mathematics_is_that_of_camkit(browser, tmp_path):  # noqa: F811
    page = browser.new_page()
    module = "data:text/javascript;base64," + base64.b64encode(JS.encode()).decode()

    def run(expression, *given):
        body = f"const atlas = await import(address); {expression}"
        return page.evaluate(f"async ([address, ...given]) => {{ {body} }}", [module, *given])

    rng = np.random.default_rng(0)
    for h, w, height, width in ((7, 7, 224, 224), (3, 5, 100, 61), (1, 4, 9, 9), (13, 13, 7, 5)):
        heat = rng.normal(size=(h, w)).astype("float32")
        found = run(
            "const [cells, h, w, H, W] = given; return [...atlas.upsample(cells, [h, w], H, W)]",
            heat.ravel().tolist(),
            h,
            w,
            height,
            width,
        )
        assert np.reshape(found, (height, width)) == pytest.approx(
            camkit.upsample(heat, (height, width)), abs=1e-5
        )

    polygon, points = rng.random((7, 2)), rng.random((300, 2))
    found = run("return atlas.pointsInside(given[0], given[1])", points.tolist(), polygon.tolist())
    crossings = Polygon(np.vstack([polygon, polygon[:1]])).contains_points(points)
    assert set(found) >= set(np.flatnonzero(crossings)) or set(found) <= set(
        np.flatnonzero(crossings)
    )
    square = [[0, 0], [2, 0], [2, 2], [0, 2]]
    points = [[1, 1], [3, 1], None, [1.5, 1.9]]
    assert run("return atlas.pointsInside(...given)", points, square) == [0, 3]

    maps = rng.normal(size=(3, 4, 2)).astype("float32")
    packed = _encoding.pack([5, 300], [1.5, -2.0], [0.25, 0.75], maps)
    found = run(
        """const { classes, logits, probs, maps } = atlas.unpack(Uint8Array.from(given[0]), [3, 4]);
        return { classes, logits: [...logits], probs: [...probs], maps: maps.map(m => [...m]) };""",
        list(packed),
    )
    assert (found["classes"], found["logits"], found["probs"]) == (
        [5, 300],
        [1.5, -2.0],
        [0.25, 0.75],
    )
    assert (
        np.abs(np.array(found["maps"]) - np.moveaxis(maps, -1, 0).reshape(2, 12)).max()
        <= np.ptp(maps, axis=(0, 1)).max() / 510 + 1e-6
    )

    rows = [
        ["a", 'say "x", y', "=1+1", "'=2", "-", "line\nbreak"],
        ["中文 😀", "", "'", "@a", "\tb", "plain"],
    ]
    (tmp_path / "x.csv").write_text(
        "path,true,predicted,verdict,comment,reviewer\n" + run("return atlas.csv(given[0])", rows),
        newline="",
    )
    assert (
        Verdicts(tmp_path / "x.csv")
        .read()
        .reset_index()[["path", "true", "predicted", "verdict", "comment", "reviewer"]]
        .values.tolist()
        == rows
    )
    assert pd.read_csv(tmp_path / "x.csv").shape == (2, 6)
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(atlas, leaf, scheme, tmp_path):
    """Also with a verdict, several pictures selected, and a file that differs."""
    page = leaf(color_scheme=scheme)
    page.evaluate(FOLD, True)
    page.get_by_label("Verdict").select_option("other")
    path = page.get_by_label("File", exact=True).input_value()
    rows = pd.DataFrame([[path, "", "", "ambiguous"], ["/x.jpg", "", "", "other"]])
    rows.to_csv(tmp_path / "x.csv", index=False, header=["path", "true", "predicted", "verdict"])
    page.locator("input[type=file]").set_input_files(tmp_path / "x.csv")
    page.get_by_role("button", name="Take those of the file").wait_for()
    page.get_by_role("button", name="Select several").click()
    page.locator(".tile").nth(1).click()
    assert page.locator(".tile[aria-selected=true]").count() == 2
    assert serious(page) == []
    assert page.evaluate(FAINT) == []


@pytest.mark.parametrize("width", [1280, 768, 390])
def test_it_fits_screens_of_three_widths(leaf, width):
    """build/screenshots/atlas-WIDTH-light.png and -dark.png show what a person has to judge."""
    folder = ROOT / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    page = leaf(width)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(300)
        page.screenshot(path=folder / f"atlas-{width}-{scheme}.png", full_page=True)
        assert page.evaluate(OVERFLOW) <= 0
    page.evaluate(FOLD, True)
    assert page.evaluate(OVERFLOW) <= 0
    for element in page.locator(
        "main button, main select, main input, main textarea, main canvas"
    ).all():
        box = element.bounding_box() if element.is_visible() else None
        assert box is None or (box["x"] >= 0 and box["x"] + box["width"] <= width), (
            element.evaluate("one => one.outerHTML")
        )


FOCUSED = """() => {
    const element = document.activeElement;
    const style = getComputedStyle(element);
    const name = element.ariaLabel ?? element.labels?.[0]?.textContent ?? element.textContent;
    const text = `${element.tagName} ${element.className} ${name}`;
    return [text.slice(0, 60), style.outlineStyle, style.outlineWidth];
}"""


def test_everything_is_reached_by_keyboard_and_focus_is_seen(leaf):
    page = leaf()
    page.evaluate(FOLD, True)
    page.locator("summary").first.focus()
    reached = set()
    for _ in range(1000):
        page.keyboard.press("Tab")
        name, *outline = page.evaluate(FOCUSED)
        if name.startswith("BODY"):
            break
        assert outline == ["solid", "3px"], name
        reached.add(" ".join(name.split()[:2]))
    assert {
        "SELECT Pictures",
        "CANVAS matrix",
        "SELECT Order",
        "DIV tiles",
        "INPUT Search",
        "SELECT Map",
        "SELECT Verdict",
        "TEXTAREA Comment",
        "INPUT Reviewer",
        "BUTTON Save",
        "CANVAS features",
    } <= reached
