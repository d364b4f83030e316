"""The head of a classifier: the layers between the pooling and the scores.

All that is affine between them is folded into one kernel and one bias. Scores S are followed from
the output backwards: where S = v · A + a for a value v of the graph, and v = u · B + b is affine in
a value u before it, S = u · (B · A) + (a + b · A).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers, ops

from camkit.models._graph import (
    REMEDY,
    Call,
    HeadError,
    Network,
    Value,
    no_scores,
    one_way,
    random_numbers_kept,
)
from camkit.models._kinds import (
    activation_of,
    is_map,
    is_quantized,
    is_vector,
    is_weighting,
    keeps_values,
    map_before,
    operation_name,
    pooled_map,
    reshapes,
    size_of,
)
from camkit.models._part import Given
from camkit.models._scores import ending_of, is_binary

_NORMALIZING = (
    layers.LayerNormalization,
    layers.GroupNormalization,
    layers.UnitNormalization,
    layers.RMSNormalization,
)
_MAX_POOLING = (layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D)


@dataclass(frozen=True, eq=False)
class Part:
    """A value of a model's network and what it adds to the class scores.

    Attributes:
        features: A volume (N, *places, K) that is averaged over its places, or a vector (N, J).
        kernel: Weights (K, C) or (J, C), float32.
    """

    features: Value
    kernel: np.ndarray


@dataclass(frozen=True, eq=False)
class Head:
    """A head: logits = Σ mean(F) · kernel over the parts + Σ value · kernel over the rest + bias.

    Attributes:
        parts: The volumes F that are averaged over their places.
        rest: Vectors (N, J) beside them, which no map belongs to.
        bias: Biases (C,), float32, of all that is affine between the pooling and the scores.
        activation: The activation that turns logits into probabilities, "softmax" or "sigmoid", or
            "linear" if the model ends in logits.
        is_binary: Whether the model has one output, which stands for two classes.
        layer: The layer that holds kernel and bias as they are, or None.
    """

    parts: list[Part]
    rest: list[Part]
    bias: np.ndarray
    activation: str
    is_binary: bool
    layer: layers.Layer | None

    @property
    def features(self) -> Value:
        """The volume F (N, *places, K) of a head with one part."""
        return self._only_part.features

    @property
    def kernel(self) -> np.ndarray:
        """The weights (K, C) of a head with one part."""
        return self._only_part.kernel

    @property
    def _only_part(self) -> Part:
        """The only part. Raises HeadError if there are several, or values beside it."""
        if len(self.parts) > 1 or self.rest:
            raise HeadError(
                f"the head reads {len(self.parts)} volumes and {len(self.rest)} vectors beside "
                f"them: one volume is needed here; {REMEDY}"
            )
        return self.parts[0]


def find_head(model: keras.Model) -> Head:
    """Return the head of a Keras model, flat or with nested models.

    Between the pooling and the output there may be anything affine: Dense layers without
    activation, batch normalisation, rescaling, sums, concatenations, Dropout. The pooling may be
    written in any way, or read several volumes. Values that are not affine in the pooled features,
    such as those of a max pooling beside the average, become the rest. A linear 1×1 convolution
    before the pooling that has the classes as its channels (as in SqueezeNet) is folded as well.

    Raises:
        HeadError: No map adds up to the scores; the message names the layers.
    """
    network = one_way(model)
    output = network.output
    if not is_vector(output) or output.shape[1:] == ():
        raise no_scores(network)
    ending = ending_of(network)
    if ending.is_inverted and not ending.layers:
        _check_is_open(network)
        raise HeadError(
            f"the probabilities come from {_name_of_last(network)}, not from softmax or sigmoid of "
            f"scores that can be read: no map adds up to them; {REMEDY}"
        )
    folding = _Folding(network, ending.layers)
    folding.run()
    if not folding.pooled:
        _check_is_open(network)
        raise HeadError(_why_no_head(folding))
    is_unweighted = not folding.weighting and ending.activation == "linear"
    if is_unweighted:
        names = _names([*folding.steps, *folding.poolings])
        raise HeadError(
            f"the model ends in {names}, which are GAP features, not class scores: {REMEDY}"
        )
    return _head_of(folding, ending.activation)


def _head_of(folding: "_Folding", activation: str) -> Head:
    """Return the head that a folding has found, rounded to single precision."""
    binary = is_binary(folding.network)

    def rounded(weights: np.ndarray) -> np.ndarray:
        if binary:
            weights = np.concatenate([-weights / 2, weights / 2], axis=-1)
        return weights.astype("float32")

    def parts(kernels: dict[Value, np.ndarray]) -> list[Part]:
        # They were found from the output backwards.
        return [Part(value, rounded(kernel)) for value, kernel in reversed(kernels.items())]

    return Head(
        parts(folding.pooled),
        parts(folding.kernels),
        rounded(folding.bias),
        "softmax" if binary else activation,
        is_binary=binary,
        layer=None if binary else folding.plain_layer(),
    )


# Folding ------------------------------------------------------------------------------------------


class Affine(NamedTuple):
    """An affine function of values: Σ value · kernel + bias, in double precision.

    Attributes:
        kernels: {value: its weights (J, C)}.
        bias: (C,).
    """

    kernels: dict[Value, np.ndarray]
    bias: np.ndarray | float = 0.0


@dataclass
class _Folding:
    """The scores of a network as an affine function of pooled maps and of other values.

    Attributes:
        network: The network.
        ending: The layers that are called without their activation.
        kernels: {value: weights (J, C)} that the scores are affine in; those that cannot be folded
            further remain.
        pooled: {map (N, *places, K): weights (K, C) of its means}.
        bias: (C,)
        steps: The calls that have been folded, from the output backwards.
        poolings: The calls that average the maps.
        weighting: The layers among the steps that weight channels.
    """

    network: Network
    ending: frozenset[keras.Operation]
    kernels: dict[Value, np.ndarray] = field(default_factory=dict)
    pooled: dict[Value, np.ndarray] = field(default_factory=dict)
    bias: np.ndarray = field(default_factory=lambda: np.zeros(()))
    steps: list[Call] = field(default_factory=list)
    poolings: list[Call] = field(default_factory=list)
    weighting: list[keras.Operation] = field(default_factory=list)

    def run(self) -> None:
        """Fold all calls that can be folded, from the output backwards."""
        output = self.network.output
        classes = size_of(output)
        self.kernels = {output: np.eye(classes)}
        self.bias = np.zeros(classes)
        for call in reversed(self.network.needed([self.network.input], [output])):
            if not self.kernels.keys().isdisjoint(call.outputs):
                self._fold(call)

    def plain_layer(self) -> keras.Operation | None:
        """Return the layer whose kernel and bias are those of the scores, or None."""
        others = [call for call in self.steps if call.layer not in self.weighting]
        is_plain = all(keeps_values(call.layer) or call.layer in self.ending for call in others)
        has_one_part = len(self.pooled) == 1 and not self.kernels
        if not is_plain or not has_one_part or len(self.weighting) != 1:
            return None
        (layer,) = self.weighting
        # Quantisation and LoRA add weights of their own.
        own_weights = 2 if getattr(layer, "use_bias", False) else 1
        return layer if len(getattr(layer, "weights", ())) == own_weights else None

    def _fold(self, call: Call) -> None:
        """Replace the value that a call computes by those that it reads, where it is affine."""
        (value,) = call.outputs if len(call.outputs) == 1 else (None,)
        if value is None:
            return
        kernel = self.kernels[value]
        source = pooled_map(call)
        if source is not None and _lies_on_image(self.network, source):
            del self.kernels[value]
            self.poolings.append(call)
            self._pool(source, kernel)
            return
        affine = self._affine(call, kernel)
        if affine is None or not all(is_vector(source) for source in affine.kernels):
            return
        del self.kernels[value]
        self.bias = self.bias + affine.bias
        for source, weights in affine.kernels.items():
            self.kernels[source] = self.kernels.get(source, 0.0) + weights
        self.steps.append(call)
        if _weights_channels(call):
            self.weighting.append(call.layer)

    def _pool(self, source: Value, kernel: np.ndarray) -> None:
        """Add a pooled map, or what a linear 1×1 convolution with the classes as channels reads."""
        has_classes = not self.weighting
        call = self.network.maker_of(source)
        while call is not None:
            before = map_before(call)
            is_linear = activation_of(call.layer) == "linear"
            if before is None and has_classes and is_weighting(call.layer) and is_linear:
                affine = self._affine(call, kernel)
                if affine is None:
                    break
                ((before, kernel),) = affine.kernels.items()
                self.bias = self.bias + affine.bias
                self.weighting.append(call.layer)
                self.steps.append(call)
            if before is None:
                break
            source = before
            call = self.network.maker_of(source)
        self.pooled[source] = self.pooled.get(source, 0.0) + kernel

    def _affine(self, call: Call, kernel: np.ndarray) -> Affine | None:
        """Return the scores as a function of what a call reads, or None if it is not affine.

        `kernel` (J, C) holds the weights of what the call computes.
        """
        layer = call.layer
        if layer in self.ending:
            if not is_weighting(layer):
                return Affine({call.inputs[0]: kernel})
        elif activation_of(layer) != "linear":
            return None
        if keeps_values(layer):
            is_flattened_map = reshapes(layer) and is_map(call.inputs[0])
            return None if is_flattened_map else Affine({call.inputs[0]: kernel})
        for kinds, fold in _LAYERS.items():
            if isinstance(layer, kinds):
                return fold(call, kernel)
        fold_operation = _OPERATIONS.get(operation_name(layer) or "")
        return None if fold_operation is None else fold_operation(call, kernel)


def _lies_on_image(network: Network, source: Value) -> bool:
    """Return whether the places of a map are those of the image.

    They are not in the features of another image, which is given, or of the mirrored image: what
    these add to the scores has no place in the image, and belongs to the rest.
    """
    calls = network.needed([network.input], [source])
    readers = [call for call in calls if network.input in call.inputs]
    reads_image = source is network.input or any(
        not isinstance(call.layer, Given) for call in readers
    )
    return reads_image and not any(_turns_places(call) for call in calls)


def _turns_places(call: Call) -> bool:
    """Return whether a call mirrors or turns a map (N, h, w, K)."""
    if len(call.outputs[0].shape) != 4:
        return False
    name = operation_name(call.layer)
    if name == "Flip":
        return call.layer.axis not in (-1, 3)
    if name == "GetItem":
        _, *keys = _arguments(call)
        key = keys[0] if isinstance(keys[0], tuple) else tuple(keys)
        steps = [each.step or 1 for each in key if isinstance(each, slice)]
        is_of_channels = key[0] is Ellipsis
        return not is_of_channels and any(step < 0 for step in steps[:3])
    return name == "Rot90"


def _weights_channels(call: Call) -> bool:
    """Return whether a call computes other channels from those that it reads."""
    is_product = operation_name(call.layer) in ("Matmul", "Dot", "Einsum")
    return is_weighting(call.layer) or isinstance(call.layer, layers.EinsumDense) or is_product


# One function for each kind of call. It takes the call and the weights (J, C) of what the call
# computes, and returns an affine function of what the call reads, or None if there is none.


def _of_weights(call: Call, kernel: np.ndarray) -> Affine | None:
    """Fold y = x · W + b of Dense, EinsumDense and 1×1 convolutions."""
    layer = call.layer
    is_plain = is_weighting(layer) and not is_quantized(layer)
    if isinstance(layer, layers.EinsumDense) or is_quantized(layer):
        W, b = _response(layer, call.inputs[0])
    elif is_plain:
        weights = _array(layer.kernel)
        W = weights.reshape(-1, weights.shape[-1])
        b = 0.0 if layer.bias is None else _array(layer.bias)
    else:
        return None
    if len(W) != call.inputs[0].shape[-1]:
        return None
    return Affine({call.inputs[0]: _product(W, kernel)}, b @ kernel if np.ndim(b) else 0.0)


def _of_batch_normalization(call: Call, kernel: np.ndarray) -> Affine | None:
    """Fold y = s · x + t at inference, with s = γ/√(σ² + ε) and t = β − μ·s."""
    layer = call.layer
    source = call.inputs[0]
    if len(call.inputs) != 1 or layer.axis not in (-1, len(source.shape) - 1):
        return None
    s, t = normalization_of(layer)
    if len(s) != size_of(source):
        return None
    return Affine({source: s[:, None] * kernel}, t @ kernel)


def _of_rescaling(call: Call, kernel: np.ndarray) -> Affine | None:
    """Fold y = x · scale + offset."""
    return _elementwise(call, kernel, call.layer.scale, call.layer.offset)


def _of_normalization(call: Call, kernel: np.ndarray) -> Affine | None:
    """Fold y = (x − mean) / √variance, or its inverse."""
    mean = _array(call.layer.mean)
    deviation = np.maximum(np.sqrt(_array(call.layer.variance)), keras.config.epsilon())
    if call.layer.invert:
        return _elementwise(call, kernel, deviation, mean)
    return _elementwise(call, kernel, 1 / deviation, -mean / deviation)


def _of_sum(call: Call, kernel: np.ndarray) -> Affine | None:
    """Fold y = x_1 + x_2 + … of values and constants."""
    return _linear_combination(call, kernel, [1.0] * len(_arguments(call)))


def _of_difference(call: Call, kernel: np.ndarray) -> Affine | None:
    """Fold y = x_1 − x_2 of values and constants."""
    return _linear_combination(call, kernel, [1.0, -1.0])


def _of_average(call: Call, kernel: np.ndarray) -> Affine | None:
    """Fold the mean of several values."""
    count = len(call.inputs)
    return _linear_combination(call, kernel, [1 / count] * count)


def _of_negative(call: Call, kernel: np.ndarray) -> Affine | None:
    """Fold y = −x."""
    return Affine({call.inputs[0]: -kernel})


def _of_product(call: Call, kernel: np.ndarray) -> Affine | None:
    """Fold y = x · constant."""
    constants = [each for each in _arguments(call) if not isinstance(each, Value)]
    if len(constants) != 1:
        return None
    return _elementwise(call, kernel, constants[0], 0.0)


def _of_quotient(call: Call, kernel: np.ndarray) -> Affine | None:
    """Fold y = x / constant."""
    _, divisor = _arguments(call)
    if isinstance(divisor, Value):
        return None
    return _elementwise(call, kernel, 1 / _array(divisor), 0.0)


def _of_matrix_product(call: Call, kernel: np.ndarray) -> Affine | None:
    """Fold y = x · W for a constant matrix W."""
    source, matrix = _arguments(call)
    if not isinstance(source, Value) or isinstance(matrix, Value):
        return None
    W = _array(matrix)
    if W.ndim != 2 or len(W) != source.shape[-1]:
        return None
    return Affine({source: _product(W, kernel)})


def _of_concatenation(call: Call, kernel: np.ndarray) -> Affine | None:
    """Fold y = (x_1, x_2, …) along the channels."""
    axis = call.layer.axis
    rank = len(call.outputs[0].shape)
    if call.outputs[0].shape[axis] != size_of(call.outputs[0]) or axis % rank == 0:
        return None
    kernels: dict[Value, np.ndarray] = {}
    start = 0
    for source in call.inputs:
        end = start + size_of(source)
        kernels[source] = kernels.get(source, 0.0) + kernel[start:end]
        start = end
    return Affine(kernels)


def _of_selection(call: Call, kernel: np.ndarray) -> Affine | None:
    """Fold y = x[:, …], which selects some of the numbers of each image."""
    source, *keys = _arguments(call)
    # The key is a tuple, but a list in a model that was loaded from a file.
    key = keys[0] if isinstance(keys[0], tuple) else tuple(keys)
    if key[0] not in (slice(None), Ellipsis) or not is_vector(source):
        return None
    positions = np.arange(size_of(source)).reshape(1, *source.shape[1:])
    selected = positions[key].ravel()
    weights = np.zeros((size_of(source), kernel.shape[1]))
    np.add.at(weights, selected, kernel)
    return Affine({source: weights})


_LAYERS: dict[Any, Callable[[Call, np.ndarray], Affine | None]] = {
    (layers.Dense, layers.EinsumDense): _of_weights,
    (layers.Conv1D, layers.Conv2D, layers.Conv3D): _of_weights,
    layers.BatchNormalization: _of_batch_normalization,
    layers.Rescaling: _of_rescaling,
    layers.Normalization: _of_normalization,
    layers.Add: _of_sum,
    layers.Subtract: _of_difference,
    layers.Average: _of_average,
    layers.Concatenate: _of_concatenation,
}
_OPERATIONS: dict[str, Callable[[Call, np.ndarray], Affine | None]] = {
    "Add": _of_sum,
    "Subtract": _of_difference,
    "Negative": _of_negative,
    "Multiply": _of_product,
    "Divide": _of_quotient,
    "TrueDivide": _of_quotient,
    "Matmul": _of_matrix_product,
    "Dot": _of_matrix_product,
    "Concatenate": _of_concatenation,
    "GetItem": _of_selection,
}


def normalization_of(layer: layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """Return s and t (K,), float64, of batch normalisation at inference: y = s · x + t.

    They are s = γ/√(σ² + ε) and t = β − μ·s.
    """
    gamma = _array(layer.gamma) if layer.scale else 1.0
    beta = _array(layer.beta) if layer.center else 0.0
    mean = _array(layer.moving_mean)
    variance = _array(layer.moving_variance)
    s = gamma / np.sqrt(variance + layer.epsilon)
    return s, beta - mean * s


def _response(layer: layers.Layer, source: Value) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights W (J, C) and the bias b (C,) of a layer from what it answers.

    A copy without its activation is asked for each channel alone, then for random ones. Raises
    HeadError if these are not x · W + b.
    """
    channels = size_of(source)
    shape = source.shape[1:]
    random = np.random.default_rng(0).normal(size=(4, channels))
    questions = np.concatenate([np.zeros((1, channels)), np.eye(channels), random])
    try:
        with random_numbers_kept():
            copy = type(layer).from_config({**layer.get_config(), "activation": None})
            copy.build((None, *shape))
            copy.set_weights(layer.get_weights())
        tensor = ops.convert_to_tensor(questions.reshape(-1, *shape), "float32")
        answers = _array(copy(tensor)).reshape(len(questions), -1)
    except ValueError:
        is_affine = False
    else:
        b = answers[0]
        W = answers[1 : channels + 1] - b
        expected = random @ W + b
        scale = np.abs(expected).max()
        is_affine = bool(np.abs(answers[channels + 1 :] - expected).max() <= 1e-4 * scale)
    if not is_affine:
        mode = getattr(layer, "quantization_mode", None)
        raise HeadError(
            f"the layer {layer.name!r} computes in {mode}: it rounds what it reads, so its scores "
            "are no weighted sum of the channels; explain the model as it was before quantize(), "
            "or by camkit.grad_cam, which reads it as it is"
        )
    return W, b


