"""The README's picture of the error atlas: `python data/make/screenshot.py`, with Chromium."""

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

import camkit

ROOT = Path(__file__).resolve().parents[2]
TARGET = ROOT / "notebooks" / "figures" / "error-atlas.png"
SIZE = {"width": 1280, "height": 1140}

# Where the project lies on this machine is nobody's business.
SHORTEN = "(path, root) => { path.value = path.value.replace(`${root}/`, ''); }"


def write_page(folder: Path) -> Path:
    """Return the page of the embedded images, by a head that is trained on them."""
    train, test = (camkit.load_images("mini", split) for split in ("Training", "Test"))
    model = camkit.gap_classifier(camkit.backbone("mini"), train.class_names)
    camkit.train_head(model, train)
    analysis, reference = (camkit.analyze(model, images) for images in (test, train))
    return camkit.write_atlas(analysis, folder, reference=reference)


def photograph(page: Path, target: Path) -> None:
    """Write what a browser shows of the page below its summary."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
            args=["--no-sandbox"],
        )
        tab = chromium.new_page(viewport=SIZE)
        tab.goto(page.as_uri())
        tab.locator("details.summary > summary").click()
        tab.wait_for_function("document.querySelector('.status').textContent.includes('Map of')")
        tab.wait_for_load_state("networkidle")
        tab.get_by_label("File", exact=True).evaluate(SHORTEN, str(ROOT))
        tab.screenshot(path=target)
        chromium.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        photograph(write_page(Path(folder, "mini-fruits")), TARGET)
