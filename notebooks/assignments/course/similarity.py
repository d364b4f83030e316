"""How alike the answers of two students are: a table for the teacher to start looking, no verdict.

An answer becomes the set of its runs of successive tokens, its fingerprints, without names, layout
and comments. A function of four lines is alike in half of a class by nature, so a fingerprint
weighs the more, the fewer of the class have it; and a pair of students is listed only if chance
would make no more than one such pair in this class.

The fingerprints, and leaving out what everybody was given, are those of Schleimer, Wilkerson and
Aiken, "Winnowing: local algorithms for document fingerprinting", SIGMOD 2003. Answers are short,
so all fingerprints are kept (a window of one).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import nbformat
import numpy as np
from nbformat import NotebookNode
from pygments.lexers import PythonLexer
from pygments.token import Comment, Literal, Name, Text, Whitespace
from scipy import stats

from course import year
from course.marks import mark

# Tokens in a fingerprint.
LENGTH = 5
# From this share on, the two answers to a step count as alike.
LEAST_ALIKE = 0.5
# A pair is listed if chance makes at most so many pairs of a class as alike.
MOST_EXPECTED = 1.0
# How often the answers of a class are dealt out anew.
ROUNDS = 200
ROUNDING = 1e-6
OWN_CELLS = "own cells"
COLUMNS = ("assignment", "student", "other student", "cell", "alike", "such pairs by chance")

Fingerprints = frozenset[tuple[str, ...]]


class Pair(NamedTuple):
    """Two students whose answers are alike.

    Args:
        first: A student.
        second: Another.
        alike: {cell: the share of the two answers that is alike, by weight}.
        expected: How many pairs as alike as this one chance would make in the class.
    """

    first: str
    second: str
    alike: dict[str, float]
    expected: float


def code_tokens(source: str) -> list[str]:
    """Return the tokens of a cell of code, without comments, docstrings, layout and names.

    Names of attributes and of Python itself stay, and each other name is "name". Code that Python
    could not read is no problem.

    >>> code_tokens("total = F.sum(axis=1)  # over places")
    ['name', '=', 'name', '.', 'sum', '(', 'name', '=', '1', ')']
    """
    tokens: list[str] = []
    for kind, text in PythonLexer().get_tokens(source):
        if kind in Comment or kind in Literal.String.Doc or kind in Whitespace or kind in Text:
            continue
        is_attribute = tokens[-1:] == ["."]
        if kind in Name and kind not in Name.Builtin and not is_attribute:
            text = "name"
        tokens.append(text)
    return tokens


def words(text: str) -> list[str]:
    """Return the words and numbers of a text in lower case."""
    return re.findall(r"\w+", text.lower())


def fingerprints(cell: NotebookNode) -> Fingerprints:
    """Return all runs of LENGTH tokens of a cell; of a shorter cell all tokens as one run."""
    tokens = code_tokens(cell.source) if cell.cell_type == "code" else words(cell.source)
    if not tokens:
        return frozenset()
    starts = range(max(1, len(tokens) - LENGTH + 1))
    return frozenset(tuple(tokens[start : start + LENGTH]) for start in starts)


def answers(notebook: NotebookNode, released: NotebookNode) -> dict[str, Fingerprints]:
    """Return {cell: fingerprints} of what a student has written, without what was handed out.

    Of a cell for an answer that is what stands in the same cell of the release and, as students
    quote the question, in the text above it; of the student's own cells, together, all texts or
    all code of the release.
    """
    stubs: dict[str, Fingerprints] = {}
    above: Fingerprints = frozenset()
    given: Fingerprints = frozenset()
    for cell in released.cells:
        prints = fingerprints(cell)
        if mark(cell).get("solution"):
            stubs[mark(cell)["grade_id"]] = prints | above
        above = prints
        given |= prints

    written: dict[str, Fingerprints] = {}
    for cell in notebook.cells:
        grade_id = mark(cell).get("grade_id", "")
        if grade_id in stubs:
            written[grade_id] = fingerprints(cell) - stubs[grade_id]
        elif not grade_id:
            written[OWN_CELLS] = written.get(OWN_CELLS, frozenset()) | fingerprints(cell) - given
    return {name: prints for name, prints in written.items() if prints}


def common_weights(prints: Sequence[Fingerprints]) -> np.ndarray:
    """Return the weight of what any two of n answers have in common, (n, n), in bits.

    A fingerprint that d of the n answers have weighs log2(n / d): nothing, if all have it. The
    diagonal is the weight of each answer itself.

    >>> common_weights([frozenset("ab"), frozenset("ab"), frozenset("ac"), frozenset("a")])[0]
    array([1., 1., 0., 0.])
    """
    vocabulary = sorted(frozenset().union(*prints))
    presence = np.array([[run in answer for run in vocabulary] for answer in prints], float)
    weights = np.log2(len(prints) / presence.sum(axis=0))
    return (presence * weights) @ presence.T


def compare(prints: Sequence[Fingerprints]) -> tuple[np.ndarray, np.ndarray]:
    """Return how alike any two of n answers to a step are, and how rare that is, (n, n) each.

    Returns:
        The weight of what two answers have in common, as a share of the weight of what one of them
        has at least; and log2(1 / r) where this share is at least LEAST_ALIKE, else 0. r is the
        share of all pairs that have as much in common, or more.
    """
    common = common_weights(prints)
    own = np.diag(common)
    either = own[:, None] + own - common
    shares = np.divide(common, either, out=np.zeros_like(common), where=either > ROUNDING)

    pairs = np.triu_indices(len(prints), 1)
    # The highest weight has rank 1, equal ones have the rank of the last of them.
    ranks = stats.rankdata(-common[pairs].round(6), "max")
    rarity = np.zeros_like(common)
    rarity[pairs] = np.log2(len(ranks) / ranks)
    rarity += rarity.T
    return shares, np.where(shares >= LEAST_ALIKE, rarity, 0)


def find_pairs(class_answers: Mapping[str, Mapping[str, Fingerprints]]) -> list[Pair]:
    """Return the pairs of students of a class that are more alike than chance, the rarest first.

    Args:
        class_answers: {student: {cell: fingerprints}} of one assignment.
    """
    students = sorted(class_answers)
    cells = sorted({cell for written in class_answers.values() for cell in written})
    shape = (len(cells), len(students), len(students))
    shares = np.zeros(shape)
    rarity = np.zeros(shape)
    for number, cell in enumerate(cells):
        present = [n for n, student in enumerate(students) if cell in class_answers[student]]
        block = np.ix_(present, present)
        prints = [class_answers[students[n]][cell] for n in present]
        shares[number][block], rarity[number][block] = compare(prints)

    pairs = []
    expected = expected_by_chance(rarity)
    listed = (rarity.sum(axis=0) > 0) & (expected <= MOST_EXPECTED)
    for first, second in np.argwhere(np.triu(listed, 1)):
        alike = {
            cell: float(share)
            for cell, share in zip(cells, shares[:, first, second], strict=True)
            if share >= LEAST_ALIKE
        }
        pair = Pair(students[first], students[second], alike, float(expected[first, second]))
        pairs.append(pair)
    return sorted(pairs, key=lambda pair: (pair.expected, pair.first, pair.second))


def expected_by_chance(rarity: np.ndarray) -> np.ndarray:
    """Return how many pairs of a class chance would make as alike as each pair, (n, n).

    Chance is the same class in which each step's answers are dealt out to the students anew: how
    often a step is answered alike stays, but no two students are alike in several steps because
    they belong together.

    Args:
        rarity: For each step how rarely two students are as alike as these, (steps, n, n).
    """
    rng = np.random.default_rng(0)
    count = rarity.shape[1]
    pairs = np.triu_indices(count, 1)
    dealt = []
    for _ in range(ROUNDS):
        total = np.zeros((count, count))
        for step in rarity:
            order = rng.permutation(count)
            total += step[np.ix_(order, order)]
        dealt.append(total[pairs])
    by_chance = np.sort(np.concatenate(dealt))
    # Sums of the same numbers in another order differ by rounding.
    observed = rarity.sum(axis=0) - ROUNDING
    return (by_chance.size - np.searchsorted(by_chance, observed)) / ROUNDS


def rows(
    folder: Path,
    released: Mapping[str, NotebookNode],
    groups: Mapping[tuple[str, str], str] | None = None,
) -> Iterator[list[str]]:
    """Yield the rows of similarity.csv, from all submissions that were graded in a year's folder.

    Args:
        folder: The year's folder.
        released: {assignment: the notebook as it was handed out}.
        groups: {(student, assignment): the group that handed it in, "" if a student did alone}. Of
            a group the first student stands for all.
    """
    yield list(COLUMNS)
    for assignment, original in released.items():
        class_answers = {}
        seen = set()
        for path in year.tidied_paths(folder, assignment):
            student = path.parents[1].name
            group = (groups or {}).get((student, assignment), "")
            if group in seen:
                continue
            if group:
                seen.add(group)
            notebook = nbformat.read(path, as_version=4)
            class_answers[student] = answers(notebook, original)
        for pair in find_pairs(class_answers):
            for cell, share in pair.alike.items():
                numbers = [f"{share:.0%}", f"{pair.expected:.2g}"]
                yield [assignment, pair.first, pair.second, cell, *numbers]
