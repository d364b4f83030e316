"""What kinds of layers and operations do to the values that they read.

Operations of Keras, such as `keras.ops.mean`, have no public classes: they are known by their names
and public attributes.
"""

import math
from typing import Any

import keras
from keras import layers

from camkit.models._graph import Call, Value

_POOLING = (
    layers.GlobalAveragePooling1D,
    layers.GlobalAveragePooling2D,
    layers.GlobalAveragePooling3D,
)
_WINDOWS = (layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D)
_PASSING = (
    layers.Dropout,
    layers.AlphaDropout,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.SpatialDropout3D,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.Identity,
    layers.ActivityRegularization,
)
_RESHAPING = (layers.Flatten, layers.Reshape)
_RESHAPING_OPERATIONS = {"Reshape", "Squeeze", "ExpandDims"}
_ACTIVATION_LAYERS = (layers.Softmax, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU)
_ACTIVATION_OPERATIONS = {"Softmax", "Sigmoid", "LogSoftmax"}
_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)

# tf.nn.softmax and others are known by these names.
_SYNONYMS = {
    "softmax_v2": "softmax",
    "log_softmax_v2": "log_softmax",
    "logsoftmax": "log_softmax",
}


def operation_name(operation: keras.Operation) -> str | None:
    """Return the name of an operation's class, such as "Mean"; None for a layer."""
    return None if isinstance(operation, layers.Layer) else type(operation).__name__


def activation_of(layer: keras.Operation) -> str:
    """Return the name of the activation that a layer ends with, "linear" if it has none."""
    is_operation = operation_name(layer) in _ACTIVATION_OPERATIONS
    if isinstance(layer, _ACTIVATION_LAYERS) or is_operation:
        name = type(layer).__name__.lower()
        return _SYNONYMS.get(name, name)
    activation = getattr(layer, "activation", None)
    if isinstance(layer, layers.Lambda):
        name = _name_of(layer.function)
        return name if name in ("softmax", "sigmoid", "log_softmax") else "linear"
    if activation is None:
        return "linear"
    # An activation may be a layer itself.
    if isinstance(activation, layers.Layer):
        return activation_of(activation)
    return _name_of(activation)


def is_weighting(layer: keras.Operation) -> bool:
    """Return whether a layer weights channels equally at all positions: Dense, 1×1 convolution."""
    if not isinstance(layer, _CONVOLUTIONS):
        return isinstance(layer, layers.Dense)
    ones = (1,) * len(layer.kernel_size)
    is_pointwise = layer.kernel_size == layer.strides == ones
    return is_pointwise and layer.groups == 1


def is_quantized(layer: keras.Operation) -> bool:
    """Return whether `quantize` has replaced the weights of a layer by small numbers."""
    return getattr(layer, "quantization_mode", None) is not None


def keeps_values(layer: keras.Operation) -> bool:
    """Return whether a layer returns at inference the numbers that it reads, in their order."""
    operation = operation_name(layer)
    if operation == "Cast":
        # A cast to integers rounds.
        return "float" in str(layer.dtype)
    if operation is not None:
        return operation == "StopGradient" or operation in _RESHAPING_OPERATIONS
    if isinstance(layer, layers.Activation):
        return activation_of(layer) == "linear"
    return isinstance(layer, (*_PASSING, *_RESHAPING))


def reshapes(layer: keras.Operation) -> bool:
    """Return whether a layer returns what it reads in another shape."""
    return isinstance(layer, _RESHAPING) or operation_name(layer) in _RESHAPING_OPERATIONS


def is_map(value: Value) -> bool:
    """Return whether a value is a map (N, *places, K) of more than one place."""
    places = value.shape[1:-1]
    return any(size != 1 for size in places)


def is_vector(value: Value) -> bool:
    """Return whether a value is a vector (N, J) or has such a shape with more axes of size 1."""
    sizes = value.shape[1:]
    long_axes = [size for size in sizes if size != 1]
    return len(sizes) > 0 and len(long_axes) <= 1 and None not in sizes


def size_of(value: Value) -> int:
    """Return how many numbers a vector has for each image."""
    sizes = [size or 0 for size in value.shape[1:]]
    return math.prod(sizes)


def pooled_map(call: Call) -> Value | None:
    """Return the map (N, *places, K) that a call averages over all its places, or None."""
    layer = call.layer
    if len(call.inputs) != 1:
        # A mask, the second input, leaves out places.
        return None
    source = call.inputs[0]
    rank = len(source.shape)
    if rank < 3:
        return None
    if isinstance(layer, _POOLING):
        is_whole = True
    elif isinstance(layer, _WINDOWS):
        is_whole = tuple(layer.pool_size) == source.shape[1:-1]
    else:
        is_whole = _axes_of_mean(call) == tuple(range(1, rank - 1))
    is_first = getattr(layer, "data_format", None) == "channels_first"
    return source if is_whole and not is_first else None


def map_before(call: Call) -> Value | None:
    """Return the map that has the same mean over its places as what a call returns, or None.

    The call joins the axes of the places, averages over some of them, or passes the map on.
    """
    if len(call.inputs) != 1:
        return None
    source = call.inputs[0]
    channels = source.shape[-1]
    if not is_map(source) or call.outputs[0].shape[-1] != channels:
        return None
    if reshapes(call.layer):
        # Only the channels stay apart; the places may be arranged in any way.
        joins_places = len(source.shape) > len(call.outputs[0].shape)
        return source if channels != 1 and joins_places else None
    if keeps_values(call.layer):
        return source
    axes = _axes_of_mean(call)
    if axes is None:
        return None
    last_axis = len(source.shape) - 1
    is_over_places = 0 not in axes and last_axis not in axes
    return source if is_over_places else None


def _axes_of_mean(call: Call) -> tuple[int, ...] | None:
    """Return the axes that `keras.ops.mean` averages over, ascending; None for another call."""
    if operation_name(call.layer) != "Mean":
        return None
    rank = len(call.inputs[0].shape)
    axis: Any = call.layer.axis
    if axis is None:
        return tuple(range(rank))
    axes = [axis] if isinstance(axis, int) else axis
    return tuple(sorted(each % rank for each in axes))


def _name_of(function: Any) -> str:
    """Return the name of an activation function."""
    name = getattr(function, "__name__", "unnamed")
    return _SYNONYMS.get(name, name)
