"""Backbones: networks from images to feature maps, with their preprocessing inside."""

import os
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import layers

from camkit._resources import carried
from camkit.models import _efficientnet_lite
from camkit.models._copy import call_copy, dilation

# The side in pixels of the images that the weights were trained on; for all others it is 224.
TRAINED_AT = {
    "mini": 100,
    "InceptionV3": 299,
    "InceptionResNetV2": 299,
    "Xception": 299,
    "NASNetLarge": 331,
    "EfficientNetB1": 240,
    "EfficientNetB2": 260,
    "EfficientNetB3": 300,
    "EfficientNetB4": 380,
    "EfficientNetB5": 456,
    "EfficientNetB6": 528,
    "EfficientNetB7": 600,
    "EfficientNetV2B1": 240,
    "EfficientNetV2B2": 260,
    "EfficientNetV2B3": 300,
    "EfficientNetV2S": 384,
    "EfficientNetV2M": 480,
    "EfficientNetV2L": 480,
}


def backbone(
    name: str = "mini",
    *,
    weights: str | os.PathLike | None = "imagenet",
    input_size: int | None = None,
    output_stride: int | None = None,
) -> keras.Model:
    """Return a frozen feature extractor, from RGB images to features.

    It takes images (N, S, S, 3) in the range 0..255 and returns features F (N, h, w, K). The
    preprocessing that it was trained with is its first layer, so always feed the range 0..255.

    Args:
        name: "mini" (embedded, 96 channels, stride 8), "EfficientNetLite0" (1280 channels,
            stride 32), whose ImageNet weights come with camkit[lessons], or a model of
            keras.applications, such as "ResNet50", which downloads them.
        weights: "imagenet" (for "mini": its own embedded weights), None (random) or the path of a
            weights file without top.
        input_size: The side S of the images in pixels. By default it is that of the images that the
            weights were trained on (224 for most, 100 for "mini"): smaller images give maps of few
            positions, and features that the network has never learnt.
        output_stride: The number of image pixels for one position of the map; by default the
            backbone's own. A smaller stride makes the maps finer by dilated convolution, and
            slower.

    Returns:
        A flat Keras model whose layers are not trainable.

    Raises:
        ValueError: The name is unknown, the size or the stride is impossible, or the weights do not
            fit.
        OSError: The weights cannot be downloaded, or the file does not exist.
        ImportError: The weights of EfficientNetLite0 are not installed.

    Example:
        >>> import camkit
        >>> camkit.backbone("mini").output_shape
        (None, 13, 13, 96)
        >>> camkit.backbone("mini", output_stride=4).output_shape
        (None, 25, 25, 96)
    """
    size = TRAINED_AT.get(name, 224) if input_size is None else input_size
    if not isinstance(size, int | np.integer) or size < 1:
        raise ValueError(f"input_size is {size!r}: pass the side of the images in pixels, as 224")
    shape = (size, size, 3)
    if name == "mini":
        model = mini(shape)
        if weights is not None:
            embedded = carried("data") / "mini-backbone.weights.h5"
            _load_weights(model, embedded if weights == "imagenet" else weights)
    elif name == _efficientnet_lite.NAME:
        model = _efficientnet_lite.efficientnet_lite0(shape)
        if weights == "imagenet":
            _efficientnet_lite.load_imagenet_weights(model)
        elif weights is not None:
            _load_weights(model, weights)
    else:
        model = _application(name, shape, weights)
    if output_stride is not None:
        image = keras.Input(shape)
        features = call_copy(model, image, dilation(model, output_stride))
        model = keras.Model(image, features, name=model.name)
    model.trainable = False
    return model


def mini(input_shape: tuple[int | None, int | None, int]) -> keras.Model:
    """Return the architecture of the embedded backbone, with random weights.

    It is a small residual network of stride 8 with 96 GAP features. `data/make/pretrain.py`
    trained the weights that `backbone("mini")` loads.

    Args:
        input_shape: (height, width, channels) of the images; None stands for any number.

    Example:
        >>> from camkit.models import mini
        >>> mini((None, None, 3)).output_shape
        (None, None, None, 96)
    """
    image = keras.Input(input_shape)
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(image)
    for filters, residuals in ((32, 0), (48, 1), (96, 2)):
        x = _convolution_unit(x, filters, strides=2)
        for _ in range(residuals):
            # Keras numbers layers in the order of their creation. As in version 1.0.0, this one is
            # created first, so that the names stay the same.
            relu = layers.Activation("relu")
            residual = _convolution_unit(x, filters)
            residual = _convolution_unit(residual, filters, activation=None)
            x = relu(layers.Add()([x, residual]))
    return keras.Model(image, x, name="mini")


