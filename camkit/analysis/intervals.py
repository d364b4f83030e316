"""Intervals of a mean where images are not independent: frames of a fruit, images of a patient."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

DRAWS = 2000


class Interval(NamedTuple):
    """A mean and the ends of its 95 % interval.

    Example:
        >>> import camkit
        >>> gain = camkit.Interval(0.10, -0.02, 0.21)
        >>> gain.low > 0, f"{gain.mean:+.2f}"
        (False, '+0.10')
    """

    mean: float  # the mean of all values
    low: float  # the lower end of the interval
    high: float  # the upper end of the interval


def interval(
    values: np.ndarray | Sequence[float], groups: np.ndarray | Sequence[object] | None = None
) -> Interval:
    """Return the mean of one value per image and its 95 % interval, by bootstrap over groups.

    Whatever varies from use to use is drawn with replacement: whole groups, with all their images.
    The interval is that of the percentiles of 2000 drawn means (Efron, 1979), from a fixed seed.
    With fewer than about twenty groups it is somewhat too short.

    Args:
        values: One value per image (N,), such as whether it is classified correctly, or a gain: the
            difference of two models on the same image. With several repetitions, such as seeds,
            (R, N); they are drawn as well.
        groups: What each image belongs to (N,): its fruit, patient or writer. By default each image
            is a group of its own.

    Returns:
        The mean of all values, and the lower and upper end of its interval.

    Raises:
        ValueError: If `values` are empty, not finite, masked or of more than two dimensions, if
            `groups` are not one for each image, or if there are fewer than two groups.

    Example:
        >>> import camkit
        >>> correct = [1, 1, 1, 1, 0, 0]
        >>> fruits = ["lemon 1", "lemon 1", "lemon 2", "lemon 2", "lime 1", "lime 1"]
        >>> mean, low, high = camkit.interval(correct, fruits)
        >>> f"{mean:.2f} ({low:.2f} to {high:.2f})"
        '0.67 (0.00 to 1.00)'
    """
    unmasked: np.ndarray = np.ma.asarray(values, dtype="float64").filled(np.nan)
    rows = np.atleast_2d(unmasked)
    if rows.ndim != 2 or rows.size == 0:
        shape = np.shape(values)
        raise ValueError(f"values are (images,) or (repetitions, images), not {shape}")
    is_finite = np.isfinite(rows)
    if not is_finite.all():
        missing = rows.size - is_finite.sum()
        raise ValueError(
            f"{missing} of {rows.size} values are NaN, infinite or masked: leave them out"
        )
    repetitions, images = rows.shape
    if isinstance(groups, np.ma.MaskedArray):
        is_masked = np.ma.getmaskarray(groups)
        groups = groups.data.astype(object)
        groups[is_masked] = None
    labels = np.arange(images) if groups is None else np.asarray(groups)
    if labels.shape != (images,):
        raise ValueError(f"groups are one for each of {images} images, not {labels.shape}")
    group, names = pd.factorize(labels)
    if (group < 0).any():
        raise ValueError(f"groups has no value for image {(group < 0).argmax()}")
    if len(names) < 2:
        raise ValueError("an interval needs two groups or more; all images are of one")

    sizes = np.bincount(group)
    sums = np.stack([np.bincount(group, row) for row in rows])
    random = np.random.default_rng(0)
    groups_drawn = times_drawn(len(names), random)
    repetitions_drawn = times_drawn(repetitions, random)
    shares = repetitions_drawn / repetitions
    totals = np.einsum("dr,rg,dg->d", shares, sums, groups_drawn, optimize=True)
    images_drawn = groups_drawn @ sizes
    means = totals / images_drawn
    low, high = np.quantile(means, (0.025, 0.975))
    mean = rows.mean()
    return Interval(float(mean), float(low), float(high))


def times_drawn(count: int, random: np.random.Generator) -> np.ndarray:
    """Return how often each of `count` things is drawn in each bootstrap, (DRAWS, count).

    As many are drawn as there are, with replacement.
    """
    chances = np.full(count, 1 / count)
    return random.multinomial(count, chances, DRAWS)
