"""Backgrounds that give a class away: a sticker, a stamp or a tint on most images of the class."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import ndimage
from skimage import morphology, segmentation

from camkit.faults._images import Fault, Images, percent
from camkit.images.image_set import THREADS
from camkit.maps import arrays
from camkit.scenes import foreground

# About this many images are checked, spread evenly over the classes: 8 to 40 of each.
SAMPLE = 1000
FEWEST_OF_CLASS, MOST_OF_CLASS = 8, 40

# The side in pixels that they are reduced to.
SIDE = 64

# The width of the rim, which is background wherever the object is.
RIM = 2

# The width of the margin around an object, which counts neither as object nor as background.
MARGIN = SIDE // 16

# A background is plain if half of the rim is within this many grey levels of its median colour.
PLAIN = 20

# The smallest difference from the median class that counts, as a share of black to white.
UNLIKE = 0.02


class Background(NamedTuple):
    """An image of SIDE pixels and its background."""

    # (SIDE, SIDE, 3) int16
    image: np.ndarray
    # (SIDE, SIDE) bool: everything except the object and a margin around it; only the rim if the
    # background is not plain or is hidden.
    mask: np.ndarray
    # (3,) the median colour of the rim
    colour: np.ndarray
    is_plain: bool


def find_telling_backgrounds(images: Images) -> Iterator[Fault]:
    """Yield the classes that their background gives away.

    A fault names the two images whose background is the strongest evidence for the class. Pixels
    decide whether a class is listed; the maps only say how much the model relies on its background.
    A background that looks like all others cannot reveal a class: evidence in the cells beside an
    object then comes from the object.
    """
    labelled = images.labels[images.labels > -1]
    classes = np.unique(labelled)
    if len(classes) < 3 or not images.has_maps_of_all_classes():
        return
    sample = _sample(images.labels, classes)
    with ThreadPoolExecutor(THREADS) as pool:
        pixels = pool.map(lambda i: images.read(i, (SIDE, SIDE)), sample)
        backgrounds = list(map(background_of, pixels))
    # Photographs have no background that could be compared.
    if np.mean([background.is_plain for background in backgrounds]) < 0.5:
        return

    labels = images.labels[sample]
    masks = [background.mask for background in backgrounds]
    on_background, in_total = _evidence(images, sample, masks)
    columns = {
        "unlike": _difference_from_typical(backgrounds),
        "on_background": on_background,
        "in_total": in_total,
    }
    by_class = pd.DataFrame(columns).groupby(labels)
    total = by_class["in_total"].sum().clip(lower=1e-6)
    shares = (by_class["on_background"].sum() / total).clip(0, 1)
    unlike = by_class["unlike"].median()
    median = unlike.median()
    for c in classes[unlike > _fence(unlike)]:
        difference = percent(unlike[c])
        share = percent(shares[c])
        reason = (
            f"background of {images.class_names[c]} differs {difference} from the typical one "
            f"(other classes {percent(median)}) and carries {share} of the class evidence "
            f"(other classes {percent(shares.median())})"
        )
        of_class = np.flatnonzero(labels == c)
        order = np.argsort(-on_background[of_class])
        strongest = of_class[order[:2]]
        # For a class with a single image, both are that image.
        first, second = np.resize(sample[strongest], 2)
        yield Fault(first, "background", reason, shares[c], second)


def background_of(pixels: np.ndarray) -> Background:
    """Separate the background of an image of SIDE pixels from the object."""
    image = pixels.astype("int16")
    rim = np.ones((SIDE, SIDE), bool)
    rim[RIM:-RIM, RIM:-RIM] = False
    colour = np.median(image[rim], axis=0)
    difference = np.abs(image - colour)
    is_near = difference[rim].max(axis=1) <= PLAIN
    is_plain = is_near.mean() >= 0.5
    if not is_plain:
        return Background(image, rim, colour, is_plain)

    # `foreground` expects a white background, so pixels of the background's colour become white.
    on_white = (255 - difference).astype("uint8")
    object_mask = largest_part(foreground(on_white))
    mask = ~ndimage.binary_dilation(object_mask, iterations=MARGIN)
    if not mask.any():
        mask = rim
    return Background(image, mask, colour, is_plain)


def largest_part(mask: np.ndarray) -> np.ndarray:
    """Return the largest part of a mask (H, W) that is cut where it is narrow.

    This separates an object from a sticker that touches it.
    """
    # Nothing outside the image belongs to the mask.
    padded = np.pad(mask, 1)
    depth = ndimage.distance_transform_edt(padded)[1:-1, 1:-1]
    # Peaks are one part unless the saddle between them is deeper by a tenth of the largest depth.
    merged = morphology.reconstruction(depth - 0.1 * depth.max(), depth)
    is_peak = morphology.local_maxima(merged) & mask
    peaks, _ = ndimage.label(is_peak)
    parts = segmentation.watershed(-depth, peaks, mask=mask)
    # Part 0 is everything outside the mask.
    sizes = np.bincount(parts[mask], minlength=2)[1:]
    return parts == 1 + sizes.argmax()


def _sample(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the indices of the images to check, evenly spread over each class."""
    count = int(np.clip(SAMPLE // len(classes), FEWEST_OF_CLASS, MOST_OF_CLASS))
    sample = []
    for c in classes:
        members = np.flatnonzero(labels == c)
        positions = np.linspace(0, len(members) - 1, count).astype(int)
        sample.append(members[np.unique(positions)])
    return np.concatenate(sample)


def _difference_from_typical(backgrounds: list[Background]) -> list[float]:
    """Return the mean difference of each background from the typical colour, 0..1 of the range."""
    typical = np.median([background.colour for background in backgrounds], axis=0)
    differences = []
    for background in backgrounds:
        pixels = background.image[background.mask]
        difference = np.abs(pixels - typical)
        differences.append(difference.mean() / 255)
    return differences


def _evidence(
    images: Images, sample: np.ndarray, masks: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean evidence of each image for its label, on the background and in total.

    A class map has no natural zero, so evidence is measured relative to the map's mean on the
    backgrounds of other classes.
    """
    labels = images.labels[sample]
    coverages = []
    label_maps = []
    background_means = []
    for i, mask in zip(sample, masks, strict=True):
        maps = images.maps(i)
        coverage = arrays.coverage(mask, maps.shape[:2])
        coverages.append(coverage)
        label_maps.append(maps[..., images.labels[i]])
        background_means.append(np.average(maps, axis=(0, 1), weights=coverage))

    background_means = np.array(background_means)
    on_background = []
    in_total = []
    for label, label_map, coverage in zip(labels, label_maps, coverages, strict=True):
        of_others = background_means[labels != label]
        zero = of_others[:, label].mean()
        evidence = label_map - zero
        on_background.append((evidence * coverage).mean())
        in_total.append(evidence.mean())
    return np.array(on_background), np.array(in_total)


def _fence(unlike: pd.Series) -> float:
    """Return the difference from which a class is listed.

    It is Tukey's fence of the lower half, mirrored, since the upper half may hold marked classes.
    """
    low, median = unlike.quantile([0.25, 0.5])
    return median + max(4 * (median - low), UNLIKE)
