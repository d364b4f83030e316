"""What the judge measures of each method and layer, beside maps that know no model."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple, TypeAlias

import keras
import numpy as np

from camkit import localize, maps as attribution
from camkit.localize._weights import layers_from_output, restored, shuffled
from camkit.maps.arrays import coverage, upsample
from camkit.models import _probe as probe
from camkit.models._scores import probabilities
from camkit.trust._marks import planted

# The maps of `localize.baselines`, which know no model.
NOISE = "random"
BASELINES = ("centre", "edges", NOISE)

# Half of what lies on two marks lies on the one that is asked for if a map knows nothing of it.
BLIND_SHARE = 0.5

# The sizes of map whose last layers are judged by default.
_STAGES = 3

# ROAD removes these shares of the cells of a grid of 7×7.
_SHARES = (0.1, 0.3, 0.5)
_CELLS = 7

_LEAST_IOU = 0.5

Method: TypeAlias = Callable[..., np.ndarray]


class Row(NamedTuple):
    """A method at a layer, None where it reads none or the last layer has no name of its own."""

    name: str
    layer: str | None
    explain: Method

    @property
    def reads_layer(self) -> bool:
        """Whether the method can be asked for a layer."""
        fixed = self.explain.keywords if isinstance(self.explain, functools.partial) else {}
        return "layer" in inspect.signature(self.explain).parameters and "layer" not in fixed


class Case(NamedTuple):
    """What is judged: a model, its images (N, H, W, channels) and the class of each (N,)."""

    model: keras.Model
    images: np.ndarray
    targets: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """The height and width of the images."""
        height, width = self.images.shape[1:3]
        return height, width


def rows_of(
    case: Case, methods: Sequence | Mapping, layers: Sequence[str] | None
) -> tuple[list[Row], list[str]]:
    """Return the rows that can be computed, and what is said of the others."""
    if not isinstance(methods, Mapping):
        methods = {_name_of(method): _function_of(method) for method in methods}
    image = case.images[:1]
    named = [Row(name, None, method) for name, method in methods.items()]
    rows = []
    readers = [row for row in named if row.reads_layer]
    if readers:
        for layer in layers or probe.stages(case.model, image, _STAGES):
            rows += [row._replace(layer=layer) for row in readers]
    rows += [row for row in named if not row.reads_layer]
    notes = []
    computed = []
    error: ValueError | None = None
    for row in rows:
        try:
            _explain(row, case.model, image, case.targets[:1])
            computed.append(row)
        except ValueError as refusal:
            error = refusal
            notes.append(f"left out: {called(row.name, row.layer)}: {refusal}")
    if not computed:
        raise error or ValueError("no method is named: camkit.judge(model, images, ['grad_cam'])")
    return computed, notes


def _function_of(method: str | Method) -> Method:
    """Return the method of camkit that has a name, or the function that is given."""
    if not isinstance(method, str):
        return method
    function = getattr(attribution, method, None)
    if function is None:
        raise ValueError(
            f"camkit has no method {method!r}: pass a name such as 'grad_cam', or a function"
        )
    return function


def _name_of(method: str | Method) -> str:
    """Return the name of a method."""
    if isinstance(method, functools.partial):
        method = method.func
    return method if isinstance(method, str) else method.__name__


def called(name: str, layer: str | None) -> str:
    """Return the words for a method at a layer."""
    return f"{name} at {layer!r}" if layer else name


# Maps ---------------------------------------------------------------------------------------------


def _explain(row: Row, model: keras.Model, batch: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the maps of a row, in which values that are no numbers become 0."""
    options = {} if row.layer is None else {"layer": row.layer}
    maps = np.nan_to_num(row.explain(model, batch, targets, **options))
    if maps.ndim != 3 or len(maps) != len(batch):
        raise ValueError(f"maps of shape {maps.shape} are not one (h, w) for each image")
    return maps


