"""Models as bytes: the fingerprint that tells one from another, and the way to another process."""

import hashlib
import json
import re
import tempfile
import zipfile
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import Any, NamedTuple

import keras
import numpy as np

from camkit.models._graph import network_of

_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")


def fingerprint(model: keras.Model) -> str:
    """Return a digest of a model's layers, their settings and weights, whatever their names.

    It is the same in every process. A function in the settings counts by its name, code,
    defaults and closure, one of Keras by its public name. The code is that of the Python release:
    another release may give another digest where a model holds a function of the user's.

    Raises:
        HeadError: The model has no graph of layers.
    """
    digest = hashlib.sha256()
    as_json = _JsonForms().of
    for layer in network_of(model).layers:
        settings = {key: value for key, value in layer.get_config().items() if key != "name"}
        description = [type(layer).__name__, settings]
        digest.update(json.dumps(description, default=as_json, sort_keys=True).encode())
        for weight in getattr(layer, "weights", ()):
            array = keras.ops.convert_to_numpy(weight)
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


class PackedModel(NamedTuple):
    """A model on its way to another process."""

    # The bytes of its .keras file
    data: bytes
    # The classes and functions, by name, that are needed to load it
    custom_objects: dict[str, Any]


def packed(model: keras.Model) -> PackedModel:
    """Return a model as bytes, with the custom classes that another process needs to load it.

    Raises:
        HeadError: The model has no graph of layers.
    """
    own_classes = {
        type(layer).__name__: type(layer)
        for layer in network_of(model).layers
        if not type(layer).__module__.startswith("keras.")
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.keras")
        model.save(file)
        with zipfile.ZipFile(file) as archive:
            config = archive.read("config.json").decode()
        data = file.read_bytes()
    registered = {
        name: value
        for name, value in keras.saving.get_custom_objects().items()
        if json.dumps(name) in config
    }
    return PackedModel(data, {**registered, **own_classes})


def unpacked(packed_model: PackedModel) -> keras.Model:
    """Return the model that `packed` has made bytes of.

    Raises whatever Keras raises where a layer cannot be made.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.keras")
        file.write_bytes(packed_model.data)
        return keras.models.load_model(
            file, packed_model.custom_objects, compile=False, safe_mode=False
        )


class _JsonForms:
    """What stands in JSON for settings that it cannot hold, the same in every process."""

    def __init__(self):
        # Functions may call each other in a circle.
        self._functions_met: list[FunctionType] = []

    def of(self, value: Any) -> Any:
        """Return what stands for a setting.

        Version 1.0.0 wrote the text of such a value. That still holds unless the text has an
        address.
        """
        text = str(value)
        if not _ADDRESS.search(text):
            return text
        if isinstance(value, FunctionType):
            return self._of_function(value)
        if isinstance(value, MethodType):
            return [value.__func__, value.__self__]
        if isinstance(value, partial):
            return [value.func, value.args, value.keywords]
        if isinstance(value, CodeType):
            return _of_code(value)
        if hasattr(value, "get_config"):
            return keras.saving.serialize_keras_object(value)
        # Nothing is known of the object: by its address, it is never taken for another one.
        return text

    def _of_function(self, function: FunctionType) -> Any:
        """Return the public name of a function of Keras, the code of another one."""
        if function.__module__.startswith("keras."):
            return keras.saving.serialize_keras_object(function)
        if function not in self._functions_met:
            self._functions_met.append(function)
        cells = function.__closure__ or ()
        return {
            "name": function.__name__,
            "code": function.__code__,
            "defaults": function.__defaults__,
            "keyword_defaults": function.__kwdefaults__,
            "closure": [self._met_or_new(cell.cell_contents) for cell in cells],
        }

    def _met_or_new(self, value: Any) -> Any:
        """Return a value, or its number among the functions that were met before."""
        if isinstance(value, FunctionType) and value in self._functions_met:
            return f"met before: {self._functions_met.index(value)}"
        return value


def _of_code(code: CodeType) -> dict:
    """Return what code does, without the file and the lines where it stands."""
    constants = []
    for constant in code.co_consts:
        # The order of a set of texts changes from process to process.
        is_set = isinstance(constant, frozenset)
        constants.append(sorted(map(repr, constant)) if is_set else constant)
    return {"bytecode": code.co_code.hex(), "names": code.co_names, "constants": constants}
