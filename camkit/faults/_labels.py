"""Wrong labels: images whose label is more probably wrong than right.

A classifier says how probable each class is for an image that it has not seen. How far it is to be
believed, and how many labels are wrong, is estimated from the labels of all images.
"""

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.special import log_softmax
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

# The share of wrong labels is taken to be at least this. In ten well-known test sets it is 0.2 to
# 10 % (Northcutt, Athalye and Mueller, "Pervasive Label Errors in Test Sets Destabilize Machine
# Learning Benchmarks", NeurIPS 2021).
LEAST_RATE = 0.01

# At most this share of the images of a class is labelled wrongly: beyond, names would be swapped.
HIGHEST_RATE = 0.5

# What is known of a class before its images are seen weighs as much as so many images. With ten,
# labels that are swapped between two classes pass for an overlap at 20 % of them; with one, two
# classes that are the same accuse each other.
PRIOR_IMAGES = 3

# The rates of wrong labels are improved until the likelihood gains less than this.
LEAST_GAIN = 0.01
MOST_STEPS = 100

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
        preferred: (N,) int, the most probable class, -1 where the label has no probability.
    """

    suggestion: np.ndarray
    probability: np.ndarray
    label_log_probability: np.ndarray
    preferred: np.ndarray


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
    if len(classes) < 2 or not is_trusted[rows].any():
        return opinions

    verdict = judge(images.features[rows], given, is_trusted[rows])
    is_suspect = verdict.is_suspect
    suspects = rows[is_suspect]
    opinions.label_log_probability[rows] = verdict.given_log_probability
    opinions.suggestion[suspects] = classes[verdict.alternative[is_suspect]]
    opinions.probability[suspects] = verdict.probability[is_suspect]
    is_other = verdict.probability > np.exp(verdict.given_log_probability)
    opinions.preferred[rows] = classes[np.where(is_other, verdict.alternative, given)]
    return opinions


def no_opinions(count: int) -> Opinions:
    """Return the opinions on images of which nothing is known."""
    no_class = np.full(count, -1)
    log_probability = np.full(count, -np.inf)
    return Opinions(no_class, np.full(count, np.nan), log_probability, no_class.copy())


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
    """What the images say of the labels that n of them were given.

    Attributes:
        is_suspect: (n,) bool: whether the given label is more probably wrong than right.
        alternative: (n,) the most probable other class.
        probability: (n,) of the alternative.
        given_log_probability: (n,) the logarithm of the probability of the given label.
    """

    is_suspect: np.ndarray
    alternative: np.ndarray
    probability: np.ndarray
    given_log_probability: np.ndarray


def judge(features: np.ndarray, given: np.ndarray, is_trusted: np.ndarray) -> Verdict:
    """Return what the images say of the labels that were given.

    If images of class k are labelled y at the rate R_ky, a label y comes about with the probability

        P(y | image) = Σ_k p_k · R_ky

    where p is the classifier's softmax at temperature T, by images except this one. T and R are
    the most likely ones (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017; Mnih
    and Hinton, "Learning to Label Aerial Images from Noisy Data", ICML 2012). Where the terms
    k ≠ y are more than half of the sum, the label is suspect. Wrong labels between two classes that
    can be told apart are explained by R, since they lie anywhere in the other class. Where classes
    overlap, T is high instead, and hardly any image is accused of lying in between.

    Args:
        features: (n, D) unit vectors.
        given: (n,) int, the labels 0 to K − 1. Each is given to three images or more.
        is_trusted: (n,) bool: the images that are believed.
    """
    is_believed = is_trusted
    for _ in range(ROUNDS):
        log_probabilities = _held_out_log_probabilities(features, given, is_believed)
        verdict = _most_likely_verdict(log_probabilities, given, is_trusted)
        is_believed = is_trusted & ~verdict.is_suspect
    return verdict


def _most_likely_verdict(
    log_probabilities: np.ndarray, given: np.ndarray, is_trusted: np.ndarray
) -> Verdict:
    """Return the verdict by log-probabilities (n, K) at the most likely T and R, see `judge`."""
    highest = -np.inf
    for temperature in TEMPERATURES:
        of_temperature = log_softmax(log_probabilities / temperature, axis=1)
        likelihood, of_rates = _most_likely_rates(np.exp(of_temperature), given, is_trusted)
        if likelihood > highest:
            highest = likelihood
            tempered = of_temperature
            rates = of_rates

    rows = np.arange(len(given))
    shares = np.exp(tempered) * rates[:, given].T
    is_suspect = shares[rows, given] < shares.sum(axis=1) / 2
    of_others = tempered.copy()
    of_others[rows, given] = -np.inf
    alternative = of_others.argmax(axis=1)
    probability = np.exp(of_others.max(axis=1))
    return Verdict(is_suspect, alternative, probability, tempered[rows, given])


def _most_likely_rates(
    probabilities: np.ndarray, given: np.ndarray, is_trusted: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return the logarithm of the likelihood of the labels, and the rates R (K, K) of `judge`.

    They are found by expectation maximisation. Before images are seen, wrong labels are spread
    evenly, and all classes have the same share of them.

    Args:
        probabilities: (n, K) of the classes.
        given: (n,) int, the labels.
        is_trusted: (n,) bool: the images that count.
    """
    probabilities = probabilities[is_trusted]
    given = given[is_trusted]
    total, count = probabilities.shape
    ones = np.ones(total)
    is_label = csr_array((ones, (given, np.arange(total))), shape=(count, total))
    expected = _even_rates(LEAST_RATE, count)
    rates = expected
    reached = -np.inf
    for _ in range(MOST_STEPS):
        shares = probabilities * rates[:, given].T
        of_labels = shares.sum(axis=1)
        prior = PRIOR_IMAGES * (expected * np.log(rates / expected)).sum()
        likelihood = np.log(of_labels).sum() + prior
        if likelihood - reached < LEAST_GAIN:
            break
        reached = likelihood
        # How many images of each class (rows) are labelled as each (columns), by the rates so far.
        counts = (is_label @ (shares / of_labels[:, None])).T
        share_wrong = 1 - np.trace(counts) / total
        expected = _even_rates(np.clip(share_wrong, LEAST_RATE, HIGHEST_RATE), count)
        rates = _limited_rates(counts + PRIOR_IMAGES * expected)
    return float(likelihood), rates


def _even_rates(share: float, count: int) -> np.ndarray:
    """Return rates (K, K) at which this share of labels is wrong, all other classes alike."""
    rates = np.full((count, count), share / (count - 1))
    np.fill_diagonal(rates, 1 - share)
    return rates


def _limited_rates(counts: np.ndarray) -> np.ndarray:
    """Return the most likely rates (K, K) by counts > 0, of which HIGHEST_RATE at most is wrong."""
    is_right = np.eye(len(counts), dtype=bool)
    wrong = np.where(is_right, 0, counts)
    of_wrong = wrong.sum(axis=1, keepdims=True)
    share_wrong = np.minimum(of_wrong / counts.sum(axis=1, keepdims=True), HIGHEST_RATE)
    return np.where(is_right, 1 - share_wrong, share_wrong * wrong / of_wrong)


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
