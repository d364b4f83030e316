"""How well the values of a map separate the pixels of an object from the others.

Where possible, a measure is one value per image, so that a confidence interval is a bootstrap over
images.
"""

import numpy as np
from scipy import ndimage

from camkit.localize._grid import Arrays, matched, scaled

# The grid of thresholds of Choe et al. for pixels.
SCORES = np.arange(1001) / 1000


def pixel_counts(maps: Arrays, masks: Arrays) -> np.ndarray:
    """Return histograms of the scores of each map, for background and object separately.

    The map is scaled to 0..1, and a pixel is counted at the highest of SCORES that it reaches.

    Args:
        maps: Maps (N, H, W), or a list of N maps, each of its own size.
        masks: Masks (N, H, W) of the same sizes, true where the object is.

    Returns:
        Counts (N, 2, 1001) int: [:, 0] of background pixels, [:, 1] of object pixels.

    Raises:
        ValueError: Numbers or sizes of maps and masks differ, or a value is not finite.

    Example:
        >>> from camkit.localize import pixel_counts
        >>> counts = pixel_counts([[[0.0, 0.5, 1.0]]], [[[False, True, True]]])
        >>> counts[0, 0].nonzero()[0], counts[0, 1].nonzero()[0]
        (array([0]), array([ 500, 1000]))
    """
    counts = []
    for heat, mask in matched(maps, masks):
        score = np.searchsorted(SCORES, scaled(heat), side="right") - 1
        is_object = mask.astype(bool)
        background = np.bincount(score[~is_object], minlength=len(SCORES))
        of_object = np.bincount(score[is_object], minlength=len(SCORES))
        counts.append([background, of_object])
    return np.reshape(counts, (-1, 2, len(SCORES)))


def average_precision(counts: np.ndarray) -> np.ndarray:
    """Return the average precision of pixel counts.

    AP = Σ P(τ)·(R(τ) − R(τ')) with τ from high to low and τ' the value before τ, where P and R are
    the precision and recall of {s >= τ} (Choe et al., CVPR 2020, section 4.1). Counts summed over
    images give PxAP; counts summed over images drawn with replacement give a bootstrap of it.

    Args:
        counts: Counts (…, 2, 1001), such as those of `pixel_counts`.

    Returns:
        The average precision (…), 0..1; NaN where there is no object.

    Example:
        >>> from camkit.localize import average_precision, pixel_counts
        >>> counts = pixel_counts([[[0.0, 0.5, 1.0]]], [[[False, True, False]]])
        >>> average_precision(counts)
        array([0.5])
    """
    reached = np.flip(counts, axis=-1).cumsum(axis=-1)
    background = reached[..., 0, :]
    of_object = reached[..., 1, :]
    # Without an object the recall is 0 / 0.
    with np.errstate(invalid="ignore"):
        recall = of_object / of_object[..., -1:]
    precision = of_object / np.maximum(of_object + background, 1)
    return (precision * np.diff(recall, prepend=0)).sum(axis=-1)


def pxap(maps: Arrays, masks: Arrays) -> float:
    """Return PxAP: average precision over the pixels of all images, at common thresholds.

    It is 1 if all object pixels rank above all others. Chance level is the value of a constant map:
    the share of pixels that are on objects.

    Args:
        maps: Maps (N, H, W), or a list of N maps, each of its own size.
        masks: Masks (N, H, W) of the same sizes, true where the object is.

    Returns:
        PxAP, 0..1.

    Raises:
        ValueError: No mask holds an object, numbers or sizes of maps and masks differ, or a value
            is not finite.

    Example:
        >>> import numpy as np
        >>> from camkit.localize import pxap
        >>> mask = np.array([[False, True, True, False]])
        >>> pxap([[[0.0, 0.5, 1.0, 0.2]]], [mask]), pxap([[[0.0, 0.0, 0.0, 0.0]]], [mask])
        (1.0, 0.5)
    """
    counts = pixel_counts(maps, masks).sum(axis=0)
    if not counts[1].any():
        raise ValueError(
            f"none of the {len(masks)} masks holds an object: a mask is True where the object is"
        )
    return float(average_precision(counts))


def pointing_game(maps: Arrays, masks: Arrays, tolerance: float = 0) -> np.ndarray:
    """Return whether the highest point of each map hits the object; the mean is the accuracy.

    If several points are equally high, the share of them that hits is counted, so that a constant
    map is at chance level (Zhang et al., Top-Down Neural Attention by Excitation Backprop, IJCV
    2018; there with a tolerance of 15 pixels, and with the mean of the classes' accuracies).

    Args:
        maps: Maps (N, H, W), or a list of N maps, each of its own size.
        masks: Masks (N, H, W) of the same sizes, true where the object is.
        tolerance: The largest distance from the object, in pixels, at which a point is still a hit.

    Returns:
        Hits (N,): 0 or 1, or a share between them if several points are equally high.

    Raises:
        ValueError: Numbers or sizes of maps and masks differ.

    Example:
        >>> import numpy as np
        >>> from camkit.localize import pointing_game
        >>> heat = np.array([[0, 2, 1, 0]])
        >>> mask = np.array([[False, False, True, False]])
        >>> pointing_game([heat], [mask]), pointing_game([heat], [mask], tolerance=1)
        (array([0.]), array([1.]))
    """
    hits = []
    for heat, mask in matched(maps, masks):
        is_hit = mask.astype(bool)
        if is_hit.any():
            distance = ndimage.distance_transform_edt(~is_hit)
            is_hit = distance <= tolerance
        highest = heat == heat.max()
        hits.append(is_hit[highest].mean())
    return np.array(hits)
