"""Static figures: functions that take arrays and a matplotlib Figure or Axes, and draw in it.

Class maps keep their sign and resolution until they are drawn here. Functions that draw several
maps say which limits they share. Matplotlib is loaded when the first figure is drawn.
"""

from __future__ import annotations

import base64
import html
import io
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from camkit.maps.arrays import overlay

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase

# Perceptually uniform colours for evidence, and diverging ones for differences around zero.
MAP = "inferno"
SIGNED = "coolwarm"

# Up to this number of classes names and counts are legible at the usual size.
_LEGIBLE_CLASSES = 20

# An embedding has a colour for each of 20 classes, then the same colours with the next marker.
_COLOURS = "tab20"
_MARKERS = "os^Dv"
_GREY = "#dddddd"


# The size of the titles of images, in points.
_TITLE_SIZE = 9

# Pixels of a page per inch of a figure.
_RESOLUTION = 110


def png(figure: Figure, dpi: int = _RESOLUTION) -> bytes:
    """Return a figure as the bytes of a PNG file.

    Args:
        figure: The figure.
        dpi: The resolution in pixels per inch.

    Returns:
        The PNG, on white and without empty margins.

    Example:
        >>> from camkit import plots
        >>> from matplotlib.figure import Figure
        >>> plots.png(Figure(figsize=(1, 1)))[1:4]
        b'PNG'
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", facecolor="white")
    return buffer.getvalue()


def img_tag(picture: bytes, alt: str, width: int | None = None) -> str:
    """Return a PNG as an HTML image with alternative text.

    Args:
        picture: The bytes of a PNG file.
        alt: The text for readers who cannot see the image.
        width: The width on the page, in CSS pixels (default: that of the file).

    Returns:
        An `<img>` element that holds the image itself.

    Example:
        >>> from camkit import plots
        >>> plots.img_tag(b"...", alt="a map")[:43]
        '<img alt="a map" src="data:image/png;base64'
    """
    data = base64.b64encode(picture).decode()
    alt = html.escape(alt)
    style = "max-width: 100%; height: auto"
    size = "" if width is None else f' width="{width}"'
    return f'<img alt="{alt}" src="data:image/png;base64,{data}"{size} style="{style}">'


def show(figure: Figure, alt: str) -> None:
    """Display a figure in a notebook with alternative text, and close it.

    The image has two pixels for each pixel of the page, so that it is sharp on all screens.
    Outside a notebook the HTML and the PNG are printed as they are.

    Args:
        figure: The figure.
        alt: The text for readers who cannot see the figure.

    Example:
        >>> from camkit import plots
        >>> from matplotlib import pyplot as plt
        >>> plots.show(plt.figure(), "An empty figure.")  # doctest: +ELLIPSIS
        {'text/html': '<img alt="An empty figure." ...
    """
    from IPython.display import display
    from matplotlib import pyplot

    picture = png(figure, dpi=2 * _RESOLUTION)
    # The width stands in the PNG's header, behind the signature and the first chunk's name.
    width = int.from_bytes(picture[16:20], "big") // 2
    image = img_tag(picture, alt, width)
    bundle = {"text/html": image, "image/png": picture, "text/plain": alt}
    display(bundle, metadata={"image/png": {"alt": alt, "width": width}}, raw=True)
    pyplot.close(figure)


def image_grid(
    figure: FigureBase,
    images: Sequence[np.ndarray],
    titles: Sequence[str] | None = None,
    *,
    columns: int = 6,
) -> FigureBase:
    """Draw images in a grid, each under its title. Titles wider than their column are wrapped.

    Args:
        figure: The figure or subfigure to draw in.
        images: Images (H, W, 3), uint8, or float 0..1.
        titles: A title for each image.
        columns: The number of images in a row.

    Returns:
        The figure.

    Example:
        >>> import numpy as np
        >>> from camkit import plots
        >>> from matplotlib.figure import Figure
        >>> images = np.zeros((5, 8, 8, 3), dtype="uint8")
        >>> figure = plots.image_grid(Figure(), images, list("abcde"), columns=3)
        >>> [ax.get_title() for ax in figure.axes]
        ['a', 'b', 'c', 'd', 'e', '']
    """
    _use_constrained_layout(figure)
    rows = -(-len(images) // columns)
    columns = min(columns, len(images))
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.set_axis_off()
    for i, image in enumerate(images):
        _frame(axes[i])
        axes[i].imshow(image)
        if titles is not None:
            axes[i].set_title(_wrapped(titles[i], figure, columns), fontsize=_TITLE_SIZE)
    return figure


def map_row(
    figure: FigureBase,
    image: np.ndarray,
    maps: Sequence[np.ndarray],
    titles: Sequence[str],
    *,
    vmin: float = 0.0,
    vmax: float | None = None,
    alpha: float = 0.85,
    cmap: str = MAP,
) -> FigureBase:
    """Draw an image and, beside it, each of several maps laid over it, with the same limits.

    Titles wider than their column are wrapped.

    Values outside `vmin`..`vmax` take the colours of the ends, so the default hides negative
    evidence, as ReLU does.

    Args:
        figure: The figure or subfigure to draw in.
        image: The image (H, W, 3), uint8.
        maps: Maps (h, w), each of any size.
        titles: The title of the image and of each map.
        vmin: The value that takes the lowest colour.
        vmax: The value that takes the highest colour (default: the highest value of all maps).
        alpha: The weight of the strongest colours against the image, 0..1.
        cmap: The name of a matplotlib colour map.

    Returns:
        The figure.

    Raises:
        ValueError: The titles are not one more than the maps.

    Example:
        >>> import numpy as np
        >>> from camkit import plots
        >>> from matplotlib.figure import Figure
        >>> image = np.zeros((8, 8, 3), dtype="uint8")
        >>> maps = [np.eye(2), 2 * np.eye(4)]
        >>> figure = plots.map_row(Figure(), image, maps, ["image", "coarse", "fine"])
        >>> colour_bar = figure.axes[-1]
        >>> colour_bar.get_ylim() == (0, 2)
        True
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    _use_constrained_layout(figure)
    if vmax is None:
        highest = max(float(np.max(heat)) for heat in maps)
        vmax = max(highest, vmin + 1e-6)
    axes = figure.subplots(1, 1 + len(maps), squeeze=False)[0]
    images = [image]
    for heat in maps:
        images.append(overlay(image, heat, vmin=vmin, vmax=vmax, alpha=alpha, cmap=cmap))
    for ax, pixels, title in zip(axes, images, titles, strict=True):
        ax.imshow(pixels)
        # The colour bar has up to the width of another column.
        ax.set_title(_wrapped(title, figure, len(images) + 1), fontsize=_TITLE_SIZE)
        _frame(ax)
    colour_bar = figure.colorbar(
        ScalarMappable(Normalize(vmin, vmax), cmap), ax=list(axes[1:]), fraction=0.05, pad=0.02
    )
    colour_bar.set_label("contribution to the class score", fontsize=_TITLE_SIZE)
    return figure


def _frame(ax: Axes) -> None:
    """Draw a thin frame, in which a white image on a white page has edges, and no ticks."""
    ax.set_axis_on()
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(color=_GREY, linewidth=0.6)


def _wrapped(title: str, figure: FigureBase, columns: int) -> str:
    """Return a title in lines that are no wider than a column of the figure.

    A letter is a little wider than half its size. Lines with formulas, between dollars, stay.
    """
    inches = figure.get_window_extent().width / figure.get_figure(root=True).dpi / columns
    letters = max(1, int(inches / (0.56 * _TITLE_SIZE / 72)))
    lines = str(title).split("\n")
    return "\n".join(line if "$" in line else textwrap.fill(line, letters) for line in lines)


def _use_constrained_layout(figure: FigureBase) -> None:
    """Keep titles and labels from overlapping, in the figure that holds `figure`."""
    figure.get_figure(root=True).set_layout_engine("constrained")


def confusion(ax: Axes, matrix: np.ndarray, class_names: Sequence[str]) -> Axes:
    """Draw a confusion matrix.

    The colours show the errors only, since the diagonal would outshine them. Counts are written if
    there are at most 20 classes.

    Args:
        ax: The axes to draw in.
        matrix: Counts (C, C), true classes in rows, predicted classes in columns.
        class_names: The name of each class.

    Returns:
        The axes.

    Example:
        >>> from camkit import plots
        >>> from matplotlib.figure import Figure
        >>> ax = plots.confusion(Figure().subplots(), [[9, 1], [0, 8]], ["apple", "lemon"])
        >>> [text.get_text() for text in ax.texts]
        ['9', '1', '8']
    """
    from matplotlib.ticker import MaxNLocator

    matrix = np.asarray(matrix)
    classes = len(matrix)
    legible = classes <= _LEGIBLE_CLASSES
    errors = matrix.astype(float)
    np.fill_diagonal(errors, 0)
    coloured = ax.imshow(errors, cmap="Reds", vmin=0, vmax=max(1, errors.max()))
    if legible:
        _write_counts(ax, matrix, errors)
    fontsize = 8 if legible else 5
    ax.set_xticks(range(classes), class_names, rotation=90, fontsize=fontsize)
    ax.set_yticks(range(classes), class_names, fontsize=fontsize)
    ax.set(xlabel="predicted class", ylabel="true class")
    ax.figure.colorbar(
        coloured,
        ax=ax,
        label="images misclassified",
        fraction=0.046,
        pad=0.02,
        ticks=MaxNLocator(integer=True),
    )
    return ax


def _write_counts(ax: Axes, matrix: np.ndarray, errors: np.ndarray) -> None:
    """Write counts into the cells of a confusion matrix, legible on the colours of the errors."""
    for row, column in np.argwhere(matrix).tolist():
        if row == column:
            colour = "grey"
        elif errors[row, column] > 0.6 * errors.max():
            colour = "white"
        else:
            colour = "black"
        count = str(int(matrix[row, column]))
        ax.text(column, row, count, ha="center", va="center", fontsize=8, color=colour)


def learning_curves(figure: FigureBase, history: dict[str, Sequence[float]]) -> FigureBase:
    """Draw loss and accuracy by epoch, in training and validation.

    Args:
        figure: The figure or subfigure to draw in.
        history: The dict of a Keras History, with "loss" and "accuracy", and "val_loss" and
            "val_accuracy" where there is validation.

    Returns:
        The figure.

    Example:
        >>> from camkit import plots
        >>> from matplotlib.figure import Figure
        >>> figure = plots.learning_curves(Figure(), {"loss": [2, 1], "accuracy": [0.5, 0.9]})
        >>> [ax.get_ylabel() for ax in figure.axes]
        ['loss', 'accuracy']
    """
    _use_constrained_layout(figure)
    axes = figure.subplots(1, 2)
    for ax, name in zip(axes, ("loss", "accuracy"), strict=True):
        training = history[name]
        epochs = np.arange(1, len(training) + 1)
        ax.plot(epochs, training, "o-", label="training")
        if f"val_{name}" in history:
            ax.plot(epochs, history[f"val_{name}"], "s--", label="validation")
        ax.set(xlabel="epoch", ylabel=name, xticks=epochs)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False)
    # A curve at accuracy 1 stays in sight.
    axes[1].set_ylim(top=1.02)
    return figure


