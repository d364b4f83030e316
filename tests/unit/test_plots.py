"""The figures draw what they were given, with comparable limits and alternative text."""

import base64
import io
import itertools

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import camkit
from camkit import plots

IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype="uint8")


def drawn(ax):
    """Return the image that axes show."""
    return np.asarray(ax.images[0].get_array())


def written(ax):
    """Return the texts in axes."""
    return [text.get_text() for text in ax.texts]


def test_maps_in_a_row_share_their_limits():
    weak = np.full((2, 3), 0.5)
    strong = np.array([[0, 1, 2], [-3, 4, 0.5]])
    figure = plots.map_row(Figure(), IMAGE, [weak, strong], ["image", "weak", "strong"])
    image_ax, weak_ax, strong_ax, colour_bar = figure.axes
    np.testing.assert_array_equal(drawn(image_ax), IMAGE)
    for ax, heat in ((weak_ax, weak), (strong_ax, strong)):
        overlay = camkit.overlay(IMAGE, heat, vmin=0, vmax=4)
        np.testing.assert_array_equal(drawn(ax), overlay)
    assert colour_bar.get_ylim() == (0, 4), "the colour bar shows the limits"
    titles = [ax.get_title() for ax in (image_ax, weak_ax, strong_ax)]
    assert titles == ["image", "weak", "strong"]


def test_a_map_without_evidence_leaves_the_image():
    figure = plots.map_row(Figure(), IMAGE, [np.full((2, 2), -1.0)], ["", ""])
    np.testing.assert_array_equal(drawn(figure.axes[1]), IMAGE)


def test_titles_that_are_missing_are_an_error():
    with pytest.raises(ValueError):
        plots.map_row(Figure(), IMAGE, [np.zeros((2, 2))], ["image"])


def test_a_grid_holds_every_image_under_its_title():
    images = [np.full((4, 4, 3), n, "uint8") for n in range(5)]
    figure = plots.image_grid(Figure(), images, list("abcde"), columns=3)
    *filled, empty = figure.axes
    for ax, image, title in zip(filled, images, "abcde", strict=True):
        np.testing.assert_array_equal(drawn(ax), image)
        assert ax.get_title() == title
    assert not empty.images
    assert all(ax.axison for ax in filled) and not empty.axison, "an image has a frame"
    assert all(not ax.get_xticks().size for ax in filled)


LONG_NAMES = [
    "Apple Crimson Snow 1",
    "Tomato not Ripened 1",
    "Pepper Orange 2",
    "Cherry Wax Black 1",
]


@pytest.mark.parametrize("in_part", [False, True])
@pytest.mark.parametrize("draw", [plots.image_grid, plots.map_row])
def test_long_titles_take_several_lines(draw, in_part):
    """They stay beside each other, in a figure and in a part of one; formulas stay whole."""
    titles = ["$a$ $=$ $b$ " * 5, *(f"look-alike: {name}" for name in LONG_NAMES)]
    figure = Figure(figsize=(8, 2))
    part = figure.subfigures(1, 1) if in_part else figure
    images = [[IMAGE] * 5] if draw is plots.image_grid else [IMAGE, [np.eye(2)] * 4]
    draw(part, *images, titles)
    figure.draw_without_rendering()
    axes = figure.axes[:5]
    boxes = [ax.title.get_window_extent() for ax in axes[1:]]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    assert [ax.get_title().replace("\n", " ") for ax in axes] == titles
    assert "\n" not in axes[0].get_title() and all("\n" in ax.get_title() for ax in axes[1:])


def test_confusion_colours_the_errors_and_writes_the_counts():
    matrix = np.array([[50, 3, 0], [1, 40, 0], [0, 7, 30]])
    ax = plots.confusion(Figure().subplots(), matrix, ["a", "b", "c"])
    np.testing.assert_array_equal(drawn(ax), [[0, 3, 0], [1, 0, 0], [0, 7, 0]])
    assert ax.images[0].get_clim() == (0, 7)
    counts = {text.get_position(): text.get_text() for text in ax.texts}
    assert counts == {
        (0, 0): "50",
        (1, 0): "3",
        (0, 1): "1",
        (1, 1): "40",
        (1, 2): "7",
        (2, 2): "30",
    }
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["a", "b", "c"]


def test_confusion_without_an_error_or_with_many_classes():
    ax = plots.confusion(Figure().subplots(), np.eye(3, dtype=int), list("abc"))
    assert ax.images[0].get_clim() == (0, 1)
    names = list("abcdefghijklmnopqrstu")
    ax = plots.confusion(Figure().subplots(), np.eye(21, dtype=int), names)
    assert written(ax) == []


def test_learning_curves_are_the_history():
    history = {
        "loss": [2.0, 1.0],
        "accuracy": [0.5, 0.75],
        "val_loss": [1.5, 1.25],
        "val_accuracy": [0.25, 1.0],
    }
    axes = plots.learning_curves(Figure(), history).axes
    for ax, name in zip(axes, ("loss", "accuracy"), strict=True):
        training, validation = ax.lines
        for line, values in ((training, history[name]), (validation, history[f"val_{name}"])):
            np.testing.assert_array_equal(line.get_xdata(), [1, 2])
            np.testing.assert_array_equal(line.get_ydata(), values)
    without = plots.learning_curves(Figure(), {"loss": [1.0], "accuracy": [0.5]})
    assert [len(ax.lines) for ax in without.axes] == [1, 1]


def test_embedding_names_each_class_at_one_of_its_points():
    points = np.array([[0, 0], [1, 0], [9, 0], [5, 5], [6, 5]])
    labels = np.array([0, 0, 0, 2, 2])
    ax = plots.embedding(Figure().subplots(), points, labels, ["a", "b", "c"])
    assert written(ax) == ["a", "c"], "no name for a class without a point"
    middle = tuple(ax.texts[0].xy)
    assert middle == (1, 0), "the middle one, not the mean, which may lie among others"
    assert [len(cloud.get_offsets()) for cloud in ax.collections] == [3, 2]


def test_embedding_highlights_one_class():
    points = np.arange(8.0).reshape(4, 2)
    labels = np.array([0, 0, 1, 1])
    ax = plots.embedding(Figure().subplots(), points, labels, ["a", "b"], highlight=1, ring=3)
    grey, coloured, ring = ax.collections
    assert np.ptp(grey.get_facecolor()[0][:3]) == 0
    assert np.ptp(coloured.get_facecolor()[0][:3]) > 0
    assert ring.get_offsets().tolist() == [[6, 7]]
    assert written(ax) == ["b"]


def test_a_shown_figure_carries_its_text(monkeypatch):
    import IPython.display

    displayed = {}

    def record(bundle, metadata, raw):
        displayed.update(bundle, metadata=metadata)

    monkeypatch.setattr(IPython.display, "display", record)
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1])
    text = 'the "first" <map>'
    plots.show(figure, text)
    assert 'alt="the &quot;first&quot; &lt;map&gt;"' in displayed["text/html"]
    assert displayed["metadata"]["image/png"]["alt"] == text
    assert displayed["text/plain"] == text
    assert Image.open(io.BytesIO(displayed["image/png"])).format == "PNG"
    assert base64.b64encode(displayed["image/png"]).decode() in displayed["text/html"]
