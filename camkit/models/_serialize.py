"""Models as bytes: the fingerprint that identifies a model, and transfer to another process."""

import hashlib
import json
import re
import secrets
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from camkit._identity import State, is_layer, settings_of
from camkit.models._graph import network_of
from camkit.models._preprocessor import with_preprocessor

_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]+")

# Another process may hold another object at the same address.
_PROCESS = secrets.token_hex()


def fingerprint(model: keras.Model) -> str:
    """Return a digest of a model's layers, their settings and weights, apart from their names.

    It is the same in every process. A function in the settings is identified by what it does, one
    of Keras by its public name (see camkit._identity). Code depends on the release of Python:
    another release may give another digest if a model holds a user-defined function. An object
    whose state cannot be determined is identified by its address, which another process does not
    know: there the model counts as another one.

    Raises:
        HeadError: The model has no graph of layers.
    """
    # Layers that share an object may hold equal ones in another process, so each setting is
    # described without regard to those before it.
    return _digest(model, lambda setting: _SettingState().of_setting(setting))


def _digest(model: keras.Model, of_setting: Callable[[Any], str | list]) -> str:
    """Return the fingerprint, with `of_setting` for the settings that JSON cannot hold."""
    digest = hashlib.sha256()
    network = network_of(model)
    # A model or layer that is expanded may have weights of its own.
    for layer in (*network.layers, *network.expanded):
        description = [type(layer).__name__, _settings_of(layer)]
        digest.update(json.dumps(description, default=of_setting, sort_keys=True).encode())
        for weight in getattr(layer, "weights", ()):
            array = keras.ops.convert_to_numpy(weight)
            digest.update(np.ascontiguousarray(array).tobytes())
    for call in network.calls:
        constants = [_plain(value) for value in call.constants()]
        if constants:
            state = _SettingState().of(constants, "a constant")
            digest.update(json.dumps(state).encode())
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    """Return a tensor as an array, and any other value as it is."""
    return np.asarray(value) if hasattr(value, "__array__") else value


def _settings_of(layer: Any) -> dict[str, Any]:
    """Return the settings of a layer, none if it cannot tell them."""
    try:
        return settings_of(layer)
    except (TypeError, NotImplementedError, AttributeError):
        # Some layers of other packages have a get_config that fails.
        return {}


class PackedModel(NamedTuple):
    """A model in a form that can be sent to another process."""

    # The bytes of its .keras file
    data: bytes
    # The classes and functions, by name, that are needed to load it
    custom_objects: dict[str, Any]


def packed(model: keras.Model) -> PackedModel:
    """Return a model as bytes, with the custom classes that another process needs to load it.

    Its preprocessor, which not every model stores, is the beginning of the model that is loaded.

    Raises:
        HeadError: The model has no graph of layers.
    """
    model = with_preprocessor(model)
    layer_classes = {
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
    return PackedModel(data, {**registered, **layer_classes})


def unpacked(packed_model: PackedModel) -> keras.Model:
    """Return the model that `packed` has serialised.

    Raises whatever Keras raises if a layer cannot be created.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.keras")
        file.write_bytes(packed_model.data)
        return keras.models.load_model(
            file, packed_model.custom_objects, compile=False, safe_mode=False
        )


class _SettingState(State):
    """The state of a setting that JSON cannot hold."""

    def of_setting(self, setting: Any) -> str | list:
        """Return the text of a setting, as version 1.0.0 wrote it, unless that has an address."""
        text = str(setting)
        return self.of(setting, "a setting") if _ADDRESS.search(text) else text

    def digest_of_model(self, model: keras.Model) -> str:
        # With the objects visited so far: a function may use the model that it belongs to.
        return _digest(model, self.of_setting)

    def of_object(self, value: Any, where: str) -> list | None:
        """Return the class and settings of an object of Keras, such as an initializer."""
        if is_layer(value) or not hasattr(value, "get_config"):
            return super().of_object(value, where)
        cls = self.of(type(value), where)
        return ["settings", cls, self.of(value.get_config(), where)]

    def of_unknown(self, value: Any, where: str) -> list:
        """Return the address of an object, so that it is not confused with another one."""
        return ["address", _PROCESS, id(value)]
