"""The app, which serves the atlas of an analysis to several reviewers, in a headless browser."""

import os
import re
from contextlib import contextmanager

import numpy as np
import pytest
from chromium import TIMEOUT, atlas, needs_chromium
from lesson_files import ROOT
from servers import serving

import camkit
from camkit.atlas.verdicts import Verdicts

pytestmark = needs_chromium

COMMAND = ["-m", "voila", "atlas.ipynb", "--no-browser", "--Voila.ip=127.0.0.1", "--port={port}"]


@pytest.fixture
def opened(browser, tmp_path):
    """Return a context manager: what the environment names -> page of the app, with its atlas.

    No error may stand on the console at the end of the block.
    """
    jupyter = {name: str(tmp_path / name) for name in ("JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR")}
    environment = {**os.environ, **jupyter, "IPYTHONDIR": str(tmp_path / "ipython")}

    @contextmanager
    def serve_and_open(**names):
        named = environment | {name: str(value) for name, value in names.items()}
        log = tmp_path / "server.log"
        with serving(COMMAND, ROOT / "notebooks" / "app", named, log) as address:
            page = browser.new_page()
            page.set_default_timeout(TIMEOUT)
            # Voila's own template asks for an icon font from afar, which nobody needs.
            page.route(
                re.compile("^https:"), lambda route: route.fulfill(body="", content_type="text/css")
            )
            messages = []
            page.on(
                "console",
                lambda message: messages.append(message.text) if message.type == "error" else None,
            )
            page.on("pageerror", lambda error: messages.append(str(error)))
            page.goto(f"{address}/")
            yield page, atlas(page)[0]
            assert messages == []
            page.close()

    return serve_and_open


def test_the_app_serves_the_atlas_and_a_verdict_survives_it(opened, tmp_path):
    """Of the embedded images, and then of an analysis where that picture errs, too."""
    verdicts = tmp_path / "verdicts.csv"
    with opened(VERDICTS=verdicts, ANALYSIS="", REFERENCE="") as (page, found):
        found.get_by_text("0 of 15 errors reviewed.").wait_for()
        assert "taken for" in found.locator("h2.group").inner_text()
        found.locator(".tiles").focus()
        page.keyboard.press("2")
        found.get_by_text("Saved: ambiguous. 1 of 15 errors reviewed.").wait_for()
        assert ",ambiguous," in verdicts.read_text()
        folder = ROOT / "build" / "screenshots"
        folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=folder / "app.png", full_page=True)

    (row,) = Verdicts(verdicts).read().reset_index().to_dict("records")
    images = camkit.load_images("mini", "Test")
    model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
    head = model.get_layer("logits")
    kernel, bias = head.get_weights()
    bias[images.class_names.index(row["predicted"])] = 1
    head.set_weights([0 * kernel, bias])
    reviewed = [str(path).endswith(row["path"]) for path in images.paths].index(True)
    few = images.select(sorted({reviewed, *range(0, 240, 24)}))
    analysis = camkit.analyze(model, few, tmp_path / "of")
    camkit.analyze(model, images.select(np.arange(5, 240, 24)), tmp_path / "reference")
    names = {"ANALYSIS": tmp_path / "of", "REFERENCE": tmp_path / "reference"}
    with opened(VERDICTS=verdicts, **names) as (_, found):
        found.get_by_text(f"1 of {len(analysis.errors)} errors reviewed.").wait_for()
