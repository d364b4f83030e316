"""Strangers: images that are far from all others."""

from collections.abc import Iterator

import numpy as np

from camkit.faults._images import Fault, Images

# The distance to this one of the nearest images counts, so that two strangers that are like each
# other, or copies of each other, are found as well.
NEAREST = 3

# The number of images with the highest cosine among which the nearest ones are looked for.
CANDIDATES = 8


def find_strangers(images: Images, neighbours: np.ndarray) -> Iterator[Fault]:
    """Yield the images whose distance to the third nearest exceeds Tukey's fence, on logarithms.

    It is the distance of the standardised features, not of unit vectors, since the features of
    strangers are longer than those of other images.

    Args:
        images: The images.
        neighbours: (N, n) those with the highest cosine, the highest first.
    """
    closest = np.empty(len(neighbours), int)
    distance = np.empty(len(neighbours))
    for i, others in enumerate(neighbours[:, :CANDIDATES]):
        distances = images.distances(i, others)
        closest[i] = others[distances.argmin()]
        distance[i] = np.sort(distances)[:NEAREST][-1]

    logarithm = np.log(distance.clip(1e-6))
    low, high = np.quantile(logarithm, (0.25, 0.75))
    fence = high + 1.5 * (high - low)
    usual = max(np.median(distance), 1e-6)
    for i in np.flatnonzero(logarithm > fence).tolist():
        times = distance[i] / usual
        reason = f"{times:.1f} times as far from the nearest images as is usual"
        yield Fault(i, "stranger", reason, 1 - 1 / times, int(closest[i]))
