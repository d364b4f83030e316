"""Marks whose truth is known: the last layer of a network learns to tell two patches apart.

Each picture carries both patches. The network's other layers stay as they are, so that what its
maps show of the marks is what they can show of anything.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import keras
import numpy as np
from sklearn.linear_model import LogisticRegression

from camkit.localize._weights import restored
from camkit.maps.arrays import upsample
from camkit.models import _probe as probe
from camkit.models._kinds import is_quantized

# The places of the marks are drawn so many times for each picture that the last layer learns from.
_LESSONS = 4

# The network must name a mark that is exchanged in this share of the pictures.
_LEAST_KNOWN = 0.9

_STRIPES = 6
_QUADRANTS = 4

_KINDS = (0, 1)

# Other classes than those of the two marks are out of question.
_IMPOSSIBLE = -1e3


class Marked(NamedTuple):
    """Pictures with a mark of each kind, and their places.

    Attributes:
        images: The pictures (N, H, W, channels), float32.
        places: The upper left corner (y, x) of the marks of kinds 0 and 1, (N, 2, 2).
        known: The share of the pictures in which the network names the other kind as soon as the
            one mark is exchanged for the other.
    """

    images: np.ndarray
    places: np.ndarray
    known: float

    def shares(self, maps: np.ndarray, kind: int) -> np.ndarray:
        """Return the share (N,) of a map's positive part on both marks that lies on one of them.

        It is 1/2 where neither has a part.
        """
        enlarged = upsample(maps, self.images.shape[1:3])
        positive = np.maximum(enlarged, 0)
        sums = np.zeros((len(positive), len(_KINDS)))
        for sums_of_map, heat, places in zip(sums, positive, self.places, strict=True):
            for mark, place in enumerate(places):
                on_mark = heat[_area(self.images, place)]
                sums_of_map[mark] = on_mark.sum()
        total = sums.sum(axis=1)
        shares = np.full(len(sums), 0.5)
        np.divide(sums[:, kind], total, out=shares, where=total > 0)
        return shares


@contextmanager
def planted(model: keras.Model, images: np.ndarray, seed: int) -> Iterator[Marked]:
    """Context manager: the model tells two marks apart, as its classes 0 and 1.

    Only the weights of its last layer are others within the block. They are learnt from pictures
    that carry one mark twice, and restored at the end.

    Raises:
        ValueError: The last layer has no weights that can be replaced, or the network cannot tell
            the marks apart.
    """
    layer = probe.last_weighting(model).layer
    learnt = layer.get_weights()
    if is_quantized(layer) or len(learnt) != 1 + layer.use_bias or learnt[0].shape[-1] == 0:
        raise ValueError(f"the weights of the layer {layer.name!r} cannot be replaced")
    rng = np.random.default_rng(seed)
    vectors = []
    for _ in range(_LESSONS):
        vectors += _vectors_of_kinds(model, images, _places(images, rng))
    kinds = np.repeat(np.tile(_KINDS, _LESSONS), len(images))
    weights, bias = _separated(np.concatenate(vectors), kinds, layer.use_bias)

    places = _places(images, rng)
    is_known = np.ones(len(images), bool)
    for kind, vectors_of_kind in enumerate(_vectors_of_kinds(model, images, places)):
        scores = vectors_of_kind @ weights + bias
        is_known &= (scores > 0) == (kind == 1)
    known = float(is_known.mean())
    if known < _LEAST_KNOWN:
        raise ValueError(
            f"the network names both of two marks in {known:.0%} of the pictures only; "
            f"{_LEAST_KNOWN:.0%} are needed, and a guess gives 25%"
        )
    with restored([layer]):
        layer.set_weights(_replaced(learnt, weights, bias))
        marked_images = _with_marks(images, places, _KINDS)
        yield Marked(marked_images, places, known)


def _vectors_of_kinds(
    model: keras.Model, images: np.ndarray, places: np.ndarray
) -> list[np.ndarray]:
    """Return the vectors (N, K) of pictures that carry one mark twice, for each kind of mark."""
    vectors = []
    for kind in _KINDS:
        marked = _with_marks(images, places, (kind, kind))
        vectors.append(_vectors(model, marked))
    return vectors


def _vectors(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return what the last layer with weights reads, averaged over places: (N, K)."""
    parts = [probe.last_vectors(model, batch) for batch in probe.batches(images)]
    vectors = np.concatenate(parts)
    count, *_, channels = vectors.shape
    vectors_of_places = vectors.reshape(count, -1, channels)
    return vectors_of_places.mean(axis=1)


