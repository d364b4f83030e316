"""Keras graphs: stepping into nested models, finding the GAP → Dense head.

Everything here reads the model that it is given and leaves it as it was.
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers

REMEDY = "camkit.gap_classifier(backbone, class_names) builds a model that CAM applies to"
_PASSING = (
    layers.Dropout,
    layers.SpatialDropout2D,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.Identity,
)
_FLATTENING = (layers.Flatten, layers.Reshape)
_NORMALIZING = (
    layers.BatchNormalization,
    layers.LayerNormalization,
    layers.GroupNormalization,
    layers.UnitNormalization,
)


class HeadError(ValueError):
    """The model has no GAP → Dense head; the message names what was found and the remedy."""


# Walking ------------------------------------------------------------------------------------------------------


def functional(model):
    """Return `model` as a Functional model over its own layers; HeadError where it has no graph of layers."""
    if isinstance(model, keras.Sequential):
        if not model.built and getattr(model.layers[0], "input_shape", None):
            model.build(
                model.layers[0].input_shape
            )  # it has no weights yet: any first call would do the same
        if not model.built or not model.inputs:
            raise HeadError(
                f"the Sequential model {model.name!r} has no weights yet: begin it with keras.Input((height, width, 3))"
            )
        return keras.Model(model.inputs, model.outputs)
    if not hasattr(model, "_run_through_graph"):
        raise HeadError(
            f"{type(model).__name__} is neither Functional nor Sequential, so its layers cannot be followed; {REMEDY}"
        )
    return model


def one_way(model):
    """Return `model` as a Functional one from one input to one output; HeadError where it has more."""
    graph = functional(model)
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise HeadError(
            f"the model has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs: CAM needs one image in and "
            "one vector of class scores out; make a keras.Model of that part"
        )
    return graph


def _is_nested(op):
    return isinstance(op, keras.Sequential) or hasattr(op, "_run_through_graph")


def layers_of(model):
    """Yield the layers of `model` from input to output, those of nested models in their place."""
    for op in functional(model).operations:
        if _is_nested(op):
            yield from layers_of(op)
        else:
            yield op


def backwards(model):
    """Yield (layer, its input tensor) from the output of `model` backwards, to the first layer with several inputs."""
    tensor = functional(model).outputs[0]
    while True:
        op, node, _ = tensor._keras_history
        if isinstance(op, layers.InputLayer):
            return
        inputs = op._inbound_nodes[node].input_tensors
        if _is_nested(op):
            yield from backwards(op)
        else:
            yield op, inputs[0]
        if len(inputs) != 1:
            return
        tensor = inputs[0]


def replay(model, inputs, visit):
    """Return the outputs of `model` with `visit(layer)` called in place of each layer, nested models stepped into.

    The inputs may be tensors or symbolic. It rests on the method by which Keras itself clones and calls its graphs.
    """

    def operation(op):
        return (lambda x, **_: replay(functional(op), [x], visit)) if _is_nested(op) else visit(op)

    outputs = model._run_through_graph(inputs, operation_fn=operation)
    return outputs if len(model.outputs) > 1 else keras.tree.flatten(outputs)[0]


# The head -----------------------------------------------------------------------------------------------------


@dataclass
class Head:
    """A GAP → Dense head: logits = mean(F) · kernel + bias.

    `at` is the layer whose input is F (h, w, K); `layer` holds kernel (K, C) and bias (C), or is None where F is the
    class maps already; `activation` names what turns logits into probabilities ("linear" where the model stops before).
    """

    at: layers.Layer
    layer: layers.Layer | None
    kernel: np.ndarray
    bias: np.ndarray
    activation: str


def activation_of(op):
    """Return the name of the activation that a layer ends with, "linear" where it has none."""
    if isinstance(op, layers.Softmax | layers.ReLU | layers.LeakyReLU | layers.PReLU | layers.ELU):
        return type(op).__name__.lower()
    activation = (
        getattr(op, "activation", None) or keras.activations.linear
    )  # a function, or a layer itself
    if isinstance(activation, layers.Layer):
        return activation_of(activation)
    return getattr(activation, "__name__", "unnamed")


def is_weighting(op):
    pointwise = (
        isinstance(op, layers.Conv2D) and op.kernel_size == op.strides == (1, 1) and op.groups == 1
    )
    return isinstance(op, layers.Dense) or pointwise


def find_head(model):
    """Return the `Head` of a Keras model: Functional or Sequential, flat or with the backbone nested.

    Between pooling and output may stand Dropout, Flatten or Reshape, one Dense or 1×1 convolution, softmax or sigmoid.
    A convolution with the classes as its channels before the pooling (as in SqueezeNet) serves as well.
    Raises HeadError, which names what was found, for everything else.
    """
    graph = one_way(model)
    chain, trail, weighting, activation = backwards(graph), [], None, "linear"
    for op, tensor in chain:
        trail.insert(0, type(op).__name__)
        head, step = f"the head is {' → '.join(trail)}", activation_of(op)
        if isinstance(op, layers.GlobalAveragePooling2D):
            break
        if isinstance(op, layers.GlobalMaxPooling2D):
            raise HeadError(
                f"{head}: global max pooling keeps one position a channel, so no map adds up to it; {REMEDY}"
            )
        if isinstance(op, _NORMALIZING):
            raise HeadError(
                f"{head}: normalisation after the pooling breaks the weighted sum of the channels; {REMEDY}"
            )
        if (
            isinstance(op, _FLATTENING)
            and len(tensor.shape) == 4
            and tuple(tensor.shape[1:3]) != (1, 1)
        ):
            raise HeadError(
                f"{head}: CAM needs global average pooling before the only Dense layer; {REMEDY}"
            )
        if is_weighting(op):
            if weighting:
                raise HeadError(
                    f"{head}: CAM needs one Dense layer after the pooling and finds several; {REMEDY}"
                )
            weighting = op
        elif not isinstance(op, (*_PASSING, *_FLATTENING, layers.Activation, layers.Softmax)):
            raise HeadError(
                f"{head}: {type(op).__name__} cannot stand between the pooling and the scores; {REMEDY}"
            )
        if step != "linear":
            if (
                activation != "linear"
                or step not in ("softmax", "sigmoid")
                or (weighting and weighting is not op)
            ):
                raise HeadError(
                    f"{head}: {step!r} stands between the pooling and the scores; {REMEDY}"
                )
            activation = step
    else:
        raise HeadError(
            f"the head is {' → '.join(trail)}: there is no global average pooling; {REMEDY}"
        )
    if op.data_format != "channels_last":
        raise HeadError(
            "the model is channels_first: CAM reads channels_last features (B, height, width, channels)"
        )
    if weighting is None:
        if activation == "linear":
            raise HeadError(
                f"the model ends in {' → '.join(trail)}: these are GAP features and no class scores; {REMEDY}"
            )
        before = next((layer for layer, _ in chain if not isinstance(layer, _PASSING)), None)
        if before is not None and is_weighting(before) and activation_of(before) == "linear":
            op = weighting = before
        else:
            classes = tensor.shape[-1]
            return Head(
                op, None, np.eye(classes, dtype="float32"), np.zeros(classes, "float32"), activation
            )
    kernel = np.asarray(weighting.kernel, dtype="float32").reshape(-1, weighting.kernel.shape[-1])
    bias = np.zeros(kernel.shape[1]) if weighting.bias is None else np.asarray(weighting.bias)
    return Head(op, weighting, kernel, bias.astype("float32"), activation)


# Images ---------------------------------------------------------------------------------------------------------


def batch_of(images, shape, remedy):
    """Return images as a float32 array; ValueError, with the remedy, unless the shape is (B, *shape), None for any."""
    images = np.asarray(images, dtype="float32")
    if images.ndim != 1 + len(shape) or any(
        want not in (None, have) for want, have in zip(shape, images.shape[1:])
    ):
        raise ValueError(
            f"the batch has shape {images.shape}, the model takes (B, {', '.join(str(n or 'any') for n in shape)}): "
            f"images.batches(batch_size, size) yields batches of one size, image[None] makes a batch of one, {remedy}"
        )
    return images
