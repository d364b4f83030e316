"""The nearest neighbours of each image: within its label, in other labels, in the other split."""

from typing import NamedTuple

import numpy as np

# The number of images that are compared with all others at a time, to avoid an N×N matrix.
BLOCK = 1024


class Nearest:
    """The nearest neighbour of each image within a relation, such as "images of another label".

    Images fall into groups of one label and one split, so that a relation holds for whole groups.

    Args:
        features: (N, D) unit vectors.
        members: The indices of the images of each of G groups.
        highest: (N, G) the highest cosine of each image with another image of each group.
        is_related: (N, G) bool: whether each group is in the relation to each image. True for all.

    Attributes:
        cosine: (N,) the cosine with the nearest neighbour; -1 if there is none.
    """

    def __init__(
        self,
        features: np.ndarray,
        members: list[np.ndarray],
        highest: np.ndarray,
        is_related: np.ndarray | bool,
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
    """The nearest neighbours within four relations. Unlabelled images (-1) share a label.

    In the other split, neighbours have the same label, or one of the two is unlabelled.
    """

    same_label: Nearest
    other_label: Nearest
    other_split: Nearest
    any: Nearest


def find_neighbours(features: np.ndarray, labels: np.ndarray, splits: np.ndarray) -> Neighbours:
    """Return the nearest neighbours of images.

    Args:
        features: (N, D) unit vectors.
        labels: (N,) int; -1 where an image has no label.
        splits: (N,) int.
    """
    pairs = np.stack([labels, splits])
    groups, group_of = np.unique(pairs, axis=1, return_inverse=True)
    group_labels, group_splits = groups
    numbers = range(len(group_labels))
    members = [np.flatnonzero(group_of == number) for number in numbers]
    highest = _highest_cosines(features, members)

    same_label = labels[:, None] == group_labels
    both_labelled = (labels[:, None] > -1) & (group_labels > -1)
    other_split = splits[:, None] != group_splits
    return Neighbours(
        same_label=Nearest(features, members, highest, same_label),
        other_label=Nearest(features, members, highest, both_labelled & ~same_label),
        other_split=Nearest(
            features, members, highest, other_split & (same_label | ~both_labelled)
        ),
        any=Nearest(features, members, highest, True),
    )


def _highest_cosines(features: np.ndarray, members: list[np.ndarray]) -> np.ndarray:
    """Return the highest cosine (N, G) of each image with the others of each group; -1 if none."""
    # The images of a group are adjacent, so that the maximum over a group is one over a range.
    order = np.concatenate(members)
    sorted_features = features[order]
    sizes = [len(group) for group in members]
    starts = np.cumsum([0, *sizes[:-1]])
    highest = np.empty((len(features), len(members)), "float32")
    for begin in range(0, len(features), BLOCK):
        images = order[begin : begin + BLOCK]
        cosines = sorted_features[begin : begin + BLOCK] @ sorted_features.T
        # An image is not its own neighbour.
        position = np.arange(len(images))
        cosines[position, begin + position] = -1
        highest[images] = np.maximum.reduceat(cosines, starts, axis=1)
    return highest
