"""The part of a model that is explained: one image in, one vector of class scores out."""

from collections.abc import Mapping
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import keras
import numpy as np
from keras import layers, ops

from camkit.models._batches import fits
from camkit.models._graph import HeadError, function_of, network_of, one_way
from camkit.models._preprocessor import with_preprocessor

# The layer in the place of an input has its name after this one.
_PREFIX = "given_"

# A message lists at most this many rows of an input.
_MOST_ROWS = 5


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

# {input name: its rows (N, ...), one for each image}.
Rows: TypeAlias = Mapping[str, np.ndarray]


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
    give(explained, inputs or {})
    return explained


def give(explained: keras.Model, inputs: Mapping[str, Any]) -> None:
    """Give a part other values {input name: one row} of its inputs beside the image."""
    for name, layer in given_layers(explained).items():
        if name in inputs:
            table = _table_of(name, inputs[name], layer.shape, layer.values_dtype)
            (row,) = _rows_for(1, table, name)
            layer.values.assign(row)


def given_layers(explained: keras.Model) -> dict[str, Given]:
    """Return {input name: the layer in its place} of a part, none for any other model."""
    found = [call.layer for call in network_of(explained).calls if isinstance(call.layer, Given)]
    return {layer.name.removeprefix(_PREFIX): layer for layer in found}


def tables_of(model: keras.Model, inputs: Mapping[str, Any] | None) -> Rows:
    """Return {input name: its rows (n, ...)}, where n is 1 if one row holds for all images.

    Raises ValueError if an input does not exist or takes values of another shape.
    """
    if not inputs:
        return {}
    network = network_of(model)
    values_of = dict(zip(network.input_names, network.inputs, strict=True))
    _check_names(inputs, network.input_names)
    return {
        name: _table_of(name, values, values_of[name].shape[1:], values_of[name].dtype)
        for name, values in inputs.items()
    }


def rows_of_images(model: keras.Model, inputs: Mapping[str, Any] | None, count: int) -> Rows:
    """Return the rows of those inputs that have one for each of `count` images.

    Raises ValueError as `tables_of` does, and if an input has several rows, but not `count`.
    """
    tables = tables_of(model, inputs)
    return {name: _rows_for(count, table, name) for name, table in tables.items() if len(table) > 1}


def rows_of_batch(tables: Rows, inputs: Mapping[str, Any], count: int) -> Rows:
    """Return a row for each of `count` images, by tables or by what is given in their place.

    Args:
        tables: {input name: its rows (n, ...)}, one or several.
        inputs: {input name: other values}.
        count: The number of images.

    Raises:
        ValueError: An input does not exist, or takes another shape or number of rows.
    """
    _check_names(inputs, list(tables))
    rows = {}
    for name, table in tables.items():
        if name in inputs:
            table = _table_of(name, inputs[name], table.shape[1:], table.dtype)
        rows[name] = _rows_for(count, table, name)
    return rows


def own_tables_of(explained: keras.Model) -> Rows:
    """Return {input name: its row (1, ...)} of a part, in the order of `given_layers`."""
    return {
        name: ops.convert_to_numpy(layer.values)[None]
        for name, layer in given_layers(explained).items()
    }


def row_at(rows: Rows, index: int) -> dict[str, np.ndarray]:
    """Return {input name: the row of one image}."""
    return {name: table[index] for name, table in rows.items()}


def _table_of(name: str, values: Any, shape: tuple[int | None, ...], dtype: Any) -> np.ndarray:
    """Return the values of an input as rows (n, *shape), of which there may be one.

    Raises ValueError if they have another shape or are NaN.
    """
    array = np.asarray(values, dtype)
    table = array[None] if array.ndim == len(shape) else array
    if not fits(table.shape[1:], shape) or len(table) == 0:
        raise ValueError(
            f"inputs: {name!r} takes one row of shape {shape} for all images, or one for each "
            f"image, and the values have the shape {array.shape}"
        )
    if table.dtype.kind == "f" and np.isnan(table).any():
        rows = np.flatnonzero(np.isnan(table).reshape(len(table), -1).any(axis=1)).tolist()
        more = ", ..." if len(rows) > _MOST_ROWS else ""
        raise ValueError(
            f"inputs: {name!r} has NaN in the rows {rows[:_MOST_ROWS]}{more}: fill the missing "
            "values in as in training, or leave these images out"
        )
    return table


def _rows_for(count: int, table: np.ndarray, name: str) -> np.ndarray:
    """Return a row for each of `count` images (count, ...); one row of a table is that of all.

    Raises ValueError if the table has another number of rows.
    """
    if len(table) not in (1, count):
        raise ValueError(
            f"inputs: {name!r} has {len(table)} rows for {count} images: give one row for all of "
            "them, or one for each"
        )
    return np.broadcast_to(table, (count, *table.shape[1:]))


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
            given = Given(tensor.shape[1:], tensor.dtype, name=f"{_PREFIX}{name}")
            tensors.append(given(image))
    scores = inner(tensors if len(tensors) > 1 else tensors[0])
    return keras.Model(image, scores, name=model.name)


def _image_of(names: list[str], inputs: Mapping[str, Any]) -> str:
    """Return the name of the input that no values are given for."""
    _check_names(inputs, names)
    open_names = [name for name in names if name not in inputs]
    if len(open_names) != 1:
        raise HeadError(
            f"inputs={list(inputs)} leaves {open_names} of the inputs {names}: give values for all "
            "but one, the image"
        )
    return open_names[0]


def _check_names(inputs: Mapping[str, Any], names: list[str]) -> None:
    """Raise ValueError if values are given for an input that does not exist."""
    unknown = [name for name in inputs if name not in names]
    if unknown:
        raise ValueError(f"the model has no input {unknown[0]!r}, its inputs are {names}")


def _output_of(names: list[str], output: str | None) -> str:
    """Return the name of the output that is meant."""
    if output is None and len(names) == 1:
        return names[0]
    if output not in names:
        raise HeadError(f"output={output!r}: the model has the outputs {names}, name one of them")
    return output
