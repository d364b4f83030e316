"""Bounds that hold for many means at once, by bootstrap."""

import numpy as np

from camkit.analysis.intervals import times_drawn

LEVEL = 0.95


def weights_of_draws(groups: np.ndarray) -> np.ndarray:
    """Return how much each image counts in each bootstrap, (DRAWS, N), with the sum 1 in a row.

    Whole groups are drawn, as many as there are, with replacement, from a fixed seed. So the means
    of the draws are those of which `camkit.interval` tells the percentiles.
    """
    names, index = np.unique(groups, return_inverse=True)
    random = np.random.default_rng(0)
    groups_drawn = times_drawn(len(names), random)
    images_drawn = groups_drawn[:, index]
    totals = images_drawn.sum(axis=1, keepdims=True)
    return images_drawn / totals


def lower_bounds(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return lower bounds (M,) of the means of M columns of values (N, M), all valid at once.

    With a chance of 95 % no mean lies below its bound, however many columns there are: each error
    is measured in units of its own standard error, and the quantile is that of the largest of the M
    errors of a draw (the single-step max-t method of Westfall & Young, Resampling-Based Multiple
    Testing, 1993). Columns that say nearly the same count nearly as one.
    """
    means = values.mean(axis=0)
    drawn_means = weights @ values
    errors = drawn_means - means
    standard_errors = errors.std(axis=0)
    # Rounding leaves a trace of an error where all values are equal.
    varies = standard_errors > 1e-12
    if not varies.any():
        return means
    relative_errors = errors[:, varies] / standard_errors[varies]
    largest = relative_errors.max(axis=1)
    quantile = np.quantile(largest, LEVEL)
    margins = quantile * np.where(varies, standard_errors, 0)
    return means - margins
