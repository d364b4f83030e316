"""Heads that are learnt on frozen features in seconds: softmax layers and small networks."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import keras
import numpy as np
from keras import layers
from scipy.optimize import minimize
from scipy.special import expit, log_softmax

# The number of images in a training step, and of passes over all images.
BATCH = 32
EPOCHS = 15
LEARNING_RATE = 0.002

# The largest number of cells that a layer learns on.
ROWS = 10_000

# The factor of the squared weights that are added to the cross-entropy of a softmax layer.
PENALTY = 5

# The largest number of principal components of the features.
COMPONENTS = 64

# The softmax over cells divides cosines by this temperature.
TEMPERATURE = 0.1


class SoftmaxLayer(NamedTuple):
    """A linear layer whose scores are features · kernel + bias."""

    # (K, C) float32
    kernel: np.ndarray
    # (C,) float32
    bias: np.ndarray


def fit_softmax(features: np.ndarray, targets: np.ndarray) -> SoftmaxLayer:
    """Fit softmax regression and return its weights (K, C) and biases (C,).

    The loss is cross-entropy plus PENALTY times the squared weights on standardised features; it is
    minimised by L-BFGS. scikit-learn's LogisticRegression has the same optimum for more than two
    classes, but does not accept soft targets: with a weighted row for each class it takes up to
    three times as long to come as close, and it leaves out classes without a row.

    Args:
        features: (n, K).
        targets: (n, C) soft targets >= 0; the sum of a row is the weight of that sample.
    """
    mean = features.mean(axis=0)
    deviation = features.std(axis=0)
    # Adding the mean keeps channels that hardly vary from being amplified.
    scale = deviation + max(deviation.mean(), 1e-6)
    standardised = ((features - mean) / scale).astype("float32")
    sample_weights = targets.sum(axis=1, keepdims=True)
    channel_count = features.shape[1]
    class_count = targets.shape[1]

    def unpack(parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        bias = parameters[:class_count]
        kernel = parameters[class_count:]
        return bias, kernel.reshape(channel_count, class_count)

    def loss_and_gradient(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        bias, kernel = unpack(parameters)
        scores = standardised @ kernel.astype("float32") + bias.astype("float32")
        log_probabilities = log_softmax(scores, axis=1)
        penalty = PENALTY * (kernel**2).sum()
        loss = penalty - (targets * log_probabilities).sum()

        slope = sample_weights * np.exp(log_probabilities) - targets
        bias_gradient = slope.sum(axis=0)
        kernel_gradient = standardised.T @ slope + 2 * PENALTY * kernel
        return loss, np.append(bias_gradient, kernel_gradient)

    start = np.zeros(class_count + channel_count * class_count)
    options = {"maxiter": 100}
    result = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", options=options)
    bias, kernel = unpack(result.x)
    # Back from standardised to raw features.
    kernel = kernel / scale[:, None]
    bias = bias - mean @ kernel
    return SoftmaxLayer(kernel.astype("float32"), bias.astype("float32"))


def fit_cell_layer(
    cells: np.ndarray, losses: np.ndarray, labels: np.ndarray, class_count: int, seed: int
) -> SoftmaxLayer:
    """Fit a per-cell classifier (C classes and the background) on at most ROWS cells.

    Args:
        cells: (N, …, D) the features of the cells of N images.
        losses: (2, N, …) each cell's weight as background and as its image's class.
        labels: (N,) the classes of the images.
        class_count: The number C of classes.
        seed: Draws the cells.

    Returns:
        A layer over C + 1 classes, the last of which is the background.
    """
    background_loss, class_loss = losses.reshape(2, -1)
    cell_count = len(class_loss)
    cell_labels = np.repeat(labels, cell_count // len(labels))
    features = cells.reshape(cell_count, -1)
    rows = np.random.default_rng(seed).permutation(cell_count)[:ROWS]
    row_count = len(rows)

    targets = np.zeros((row_count, class_count + 1))
    targets[np.arange(row_count), cell_labels[rows]] = class_loss[rows]
    targets[:, -1] = background_loss[rows]
    # Scale the weights of the cells to the mean 1, whatever the losses are.
    targets = targets * row_count / targets.sum()
    return fit_softmax(features[rows], targets)


def probability_against_background(
    cells: np.ndarray, layer: SoftmaxLayer, targets: np.ndarray
) -> np.ndarray:
    """Return the probabilities (B, …) that cells (B, …, D) are of the target, not background."""
    kernel, bias = layer
    scores = cells @ kernel + bias
    background_scores = scores[..., -1]
    return expit(of_targets(scores, targets) - background_scores)


def of_targets(values: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the values (B, …) of the targets (B,), given those of all classes (B, …, C)."""
    images = np.arange(len(values))
    return values[images, ..., targets]


