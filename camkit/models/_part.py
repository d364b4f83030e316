"""The part of a model that is explained: one image in, one vector of class scores out."""

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import keras
import numpy as np
from keras import layers, ops

from camkit.models._graph import HeadError, function_of, network_of, one_way
from camkit.models._preprocessor import with_preprocessor


class Given(layers.Layer):
    """A layer that returns the same row of values for every image of a batch.

    It stands in the place of an input. The row is a weight, so that it may change without a new
    graph.
    """

    def __init__(self, shape: tuple[int, ...], values_dtype: str, **options: Any):
        """Create the layer for rows of a shape and dtype; they are 0 at first."""
        super().__init__(**options)
        self.shape = tuple(shape)
        self.values_dtype = values_dtype
        self.values = self.add_weight(
            shape=self.shape, dtype=values_dtype, initializer="zeros", trainable=False
        )

    def call(self, image: Any) -> Any:
        """Return the row for each image of a batch."""
        count = ops.shape(image)[0]
        row = ops.convert_to_tensor(self.values, self.values_dtype)
        return ops.broadcast_to(row, (count, *self.shape))

    def compute_output_spec(self, image: keras.KerasTensor) -> keras.KerasTensor:
        """Return the shape and dtype of what the layer returns."""
        return keras.KerasTensor((image.shape[0], *self.shape), self.values_dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the settings of the layer."""
        own = {"shape": self.shape, "values_dtype": self.values_dtype}
        return {**super().get_config(), **own}


# The parts of the models that exist, by the names of their image and output.
_parts: WeakKeyDictionary[keras.Model, dict[tuple[str, str], keras.Model]] = WeakKeyDictionary()


def part(
    model: keras.Model,
    inputs: Mapping[str, Any] | None = None,
    output: str | None = None,
) -> keras.Model:
    """Return a model with one image input and one output, which shares the layers of `model`.

    It is created once for each image input and output; its values for the other inputs are those
    of the last call.

    Args:
        model: A Keras model. One that has one input and one output is returned as it is.
        inputs: {input name: its values for one row} for every input but the image.
        output: The name of one of several outputs.

    Raises:
        HeadError: Which input is the image, or which output is meant, does not follow.
        ValueError: An input does not exist or takes values of another shape.
    """
    if not inputs and output is None:
        one_way(model)
        return model
    model = with_preprocessor(model)
    network = network_of(model)
    image = _image_of(network.input_names, inputs or {})
    chosen = _output_of(network.output_names, output)
    parts = _parts.setdefault(model, {})
    if (image, chosen) not in parts:
        parts[image, chosen] = _new_part(model, image, chosen)
    explained = parts[image, chosen]
    for name, values in (inputs or {}).items():
        given = explained.get_layer(_layer_name(name))
        given.values.assign(_row(name, values, given.shape))
    return explained


def _new_part(model: keras.Model, image_name: str, output_name: str) -> keras.Model:
    """Return the part of a model from one input to one output, the other inputs being 0."""
    network = network_of(model)
    function = function_of(model)
    output = function.outputs[network.output_names.index(output_name)]
    inner = keras.Model(function.inputs, output)
    position = network.input_names.index(image_name)
    image = keras.Input(
        batch_shape=function.inputs[position].shape, dtype=network.inputs[position].dtype
    )
    tensors = []
    for name, tensor in zip(network.input_names, function.inputs, strict=True):
        if name == image_name:
            tensors.append(image)
        else:
            given = Given(tensor.shape[1:], tensor.dtype, name=_layer_name(name))
            tensors.append(given(image))
    scores = inner(tensors if len(tensors) > 1 else tensors[0])
    return keras.Model(image, scores, name=model.name)


def _image_of(names: list[str], inputs: Mapping[str, Any]) -> str:
    """Return the name of the input that no values are given for."""
    unknown = [name for name in inputs if name not in names]
    if unknown:
        raise ValueError(f"the model has no input {unknown[0]!r}, its inputs are {names}")
    open_names = [name for name in names if name not in inputs]
    if len(open_names) != 1:
        raise HeadError(
            f"inputs={list(inputs)} leaves {open_names} of the inputs {names}: give values for all "
            "but one, the image"
        )
    return open_names[0]


def _output_of(names: list[str], output: str | None) -> str:
    """Return the name of the output that is meant."""
    if output is None and len(names) == 1:
        return names[0]
    if output not in names:
        raise HeadError(f"output={output!r}: the model has the outputs {names}, name one of them")
    return output


def _row(name: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return the values of an input as an array of its shape. Raises ValueError if they differ."""
    array = np.asarray(values)
    if array.shape not in (shape, (1, *shape)):
        raise ValueError(
            f"inputs: {name!r} takes one row of shape {shape} and the values have {array.shape}; "
            "images with different rows are explained one by one"
        )
    return array.reshape(shape)


def _layer_name(name: str) -> str:
    """Return the name of the layer that stands in the place of an input."""
    return f"given_{name}"
