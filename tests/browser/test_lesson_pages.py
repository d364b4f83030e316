"""The pages of the lessons, in a headless browser."""

import io
from contextlib import contextmanager

import numpy as np
import pages
import pandas as pd
import pytest
from chromium import FAINT, FOLD, OVERFLOW, changed, elsewhere, needs_chromium, next_class, watch
from lesson_files import LESSONS, ROOT, lessons
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

pytestmark = needs_chromium

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


# Scroll a share of the way through a lesson; on the front page a playground stands before it.
SCROLL = """share => {
    const top = document.querySelector("main").offsetTop;
    scrollTo(0, top + share * (document.documentElement.scrollHeight - top));
}"""


@pytest.fixture
def leaf(executed, site_playground, browser, tmp_path):
    """Return a context manager: lesson, width, height -> its page in a window of this size.

    Nothing may come from elsewhere, and nothing may stand on the console.
    """

    (tmp_path / pages.PLAYGROUND).symlink_to(site_playground)

    @contextmanager
    def open_page(lesson, width, height):
        (tmp_path / "page.html").write_text(executed(lesson)[1], encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": height})
        page = context.new_page()
        messages, fetched = [], []
        watch(page, messages, fetched)
        page.goto((tmp_path / "page.html").as_uri())
        yield page
        assert messages == []
        assert elsewhere(fetched) == []
        context.close()

    return open_page


def check_colours_and_width(page):
    """By day and by night, all that is folded opened, too. Leaves the page folded and dark."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.evaluate(FOLD, True)
        assert page.evaluate(OVERFLOW) <= 0
        assert page.evaluate(FAINT) == []
        page.evaluate(FOLD, False)
    for figure in page.locator("main img").all():  # black print on white
        background = figure.evaluate("image => getComputedStyle(image).backgroundColor")
        assert background == "rgb(255, 255, 255)"


def picture(page, name):
    """Show a person, who has to judge it, how the page looks: build/screenshots/NAME.jpg."""
    folder = ROOT / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.jpg", type="jpeg", quality=85, full_page=True)


@lessons
def test_page_at_a_desk(lesson, leaf):
    """Nothing is faint or cut off, and the contents stay and mark where one is."""
    with leaf(lesson, 1280, 900) as page:
        picture(page, f"{lesson.stem}-desk-light")
        check_colours_and_width(page)
        page.evaluate(FOLD, True)
        code = page.locator(".jp-CodeCell .highlight pre").first
        assert 14 <= code.evaluate("pre => parseFloat(getComputedStyle(pre).fontSize)") <= 15
        assert page.evaluate(CUT_CODE) == []
        assert page.evaluate(CUT_TABLES) == []
        assert page.evaluate(CUT_FORMULAS) == []
        page.evaluate(FOLD, False)
        contents = page.locator("nav.contents")
        assert not page.locator("details.contents").is_visible()
        for share in (0, 0.5, 1):
            page.evaluate(SCROLL, share)
            box = contents.bounding_box()
            assert 0 <= box["y"] and box["y"] + box["height"] <= 900
        title = page.locator("main h2").nth(1)
        title.evaluate("heading => heading.scrollIntoView()")
        marked = (
            "title => "
            "document.querySelector('nav.contents a:target-current')?.textContent === title"
        )
        page.wait_for_function(marked, arg=title.text_content())


# Where the first picture or view of a page begins, in pixels from its top.
FIRST_PICTURE = """() => Math.min(...Array.from(
    document.querySelectorAll(":is(main, .front) :is(img, canvas, iframe)"))
    .filter(element => element.checkVisibility() && element.getBoundingClientRect().height > 60)
    .map(element => element.getBoundingClientRect().top + scrollY))"""


@lessons
def test_a_picture_comes_first(lesson, leaf):
    """It begins within the first screen and a half."""
    with leaf(lesson, 1280, 900) as page:
        assert page.evaluate(FIRST_PICTURE) <= 1350


@lessons
def test_page_on_a_phone(lesson, leaf):
    """Nothing is faint or too wide, and the contents unfold and lead to the last heading."""
    with leaf(lesson, 390, 844) as page:
        check_colours_and_width(page)
        picture(page, f"{lesson.stem}-phone-dark")
        last = page.locator("details.contents a").last
        assert not page.locator("nav.contents").is_visible() and not last.is_visible()
        page.locator("details.contents summary").click()
        last.click()
        assert 0 <= page.locator("main h2").last.bounding_box()["y"] < 844


def table_of(kind, columns):
    """Return a cell with a table of numbers: a DataFrame, one with a style, or one in the text."""
    numbers = np.full((3, columns), 12345.5)
    table = pd.DataFrame(numbers, ["a row", "another row", "c"]).rename_axis(index="the rows")
    if kind == "text":
        lines = ["| |" + " |" * columns, "|---|" + "---|" * columns]
        lines += [f"| {name} |" + " 12345.5 |" * columns for name in table.index]
        return new_markdown_cell("\n".join(lines))
    html = table.style.to_html() if kind == "style" else table.to_html(notebook=True)
    return new_code_cell("", outputs=[new_output("display_data", {"text/html": html})])


@pytest.mark.parametrize("kind", ["frame", "style", "text"])
def test_a_wide_table_scrolls_on_a_phone(kind, browser, tmp_path):
    """By keys, too; the names of the rows stay, and an edge with more behind it looks otherwise."""
    cells = [new_markdown_cell("# Tables"), table_of(kind, 2), table_of(kind, 12)]
    file = tmp_path / "tables.html"
    file.write_text(pages.page(new_notebook(cells=cells), "tables.ipynb"), encoding="utf-8")
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(file.as_uri())
    narrow, wide = page.locator("table" if kind == "text" else ".jp-RenderedHTML").all()
    space = "box => box.scrollWidth - box.clientWidth"
    assert narrow.evaluate(space) == 0 < wide.evaluate(space)
    assert page.evaluate(OVERFLOW) <= 0

    edges = [edge_colours(narrow), edge_colours(wide)]
    wide.evaluate("box => { box.scrollLeft = box.scrollWidth; }")
    edges.append(edge_colours(wide))
    assert edges[0] == edges[2] != edges[1]

    wide.evaluate("box => { box.scrollLeft = 0; }")
    name = wide.locator("tbody tr > :first-child").first
    left = name.bounding_box()["x"]
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("box => box.scrollLeft > 30", arg=wide.element_handle())
    assert name.bounding_box()["x"] == left
    page.close()


def edge_colours(box):
    """Return the colours down the right edge of what scrolls."""
    shot = Image.open(io.BytesIO(box.screenshot(animations="disabled"))).convert("RGB")
    return {colour for _, colour in shot.crop((shot.width - 2, 2, shot.width, 12)).getcolors()}


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
