"""Wrong labels: images for which another class is as probable as it is for images of that class.

Given the same probabilities, the package cleanlab lists the same images or more, and does not rank
flipped labels better (`tests/bench`). So it is not required.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from camkit.faults._images import Fault, Images, percent

# The classifier reads one principal component for each so many images. With more it follows the
# noise of a small set, accuses two to three times as many images whose label is right, and takes up
# to a hundred times as long.
IMAGES_PER_COMPONENT = 4


def find_wrong_labels(images: Images) -> Iterator[Fault]:
    """Yield the images whose label is contradicted by other images, the least probable label first.

    A class is predicted with confidence if its probability is at least its mean probability for the
    images labelled with it (Northcutt, Jiang and Chuang, "Confident Learning", JAIR 2021). An image
    is listed if such a class is more probable than its label.
    """
    rows = _rows_of_common_labels(images.labels)
    features = images.features[rows]
    labels = images.labels[rows]
    classes, given = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        return

    for contradiction in contradictions(features, given):
        n, k, probability, label_probability = contradiction
        i = rows[n]
        other = images.most_similar(i, candidates=rows[given == k])
        reason = (
            f"{images.label_name(other)} is {percent(probability)} probable, "
            f"the label {images.label_name(i)} {percent(label_probability, 1)}"
        )
        yield Fault(i, "label", reason, 1 - label_probability, other)


class Contradiction(NamedTuple):
    """An image whose given class is contradicted by an alternative, with their probabilities."""

    image: int
    alternative: int
    probability: float
    given_probability: float


def contradictions(features: np.ndarray, given: np.ndarray) -> Iterator[Contradiction]:
    """Yield the images whose given class, (n,) 0 to K − 1, is contradicted, the surest first.

    Each class needs three images.
    """
    log_probabilities = _held_out_log_probabilities(features, given)
    probabilities = np.exp(log_probabilities)
    is_confident = probabilities >= _mean_self_confidence(probabilities, given)
    is_given = np.arange(probabilities.shape[1]) == given[:, None]
    alternatives = np.where(is_confident & ~is_given, log_probabilities, -np.inf)
    of_given = log_probabilities[is_given]
    # Sort by logarithms, since the score may be 1 for many images.
    for n in np.argsort(of_given).tolist():
        k = int(alternatives[n].argmax())
        if alternatives[n, k] > of_given[n]:
            yield Contradiction(n, k, probabilities[n, k], np.exp(of_given[n]))


def _rows_of_common_labels(labels: np.ndarray) -> np.ndarray:
    """Return the indices of the images whose label occurs at least three times."""
    classes, counts = np.unique(labels[labels > -1], return_counts=True)
    # With fewer than three images, none can be held out.
    common = classes[counts > 2]
    return np.flatnonzero(np.isin(labels, common))


def _held_out_log_probabilities(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return log-probabilities (n, classes) by linear discriminant analysis.

    The probabilities of an image come from a classifier that has not seen it.
    """
    components = max(len(features) // IMAGES_PER_COMPONENT, 2)
    if features.shape[1] > components:
        features = TruncatedSVD(components, random_state=0).fit_transform(features)
    _, counts = np.unique(labels, return_counts=True)
    fold_count = int(np.clip(counts.min(), 2, 10))
    folds = StratifiedKFold(fold_count, shuffle=True, random_state=0)
    classifier = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    features = features.astype("float64")
    return cross_val_predict(classifier, features, labels, cv=folds, method="predict_log_proba")


def _mean_self_confidence(probabilities: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Return the mean probability (classes,) of each class for the images labelled with it."""
    means = []
    for k, of_class in enumerate(probabilities.T):
        means.append(of_class[given == k].mean())
    # Some classes are almost certain: rounding must not lift the mean above all of their images.
    return np.array(means) - 1e-6
