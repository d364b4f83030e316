"""Copies and twins: images closer to one of another label or split than images should be."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from camkit._progress import progress
from camkit.faults._images import Fault, Images
from camkit.faults._neighbours import Nearest, Neighbours
from camkit.images.image_set import THREADS

# Above this cosine the files are compared: the features of copies differ only by rounding.
SAME = 1 - 1e-4

# A twin is closer than this share of images are to their nearest neighbour of the same label.
OTHER_LABEL_SHARE = 0.9

# Images in two splits are compared by their pixels, at this side, unless their cosine is lower than
# this. Their features would not do: what is usual among them depends on the number of leaks.
SIDE = 16
LEAST_COSINE = 0.4

# They are twins if their pixels differ by less than this many grey levels (the root of the mean
# square), and by less than this share of their contrast, so that pale images are told apart.
# Saving photographs of 100 pixels at JPEG quality 35 changes 1.5 to 2.7 levels, at half the size
# 0.5.
GREY_LEVELS = 2.5
SHARE_OF_CONTRAST = 0.05


def find_copies_and_twins(images: Images, neighbours: Neighbours) -> Iterator[Fault]:
    """Yield images that are copies or twins of an image of another label or in the other split."""
    yield from _of_another_label(images, neighbours)
    yield from _in_the_other_split(images, neighbours.other_split)


def is_copy_with_another_label(fault: Fault, images: Images) -> bool:
    """Return whether a fault is a copy whose two images have different labels."""
    if fault.kind != "copy":
        return False
    label = images.labels[fault.image]
    label_of_copy = images.labels[fault.other]
    are_labelled = label > -1 and label_of_copy > -1
    return are_labelled and label != label_of_copy


def _of_another_label(images: Images, neighbours: Neighbours) -> Iterator[Fault]:
    """Yield the images that are closer to an image of another label than is usual within a label.

    Raises OSError if a file that must be compared cannot be read.
    """
    usual = neighbours.same_label.cosine
    usual = usual[usual > -1]
    if len(usual) < 2:
        # Too few images have a neighbour of their label to say what is usual. Look for copies only.
        usual = np.append(usual, SAME)
    limit = min(np.quantile(usual, OTHER_LABEL_SHARE), SAME)
    nearest = neighbours.other_label
    is_close = nearest.cosine > limit
    for i in np.flatnonzero(is_close).tolist():
        j = nearest.index(i)
        cosine = nearest.cosine[i]
        relation = f"labelled {images.label_name(j)}"
        if cosine > SAME and _is_same_image(images, i, j):
            yield Fault(i, "copy", f"same image {relation}", 1.0, j)
        else:
            reason = f"cosine {cosine:.4f} with an image {relation}, limit {limit:.4f}"
            yield Fault(i, "twin", reason, cosine, j)


def _in_the_other_split(images: Images, nearest: Nearest) -> Iterator[Fault]:
    """Yield the images whose pixels are those of an image in the other split, or nearly so.

    An image is compared with its nearest neighbour, and with the images whose nearest it is. What
    is found does not depend on other images. Raises OSError if a file cannot be read.
    """
    is_candidate = nearest.cosine > LEAST_COSINE
    pairs = [(i, nearest.index(i)) for i in np.flatnonzero(is_candidate).tolist()]
    compared = sorted({i for pair in pairs for i in pair})
    pixels = _thumbnails(images, compared)

    # The most similar image, and its difference, of each image that has a twin.
    twins: dict[int, tuple[float, int]] = {}
    for i, j in pairs:
        difference = _root_mean_square(pixels[i] - pixels[j])
        contrast = min(_contrast(pixels[i]), _contrast(pixels[j]))
        limit = min(GREY_LEVELS, SHARE_OF_CONTRAST * contrast)
        if difference > 0 and difference >= limit:
            continue
        for image, other in ((i, j), (j, i)):
            smallest, _ = twins.get(image, (np.inf, image))
            if difference < smallest:
                twins[image] = (difference, other)

    relation = "in the other split"
    for i, (difference, j) in sorted(twins.items()):
        if _is_same_image(images, i, j):
            yield Fault(i, "copy", f"same image {relation}", 1.0, j)
        elif _contrast(pixels[i]) > 0:
            cosine = float(images.features[i] @ images.features[j])
            reason = f"differs by {difference:.1f} grey levels from an image {relation}"
            yield Fault(i, "twin", reason, cosine, j)


def _thumbnails(images: Images, indices: list[int]) -> dict[int, np.ndarray]:
    """Return the pixels (SIDE, SIDE, 3) float32 of images, by their index."""

    def read(i: int) -> np.ndarray:
        return images.read(i, (SIDE, SIDE)).astype("float32")

    thumbnails = {}
    with (
        ThreadPoolExecutor(THREADS) as pool,
        progress(len(indices), "Comparing the splits", "image") as bar,
    ):
        for i, pixels in zip(indices, pool.map(read, indices), strict=True):
            thumbnails[i] = pixels
            bar.update()
    return thumbnails


def _contrast(pixels: np.ndarray) -> float:
    """Return the deviation of pixels (H, W, 3) from their mean colour, in grey levels."""
    return _root_mean_square(pixels - pixels.mean(axis=(0, 1)))


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _is_same_image(images: Images, i: int, j: int) -> bool:
    """Return whether two files hold the same bytes, or else the same pixels."""
    if Path(images.paths[i]).read_bytes() == Path(images.paths[j]).read_bytes():
        return True
    return np.array_equal(images.read(i), images.read(j))
