"""The living views of the lessons: on a page from disk, by keyboard, with the numbers of Python."""

import living
import numpy as np
import pages
import pytest
from chromium import FAINT, OVERFLOW, drawn, elsewhere, needs_chromium, serious, watch
from lesson_files import ROOT
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from playwright.sync_api import expect

import camkit
from camkit import localize

pytestmark = needs_chromium

SIZE = (60, 72)
STEPS = 20
BIAS = -0.7
BOX = np.array([20, 12, 52, 40])


def predict(batch):
    """Probabilities (n, 2) of red and not red."""
    red = batch[..., 0].mean(axis=(1, 2)) / 255
    return np.stack([red, 1 - red], axis=1)


@pytest.fixture(scope="module")
def made():
    """What the views show: a picture, channels times weights, and maps of two grains."""
    draw = np.random.default_rng(0)
    image = draw.integers(0, 256, (*SIZE, 3), dtype="uint8")
    parts = draw.normal(0.1, 1, (5, 6, 40)).astype("float32")
    cells = parts.sum(axis=-1)
    maps = {"CAM": camkit.upsample(cells, SIZE), "dust": draw.random(SIZE)}
    return image, parts, cells, maps


@pytest.fixture(scope="module")
def file(made, tmp_path_factory):
    """The page of a notebook with the three views."""
    image, parts, cells, maps = made
    bundles = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(living, "display", lambda bundle, raw: bundles.append(bundle))
        living.show_sum(image, parts, BIAS, "Plum <1>")
        living.show_threshold(image, cells, BOX, "Plum <1>")
        living.show_deletion(image, maps, predict, 0, "Plum <1>", STEPS)
    for bundle in bundles:
        assert len(bundle["text/html"]) < 150_000 and bundle["image/png"].startswith(b"\x89PNG")
    outputs = [new_output("display_data", {"text/html": each["text/html"]}) for each in bundles]
    cells = [new_code_cell("show()", outputs=[output]) for output in outputs]
    title = new_markdown_cell("# Living views\n\n## One\n\n## Two")
    file = tmp_path_factory.mktemp("living") / "page.html"
    file.write_text(pages.page(new_notebook(cells=[title, *cells]), "living.ipynb"), "utf-8")
    return file


