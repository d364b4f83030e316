"""Probing a Keras model: its scores, and the activations and gradients at any of its layers.

What is asked is traced into a graph the first time and computed with the present weights every time, so that training
is followed. The model stays as it was.
"""

import difflib
import weakref
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from scipy.special import expit, softmax

from camkit.models._graph import (
    HeadError,
    activation_of,
    backwards,
    batch_of,
    find_head,
    functional,
    is_weighting,
    layers_of,
    replay,
)

_traced = weakref.WeakKeyDictionary()  # {model: {what is asked: graph}}, forgotten with the model
_seen = []  # what `seen` keeps: (model, images, layer, maps)


def scores(model, images, layer=None, maps=None):
    """Return the logits S (B, C) of images (B, H, W, channels), read before the model's last softmax or sigmoid.

    With `maps` (n, h, w, K): the logits (n, C) of one image (1, H, W, channels) if `layer` had these maps for its own.
    Raises ValueError for images and layers as `gradients` does.
    """
    return _ask(
        _scores,
        model,
        layer,
        images,
        *([] if maps is None else [np.asarray(maps, dtype="float32")]),
    ).numpy()


def gradients(model, images, targets=None, layer=None):
    """Return the activations A (B, h, w, K) of a layer and the gradients ∂S/∂A of the target classes' logits.

    `targets` is one class or one for each image (default: the predicted class); `layer` a layer or its name, the input
    included (default: the last map that is read). The logits are read before the model's last softmax or sigmoid.
    Raises ValueError for images of another shape than the model takes, for targets that are no class, and for a layer
    that is unknown, ambiguous or without a map.
    """
    targets = _checked(targets, len(images), functional(model).outputs[0].shape[-1])
    for *asked, maps in _seen:
        if asked[0] is model and asked[1] is images and asked[2] == layer:
            return maps, _ask(_slopes, model, layer, images, targets, maps).numpy()
    maps, slopes = _ask(_gradients, model, layer, images, targets)
    return maps.numpy(), slopes.numpy()


@contextmanager
def seen(model, images, layer=None):
    """Yield the logits (B, C) of images and the activations A (B, h, w, K) of a layer, by one forward pass.

    Within, `gradients` of the same array at that layer goes on from A, so that several targets cost little more than
    one. Nothing may be trained there. Raises ValueError as `gradients` does.
    """
    logits, maps = (array.numpy() for array in _ask(_look, model, layer, images))
    _seen.append((model, images, layer, maps))
    try:
        yield logits, maps
    finally:
        _seen.pop()


def probabilities(model, logits):
    """Return the probabilities (B, C) of logits by the model's own sigmoid or softmax; softmax where it has neither."""
    logits = logits.astype("float64")  # which tells the sure from the surer
    return (
        expit(logits) if "sigmoid" in last_activations(model).values() else softmax(logits, axis=1)
    )


def choose(logits, targets=None):
    """Return the target classes (B,) of logits (B, C): `targets`, one or one for each image, or else the predicted."""
    chosen = _checked(targets, *logits.shape)
    return np.where(chosen < 0, logits.argmax(axis=1), chosen)


def _checked(targets, count, classes):
    """Return targets as an array (count,), -1 standing for the predicted class; ValueError where one is no class."""
    chosen = np.array(-1 if targets is None else targets)
    if chosen.shape not in ((), (count,)) or not (
        targets is None or np.isin(chosen, np.arange(classes)).all()
    ):
        raise ValueError(
            f"targets is {targets}: one class 0..{classes - 1}, or one for each image, is needed"
        )
    return np.broadcast_to(chosen, count).astype("int64")


def input_of(model):
    """Return the input layer of `model`."""
    return functional(model).inputs[0]._keras_history.operation


def last_activations(model):
    """Return {layer: "softmax" or "sigmoid"} of the layers that end in one, from the last weights of `model` on."""
    found = {}
    for op, _ in backwards(model):
        weighs = bool(getattr(op, "weights", None))
        if activation_of(op) in ("softmax", "sigmoid") and (is_weighting(op) or not weighs):
            found[op] = activation_of(op)
        if weighs:
            break
    return found


# Graphs ---------------------------------------------------------------------------------------------------------


