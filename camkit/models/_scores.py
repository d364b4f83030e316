"""From a model's outputs to class scores: its last activation, probabilities, and their check.

The scores S of a model are its logits, two or more for each image. A model with one output, a
sigmoid or a logit z, has two classes with the scores −z/2 and z/2: their softmax is 1 − p and p.
"""

from typing import Any

import keras
import numpy as np
from keras import ops
from scipy.special import expit, softmax

from camkit.models._graph import HeadError, Network, one_way
from camkit.models._head import activation_of, is_weighting
from camkit.models._preprocessor import with_preprocessor

# How far camkit's probabilities may be from those of the model, by the precision it computes in.
TOLERANCE = 1e-4
HALF_TOLERANCE = 1e-3


def last_activations(network: Network) -> dict[keras.Operation, str]:
    """Return {layer: "softmax" or "sigmoid"} for the last activations, from the output backwards.

    They end at the last layer with weights, which is included if it has such an activation itself.
    """
    activations = {}
    for call in network.backwards():
        layer = call.layer
        has_weights = bool(getattr(layer, "weights", None))
        activation = activation_of(layer)
        can_be_split = is_weighting(layer) or not has_weights
        if activation in ("softmax", "sigmoid") and can_be_split:
            activations[layer] = activation
        if has_weights:
            break
    return activations


def is_binary(network: Network) -> bool:
    """Return whether a network has one output, which stands for two classes."""
    return network.output.shape[1:] == (1,)


def is_multi_label(model: keras.Model) -> bool:
    """Return whether a model has a sigmoid for each of several labels."""
    network = one_way(model)
    has_sigmoid = "sigmoid" in last_activations(network).values()
    return has_sigmoid and not is_binary(network)


def class_scores(network: Network, outputs: Any) -> Any:
    """Return the scores S (N, C), C ≥ 2, float32, of outputs without their last activation.

    Args:
        network: The network of the model.
        outputs: The tensor (N, C), or (N, 1) of a model with one output, that the network returns
            where its last activations are left out.
    """
    scores = ops.cast(outputs, "float32")
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

    A model that ends in softmax or sigmoid must return their probabilities, any other one the
    logits themselves.

    Args:
        model: The model.
        images: Images (B, H, W, channels) in the range that the model expects.
        logits: The scores S (B, C) that camkit has computed for the images; C is 2 for a model with
            one output.

    Raises:
        HeadError: The model returns something else; the message names the largest difference.
    """
    network = one_way(model)
    outputs = with_preprocessor(model)(images, training=False)
    outputs = ops.convert_to_numpy(ops.cast(outputs, "float64"))
    ends_in_logits = not last_activations(network)
    expected = logits if ends_in_logits else probabilities(model, logits)
    if is_binary(network):
        # The logit is the difference of the two scores, the probability that of the second class.
        expected = np.diff(logits, axis=1) if ends_in_logits else expected[:, 1:]
    is_half = "16" in network.output.dtype or any(
        "16" in str(getattr(layer, "compute_dtype", "")) for layer in network.layers
    )
    tolerance = HALF_TOLERANCE if is_half else TOLERANCE
    scale = max(1.0, float(np.abs(outputs).max()))
    difference = np.abs(outputs.reshape(expected.shape) - expected)
    if not (difference <= tolerance * scale).all():
        kind = "scores" if ends_in_logits else "probabilities"
        raise HeadError(
            f"the {kind} that camkit reads differ from what the model returns, by up to "
            f"{difference.max():.2g}: its layers do something that camkit does not follow; "
            "camkit.occlusion needs only what the model returns"
        )
