"""The site beside the lessons' pages: the reference, whole, and one search for both, as they open from disk."""

import inspect
import re

import nbformat
import pages  # noqa: E402
import pytest
import reference  # noqa: E402
from bs4 import BeautifulSoup
from chromium import FAINT, OVERFLOW, needs_chromium
from lesson_files import LESSONS, ROOT, read_page

import camkit

in_browser = needs_chromium


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, with the index and a lesson as they are before they have run."""
    folder = tmp_path_factory.mktemp("site")
    reference.write(folder)
    for lesson in LESSONS[:2]:
        text = pages.page(nbformat.read(lesson, as_version=4), lesson.name)
        (folder / pages.page_name(lesson.name)).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def soups(site):
    return {
        path.name: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in site.glob("*.html")
    }


def squeezed(text):
    """Its letters, digits and signs: what no Markdown makes or takes away."""
    return re.sub(r"^- |[\s`_\\]", "", text, flags=re.M)


def test_every_public_name_has_its_entry_and_shows_its_docstring_whole(soups):
    public = {f"camkit.{name}": getattr(camkit, name) for name in camkit.__all__}
    for room, module in [item for item in public.items() if inspect.ismodule(item[1])]:
        own = {
            f"{room}.{name}": member
            for name, member in vars(module).items()
            if name[0] != "_" and callable(member) and member.__module__ == room
        }
        public |= {} if any(member in public.values() for member in own.values()) else own
    listed = {link["href"] for link in soups["camkit.html"].select("main a")}
    for name, member in public.items():
        room, _, short = name.rpartition(".")
        if inspect.ismodule(member):
            assert f"{name}.html" in listed
            assert squeezed(member.__doc__.partition("\n\n")[2]) in squeezed(
                soups[f"{name}.html"].main.get_text()
            ), name
            continue
        start = "" if room == "camkit" else f"{room}.html"
        ((page, _, anchor),) = [
            href.partition("#")
            for href in listed
            if href.startswith(start) and href.endswith(f"#{short}")
        ]
        entry = soups[page].find(id=anchor).find_parent(class_="jp-Cell")
        assert entry.h2.get_text() == anchor
        assert squeezed(inspect.getdoc(member)) in squeezed(
            "".join(one.get_text() for one in entry.find_all(["p", "li"]))
        ), name
        if inspect.isfunction(member):
            called = entry.pre.get_text()
            assert called.startswith(f"{name}(") and all(
                one in called for one in inspect.signature(member).parameters
            )


def test_docstrings_have_code_formulas_and_links(soups):
    maps = soups["camkit.cam.html"]
    assert [code.get_text() for code in maps.find(id="upsample").find_all_next("code")][1:3] == [
        "size",
        "maps",
    ]
    assert {math.get_text() for math in maps.select("math")} >= {"Mc", "Fk", "Wkc", "bc"}
    entry = soups["camkit.images.html"].find(id="load_images").find_parent(class_="jp-Cell")
    assert [p.code.get_text() for p in entry.select("p") if p.find(True) is p.contents[0]] == [
        "source",
        "split",
        "classes",
    ]
    assert entry.select_one("a[href='camkit.images.html#ImageSet']")


def test_all_pages_are_one_site(soups):
    lessons = {pages.page_name(lesson.name) for lesson in LESSONS}
    for name, soup in soups.items():
        ids = [tag["id"] for tag in soup.select("[id]")]
        assert sorted(set(ids)) == sorted(ids), name
        links = [link["href"] for link in soup.select("header a")]
        assert (
            links == ["index.html", "camkit.html"]
            and soup.select_one("header form")["action"] == "search.html"
        )
        for link in soup.select("a[href]"):
            if not re.match("https?:", link["href"]):
                page, _, anchor = link["href"].partition("#")
                assert page or anchor, name
                assert page in {"", *soups, *lessons}, f"{name} leads to {link['href']}"
                assert not anchor or page in lessons or soups[page or name].find(id=anchor), (
                    f"{name} leads to {link['href']}"
                )


def test_the_reference_needs_no_network_and_scripts_for_the_search_alone(site):
    for path in site.glob("*.html"):
        soup, fetched = read_page(path.read_text(encoding="utf-8"))
        scripts = soup.select("script")
        assert [one for one in fetched if one not in scripts] == [] and not any(
            one.get("src") for one in scripts
        )
        assert len(scripts) == (path.name == "search.html")
        assert not re.search(
            r"fetch\(|XMLHttpRequest|import\(",
            "".join(one.string for one in scripts).partition("= [[")[0],
        )


def test_what_is_young_enough_stays(site):
    before = {path: path.stat().st_mtime_ns for path in site.glob("camkit*.html")}
    reference.write(site)
    assert before == {path: path.stat().st_mtime_ns for path in site.glob("camkit*.html")}


@in_browser
@pytest.mark.parametrize(
    "typed, heading, page",
    [
        (
            "zero on a map",
            "Where does the bias go, and what is zero on a map?",
            "01-gap-equation.html",
        ),
        ("insertion", "insertion_deletion", "camkit.localize.html"),
        ("grad_cam", "grad_cam", "camkit.attribution.html"),
        ("weighed nowhere", None, None),
    ],
)
def test_a_word_leads_to_its_section(typed, heading, page, site, browser):  # noqa: F811
    leaf = browser.new_page(viewport={"width": 1280, "height": 800})
    leaf.set_default_timeout(10_000)
    told, fetched = [], []
    leaf.on("console", lambda message: told.append(message.text))
    leaf.on("pageerror", lambda error: told.append(str(error)))
    leaf.on("request", lambda request: fetched.append(request.url))
    leaf.goto((site / "index.html").as_uri())
    leaf.get_by_role("searchbox").fill(typed)
    leaf.keyboard.press("Enter")
    leaf.wait_for_url("**/search.html?q=*")
    assert leaf.get_by_role("searchbox").input_value() == typed
    if heading is None:
        assert leaf.get_by_role("status").inner_text() == "0 sections"
        leaf.get_by_role("searchbox").fill("bias")  # and while one types
        assert re.fullmatch(r"\d\d sections", leaf.get_by_role("status").inner_text())
    else:
        first = leaf.locator("#results a").first
        assert first.inner_text() == heading
        first.click()
        leaf.wait_for_url(f"**/{page}#*")
        landed = leaf.locator("main").get_by_role("heading", name=heading, exact=True)
        assert 0 <= landed.bounding_box()["y"] < 100
    assert told == [] and [url for url in fetched if not url.startswith(("file:", "data:"))] == []
    leaf.close()


@in_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_the_reference_is_easy_on_the_eye(width, site, browser):  # noqa: F811
    """build/screenshots/NAME-WIDTH-light.png and -dark.png show what a person has to judge."""
    from axe_playwright_python.sync_playwright import Axe

    folder = ROOT / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    leaf = browser.new_page(viewport={"width": width, "height": 900})
    for path in [*sorted(site.glob("camkit*.html")), site / "search.html"]:
        leaf.goto(path.as_uri() + ("?q=bias" if path.stem == "search" else ""))
        for scheme in ("light", "dark"):
            leaf.emulate_media(color_scheme=scheme)
            assert leaf.evaluate(OVERFLOW) <= 0, path.name
            assert leaf.evaluate(FAINT) == [], path.name
            if path.stem in ("camkit", "camkit.cam", "search"):
                leaf.screenshot(path=folder / f"{path.stem}-{width}-{scheme}.png", full_page=True)
                faults = [
                    (fault["id"], fault["impact"], [node["html"] for node in fault["nodes"]][:3])
                    for fault in Axe().run(leaf).response["violations"]
                    if fault["impact"] in ("serious", "critical")
                ]
                assert faults == [], path.name
    leaf.close()
