"""Wrong labels: images for which another class is as probable as it is for images of that class.

Given the same probabilities, the package cleanlab lists the same images or more, and does not rank
flipped labels better (`tests/bench`). So it is not required.
"""

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import StratifiedKFold

from camkit.faults._images import Fault, Images, probable

# The classifier reads one principal component for each so many images. With more it follows the
# noise of a small set, accuses two to three times as many images whose label is right, and takes up
# to a hundred times as long.
IMAGES_PER_COMPONENT = 4

# The number of the most similar images that are asked for their label.
VOTERS = 5

# Only the trusted images of a class are believed if they are at least this share of it.
LEAST_TRUSTED_SHARE = 0.5


class Opinions(NamedTuple):
    """What the other images say of the label of each of N images.

    Attributes:
        suggestion: (N,) int, the class that is suggested in place of the label, or -1.
        probability: (N,) of the suggestion; NaN without one.
        label_log_probability: (N,) the logarithm of the probability of the label; -inf if the label
            is not known or has fewer than three images.
    """

    suggestion: np.ndarray
    probability: np.ndarray
    label_log_probability: np.ndarray


def find_opinions(images: Images, neighbours: np.ndarray, is_trusted: np.ndarray) -> Opinions:
    """Return what the other images say of the labels.

    A class is predicted with confidence if its probability is at least its mean probability for the
    images labelled with it (Northcutt, Jiang and Chuang, "Confident Learning", JAIR 2021). It is
    suggested if it is more probable than the label, and if more of the nearest images bear it: a
    few wrong labels may mislead the classifier in a region where the neighbours are all of one
    label.

    Args:
        images: The images.
        neighbours: (N, n) the most similar images of each, the most similar first.
        is_trusted: (N,) bool: the images that are believed. Of the others, something else is known
            to be wrong, and they do not count in what is said of the rest.
    """
    rows = _rows_of_common_labels(images.labels)
    opinions = no_opinions(len(images.labels))
    labels = images.labels[rows]
    classes, given = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        return opinions

    is_believed = np.zeros(len(images.labels), bool)
    is_believed[rows] = _trusted_of_classes(is_trusted[rows], given)
    verdict = judge(images.features[rows], given, is_believed[rows])
    opinions.label_log_probability[rows] = verdict.given_log_probability
    for n in np.flatnonzero(verdict.alternative > -1):
        suggestion = classes[verdict.alternative[n]]
        others = neighbours[rows[n]]
        voters = others[is_believed[others]][:VOTERS]
        votes = images.labels[voters]
        if np.sum(votes == suggestion) > np.sum(votes == labels[n]):
            opinions.suggestion[rows[n]] = suggestion
            opinions.probability[rows[n]] = verdict.probability[n]
    return opinions


def no_opinions(count: int) -> Opinions:
    """Return the opinions on images of which nothing is known."""
    return Opinions(np.full(count, -1), np.full(count, np.nan), np.full(count, -np.inf))


def find_wrong_labels(images: Images, opinions: Opinions) -> Iterator[Fault]:
    """Yield the images for which another class is suggested, the least probable label first."""
    # Sort by logarithms, since the score may be 1 for many images.
    for i in np.argsort(opinions.label_log_probability, kind="stable").tolist():
        suggestion = int(opinions.suggestion[i])
        if suggestion == -1:
            continue
        other = images.most_similar(i, candidates=np.flatnonzero(images.labels == suggestion))
        probability = float(opinions.probability[i])
        label_probability = float(np.exp(opinions.label_log_probability[i]))
        reason = (
            f"{images.class_names[suggestion]} is {probable(probability)} probable, "
            f"the label {images.label_name(i)} {probable(label_probability, 1)}"
        )
        yield Fault(i, "label", reason, 1 - label_probability, other, suggestion, probability)


class Verdict(NamedTuple):
    """What a classifier says of the classes that n images were given.

    Attributes:
        alternative: (n,) the class that contradicts the given one, or -1.
        probability: (n,) of the alternative; NaN without one.
        given_log_probability: (n,) the logarithm of the probability of the given class.
    """

    alternative: np.ndarray
    probability: np.ndarray
    given_log_probability: np.ndarray


def judge(features: np.ndarray, given: np.ndarray, is_trusted: np.ndarray) -> Verdict:
    """Return what the trusted images say of the classes (n,) that were given, 0 to K − 1.

    Each class needs three trusted images.
    """
    log_probabilities = _held_out_log_probabilities(features, given, is_trusted)
    probabilities = np.exp(log_probabilities)
    means = _mean_self_confidence(probabilities[is_trusted], given[is_trusted])
    is_confident = probabilities >= means
    is_given = np.arange(probabilities.shape[1]) == given[:, None]
    alternatives = np.where(is_confident & ~is_given, log_probabilities, -np.inf)
    of_given = log_probabilities[is_given]
    best = alternatives.argmax(axis=1)
    is_contradicted = alternatives.max(axis=1) > of_given
    probability = np.take_along_axis(probabilities, best[:, None], axis=1)[:, 0]
    return Verdict(
        np.where(is_contradicted, best, -1),
        np.where(is_contradicted, probability, np.nan),
        of_given,
    )


def _rows_of_common_labels(labels: np.ndarray) -> np.ndarray:
    """Return the indices of the images whose label occurs at least three times."""
    classes, counts = np.unique(labels[labels > -1], return_counts=True)
    # With fewer than three images, none can be held out.
    common = classes[counts > 2]
    return np.flatnonzero(np.isin(labels, common))


def _trusted_of_classes(is_trusted: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Return which images (n,) are believed: of a class that has hardly any left, all are."""
    counts = np.bincount(given)
    trusted_counts = np.bincount(given, weights=is_trusted)
    has_enough = trusted_counts >= np.maximum(LEAST_TRUSTED_SHARE * counts, 3)
    return is_trusted | ~has_enough[given]


def _held_out_log_probabilities(
    features: np.ndarray, labels: np.ndarray, is_trusted: np.ndarray
) -> np.ndarray:
    """Return log-probabilities (n, classes) by linear discriminant analysis.

    The probabilities of an image come from a classifier that has seen trusted images except it.
    """
    components = max(len(features) // IMAGES_PER_COMPONENT, 2)
    if features.shape[1] > components:
        reduction = TruncatedSVD(components, random_state=0).fit(features[is_trusted])
        features = reduction.transform(features)
    features = features.astype("float64")
    classes, counts = np.unique(labels[is_trusted], return_counts=True)
    fold_count = int(np.clip(counts.min(), 2, 10))
    folds = StratifiedKFold(fold_count, shuffle=True, random_state=0)
    classifier = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    log_probabilities = np.empty((len(features), len(classes)))
    # Trusted and other images are folded apart, so that every fold has trusted ones of all classes.
    strata = 2 * labels + is_trusted
    with warnings.catch_warnings():
        # Hardly any images of a class may be untrusted.
        warnings.simplefilter("ignore", UserWarning)
        for seen, held_out in folds.split(features, strata):
            seen = seen[is_trusted[seen]]
            classifier.fit(features[seen], labels[seen])
            log_probabilities[held_out] = classifier.predict_log_proba(features[held_out])
    return log_probabilities


def _mean_self_confidence(probabilities: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Return the mean probability (classes,) of each class for the images labelled with it."""
    means = []
    for k, of_class in enumerate(probabilities.T):
        means.append(of_class[given == k].mean())
    # Some classes are almost certain: rounding must not lift the mean above all of their images.
    return np.array(means) - 1e-6
