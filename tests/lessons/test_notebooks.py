"""Every lesson follows the house rules, runs, and becomes a page that needs no network."""

import ast
import functools
import re
import shutil

import nbformat
import pages
import pytest
import reference
import run
import schedule
from lesson_files import LESSONS, ROOT, execute, lessons, read_page
from PIL import Image

BUILD = ROOT / "build"

# What tells the scripts of a page: its cards, its living views, its search box.
SCRIPTS = ("camkitPredictions", "currentScript", reference.SEARCH_SCRIPT)


def cells(path, kind):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


@pytest.fixture(scope="module")
def parsed(executed):
    """Return a function: lesson -> its page as `read_page` parses it, once for all tests."""
    return functools.cache(lambda lesson: read_page(executed(lesson)[1]))


@functools.cache
def unexecuted_page(lesson):
    """The page of a lesson that has not run, which has no outputs."""
    return run.page(nbformat.read(lesson, as_version=4), lesson.name)


def longest(cell):
    """Return how many lines a cell of code may have: one that only draws is folded, and the cells
    of the questions and of the right answers hold little but text.
    """
    if {"answers", "quiz"} & set(cell.metadata.get("tags", [])):
        return 40
    return 15 if cell.metadata.get("jupyter", {}).get("source_hidden") else 12


# --- the lessons as they are written


@lessons
def test_sources_are_clean(lesson):
    notebook = nbformat.read(lesson, as_version=4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) >= (4, 5)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert [name for name in ids if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name)] == []
    assert [name for name in ids if re.fullmatch(r"[0-9a-f]{8}|cell-?\d*", name)] == [], (
        "ids are readable names"
    )
    assert 15 <= len(ids) <= 52
    assert notebook.metadata["kernelspec"]["name"] == "python3", "or JupyterLab asks for a kernel"
    for cell in cells(lesson, "code"):
        assert not cell.outputs and cell.execution_count is None, cell.id
        lines = [line for line in cell.source.splitlines() if line.strip()]
        most = longest(cell)
        assert len(lines) <= most, f"{cell.id}: {len(lines)} lines, {most} at the most"
        wide = [line for line in lines if len(line) > 100]
        assert not wide, f"{cell.id}: longer than 100 characters: {wide}"
        assert not re.search(r"https?://|\bjet\b|urlopen|requests\.", cell.source), cell.id


@lessons
def test_camkit_is_imported_before_keras(lesson):
    """It makes TensorFlow quiet, and says which backend Keras takes."""
    source = "\n".join(cell.source for cell in cells(lesson, "code"))
    imported = re.findall(r"^(?:import|from) (camkit|keras|tensorflow)\b", source, re.M)
    assert imported[0] == "camkit"


@lessons
def test_headings_are_questions(lesson):
    text = "\n".join(cell.source for cell in cells(lesson, "markdown"))
    text = re.sub(r"```.*?```", "", text, flags=re.S)
    headings = re.findall(r"^#+ (.+?)\s*$", text, re.M)
    assert headings
    assert {heading for heading in headings if "?" not in heading} <= {"Exercises"}


@lessons
def test_the_first_cell_says_how_long_it_takes(lesson):
    """The schedule and its estimate of what is left read it."""
    title = cells(lesson, "markdown")[0].source
    assert schedule.STATED_SECONDS.search(title)


@lessons
def test_parameters_can_be_filled_in(lesson):
    tagged = [
        cell for cell in cells(lesson, "code") if "parameters" in cell.metadata.get("tags", [])
    ]
    assert len(tagged) == 1
    names = {
        statement.targets[0].id: ast.literal_eval(statement.value)
        for statement in ast.parse(tagged[0].source).body
    }
    assert list(names)[:3] == ["DATASET", "BACKBONE", "WEIGHTS"]
    assert names == {name: run.DEFAULTS[name] for name in names}


# --- the lessons as they run


def test_a_run_is_known_by_all_that_made_it(monkeypatch):
    """Also by versions: `make check-versions` must not take the pages of another environment."""
    checksums = {run.made_from(path) for path in LESSONS}
    assert len(checksums) == len(LESSONS) and run.made_from(LESSONS[0]) in checksums
    monkeypatch.setattr(run.metadata, "version", lambda name: "0")
    assert run.made_from(LESSONS[0]) not in checksums


@lessons
def test_runs_without_problems(lesson, executed):
    notebook, _ = executed(lesson)
    assert run.problems(notebook) == []
    assert {"seconds", "cpu_seconds"} <= set(notebook.metadata)


