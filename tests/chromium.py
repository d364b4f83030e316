"""What the browser tests share: which browser, what it is asked of a page, JupyterLab with a
notebook open.
"""

import base64
import io
import shutil
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

CHROMIUM = next(
    filter(None, map(shutil.which, ["chromium", "google-chrome", "chromium-browser"])), None
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TIMEOUT = 120_000  # in milliseconds

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium or Chrome on the PATH")

# How far the page is wider than the window.
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

# Unfold or fold, by its argument, all that can be folded.
FOLD = "open => document.querySelectorAll('details').forEach(details => details.open = open)"

# The texts whose contrast with their background, as WCAG 2 has it, is below 4.5.
FAINT = """() => {
    const channels = colour => colour.match(/[\\d.]+/g).map(Number);
    const linear = value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const luminance = colour => channels(colour).slice(0, 3)
        .reduce((sum, value, n) => sum + [0.2126, 0.7152, 0.0722][n] * linear(value / 255), 0.05);
    const background = element => {
        const colour = getComputedStyle(element).backgroundColor;
        return channels(colour)[3] === 0 ? background(element.parentElement) : colour;
    };
    const contrast = element => {
        const ratio = luminance(getComputedStyle(element).color) / luminance(background(element));
        return Math.max(ratio, 1 / ratio);
    };
    const written = element => Array.from(element.childNodes)
        .some(node => node.nodeType === 3 && node.data.trim());
    return Array.from(document.body.querySelectorAll("*"))
        .filter(element => element.checkVisibility() && written(element) && contrast(element) < 4.5)
        .map(element => `${contrast(element).toFixed(1)} ${element.textContent}`);
}"""


# Rules that axe takes for moderate: without them a page cannot be read by its parts.
ORDER = ("heading-order", "landmark-unique")

# Addresses of what needs no network.
LOCAL = ("file:", "data:", "blob:")


def watch(page, told, fetched=None):
    """Add what a page tells on its console to a list, and what it asks for to another one."""
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    if fetched is not None:
        page.on("request", lambda request: fetched.append(request.url))


def elsewhere(fetched):
    """Return the addresses that are asked of a network."""
    return [url for url in fetched if not url.startswith(LOCAL)]


def serious(page, **options):
    """Return what axe finds serious or critical on a page: the rules, with some of the elements.

    Headings out of order and landmarks of one name count, too.
    """
    from axe_playwright_python.sync_playwright import Axe

    return [
        (fault["id"], fault["impact"], [node["html"] for node in fault["nodes"]][:3])
        for fault in Axe().run(page, **options).response["violations"]
        if fault["impact"] in ("serious", "critical") or fault["id"] in ORDER
    ]


def pixels(canvas):
    """Return what a canvas shows, one pixel of the screen for each of its own, int (H, W, 3).

    Also of a canvas that a page from disk must not read itself.
    """
    canvas.evaluate("""c => { c.style.cssText =
        `width: ${c.width}px; position: fixed; left: 0; top: 0; z-index: 9; border-radius: 0`; }""")
    shot = Image.open(io.BytesIO(canvas.screenshot())).convert("RGB")
    canvas.evaluate("c => { c.style.cssText = ''; }")
    return np.asarray(shot).astype(int)


def address_of(image, kind="png", **options):
    """Return an address that has an image in it, as a file of a kind."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"


def drawn(canvas):
    """Return what a page has drawn on a canvas, uint8 (H, W, 3)."""
    address = canvas.evaluate("canvas => canvas.toDataURL()")
    return np.array(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))[..., :3]


@contextmanager
def notebook_page(lab, browser, name):
    """A page with this notebook open in JupyterLab and its kernel ready, and the list of errors
    told on the console.
    """
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(TIMEOUT)
    errors = []
    page.on(
        "console", lambda message: errors.append(message.text) if message.type == "error" else None
    )
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{lab}/lab/tree/{name}?reset")
    page.wait_for_function(
        "window.jupyterapp && jupyterapp.shell.currentWidget?.sessionContext?.isReady"
    )
    page.evaluate("jupyterapp.shell.collapseLeft()")
    yield page, errors
    page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    context.close()


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


def next_class(found, status):
    """Ask an atlas for the map of the next class in its list, by keyboard.

    Returns its name, and the readout before and after.
    """
    before = status.inner_text()
    classes = found.get_by_label("Map of class")
    classes.press("ArrowDown")
    name = classes.evaluate("list => list.selectedOptions[0].text").split(" · ")[0]
    return name, before, changed(status, before, f"Map of {name}:")


def atlas(page):
    """The error atlas of a lesson, with the line that tells what is shown."""
    found = page.locator(".camkit-atlas").first
    found.scroll_into_view_if_needed()
    found.locator(".status").filter(has_text="Map of").wait_for()
    return found, found.locator(".status")
