"""The way through the lessons: the index, the pages and the lessons themselves tell the same."""

import functools
import re

import nbformat
import pages
import pytest
from lesson_files import LESSONS

INDEX = LESSONS[0]
OF_NUMBER = {pages.number(path.name): path for path in LESSONS}
MINUTES = re.compile(r"(\d+) minutes for you(?:, (\d+) with the exercises)?")


@functools.cache
def first_cell(lesson):
    """Return the first cell of a lesson on one line."""
    return " ".join(nbformat.read(lesson, as_version=4).cells[0].source.split())


def rows(kind):
    """Return {number of a lesson: the other cells of its row} of a table of the index."""
    text = next(
        cell.source for cell in nbformat.read(INDEX, as_version=4).cells if kind in cell.source
    )
    table = text.partition(kind)[2].strip().partition("\n\n")[2].partition("\n\n")[0]
    cells = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    files = [re.search(r"\(([\w-]+\.ipynb)\)", first)[1] for first, *_ in cells]
    return {pages.number(file): rest for file, (_, *rest) in zip(files, cells, strict=True)}


def test_every_lesson_is_of_the_core_or_an_elective():
    assert set(OF_NUMBER) == {*pages.CORE, *pages.ELECTIVES}
    assert set(pages.ELECTIVES.values()) <= set(pages.CORE)
    for number, lesson in OF_NUMBER.items():
        kind = "Core lesson." if number in pages.CORE else "Elective"
        assert kind in first_cell(lesson), f"{lesson.name}: {kind}"


def test_the_index_lists_the_core_in_its_order_and_the_electives_with_what_comes_before():
    core = rows("**The core**")
    electives = rows("**Electives**")
    assert ["00", *core] == list(pages.CORE)
    assert {number: after.zfill(2) for number, (_, after, *_) in electives.items()} == (
        pages.ELECTIVES
    )
    for number, before in pages.ELECTIVES.items():
        named = re.search(r"Elective\b.*", first_cell(OF_NUMBER[number]))[0]
        assert OF_NUMBER[before].name in named, f"lesson {number} does not name lesson {before}"


def test_the_index_has_the_minutes_of_the_lessons():
    for kind in ("**The core**", "**Electives**"):
        for number, (*_, alone, with_exercises) in rows(kind).items():
            stated = MINUTES.search(first_cell(OF_NUMBER[number]))
            assert (alone, with_exercises) == stated.groups("–"), number


def test_the_core_takes_about_six_hours():
    minutes = [int(MINUTES.search(first_cell(OF_NUMBER[number]))[1]) for number in pages.CORE]
    assert round(sum(minutes) / 60) == 6


@pytest.mark.parametrize("lesson", LESSONS[1:], ids=lambda path: path.stem)
def test_a_lesson_of_the_core_names_the_next_one(lesson):
    number = pages.number(lesson.name)
    following = pages.neighbours(lesson.name)["next"]
    if number in pages.CORE and following:
        name = following.page.replace(".html", ".ipynb")
        assert f"]({name})" in first_cell(lesson)