class Components(NamedTuple):
    """Principal components of features, of equal spread."""

    # (K,)
    mean: np.ndarray
    # (K, D) float32
    basis: np.ndarray

    def project(self, features: np.ndarray) -> np.ndarray:
        """Return the components (…, D) of features (…, K)."""
        return (features - self.mean) @ self.basis


def fit_components(features: np.ndarray, seed: int) -> Components:
    """Return the principal components, at most 64, of features (…, K); `seed` draws ROWS cells."""
    cells = features.reshape(-1, features.shape[-1])
    if len(cells) > ROWS:
        cells = np.random.default_rng(seed).permutation(cells)[:ROWS]
    # Variances are in ascending order. The floor keeps small ones from being amplified.
    variances, axes = np.linalg.eigh(np.cov(cells.T))
    floor = 1e-3 * variances[-1] + 1e-12
    spread = np.sqrt(np.maximum(variances, 0) + floor)
    basis = np.flip(axes / spread, axis=1)[:, :COMPONENTS]
    return Components(cells.mean(axis=0), basis.astype("float32"))


def unit_vectors(cells: np.ndarray) -> np.ndarray:
    """Return cells (…, D) scaled to length 1; those shorter than 1e-6 stay shorter."""
    lengths = np.linalg.norm(cells, axis=-1, keepdims=True)
    return cells / np.maximum(lengths, 1e-6)


def transfer_map(cells: np.ndarray, reference: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Transfer a map to other cells: each takes the weighted mean of the most similar ones.

    The weights are the softmax of cosine / 0.1 over the reference cells.

    Args:
        cells: (y, x, D) unit vectors.
        reference: (h, w, D) unit vectors, the cells of the map.
        heat: The map (h, w).

    Returns:
        The map (y, x) of the cells.
    """
    channel_count = cells.shape[-1]
    rows = cells.reshape(-1, channel_count)
    columns = reference.reshape(-1, channel_count).T
    cosine = rows @ columns
    highest = cosine.max(axis=1, keepdims=True)
    weights = np.exp((cosine - highest) / TEMPERATURE)
    means = weights @ heat.ravel() / weights.sum(axis=1)
    return means.reshape(cells.shape[:2])


def convolution_factory(seed: int) -> Callable[..., layers.Conv2D]:
    """Return a Conv2D factory with initial weights reproducible from `seed`."""
    rng = np.random.default_rng(seed)
    seeds = iter(rng.integers(0, 2**31, 100).tolist())

    def make(*args, **options) -> layers.Conv2D:
        initializer = keras.initializers.HeNormal(next(seeds))
        return layers.Conv2D(*args, kernel_initializer=initializer, **options)

    return make


def train_maps(
    net: keras.Model, inputs: Sequence[np.ndarray | Callable], labels: np.ndarray, seed: int
) -> None:
    """Train `net` so that the spatial means of its output maps are class logits.

    Args:
        net: A network with one or more output maps (h, w, C).
        inputs: Each is an array (N, …), or a function (count, rng) that draws a batch.
        labels: The classes (N,).
        seed: Draws the order of the images and what the functions draw.
    """
    logits = [layers.GlobalAveragePooling2D()(maps) for maps in net.outputs]
    classifier = keras.Model(net.inputs, logits)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    output_count = len(net.outputs)
    classifier.compile(optimizer, [loss] * output_count)

    rng = np.random.default_rng(seed)
    starts = range(BATCH, len(labels), BATCH)
    for _ in range(EPOCHS):
        order = rng.permutation(len(labels))
        for rows in np.split(order, starts):
            batch = [_draw(source, rows, rng) for source in inputs]
            classifier.train_on_batch(_one_or_list(batch), [labels[rows]] * output_count)


def predict_maps(net: keras.Model, *inputs: np.ndarray) -> list[np.ndarray]:
    """Return a list with the maps (N, h, w, C) of each output of a network."""
    maps = net.predict(_one_or_list(inputs), batch_size=BATCH, verbose=0)
    return maps if isinstance(maps, list) else [maps]


def _draw(source: np.ndarray | Callable, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the rows of an array, or as many rows drawn by a function."""
    if callable(source):
        return source(len(rows), rng)
    return source[rows]


def _one_or_list(arrays: Sequence[np.ndarray]) -> np.ndarray | list[np.ndarray]:
    """Return arrays in the form of a model's inputs in Keras: one array, or a list of several."""
    return list(arrays) if len(arrays) > 1 else arrays[0]
