"""The nearest neighbours of each image: within its label, in other labels, and in the whole set.

The search is exact. On two cores, 100,000 images of 128 features take less than a minute, so
that no package for approximate neighbours is needed (`tests/bench`).
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from camkit.images.decoding import THREADS

# The number of images that are compared with all others at a time, to avoid an N×N matrix. Each
# thread holds one such block.
BLOCK = 256

# How many of the nearest neighbours are known, whatever their label and split.
SEVERAL = 32

# The highest values of a row are looked for in so many columns at a time.
COLUMNS = 64


class Nearest:
    """The nearest neighbour of each image within a relation, such as "images of another label".

    Images fall into groups of one label, so that a relation holds for whole groups.

    Args:
        features: (N, D) unit vectors.
        members: The indices of the images of each of G groups.
        highest: (N, G) the highest cosine of each image with another image of each group.
        is_related: (N, G) bool: whether each group is in the relation to each image.

    Attributes:
        cosine: (N,) the cosine with the nearest neighbour; -1 if there is none.
    """

    def __init__(
        self,
        features: np.ndarray,
        members: list[np.ndarray],
        highest: np.ndarray,
        is_related: np.ndarray,
    ) -> None:
        candidates = np.where(is_related, highest, -1)
        self.cosine = candidates.max(axis=1)
        self._nearest_group = candidates.argmax(axis=1)
        self._members = members
        self._features = features

    def index(self, i: int) -> int:
        """Return the index of the nearest neighbour of image i."""
        members = self._members[self._nearest_group[i]]
        others = members[members != i]
        cosines = self._features[others] @ self._features[i]
        return others[cosines.argmax()]


class Neighbours(NamedTuple):
    """The nearest neighbours of N images. Unlabelled images (-1) share a label.

    Attributes:
        same_label: The nearest one of the same label.
        other_label: The nearest one of another label; both are labelled.
        several: (N, n) the indices of the nearest ones of any label, the nearest first; n is 32, or
            the number of other images if that is less.
    """

    same_label: Nearest
    other_label: Nearest
    several: np.ndarray


def find_neighbours(features: np.ndarray, labels: np.ndarray) -> Neighbours:
    """Return the nearest neighbours of images.

    Args:
        features: (N, D) unit vectors.
        labels: (N,) int; -1 where an image has no label.
    """
    group_labels, group_of = np.unique(labels, return_inverse=True)
    members = [np.flatnonzero(group_of == number) for number in range(len(group_labels))]
    highest, several = _search(features, members)
    is_same = labels[:, None] == group_labels
    both_labelled = (labels[:, None] > -1) & (group_labels > -1)
    return Neighbours(
        same_label=Nearest(features, members, highest, is_same),
        other_label=Nearest(features, members, highest, both_labelled & ~is_same),
        several=several,
    )


def nearest(queries: np.ndarray, vectors: np.ndarray, count: int) -> np.ndarray:
    """Return the most similar vectors of each query, except the one with its own index.

    Args:
        queries: (N, D) unit vectors.
        vectors: (N, D) unit vectors.
        count: How many there are for each query, less than N.

    Returns:
        Indices (N, count), the most similar first.
    """
    rows = np.empty((len(queries), count), int)
    for block, columns in _blocks(
        queries, vectors, lambda cosines: highest_columns(cosines, count)
    ):
        rows[block] = columns
    return rows


def highest_columns(values: np.ndarray, count: int) -> np.ndarray:
    """Return the columns (B, count) of the highest values of each row of (B, N), highest first.

    The columns are divided into sets. The highest values of a row lie in the sets whose maxima are
    highest, so that only those are sorted.
    """
    candidates = values
    columns = None
    sets = values.shape[1] // COLUMNS
    if sets > count:
        # Set s has the columns s, s + sets, s + 2·sets and so on; columns that are left over
        # are candidates of every row.
        regular = values[:, : sets * COLUMNS].reshape(len(values), COLUMNS, sets)
        maxima = regular.max(axis=1)
        best_sets = np.argpartition(maxima, -count, axis=1)[:, -count:]
        inside = best_sets[:, :, None] + sets * np.arange(COLUMNS)
        inside = inside.reshape(len(values), -1)
        left_over = np.arange(sets * COLUMNS, values.shape[1])
        left_over = np.broadcast_to(left_over, (len(values), len(left_over)))
        columns = np.concatenate([inside, left_over], axis=1)
        candidates = np.take_along_axis(values, columns, axis=1)
    best = np.argpartition(candidates, -count, axis=1)[:, -count:]
    order = np.argsort(-np.take_along_axis(candidates, best, axis=1), axis=1, kind="stable")
    best = np.take_along_axis(best, order, axis=1)
    return best if columns is None else np.take_along_axis(columns, best, axis=1)


def _search(features: np.ndarray, members: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return what is nearest to each image.

    Returns:
        The highest cosine (N, G) with the other images of each group, -1 if there are none; and the
        indices (N, n) of the nearest images.
    """
    # The images of a group are adjacent, so that the maximum over a group is one over a range.
    order = np.concatenate(members)
    sorted_features = features[order]
    sizes = [len(group) for group in members]
    starts = np.cumsum([0, *sizes[:-1]])
    count = min(SEVERAL, len(features) - 1)

    def reduce(cosines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.maximum.reduceat(cosines, starts, axis=1), highest_columns(cosines, count)

    by_group = np.empty((len(features), len(members)), "float32")
    several = np.empty((len(features), count), int)
    for block, (of_groups, columns) in _blocks(sorted_features, sorted_features, reduce):
        by_group[order[block]] = of_groups
        several[order[block]] = order[columns]
    return by_group, several


def _blocks(
    queries: np.ndarray, vectors: np.ndarray, reduce: Callable[[np.ndarray], Any]
) -> Iterator[tuple[slice, Any]]:
    """Yield (block, result) for blocks of queries, where result is `reduce` of their cosines.

    The cosine of a query and the vector of its own index is -1: an image is not its own neighbour.
    """

    def search(begin: int) -> tuple[slice, Any]:
        block = slice(begin, begin + BLOCK)
        cosines = queries[block] @ vectors.T
        position = np.arange(len(cosines))
        cosines[position, begin + position] = -1
        return block, reduce(cosines)

    with ThreadPoolExecutor(THREADS) as pool:
        yield from pool.map(search, range(0, len(queries), BLOCK))
