"""Wrong labels where images have several: pairs of an image and a class that others contradict."""

from collections.abc import Iterator

import numpy as np

from camkit.faults._images import Fault, Images, percent
from camkit.faults._labels import contradictions

# With fewer images on either side, none can be held out.
_LEAST = 3


def find_wrong_label_sets(images: Images) -> Iterator[Fault]:
    """Yield the images that lack a label that they should have, or have one that they should not.

    Each class is judged by itself, as one of two: images with the label and without it.
    """
    assert images.label_sets is not None
    for c, name in enumerate(images.class_names):
        given = images.label_sets[:, c].astype(int)
        if min(given.sum(), len(given) - given.sum()) < _LEAST:
            continue
        for n, k, probability, given_probability in contradictions(images.features, given):
            other = images.most_similar(n, candidates=np.flatnonzero(given == k))
            if k == 1:
                reason = f"{name} is {percent(probability)} probable, and no label of the image"
            else:
                reason = f"the label {name} is {percent(given_probability, 1)} probable"
            yield Fault(n, "label", reason, 1 - given_probability, other)
