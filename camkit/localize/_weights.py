"""Layers that lose their weights for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


def layers_from_output(model: Any) -> list:
    """Return the layers of a model that have weights, from the output down."""
    layers = [layer for layer in _leaves(model) if layer.get_weights()]
    layers.reverse()
    return layers


def _leaves(model: Any) -> list:
    """Return the layers of a model in order, with nested models replaced by their layers."""
    leaves = []
    for layer in model.layers:
        if hasattr(layer, "layers"):
            leaves += _leaves(layer)
        else:
            leaves.append(layer)
    return leaves


@contextmanager
def restored(layers: list) -> Iterator[list[list[np.ndarray]]]:
    """Context manager: yield the weights of layers; at the end, the layers have them again."""
    learned = [layer.get_weights() for layer in layers]
    try:
        yield learned
    finally:
        for layer, weights in zip(layers, learned, strict=True):
            layer.set_weights(weights)


def shuffled(weights: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Return weights of the same shapes, with the values of each array in a random order."""
    return [rng.permutation(array.ravel()).reshape(array.shape) for array in weights]
