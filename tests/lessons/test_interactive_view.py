"""The interactive view of lesson 6: its figure and its text follow the controls."""

import base64
import html
import re

import ipywidgets
import nbformat
import pytest
from lesson_files import ROOT
from matplotlib.figure import Figure

from camkit import plots


def bar(state):
    """A bar as high as `a` plus `b`, and a text that says so."""
    figure = Figure(figsize=(1, 1))
    figure.add_subplot().bar([0], [state["a"] + state["b"]])
    return figure, f"<b>{state['a']} & {state['b']}</b>"


@pytest.fixture
def controls():
    return {
        "a": ipywidgets.IntSlider(1, description="a"),
        "b": ipywidgets.IntSlider(2, description="b"),
    }


@pytest.fixture
def lesson():
    """The names that the lesson's folded cell defines."""
    notebook = nbformat.read(ROOT / "notebooks" / "06-grad-cam.ipynb", as_version=4)
    (cell,) = [cell for cell in notebook.cells if cell.id == "view"]
    names = {"html": html, "ipywidgets": ipywidgets, "plots": plots}
    exec(cell.source, names)
    return names


def test_the_state_is_that_of_the_controls(lesson, controls):
    controls["b"].value = 5
    state = lesson["state_of"](controls)
    assert state == {"a": 1, "b": 5}
    figure, _ = bar(state)
    assert figure.axes[0].patches[0].get_height() == 6


def test_what_is_seen_is_the_present_state_as_text_and_no_markup(lesson, controls):
    shown = lesson["view"](controls, bar).children[-1]
    controls["a"].value = 7
    assert "<b>" not in shown.value and "&lt;b&gt;7 &amp; 2&lt;/b&gt;" in shown.value
    png = base64.b64decode(re.search(r"base64,([^\"]+)", shown.value)[1])
    assert png.startswith(b"\x89PNG")


def test_a_change_is_drawn_once(lesson, controls):
    drawn = []
    lesson["view"](controls, lambda state: drawn.append(state) or bar(state))
    controls["a"].value = 3
    controls["a"].value = 3
    assert drawn == [{"a": 1, "b": 2}, {"a": 3, "b": 2}]


def test_controls_are_named_and_come_first(lesson, controls):
    view = lesson["view"](controls, bar)
    assert [child.description for child in view.children[:-1]] == ["a", "b"]
    assert isinstance(view.children[-1], ipywidgets.HTML)