def embedding(
    ax: Axes,
    points: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    *,
    highlight: int | None = None,
    ring: int | None = None,
) -> Axes:
    """Draw points in the plane, with a colour and a marker for each class.

    Each class that has points is named at the middle of them.

    Args:
        ax: The axes to draw in.
        points: Points (N, 2).
        labels: The class index of each point, (N,).
        class_names: The name of each class.
        highlight: The index of a class; all other classes turn grey.
        ring: The index of a point to draw a ring around.

    Returns:
        The axes.

    Raises:
        ValueError: A point has several labels.

    Example:
        >>> from camkit import plots
        >>> from matplotlib.figure import Figure
        >>> points = [[0, 0], [1, 0], [5, 5]]
        >>> ax = plots.embedding(Figure().subplots(), points, [0, 0, 1], ["apple", "lemon"])
        >>> [text.get_text() for text in ax.texts]
        ['apple', 'lemon']
    """
    from matplotlib import colormaps

    points = np.asarray(points)
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(
            f"labels have the shape {labels.shape}, and a point has one colour: pass one class for "
            "each, such as analysis.predicted"
        )
    colours = colormaps[_COLOURS]
    for c, name in enumerate(class_names):
        members = points[labels == c]
        if len(members) == 0:
            continue
        visible = highlight is None or highlight == c
        ax.scatter(
            members[:, 0],
            members[:, 1],
            s=24,
            color=colours(c % colours.N) if visible else _GREY,
            marker=_MARKERS[c // colours.N % len(_MARKERS)],
            linewidth=0,
            zorder=2 if visible else 1,
        )
        if visible:
            fontsize = 8 if len(class_names) <= _LEGIBLE_CLASSES else 6
            _write_name(ax, name, _middle(members), fontsize)
    if ring is not None:
        x, y = points[ring]
        ax.scatter(x, y, s=160, facecolor="none", edgecolor="black", linewidth=2, zorder=4)
    ax.set(xticks=[], yticks=[])
    ax.set_aspect("equal", "datalim")
    return ax


def _middle(points: np.ndarray) -> np.ndarray:
    """Return the point, of (n, 2), nearest to the median; a mean might lie among other classes."""
    median = np.median(points, axis=0)
    squared_distances = ((points - median) ** 2).sum(axis=1)
    return points[squared_distances.argmin()]


def _write_name(ax: Axes, name: str, point: np.ndarray, fontsize: float) -> None:
    """Write the name of a class just above a point."""
    box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "alpha": 0.75, "linewidth": 0}
    ax.annotate(
        name,
        tuple(point),
        (0, 7),
        textcoords="offset points",
        ha="center",
        zorder=3,
        fontsize=fontsize,
        bbox=box,
    )
