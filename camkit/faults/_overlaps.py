"""Overlaps: pairs of classes that the images do not tell apart, so that no label is suspect."""

from collections.abc import Iterator

import numpy as np

from camkit.faults._images import Fault, Images
from camkit.faults._labels import Opinions

# Classes overlap if at least this share of their images, and so many, look like the other class.
LEAST_SHARE = 0.1
LEAST_COUNT = 3


def find_overlaps(images: Images, opinions: Opinions) -> Iterator[Fault]:
    """Yield the pairs of classes whose images often look like the other class without suspicion.

    Args:
        images: The images.
        opinions: What the other images say of the labels.
    """
    counts = np.bincount(images.labels[images.labels > -1])
    is_doubtful = (opinions.preferred != images.labels) & (opinions.preferred > -1)
    doubtful = np.flatnonzero(is_doubtful & (opinions.suggestion == -1))
    pairs = np.stack([images.labels[doubtful], opinions.preferred[doubtful]], axis=1)
    pairs = np.sort(pairs, axis=1)
    for a, b in np.unique(pairs, axis=0).tolist():
        of_pair = doubtful[(pairs == (a, b)).all(axis=1)]
        total = int(counts[a] + counts[b])
        share = len(of_pair) / total
        if len(of_pair) < LEAST_COUNT or share < LEAST_SHARE:
            continue
        i = int(of_pair[opinions.label_log_probability[of_pair].argmin()])
        of_other = np.flatnonzero(images.labels == opinions.preferred[i])
        reason = (
            f"{len(of_pair)} of {total} images of {images.class_names[a]} and "
            f"{images.class_names[b]} look more like the other of the two, none of which is "
            "listed as a wrong label"
        )
        yield Fault(i, "overlap", reason, share, images.most_similar(i, candidates=of_other))
