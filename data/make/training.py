"""Train the embedded backbone: from features averaged over one object's cells to what it is.

Softmax heads on masked global average pooling tell an object's shape, texture, two colours and
gloss. Cells on the background are asked to be silent, so that later a class activation map lights
on the fruit and not beside it.
"""

import keras
import numpy as np
from batches import BATCH_SIZE, ShuffledBatches
from keras import layers, ops
from things import CELLS, HEADS, OBJECTS

from camkit.models.backbones import mini

# How many images decide on the scale of the channels.
IMAGES_TO_LEVEL = 1024
LEVEL_BATCH_SIZE = 64


class Batches(ShuffledBatches):
    """Shuffled batches of images and coverage, each flipped and transposed at random."""

    def __init__(self, images: np.ndarray, cover: np.ndarray, labels: np.ndarray, seed: int):
        """Take what `things.load_or_draw` returns; `seed` decides on order and flips."""
        super().__init__(len(images), seed)
        self.images = images
        self.cover = cover
        self.labels = labels

    def __getitem__(self, index: int) -> tuple:
        """Return the inputs (images, coverage) and the targets of each head of one batch."""
        examples = self.examples(index)
        images = self.images[examples]
        cover = self.cover[examples] / np.float32(255)
        across, down = self.rng.choice([-1, 1], 2)
        images = images[:, ::down, ::across]
        cover = cover[:, :, ::down, ::across]
        if self.rng.random() < 0.5:
            images = images.swapaxes(1, 2)
            cover = cover.swapaxes(2, 3)
        exposure = self.rng.uniform(0.9, 1.1, (BATCH_SIZE, 1, 1, 1)).astype("float32")
        images = np.clip(images * exposure, 0, 255)
        labels = self.labels[examples].astype("int32")
        targets = {head: labels[..., i] for i, head in enumerate(HEADS)}
        targets["background"] = np.zeros((BATCH_SIZE, 1), "float32")
        return (images, cover), targets


def pretraining_model(backbone: keras.Model) -> keras.Model:
    """Return a model from images and coverage to the heads' outputs.

    The heads give logits (n, 4, classes) for each object, "background" the loudness (n, 1) of the
    cells beside the objects, relative to those on them.
    """
    cover = keras.Input((OBJECTS, CELLS, CELLS), name="cover")
    features = backbone.output
    covered = ops.sum(cover, (2, 3), keepdims=True)
    share = cover / (covered + 1e-3)
    # Global average pooling over the cells of each object.
    pooled = ops.einsum("nyxk,noyx->nok", features, share)
    outputs = {head: layers.Dense(count, name=head)(pooled) for head, count in HEADS.items()}
    loudness = ops.mean(features, -1)
    most_covered = ops.max(cover, 1)
    beside = _mean_where(loudness, most_covered < 0.01)
    on_objects = _mean_where(loudness, most_covered > 0.5)
    relative_loudness = beside / (on_objects + 1e-2)
    outputs["background"] = ops.expand_dims(relative_loudness, -1)
    return keras.Model([backbone.input, cover], outputs)


def _mean_where(values, mask):
    """Return the means (n,) of maps (n, h, w) where the masks (n, h, w) are true."""
    weights = ops.cast(mask, values.dtype)
    total = ops.sum(values * weights, (1, 2))
    count = ops.sum(weights, (1, 2))
    return total / (count + 1e-3)


def train(
    images: np.ndarray, cover: np.ndarray, labels: np.ndarray, epochs: int
) -> tuple[keras.Model, keras.Model]:
    """Return the trained backbone and the model with its heads."""
    keras.utils.set_random_seed(0)
    backbone = mini((None, None, 3))
    for layer in backbone.layers:
        if isinstance(layer, layers.BatchNormalization):
            # The run is short: its averages must follow.
            layer.momentum = 0.9
    model = pretraining_model(backbone)
    steps = len(images) // BATCH_SIZE * epochs
    warm_up = steps // 20
    rate = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=1e-4,
        decay_steps=steps - warm_up,
        alpha=0.01,
        warmup_target=3e-3,
        warmup_steps=warm_up,
    )
    # Objects that a scene does not have are labelled -1.
    entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
    losses = dict.fromkeys(HEADS, entropy)
    losses["background"] = "mean_absolute_error"
    weights = dict.fromkeys(HEADS, 1.0)
    weights["background"] = 0.5
    optimizer = keras.optimizers.AdamW(rate, weight_decay=0.01)
    model.compile(optimizer, losses, loss_weights=weights, jit_compile=False)
    model.fit(Batches(images, cover, labels, seed=0), epochs=epochs, verbose=2)
    return backbone, model


def evaluate(
    model: keras.Model, images: np.ndarray, cover: np.ndarray, labels: np.ndarray
) -> dict[str, float]:
    """Return each head's accuracy on new objects, and how loud the background is."""
    inputs = [images.astype("float32"), cover / np.float32(255)]
    outputs = model.predict(inputs, batch_size=50, verbose=0)
    results = {}
    for i, head in enumerate(HEADS):
        expected = labels[..., i]
        predicted = outputs[head].argmax(-1)
        correct = predicted == expected
        present = expected >= 0
        results[head] = float(correct[present].mean())
    results["background"] = float(outputs["background"].mean())
    return results


def level_channels(backbone: keras.Model, images: np.ndarray) -> np.ndarray:
    """Scale the last stage's channels so that every GAP feature has a standard deviation of 1.

    A ReLU network scales: multiply what a residual stage adds up by s > 0 (gamma and beta of the
    normalisations before each sum), divide the kernels that read it by s, and only the output
    changes, by s. A new head then learns equally fast from every channel.

    Args:
        backbone: The backbone, which is changed.
        images: The images (n, h, w, 3) that decide on the scale.

    Returns:
        The GAP features (n, K) before.
    """
    convolutions = [layer for layer in backbone.layers if isinstance(layer, layers.Conv2D)]
    norms = [layer for layer in backbone.layers if isinstance(layer, layers.BatchNormalization)]
    filters = convolutions[-1].filters
    last_stage = [i for i, layer in enumerate(convolutions) if layer.filters == filters]
    gap = _gap_features(backbone, images)
    deviation = gap.std(0)
    least = 0.02 * deviation.mean()
    scale = 1 / np.maximum(deviation, least)
    # What is added up: the first unit, then the branches.
    for i in last_stage[0::2]:
        for weight in (norms[i].gamma, norms[i].beta):
            values = ops.convert_to_numpy(weight)
            weight.assign(values * scale)
    # What reads the sum.
    for i in last_stage[1::2]:
        kernel = ops.convert_to_numpy(convolutions[i].kernel)
        convolutions[i].kernel.assign(kernel / scale[:, None])
    return gap


def _gap_features(backbone: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return the GAP features (n, K) of images (n, h, w, 3)."""
    features = []
    for start in range(0, len(images), LEVEL_BATCH_SIZE):
        batch = images[start : start + LEVEL_BATCH_SIZE]
        maps = ops.convert_to_numpy(backbone(batch, training=False))
        features.append(maps.mean((1, 2)))
    return np.concatenate(features)
