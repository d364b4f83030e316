"""Flip sets of a whole analysis: how few cells decide each prediction, from the maps on disk.

Maps are read in chunks, so that memory does not grow with the number of images.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from camkit.maps.what_if import fewest_cells, largest_cells

# Values of the maps (float32) that are held at a time: few enough for the cache of a processor.
CHUNK_VALUES = 500_000


def flips_of_classes(
    maps: np.ndarray, logits: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each image how few cells decide the prediction, and what is predicted without.

    An error is flipped to the true class; any other image to the class that takes the fewest cells.

    Args:
        maps: Class maps (N, h, w, C) of all classes.
        logits: Logits (N, C).
        labels: Class indices (N,), -1 without a label.

    Returns:
        The numbers of cells (N,), float64, NaN where no number is enough; and the classes (N,) that
        are predicted without them, -1 there.
    """
    counts = np.full(len(labels), np.nan)
    winners = np.full(len(labels), -1)
    for rows, values in _chunks(maps):
        scores = np.asarray(logits[rows], "float64")
        predicted = scores.argmax(axis=1)
        leads = _leads_of_classes(scores, predicted, labels[rows])
        images = np.arange(len(scores))
        of_predicted = values[images, :, predicted]
        differences = of_predicted[:, :, None] - values
        fewest, targets = _first_to_flip(differences, leads)
        cells = largest_cells(differences[images, :, targets], fewest)
        struck = np.einsum("np,npc->nc", cells, values, optimize=True)
        without = scores - struck / values.shape[1]
        counts[rows] = fewest
        winners[rows] = np.where(np.isnan(fewest), -1, without.argmax(axis=1))
    return counts, winners


def _leads_of_classes(scores: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the leads (n, C) over the classes that compete, infinite for the others.

    The predicted class does not compete and, in an error, only the true one does.
    """
    classes = np.arange(scores.shape[1])
    highest = scores.max(axis=1, keepdims=True)
    competes = classes != predicted[:, None]
    is_error = (labels >= 0) & (labels != predicted)
    true_classes = labels[is_error]
    competes[is_error] = classes == true_classes[:, None]
    return np.where(competes, highest - scores, np.inf)


def flips_of_labels(
    maps: np.ndarray, margins: np.ndarray, labels: np.ndarray, predicted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each image how few cells decide a label, and which label that is.

    A label is decided when its logit comes to the other side of its threshold. In an image with
    errors the wrong labels compete, in another one all of them.

    Args:
        maps: Class maps (N, h, w, C) of all classes.
        margins: By how much the logits (N, C) are on the right side of their thresholds.
        labels: The true labels, a mask (N, C).
        predicted: The predicted ones, likewise.

    Returns:
        Numbers of cells and classes as from `flips_of_classes`.
    """
    counts = np.full(len(labels), np.nan)
    classes = np.full(len(labels), -1)
    is_wrong = labels != predicted
    competes = is_wrong | ~is_wrong.any(axis=1, keepdims=True)
    leads = np.where(competes, np.abs(margins), np.inf)
    for rows, values in _chunks(maps):
        differences = _signed(values, predicted[rows, None])
        fewest, first = _first_to_flip(differences, leads[rows])
        counts[rows] = fewest
        classes[rows] = np.where(np.isnan(fewest), -1, first)
    return counts, classes


def flips_of_errors(
    maps: np.ndarray, margins: np.ndarray, labels: np.ndarray, predicted: np.ndarray
) -> np.ndarray:
    """Return how few cells decide each wrong label, NaN where no number is enough.

    The arguments are those of `flips_of_labels`; the errors are in the order of `np.nonzero`.
    """
    counts = []
    for row, c in np.argwhere(labels != predicted):
        values = np.asarray(maps[row, ..., c], "float32").reshape(1, -1)
        differences = _signed(values, predicted[row, c])
        counts.append(fewest_cells(differences, np.abs(margins[row, [c]])))
    return np.concatenate([*counts, np.empty(0)])


def _signed(maps: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return what each cell adds to the lead of a label over its threshold, or to its deficit."""
    return np.where(predicted, maps, -maps)


def _chunks(maps: np.ndarray) -> Iterator[tuple[slice, Any]]:
    """Yield slices of the images, with their maps as float32 (n, P, C)."""
    count, *places, classes = maps.shape
    size = int(np.prod(places))
    step = max(CHUNK_VALUES // (size * classes), 1)
    for start in range(0, count, step):
        rows = slice(start, start + step)
        yield rows, np.asarray(maps[rows], "float32").reshape(-1, size, classes)


def _first_to_flip(differences: np.ndarray, leads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the fewest cells (n,) that take away one of C leads, and which lead (n,) that is.

    Args:
        differences: What each cell adds to each lead, (n, P, C).
        leads: The leads (n, C), infinite where a class does not compete.

    Returns:
        The numbers, NaN where no number is enough, and the classes; of several the one that was
        closest.
    """
    images = np.arange(len(leads))
    closest = leads.argmin(axis=1)
    fewest = fewest_cells(differences[images, :, closest], leads[images, closest])
    rows, classes = np.nonzero(_may_take_fewer(differences, leads, fewest))
    counts = fewest_cells(differences[rows, :, classes], leads[rows, classes])
    # The fewest cells of each image come first and, of several, the closest class.
    order = np.lexsort((leads[rows, classes], counts, rows))
    contested, positions = np.unique(rows[order], return_index=True)
    best = order[positions]
    limits = np.nan_to_num(fewest[contested], nan=np.inf)
    is_fewer = counts[best] < limits
    chosen = contested[is_fewer]
    best = best[is_fewer]
    first = closest.copy()
    first[chosen] = classes[best]
    fewest[chosen] = counts[best]
    return fewest, first


def _may_take_fewer(differences: np.ndarray, leads: np.ndarray, fewest: np.ndarray) -> np.ndarray:
    """Return for which leads (n, C) fewer cells than `fewest` (n,) may be enough.

    k cells take away at most k times the largest difference. So most classes need not be sorted.
    """
    cell_count = differences.shape[1]
    largest = differences.max(axis=1)
    # All cells where no number was enough; a little more, so that rounding leaves none out.
    limits = np.nan_to_num(fewest - 1, nan=cell_count) + 1e-6
    most_taken = limits[:, None] * largest / cell_count
    return np.isfinite(leads) & (leads < most_taken)