@pytest.mark.smoke
def test_the_index_runs_and_its_page_is_whole(tmp_path):
    """One lesson, alone: nothing in build/ is read or written."""
    index = LESSONS[0]
    notebook = execute(index)
    assert run.problems(notebook) == []
    page = run.save(notebook, index.name, tmp_path)
    soup, fetched = read_page(page.read_text(encoding="utf-8"))
    assert page.name == "index.html" and fetched == []
    linked = {link["href"] for link in soup.main.select("a[href]")}
    assert linked >= {run.page_name(lesson.name) for lesson in LESSONS[1:]}


@lessons
def test_page_stands_alone(lesson, parsed):
    soup, fetched = parsed(lesson)
    assert fetched == []
    # Cards keep what a reader chooses, living views move and the search box asks for its script;
    # without scripts all can be read.
    for script in soup.find_all("script"):
        assert any(name in script.string for name in SCRIPTS)
    assert not re.search(r"url\(|@import", soup.style.string)
    assert soup.html["lang"] == "en" and soup.title.string.strip()
    assert [img for img in soup.find_all("img") if img["alt"].startswith("No description")] == []
    code = ["pre", "code", "style", "script"]
    texts = [text for text in soup.main.find_all(string=True) if not text.find_parent(code)]
    latex = [text for text in texts if "$" in text or "\\begin" in text]
    assert latex == [], "a formula was left as LaTeX"


@lessons
def test_page_links_lead_somewhere(lesson, executed, parsed):
    lesson_of = {run.page_name(path.name): path for path in LESSONS}
    for link in parsed(lesson)[0].select("a[href]"):
        name, _, anchor = link["href"].partition("#")
        if re.match(r"https?:|data:", link["href"]):
            continue
        known = name in lesson_of or name in reference.BESIDE
        assert not name or known or link.find_parent("header"), f"{link['href']} leads nowhere"
        if anchor:
            target = executed(lesson_of[name] if name else lesson)[1]
            assert f'id="{anchor}"' in target, f"{link['href']}: no such heading"


@pytest.mark.slow
@lessons
def test_page_contents_are_its_headings(lesson):
    text = "\n".join(cell.source for cell in cells(lesson, "markdown"))
    written = re.findall(r"^##? ", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    soup, _ = read_page(unexecuted_page(lesson))
    headings = [
        (heading.get_text(), f"#{heading['id']}") for heading in soup.main.find_all(["h1", "h2"])
    ]
    assert len({link for _, link in headings}) == len(headings) == len(written)
    for contents in soup.select_one("nav.contents"), soup.select_one("details.contents"):
        assert [(link.get_text(), link["href"]) for link in contents.select("a")] == headings
    assert not soup.select_one("details.contents").has_attr("open")


@pytest.mark.slow
@lessons
def test_page_leads_to_its_neighbours_and_the_index(lesson):
    """Through the core; from an elective to what comes before it there, and to what follows."""
    of_number = {pages.number(path.name): path for path in LESSONS}
    core = list(pages.CORE)
    number = pages.number(lesson.name)
    is_elective = number not in core
    before = core.index(pages.ELECTIVES[number] if is_elective else number) - (not is_elective)
    after = before + (1 if is_elective else 2)
    expected = {}
    if before >= 0:
        expected["prev"] = titled(of_number[core[before]])
    if number != "00":
        expected["index"] = "index.html", "All lessons"
    if after < len(core):
        expected["next"] = titled(of_number[core[after]])
    soup, _ = read_page(unexecuted_page(lesson))
    top, bottom = soup.select("nav.lessons")
    assert soup.main.find(True) is top and soup.main.find_all(True, recursive=False)[-1] is bottom
    for bar in top, bottom:
        for label in bar.select("small"):
            label.decompose()
        links = {}
        for link in bar.select("a"):
            links[link["rel"][0]] = link["href"], link.get_text().strip()
        assert links == expected


def titled(path):
    """Return the page and the title of a lesson."""
    return run.page_name(path.name), re.match(r"# (.+)", cells(path, "markdown")[0].source)[1]


@pytest.mark.lesson
def test_the_error_review_goes_on_where_nothing_errs(tmp_path):
    """Two kinds that nobody confuses, in a folder without splits, with images of odd size."""
    for source in sorted(ROOT.glob("data/mini-fruits/Test/*/*.jpg")):
        if source.parent.name in ("Banana", "Plum"):
            target = tmp_path / "two-kinds" / source.parent.name / source.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    for target in (tmp_path / "two-kinds" / "Plum").glob("*_0_*.jpg"):
        Image.open(target).resize((130, 90)).save(target)
    review = next(lesson for lesson in LESSONS if lesson.name.startswith("05"))
    notebook = execute(review, {"DATASET": str(tmp_path / "two-kinds")})
    shutil.rmtree(BUILD / "analysis" / "two-kinds-mini")  # its model and analysis are nobody else's
    assert run.problems(notebook) == []
    said = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )
    assert "closest calls are reviewed" in said
