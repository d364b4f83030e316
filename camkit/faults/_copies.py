"""Copies and twins: images closer to one of another label or split than is usual in a label."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from camkit.faults._images import Fault, Images
from camkit.faults._neighbours import Nearest, Neighbours
from camkit.images.image_set import read_image

# Above this cosine the files are compared: the features of copies differ only by rounding.
SAME = 1 - 1e-4

# A twin is closer than this share of images are to their nearest neighbour of the same label.
OTHER_LABEL_SHARE = 0.9
OTHER_SPLIT_SHARE = 0.99


def find_copies_and_twins(images: Images, neighbours: Neighbours) -> Iterator[Fault]:
    """Yield images that are copies or twins of an image of another label or in the other split."""
    usual = neighbours.same_label.cosine
    usual = usual[usual > -1]
    if len(usual) < 2:
        # Too few images have a neighbour of their label to say what is usual. Look for copies only.
        usual = np.append(usual, SAME)

    def name_label(j: int) -> str:
        return f"labelled {images.label_name(j)}"

    def name_split(_: int) -> str:
        return "in the other split"

    limit = min(np.quantile(usual, OTHER_LABEL_SHARE), SAME)
    yield from _closer_than(limit, images, neighbours.other_label, name_label)
    limit = min(np.quantile(usual, OTHER_SPLIT_SHARE), SAME)
    yield from _closer_than(limit, images, neighbours.other_split, name_split)


def is_copy_with_another_label(fault: Fault, images: Images) -> bool:
    """Return whether a fault is a copy whose two images have different labels."""
    if fault.kind != "copy":
        return False
    label = images.labels[fault.image]
    label_of_copy = images.labels[fault.other]
    are_labelled = label > -1 and label_of_copy > -1
    return are_labelled and label != label_of_copy


def _closer_than(
    limit: float, images: Images, nearest: Nearest, describe: Callable[[int], str]
) -> Iterator[Fault]:
    """Yield the images whose nearest neighbour is closer than the limit, as copies or twins."""
    is_close = nearest.cosine > limit
    for i in np.flatnonzero(is_close).tolist():
        j = nearest.index(i)
        cosine = nearest.cosine[i]
        relation = describe(j)
        if cosine > SAME and _is_same_image(images.paths[i], images.paths[j]):
            yield Fault(i, "copy", f"same image {relation}", 1.0, j)
        else:
            reason = f"cosine {cosine:.4f} with an image {relation}, limit {limit:.4f}"
            yield Fault(i, "twin", reason, cosine, j)


def _is_same_image(first: str, second: str) -> bool:
    """Return whether two files hold the same bytes, or else the same pixels."""
    if Path(first).read_bytes() == Path(second).read_bytes():
        return True
    return np.array_equal(read_image(first), read_image(second))