def _elementwise(call: Call, kernel: np.ndarray, scale: Any, offset: Any) -> Affine | None:
    """Fold y = x · scale + offset for constants that fit the shape of x."""
    (source,) = call.inputs
    s = _spread(scale, source)
    t = _spread(offset, source)
    if s is None or t is None or size_of(source) != len(kernel):
        return None
    return Affine({source: s[:, None] * kernel}, t @ kernel)


def _linear_combination(call: Call, kernel: np.ndarray, factors: list[float]) -> Affine | None:
    """Fold y = Σ factor · argument, where an argument may be a constant."""
    output = call.outputs[0]
    kernels: dict[Value, np.ndarray] = {}
    bias = np.zeros(kernel.shape[1])
    for argument, factor in zip(_arguments(call), factors, strict=True):
        if not isinstance(argument, Value):
            constant = _spread(argument, output)
            if constant is None:
                return None
            bias = bias + factor * constant @ kernel
        elif size_of(argument) == len(kernel):
            kernels[argument] = kernels.get(argument, 0.0) + factor * kernel
        elif size_of(argument) == 1:
            # One number is added to all channels.
            kernels[argument] = factor * kernel.sum(axis=0, keepdims=True)
        else:
            return None
    return Affine(kernels, bias)


def _arguments(call: Call) -> list[Any]:
    """Return the positional arguments of a call, flat: values and constants."""
    args, kwargs = call.arguments({value: value for value in call.inputs})
    flat = []
    for argument in (*args, *kwargs.values()):
        flat.extend(argument if isinstance(argument, list) else [argument])
    return flat


