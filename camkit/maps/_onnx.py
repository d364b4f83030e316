"""A model as an ONNX file: from the image to the features that its head averages.

Keras itself converts: with tf2onnx on TensorFlow, jax2onnx on JAX, PyTorch's exporter on PyTorch.
"""

import importlib
import logging
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from camkit._quiet import brief, held_back
from camkit.maps.cam import CAM
from camkit.models._copy import feature_model
from camkit.models._graph import REMEDY, HeadError, network_of, one_way
from camkit.models._head import find_head
from camkit.models._places import is_tokens

# Averaged features of two models with the same backbone differ by less.
SAME = 1e-3


@dataclass(frozen=True, eq=False)
class OnnxFeatures:
    """What computes class maps without Keras: features F by an ONNX file, and the head.

    Attributes:
        content: The ONNX file, which reads one image (1, H, W, channels), float32 0..255 as the
            model does, and returns F (1, h, w, K).
        input_shape: (H, W, channels).
        feature_shape: (h, w, K).
        activation: What makes probabilities of logits: "softmax", "sigmoid" or "linear".
        cam: The CAM of the model, with the weights and biases of the head.
    """

    content: bytes
    input_shape: tuple[int, int, int]
    feature_shape: tuple[int, int, int]
    activation: str
    cam: CAM


def onnx_features(
    model: keras.Model, input_size: int | tuple[int, int] | None = None
) -> OnnxFeatures:
    """Return a model as an ONNX file up to its features, and its head.

    Args:
        model: A Keras model with a GAP → Dense head on one map, which is not changed.
        input_size: The size of the images in pixels, one number or (height, width), if it is not
            that of the model's input.

    Raises:
        HeadError: The model has no such head, or reads something other than one gray or RGB image.
        ValueError: The model takes images of any size and none is given, or it cannot be converted.
        ImportError: The packages that convert it are missing.
    """
    count = len(network_of(model).inputs)
    if count != 1:
        raise HeadError(
            f"the model has {count} inputs, and a page gives a model one image and nothing else: "
            "analyse it in Python"
        )
    # It refuses heads that cannot be read, and compares a copy of the model with the model.
    cam = CAM(model, input_size=input_size)
    network = one_way(model)
    head = find_head(model)
    if is_tokens(network, head.features):
        raise HeadError(
            "the head averages the tokens of a transformer, and a page computes maps (batch, "
            f"height, width, channels) only; {REMEDY}"
        )
    copy = feature_model(model, head, input_size)
    image = copy.inputs[0]
    _check_shape(tuple(image.shape[1:]))
    if image.dtype != "float32":
        floats = keras.Input(batch_shape=image.shape)
        copy = keras.Model(floats, copy(keras.ops.cast(floats, image.dtype)))
    return OnnxFeatures(
        _converted(copy),
        tuple(image.shape[1:]),
        tuple(copy.outputs[0].shape[1:]),
        head.activation,
        cam,
    )


def with_head_of(features: OnnxFeatures, model: keras.Model) -> OnnxFeatures | None:
    """Return features with the head of another model; None if it gives an image other features."""
    cam = CAM(model, input_size=features.input_shape[:2])
    noise = np.random.default_rng(0).integers(0, 256, (2, *features.input_shape))
    images = noise.astype("float32")
    expected = features.cam(images).gap
    gap = cam(images).gap
    if gap.shape != expected.shape or not np.allclose(gap, expected, rtol=SAME, atol=SAME):
        return None
    return replace(features, cam=cam, activation=find_head(model).activation)


def _check_shape(shape: tuple[int | None, ...]) -> None:
    """Raise an error unless images have a known size and one or three channels."""
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise HeadError(f"the model reads {shape}: a page gives it gray (1) or RGB images (3)")
    if None in shape:
        raise ValueError(
            f"the model takes images of any size {shape}: name one, "
            "input_size=(height, width) (in the shell --size)"
        )


def _converted(copy: keras.Model) -> bytes:
    """Return the ONNX file of a model of one image.

    Raises ImportError if a package is missing, and ValueError if the model cannot be converted.
    """
    image = copy.inputs[0]
    signature = [keras.InputSpec(shape=(1, *image.shape[1:]), dtype=image.dtype, name="image")]
    # tf2onnx logs its progress, and Keras warns of what it mends in tf2onnx.
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = Path(folder) / "model.onnx"
        try:
            # The check of the operations needs it, the converter of PyTorch may not.
            importlib.import_module("onnx")
            with held_back(), held_back(1):
                copy.export(str(file), format="onnx", verbose=False, input_signature=signature)
        except ImportError as error:
            raise ImportError(
                f"a model becomes an ONNX file with packages of an extra: pip install "
                f"'camkit[playground]', on JAX jax2onnx ({brief(error)})"
            ) from error
        except Exception as error:
            # The converters fail in any way at an operation that they do not know.
            raise ValueError(f"Keras cannot convert the model to ONNX: {brief(error)}") from error
        content = file.read_bytes()
    _check_operations(content)
    return content


def _check_operations(content: bytes) -> None:
    """Raise ValueError if an ONNX file asks for operations that are not part of ONNX.

    The converters write what they do not know as an operation of its name, which no engine runs.
    """
    import onnx

    model = onnx.load_model_from_string(content)
    functions = {(function.domain, function.name) for function in model.functions}
    nodes = [*_nodes(model.graph.node)]
    for function in model.functions:
        nodes.extend(_nodes(function.node))
    for node in nodes:
        is_standard = node.domain in ("", "ai.onnx") and onnx.defs.has(node.op_type)
        if not is_standard and (node.domain, node.op_type) not in functions:
            raise ValueError(
                f"the model computes {node.op_type}, which ONNX does not know and no page can run: "
                "write that layer with operations of keras.ops"
            )


def _nodes(nodes: Iterable[Any]) -> Iterator[Any]:
    """Yield the nodes of a graph, and those of the branches and loops within."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in [attribute.g, *attribute.graphs]:
                yield from _nodes(graph.node)
