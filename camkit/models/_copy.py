"""Copies of a model's layers: the flat, private network that CAM runs on, and finer backbones.

Only copies are called, folded and compiled, so that the given model is not changed.
"""

import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers

from camkit.models._graph import (
    Call,
    HeadError,
    Network,
    Value,
    holds_layers,
    network_of,
    random_numbers_kept,
    recorded,
)
from camkit.models._head import Head, normalization_of
from camkit.models._kinds import activation_of
from camkit.models._part import Given
from camkit.models._preprocessor import check_size

CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)

# The settings that every layer of Keras has.
_OF_EVERY_LAYER = ("name", "dtype", "trainable")

_WINDOWS = (*CONVOLUTIONS, layers.MaxPooling2D, layers.AveragePooling2D)


@dataclass
class Changes:
    """How the copies of layers differ from the layers, by id(layer).

    Attributes:
        settings: Settings that replace those of the layer's configuration.
        left_out: The layers that have no copy: their input is passed on unchanged.
        weights: The weights of copies that differ from those of their layers.
    """

    settings: dict[int, dict[str, Any]] = field(default_factory=dict)
    left_out: set[int] = field(default_factory=set)
    weights: dict[int, list[np.ndarray]] = field(default_factory=dict)


class LayerCopies:
    """Copies of layers, each created from its configuration when it is first needed.

    Args:
        changes: How the copies differ from their layers.
    """

    def __init__(self, changes: Changes):
        self._changes = changes
        self._layers: dict[int, keras.Operation] = {}
        self._copies: dict[int, keras.Operation] = {}
        self._names: set[str] = set()

    def of(self, layer: keras.Operation) -> Callable:
        """Return the copy of a layer, to be called in its place.

        Raises:
            HeadError: The layer cannot be copied from its configuration.
        """
        key = id(layer)
        if key in self._changes.left_out:
            return _identity
        if key not in self._copies:
            try:
                self._copies[key] = self._copy(layer)
            except HeadError:
                if not holds_layers(layer):
                    raise
                # The layers inside may be copied where the one that holds them is not.
                return partial(self._call_inside, layer)
            self._layers[key] = layer
        if isinstance(layer, layers.Layer):
            return self._copies[key]
        return partial(_with_constants, self._copies[key])

    def _call_inside(self, layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        """Return what a layer returns, computed by copies of the layers that it calls.

        Raises HeadError if its call cannot be followed on symbolic tensors.
        """
        try:
            function = recorded(layer, args, kwargs)
        except Exception as error:
            raise _not_copied(layer) from error
        network = Network(function)
        flat = keras.tree.flatten((args, kwargs))
        tensors = [each for each in flat if isinstance(each, keras.KerasTensor)]
        given = dict(zip(network.inputs, tensors, strict=True))
        results = network.run(given, network.outputs, self.of)
        return results if len(results) > 1 else results[0]

    def take_weights(self) -> None:
        """Give the copies the weights of their layers, once they have been called."""
        for key, copy in self._copies.items():
            layer = self._layers[key]
            if not getattr(layer, "weights", None):
                continue
            weights = self._changes.weights.get(key) or layer.get_weights()
            copy.set_weights(weights)
            # Normalization caches values that it computes from its weights.
            if hasattr(copy, "finalize_state"):
                copy.finalize_state()

    def _copy(self, layer: keras.Operation) -> keras.Operation:
        """Return a copy of a layer without its weights, with a name that no other copy has."""
        try:
            # The layer may hold this very dictionary, so it is copied.
            config = dict(layer.get_config())
            config.update(self._changes.settings.get(id(layer), {}))
            # Two nested models may use the same name.
            if layer.name in self._names:
                config["name"] = f"{layer.name}_{len(self._names)}"
            if type(layer) is layers.Lambda:
                copy = _lambda_copy(layer, config)
            else:
                copy = _from_config(type(layer), config)
        except (NotImplementedError, AttributeError, TypeError, ValueError) as error:
            raise _not_copied(layer) from error
        self._names.add(layer.name)
        return copy


@random_numbers_kept()
def call_copy(
    model: keras.Model, image: keras.KerasTensor, changes: Changes | None = None
) -> keras.KerasTensor:
    """Return the output of a flat copy of a model, called on a symbolic image.

    Args:
        model: The model, with one input and one output.
        image: The symbolic image that the copy is called on.
        changes: How the copies of layers differ from the layers.

    Raises:
        HeadError: A layer cannot be copied from its configuration.
    """
    network = network_of(model)
    copies = LayerCopies(changes or Changes())
    given = {network.input: image}
    (output,) = network.run(given, [network.output], copies.of)
    copies.take_weights()
    return output


@random_numbers_kept()
def feature_model(
    model: keras.Model, head: Head, input_size: int | tuple[int, int] | None = None
) -> keras.Model:
    """Return a private, flat copy of a model from the image to what its head reads.

    It returns the features F (N, *places, K) of each part of the head and then the vectors (N, J)
    of its rest; the only one of them as a tensor, several in a list. The copy of a part of a model
    takes more than the image: the values that stand in the place of the other inputs.

    It is meant for inference: batch normalisation is folded into the convolution before it, which
    changes F only by rounding.

    Args:
        model: The model, which is not changed.
        head: The head of the model, as `find_head` returns it.
        input_size: The size of the images in pixels, one number or (height, width), if it is not
            that of the model's input.

    Raises:
        HeadError: A layer cannot be copied from its configuration.
        ValueError: The model has layers that work only at the size of its input, or a preprocessor
            that resizes images to another size.
    """
    network = network_of(model)
    input_shape = network.input.shape
    shape = list(input_shape)
    if input_size is not None:
        check_size(model, input_size)
        shape[1:3] = np.broadcast_to(input_size, 2).tolist()
    image = keras.Input(batch_shape=shape, dtype=network.input.dtype)

    values = [part.features for part in (*head.parts, *head.rest)]
    copies = LayerCopies(_folding(network, values))
    try:
        given = {network.input: image, **_given_inputs(network)}
        tensors = network.run(given, values, copies.of)
    except ValueError as error:
        if input_size is None or isinstance(error, HeadError):
            raise
        raise ValueError(
            f"the model cannot read images of {shape[1:3]}, only of {input_shape[1:3]}: {error}"
        ) from error
    copies.take_weights()
    inputs = list(given.values())
    return keras.Model(_alone_or_list(inputs), _alone_or_list(tensors))


def _given_inputs(network: Network) -> dict[Value, keras.KerasTensor]:
    """Return an input for each value that stands in the place of one in a part of a model."""
    values = [call.outputs[0] for call in network.calls if isinstance(call.layer, Given)]
    return {value: keras.Input(batch_shape=value.shape, dtype=value.dtype) for value in values}


def _alone_or_list(tensors: list) -> Any:
    """Return the only tensor of a list, or the list of several."""
    return tensors if len(tensors) > 1 else tensors[0]


def _with_constants(operation: keras.Operation, *args: Any, **kwargs: Any) -> Any:
    """Call an operation with the present values of the variables among its arguments."""

    def value_of(argument: Any) -> Any:
        if not isinstance(argument, keras.Variable):
            return argument
        return keras.ops.convert_to_numpy(argument)

    args, kwargs = keras.tree.map_structure(value_of, (args, kwargs))
    return operation(*args, **kwargs)


def _not_copied(layer: keras.Operation) -> HeadError:
    """Return the error for a layer that cannot be copied."""
    return HeadError(
        f"{layer.name!r} cannot be copied: its class {type(layer).__name__} needs a "
        "get_config with what its __init__ takes; camkit.grad_cam reads the model itself"
    )


def _identity(tensor: keras.KerasTensor, **_: object) -> keras.KerasTensor:
    """Return a tensor unchanged; this is called in place of a layer that is left out."""
    return tensor


def _from_config(kind: type[keras.Operation], config: dict[str, Any]) -> keras.Operation:
    """Return a layer of a kind from its configuration, without settings that it does not take.

    Some classes write more into their configuration than their __init__ reads. Raises TypeError or
    ValueError if that does not help.
    """
    try:
        return kind.from_config(config)
    except (TypeError, ValueError):
        parameters = inspect.signature(kind.__init__).parameters
        takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
        known = {*parameters, *(_OF_EVERY_LAYER if takes_any else ())}
        accepted = {key: value for key, value in config.items() if key in known}
        if accepted == config:
            raise
        return kind.from_config(accepted)


def _lambda_copy(layer: layers.Lambda, config: dict) -> layers.Lambda:
    """Return a copy of a Lambda layer with the same function object.

    From its configuration, Keras would build the function from text, which it calls unsafe.
    """
    output_shape = config.get("output_shape")
    if isinstance(output_shape, dict):
        # This is a function too, and the configuration holds its text.
        output_shape = layer.compute_output_shape
    return layers.Lambda(
        layer.function,
        output_shape,
        mask=layer.mask,
        arguments=layer.arguments,
        name=config["name"],
        dtype=layer.dtype_policy,
    )


# Folding batch normalisation ----------------------------------------------------------------------


def _folding(network: Network, values: list[Value]) -> Changes:
    """Return the changes of copies in which convolutions absorb normalisations.

    A BatchNormalization is absorbed by the convolution whose only reader it is.
    """
    calls = network.needed([network.input], values)
    changes = Changes()
    for call in calls:
        if type(call.layer) in CONVOLUTIONS:
            changes.settings[id(call.layer)] = _without_random_weights(call.layer)

    for convolution, norm in _foldable(network, calls, values):
        changes.left_out.add(id(norm))
        changes.settings[id(convolution)]["use_bias"] = True
        if getattr(convolution, "lora_enabled", False):
            # The folded kernel contains what LoRA adds to it.
            changes.settings[id(convolution)]["lora_rank"] = None
        changes.weights[id(convolution)] = _folded_weights(convolution, norm)
    return changes


def _without_random_weights(layer: layers.Layer) -> dict[str, Any]:
    """Return settings for a copy whose weights are set later, so that no random ones are drawn."""
    initializers = [key for key in layer.get_config() if key.endswith("_initializer")]
    return dict.fromkeys(initializers, "zeros")


def _foldable(
    network: Network, calls: list[Call], values: list[Value]
) -> Iterator[tuple[layers.Layer, layers.BatchNormalization]]:
    """Yield each plain convolution and the BatchNormalization that is its only reader."""
    times_read: Counter[Value] = Counter()
    times_called: Counter[keras.Operation] = Counter()
    for call in calls:
        times_read.update(call.inputs)
        times_called[call.layer] += 1

    for call in calls:
        norm = call.layer
        source = network.maker_of(call.inputs[0])
        if source is None or not isinstance(norm, layers.BatchNormalization):
            continue
        convolution = source.layer
        output = source.outputs[0]
        is_shared = times_called[convolution] > 1 or times_called[norm] > 1
        has_other_readers = times_read[output] > 1 or output in values
        if _is_plain(convolution) and norm.axis in (-1, 3) and not (is_shared or has_other_readers):
            yield convolution, norm


def _is_plain(layer: keras.Operation) -> bool:
    """Return whether a layer is a convolution, channels last, without an activation."""
    if type(layer) not in CONVOLUTIONS or layer.data_format != "channels_last":
        return False
    return activation_of(layer) == "linear"


def _folded_weights(convolution: layers.Layer, norm: layers.BatchNormalization) -> list[np.ndarray]:
    """Return the weights, with bias, of a convolution that computes norm(convolution(x)).

    They are kernel · s and bias · s + t, with s and t of `normalization_of`.
    """
    s, t = normalization_of(norm)
    bias = _array(convolution.bias) if convolution.use_bias else 0.0
    scale = s
    kernels_before = []
    if type(convolution) is layers.SeparableConv2D:
        kernels_before = [_array(convolution.depthwise_kernel)]
        kernel = _array(convolution.pointwise_kernel)
    else:
        kernel = _array(convolution.kernel)
    if type(convolution) is layers.DepthwiseConv2D:
        # Its channels are spread over the last two axes of its kernel.
        scale = s.reshape(kernel.shape[-2:])
    return [*kernels_before, kernel * scale, bias * s + t]


def _array(variable: keras.Variable) -> np.ndarray:
    """Return a variable as a float64 array."""
    return keras.ops.convert_to_numpy(variable).astype("float64")


# Finer maps ---------------------------------------------------------------------------------------


def dilation(model: keras.Model, output_stride: int) -> Changes:
    """Return the changes for `call_copy` that limit the output stride of a model.

    Where a convolution or pooling would exceed the stride, its own stride becomes 1, and the
    kernels after it are dilated by as much. So each still sees what it was trained on, at more
    positions. Pooling windows are not dilated (Yu & Koltun, Multi-Scale Context Aggregation by
    Dilated Convolutions, ICLR 2016; Chen et al., DeepLab).

    Args:
        model: The backbone, which is not changed.
        output_stride: The number of image pixels for one position of the map.

    Raises:
        ValueError: The model passes through no such stride.
    """
    network = network_of(model)
    changes = Changes()
    # The (stride, dilation) of each value that has been reached.
    reached = {network.input: (1, 1)}
    for call in network.calls:
        stride, rate = max((reached[value] for value in call.inputs), default=(1, 1))
        if isinstance(call.layer, _WINDOWS):
            step = call.layer.strides[0]
            keeps_step = stride * step <= output_stride
            if not keeps_step or rate > 1:
                settings = {"strides": step if keeps_step else 1, "padding": "same"}
                if isinstance(call.layer, CONVOLUTIONS):
                    settings["dilation_rate"] = rate * call.layer.dilation_rate[0]
                changes.settings[id(call.layer)] = settings
                # The layer now pads by itself.
                changes.left_out |= _padding_before(network, call)
            if keeps_step:
                stride *= step
            else:
                rate *= step
        for value in call.outputs:
            reached[value] = (stride, rate)

    nearest, _ = reached[network.output]
    if nearest != output_stride:
        raise ValueError(
            f"the output stride of {model.name} cannot be {output_stride}: {nearest} is the "
            "nearest below"
        )
    return changes


def _padding_before(network: Network, call: Call) -> set[int]:
    """Return the id of the ZeroPadding2D before a layer that does not pad by itself, if any."""
    source = network.maker_of(call.inputs[0])
    if source is None or not isinstance(source.layer, layers.ZeroPadding2D):
        return set()
    return {id(source.layer)} if call.layer.padding == "valid" else set()
