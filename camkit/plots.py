"""Static figures: arrays and a matplotlib Figure or Axes in, the same out.

Class maps keep their sign and resolution until they come here; every function that draws several says which limits
they share.
"""

import base64
import html
import io

import numpy as np

from camkit.maps.arrays import overlay

MAP, SIGNED = (
    "inferno",
    "coolwarm",
)  # perceptually uniform for evidence; diverging around zero for differences


def png(figure, dpi=110):
    """Return a figure as the bytes of a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", facecolor="white")
    return buffer.getvalue()


def img_tag(picture, alt):
    """Return a PNG (bytes) as an HTML image with alternative text."""
    data = base64.b64encode(picture).decode()
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{data}" style="max-width: 100%; height: auto">'


def show(figure, alt):
    """Display a figure in a notebook with alternative text for those who cannot see it, and close it."""
    from IPython.display import display
    from matplotlib import pyplot

    picture = png(figure)
    bundle = {"text/html": img_tag(picture, alt), "image/png": picture, "text/plain": alt}
    display(bundle, metadata={"image/png": {"alt": alt}}, raw=True)
    pyplot.close(figure)


def image_grid(figure, images, titles=None, *, columns=6):
    """Draw images (H, W, 3) in rows of `columns`, each under its title; return the figure."""
    figure.get_figure(root=True).set_layout_engine("constrained")
    rows = -(-len(images) // columns)
    axes = figure.subplots(rows, min(columns, len(images)), squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for i, (ax, image) in enumerate(zip(axes.flat, images)):
        ax.imshow(image)
        if titles is not None:
            ax.set_title(titles[i], fontsize=9)
    return figure


def map_row(figure, image, maps, titles, *, vmin=0.0, vmax=None, alpha=0.55, cmap=MAP):
    """Draw an image and then each of `maps` (h, w), of any sizes, laid over it with the same limits; return the figure.

    `titles` names the image and the maps. Values outside `vmin`..`vmax` (default: 0 to the highest value of all maps)
    take the end colours, so the default hides negative evidence, as ReLU does.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    figure.get_figure(root=True).set_layout_engine("constrained")
    vmax = max(vmin + 1e-6, *(float(np.max(heat)) for heat in maps)) if vmax is None else vmax
    axes = figure.subplots(1, 1 + len(maps), squeeze=False)[0]
    pictures = [
        image,
        *(overlay(image, heat, vmin=vmin, vmax=vmax, alpha=alpha, cmap=cmap) for heat in maps),
    ]
    for ax, picture, title in zip(axes, pictures, titles, strict=True):
        ax.imshow(picture)
        ax.set_title(title, fontsize=9)
        ax.set_axis_off()
    colours = ScalarMappable(Normalize(vmin, vmax), cmap)
    figure.colorbar(
        colours, ax=list(axes[1:]), label="contribution to the class score", fraction=0.05, pad=0.02
    )
    return figure


def confusion(ax, matrix, class_names):
    """Draw a confusion matrix of counts, true classes in rows, predicted in columns; return the axes.

    Colour shows the errors only, since the diagonal would outshine them; counts are written where there is room.
    """
    from matplotlib.ticker import MaxNLocator

    matrix = np.asarray(matrix)
    n = len(matrix)
    errors = matrix * (1 - np.eye(n))
    picture = ax.imshow(errors, cmap="Reds", vmin=0, vmax=max(1, errors.max()))
    if n <= 20:
        for row, column in zip(*np.nonzero(matrix)):
            dark = errors[row, column] > 0.6 * errors.max() and row != column
            ax.text(
                column,
                row,
                int(matrix[row, column]),
                ha="center",
                va="center",
                fontsize=8,
                color="white" if dark else "grey" if row == column else "black",
            )
    ax.set_xticks(range(n), class_names, rotation=90, fontsize=8 if n <= 20 else 5)
    ax.set_yticks(range(n), class_names, fontsize=8 if n <= 20 else 5)
    ax.set(xlabel="predicted class", ylabel="true class")
    whole = MaxNLocator(integer=True)
    ax.figure.colorbar(
        picture, ax=ax, label="images misclassified", fraction=0.046, pad=0.02, ticks=whole
    )
    return ax


def learning_curves(figure, history):
    """Draw loss and accuracy by epoch, training and validation, from a Keras history dict; return the figure."""
    figure.get_figure(root=True).set_layout_engine("constrained")
    for ax, name in zip(figure.subplots(1, 2), ("loss", "accuracy")):
        epochs = np.arange(1, len(history[name]) + 1)
        ax.plot(epochs, history[name], "o-", label="training")
        if f"val_{name}" in history:
            ax.plot(epochs, history[f"val_{name}"], "s--", label="validation")
        ax.set(xlabel="epoch", ylabel=name, xticks=epochs)
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(frameon=False)
    figure.axes[1].set_ylim(top=1.02)
    return figure


def embedding(ax, points, labels, class_names, *, highlight=None, ring=None):
    """Draw points (N, 2), one colour and marker a class, each class named at the middle of its points; return the axes.

    With `highlight` (a class index) the other classes turn grey; `ring` (a point's index) draws a ring around it.
    """
    from matplotlib import colormaps

    points, labels = np.asarray(points), np.asarray(labels)
    colours = colormaps["tab20"](np.arange(len(class_names)) % 20)
    for c, name in enumerate(class_names):
        members = points[labels == c]
        if not len(members):
            continue
        seen = highlight is None or highlight == c
        ax.scatter(
            *members.T,
            s=24,
            color=colours[c] if seen else "#dddddd",
            marker="os^Dv"[c // 20 % 5],
            linewidth=0,
            zorder=2 if seen else 1,
        )
        if seen:
            middle = members[np.argmin(((members - np.median(members, axis=0)) ** 2).sum(axis=1))]
            ax.annotate(
                name,
                middle,
                (0, 7),
                textcoords="offset points",
                ha="center",
                zorder=3,
                fontsize=8 if len(class_names) <= 20 else 6,
                bbox={
                    "boxstyle": "round,pad=0.1",
                    "facecolor": "white",
                    "alpha": 0.75,
                    "linewidth": 0,
                },
            )
    if ring is not None:
        ax.scatter(*points[ring], s=160, facecolor="none", edgecolor="black", linewidth=2, zorder=4)
    ax.set(xticks=[], yticks=[])
    ax.set_aspect("equal", "datalim")
    return ax
