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
        of_predicted = _maps_of(predicted, values)
        differences = of_predicted[:, :, None] - values
        fewest, targets = _first_to_flip(differences, leads)
        of_targets = _maps_of(targets, differences)
        cells = largest_cells(of_targets, fewest)
        struck = np.einsum("np,npc->nc", cells, values, optimize=True)
        cell_count = values.shape[1]
        without = scores - struck / cell_count
        counts[rows] = fewest
        winners[rows] = without.argmax(axis=1)
    winners[np.isnan(counts)] = -1
    return counts, winners


def _leads_of_classes(scores: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the leads (n, C) over the classes that compete, infinite for the others.

    The predicted class does not compete and, in an error, only the true one does.
    """
    images = np.arange(len(scores))
    is_error = (labels >= 0) & (labels != predicted)
    errors = np.flatnonzero(is_error)
    true_classes = labels[errors]
    competes = np.ones(scores.shape, dtype=bool)
    competes[images, predicted] = False
    competes[errors] = False
    competes[errors, true_classes] = True
    highest = scores.max(axis=1, keepdims=True)
    leads = highest - scores
    leads[~competes] = np.inf
    return leads


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
    has_errors = is_wrong.any(axis=1, keepdims=True)
    competes = is_wrong | ~has_errors
    leads = np.abs(margins)
    leads = np.where(competes, leads, np.inf)
    for rows, values in _chunks(maps):
        differences = _signed(values, predicted[rows, None])
        fewest, first = _first_to_flip(differences, leads[rows])
        counts[rows] = fewest
        classes[rows] = first
    classes[np.isnan(counts)] = -1
    return counts, classes


def flips_of_errors(
    maps: np.ndarray, margins: np.ndarray, labels: np.ndarray, predicted: np.ndarray
) -> np.ndarray:
    """Return how few cells decide each wrong label, NaN where no number is enough.

    The arguments are those of `flips_of_labels`; the errors are in the order of `np.nonzero`.
    """
    counts = []
    errors = np.argwhere(labels != predicted)
    for row, c in errors:
        values = np.asarray(maps[row, ..., c], "float32")
        differences = _signed(values.reshape(1, -1), predicted[row, c])
        lead = np.abs(margins[[row], c])
        [count] = fewest_cells(differences, lead)
        counts.append(count)
    return np.array(counts, dtype="float64")


def _signed(maps: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return what each cell adds to the lead of a label over its threshold, or to its deficit."""
    return np.where(predicted, maps, -maps)


def _chunks(maps: np.ndarray) -> Iterator[tuple[slice, Any]]:
    """Yield slices of the images, with their maps as float32 (n, P, C)."""
    count, *places, classes = maps.shape
    size = int(np.prod(places))
    step = CHUNK_VALUES // (size * classes)
    step = max(step, 1)
    for start in range(0, count, step):
        rows = slice(start, start + step)
        values = np.asarray(maps[rows], "float32")
        yield rows, values.reshape(-1, size, classes)


def _maps_of(classes: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Return of maps (n, P, C) those (n, P) of one class (n,) for each image."""
    images = np.arange(len(classes))
    return maps[images, :, classes]


def _first_to_flip(differences: np.ndarray, leads: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the fewest cells (n,) that take away one of C leads, and which lead (n,) that is.

    Args:
        differences: What each cell adds to each lead, (n, P, C).
        leads: The leads (n, C), infinite where a class does not compete.

    Returns:
        The numbers, NaN where no number is enough, and the classes; of several the one that was
        closest.
    """
    closest = leads.argmin(axis=1)
    least_leads = leads.min(axis=1)
    of_closest = fewest_cells(_maps_of(closest, differences), least_leads)
    is_contested = _may_take_fewer(differences, leads, of_closest)
    images, classes = np.nonzero(is_contested)
    of_contested = fewest_cells(differences[images, :, classes], leads[images, classes])

    counts = np.full(leads.shape, np.inf)
    np.put_along_axis(counts, closest[:, None], of_closest[:, None], axis=1)
    counts[images, classes] = of_contested
    counts[np.isnan(counts)] = np.inf
    fewest = counts.min(axis=1)
    # Of classes that take equally many cells, the one that was closest comes first.
    is_fewest = counts == fewest[:, None]
    first = np.where(is_fewest, leads, np.inf).argmin(axis=1)
    fewest[np.isinf(fewest)] = np.nan
    return fewest, first


def _may_take_fewer(differences: np.ndarray, leads: np.ndarray, fewest: np.ndarray) -> np.ndarray:
    """Return for which leads (n, C) fewer cells than `fewest` (n,) may be enough.

    k cells take away at most k times the largest difference. So most classes need not be sorted.
    """
    cell_count = differences.shape[1]
    largest = differences.max(axis=1)
    # All cells where no number was enough; a little more, so that rounding leaves none out.
    limits = np.nan_to_num(fewest - 1, nan=cell_count)
    limits += 1e-6
    most_taken = limits[:, None] * largest / cell_count
    # It is finite, and infinite leads are those of classes that do not compete.
    return leads < most_taken
