"""Wrong labels: images whose label is more probably wrong than right.

A classifier says how probable each class is for an image that it has not seen. How far it is to be
believed, and how many labels are wrong, is estimated from the labels of all images.
"""

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax, logsumexp
from sklearn.decomposition import TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import StratifiedKFold

from camkit.faults._images import Fault, Images, probable

# The classifier reads one principal component for each so many images. With more it follows the
# noise of a small set, accuses two to three times as many images whose label is right, and takes up
# to a hundred times as long.
IMAGES_PER_COMPONENT = 4

# The temperatures of the classifier: above 1 it is too certain, and below 1 not certain enough.
TEMPERATURES = np.geomspace(0.25, 16, 13)

# The shares of wrong labels that are considered. In ten well-known test sets it is 0.2 to 10 %
# (Northcutt, Athalye and Mueller, "Pervasive Label Errors in Test Sets Destabilize Machine Learning
# Benchmarks", NeurIPS 2021). The range begins above the lowest: from 0.2 % on, 44 rather than
# 50 wrong labels were found in 60 made sets of 240 images with one each, and 6 rather than 8 right
# ones were accused.
NOISE_RATES = np.geomspace(0.01, 0.5, 24)

# The classifier is fitted again without the images that it suspects. A third time changes nothing
# on the embedded set.
ROUNDS = 2

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


def find_opinions(images: Images, is_trusted: np.ndarray) -> Opinions:
    """Return what the other images say of the labels. See `judge` for when they contradict.

    Args:
        images: The images.
        is_trusted: (N,) bool: the images that are believed. Of the others, something else is known
            to be wrong, and they do not count in what is said of the rest.
    """
    rows = _rows_of_common_labels(images.labels)
    opinions = no_opinions(len(images.labels))
    classes, given = np.unique(images.labels[rows], return_inverse=True)
    if len(classes) < 2:
        return opinions

    verdict = judge(images.features[rows], given[:, None], is_trusted[rows])
    is_suspect = verdict.is_suspect[:, 0]
    suspects = rows[is_suspect]
    opinions.label_log_probability[rows] = verdict.given_log_probability[:, 0]
    opinions.suggestion[suspects] = classes[verdict.alternative[is_suspect, 0]]
    opinions.probability[suspects] = verdict.probability[is_suspect, 0]
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
    """What the images say of the answers that n of them were given to each of J questions.

    Attributes:
        is_suspect: (n, J) bool: whether the given answer is more probably wrong than right.
        alternative: (n, J) the most probable other answer.
        probability: (n, J) of the alternative.
        given_log_probability: (n, J) the logarithm of the probability of the given answer.
    """

    is_suspect: np.ndarray
    alternative: np.ndarray
    probability: np.ndarray
    given_log_probability: np.ndarray


def judge(features: np.ndarray, given: np.ndarray, is_trusted: np.ndarray) -> Verdict:
    """Return what the images say of the answers that were given.

    An answer is one of K classes. If the share ε of all answers is wrong, and wrong answers are
    spread evenly, the given one, y, comes about with the probability

        P(y | image) = (1 − ε)·p_y + ε·(1 − p_y) / (K − 1)

    where p is the classifier's softmax at temperature T, by images except this one. T and ε are
    the most likely ones (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017; Mnih
    and Hinton, "Learning to Label Aerial Images from Noisy Data", ICML 2012). The second term is
    the share of wrong answers in the sum, and above half of it the answer is suspect. So, where
    classes overlap, T is high, and hardly any image is accused of lying in between.

    Args:
        features: (n, D) unit vectors.
        given: (n, J) int, the answers 0 to K − 1. Each is given to three images or more.
        is_trusted: (n,) bool: the images that are believed.
    """
    is_believed = np.broadcast_to(is_trusted[:, None], given.shape)
    for _ in range(ROUNDS):
        of_questions = []
        for answers, are_believed in zip(given.T, is_believed.T, strict=True):
            of_question = _held_out_log_probabilities(features, answers, are_believed)
            of_questions.append(of_question)
        log_probabilities = np.stack(of_questions, axis=1)
        verdict = _most_likely_verdict(log_probabilities, given, is_trusted)
        is_believed = is_trusted[:, None] & ~verdict.is_suspect
    return verdict


def _most_likely_verdict(
    log_probabilities: np.ndarray, given: np.ndarray, is_trusted: np.ndarray
) -> Verdict:
    """Return the verdict by log-probabilities (n, J, K) at the most likely T and ε, see `judge`."""
    count = log_probabilities.shape[2]
    is_given = np.arange(count) == given[:, :, None]
    highest = -np.inf
    for temperature in TEMPERATURES:
        tempered = log_softmax(log_probabilities / temperature, axis=2)
        of_given = tempered[is_given].reshape(given.shape)
        of_others = np.where(is_given, -np.inf, tempered)
        if_wrong = logsumexp(of_others, axis=2) - np.log(count - 1)
        for rate in NOISE_RATES:
            right = np.log(1 - rate) + of_given
            wrong = np.log(rate) + if_wrong
            likelihood = np.logaddexp(right, wrong)[is_trusted].sum()
            if likelihood > highest:
                highest = likelihood
                is_suspect = wrong > right
                likeliest = of_given, of_others
    of_given, of_others = likeliest
    probability = np.exp(of_others.max(axis=2))
    return Verdict(is_suspect, of_others.argmax(axis=2), probability, of_given)


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
    is_trusted = _trusted_of_classes(is_trusted, labels)
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
