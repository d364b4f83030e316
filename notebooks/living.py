"""Living views: figures of the lessons that follow a slider, on a page from disk and in JupyterLab.

Each function displays one. Where no script runs, a still picture stands in its place.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from io import BytesIO

import numpy as np
from IPython.display import display
from matplotlib.figure import Figure
from PIL import Image

import camkit
from camkit import localize, plots
from camkit.atlas._encoding import picture_address, script_json, to_base64
from camkit.atlas._view import FOLDER, joined, stylesheet
from camkit.atlas.record import palette

# The slider of `show_sum` stops at each of the first channels, later after as many more as grow
# their number by this factor.
GROWTH = 1.06

# A still picture has so many colours.
STILL_COLOURS = 128

# Comments of the view, which a page does not need.
COMMENT = re.compile(r"^ *(?:/\*\*(?:(?!\*/).)*\*/|//[^\n]*)\n", re.MULTILINE | re.DOTALL)

VIEW = """<div>{still}<style>{css}</style><script>{{
const root = document.currentScript.parentElement;
{script}
root.firstChild.replaceWith(new {name}({data}).element);
}}</script></div>"""


def show_sum(image: np.ndarray, parts: np.ndarray, bias: float, name: str) -> None:
    """Display how the sum of channels grows to a class map, the largest contribution first.

    Args:
        image: The picture (H, W, 3), uint8.
        parts: The channels of one picture, each times its weight for the class (h, w, K).
        bias: The bias of the class.
        name: The name of the class.
    """
    counts = stops(parts.shape[-1])
    sums = partial_sums(parts)[np.array(counts) - 1]
    data = {
        "name": name,
        "picture": address_of(image),
        "cells": parts.shape[:2],
        "counts": counts,
        "sums": floats(sums),
        "bias": float(bias),
        "palette": palette(plots.SIGNED, 256),
    }
    steps = np.linspace(0, len(counts) - 1, 4).round().astype(int)
    titles = [name, *(f"{counts[step]} of {counts[-1]} channels" for step in steps)]
    figure = plots.map_row(Figure((9, 2.2)), image, list(sums[steps]), titles)
    alt = f"The map of {name} as a sum of 1 up to {counts[-1]} channels."
    show_view("SumView", data, figure, alt)


def stops(count: int) -> list[int]:
    """Return how many channels the sum has at each stop of the slider: 1, 2, 3, … `count`."""
    counts = [1]
    while counts[-1] < count:
        following = max(counts[-1] + 1, round(GROWTH * counts[-1]))
        counts.append(min(following, count))
    return counts


def partial_sums(parts: np.ndarray) -> np.ndarray:
    """Return the sums (K, h, w) of the 1, 2, … K parts (h, w, K) that add most to the mean."""
    most_first = np.argsort(-np.abs(parts.mean(axis=(0, 1))))
    return np.moveaxis(parts[..., most_first].cumsum(axis=-1), -1, 0)


def show_threshold(image: np.ndarray, cells: np.ndarray, box: np.ndarray, name: str) -> None:
    """Display the box of a map at the threshold of a slider, with its IoU.

    Args:
        image: The picture (H, W, 3), uint8.
        cells: The map of one class (h, w).
        box: The true box x0, y0, x1, y1 in pixels, ends exclusive.
        name: The name of the class.
    """
    data = {
        "name": name,
        "picture": address_of(image),
        "cells": cells.shape,
        "map": floats(cells),
        "size": image.shape[:2],
        "box": np.asarray(box).tolist(),
        "palette": palette(plots.MAP, 256),
    }
    thresholds = (0.2, 0.4, 0.6, 0.8)
    heat = camkit.upsample(cells, image.shape[:2])
    found = [localize.boxes(heat, threshold)[0] for threshold in thresholds]
    ious = localize.iou(found, box)[:, 0]
    kept = [np.where(localize.scaled(heat) >= t, heat, heat.min()) for t in thresholds]
    titles = [name, *(f"τ = {t}: IoU {iou:.2f}" for t, iou in zip(thresholds, ious, strict=True))]
    figure = plots.map_row(Figure((9, 2.2)), image, kept, titles)
    alt = f"What remains of the map of {name} at four thresholds, and the IoU of its box."
    show_view("ThresholdView", data, figure, alt)


def show_deletion(
    image: np.ndarray,
    maps: Mapping[str, np.ndarray],
    predict: Callable[[np.ndarray], np.ndarray],
    target: int,
    name: str,
    steps: int = 20,
) -> np.ndarray:
    """Display how the probability of a class falls as pixels turn grey, and return the curves.

    Args:
        image: The picture (H, W, 3), uint8.
        maps: Up to three maps (H, W) by their names.
        predict: A function from float32 images (n, H, W, 3) to probabilities (n, C).
        target: The class.
        name: The name of the class.
        steps: The number of steps; each takes the same share of the pixels, the highest first.

    Returns:
        The probabilities (maps, steps + 1), as `localize.insertion_deletion` computes them.
    """
    curves, goes = deletion(image, np.stack(list(maps.values())), predict, target, steps)
    data = {
        "name": name,
        "picture": address_of(image),
        "size": image.shape[:2],
        "steps": steps,
        "grey": list(localize.GREY),
        "maps": [
            {"name": key, "curve": curve.tolist(), "goes": to_base64(steps_of_pixels.tobytes())}
            for key, curve, steps_of_pixels in zip(maps, curves, goes, strict=True)
        ],
    }
    figure = Figure((6, 2.6), layout="constrained")
    ax = figure.subplots()
    for key, curve in zip(maps, curves, strict=True):
        ax.plot(np.linspace(0, 1, steps + 1), curve, label=key)
    ax.set(xlabel="share of the pixels painted grey", ylabel=f"probability of {name}", ylim=(0, 1))
    ax.legend()
    alt = f"The probability of {name} as pixels turn grey, by the maps {', '.join(maps)}."
    show_view("DeletionView", data, figure, alt)
    return curves


def deletion(
    image: np.ndarray,
    maps: np.ndarray,
    predict: Callable[[np.ndarray], np.ndarray],
    target: int,
    steps: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return curves of deletion (N, steps + 1), and with which step each pixel goes (N, H, W).

    Both come from `localize.insertion_deletion`: its curves, and the pictures that it asks about.
    """
    batches = []

    def watched(batch: np.ndarray) -> np.ndarray:
        batches.append(batch)
        return predict(batch)

    count = len(maps)
    images = np.broadcast_to(image, (count, *image.shape))
    _, curves = localize.insertion_deletion(watched, images, maps, target, steps=steps)
    # The last batch is filled up.
    asked = np.concatenate(batches)[: count * 2 * (steps + 1)]
    _, deleted = np.moveaxis(asked.reshape(count, 2, steps + 1, *image.shape), 1, 0)
    is_left = (deleted != np.float32(localize.GREY)).any(axis=-1)
    return curves, is_left.sum(axis=1).astype("uint8")


