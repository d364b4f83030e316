"""Strangers: images that are far from all others."""

from collections.abc import Iterator

import numpy as np

from camkit.faults._images import Fault
from camkit.faults._neighbours import Nearest


def find_strangers(nearest: Nearest) -> Iterator[Fault]:
    """Yield the images whose distance to the nearest one exceeds Tukey's fence, on logarithms."""
    distance = np.maximum(1 - nearest.cosine, 1e-6)
    distance = np.log(distance)
    low, high = np.quantile(distance, (0.25, 0.75))
    fence = high + 1.5 * (high - low)
    is_far = distance > fence
    for i in np.flatnonzero(is_far).tolist():
        cosine = nearest.cosine[i]
        reason = f"cosine {cosine:.3f} with the nearest image"
        score = min(1 - cosine, 1.0)
        yield Fault(i, "stranger", reason, score, nearest.index(i))
