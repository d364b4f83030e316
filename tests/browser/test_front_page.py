"""The front page from disk: a picture that answers, before any text; and the same in lessons."""

import front
import nbformat
import numpy as np
import pages
import pytest
from chromium import OVERFLOW, address_of, drawn, elsewhere, needs_chromium, serious, watch
from lesson_files import LESSONS
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

import camkit

pytestmark = needs_chromium

WITH_PLAYGROUND = ["01", "03"]
MAP = ".pair figure:last-child canvas"

# How far down the window an element of the frame ends.
BOTTOM = (
    "element => frameElement.getBoundingClientRect().top + element.getBoundingClientRect().bottom"
)


@pytest.fixture(scope="module")
def site(site_playground, tmp_path_factory):
    """Return a folder with the front page and lessons as they are before they have run."""
    folder = tmp_path_factory.mktemp("front")
    (folder / pages.PLAYGROUND).symlink_to(site_playground)
    front.write(folder)
    for lesson in LESSONS:
        if lesson.name[:2] in WITH_PLAYGROUND:
            text = pages.page(nbformat.read(lesson, as_version=4), lesson.name)
            (folder / pages.page_name(lesson.name)).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def opened(browser):
    """Return a function that opens a page; nothing is told on the console or asked elsewhere."""
    told, fetched = [], []
    context = browser.new_context(viewport={"width": 1280, "height": 900})

    def open_page(path):
        page = context.new_page()
        watch(page, told, fetched)
        page.goto(path.as_uri())
        return page

    yield open_page
    context.close()
    assert told == []
    assert elsewhere(fetched) == []


def answered(page, text="Apple Green: the model says Apple Green"):
    """Return the frame of the playground, which shows an answer with this text."""
    page.locator("iframe.playground").scroll_into_view_if_needed()
    frame = page.frame_locator("iframe.playground")
    frame.get_by_role("status").filter(has_text=text).wait_for()
    return frame


def choose(frame, name):
    frame.get_by_role("group", name="Examples").get_by_role("button", name=name).click()
    frame.get_by_role("status").filter(has_text=f"{name}: the model says {name}").wait_for()


def check_another_example(page):
    """Another example has another map, and a place that is painted out changes it again."""
    frame = answered(page)
    apple = drawn(frame.locator(MAP))
    choose(frame, "Lemon")
    lemon = drawn(frame.locator(MAP))
    assert np.abs(lemon.astype(int) - apple).mean() > 10
    before = frame.get_by_role("status").inner_text()
    frame.get_by_role("application").press("Space")
    frame.get_by_role("status").filter(has_not_text=before).wait_for()
    assert np.abs(drawn(frame.locator(MAP)).astype(int) - lemon).max() > 10


@pytest.fixture(scope="module")
def front_page(opened, site):
    return opened(site / "index.html")


@pytest.mark.parametrize("width, height", [(1280, 900), (390, 800)])
def test_the_first_screen_is_a_picture_with_its_map_and_scores(front_page, width, height):
    front_page.set_viewport_size({"width": width, "height": height})
    frame = answered(front_page)
    front_page.evaluate("scrollTo(0, 0)")
    assert front_page.evaluate(OVERFLOW) <= 0
    for selector in (".stage canvas", MAP, ".status"):
        assert frame.locator(selector).evaluate(BOTTOM) < height
    # Above the picture stands the title alone.
    assert front_page.locator("section.front").inner_text() == "Class activation maps, live"
    assert frame.locator(".play").inner_text().startswith("As the model reads it")
    # The frame is as high as what it shows.
    box = front_page.locator("iframe.playground").bounding_box()
    assert box["height"] >= int(frame.locator("main").bounding_box()["height"])


def test_the_text_of_the_index_follows(front_page):
    front_page.set_viewport_size({"width": 1280, "height": 900})
    top = front_page.locator("iframe.playground").bounding_box()
    text = front_page.get_by_role("heading", name="What is a class activation map?")
    assert text.bounding_box()["y"] >= top["y"] + top["height"]