@pytest.fixture
def opened(file, browser):
    """Return a function: options -> the page, which fetches nothing and complains of nothing."""
    contexts = []
    errors, fetched = [], []

    def open_page(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        watch(page, errors, fetched)
        page.goto(file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert errors == [] and elsewhere(fetched) == []


def by_keys(page, name, *keys):
    """Move the slider of this name by keys, and return what its view then says."""
    slider = page.get_by_label(name)
    for key in keys:
        slider.press(key)
    return page.locator(".living", has=slider).get_by_role("status").inner_text()


def test_the_sum_of_channels(opened, made):
    page = opened()
    _, parts, _, _ = made
    order = np.argsort(-np.abs(parts.mean(axis=(0, 1))))
    sums = parts[..., order].cumsum(axis=-1)
    whole = sums[..., -1]

    def sentence(count):
        some = sums[..., count - 1]
        number = "{:+.2f}".format
        shape = np.corrcoef(some.ravel(), whole.ravel())[0, 1]
        means = some.mean(), BIAS, some.mean() + BIAS, whole.mean() + BIAS
        mean, bias, score, all_channels = (number(each).replace("-", "−") for each in means)
        channels = "channel" if count == 1 else "channels"
        return (
            f"{count} {channels} of 40: mean {mean}, bias {bias}, score {score} (with all "
            f"channels {all_channels}); correlation with the whole map {shape:.3f}."
        )

    assert by_keys(page, "Channels in the sum") == sentence(1)
    assert by_keys(page, "Channels in the sum", "ArrowRight", "ArrowRight") == sentence(3)
    assert by_keys(page, "Channels in the sum", "End", "ArrowLeft") == sentence(38)
    assert by_keys(page, "Channels in the sum", "End") == sentence(40)
    assert page.get_by_label("the sum of 40 channels").is_visible()


def test_the_threshold_and_its_box(opened, made):
    page = opened()
    _, _, cells, _ = made
    heat = camkit.upsample(cells, SIZE)

    def sentence(threshold):
        box = localize.boxes(heat, threshold)[0]
        x0, y0, x1, y1 = box
        iou = localize.iou(box, BOX)[0, 0]
        found = "found" if iou >= 0.5 else "not found"
        kept = (localize.scaled(heat) >= threshold).mean()
        return (
            f"τ = {threshold:.2f}: box x {x0} to {x1}, y {y0} to {y1}; IoU {iou:.2f}, {found} at "
            f"0.5; {100 * kept:.0f} % of the pixels remain."
        )

    assert by_keys(page, "Threshold τ") == sentence(0.2)
    assert by_keys(page, "Threshold τ", "ArrowRight") == sentence(0.21)
    assert by_keys(page, "Threshold τ", *["ArrowRight"] * 39) == sentence(0.6)
    assert by_keys(page, "Threshold τ", "Home") == sentence(0)


def test_pixels_go_as_camkit_takes_them(opened, made):
    page = opened()
    image, _, _, maps = made
    slider = "Pixels painted grey, those highest in the map first"
    said = by_keys(page, slider, *["ArrowRight"] * 5)
    for position, (name, heat) in enumerate(maps.items()):
        _, curves = localize.insertion_deletion(predict, image[None], heat[None], 0, steps=STEPS)
        assert f"{curves[0, 5]:.2f} by {name}" in said
        figure = page.locator(".living").nth(2).locator("figure").nth(position)
        expect(figure.locator("figcaption")).to_have_text(f"by {name}: {curves[0, 5]:.2f}")
        gone = heat > np.quantile(heat, 0.75)
        expected = np.where(gone[..., None], np.rint(localize.GREY), image)
        # A pixel on the quantile may be on either side.
        assert (drawn(figure.locator("canvas")) != expected).any(axis=-1).sum() <= 1
    assert said.startswith("25 % grey: probability of Plum <1> ")


def test_it_plays_unless_motion_is_unwanted(opened):
    page = opened()
    view = page.locator(".living").nth(2)
    status = view.get_by_role("status")
    page.clock.install()
    view.get_by_role("button", name="Play").press("Space")
    page.clock.run_for(1_000)
    assert status.inner_text().startswith("10 % grey: ")
    view.get_by_role("button", name="Pause").click()
    page.clock.run_for(1_000)
    assert status.inner_text().startswith("10 % grey: ")
    view.get_by_role("button", name="Play").click()
    page.clock.run_for(20_000)
    assert status.inner_text().startswith("100 % grey: ")
    assert view.get_by_role("button", name="Play").is_visible()
    still = opened(reduced_motion="reduce")
    assert still.get_by_role("button", name="Play").count() == 0
    assert by_keys(still, "Threshold τ", "End").startswith("τ = 1.00: box ")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_they_are_legible(opened, scheme, width):
    page = opened(color_scheme=scheme, viewport={"width": width, "height": 900})
    page.evaluate("Promise.all([...document.images].map(image => image.decode()))")
    assert page.locator("main img").count() == 0
    assert page.evaluate(FAINT) == [] and page.evaluate(OVERFLOW) <= 0
    assert serious(page) == []
    folder = ROOT / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"living-{width}-{scheme}.png", full_page=True)


def test_a_still_picture_stands_where_no_script_runs(opened):
    page = opened(java_script_enabled=False)
    texts = [image.get_attribute("alt") for image in page.locator("main img").all()]
    assert texts == [
        "The map of Plum <1> as a sum of 1 up to 40 channels.",
        "What remains of the map of Plum <1> at four thresholds, and the IoU of its box.",
        "The probability of Plum <1> as pixels turn grey, by the maps CAM, dust.",
    ]
