"""What a page makes of a notebook: formulas, links, folded code, a word for interactive views."""

import base64
import re
from io import BytesIO

import numpy as np
import pages
import pytest
import run
from bs4 import BeautifulSoup
from lesson_files import execute, notebook_file, read_page
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from camkit import plots


def test_a_page_shows_formulas_links_and_a_word_for_widgets(tmp_path):
    source = (
        "import ipywidgets\nfrom tqdm.auto import tqdm\nlist(tqdm(range(2)))\n"
        "bar = tqdm(desc='waiting', unit='s')\nbar.update()\nbar.close()\n"
        "display(ipywidgets.IntSlider())"
    )
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
    solution = (
        "<details><summary>Solution</summary>\n\nIt is $x$.\n\n"
        "```python\n1\n```\n\n</details>\n\nNext."
    )
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


@pytest.mark.parametrize("kind", ["Tip", "Caution", "Definition", "Predict"])
def test_quotations_that_begin_with_a_kind_are_call_outs(kind):
    html = pages.markdown2html(f"> **{kind}.** See $x$.\n>\n> - one\n\n> **Other.** Words.")
    soup = BeautifulSoup(html, "html.parser")
    (box,) = soup.select(".callout")
    assert box["class"] == ["callout", kind.lower()] and box["role"] == "note"
    assert box.get_text().split() == [f"{kind}.", "See", "x.", "one"]
    assert soup.blockquote.get_text().strip() == "Other. Words."


def test_links_to_pages_beside_the_reference_keep_their_sections():
    cells = [new_markdown_cell("# Title\n\n[one](site/notation.md#In-some-lessons)")]
    soup, _ = read_page(run.page(new_notebook(cells=cells), "01-try.ipynb"))
    assert soup.main.select_one("p a")["href"] == "camkit.notation.html#In-some-lessons"


def test_folded_code_that_shows_nothing_is_folded_together_with_what_follows():
    hidden = {"metadata": {"jupyter": {"source_hidden": True}}}
    shows = [new_output("stream", text="shown")]
    cells = [
        new_code_cell("open = 1"),
        new_code_cell("one = 1", **hidden),
        new_code_cell("two = 2", outputs=shows, **hidden),
        new_code_cell("three = 3", **hidden),
    ]
    soup, _ = read_page(run.page(new_notebook(cells=cells), "01-try.ipynb"))
    folded = [fold.pre.get_text().split("\n") for fold in soup.select("details.code")]
    assert [[line for line in lines if line] for lines in folded] == [
        ["one = 1", "two = 2"],
        ["three = 3"],
    ]


def png_output(pixels):
    """Return an output of a cell: a PNG with these pixels."""
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return new_output("display_data", {"text/html": plots.img_tag(stream.getvalue(), "a > b")})


def test_figures_of_a_page_take_fewer_bytes_and_keep_their_pixels():
    ramp = np.add.outer(np.arange(200), np.arange(300)) % 256
    figure = np.stack([ramp, ramp[:, ::-1], 255 - ramp], axis=-1).astype("uint8")
    notebook = new_notebook(cells=[new_code_cell("draw", outputs=[png_output(figure)])])
    soup, fetched = read_page(run.page(notebook, "01-try.ipynb"))
    kind, _, data = soup.main.img["src"].partition(",")
    assert (kind, fetched) == ("data:image/webp;base64", [])
    assert len(data) < len(notebook.cells[0].outputs[0]["data"]["text/html"])
    shown = Image.open(BytesIO(base64.b64decode(data))).convert("RGB")
    assert (np.asarray(shown) == figure).all()
