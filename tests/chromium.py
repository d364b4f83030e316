"""What the browser tests share: which browser, what it is asked of a page, JupyterLab with a
notebook open.
"""

import shutil
from contextlib import contextmanager

import pytest

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
