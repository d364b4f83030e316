"""The site beside the lessons: the reference, whole, and one search, as they open from disk."""

import inspect
import re

import docstrings
import front
import nbformat
import pages
import pytest
import reference
from bs4 import BeautifulSoup
from chromium import FAINT, OVERFLOW, elsewhere, needs_chromium, serious, watch
from lesson_files import LESSONS, ROOT, read_page

import camkit


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
    """Its letters, digits and most signs: what no Markdown makes or takes away."""
    return re.sub(r"^ *- |[\s`_\\:]", "", text, flags=re.M)


def entry_of(soups, name):
    """Return the part of the reference that is about a public name."""
    package, _, short = name.rpartition(".")
    listed = {link["href"] for link in soups["camkit.html"].select("main a")}
    start = "camkit." if package == "camkit" else f"{package}.html"
    (href,) = [
        href for href in listed if href.startswith(start) and href.partition("#")[2] == short
    ]
    page = href.partition("#")[0]
    return soups[page].find(id=short).find_parent(class_="jp-Cell")


def public_members():
    """Return {called: function or class} of all public names: those of camkit and of its parts."""
    names = {name: getattr(camkit, name) for name in camkit.__all__}
    members = {
        f"camkit.{name}": value for name, value in names.items() if not inspect.ismodule(value)
    }
    parts_of_members = {value.__module__.split(".")[1] for value in members.values()}
    for part, module in names.items():
        if inspect.ismodule(module) and part not in parts_of_members:
            for name, value in inspect.getmembers(module, callable):
                is_its_own = getattr(value, "__module__", "").startswith(f"camkit.{part}")
                if is_its_own and not name.startswith("_"):
                    members[f"camkit.{part}.{name}"] = value
    return members


def test_every_public_name_has_its_entry_and_shows_its_docstring_whole(soups):
    members = public_members()
    assert {"camkit.CAM", "camkit.localize.boxes", "camkit.plots.show"} <= set(members)
    for name, member in members.items():
        entry = entry_of(soups, name)
        assert entry.h2.get_text() == name.rpartition(".")[2]
        assert squeezed(inspect.getdoc(member)) in squeezed(entry.get_text()), name
        if inspect.isfunction(member):
            call = entry.pre.get_text()
            assert call.startswith(f"{name}(")
            assert all(parameter in call for parameter in inspect.signature(member).parameters)


def test_every_part_has_its_page_with_its_docstring_whole(soups):
    listed = {link["href"] for link in soups["camkit.html"].select("main a")}
    for name in camkit.__all__:
        module = getattr(camkit, name)
        if inspect.ismodule(module):
            page = f"camkit.{name}.html"
            text = module.__doc__.partition("\n\n")[2]
            assert page in listed
            assert squeezed(text) in squeezed(soups[page].main.get_text()), name


DOCSTRING = """Return F_k enlarged, as `load_images` reads it.

Its mean is `b_c`.

Args:
    maps: Maps of shape (h, w); see camkit.CAM
        and its output.
    size: An int.

Returns:
    The maps, float32.

Raises:
    ValueError: `maps` is flat.

Example:
    >>> 1 + 1
    2

    And so on.
"""


def test_sections_of_docstrings_become_lists_text_and_code():
    addresses = {"camkit.CAM": "camkit.maps.html#CAM", "load_images": "images.html#load_images"}
    html = pages.markdown2html(docstrings.markdown(DOCSTRING, addresses))
    soup = BeautifulSoup(html, "html.parser")
    assert [title.get_text() for title in soup.select("strong")] == [
        "Args",
        "Returns",
        "Raises",
        "Example",
    ]
    items = [" ".join(item.get_text().split()) for item in soup.select("li")]
    assert items == [
        "maps: Maps of shape (h, w); see camkit.CAM and its output.",
        "size: An int.",
        "ValueError: maps is flat.",
    ]
    assert soup.pre.get_text().strip() == ">>> 1 + 1\n2"
    assert soup.math.get_text() == "Fk"
    links = [link["href"] for link in soup.select("a")]
    assert links == ["images.html#load_images", "camkit.maps.html#CAM"]
    assert soup.find_all("p")[-1].get_text() == "And so on."


def test_pages_beside_the_reference_lead_to_pages_of_the_site(soups):
    """Their links are those of the clone, in which they lie beside one another and the lessons."""
    links = {link["href"] for link in soups["camkit.your-model.html"].select("main a")}
    assert {"camkit.kinds.html", "camkit.sources.html", "scale.html"} <= links
    assert not [link for link in links if link.endswith((".md", ".ipynb"))]
    index = {link["href"] for link in soups["index.html"].select("main a")}
    assert {"camkit.territory.html", "camkit.glossary.html", "camkit.notation.html"} <= index


def test_signatures_name_classes_as_users_do(soups):
    call = " ".join(entry_of(soups, "camkit.grad_cam").pre.get_text().split())
    assert "model: keras.Model" in call and "keras.src" not in call
    assert "camkit." not in call.removeprefix("camkit.grad_cam(")


def test_docstrings_have_code_formulas_and_links(soups):
    entry = entry_of(soups, "camkit.upsample")
    assert [item.code.get_text() for item in entry.select("li")][:2] == ["maps", "size"]
    assert ">>> " in entry.find_all("pre")[-1].get_text()
    assert {math.get_text() for math in soups["camkit.maps.html"].select("math")} >= {"Mc", "Fk"}
    assert soups["camkit.images.html"].select_one("a[href='camkit.images.html#ImageSet']")


