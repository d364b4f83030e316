"""The preprocessor of a model: what its `predict` applies to raw images before the first layer.

The tasks of KerasHub carry one, which resizes and rescales images of 0..255. The graph of the model
does not contain it, and a model that is fed without it answers something else.
"""

import json
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import keras
import numpy as np


class _Joined(NamedTuple):
    """A model that begins with a preprocessor, and the settings that the preprocessor had."""

    preprocessor: Any
    settings: str
    model: keras.Model


_joined: WeakKeyDictionary[keras.Model, _Joined] = WeakKeyDictionary()


def with_preprocessor(model: keras.Model) -> keras.Model:
    """Return a model that begins with the preprocessor of `model`; `model` itself if it has none.

    It takes raw images of the size that the preprocessor resizes to, so that nothing is cropped,
    and shares all layers with `model`. It is built once, and anew if the preprocessor has changed.

    Raises:
        ValueError: The preprocessor cannot be called on a symbolic image.
    """
    preprocessor = getattr(model, "preprocessor", None)
    if not _reads_images(preprocessor):
        return model
    settings = _settings_of(preprocessor)
    joined = _joined.get(model)
    if joined is None or joined[:2] != (preprocessor, settings):
        joined = _Joined(preprocessor, settings, _join(preprocessor, model))
        _joined[model] = joined
    return joined.model


def check_size(model: keras.Model, input_size: int | tuple[int, int]) -> None:
    """Raise ValueError if the preprocessor of a model resizes images to another size."""
    size = _size_of(getattr(model, "preprocessor", None))
    wanted = tuple(np.broadcast_to(input_size, 2).tolist())
    if size not in (None, wanted):
        raise ValueError(
            f"the model's preprocessor resizes images to {size}, not {wanted}: leave out the input "
            f"size, or set model.preprocessor.image_size = {wanted}"
        )


def _size_of(preprocessor: Any) -> tuple[int, int] | None:
    """Return (height, width) that a preprocessor resizes images to, or None."""
    converter = getattr(preprocessor, "image_converter", None)
    size = getattr(preprocessor, "image_size", None) or getattr(converter, "image_size", None)
    return None if size is None else tuple(size)


def _reads_images(preprocessor: Any) -> bool:
    """Return whether an object is a preprocessor of images, by its public attributes."""
    converter = getattr(preprocessor, "image_converter", None)
    return callable(preprocessor) and (converter is not None or _size_of(preprocessor) is not None)


def _settings_of(preprocessor: Any) -> str:
    """Return the settings of a preprocessor as a text; an object without any has none."""
    if not hasattr(preprocessor, "get_config"):
        return ""
    return json.dumps(preprocessor.get_config(), default=str, sort_keys=True)


def _join(preprocessor: Any, model: keras.Model) -> keras.Model:
    """Return the model that applies a preprocessor and then the layers of `model`."""
    try:
        # Not `model` itself: it could never be deleted, since the cache would refer to it.
        layers = keras.Model(model.inputs, model.outputs)
        _, *size, channels = model.inputs[0].shape
        image = keras.Input((*(_size_of(preprocessor) or size), channels))
        scores = layers(preprocessor(image))
    except Exception as error:
        raise ValueError(
            f"the model's preprocessor cannot be called on a symbolic image ({error}): set "
            "model.preprocessor = None and pass images that it has prepared"
        ) from error
    return keras.Model(image, scores, name=model.name)