def _ask(question, model, layer, images, *more):
    """Return the answer to one of the questions below, by a graph traced once for each model, layer and shape."""
    graph, known = functional(model), _traced.setdefault(model, {})
    remedy = "camkit.backbone(name, input_size=...) builds for another size"
    arrays = batch_of(images, graph.inputs[0].shape[1:], remedy), *more
    key = (
        question,
        layer,
        id(graph.outputs[0]),
        *(array.shape[1:] for array in arrays),
    )  # a Sequential model may grow
    if key not in known:
        place = None if question is _scores and not more else _place(graph, layer)
        signature = [tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in arrays]
        function = tf.function(lambda *tensors: question(graph, place, *tensors), autograph=False)
        known[key] = function.get_concrete_function(*signature)
    return known[key](*map(tf.constant, arrays))


def _scores(model, place, images, maps=None):
    return _run(
        model, place, images if maps is None else tf.repeat(images, tf.shape(maps)[0], axis=0), maps
    )[0]


def _look(model, place, images):
    logits, maps = _run(model, place, images)
    return logits, tf.cast(maps, "float32")


def _gradients(model, place, images, targets):
    logits, maps = _run(model, place, images)
    return tf.cast(maps, "float32"), _slope(logits, targets, maps)


def _slopes(model, place, images, targets, maps):
    return _slope(_run(model, place, images, maps)[0], targets, maps)


def _slope(logits, targets, maps):
    chosen = tf.where(targets < 0, tf.argmax(logits, axis=1), targets)
    score = tf.gather(logits, chosen, axis=1, batch_dims=1)
    return tf.cast(tf.gradients(score, maps, unconnected_gradients="zero")[0], "float32")


def _run(model, place, images, maps=None):
    """Return the logits of images and what passes at a place of the model; `maps` pass there instead if given."""
    last, kept = last_activations(model), []

    def passing(x, *here):
        if here != place:
            return x
        kept.append(x)
        return x if maps is None else tf.ensure_shape(tf.cast(maps, x.dtype), x.shape)

    def visit(op):
        def call(x, *args, **kwargs):
            x = passing(x, op, "in")
            if "training" in getattr(op, "_call_context_args", ()):
                kwargs["training"] = False  # as in predict: augmentation inside the model sleeps
            return passing(_linear(op, x) if op in last else op(x, *args, **kwargs), op, "out")

        return call

    images = passing(images, input_of(model), "out")
    logits = replay(model, [tf.cast(images, model.inputs[0].dtype)], visit)
    if place and place[0] is None:
        maps = [op.name for op in layers_of(model) if len(getattr(op.output, "shape", ())) == 4]
        raise ValueError(
            f"no map (batch, height, width, channels) leads straight to the scores: name the layer to read, such as "
            f"layer={maps[-1]!r}"
            if maps[1:]
            else "the model has no map (batch, height, width, channels) to read"
        )
    if place and (len(kept) != 1 or len(kept[0].shape) != 4):
        name, times = getattr(place[0], "name", None), len(kept)
        found = f"has {times} maps" if times > 1 else "has no map (batch, height, width, channels)"
        raise ValueError(f"the layer {name!r} {found}: name one before the pooling, called once")
    return tf.cast(logits, "float32"), *kept


def _linear(op, x):
    """Return what a layer computes before its activation."""
    if not is_weighting(op):
        return x
    y = (
        op.convolution_op(x, op.kernel)
        if isinstance(op, layers.Conv2D)
        else keras.ops.matmul(x, op.kernel)
    )
    return y if op.bias is None else y + keras.ops.cast(op.bias, y.dtype)


def _place(model, layer):
    """Return (layer, "out") of the layer that is named, else (layer, "in") of the one that reads the last map."""
    if layer is None:
        try:
            return find_head(model).at, "in"
        except HeadError:  # it has gradients all the same
            maps = (
                op
                for op, x in backwards(model)
                if len(x.shape) == 4 and tuple(x.shape[1:3]) != (1, 1)
            )
            return next(maps, None), "in"
    candidates = list(layers_of(model))
    found = [op for op in candidates if op is layer or op.name == layer]
    if len(found) != 1:
        names = [op.name for op in candidates]
        near = difflib.get_close_matches(str(layer), names, 3) or names[-3:]
        raise ValueError(
            f"{len(found)} layers are named {layer!r}: name one of its {len(names)}, such as {near}"
        )
    return found[0], "out"
