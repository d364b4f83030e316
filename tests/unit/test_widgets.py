"""A view of one's own: its picture and its readout follow the controls, and nothing is drawn twice."""

import base64
import re

import ipywidgets
import pytest
from matplotlib.figure import Figure

from camkit import plots, widgets


@pytest.fixture
def view():
    """A bar as high as `a` plus `b`, and a readout that says so."""

    def render(state):
        figure = Figure(figsize=(1, 1))
        figure.add_subplot().bar([0], [state["a"] + state["b"]])
        return figure, f"<b>{state['a']} & {state['b']}</b>"

    return widgets.View(
        {
            "a": ipywidgets.IntSlider(1, description="a"),
            "b": ipywidgets.IntSlider(2, description="b"),
        },
        render,
    )


def test_readout_and_figure_are_those_of_the_state(view):
    assert view.text == "<b>1 & 2</b>"
    view.controls["b"].value = 5
    assert view.state == {"a": 1, "b": 5} and view.text == "<b>1 & 5</b>"
    assert view.figure().axes[0].patches[0].get_height() == 6


def test_what_is_seen_is_the_present_state_as_text_and_no_markup(view):
    view.controls["a"].value = 7
    seen = view._picture.value
    assert "<b>" not in seen and "&lt;b&gt;7 &amp; 2&lt;/b&gt;" in seen
    png = base64.b64decode(re.search(r"base64,([^\"]+)", seen)[1])
    assert png.startswith(b"\x89PNG")


def test_a_change_is_drawn_once(view, monkeypatch):
    drawn, png = [], plots.png
    monkeypatch.setattr(plots, "png", lambda *given: drawn.append(1) or png(*given))
    view.controls["a"].value = 3
    assert len(drawn) == 1
    view._draw()
    assert len(drawn) == 1, "nothing has changed"


def test_controls_are_named_and_come_first(view):
    assert [child.description for child in view.children[:-1]] == ["a", "b"]
    assert view.children[-1] is view._picture
