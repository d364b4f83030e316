"""PyTorch: functions run eagerly, with gradients only where they are asked for."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import torch


def compile_forward(function: Callable, features: keras.Model) -> Callable:
    """Return a function of a batch of images for inference; nothing is compiled.

    Args:
        function: A function from a tensor of images (N, H, W, channels), float32, to one or
            several tensors. A tensor for each further input of `features` follows the images.
        features: The model that `function` calls. Its weights must no longer change.

    Returns:
        The same function from NumPy arrays to NumPy arrays.
    """
    return _without_gradients(function)


def compile_query(function: Callable, *examples: np.ndarray) -> Callable:
    """Return a function of arrays, whose first axis may have any length; nothing is compiled.

    The weights of models that it calls may change: each call reads their current values.

    Returns:
        The same function from NumPy arrays to NumPy arrays.
    """
    return _without_gradients(function)


def gradient(function: Callable, tensor: torch.Tensor) -> torch.Tensor:
    """Return the gradient of the sum of function(tensor) at `tensor`; 0 where there is none."""
    with torch.enable_grad():
        point = tensor.detach().requires_grad_()
        value = function(point)
        if not value.requires_grad:
            return torch.zeros_like(point)
        (slope,) = torch.autograd.grad(value.sum(), point, materialize_grads=True)
    return slope


def _without_gradients(function: Callable) -> Callable:
    """Return a function of tensors as one from NumPy arrays to NumPy arrays."""

    def run(*arrays: np.ndarray) -> Any:
        # Keras puts tensors on the device that its models are on.
        tensors = [keras.ops.convert_to_tensor(array) for array in arrays]
        with torch.no_grad():
            results = function(*tensors)
        return keras.tree.map_structure(keras.ops.convert_to_numpy, results)

    return run
