"""JAX: functions are compiled with XLA, and take the values of Keras variables as arguments."""

from collections.abc import Callable, Iterable
from typing import Any

import jax
import keras
import numpy as np


def compile_forward(function: Callable, features: keras.Model) -> Callable:
    """Return a function of a batch of images, compiled for inference.

    It is compiled anew for each shape of a batch.

    Args:
        function: A function from a tensor of images (N, H, W, channels), float32, to one or
            several tensors. A tensor for each further input of `features` follows the images.
        features: The model that `function` calls. Its weights must no longer change.

    Returns:
        The same function from NumPy arrays to NumPy arrays.
    """
    return _compiled(function, features.variables)


def compile_query(function: Callable, *examples: np.ndarray) -> Callable:
    """Return a function of arrays, compiled for the shapes and types of `examples`.

    The first axis of an array may have any length: it is compiled anew for each. The weights of
    models that it calls may change: each call reads their current values.

    Returns:
        The same function from NumPy arrays to NumPy arrays.
    """
    with _Readings() as readings:
        jax.eval_shape(function, *examples)
    return _compiled(function, readings.variables.values())


def gradient(function: Callable, tensor: jax.Array) -> jax.Array:
    """Return the gradient of the sum of function(tensor) at `tensor`; 0 where there is none."""

    def total(tensor: jax.Array) -> jax.Array:
        return function(tensor).sum()

    return jax.grad(total)(tensor)


class _Readings(keras.StatelessScope):
    """Scope that records the Keras variables whose values are read inside it.

    Attributes:
        variables: The variables, by id.
    """

    def __init__(self) -> None:
        super().__init__()
        self.variables: dict[int, keras.Variable] = {}

    def get_current_value(self, variable: keras.Variable) -> Any:
        self.variables[id(variable)] = variable
        return super().get_current_value(variable)


def _compiled(function: Callable, variables: Iterable[keras.Variable]) -> Callable:
    """Return a compiled function from NumPy arrays to NumPy arrays.

    Args:
        function: A function of tensors.
        variables: The variables that it reads, with their current values at each call. The values
            are arguments of what is compiled, since XLA would store them in it as constants.
    """
    variables = list(variables)

    def with_values(values: list[jax.Array], *arrays: np.ndarray) -> Any:
        state = zip(variables, values, strict=True)
        with keras.StatelessScope(state):
            return function(*arrays)

    compiled = jax.jit(with_values)

    def run(*arrays: np.ndarray) -> Any:
        values = [variable.value for variable in variables]
        tensors = compiled(values, *arrays)
        # A copy, since NumPy's view of an array of JAX cannot be written to.
        return keras.tree.map_structure(np.array, tensors)

    return run