def test_axe_finds_nothing_serious_on_the_front_page_and_in_its_frame(front_page):
    front_page.set_viewport_size({"width": 1280, "height": 900})
    answered(front_page)
    for frame in front_page.frames:
        assert serious(frame, options={"iframes": False, "preload": False}) == []


def test_a_picture_is_pasted_on_the_page_around_the_frame(front_page):
    answered(front_page)
    address = address_of(Image.new("RGB", (40, 30), "orange"))
    front_page.evaluate(
        """text => {
            const bytes = Uint8Array.from(atob(text), character => character.charCodeAt(0));
            const clipboardData = new DataTransfer();
            clipboardData.items.add(new File([bytes], "orange.png", {type: "image/png"}));
            dispatchEvent(new ClipboardEvent("paste", {clipboardData}));
        }""",
        address.partition(",")[2],
    )
    answered(front_page, "orange.png: the model says")
    choose(front_page.frame_locator("iframe.playground"), "Apple Green")


def test_another_example_has_another_map(front_page):
    check_another_example(front_page)


@pytest.mark.parametrize("number", WITH_PLAYGROUND)
def test_lessons_show_the_playground(number, opened, site):
    (path,) = site.glob(f"{number}-*.html")
    page = opened(path)
    check_another_example(page)
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate(OVERFLOW) <= 0
    page.close()


def head(name, kernel):
    """Return a head as a cell of a lesson gives it to its page."""
    bias = [0.0] * kernel.shape[1]
    class_names = ["plain", "<marked>"]
    return {"name": name, "class_names": class_names, "kernel": kernel.tolist(), "bias": bias}


def test_heads_and_examples_of_a_lesson_answer_on_its_page(opened, site):
    """Two heads on the features of the embedded backbone, and what they make of one picture."""
    channels = camkit.backbone("mini").output_shape[-1]
    kernel = np.random.default_rng(0).normal(size=(channels, 2))
    image = camkit.load_images("mini", "Test", per_class=1)[5]
    given = {
        "heads": [head("as it was", kernel), head("mended", -kernel)],
        "examples": [{"name": "</script>", "src": address_of(Image.fromarray(image))}],
    }
    output = new_output("display_data", {pages.HEADS: given, "text/plain": "two heads"})
    cells = [new_markdown_cell("# Two heads"), new_code_cell("play", outputs=[output])]
    text = pages.page(new_notebook(cells=cells), "heads.ipynb")
    (site / "heads.html").write_text(text, encoding="utf-8")

    model = camkit.gap_classifier(camkit.backbone("mini"), ["plain", "<marked>"])
    model.get_layer("logits").set_weights([kernel, np.zeros(2)])
    out = camkit.CAM(model)(image[None])
    first, other = ["plain", "<marked>"] if out.logits[0, 0] > 0 else ["<marked>", "plain"]
    page = opened(site / "heads.html")
    frame = answered(page, f"</script>: “as it was” says {first}, {100 * out.probs.max():.1f} %.")
    status = frame.get_by_role("status").inner_text()
    assert f"“mended” says {other}, {100 * out.probs.max():.1f} %." in status
    assert frame.get_by_role("group", name="Examples").get_by_role("button").count() == 1
    page.close()


def test_the_front_page_in_firefox(firefox, site):
    page = firefox.new_page(viewport={"width": 1280, "height": 900})
    told = []
    watch(page, told)
    page.goto((site / "index.html").as_uri())
    check_another_example(page)
    page.close()
    assert told == []


def test_a_page_without_the_playground_says_what_it_lacks(browser, site, tmp_path):
    (tmp_path / "index.html").write_bytes((site / "index.html").read_bytes())
    page = browser.new_page()
    page.goto((tmp_path / "index.html").as_uri())
    frame = page.frame_locator("iframe.playground")
    frame.get_by_text("The playground is in the folder playground").wait_for()
    page.close()
