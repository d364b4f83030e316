"""Whether a model classifies far more images correctly in another range of values.

A model that was trained on values of 0 to 1 does not complain of 0 to 255: it answers, and is sure.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from camkit.images import ImageSet
from camkit.images._as_arrays import ArrayReader

# How many images are tried, and how improbable it must be that a model gains on them by chance.
_TRIED = 64
_CHANCE = 1e-3


class _Range(NamedTuple):
    """The values of black and white."""

    black: float
    white: float

    def __str__(self) -> str:
        return f"{self.black:g} to {self.white:g}"


# What images are divided by before training is 255, or 127.5 and then 1 is subtracted.
_RANGES = (_Range(0, 255), _Range(0, 1), _Range(-1, 1))


def hint_of_range(
    labels: np.ndarray,
    predicted: np.ndarray,
    images: ImageSet,
    score: Callable[[np.ndarray], np.ndarray],
    shape: tuple[int, int, int],
    batch_size: int,
) -> str:
    """Return a hint if a model seems to be trained on another range of values, "" otherwise.

    At most _TRIED images that have a label are given to it in each usual range. A sign test
    compares how many are correct.

    Args:
        labels: The class of each image (N,), -1 for none.
        predicted: The predicted class of each image (N,).
        images: The images.
        score: Returns the logits (B, C) of a batch.
        shape: (height, width, channels) of an image in a batch.
        batch_size: B.
    """
    labelled = np.flatnonzero(labels >= 0)
    places = np.linspace(0, len(labelled) - 1, min(len(labelled), _TRIED))
    rows = labelled[places.astype(int)]
    labels = labels[rows]
    is_correct = predicted[rows] == labels
    if 0.5 ** np.sum(~is_correct) > _CHANCE:
        # Not even if all others were correct would it be certain.
        return ""
    given = _RANGES[0]
    if isinstance(images.reader, ArrayReader):
        given = _Range(images.reader.black, images.reader.white)
    ranges = [each for each in _RANGES if each != given]
    answers: dict[_Range, list[int]] = {each: [] for each in ranges}
    height, width, channels = shape
    batches = images.select(rows).batches(batch_size, (height, width), channels=channels)
    for batch in batches:
        for each in ranges:
            # Full batches run in the graph that the analysis has compiled.
            changed = np.resize(_changed(batch, given, each), (batch_size, *batch.shape[1:]))
            answers[each] += score(changed)[: len(batch)].argmax(axis=1).tolist()
    gains = {each: _gain(is_correct, answers[each] == labels) for each in ranges}
    best = max(gains, key=lambda each: gains[each])
    if not gains[best]:
        return ""
    count = np.sum(answers[best] == labels)
    return (
        f"the model is given values of {given} and classifies {is_correct.sum()} of "
        f"{len(rows)} images correctly; of {best} it would be {count}. If it was trained on "
        f"those, begin it with keras.layers.Rescaling({_rescaling(given, best)})"
    )


def _gain(before: np.ndarray, after: np.ndarray) -> int:
    """Return how many more images are correct than before; 0 if that may be by chance."""
    # Not at the top: it takes a second to load, and few analyses need it.
    from scipy.stats import binomtest

    gained = int(np.sum(after & ~before))
    lost = int(np.sum(before & ~after))
    if gained <= lost:
        return 0
    is_certain = binomtest(gained, gained + lost, alternative="greater").pvalue < _CHANCE
    return gained - lost if is_certain else 0


def _changed(batch: np.ndarray, given: _Range, wanted: _Range) -> np.ndarray:
    """Return images whose values are brought from one range to another."""
    scale, offset = _scale(given, wanted)
    return batch.astype(np.float32) * np.float32(scale) + np.float32(offset)


def _scale(given: _Range, wanted: _Range) -> tuple[float, float]:
    scale = (wanted.white - wanted.black) / (given.white - given.black)
    return scale, wanted.black - scale * given.black


def _rescaling(given: _Range, wanted: _Range) -> str:
    """Return the arguments of keras.layers.Rescaling."""
    scale, offset = _scale(given, wanted)
    shown = f"{scale:g}" if scale >= 1 else f"1 / {1 / scale:g}"
    return f"{shown}, offset={offset:g}" if offset else shown
