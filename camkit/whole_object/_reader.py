"""Frozen features, which all remedies compute from a model and the images that they learn from."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import keras
import numpy as np

from camkit.models._backend import compile_forward
from camkit.models._batches import batch_of, fixed_size
from camkit.models._copy import feature_model
from camkit.models._graph import HeadError
from camkit.models._head import Head, find_head
from camkit.models._probe import choose
from camkit.models._serialize import fingerprint

# The number of images that are read at once.
BATCH = 32

REMEDY = "camkit.backbone(name, input_size=...) builds for another size"


class LabelledImages(Protocol):
    """Images with one label each, such as an ImageSet or Scenes with one object."""

    labels: np.ndarray

    def __len__(self) -> int:
        """Return the number of images."""

    def batches(self, batch_size: int, size: int | tuple[int, int]) -> Iterator[np.ndarray]:
        """Yield the images in batches of one size."""


class Reader:
    """Reads the features F (h, w, K) before the GAP head of a model.

    Attributes:
        head: The GAP head, with `kernel` (K, C) and `bias` (C,).
        class_count: The number C of classes.
        size: The size (height, width) of the images that the model takes.
    """

    def __init__(self, model: keras.Model, head: Head) -> None:
        if len(head.features.shape) != 4:
            raise HeadError(
                f"the head reads {head.features.shape[1:]} for each image: the remedies need one "
                "map (height, width, channels)"
            )
        features = feature_model(model, head)
        *_, channels = features.input_shape
        if channels != 3:
            raise HeadError(
                f"the model takes images of {channels} channels, the remedies read RGB (3): for a "
                "gray one keras.Model(rgb, model(keras.ops.image.rgb_to_grayscale(rgb))) does"
            )

        def forward(images):
            return keras.ops.cast(features(images, training=False), "float32")

        self.head = head
        self.class_count = len(head.bias)
        self._shape = features.input_shape[1:]
        self.size = fixed_size(self._shape, REMEDY)
        self._forward = compile_forward(forward, features)

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return the features (B, h, w, K) float32 of images (B, H, W, 3)."""
        batch_size = min(BATCH, len(images))
        features = []
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH]
            batch = batch_of(batch, self._shape, REMEDY)
            # The batch is always full, since the function is recompiled for another size.
            full_batch = np.resize(batch, (batch_size, *batch.shape[1:]))
            full_features = self._forward(full_batch)
            features.append(full_features[: len(batch)])
        return np.concatenate(features)

    def features_and_targets(
        self, images: np.ndarray, targets: int | np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return features (B, h, w, K) and target classes (B,), by default the predicted ones."""
        features = self.features(images)
        gap = features.mean(axis=(1, 2))
        logits = gap @ self.head.kernel + self.head.bias
        return features, choose(logits, targets)


# The reader of the last model by its fingerprint, since several remedies use it in turn.
_LAST: dict[str, Reader] = {}


def reader_of(model: keras.Model) -> Reader:
    """Return the reader of a model, a new one only if the model or its weights have changed."""
    head = find_head(model)
    key = fingerprint(model)
    if key not in _LAST:
        reader = Reader(model, head)
        _LAST.clear()
        _LAST[key] = reader
    return _LAST[key]


class TrainingImages(NamedTuple):
    """The labelled images that a remedy learns from, all in memory."""

    reader: Reader
    # (N, H, W, 3) uint8
    images: np.ndarray
    # (N, h, w, K) float32
    features: np.ndarray
    # (N,) int
    labels: np.ndarray

    def class_maps(self) -> np.ndarray:
        """Return the class activation maps (N, h, w) of the labels."""
        return class_maps(self.features, self.reader.head.kernel, self.labels)


def read_training_images(model: keras.Model, images: LabelledImages) -> TrainingImages:
    """Return all images with their features. Raises ValueError if a label is missing or unknown."""
    reader = reader_of(model)
    labels = np.ravel(images.labels)
    classes = np.arange(reader.class_count)
    is_class = np.isin(labels, classes)
    if len(labels) != len(images) or not is_class.all():
        raise ValueError(
            f"{len(images)} images have {len(labels)} labels, {labels.min()} to {labels.max()}: "
            f"one label per image, 0 to {classes[-1]} as in the model's head, is needed"
        )
    batches = list(images.batches(BATCH, reader.size))
    pixels = np.concatenate(batches)
    return TrainingImages(reader, pixels, reader.features(pixels), labels)


def class_maps(features: np.ndarray, kernel: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the class activation maps (B, h, w) of the targets (B,)."""
    return np.einsum("nyxk,kn->nyx", features, kernel[:, targets])