def show_view(name: str, data: dict, still: Figure, alt: str) -> None:
    """Display a view of camkit/atlas/view by the name of its class, with a still picture of it."""
    picture = smaller(plots.png(still, dpi=70))
    html = VIEW.format(
        still=plots.img_tag(picture, alt),
        css=view_style(),
        script=view_script(name),
        name=name,
        data=script_json(data),
    )
    display({"text/html": html, "image/png": picture, "text/plain": alt}, raw=True)


def smaller(picture: bytes) -> bytes:
    """Return a PNG with few colours, which takes a third of the bytes."""
    stream = BytesIO()
    few = Image.open(BytesIO(picture)).convert("RGB").quantize(STILL_COLOURS)
    few.save(stream, "png", optimize=True)
    return stream.getvalue()


@cache
def view_style() -> str:
    """Return the stylesheet of the views."""
    return stylesheet() + (FOLDER / "living.css").read_text(encoding="utf-8")


@cache
def view_script(name: str) -> str:
    """Return the script of a view, which is in the module of its name: sum-view.js for SumView."""
    module = name.removesuffix("View").lower() + "-view.js"
    return COMMENT.sub("", joined(module))


def floats(values: np.ndarray) -> str:
    """Return numbers as float32 in base64."""
    return to_base64(np.asarray(values, "<f4").tobytes())


def address_of(image: np.ndarray) -> str:
    """Return a picture as an address that has its data itself."""
    stream = BytesIO()
    Image.fromarray(np.asarray(image, "uint8")).save(stream, "png", optimize=True)
    return picture_address(stream.getvalue(), "png")
