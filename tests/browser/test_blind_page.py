"""The pictures of lesson 5 that a reader judges blindly, and the file that the page saves."""

import json

import pandas as pd
from chromium import elsewhere, needs_chromium, serious, watch
from lesson_files import ROOT

pytestmark = needs_chromium

PICTURES = [
    {"path": "Test/a, b.jpg", "true": "Plum", "predicted": "Plum", "comment": "with"},
    {"path": "Test/c.jpg", "true": "Plum", "predicted": 'a "Pear"', "comment": "with"},
    {"path": "Test/d.jpg", "true": "Pear", "predicted": "Plum", "comment": "without"},
]


def test_verdicts_are_counted_and_saved(tmp_path, browser):
    template = (ROOT / "notebooks/site/blind.html").read_text(encoding="utf-8")
    pictures = [row | {"picture": f"<img alt='{row['path']}'>"} for row in PICTURES]
    file = tmp_path / "blind.html"
    file.write_text(template.replace("= PICTURES", f"= {json.dumps(pictures)}"), encoding="utf-8")
    page = browser.new_page()
    errors, fetched = [], []
    watch(page, errors, fetched)
    page.goto(file.as_uri())
    assert serious(page) == []

    page.keyboard.press("1")
    page.get_by_alt_text("Test/c.jpg").wait_for(state="attached")
    page.get_by_role("button", name="The model is right").click()
    page.get_by_label("Your name").fill("Kim 2")
    page.get_by_role("status").click()
    page.keyboard.press("2")
    status = page.get_by_role("status").inner_text()
    assert status == "with map: 1 of 2 judged correctly; without map: 1 of 1 judged correctly"
    with page.expect_download() as download:
        page.get_by_role("link", name="Save blind-Kim-2.csv").click()
    table = pd.read_csv(download.value.path())
    assert table["verdict"].tolist() == ["right", "right", "wrong"]
    assert set(table["reviewer"]) == {"Kim 2"}
    columns = ["path", "true", "predicted", "comment"]
    assert table[columns].to_dict("records") == PICTURES
    assert errors == [] and elsewhere(fetched) == []
    page.close()
