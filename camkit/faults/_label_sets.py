"""Wrong labels where images have several: pairs of an image and a class that others contradict."""

from collections.abc import Iterator

import numpy as np

from camkit.faults._images import Fault, Images, probable
from camkit.faults._labels import judge

# With fewer images on either side, none can be held out.
_LEAST = 3


def find_wrong_label_sets(images: Images, is_trusted: np.ndarray) -> Iterator[Fault]:
    """Yield the images that lack a label that they should have, or have one that they should not.

    Of each class it is asked whether an image has the label or not, see `judge`.

    Args:
        images: The images.
        is_trusted: (N,) bool: the images that count in what is said of the others.
    """
    assert images.label_sets is not None
    with_label = images.label_sets[is_trusted].sum(axis=0)
    without_label = is_trusted.sum() - with_label
    classes = np.flatnonzero(np.minimum(with_label, without_label) >= _LEAST)
    for c in classes.tolist():
        given = images.label_sets[:, c].astype(int)
        verdict = judge(images.features, given, is_trusted)
        name = images.class_names[c]
        for n in np.flatnonzero(verdict.is_suspect).tolist():
            other = images.most_similar(n, candidates=np.flatnonzero(given != given[n]))
            given_probability = float(np.exp(verdict.given_log_probability[n]))
            score = 1 - given_probability
            if given[n]:
                reason = f"the label {name} is {probable(given_probability, 1)} probable"
                yield Fault(n, "label", reason, score, other)
                continue
            probability = float(verdict.probability[n])
            reason = f"{name} is {probable(probability)} probable, and no label of the image"
            yield Fault(n, "label", reason, score, other, c, probability)