def _maps(
    rows: list[Row], model: keras.Model, images: np.ndarray, targets: np.ndarray
) -> list[np.ndarray]:
    """Return the maps (N, h, w) of each row. The rows of one layer share the forward pass."""
    parts: list[list[np.ndarray]] = [[] for _ in rows]
    layers = dict.fromkeys(row.layer for row in rows if row.reads_layer)
    start = 0
    for batch in probe.batches(images):
        of_batch = targets[start : start + len(batch)]
        start += len(batch)
        with ExitStack() as passes:
            for layer in layers:
                passes.enter_context(probe.seen(model, batch, layer))
            for part_of_row, row in zip(parts, rows, strict=True):
                part_of_row.append(_explain(row, model, batch, of_batch))
    return [np.concatenate(part_of_row) for part_of_row in parts]


def maps_and_what_stays(
    case: Case, rows: list[Row], seed: int, done: Callable[[], Any]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the maps (N, H, W) of rows and baselines, and what stays of them (N, R).

    That is the absolute rank correlation with the maps after all weights have been shuffled. The
    weights are shuffled anew for each image, so that what draws images draws shuffles as well.
    """
    first = _maps(rows, case.model, case.images, case.targets)
    layers = layers_from_output(case.model)
    rng = np.random.default_rng(seed)
    parts = []
    with restored(layers) as learned:
        for number in range(len(case.images)):
            # All of them, as for the last comparison of `localize.randomization`.
            for layer, weights in zip(layers, learned, strict=True):
                layer.set_weights(shuffled(weights, rng))
            image = case.images[[number]]
            parts.append(_maps(rows, case.model, image, case.targets[[number]]))
            done()
    last = [np.concatenate(of_row) for of_row in zip(*parts, strict=True)]
    blind = _blind(case, seed)
    other_noise = _blind(case, seed + 1)
    before = [*first, *blind.values()]
    after = [*last, *other_noise.values()]
    stays = [np.abs(localize.rank_correlation(*pair)) for pair in zip(before, after, strict=True)]
    maps = [upsample(heat, case.size) for heat in first]
    return [*maps, *blind.values()], np.stack(stays, axis=1)


def _blind(case: Case, seed: int) -> dict[str, np.ndarray]:
    """Return the maps (N, H, W) of the baselines by name."""
    grey = case.images.mean(axis=-1, keepdims=True)
    colours = case.images if case.images.shape[-1] == 3 else np.repeat(grey, 3, axis=-1)
    maps = localize.baselines(colours, seed)
    return {name: maps[name] for name in BASELINES}


# Measures -----------------------------------------------------------------------------------------


def probabilities_of(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return P (B, C) of images."""
    return probabilities(model, probe.scores(model, images))


def road_of(case: Case, maps: list[np.ndarray], done: Callable[[], Any]) -> np.ndarray:
    """Return P_c without the least relevant cells minus P_c without the most relevant ones (N, R).

    `localize.road` removes pixels of 0 to 255, so the values of the images are scaled to these.
    """
    low = case.images.min()
    unit = (case.images.max() - low) / 255

    def predict(pixels: np.ndarray) -> np.ndarray:
        return probabilities_of(case.model, low + unit * pixels)

    pixels = (case.images - low) / unit
    columns = []
    for heat in maps:
        most, least = localize.road(
            predict, pixels, heat, case.targets, shares=_SHARES, cells=_CELLS
        )
        columns.append((least - most).mean(axis=1))
        done()
    return np.stack(columns, axis=1)


def marks_of(case: Case, rows: list[Row], seed: int) -> np.ndarray:
    """Return the share (N, R) of what lies on two marks that lies on the one that is asked for.

    Both are asked for, and the two shares averaged. Raises ValueError as `planted` does.
    """
    values = np.full((len(case.images), len(rows) + len(BASELINES)), BLIND_SHARE)
    with planted(case.model, case.images, seed) as marked:
        shares = []
        for kind in (0, 1):
            targets = np.full(len(case.images), kind)
            maps = _maps(rows, case.model, marked.images, targets)
            shares.append([marked.shares(heat, kind) for heat in maps])
    values[:, : len(rows)] = np.mean(shares, axis=0).T
    return values


def on_objects(
    maps: list[np.ndarray], masks: list[np.ndarray], boxes: list[np.ndarray]
) -> dict[str, np.ndarray]:
    """Return whether the maps point at the object, and whether their box fits (N, R).

    A box fits with an IoU of 0.5 or more, at the threshold that fits the most images.
    """
    pointing = []
    fits = []
    for heat in maps:
        pointing.append(localize.pointing_game(heat, masks))
        is_fit = localize.best_ious(heat, boxes) >= _LEAST_IOU
        fits.append(is_fit[:, is_fit.mean(axis=0).argmax()])
    return {"pointing": np.stack(pointing, axis=1), "boxes": np.stack(fits, axis=1).astype(float)}


def objects_of(
    images: Any, pixels: np.ndarray, masks: Any, boxes: Any
) -> tuple[list[np.ndarray], list[np.ndarray]] | None:
    """Return the masks (H, W) and boxes (n, 4) of the objects in the images as the model sees them.

    None if neither is given.
    """
    if masks is None and boxes is None:
        return None
    for name, given in (("masks", masks), ("boxes", boxes)):
        if given is not None and len(given) != len(pixels):
            raise ValueError(f"there are {len(given)} {name} and {len(pixels)} images")
    size = pixels.shape[1:3]

    @functools.cache
    def size_of(number: int) -> tuple[int, ...]:
        """Return the size of an image before it is stretched; its file is read anew."""
        return images[number].shape[:2] if hasattr(images, "batches") else size

    true_boxes = [] if boxes is None else _stretched(boxes, size, size_of)
    if masks is None:
        masks = [localize.filled(of_image, size) for of_image in true_boxes]
    else:
        for number, mask in enumerate(masks):
            if np.shape(mask) != size:
                _check_mask(mask, number, size_of(number))
    masks = [coverage(mask, size) >= 0.5 for mask in masks]
    empty = [number for number, mask in enumerate(masks) if not mask.any()]
    if empty:
        raise ValueError(
            f"the masks or boxes of image {empty[0]} hold no pixel, and {len(empty)} of "
            f"{len(masks)} do not: boxes are in pixels; leave out images without an object"
        )
    if boxes is None:
        true_boxes = [localize.boxes(mask, 1) for mask in masks]
    return masks, true_boxes


def _stretched(
    boxes: Sequence[Any], size: tuple[int, int], size_of: Callable[[int], tuple[int, ...]]
) -> list[np.ndarray]:
    """Return the boxes (n, 4) of each image as they are where all images have one size."""
    stretched = []
    for number, of_image in enumerate(boxes):
        height, width = size_of(number)
        _check_boxes(of_image, number, (height, width))
        scale = np.tile([size[1] / width, size[0] / height], 2)
        stretched.append(np.reshape(of_image, (-1, 4)) * scale)
    return stretched


def _check_mask(mask: Any, number: int, size: tuple[int, ...]) -> None:
    """Check that a mask is as large as its image."""
    if np.shape(mask) != size:
        raise ValueError(
            f"mask {number} has shape {np.shape(mask)} and its image {size}: pass masks (H, W) as "
            "large as their images"
        )


def _check_boxes(boxes: Any, number: int, size: tuple[int, ...]) -> None:
    """Check that boxes lie in an image, but for a pixel that was rounded up."""
    height, width = size
    for box in np.reshape(boxes, (-1, 4)):
        x0, y0, x1, y1 = box
        if not (-1 <= x0 < x1 <= width + 1 and -1 <= y0 < y1 <= height + 1):
            raise ValueError(
                f"box {box.tolist()} does not lie in image {number} of {width} x {height} pixels: "
                "boxes are x0, y0, x1, y1 in pixels of the image"
            )
