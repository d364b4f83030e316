"""Every lesson runs, follows the house rules, and becomes a page that needs no network."""

import ast
import re
import shutil
import sys

import nbformat
import pages  # noqa: E402
import pytest
import run  # noqa: E402
from bs4 import BeautifulSoup
from lesson_files import LESSONS, ROOT, execute, lessons, read_page
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

BUILD = ROOT / "build"
SECONDS = {"": 60, "06": 90}  # a lesson's limit, by where its number begins


def cells(path, kind):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


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
    assert 15 <= len(ids) <= 38
    assert notebook.metadata["kernelspec"]["name"] == "python3", "or JupyterLab asks for a kernel"
    for cell in cells(lesson, "code"):
        assert not cell.outputs and cell.execution_count is None, cell.id
        lines = [line for line in cell.source.splitlines() if line.strip()]
        most = 15 if cell.metadata.get("jupyter", {}).get("source_hidden") else 12
        assert len(lines) <= most, f"{cell.id}: {len(lines)} lines, {most} at the most"
        wide = [line for line in lines if len(line) > 100]
        assert not wide, f"{cell.id}: longer than 100 characters: {wide}"
        assert not re.search(r"https?://|\bjet\b|urlopen|requests\.", cell.source), cell.id


@lessons
def test_headings_are_questions(lesson):
    text = "\n".join(cell.source for cell in cells(lesson, "markdown"))
    text = re.sub(r"```.*?```", "", text, flags=re.S)
    headings = re.findall(r"^#+ (.+?)\s*$", text, re.M)
    assert headings
    assert {heading for heading in headings if "?" not in heading} <= {"Exercises"}


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
    """Also by the versions, so that `make versions` does not take the pages of one environment for those of the other."""
    known = {run.made_from(path) for path in LESSONS}
    assert len(known) == len(LESSONS) and run.made_from(LESSONS[0]) in known
    monkeypatch.setattr(run.metadata, "version", lambda name: "0")
    assert run.made_from(LESSONS[0]) not in known


@lessons
def test_runs_without_problems(lesson, executed):
    notebook, _ = executed(lesson)
    assert run.problems(notebook) == []
    took = min(
        notebook.metadata["seconds"], notebook.metadata["cpu_seconds"]
    )  # on a busy machine the second is true
    assert took <= next(limit for first, limit in reversed(SECONDS.items()) if lesson.name >= first)


@lessons
def test_page_stands_alone(lesson, executed):
    soup, fetched = read_page(executed(lesson)[1])
    assert fetched == [] and soup.find_all("script") == []
    assert not re.search(r"url\(|@import", soup.style.string)
    assert soup.html["lang"] == "en" and soup.title.string.strip()
    assert [img for img in soup.find_all("img") if img["alt"].startswith("No description")] == []
    for code in soup.find_all(["pre", "code", "style", "script"]):
        code.decompose()
    assert "$" not in soup.main.get_text() and "\\begin" not in soup.main.get_text(), (
        "a formula was left as LaTeX"
    )


@lessons
def test_page_links_lead_somewhere(lesson, executed):
    lesson_of = {run.page_name(path.name): path for path in LESSONS}
    for link in BeautifulSoup(executed(lesson)[1], "html.parser").select("a[href]"):
        name, _, anchor = link["href"].partition("#")
        if re.match(r"https?:|data:", link["href"]):
            continue
        assert not name or name in lesson_of or link.find_parent("header"), (
            f"{link['href']} leads nowhere"
        )
        if anchor:
            target = executed(lesson_of[name] if name else lesson)[1]
            assert f'id="{anchor}"' in target, f"{link['href']}: no such heading"