def _convolution_unit(
    x: keras.KerasTensor, filters: int, strides: int = 1, activation: str | None = "relu"
) -> keras.KerasTensor:
    """Return x after a 3×3 convolution, batch normalisation and an activation."""
    x = layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    if activation is None:
        return x
    return layers.Activation(activation)(x)


def _application(
    name: str, shape: tuple[int, int, int], weights: str | os.PathLike | None
) -> keras.Model:
    """Return a keras.applications model without its top, with its preprocessing in front."""
    build = _application_builder(name)
    plain = _build_application(build, name, shape, "imagenet" if weights == "imagenet" else None)
    if weights not in ("imagenet", None):
        _load_weights(plain, weights)
    image = keras.Input(shape)
    preprocess = sys.modules[build.__module__].preprocess_input
    features = call_copy(plain, _preprocessing(preprocess, image))
    return keras.Model(image, features, name=plain.name)


def _application_builder(name: str) -> Callable[..., keras.Model]:
    """Return the function of keras.applications with this name. Raises ValueError without one."""
    build = getattr(keras.applications, str(name), None)
    if callable(build):
        return build
    names = sorted(
        name
        for name, value in vars(keras.applications).items()
        if name[0].isupper() and callable(value)
    )
    raise ValueError(
        f'no backbone is called {name!r}: choose "mini", "{_efficientnet_lite.NAME}" or one of '
        f"{', '.join(names)}"
    )


def _build_application(
    build: Callable[..., keras.Model], name: str, shape: tuple, weights: str | None
) -> keras.Model:
    """Return a model of keras.applications. Raises OSError if its weights cannot be downloaded."""
    try:
        return build(include_top=False, weights=weights, input_shape=shape)
    except Exception as error:
        url = re.search(r"https?://\S+/([^/\s:]+)", str(error))
        if weights is None or url is None:
            raise
        keras_home = os.environ.get("KERAS_HOME", Path.home() / ".keras")
        folder = Path(keras_home, "models")
        raise OSError(
            f"the ImageNet weights of {name} could not be downloaded: Keras looks for {url[1]} in "
            f"{folder}, put it there or pass weights=PATH with a local copy"
        ) from error


def _preprocessing(
    preprocess: Callable[[np.ndarray], np.ndarray], image: keras.KerasTensor
) -> keras.KerasTensor:
    """Return symbolic RGB images after `preprocess`.

    The function is affine in the channels of a pixel, so it becomes one 1×1 convolution.
    """
    black_and_primaries = np.concatenate([np.zeros((1, 3)), 255 * np.eye(3)])
    results = np.array(preprocess(black_and_primaries.reshape(4, 1, 1, 3)))
    offset, *primaries = results.reshape(4, 3)
    kernel = (np.stack(primaries) - offset) / 255
    if np.allclose(kernel, np.eye(3)) and np.allclose(offset, 0):
        return image
    layer = layers.Conv2D(3, 1, name="preprocessing")
    result = layer(image)
    layer.set_weights([kernel.reshape(1, 1, 3, 3), offset])
    return result


def _load_weights(model: keras.Model, path: str | os.PathLike) -> None:
    """Load weights from a file into a model; if they do not fit, the error names both."""
    if not Path(path).is_file():
        raise OSError(
            f"there is no weights file {path}: pass the path of a .weights.h5 or .h5 file without "
            "top"
        )
    try:
        with warnings.catch_warnings():
            # Keras issues hundreds of warnings before the error, which says the same.
            warnings.simplefilter("ignore", UserWarning)
            model.load_weights(path)
    except Exception as error:
        raise ValueError(
            f"the weights in {path} are not those of {model.name} without its top: {error}"
        ) from error