def test_all_pages_are_one_site(soups):
    lessons = {pages.page_name(lesson.name) for lesson in LESSONS}
    for name, soup in soups.items():
        ids = [tag["id"] for tag in soup.select("[id]")]
        assert sorted(set(ids)) == sorted(ids), name
        links = [link["href"] for link in soup.select("header a")]
        assert (
            links == list(pages.SITE_LINKS)
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
        (script,) = soup.select("script")
        if path.name == "search.html":
            assert fetched == [script] and script["src"] == reference.SEARCH_SCRIPT
        else:
            assert fetched == [] and f'"{reference.SEARCH_SCRIPT}"' in script.string
    code, _, _ = (site / reference.SEARCH_SCRIPT).read_text().partition("startSearch([[")
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(", code)


def test_what_is_young_enough_stays(site):
    before = {path: path.stat().st_mtime_ns for path in site.glob("camkit*.html")}
    reference.write(site)
    assert before == {path: path.stat().st_mtime_ns for path in site.glob("camkit*.html")}


@needs_chromium
@pytest.mark.parametrize(
    "typed, heading, page",
    [
        (
            "zero on a map",
            "Where does the bias go, and what is zero on a map?",
            "01-gap-equation.html",
        ),
        ("insertion", "insertion_deletion", "camkit.localize.html"),
        ("grad_cam", "grad_cam", "camkit.maps.html"),
        ("weighed nowhere", None, None),
    ],
)
def test_a_word_leads_to_its_section(typed, heading, page, site, site_playground, browser):  # noqa: F811
    # The index and the lesson show the playground beside them.
    if not (site / pages.PLAYGROUND).exists():
        (site / pages.PLAYGROUND).symlink_to(site_playground)
    leaf = browser.new_page(viewport={"width": 1280, "height": 800})
    told, fetched = [], []
    watch(leaf, told, fetched)
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
        first = leaf.locator(".found a").first
        assert first.inner_text() == heading
        first.click()
        leaf.wait_for_url(f"**/{page}#*")
        landed = leaf.locator("main").get_by_role("heading", name=heading, exact=True)
        assert 0 <= landed.bounding_box()["y"] < 100
    assert told == [] and elsewhere(fetched) == []
    leaf.close()


@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_sections_appear_below_the_box_while_one_types(width, site, browser):  # noqa: F811
    leaf = browser.new_page(viewport={"width": width, "height": 800})
    told, fetched = [], []
    watch(leaf, told, fetched)
    leaf.goto((site / "camkit.glossary.html").as_uri())
    found = leaf.locator(".found")
    assert not found.is_visible()
    assert not any(url.endswith(reference.SEARCH_SCRIPT) for url in fetched)
    leaf.get_by_role("searchbox").click()
    leaf.keyboard.type("grad-ca", delay=10)
    status = leaf.get_by_role("status")
    status.filter(has_text="sections").wait_for()
    assert found.bounding_box()["width"] == leaf.locator("header form").bounding_box()["width"]
    assert leaf.evaluate(OVERFLOW) <= 0
    assert serious(leaf) == []

    leaf.keyboard.type("mq")
    status.filter(has_text=re.compile("^0 sections$")).wait_for()
    for _ in range(2):
        leaf.keyboard.press("Backspace")
    leaf.keyboard.press("Escape")
    found.wait_for(state="hidden")
    leaf.get_by_role("searchbox").fill("saliency 显著性")
    leaf.mouse.click(2, 2)
    found.wait_for(state="hidden")
    leaf.get_by_role("searchbox").focus()
    leaf.locator(".found a").first.click()
    leaf.wait_for_url("**/camkit.glossary.html#*")
    found.wait_for(state="hidden")
    assert told == [] and elsewhere(fetched) == []
    leaf.close()


@needs_chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_the_reference_is_easy_on_the_eye(width, site, browser):  # noqa: F811
    """build/screenshots/NAME-WIDTH-light.png and -dark.png show what a person has to judge."""
    folder = ROOT / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    leaf = browser.new_page(viewport={"width": width, "height": 900})
    for path in [*sorted(site.glob("camkit*.html")), site / "search.html"]:
        leaf.goto(path.as_uri() + ("?q=bias" if path.stem == "search" else ""))
        for scheme in ("light", "dark"):
            leaf.emulate_media(color_scheme=scheme)
            assert leaf.evaluate(OVERFLOW) <= 0, path.name
            assert leaf.evaluate(FAINT) == [], path.name
            if path.stem in ("camkit", "camkit.maps", "search"):
                leaf.screenshot(path=folder / f"{path.stem}-{width}-{scheme}.png", full_page=True)
                assert serious(leaf) == [], path.name
    leaf.close()


def test_a_playground_is_written_anew_when_what_it_is_made_from_changes(tmp_path, monkeypatch):
    written = []

    def write(model, folder):
        written.append(model)
        folder.mkdir(exist_ok=True)

    script = tmp_path / "frame.js"
    monkeypatch.setattr(front, "FRAME_SCRIPT", script)
    monkeypatch.setattr(front, "trained_model", lambda: "model")
    monkeypatch.setattr(camkit, "write_playground", write)
    for text, count in [("one", 1), ("one", 1), ("two", 2)]:
        script.write_text(text)
        front.write_playground(tmp_path / "playground")
        assert len(written) == count
    assert (tmp_path / "playground" / "frame.js").read_text().endswith("two})();\n")