def _spread(constant: Any, value: Value) -> np.ndarray | None:
    """Return a constant for each number (J,) of a value, or None if it does not fit its shape."""
    array = _array(constant)
    try:
        sizes = [size or 0 for size in value.shape[1:]]
        return np.broadcast_to(array, (1, *sizes)).ravel()
    except ValueError:
        return None


def _product(W: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Return W · kernel, at no cost where the kernel is that of the scores themselves."""
    is_identity = kernel.shape[0] == kernel.shape[1] and np.array_equal(kernel, np.eye(len(kernel)))
    return W if is_identity else W @ kernel


def _array(variable: Any) -> np.ndarray:
    """Return a variable, a tensor or a number as a float64 array."""
    tensor = ops.cast(ops.convert_to_tensor(variable), "float32")
    return ops.convert_to_numpy(tensor).astype("float64")


# Why there is none --------------------------------------------------------------------------------


def _check_is_open(network: Network) -> None:
    """Raise HeadError where one layer, which cannot be looked into, makes a vector of the image."""
    for call in network.calls:
        layer = call.layer
        kind = type(layer)
        is_closed = kind is layers.TFSMLayer or not kind.__module__.startswith("keras.")
        reads_image = call.inputs == (network.input,) and is_vector(call.outputs[0])
        if is_closed and reads_image and not isinstance(layer, Given):
            raise HeadError(
                f"the network is inside {layer.name!r}, a {kind.__name__}, which cannot be looked "
                "into; camkit.occlusion(model, batch) needs only what it returns"
            )


def _why_no_head(folding: _Folding) -> str:
    """Return why no map adds up to the scores of a network."""
    (value, *_) = folding.kernels
    call = folding.network.maker_of(value)
    if call is None:
        return f"the scores are computed from the input, without any features; {REMEDY}"
    head = f"the head is {_names([*folding.steps, call])}"
    return f"{head}: {_why_not_affine(folding.network, call)}; {REMEDY}"


def _why_not_affine(network: Network, call: Call) -> str:
    """Return why scores are not a weighted sum of pooled channels, as a call is not affine."""
    layer = call.layer
    kind = type(layer).__name__
    source = _source_of_vector(network, call)
    activation = activation_of(layer)
    if isinstance(layer, _NORMALIZING):
        reason = f"{kind} divides by the spread of each image, so its scores are no weighted sum"
    elif activation != "linear" and source is not call:
        reason = f"{activation!r} stands between {_origin(source)} and the scores"
    elif is_vector(call.inputs[0]):
        reason = f"{kind} cannot stand between {_origin(source)} and the scores"
    else:
        reason = _why_no_pooling(call)
    if source is None or source is call or pooled_map(source) is not None:
        return reason
    return f"{reason}, and {_why_no_pooling(source)}"


def _why_no_pooling(call: Call) -> str:
    """Return why the call that makes a vector of a map is no global average pooling."""
    layer = call.layer
    if isinstance(layer, _MAX_POOLING):
        return "global max pooling keeps one position per channel, so no map adds up to it"
    if getattr(layer, "data_format", None) == "channels_first":
        return (
            "the model is channels_first, CAM reads channels_last features (B, height, width, "
            "channels)"
        )
    if reshapes(layer):
        kind = type(layer).__name__
        return f"CAM needs global average pooling, which {kind} is not: it keeps all places apart"
    if isinstance(layer, layers.Lambda):
        return "what a Lambda does cannot be read from it, as from GlobalAveragePooling2D"
    if operation_name(layer) == "GetItem":
        return (
            "the scores are read from some of the places alone, such as a class token, whose maps "
            "camkit.grad_cam, camkit.legrad and camkit.attention_rollout draw"
        )
    if isinstance(layer, layers.GlobalAveragePooling1D):
        return (
            "it averages over a mask, as of Embedding(mask_zero=True), and CAM reads means over "
            "all places; camkit.grad_cam follows the mask"
        )
    return f"{type(layer).__name__} is no global average pooling"


def _origin(source: Call | None) -> str:
    """Return what a vector comes from, in words."""
    if source is not None and pooled_map(source) is not None:
        return "the pooling"
    return "the features"


def _source_of_vector(network: Network, call: Call) -> Call | None:
    """Return the call that makes a vector of a map, on the way back from a call; or None."""
    while pooled_map(call) is None and all(is_vector(value) for value in call.inputs):
        before = network.maker_of(call.inputs[0]) if len(call.inputs) == 1 else None
        if before is None:
            return None
        call = before
    return call


def _name_of_last(network: Network) -> str:
    """Return the kind of the last layer of a network."""
    call = network.maker_of(network.output)
    return "the input" if call is None else type(call.layer).__name__


def _names(calls: list[Call]) -> str:
    """Return the kinds of layers from input to output; `calls` go from the output backwards."""
    return " → ".join(type(call.layer).__name__ for call in reversed(calls))
