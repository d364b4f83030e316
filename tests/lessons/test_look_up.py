"""The pages on which one looks things up: glossary, notation and references fit the lessons."""

import ast
import functools
import re

import keras
import nbformat
import numpy as np
import pages
import pytest
from lesson_files import LESSONS

import camkit

SITE = pages.FOLDER
LETTER = re.compile(r"\\(?:alpha|beta|delta|varepsilon|lambda|mu|sigma|Sigma|tau)\b|[A-Za-z]")
# What is written in a formula and is no letter: names of functions, words, accents and layout.
WORDS = re.compile(r"\\(?:mathrm|text|operatorname\*?|begin|end)\s*\{[^}]*\}")
COMMAND = re.compile(r"\\(?!(?:alpha|beta|delta|varepsilon|lambda|mu|sigma|Sigma|tau)\b)[A-Za-z]+")
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$]+)\$", re.S)


@functools.cache
def markdown_of(lesson):
    """Return the text of a lesson."""
    cells = nbformat.read(lesson, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def text_of(lesson):
    """Return the text of a lesson on one line, without code."""
    return " ".join(re.sub(r"```.*?```", "", markdown_of(lesson), flags=re.S).split())


def read(name):
    return (SITE / name).read_text(encoding="utf-8")


def table_rows(text):
    """Return the rows of all tables in a text, as lists of cells."""
    lines = re.findall(r"^\| (?!---)(.*) \|$", text, re.M)
    return [line.split(" | ") for line in lines]


# --- references


def entries():
    """Return [(family names, year, what it is cited for)] of the references."""
    text = " ".join(read("references.md").split())
    found = re.findall(r"- \*\*([^*]+), (\d{4})\*\* \((.+?)\): ", text)
    return [
        (re.split(r" and | et al\.", names)[0], year, terms.split(", "))
        for names, year, terms in found
    ]


def cited(text):
    """Return {(family name of the first author, year)} of what a text cites."""
    name = r"(?:van der )?[A-ZŁ][\w-]*[a-zäöüéșï]"
    authors = rf"({name})(?:, {name})*(?: et al\.| and others| (?:and|&) {name})?"
    return set(re.findall(rf"{authors},? \(?((?:19|20)\d\d)\b", text))


MONTHS = "January February March April May June July August September October November December"


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_every_citation_has_its_entry(lesson):
    known = {(name, year) for name, year, _ in entries()}
    missing = {
        (name, year)
        for name, year in cited(text_of(lesson)) - known
        if name not in MONTHS and not name.endswith("Xiv")
    }
    assert missing == set()


def test_every_reference_is_cited_and_stands_once():
    texts = [text_of(lesson) for lesson in LESSONS] + [read("territory.md")]
    words = " ".join(texts)
    keys = re.findall(r"- \*\*([^*]+)\*\*", " ".join(read("references.md").split()))
    assert len(keys) == len(set(keys)) == len(entries())
    for name, year, terms in entries():
        named = re.search(rf"\b{re.escape(name)}\b(?: et al| and|, \d)", words)
        used = any(re.search(re.escape(term), words, re.I) for term in terms)
        assert named or used, f"{name}, {year}: no lesson cites it"


# --- glossary


def test_the_glossary_covers_what_the_lessons_define():
    rows = [row for row in table_rows(read("glossary.md")) if row[0] != "English"]
    terms = [english for english, *_ in rows]
    assert len(terms) == len(set(terms)) > 120
    assert all(len(row) == 4 and row[1] for row in rows)
    known = " ".join(terms).lower()
    for lesson in LESSONS:
        for definition in re.findall(
            r"> \*\*Definition\.\*\*([^\n]*(?:\n>[^\n]*)*)", markdown_of(lesson)
        ):
            for term in re.findall(r"\*\*([^*]+)\*\*", " ".join(definition.split())):
                assert singular(term) in known, f"{lesson.name} defines {term!r}"


def singular(term):
    return term.replace("\n> ", " ").lower().removesuffix("s")


# --- notation


def letters(formula):
    """Return the letters of a formula, Greek ones with their backslash."""
    formula = re.sub(r"\\,\s*d[a-z]\b", " ", formula)  # the end of an integral
    formula = COMMAND.sub(" ", WORDS.sub(" ", formula))
    return set(LETTER.findall(formula)) - {"e"}


def of_table(text):
    """Return [(letters of a row's symbols and of what it says, its last cell)]."""
    rows = []
    for symbol, *rest in table_rows(text):
        formulas = [a or b for a, b in FORMULA.findall(" ".join([symbol, *rest[:2]]))]
        rows.append((set().union(*map(letters, formulas)), rest[-1]))
    return rows


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_every_letter_of_a_formula_is_explained(lesson):
    everywhere, local = read("notation.md").split("## In some lessons")
    known = set().union(*(found for found, _ in of_table(everywhere)))
    for found, where in of_table(local):
        if lesson.name in where:
            known |= found
    for formula in FORMULA.findall(text_of(lesson)):
        unknown = letters(formula[0] or formula[1]) - known
        assert not unknown, f"{formula[0] or formula[1]}: {unknown}"


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_letters_mean_the_same_in_the_code(lesson):
    """S holds scores and W weights; the side of a picture is H."""
    for cell in nbformat.read(lesson, as_version=4).cells:
        for node in ast.walk(ast.parse(cell.source if cell.cell_type == "code" else "")):
            if isinstance(node, ast.Assign):
                value = ast.unparse(node.value)
                stored = {
                    name.id
                    for target in node.targets
                    for name in ast.walk(target)
                    if isinstance(name, ast.Name)
                }
                assert not stored & {"S", "W"} or "input_shape" not in value, f"{cell.id}: {value}"


def test_the_lines_below_the_table_hold():
    """Shapes and formulas, on the embedded backbone and two pictures."""
    images = camkit.load_images("mini", "Test", per_class=1)
    model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
    batch = np.stack([images[0], images[5]])
    cam = camkit.CAM(model)
    out = cam(batch)
    features = keras.Model(model.input, model.get_layer("gap").input)
    F = features.predict(batch, verbose=0)
    B, h, w, K = F.shape
    C = len(cam.class_names)
    W, b = cam.kernel, cam.bias
    assert W.shape == (K, C) and b.shape == (C,)
    assert out.gap.shape == (B, K) and out.maps.shape == (B, h, w, C)
    assert out.logits.shape == out.probs.shape == (B, C)
    np.testing.assert_allclose(out.gap, F.mean(axis=(1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(out.logits, out.gap @ W + b, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(out.maps, F @ W, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(out.logits, out.maps.mean(axis=(1, 2)) + b, rtol=1e-4, atol=1e-4)
    exponentials = np.exp(out.logits)
    shares = exponentials / exponentials.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(out.probs, shares, rtol=1e-4, atol=1e-6)
