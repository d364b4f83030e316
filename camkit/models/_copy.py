"""Inference: the fast private copy of a model that CAM runs on.

Copies, not the model itself, are called, folded and compiled, so that the model handed in stays as it was.
"""

import hashlib
import json
import random
import tempfile
import zipfile
from contextlib import contextmanager, nullcontext
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from camkit._quiet import held_back
from camkit.models._graph import HeadError, activation_of, functional, layers_of, replay

_CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)


@contextmanager
def _random_unmoved():
    """Leave Python's random numbers where they are: Keras draws a seed from them for every layer that it makes."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


@_random_unmoved()
def call_copy(model, x, changes=None):
    """Return (outputs, {id(layer): copy}): copies of all layers of `model`, with their weights, called on symbolic `x`.

    The graph that results is flat. `changes` {id(layer): settings} has settings that a copy differs in, or None for a
    layer to leave out. Raises HeadError where a layer cannot be copied from its configuration.
    """
    copies, names, changes = {}, set(), changes or {}

    def copy_of(op):
        if id(op) in changes and changes[id(op)] is None:
            return lambda x, **_: x
        if id(op) not in copies:
            try:
                config = {**op.get_config(), **changes.get(id(op), {})}
                if op.name in names:  # two nested models may each use a name
                    config["name"] = f"{op.name}_{len(names)}"
                if (
                    type(op) is layers.Lambda
                ):  # its function is at hand; making it from text is unsafe to Keras
                    settings = {
                        "arguments": op.arguments,
                        "name": config["name"],
                        "dtype": op.dtype_policy,
                    }
                    copies[id(op)] = layers.Lambda(op.function, op._output_shape, **settings), op
                else:
                    copies[id(op)] = type(op).from_config(config), op
                names.add(op.name)
            except (NotImplementedError, TypeError) as error:
                raise HeadError(
                    f"{op.name!r} cannot be copied: give {type(op).__name__} a get_config"
                ) from error
        return copies[id(op)][0]

    outputs = replay(functional(model), [x], copy_of)
    for copy, op in copies.values():
        if getattr(op, "weights", None):
            copy.set_weights(op.get_weights())
            getattr(
                copy, "finalize_state", int
            )()  # Normalization keeps what it computes from its weights
    return outputs, {key: copy for key, (copy, _) in copies.items()}


def feature_model(model, head, input_size=None):
    """Return a private, flat copy of `model` from the image to the features F (N, h, w, K), made for inference.

    Batch normalisation is folded into the convolution before it, which changes F by rounding only. `input_size`
    (pixels: one number or (height, width)) makes it for images of another size than the model's own. Raises ValueError
    where the model has layers that know that size.
    """
    given = functional(model).inputs[0]
    shape = list(given.shape)
    if input_size is not None:
        shape[1:3] = np.broadcast_to(input_size, 2).tolist()
    image = keras.Input(batch_shape=shape, dtype=given.dtype)
    convolutions = [op for op in layers_of(model) if type(op) in _CONVOLUTIONS]
    undrawn = {
        id(op): {key: "zeros" for key in op.get_config() if key.endswith("_initializer")}
        for op in convolutions
    }
    try:
        _, copies = call_copy(
            model, image, undrawn
        )  # random weights would be drawn to be overwritten
    except ValueError as error:
        if input_size is None or isinstance(error, HeadError):
            raise
        raise ValueError(
            f"the model cannot read images of {shape[1:3]}, only of {given.shape[1:3]}: {error}"
        ) from error
    return _fold(keras.Model(image, copies[id(head.at)].input))


def fixed_size(shape, remedy):
    """Return (height, width) of the images that a model takes; ValueError with the remedy where it takes any."""
    size = tuple(shape[:2])
    if None in size:
        raise ValueError(
            f"the model takes images of any size and does not say which it was made for: {remedy}"
        )
    return size


def dilation(model, output_stride):
    """Return the changes (for `call_copy`) that keep a flat `model` from going beyond an output stride.

    Where a convolution or pooling would, its stride becomes 1, and the kernels after it are dilated by as much, so that
    each still sees what it was trained on, at more positions; windows of pooling are not dilated (Yu & Koltun,
    Multi-Scale Context Aggregation by Dilated Convolutions, ICLR 2016; Chen et al., DeepLab). Raises ValueError where
    the model has no such stride on its way.
    """
    windows = (*_CONVOLUTIONS, layers.MaxPooling2D, layers.AveragePooling2D)
    changes, reached = {}, {}  # reached: {id(layer): (stride, dilation) of its output}
    for op in model.operations:
        inputs = [
            reached[id(t._keras_history.operation)] for t in op._inbound_nodes[0].input_tensors
        ]
        stride, rate = max(inputs, default=(1, 1))
        if isinstance(op, windows):
            step, pools = op.strides[0], not isinstance(op, _CONVOLUTIONS)
            kept = stride * step <= output_stride
            if not kept or rate > 1:
                changes[id(op)] = {"strides": step if kept else 1, "padding": "same"}
                if not pools:
                    changes[id(op)]["dilation_rate"] = rate * op.dilation_rate[0]
                source = op._inbound_nodes[0].input_tensors[0]._keras_history.operation
                if isinstance(source, layers.ZeroPadding2D) and op.padding == "valid":
                    changes[id(source)] = None  # the padding is now the convolution's own
            stride, rate = (stride * step, rate) if kept else (stride, rate * step)
        reached[id(op)] = stride, rate
    stride = reached[id(model.output._keras_history.operation)][0]
    if stride != output_stride:
        raise ValueError(
            f"the output stride of {model.name} cannot be {output_stride}: {stride} is the nearest below"
        )
    return changes


@_random_unmoved()
def _fold(model):
    """Return the flat `model` with each BatchNormalization absorbed by the convolution whose only reader it is."""
    folded, absorbed = {}, set()
    for norm in model.layers:
        if isinstance(norm, layers.BatchNormalization) and len(norm._inbound_nodes) == 1:
            conv = norm.input._keras_history.operation
            alone = (
                len(conv._inbound_nodes) == len(conv._outbound_nodes) == 1
                and conv.output is not model.output
            )
            plain = type(conv) in _CONVOLUTIONS and activation_of(conv) == "linear"
            if plain and alone and conv.data_format == "channels_last" and norm.axis in (-1, 3):
                folded[id(conv)] = _absorb(conv, norm)
                absorbed.add(id(norm))

    def visit(op):
        return (lambda x, **_: x) if id(op) in absorbed else folded.get(id(op), op)

    image = keras.Input(batch_shape=model.input.shape, dtype=model.input.dtype)
    return keras.Model(image, replay(model, [image], visit))


def _absorb(conv, norm):
    """Return a convolution that computes norm(conv(x)): kernel · s, bias · s + t with s = γ/√(σ² + ε), t = β − μ·s."""
    mean, variance = (
        np.asarray(w, dtype="float64") for w in (norm.moving_mean, norm.moving_variance)
    )
    s = (np.asarray(norm.gamma, dtype="float64") if norm.scale else 1.0) / np.sqrt(
        variance + norm.epsilon
    )
    t = (np.asarray(norm.beta, dtype="float64") if norm.center else 0.0) - mean * s
    *rest, kernel = conv.get_weights()[:-1] if conv.use_bias else conv.get_weights()
    bias = conv.get_weights()[-1] if conv.use_bias else 0.0
    fused = type(conv).from_config({**conv.get_config(), "use_bias": True})
    fused.build(conv.input.shape)
    scale = s.reshape(kernel.shape[-2:]) if type(conv) is layers.DepthwiseConv2D else s
    fused.set_weights([*rest, kernel * scale, bias * s + t])
    return fused


def fingerprint(model):
    """Return a digest of a model's layers, their settings and weights, whatever their names."""
    digest = hashlib.sha256()
    for op in layers_of(model):
        config = {key: value for key, value in op.get_config().items() if key != "name"}
        digest.update(json.dumps([type(op).__name__, config], default=str, sort_keys=True).encode())
        for weight in getattr(op, "weights", ()):
            digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def packed(model):
    """Return what `unpacked` makes the model of in another process: its file's bytes, and the classes it needs."""
    own = {
        type(op).__name__: type(op)
        for op in layers_of(model)
        if not type(op).__module__.startswith("keras.")
    }
    with tempfile.TemporaryDirectory() as folder:
        model.save(file := Path(folder, "model.keras"))
        said = zipfile.ZipFile(file).read("config.json").decode()
        named = {
            name: it
            for name, it in keras.saving.get_custom_objects().items()
            if json.dumps(name) in said
        }
        return file.read_bytes(), {**named, **own}


