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
    labels = images.labels
    preferred = opinions.preferred
    counts = np.bincount(labels[labels > -1])
    is_judged = preferred > -1
    is_listed = opinions.suggestion > -1
    is_doubtful = is_judged & ~is_listed & (preferred != labels)
    doubtful = np.flatnonzero(is_doubtful)
    pairs = np.stack([labels[doubtful], preferred[doubtful]], axis=1)
    pairs = np.sort(pairs, axis=1)
    for a, b in np.unique(pairs, axis=0).tolist():
        is_of_pair = (pairs == (a, b)).all(axis=1)
        of_pair = doubtful[is_of_pair]
        count = len(of_pair)
        total = int(counts[a] + counts[b])
        share = count / total
        if count < LEAST_COUNT or share < LEAST_SHARE:
            continue
        least_probable = opinions.label_log_probability[of_pair].argmin()
        i = int(of_pair[least_probable])
        of_other = np.flatnonzero(labels == preferred[i])
        other = images.most_similar(i, candidates=of_other)
        first = images.class_names[a]
        second = images.class_names[b]
        reason = (
            f"{count} of {total} images of {first} and {second} look more like the other of the "
            "two, none of which is listed as a wrong label"
        )
        yield Fault(i, "overlap", reason, share, other)
