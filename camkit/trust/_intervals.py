"""Bootstrap intervals of means, and bounds that hold for many means at once."""

import numpy as np

DRAWS = 2000
LEVEL = 0.95


def weights_of_draws(groups: np.ndarray, seed: int) -> np.ndarray:
    """Return how much each image counts in each bootstrap, (DRAWS, N), with the sum 1 in a row.

    Whole groups are drawn, as many as there are, with replacement.
    """
    _, index = np.unique(groups, return_inverse=True)
    count = index.max() + 1
    chances = np.full(count, 1 / count)
    times_drawn = np.random.default_rng(seed).multinomial(count, chances, size=DRAWS)
    weights = times_drawn[:, index]
    return weights / weights.sum(axis=1, keepdims=True)


def interval(values: np.ndarray, weights: np.ndarray) -> tuple[float, float, float]:
    """Return the mean of values (N,), and the ends of its 95 % interval."""
    low, high = np.quantile(weights @ values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(values.mean()), float(low), float(high)


def lower_bounds(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return lower bounds (M,) of the means of M columns of values (N, M), all valid at once.

    With a chance of 95 % no mean lies below its bound, however many columns there are: each error
    is measured in units of its own standard error, and the quantile is that of the largest of the M
    errors of a draw (the single-step max-t method of Westfall & Young, Resampling-Based Multiple
    Testing, 1993). Columns that say nearly the same count nearly as one.
    """
    means = values.mean(axis=0)
    errors = weights @ values - means
    standard_errors = errors.std(axis=0)
    # Rounding leaves a trace of an error where all values are equal.
    varies = standard_errors > 1e-12
    if not varies.any():
        return means
    largest = (errors[:, varies] / standard_errors[varies]).max(axis=1)
    return means - np.quantile(largest, LEVEL) * np.where(varies, standard_errors, 0)
