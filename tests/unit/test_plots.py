"""The figures: what they draw is what was given, with limits that can be compared, and words for those who cannot see."""

import base64
import io

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import camkit
from camkit import plots

IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype="uint8")


def drawn(ax):
    return np.asarray(ax.images[0].get_array())


def test_maps_in_a_row_share_their_limits():
    weak, strong = np.full((2, 3), 0.5), np.array([[0, 1, 2], [-3, 4, 0.5]])
    figure = plots.map_row(Figure(), IMAGE, [weak, strong], ["picture", "weak", "strong"])
    picture, *maps, bar = figure.axes
    assert (drawn(picture) == IMAGE).all()
    for ax, heat in zip(maps, (weak, strong)):
        assert (drawn(ax) == camkit.overlay(IMAGE, heat, vmin=0, vmax=4, alpha=0.55)).all()
    assert bar.get_ylim() == (0, 4), "the colour bar tells the limits"
    assert [ax.get_title() for ax in (picture, *maps)] == ["picture", "weak", "strong"]


def test_a_map_without_evidence_stays_dark():
    figure = plots.map_row(Figure(), IMAGE, [np.full((2, 2), -1.0)], ["", ""])
    assert (
        drawn(figure.axes[1]) == camkit.overlay(IMAGE, np.zeros((2, 2)), vmin=0, vmax=1, alpha=0.55)
    ).all()


def test_titles_that_are_missing_are_an_error():
    with pytest.raises(ValueError):
        plots.map_row(Figure(), IMAGE, [np.zeros((2, 2))], ["picture"])


def test_a_grid_holds_every_image_under_its_title():
    images = [np.full((4, 4, 3), n, "uint8") for n in range(5)]
    figure = plots.image_grid(Figure(), images, list("abcde"), columns=3)
    assert len(figure.axes) == 6
    for ax, image, title in zip(figure.axes, images, "abcde"):
        assert (drawn(ax) == image).all() and ax.get_title() == title
    assert not figure.axes[5].images and not any(ax.axison for ax in figure.axes)


def test_confusion_colours_the_errors_and_writes_the_counts():
    matrix = np.array([[50, 3, 0], [1, 40, 0], [0, 7, 30]])
    ax = plots.confusion(Figure().subplots(), matrix, ["a", "b", "c"])
    assert (drawn(ax) == [[0, 3, 0], [1, 0, 0], [0, 7, 0]]).all() and ax.images[0].get_clim() == (
        0,
        7,
    )
    said = {text.get_position(): text.get_text() for text in ax.texts}
    assert said == {(0, 0): "50", (1, 0): "3", (0, 1): "1", (1, 1): "40", (1, 2): "7", (2, 2): "30"}
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b", "c"]


def test_confusion_without_an_error_or_with_many_classes():
    assert plots.confusion(Figure().subplots(), np.eye(3, dtype=int), list("abc")).images[
        0
    ].get_clim() == (0, 1)
    assert not plots.confusion(
        Figure().subplots(), np.eye(21, dtype=int), list("abcdefghijklmnopqrstu")
    ).texts


def test_learning_curves_are_the_history():
    history = {
        "loss": [2.0, 1.0],
        "accuracy": [0.5, 0.75],
        "val_loss": [1.5, 1.25],
        "val_accuracy": [0.25, 1.0],
    }
    loss, accuracy = plots.learning_curves(Figure(), history).axes
    for ax, name in ((loss, "loss"), (accuracy, "accuracy")):
        assert [line.get_xydata().tolist() for line in ax.lines] == [
            [[1, history[key][0]], [2, history[key][1]]] for key in (name, f"val_{name}")
        ]
    without = plots.learning_curves(Figure(), {"loss": [1.0], "accuracy": [0.5]})
    assert [len(ax.lines) for ax in without.axes] == [1, 1]


def test_embedding_names_each_class_at_one_of_its_points():
    points, labels = np.array([[0, 0], [1, 0], [9, 0], [5, 5], [6, 5]]), np.array([0, 0, 0, 2, 2])
    ax = plots.embedding(Figure().subplots(), points, labels, ["a", "b", "c"])
    assert [note.get_text() for note in ax.texts] == ["a", "c"], (
        "no name for a class without a point"
    )
    assert tuple(ax.texts[0].xy) == (1, 0), (
        "the middle one, not the mean, which may lie among others"
    )
    assert [len(cloud.get_offsets()) for cloud in ax.collections] == [3, 2]


def test_embedding_highlights_one_class():
    points, labels = np.arange(8.0).reshape(4, 2), np.array([0, 0, 1, 1])
    ax = plots.embedding(Figure().subplots(), points, labels, ["a", "b"], highlight=1, ring=3)
    grey, colour, ring = (cloud for cloud in ax.collections)
    assert np.ptp(grey.get_facecolor()[0][:3]) == 0 and np.ptp(colour.get_facecolor()[0][:3]) > 0
    assert ring.get_offsets().tolist() == [[6, 7]] and [note.get_text() for note in ax.texts] == [
        "b"
    ]


def test_a_shown_figure_carries_its_text(monkeypatch):
    import IPython.display

    said = {}
    monkeypatch.setattr(
        IPython.display, "display", lambda bundle, **options: said.update(bundle, **options)
    )
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1])
    plots.show(figure, 'the "first" <map>')
    assert 'alt="the &quot;first&quot; &lt;map&gt;"' in said["text/html"]
    assert said["metadata"]["image/png"]["alt"] == said["text/plain"] == 'the "first" <map>'
    shown = Image.open(io.BytesIO(said["image/png"]))
    assert (
        shown.format == "PNG" and base64.b64encode(said["image/png"]).decode() in said["text/html"]
    )
