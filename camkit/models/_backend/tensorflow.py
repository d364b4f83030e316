"""TensorFlow: functions become graphs, compiled with XLA where that works and is faster."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from camkit._quiet import held_back
from camkit.models._copy import CONVOLUTIONS, random_numbers_kept
from camkit.models._graph import network_of


def compile_forward(function: Callable, features: keras.Model) -> Callable:
    """Return a function of a batch of images, compiled for inference.

    It runs with XLA where that works and is faster, else as a plain graph.

    Args:
        function: A function from a tensor of images (N, H, W, channels), float32, to one or
            several tensors. A tensor for each further input of `features` follows the images.
        features: The model that `function` calls. Its weights must no longer change.

    Returns:
        The same function from NumPy arrays to NumPy arrays.
    """
    images, *others = features.inputs
    signature = [tf.TensorSpec((None, *images.shape[1:]), "float32")]
    signature += [tf.TensorSpec((None, *each.shape[1:]), each.dtype) for each in others]
    fast = tf.function(function, input_signature=signature, jit_compile=True)
    plain = tf.function(function, input_signature=signature, jit_compile=False)
    graph_of_size: dict[tuple[int, ...], Callable] = {}

    def forward(images: np.ndarray, *rows: np.ndarray) -> Any:
        size = images.shape[1:]
        is_first = size not in graph_of_size
        if is_first:
            graph_of_size[size] = fast if _suits_xla(features, size) else plain
        # TensorFlow 2.20 reports each compilation on standard error.
        quietly = held_back(drop=True) if is_first else nullcontext()
        try:
            with quietly:
                return _as_arrays(graph_of_size[size](images, *rows))
        except tf.errors.OpError:
            if graph_of_size[size] is plain:
                raise
            graph_of_size[size] = plain
            return _as_arrays(plain(images, *rows))

    return forward


def compile_query(function: Callable, *examples: np.ndarray) -> Callable:
    """Return a function of arrays, compiled for the shapes and types of `examples`.

    The first axis of an array may have any length. The weights of models that it calls may change:
    each call reads their current values.

    Returns:
        The same function from NumPy arrays to NumPy arrays.
    """
    signature = [tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in examples]
    graph = tf.function(function, autograph=False).get_concrete_function(*signature)

    def query(*arrays: np.ndarray) -> Any:
        tensors = [tf.constant(array) for array in arrays]
        return _as_arrays(graph(*tensors))

    return query


def gradient(function: Callable, tensor: tf.Tensor) -> tf.Tensor:
    """Return the gradient of the sum of function(tensor) at `tensor`; 0 where there is none."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(tensor)
        value = function(tensor)
    return tape.gradient(value, tensor, unconnected_gradients="zero")


def _as_arrays(tensors):
    """Return a structure of tensors with NumPy arrays in place of the tensors."""
    return keras.tree.map_structure(lambda tensor: tensor.numpy(), tensors)


@random_numbers_kept()
def _suits_xla(features: keras.Model, size: tuple[int, ...]) -> bool:
    """Return whether XLA is fast on a CPU for images of this size (H, W, channels).

    For depthwise and grouped convolutions, and for kernels with more positions than the map that
    they read, XLA has only plain loops, which are ten times slower than the plain graph.
    """
    slow_layers = []

    def visit(layer: keras.Operation) -> Callable:
        def call(tensor: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(layer, CONVOLUTIONS) and _is_slow(layer, tensor.shape[1:3]):
                slow_layers.append(layer)
            return layer(tensor, *args, **kwargs)

        return call

    network = network_of(features)
    others = {
        value: keras.Input(value.shape[1:], dtype=value.dtype) for value in network.inputs[1:]
    }
    network.run({network.input: keras.Input(size), **others}, network.outputs, visit)
    return not slow_layers


def _is_slow(convolution: layers.Layer, map_size: tuple[int, int]) -> bool:
    """Return whether XLA computes a convolution of a map of this size by plain loops."""
    is_grouped = not isinstance(convolution, layers.Conv2D) or convolution.groups > 1
    return is_grouped or np.prod(convolution.kernel_size) > np.prod(map_size)
