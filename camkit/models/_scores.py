"""From a model's outputs to class scores: its last activation, probabilities, and their check.

The scores S of a model are its logits, two or more for each image. A model with one output, a
sigmoid or a logit z, has two classes with the scores −z/2 and z/2: their softmax is 1 − p and p.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from scipy.special import expit, log_softmax, softmax

from camkit.models._graph import HeadError, Network, Value, one_way
from camkit.models._kinds import (
    activation_of,
    is_quantized,
    is_vector,
    is_weighting,
    keeps_values,
    operation_name,
    size_of,
)
from camkit.models._preprocessor import with_preprocessor

# How far camkit's probabilities may be from those of the model, by the precision it computes in.
TOLERANCE = 1e-4
HALF_TOLERANCE = 1e-3

# The logarithm of a smaller probability is taken of this one.
_SMALLEST = 1e-30

# Where a size of the image is open, random ones of this size tell what the outputs are.
_SIDE = 128


@dataclass(frozen=True)
class Ending:
    """How the outputs of a model become class scores.

    Attributes:
        activation: "softmax", "sigmoid", or "linear" if the outputs are the scores.
        layers: The layers that hold the last activation and are called without it.
        is_inverted: Whether the activation cannot be left out, as in an average of several softmax
            outputs. The scores are then the logarithms, or the log odds, of the outputs.
        is_logarithm: Whether the outputs are the logarithms of the probabilities, by log_softmax.
    """

    activation: str
    layers: frozenset[keras.Operation]
    is_inverted: bool = False
    is_logarithm: bool = False


def ending_of(network: Network) -> Ending:
    """Return how the outputs of a network become scores, which is looked up once.

    Between the last softmax or sigmoid and the output there may be casts, reshaping and Dropout.
    Where neither is found, outputs of random images that sum to 1, or that lie in 0..1 and come
    from layers that camkit does not know, are taken for probabilities.
    """
    if network.ending is None:
        network.ending = _find_ending(network)
    return network.ending


def last_activations(network: Network) -> dict[keras.Operation, str]:
    """Return {layer: "softmax" or "sigmoid"} for the layers that are called without activation."""
    ending = ending_of(network)
    return {} if ending.is_inverted else dict.fromkeys(ending.layers, ending.activation)


def is_binary(network: Network) -> bool:
    """Return whether a network has one output, which stands for two classes."""
    return is_vector(network.output) and size_of(network.output) == 1


def is_multi_label(model: keras.Model) -> bool:
    """Return whether a model has a sigmoid for each of several labels."""
    network = one_way(model)
    return ending_of(network).activation == "sigmoid" and not is_binary(network)


def class_scores(network: Network, outputs: Any) -> Any:
    """Return the scores S (N, C), C ≥ 2, float32, of outputs without their last activation.

    Args:
        network: The network of the model.
        outputs: The tensor (N, C), or (N, 1) of a model with one output, that the network returns
            where its `last_activations` are left out.
    """
    ending = ending_of(network)
    scores = ops.cast(outputs, "float32")
    if len(scores.shape) > 2:
        # Some models return the scores as (N, 1, 1, C).
        scores = ops.reshape(scores, (-1, size_of(network.output)))
    if ending.is_inverted:
        scores = _inverted(scores, ending.activation)
    if not is_binary(network):
        return scores
    return ops.concatenate([-scores / 2, scores / 2], axis=-1)


def probabilities(model: keras.Model, logits: np.ndarray) -> np.ndarray:
    """Return the probabilities (B, C) of logits (B, C), as float64.

    They are computed by the model's own sigmoid or softmax, or by softmax if it has neither. The
    two classes of a model with one output share 1.
    """
    # Double precision distinguishes probabilities very close to 1.
    logits = logits.astype("float64")
    return expit(logits) if is_multi_label(model) else softmax(logits, axis=1)


def check_scores(model: keras.Model, images: np.ndarray, logits: np.ndarray) -> None:
    """Check that scores are those of the model: its own outputs follow from them.

    A model that ends in softmax or sigmoid must return their probabilities, one that ends in
    log_softmax the logarithms of these, any other one the logits themselves.

    Args:
        model: The model.
        images: Images (B, H, W, channels) in the range that the model expects.
        logits: The scores S (B, C) that camkit has computed for the images; C is 2 for a model with
            one output.

    Raises:
        HeadError: The model returns something else; the message names the largest difference.
    """
    network = one_way(model)
    whole = with_preprocessor(model)
    tensor = ops.convert_to_tensor(images, network.input.dtype)
    raw = whole(_argument_of(whole, tensor), training=False)
    (outputs,) = keras.tree.flatten(raw)
    outputs = ops.convert_to_numpy(ops.cast(outputs, "float32"))
    ending = ending_of(network)
    ends_in_logits = ending.activation == "linear"
    kind = "scores" if ends_in_logits or ending.is_logarithm else "probabilities"
    expected = logits if ends_in_logits else probabilities(model, logits)
    if ending.is_logarithm:
        expected = log_softmax(logits.astype("float64"), axis=1)
    if is_binary(network):
        # The logit is the difference of the two scores, the probability that of the second class.
        expected = np.diff(logits, axis=1) if ends_in_logits else expected[:, 1:]
    outputs = outputs.reshape(expected.shape)
    difference = np.abs(outputs - expected)
    # A rounding error of the logits is in proportion to them.
    largest = float(np.abs(logits).max())
    allowed = _tolerance(network) * max(1.0, largest)
    are_undefined = np.isnan(outputs) & np.isnan(expected)
    is_same = (difference <= allowed) | are_undefined
    if not is_same.all():
        raise HeadError(
            f"the {kind} that camkit reads differ by up to {difference.max():.2g} from what the "
            "model returns: a layer does something that cannot be followed, and "
            "camkit.occlusion(function, batch), which reads outputs alone, is the way to explain it"
        )


def _argument_of(model: keras.Model, images: Any) -> Any:
    """Return images as a model takes them: in a dictionary, if its input is one."""
    structure = getattr(model, "input", None)
    if structure is None:
        # A subclassed model knows the shapes alone.
        config = model.get_build_config() or {}
        structure = config.get("input_shape")
    return dict.fromkeys(structure, images) if isinstance(structure, dict) else images


def _find_ending(network: Network) -> Ending:
    """Return the ending of a network: the last activation on the way back from its output."""
    call = network.maker_of(network.output)
    while call is not None:
        layer = call.layer
        activation = activation_of(layer)
        is_softmax = activation in ("softmax", "log_softmax")
        if is_softmax and is_binary(network):
            always = 1 if activation == "softmax" else 0
            raise HeadError(
                f"the model ends in {activation} over one output, which is always {always}: it "
                "needs sigmoid, or two outputs"
            )
        if is_softmax or activation == "sigmoid":
            has_weights = bool(getattr(layer, "weights", None))
            can_be_split = is_weighting(layer) and not is_quantized(layer)
            is_inverted = has_weights and not can_be_split
            is_logarithm = activation == "log_softmax"
            if is_inverted and is_logarithm:
                # Logarithms of probabilities are scores as they are.
                return Ending("linear", frozenset())
            name = "softmax" if is_softmax else "sigmoid"
            return Ending(name, frozenset([layer]), is_inverted, is_logarithm)
        if activation == "linear" and is_weighting(layer):
            return Ending("linear", frozenset())
        if not keeps_values(layer) or len(call.inputs) != 1:
            return _ending_by_outputs(network)
        call = network.maker_of(call.inputs[0])
    return Ending("linear", frozenset())


def _ending_by_outputs(network: Network) -> Ending:
    """Return the ending that the outputs of a few random images show."""
    scores = Ending("linear", frozenset())
    if not is_vector(network.output) or len(network.inputs) != 1:
        return scores
    images = random_images(network)
    given = {network.input: ops.cast(ops.convert_to_tensor(images), network.input.dtype)}
    try:
        (tensor,) = network.run(given, [network.output], called_for_inference)
    except (ValueError, TypeError):
        return scores
    outputs = ops.convert_to_numpy(ops.cast(tensor, "float32")).reshape(len(images), -1)
    is_in_range = outputs.min() >= 0 and outputs.max() <= 1 + TOLERANCE
    excess = outputs.sum(axis=1) - 1
    sums_to_one = np.abs(excess).max() <= HALF_TOLERANCE
    if is_in_range and sums_to_one and not is_binary(network):
        return Ending("softmax", frozenset(), is_inverted=True)
    may_be_sigmoids = _endings_before(network, network.output) <= {"sigmoid", "unknown"}
    if is_in_range and may_be_sigmoids:
        return Ending("sigmoid", frozenset(), is_inverted=True)
    return scores


def _endings_before(network: Network, value: Value) -> set[str]:
    """Return the activations that outputs come from, "unknown" for a layer that may hold one."""
    call = network.maker_of(value)
    if call is None:
        return {"linear"}
    activation = activation_of(call.layer)
    if activation != "linear" or is_weighting(call.layer):
        return {activation}
    if not type(call.layer).__module__.startswith("keras.") or isinstance(
        call.layer, layers.Lambda
    ):
        return {"unknown"}
    return set().union(*(_endings_before(network, source) for source in call.inputs))


def called_for_inference(layer: keras.Operation) -> Callable:
    """Return a function that calls a layer with training=False, whatever the graph says.

    So augmentation inside the model is switched off. A gradient that is stopped, as it is for a
    frozen backbone, concerns training as well.
    """
    if isinstance(layer, layers.Layer):
        return partial(_call_for_inference, layer)
    if operation_name(layer) == "StopGradient":
        return _same
    return layer


def _same(tensor: Any) -> Any:
    """Return what an operation reads that does nothing at inference."""
    return tensor


def _call_for_inference(layer: layers.Layer, *args: Any, **kwargs: Any) -> Any:
    """Call a layer with training=False."""
    return layer(*args, **{**kwargs, "training": False})


def random_images(network: Network) -> np.ndarray:
    """Return a few random images of the size that a network takes, float32 in 0..1.

    A network that takes images of integers has them in 0..255. Other integers, such as words, are 0
    or 1, which every vocabulary has.
    """
    size = [_SIDE if side is None else side for side in network.input.shape[1:]]
    is_of_bytes = "int" in network.input.dtype and len(size) == 3
    highest = 255 if is_of_bytes else 1
    return np.random.default_rng(0).uniform(0, highest, (2, *size)).astype("float32")


def _inverted(outputs: Any, activation: str) -> Any:
    """Return the logarithms of probabilities, or their log odds for a sigmoid."""
    log_p = ops.log(ops.maximum(outputs, _SMALLEST))
    if activation == "softmax":
        return log_p
    return log_p - ops.log(ops.maximum(1 - outputs, _SMALLEST))


def _tolerance(network: Network) -> float:
    """Return how far probabilities may differ, by the precision in which a network computes."""
    precisions = {str(getattr(layer, "compute_dtype", "")) for layer in network.layers}
    is_half = not precisions.isdisjoint({"float16", "bfloat16"})
    return HALF_TOLERANCE if is_half else TOLERANCE
