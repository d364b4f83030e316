"""Twins: images closer to one of another label than images usually are to those of their own."""

from collections.abc import Iterator

import numpy as np

from camkit.faults._copies import Copies
from camkit.faults._images import Fault, Images
from camkit.faults._neighbours import Neighbours

# A twin is closer than this share of images are to their nearest neighbour of the same label.
SHARE = 0.9

# The limit is at most this cosine, which only images with the same content reach.
HIGHEST_LIMIT = 1 - 1e-4


def find_twins(images: Images, neighbours: Neighbours, copies: Copies) -> Iterator[Fault]:
    """Yield the images that are no copies, but very close to an image of another label."""
    limit = _limit(images, neighbours, copies)
    nearest = neighbours.other_label
    for i in np.flatnonzero(nearest.cosine > limit).tolist():
        j = int(nearest.index(i))
        if copies.are_copies(i, j):
            continue
        cosine = float(nearest.cosine[i])
        label = images.label_name(j)
        reason = f"cosine {cosine:.4f} with an image labelled {label}, limit {limit:.4f}"
        yield Fault(i, "twin", reason, cosine, j)


def _limit(images: Images, neighbours: Neighbours, copies: Copies) -> float:
    """Return the cosine above which two images of different labels are twins."""
    if images.label_sets is not None:
        # Few images may share a set of labels, and sets that differ by one label look alike: how
        # close images of one set usually are says little.
        return HIGHEST_LIMIT
    # Copies would raise the limit, and twins hide behind it.
    has_no_copy = np.bincount(copies.groups)[copies.groups] == 1
    usual = neighbours.same_label.cosine
    usual = usual[has_no_copy & (usual > -1)]
    if len(usual) < 2:
        # Too few images have a neighbour of their label to say what is usual.
        usual = np.append(usual, HIGHEST_LIMIT)
    return min(float(np.quantile(usual, SHARE)), HIGHEST_LIMIT)
