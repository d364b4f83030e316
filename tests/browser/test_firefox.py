"""The error atlas as a page on disk in a released Firefox: the folder, and one file."""

import pytest
from chromium import watch
from made_analyses import analysis_of, image_set

import camkit
from camkit.atlas.verdicts import Verdicts


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    """(analysis, addresses of its page and of the one file): eight images of noise, five errors."""
    root = tmp_path_factory.mktemp("firefox_atlas")
    analysis = analysis_of(image_set(root / "data"))
    page = camkit.write_atlas(analysis, root / "page")
    single = camkit.write_atlas(analysis, root / "atlas.html", single=True)
    return analysis, page.as_uri(), single.as_uri()


@pytest.fixture
def leaf(atlas, firefox):
    """leaf(address) opens a page, that of the folder if none is named; its console stays empty."""
    context = firefox.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    told = []

    def open_page(address=atlas[1]):
        page = context.new_page()
        watch(page, told)
        page.goto(address)
        page.wait_for_function("document.querySelector('.status').textContent")
        return page

    yield open_page
    context.close()
    assert told == []


def status(page):
    return page.locator(".status").inner_text()


@pytest.mark.parametrize("which", [1, 2], ids=["folder", "file"])
def test_a_review_in_firefox(atlas, leaf, tmp_path, which):
    analysis = atlas[0]
    page = leaf(atlas[which])
    page.get_by_label("Pictures of", exact=True).select_option(label="all errors (5)")
    before = status(page)
    page.locator(".tile").nth(1).click()
    page.wait_for_function(
        "before => document.querySelector('.status').textContent !== before", arg=before
    )
    page.get_by_label("Reviewer").fill("Kim")
    page.locator(".tiles").focus()
    page.keyboard.press("1")
    page.get_by_text("Saved: label wrong.").wait_for()
    page.get_by_text("Filter", exact=True).click()
    page.get_by_label("Reviewed as").select_option("label wrong")
    assert page.locator("h2.group").inner_text() == "all errors: 1 of 5 pictures"

    file = tmp_path / "lee.csv"
    path = analysis.errors["path"].iloc[0]
    file.write_text(f"path,true,predicted,verdict,reviewer\n{path},,,other,Lee\n")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_text("lee.csv: taken over 1 of 1 verdict").wait_for()
    page.reload()
    page.get_by_text("of 5 errors reviewed.").first.wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save verdicts as CSV").click()
    saved = tmp_path / "saved.csv"
    download.value.save_as(saved)
    rows = Verdicts(saved).read()
    assert sorted(rows.index.get_level_values("reviewer")) == ["Kim", "Lee"]
    # The paths of the one file begin with the folder that all images share.
    own_path = path if which == 1 else "/".join(path.split("/")[-3:])
    assert rows.loc[(own_path, "Lee"), "verdict"] == "other"


def test_a_verdict_in_another_window_is_shown_and_not_overwritten(leaf):
    one = leaf()
    two = leaf()
    one.get_by_label("Verdict").select_option("ambiguous")
    one.get_by_text("Saved: ambiguous.").wait_for()
    two.wait_for_function("document.querySelector('.review select').value == 'ambiguous'")
    two.get_by_label("Comment").fill("of the second")
    two.get_by_label("Reviewer").focus()
    two.get_by_text("Saved: ambiguous.").wait_for()
    one.wait_for_function("document.querySelector('.review textarea').value == 'of the second'")
    assert one.get_by_label("Verdict").input_value() == "ambiguous"
