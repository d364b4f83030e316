"""The feature space in which faults, neighbours and t-SNE compare images."""

import os
from typing import TYPE_CHECKING

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.preprocessing import normalize

if TYPE_CHECKING:
    from camkit.analysis import Analysis

# The number of principal components that are compared, if there are more channels and images.
COMPONENTS = 128

# A channel's standard deviation is raised by this share of that of all values, so that a channel
# that hardly varies is not amplified to the scale of the others.
FLOOR = 0.01

# A message lists at most this many classes.
_MOST_NAMES = 5


def feature_space(*gaps: np.ndarray) -> list[np.ndarray]:
    """Return unit vectors of the standardised GAP features of one or more sets of images.

    All sets are standardised together, channel by channel, and reduced to their 128 principal
    components if there are more channels and images than that. The vectors are then scaled to unit
    length, so that the product of two of them is the cosine of the angle between them: the
    similarity of two images. The network is not run again.

    Args:
        *gaps: GAP features (N_i, K) of each set, float32, all by the same model, such as
            `analysis.gap` and `reference.gap`. There must be at least one image.

    Returns:
        One array (N_i, D) for each set, of the same dtype, with D = K or 128. Each row has length 1
        (0 for an image whose features are all equal to the mean).

    >>> test, train = np.eye(4, 3, dtype="float32"), np.ones((2, 3), "float32")
    >>> test, train = feature_space(test, train)
    >>> test.shape, train.shape
    ((4, 3), (2, 3))
    >>> cosine = test @ train.T
    """
    gap = np.concatenate(gaps)
    features = normalize((gap - gap.mean(axis=0)) / deviation_of(gap))
    if min(features.shape) > COMPONENTS:
        reduction = TruncatedSVD(COMPONENTS, random_state=0)
        features = normalize(reduction.fit_transform(features))

    counts = [len(gap) for gap in gaps]
    ends = np.cumsum(counts)[:-1]
    return np.split(features, ends)


def deviation_of(gap: np.ndarray) -> np.ndarray:
    """Return the deviation (K,) of each channel of GAP features (N, K), never 0."""
    return gap.std(axis=0) + FLOOR * gap.std() + 1e-12


def check_same_model(analysis: "Analysis", reference: "Analysis") -> None:
    """Raise ValueError if two analyses differ in their classes or features."""
    classes = list(analysis.class_names)
    features = analysis.gap.shape[1]
    reference_classes = list(reference.class_names)
    reference_features = reference.gap.shape[1]
    if classes != reference_classes or features != reference_features:
        raise ValueError(
            "the reference has other classes or features than the analysis: the analysis has "
            f"{len(classes)} classes and {features} features, the reference "
            f"{len(reference_classes)} and {reference_features}"
            f"{_differing(classes, reference_classes)}; analyse both with one model"
        )


def _differing(classes: list[str], others: list[str]) -> str:
    """Return the classes that only the analysis or only the reference has, or how they differ."""
    only = [name for name in classes if name not in others]
    only_others = [name for name in others if name not in classes]
    if not only and not only_others:
        return "" if classes == others else ", and the classes in another order"
    return (
        f"; only the analysis has the classes {only[:_MOST_NAMES]}, only the reference "
        f"{only_others[:_MOST_NAMES]}"
    )


def check_files(*analyses: "Analysis | None") -> None:
    """Check that the images of analyses are there, before anything is computed from them.

    Raises:
        FileNotFoundError: If images are missing.
    """
    for analysis in analyses:
        paths = [] if analysis is None else analysis.paths
        missing = [path for path in paths if not os.path.exists(path)]
        if analysis is not None and missing:
            verb = "is" if len(missing) == 1 else "are"
            raise FileNotFoundError(
                f"{len(missing)} of {len(paths)} images {verb} missing, such as {missing[0]}: put "
                f"them back, or, if they were moved, {analyze_again(analysis)}"
            )


def analyze_again(analysis: "Analysis") -> str:
    """Return what to do if the images of an analysis were moved."""
    return (
        f"call camkit.analyze(model, images, {str(analysis.folder)!r}) with the images from their "
        "new folder: it keeps what it has computed"
    )
