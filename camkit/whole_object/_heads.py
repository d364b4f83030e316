"""Heads: what is learnt on frozen features in seconds, softmax layers on cells or pictures and small nets."""

import keras
import numpy as np
from keras import layers
from scipy.optimize import minimize
from scipy.special import expit, log_softmax

BATCH, ROWS = 32, 10_000  # pictures a step of training; cells that a layer learns on


def softmax_layer(X, T):
    """Weights (K, C) and biases (C,) of a softmax layer on rows X (n, K); targets T (n, C) ≥ 0, whose sums weigh.

    Least cross-entropy, with five times the squared weights on X centred and scaled, by L-BFGS.
    """
    mean, spread, (K, C) = X.mean(axis=0), X.std(axis=0), (X.shape[1], T.shape[1])
    scale = spread + max(spread.mean(), 1e-6)  # channels that hardly vary stay quiet
    Z, total = ((X - mean) / scale).astype("float32"), T.sum(axis=1, keepdims=True)

    def loss(v):
        b, W = v[:C], v[C:].reshape(K, C)
        log_P = log_softmax(Z @ W.astype("float32") + b.astype("float32"), axis=1)
        slope = total * np.exp(log_P) - T
        return 5 * (W**2).sum() - (T * log_P).sum(), np.append(
            slope.sum(axis=0), Z.T @ slope + 10 * W
        )

    v = minimize(loss, np.zeros(C + K * C), jac=True, method="L-BFGS-B", options={"maxiter": 100}).x
    W = v[C:].reshape(K, C) / scale[:, None]
    return W.astype("float32"), (v[:C] - mean @ W).astype("float32")


def place_layer(E, losses, labels, head, seed):
    """A softmax layer over the classes and the ground on places E (N, …, D) of pictures, ROWS of them at most.

    losses (2, N, …): how much a place counts as ground and as its picture's class.
    """
    ground, own = losses.reshape(2, -1)
    rows = np.random.default_rng(seed).permutation(len(own))[:ROWS]
    T = np.zeros((len(rows), len(head.bias) + 1))
    T[np.arange(len(rows)), np.repeat(labels, len(own) // len(labels))[rows]], T[:, -1] = (
        own[rows],
        ground[rows],
    )
    return softmax_layer(E.reshape(len(own), -1)[rows], T * len(rows) / T.sum())


def against_ground(E, layer, targets):
    """The probabilities (B, …) that places E (B, …, D) are of the target rather than ground, by such a layer."""
    W, b = layer
    scores = E @ W + b
    return expit(scores[np.arange(len(E)), ..., targets] - scores[..., -1])


def components(F, seed):
    """A function from features (…, K) to their principal components (…, at most 64), of equal spread in F."""
    cells = F.reshape(-1, F.shape[-1])
    cells = np.random.default_rng(seed).permutation(cells)[:ROWS] if len(cells) > ROWS else cells
    mean = cells.mean(axis=0)
    spread, axes = np.linalg.eigh(np.cov(cells.T))  # from the smallest on
    basis = (axes / np.sqrt(np.maximum(spread, 0) + 1e-3 * spread[-1] + 1e-12))[:, :-65:-1].astype(
        "float32"
    )
    return lambda F: (F - mean) @ basis


def directions(E):
    """E (…, D) of length one."""
    return E / np.maximum(np.linalg.norm(E, axis=-1, keepdims=True), 1e-6)


def told(E, reference, M):
    """What a map M (h, w) says of cells E (y, x, D) by their likeness to its own cells, reference (h, w, D)."""
    likeness = E.reshape(-1, E.shape[-1]) @ reference.reshape(-1, E.shape[-1]).T
    A = np.exp((likeness - likeness.max(axis=1, keepdims=True)) / 0.1)
    return (A @ M.ravel() / A.sum(axis=1)).reshape(E.shape[:2])


def maker(seed):
    """A maker of convolutions whose first weights `seed` draws."""
    seeds = iter(np.random.default_rng(seed).integers(0, 2**31, 100).tolist())
    draw = keras.initializers.HeNormal
    return lambda *args, **more: layers.Conv2D(*args, kernel_initializer=draw(next(seeds)), **more)


def train(net, inputs, labels, seed):
    """Train a net, whose maps' means are logits, for 15 epochs on arrays (N, …) and on what functions draw a batch."""
    means = keras.Model(net.inputs, [layers.GlobalAveragePooling2D()(maps) for maps in net.outputs])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    means.compile(keras.optimizers.Adam(0.002), [loss] * len(net.outputs), jit_compile=False)
    rng, cuts = np.random.default_rng(seed), range(BATCH, len(labels), BATCH)
    for _ in range(15):
        for some in np.split(rng.permutation(len(labels)), cuts):
            x = [part(len(some), rng) if callable(part) else part[some] for part in inputs]
            means.train_on_batch(x if len(x) > 1 else x[0], [labels[some]] * len(net.outputs))


def outputs(net, *inputs):
    """A list of what a net makes of arrays, one for each of its outputs."""
    found = net.predict(list(inputs) if len(inputs) > 1 else inputs[0], batch_size=BATCH, verbose=0)
    return found if isinstance(found, list) else [found]