@lessons
def test_page_contents_are_its_headings(lesson):
    text = "\n".join(cell.source for cell in cells(lesson, "markdown"))
    written = re.findall(r"^##? ", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    soup, _ = read_page(run.page(nbformat.read(lesson, as_version=4), lesson.name))
    headings = [
        (heading.get_text(), f"#{heading['id']}") for heading in soup.main.find_all(["h1", "h2"])
    ]
    assert len({link for _, link in headings}) == len(headings) == len(written)
    for contents in soup.select_one("nav.contents"), soup.select_one("details.contents"):
        assert [(link.get_text(), link["href"]) for link in contents.select("a")] == headings
    assert not soup.select_one("details.contents").has_attr("open")


@lessons
def test_page_leads_to_its_neighbours_and_the_index(lesson):
    def titled(path):
        return run.page_name(path.name), re.match(r"# (.+)", cells(path, "markdown")[0].source)[1]

    at = LESSONS.index(lesson)
    expected = (
        {"prev": LESSONS[at - 1 : at], "next": LESSONS[at + 1 : at + 2]}
        if at
        else {"next": LESSONS[1:2]}
    )
    expected = {name: titled(path) for name, found in expected.items() for path in found}
    if at:
        expected["index"] = "index.html", "All lessons"
    soup, _ = read_page(run.page(nbformat.read(lesson, as_version=4), lesson.name))
    top, bottom = soup.select("nav.lessons")
    assert soup.main.find(True) is top and soup.main.find_all(True, recursive=False)[-1] is bottom
    for bar in top, bottom:
        for label in bar.select("small"):
            label.decompose()
        assert {
            link["rel"][0]: (link["href"], link.get_text().strip()) for link in bar.select("a")
        } == expected


def test_the_error_review_goes_on_where_nothing_errs(tmp_path):
    """Two kinds of fruit that nobody confuses, in a folder of the user's own without splits, two pictures of odd size."""
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


# --- the runner sees what goes wrong


def notebook_file(folder, *sources):
    """A notebook with these code cells, named one, two, ... after a title and the parameters."""
    names = ["one", "two", "three"]
    parameters = "\n".join(f"{name} = {value!r}" for name, value in run.DEFAULTS.items())
    notebook = new_notebook(
        cells=[
            new_markdown_cell(
                "# What is $M_c$?\n\nSee [two](02-two.ipynb#How), [all](00-index.ipynb).",
                id="title",
            ),
            new_code_cell(parameters, id="parameters", metadata={"tags": ["parameters"]}),
            *(new_code_cell(source, id=name) for name, source in zip(names, sources)),
        ]
    )
    nbformat.write(notebook, folder / "01-try.ipynb")
    return folder / "01-try.ipynb"


@pytest.mark.parametrize(
    "source, found",
    [
        ("1 / 0", "cell one: ZeroDivisionError"),
        ("import warnings; warnings.warn('beware')", "cell one: on standard error"),
        ("import os; os.write(2, b'from C++')", "cell one: on standard error: from C++"),
        (
            "import ipywidgets\nwith ipywidgets.Output():\n    {}['key']",
            "inside a widget: KeyError",
        ),
        (
            "import ipywidgets\nslider = ipywidgets.IntSlider(1)\n"
            "ipywidgets.interactive_output(lambda x: print(1 / x), {'x': slider})\nslider.value = 0",
            "inside a widget: ZeroDivisionError",
        ),
        ("import os; os._exit(1)", "Kernel died"),
    ],
)
def test_problems_are_told(tmp_path, source, found):
    problems = run.problems(execute(notebook_file(tmp_path, source)))
    assert len(problems) == 1 and problems[0].startswith(found), problems


def test_a_cell_that_never_ends_is_told(tmp_path):
    problems = run.problems(
        execute(notebook_file(tmp_path, "import time; time.sleep(60)"), timeout=2)
    )
    assert "timed out" in problems[0]


def test_parameters_reach_the_cells_and_progress_is_no_problem(tmp_path):
    path = notebook_file(
        tmp_path, "from tqdm.auto import tqdm\nprint([DATASET for _ in tqdm(range(2))], BACKBONE)"
    )
    notebook = execute(path, {"DATASET": "a folder's name"})
    assert run.problems(notebook) == []
    assert [cell.id for cell in notebook.cells] == [
        "title",
        "parameters",
        "injected-parameters",
        "one",
    ]
    printed = [
        output.text for output in notebook.cells[-1].outputs if output.output_type == "stream"
    ]
    assert printed == ["""["a folder's name", "a folder's name"] mini\n"""]


def test_a_lesson_gets_the_parameters_that_it_has(tmp_path):
    path = notebook_file(tmp_path)
    assert (
        run.read(path, {"BACKBONE": "other", "UNKNOWN": "value"}).cells[2].source
        == "BACKBONE = 'other'"
    )
    assert run.read(path, {"UNKNOWN": "value"}).cells == run.read(path).cells


def test_a_page_shows_formulas_links_and_a_word_for_widgets(tmp_path):
    source = "import ipywidgets\nfrom tqdm.auto import tqdm\nlist(tqdm(range(2)))\ndisplay(ipywidgets.IntSlider())"
    soup, fetched = read_page(run.page(execute(notebook_file(tmp_path, source)), "01-try.ipynb"))
    assert fetched == []
    assert soup.math and soup.title.string == "What is Mc?"
    assert soup.select_one("nav.contents a").decode_contents() == soup.h1.decode_contents()
    links = [link["href"] for link in soup.select(".jp-MarkdownCell a")]
    assert links == ["02-two.html#How", "index.html"]
    assert len(soup.select(".interactive")) == 1


def test_pages_know_every_formula_that_they_show():
    aligned = pages.mathml(
        r"\begin{aligned} S_c &= \sum_k w_k^c F_k \\ &= b \end{aligned}", "block"
    )
    assert aligned.count("<mtr>") == 2
    assert "arg" in re.sub(r"<[^>]+>", "", pages.mathml(r"\operatorname*{arg\,max}_c"))
    with pytest.raises(ValueError, match="simpler LaTeX"):
        pages.mathml(r"\unknown{x}")


def test_pages_fold_solutions_away():
    solution = "<details><summary>Solution</summary>\n\nIt is $x$.\n\n```python\n1\n```\n\n</details>\n\nNext."
    soup = BeautifulSoup(pages.markdown2html(solution), "html.parser")
    assert soup.details.summary and soup.details.math and soup.details.find("pre")
    assert "Next." not in soup.details.get_text() and "Next." in soup.get_text()


def test_pages_fold_code_that_is_hidden_and_leave_its_output_open():
    shown, hidden = [
        new_code_cell(f"{name} = 1", id=name, outputs=[new_output("stream", text=f"of {name}")])
        for name in ("shown", "hidden")
    ]
    hidden.metadata["jupyter"] = {"source_hidden": True}
    soup, _ = read_page(run.page(new_notebook(cells=[shown, hidden]), "01-try.ipynb"))
    (folded,) = soup.select("details.code")
    assert not folded.has_attr("open") and folded.summary.string == "code"
    assert folded.extract().pre.get_text().strip() == "hidden = 1"
    assert [block.get_text().strip() for block in soup.main.select("pre")] == [
        "shown = 1",
        "of shown",
        "of hidden",
    ]


@pytest.mark.parametrize("count, told", [(1, "1 problem:"), (2, "2 problems:")])
def test_the_end_of_a_run_counts_its_problems(tmp_path, monkeypatch, count, told):
    notebook_file(tmp_path)
    wrong = [new_output("stream", name="stderr", text="beware")] * count
    ended = new_notebook(
        cells=[new_code_cell("", id="one", outputs=wrong)], metadata={"seconds": 1}
    )
    monkeypatch.setattr(run, "LESSONS", tmp_path)
    monkeypatch.setattr(run, "run", lambda *_, **__: ended)
    monkeypatch.setattr(run, "write_reference", lambda folder: None)
    monkeypatch.setattr(sys, "argv", ["run.py", "--out", str(tmp_path / "pages")])
    with pytest.raises(SystemExit) as end:
        run.main()
    assert end.value.code.split("\n") == [
        "",
        told,
        *["01-try.ipynb, cell one: on standard error: beware"] * count,
    ]


@pytest.mark.parametrize(
    "given", ["photographs", "photographs/", "./photographs", "../{}/photographs"]
)
def test_a_run_finds_a_folder_from_where_it_begins(tmp_path, monkeypatch, given):
    """Not from the lessons' folder, where they run; a name that is no folder there stays a name."""
    notebook_file(tmp_path)
    (tmp_path / "photographs").mkdir()
    asked = []
    ended = new_notebook(metadata={"seconds": 1})
    monkeypatch.setattr(run, "LESSONS", tmp_path)
    monkeypatch.setattr(run, "run", lambda _, parameters, **__: asked.append(parameters) or ended)
    monkeypatch.setattr(run, "write_reference", lambda folder: None)
    monkeypatch.setattr(
        sys,
        "argv",
        [
            "run.py",
            "--out",
            "pages",
            "--dataset",
            "fruits-360",
            "--boxes",
            given.format(tmp_path.name),
        ],
    )
    monkeypatch.chdir(tmp_path)
    run.main()
    assert asked == [{"DATASET": "fruits-360", "BOXES": str(tmp_path / "photographs")}]


def test_readme_figures_are_saved(tmp_path):
    path = notebook_file(tmp_path, "import matplotlib.pyplot as plt\nplt.plot([1, 2]);")
    notebook = execute(path)
    notebook.cells[-1].metadata["tags"] = ["readme"]
    run.save(notebook, path.name, tmp_path / "pages")
    assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == [
        "01-try.html",
        "01-try.ipynb",
        "figures",
    ]
    assert (tmp_path / "pages" / "figures" / "one.png").read_bytes().startswith(b"\x89PNG")
