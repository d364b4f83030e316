"""The head of a classifier: the layers between the pooling and the scores."""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

from camkit.models._graph import REMEDY, Call, HeadError, Value, one_way

_PASSING = (
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.Identity,
)
_FLATTENING = (layers.Flatten, layers.Reshape)
_ACTIVATIONS = (layers.Activation, layers.Softmax)
_NORMALIZING = (
    layers.BatchNormalization,
    layers.LayerNormalization,
    layers.GroupNormalization,
    layers.UnitNormalization,
)
_ACTIVATION_LAYERS = (layers.Softmax, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU)


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
    """Return the head of a Keras model: Functional or Sequential, flat or with a nested backbone.

    Between pooling and output there may be Dropout, Flatten or Reshape, one Dense layer or 1×1
    convolution, and softmax or sigmoid. A convolution before the pooling that has the classes as
    its channels (as in SqueezeNet) is accepted as well.

    Raises:
        HeadError: The model ends in anything else; the message names the layers.
    """
    chain = list(one_way(model).backwards())
    between, pooling, before = _split_at_pooling(chain)
    weighting, activation = _read_between(between)
    if pooling is None:
        raise HeadError(
            f"the head is {_names(chain)}: there is no global average pooling; {REMEDY}"
        )
    if pooling.layer.data_format != "channels_last":
        raise HeadError(
            "the model is channels_first: CAM reads channels_last features (B, height, width, "
            "channels)"
        )
    if weighting is not None:
        return _weighted_head(pooling, weighting, activation)
    if activation == "linear":
        ending = _names([*between, pooling])
        raise HeadError(
            f"the model ends in {ending}: these are GAP features, not class scores; {REMEDY}"
        )

    # Pooling and a linear 1×1 convolution commute, so one before the pooling holds the weights too.
    weighting_call = _linear_weighting(before)
    if weighting_call is not None:
        return _weighted_head(weighting_call, weighting_call.layer, activation)
    return _head_of_class_maps(pooling, activation)


def activation_of(layer: keras.Operation) -> str:
    """Return the name of the activation that a layer ends with, "linear" if it has none."""
    if isinstance(layer, _ACTIVATION_LAYERS):
        return type(layer).__name__.lower()
    activation = getattr(layer, "activation", None)
    if activation is None:
        return "linear"
    # An activation may be a layer itself.
    if isinstance(activation, layers.Layer):
        return activation_of(activation)
    return getattr(activation, "__name__", "unnamed")


def is_weighting(layer: keras.Operation) -> bool:
    """Return whether a layer weights channels equally at all positions: Dense, 1×1 convolution."""
    if isinstance(layer, layers.Conv2D):
        return layer.kernel_size == layer.strides == (1, 1) and layer.groups == 1
    return isinstance(layer, layers.Dense)


def _split_at_pooling(chain: list[Call]) -> tuple[list[Call], Call | None, list[Call]]:
    """Return the calls after the global average pooling, that call, and those before it.

    All lists go from the output backwards. Without such a pooling, the first list has all calls.
    """
    for position, call in enumerate(chain):
        if isinstance(call.layer, layers.GlobalAveragePooling2D):
            return chain[:position], call, chain[position + 1 :]
    return chain, None, []


def _linear_weighting(before: list[Call]) -> Call | None:
    """Return the call before the pooling if it weights channels and does nothing else."""
    for call in before:
        if isinstance(call.layer, _PASSING):
            continue
        is_linear = activation_of(call.layer) == "linear"
        return call if is_weighting(call.layer) and is_linear else None
    return None


def _read_between(calls: list[Call]) -> tuple[layers.Layer | None, str]:
    """Return the weighting layer (or None) and the activation among the calls after the pooling.

    `calls` go from the output backwards. Raises HeadError for the first that is not allowed there.
    """
    weighting = None
    activation = "linear"
    for position, call in enumerate(calls):
        layer = call.layer
        head = f"the head is {_names(calls[: position + 1])}"
        _refuse_what_breaks_the_sum(call, head)
        if is_weighting(layer):
            if weighting is not None:
                raise HeadError(
                    f"{head}: CAM needs one Dense layer after the pooling and finds several; "
                    f"{REMEDY}"
                )
            weighting = layer

        step = activation_of(layer)
        if step != "linear":
            follows_weights = weighting is None or weighting is layer
            is_last = activation == "linear"
            if step not in ("softmax", "sigmoid") or not follows_weights or not is_last:
                raise HeadError(
                    f"{head}: {step!r} stands between the pooling and the scores; {REMEDY}"
                )
            activation = step
    return weighting, activation


def _refuse_what_breaks_the_sum(call: Call, head: str) -> None:
    """Raise HeadError for a layer after which logits are not a weighted sum of GAP features."""
    layer = call.layer
    if isinstance(layer, layers.GlobalMaxPooling2D):
        raise HeadError(
            f"{head}: global max pooling keeps one position per channel, so no map adds up to it; "
            f"{REMEDY}"
        )
    if isinstance(layer, _NORMALIZING):
        raise HeadError(
            f"{head}: normalisation after the pooling breaks the weighted sum of the channels; "
            f"{REMEDY}"
        )
    if isinstance(layer, _FLATTENING) and is_map(call.inputs[0]):
        raise HeadError(
            f"{head}: CAM needs global average pooling before the only Dense layer; {REMEDY}"
        )
    harmless = (*_PASSING, *_FLATTENING, *_ACTIVATIONS)
    if not is_weighting(layer) and not isinstance(layer, harmless):
        raise HeadError(
            f"{head}: {type(layer).__name__} cannot stand between the pooling and the scores; "
            f"{REMEDY}"
        )


def is_map(value: Value) -> bool:
    """Return whether a value is a map (N, h, w, K) of more than one position."""
    if len(value.shape) != 4:
        return False
    size = tuple(value.shape[1:3])
    return size != (1, 1)


def _weighted_head(reader: Call, weighting: layers.Layer, activation: str) -> Head:
    """Return the head whose features `reader` reads and whose weights `weighting` holds."""
    weights = keras.ops.convert_to_numpy(weighting.kernel)
    kernel = weights.astype("float32").reshape(-1, weights.shape[-1])
    if weighting.bias is None:
        bias = np.zeros(kernel.shape[1], dtype="float32")
    else:
        bias = keras.ops.convert_to_numpy(weighting.bias).astype("float32")
    return _plain_head(Part(reader.inputs[0], kernel), bias, activation, weighting)


def _head_of_class_maps(pooling: Call, activation: str) -> Head:
    """Return the head of a model whose channels before the pooling are its classes."""
    classes = pooling.inputs[0].channels
    kernel = np.eye(classes, dtype="float32")
    bias = np.zeros(classes, dtype="float32")
    return _plain_head(Part(pooling.inputs[0], kernel), bias, activation, None)


def _plain_head(
    volume: Part, bias: np.ndarray, activation: str, layer: layers.Layer | None
) -> Head:
    """Return the head of one volume."""
    return Head([volume], [], bias, activation, is_binary=False, layer=layer)


def _names(calls: list[Call]) -> str:
    """Return the kinds of layers from input to output; `calls` go from the output backwards."""
    return " → ".join(type(call.layer).__name__ for call in reversed(calls))