def unpacked(packed):
    """Return the model that `packed` has made of one. Raises what Keras does where a layer cannot be made."""
    data, own = packed
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "model.keras").write_bytes(data)
        return keras.models.load_model(
            Path(folder, "model.keras"), own, compile=False, safe_mode=False
        )


def compiled(function, features):
    """Return `function` of a batch of images as a graph: compiled with XLA where that works and pays, else plain.

    `features` is the model that it calls.
    """
    signature = [tf.TensorSpec((None, *features.input_shape[1:]), "float32")]
    fast, plain = (
        tf.function(function, input_signature=signature, jit_compile=jit) for jit in (True, False)
    )
    graphs = {}  # by image size

    def run(images):
        size = images.shape[1:]
        first = size not in graphs
        if first:
            graphs[size] = fast if _suits_xla(features, size) else plain
        try:
            with (
                held_back(drop=True) if first else nullcontext()
            ):  # TensorFlow 2.20 tells that it has compiled
                return graphs[size](images)
        except tf.errors.OpError:
            if graphs[size] is plain:
                raise
            graphs[size] = plain
            return plain(images)

    return run


@_random_unmoved()
def _suits_xla(features, size):
    """Return whether XLA is quick on a CPU for images of this size: it has but plain loops, ten times slower than the
    plain graph, for depthwise and grouped convolutions and for kernels with more positions than the map they meet."""
    slow = []

    def visit(op):
        def call(x, *args, **kwargs):
            if isinstance(op, _CONVOLUTIONS):
                grouped = not isinstance(op, layers.Conv2D) or op.groups > 1
                slow.append(grouped or np.prod(op.kernel_size) > np.prod(x.shape[1:3]))
            return op(x, *args, **kwargs)

        return call

    replay(features, [keras.Input(size)], visit)
    return not any(slow)