def _separated(
    vectors: np.ndarray, kinds: np.ndarray, has_bias: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (K,) and a bias that score vectors (n, K) above 0 at kind 1."""
    mean = vectors.mean(axis=0) if has_bias else np.zeros(vectors.shape[1])
    spread = vectors.std(axis=0)
    # Adding the mean over all channels keeps a nearly constant one from being amplified.
    scale = spread + max(spread.mean(), 1e-6)
    scaled = (vectors - mean) / scale
    fit = LogisticRegression(C=0.1, max_iter=1000, fit_intercept=has_bias)
    fit.fit(scaled, kinds)
    weights = fit.coef_[0] / scale
    bias = fit.intercept_ - mean @ weights
    return weights, bias


def _replaced(learnt: list[np.ndarray], weights: np.ndarray, bias: np.ndarray) -> list[np.ndarray]:
    """Return weights of a layer whose classes 0 and 1 have the scores ∓(weights · vector + bias)/2.

    A layer of one output, which stands for two classes, has the whole score.
    """
    old_kernel, *old_biases = learnt
    kernel = np.zeros_like(old_kernel)
    if kernel.shape[-1] == 1:
        kernel[..., 0] = weights
        return [kernel, *(np.broadcast_to(bias, old.shape) for old in old_biases)]
    kernel[..., 0] = -weights / 2
    kernel[..., 1] = weights / 2
    biases = []
    for old in old_biases:
        new = np.full_like(old, _IMPOSSIBLE)
        new[0] = -bias[0] / 2
        new[1] = bias[0] / 2
        biases.append(new)
    return [kernel, *biases]


def _size(images: np.ndarray) -> tuple[int, int]:
    """Return the height and width of a mark: a quarter of those of the pictures."""
    height, width = images.shape[1:3]
    return height // 4, width // 4


def _places(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return places (N, 2, 2) of two marks in each picture: (y, x) in two different quadrants."""
    sides = np.array(images.shape[1:3])
    marks = np.array(_size(images))
    # A sixteenth on either side of the middle keeps the marks apart.
    free = sides // 2 - marks - sides // 16
    places = np.zeros((len(images), 2, 2), int)
    for places_of_image in places:
        quadrants = rng.choice(_QUADRANTS, 2, replace=False)
        for number, quadrant in enumerate(quadrants):
            offsets = rng.integers(0, free + 1)
            is_far = np.array(divmod(quadrant, 2), bool)
            places_of_image[number] = np.where(is_far, sides - marks - offsets, offsets)
    return places


def _area(images: np.ndarray, place: np.ndarray) -> tuple[slice, slice]:
    """Return the rows and columns of a mark at a place (y, x)."""
    height, width = _size(images)
    y, x = place
    return slice(y, y + height), slice(x, x + width)


def _with_marks(images: np.ndarray, places: np.ndarray, kinds: tuple[int, int]) -> np.ndarray:
    """Return pictures with marks of these kinds at the places, float32."""
    marks = [_mark(images, kind) for kind in kinds]
    marked = images.astype("float32")
    for image, places_of_image in zip(marked, places, strict=True):
        for mark, place in zip(marks, places_of_image, strict=True):
            image[_area(images, place)] = mark
    return marked


def _mark(images: np.ndarray, kind: int) -> np.ndarray:
    """Return a mark (h, w, channels): stripes, upright or level, in colours of opposite order."""
    height, width = _size(images)
    low, high = images.min(), images.max()
    colour = np.linspace(high, low, images.shape[-1])
    rows, columns = np.indices((height, width))
    if kind == 0:
        stripes = rows * _STRIPES // height
        colour = colour[::-1]
    else:
        stripes = columns * _STRIPES // width
    is_light = stripes % 2 == 1
    return np.where(is_light[..., None], colour, low)
