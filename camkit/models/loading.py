"""Reading a model from a file, whichever version of Keras wrote it."""

import importlib
import json
import os
import re
import shutil
import tempfile
import types
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import keras

from camkit._quiet import brief, held_back
from camkit.models import _keras2

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_ZIP_SIGNATURE = b"PK"

# A member of an archive that unpacks to more than this, and to so many times its packed size, is
# refused: Keras packs nothing.
_LARGEST_UNPACKED = 1 << 28
_STRONGEST_PACKING = 100

_REBUILD = (
    "build the same model in Python with Keras 3, read the weights with model.load_weights(file) "
    "and save it with model.save('model.keras')"
)


class _Refusal(ValueError):
    """A file is no model that can be loaded; its message says why and what to do."""


class _Source(NamedTuple):
    """A model on disk.

    Attributes:
        path: The file or folder, with the suffix that Keras expects.
        version: The version of Keras that wrote it.
        description: The configuration of the model.
    """

    path: Path
    version: str
    description: dict


def load_model(
    file: str | os.PathLike, *, modules: Sequence[str] = (), trust: bool = False
) -> keras.Model:
    """Return the Keras model in a file, as it predicts in the version of Keras that wrote it.

    Files are recognised by their content, whatever their suffix: .keras files and the folders that
    they unpack to, and HDF5 files of `model.save`, of Keras 2 and Keras 3, and the zip archive or
    folder that Teachable Machine exports. The layers of Keras 2 become those of Keras 3, its
    TensorFlow functions those of keras.ops; what has no exact equal there is refused. The model is
    not compiled.

    Args:
        file: The file or folder.
        modules: The names of modules to import, whose layers, other classes and functions the
            model may use; they need not be registered.
        trust: Whether code inside the file may run: the functions of its Lambda layers.

    Raises:
        ValueError: The file is no model, or it cannot be loaded; the message says what to do.
        ImportError: A module cannot be imported.

    Example:
        >>> import camkit, os, tempfile
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), ["apple", "lime"])
        >>> file = os.path.join(tempfile.mkdtemp(), "model.h5")
        >>> model.save(file)
        >>> camkit.models.load_model(file).output_shape
        (None, 2)
    """
    path = Path(file)
    if not path.exists():
        raise ValueError(
            f"there is no model file {file}: pass one that model.save() has written, such as "
            "model.keras"
        )
    custom_objects = _offered_by(modules)
    source = None
    with tempfile.TemporaryDirectory() as folder:
        try:
            source = _source(path, Path(folder))
            # What TensorFlow prints only repeats the error that is raised.
            with held_back(drop=True), keras.saving.custom_object_scope(custom_objects):
                return _load(source, Path(folder), trust)
        except Exception as error:
            reason = _why_not_loaded(error, source, modules, trust)
            raise ValueError(f"{file} cannot be loaded: {reason}") from error


def _offered_by(modules: Sequence[str]) -> dict[str, Any]:
    """Import modules and return their own classes and functions that a configuration may name."""
    offered = {}
    for name in modules:
        module = importlib.import_module(name)
        package = _package(module.__name__)
        for key, value in vars(module).items():
            is_layer = isinstance(value, type) and hasattr(value, "from_config")
            is_usable = is_layer or isinstance(value, types.FunctionType)
            # What a module has imported from elsewhere is not offered to the file.
            if is_usable and _package(value.__module__) == package:
                offered[key] = value
    return offered


def _package(module: str) -> str:
    """Return the package that a module belongs to."""
    return module.partition(".")[0]


# Which file it is ---------------------------------------------------------------------------------


def _source(path: Path, scratch: Path) -> _Source:
    """Return what a file or folder holds. `scratch` is an empty folder for copies of its parts.

    Raises:
        _Refusal: It is no model.
    """
    if path.is_dir():
        return _folder_source(path, scratch)
    with path.open("rb") as content:
        start = content.read(len(_HDF5_SIGNATURE))
    if start == _HDF5_SIGNATURE:
        return _hdf5_source(path, scratch)
    if start.startswith(_ZIP_SIGNATURE):
        return _zip_source(path, scratch)
    raise _Refusal(
        "it is no model of Keras, neither a .keras archive nor an HDF5 file: pass the file that "
        "model.save('model.keras') or model.save('model.h5') has written"
    )


def _folder_source(folder: Path, scratch: Path) -> _Source:
    """Return the model in a folder."""
    if (folder / "config.json").is_file():
        config = (folder / "config.json").read_text(encoding="utf-8")
        metadata = (folder / "metadata.json").read_text(encoding="utf-8")
        return _described(folder, config, metadata)
    if (folder / "keras_model.h5").is_file():
        return _hdf5_source(folder / "keras_model.h5", scratch)
    if (folder / "keras_metadata.pb").is_file():
        raise _Refusal(
            "it is a SavedModel folder of Keras 2, which Keras 3 does not read: load it with "
            "tf_keras (pip install tf_keras), tf_keras.models.load_model(folder), and save it with "
            "model.save('model.h5')"
        )
    if (folder / "saved_model.pb").is_file():
        raise _Refusal(
            "it is a SavedModel folder, which holds the function of a model and not its layers: "
            "pass the file that model.save('model.keras') writes where the model was built"
        )
    raise _Refusal("it is a folder without a model: pass the model file itself")


def _zip_source(path: Path, scratch: Path) -> _Source:
    """Return the model in a zip archive."""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if "config.json" in names:
            config = _unpacked(archive, "config.json", scratch).read_text(encoding="utf-8")
            metadata = _unpacked(archive, "metadata.json", scratch).read_text(encoding="utf-8")
            return _described(_with_suffix(path, ".keras", scratch), config, metadata)
        if "keras_model.h5" in names:
            return _hdf5_source(_unpacked(archive, "keras_model.h5", scratch), scratch)
    raise _Refusal("it is a zip archive without a model: unpack it and pass the model file in it")


def _unpacked(archive: zipfile.ZipFile, name: str, scratch: Path) -> Path:
    """Return the path of a member of an archive, unpacked into a folder."""
    member = archive.getinfo(name)
    if member.file_size > max(_LARGEST_UNPACKED, _STRONGEST_PACKING * member.compress_size):
        raise _Refusal(f"{name} in it would unpack to {member.file_size} bytes")
    return Path(archive.extract(member, scratch))


def _described(path: Path, config: str, metadata: str) -> _Source:
    """Return the model of a .keras archive with these two members."""
    return _Source(path, json.loads(metadata)["keras_version"], json.loads(config))


def _hdf5_source(path: Path, scratch: Path) -> _Source:
    """Return the model in an HDF5 file."""
    with h5py.File(path) as file:
        config = file.attrs.get("model_config")
        version = file.attrs.get("keras_version", "2")
        is_weights = any(name in file for name in ("layers", "_layer_checkpoint_dependencies"))
        if config is None and (is_weights or "layer_names" in file.attrs):
            raise _Refusal(
                "it holds only weights: load them into their model, and save that with "
                "model.save('model.keras')"
            )
        if config is None:
            raise _Refusal("it is an HDF5 file without a model of Keras: pass the model file")
    path = _with_suffix(path, ".h5", scratch)
    return _Source(path, _text(version), json.loads(_text(config)))


def _text(value: str | bytes) -> str:
    """Return an attribute of an HDF5 file as text."""
    return value.decode() if isinstance(value, bytes) else str(value)


def _with_suffix(path: Path, suffix: str, scratch: Path) -> Path:
    """Return a path with the suffix that Keras expects for the content: itself, or a copy."""
    if path.suffix == suffix:
        return path
    return Path(shutil.copyfile(path, scratch / f"model{suffix}"))


# Loading ------------------------------------------------------------------------------------------


def _load(source: _Source, scratch: Path, trust: bool) -> keras.Model:
    """Return the model of a source."""
    major, _, _ = source.version.partition(".")
    if int(major) >= 3:
        return keras.models.load_model(source.path, compile=False, safe_mode=not trust)
    model = _keras2.build(source.description, trust)
    if source.path.suffix == ".h5":
        with h5py.File(source.path) as file:
            _keras2.read_hdf5_weights(model, file["model_weights"])
    else:
        _keras2.read_archive_weights(model, _weights_of(source.path, scratch))
    return model


def _weights_of(path: Path, scratch: Path) -> Path:
    """Return a copy of model.weights.h5 from a .keras archive or the folder that it unpacks to."""
    name = "model.weights.h5"
    if path.is_dir():
        return Path(shutil.copyfile(path / name, scratch / name))
    with zipfile.ZipFile(path) as archive:
        if name not in archive.namelist():
            raise _Refusal("it has no weights: save the model again where it was built")
        return _unpacked(archive, name, scratch)


# Why not ------------------------------------------------------------------------------------------


def _why_not_loaded(
    error: Exception, source: _Source | None, modules: Sequence[str], trust: bool
) -> str:
    """Return why a model file was not loaded, and what to do."""
    if isinstance(error, _Refusal):
        return str(error)
    if source is None or isinstance(error, zipfile.BadZipFile | OSError):
        return (
            f"it is damaged or incomplete ({brief(error)}): copy it again from where it was "
            "written, or save the model again there"
        )
    if isinstance(error, _keras2.UnreadableLayer):
        return f"Keras {source.version} wrote it with {error}, which Keras 3 lacks: {_REBUILD}"
    message = str(error)
    if "Requested the deserialization" in message and not trust:
        return (
            "it holds a Lambda layer, which runs code from the file: pass --trust (in Python "
            "trust=True) if you know who made it"
        )
    return _what_is_missing(message, modules) or f"{brief(error)}; {_other_way(source)}"


def _what_is_missing(message: str, modules: Sequence[str]) -> str | None:
    """Return which class, function or package a model needs by an error of Keras, or None.

    The `modules` that were imported lack it.
    """
    package = re.search(r"parent module (keras_hub|keras_cv|keras_nlp)\b", message)
    if package:
        name = package[1].replace("_", "-")
        return f"it needs {name}: pip install {name}"
    missing = re.search(r"Could not locate (class|function) '([^']+)'", message)
    if missing is None:
        missing = re.search(r"Could not interpret \w+ (function) identifier: (\w+)", message)
    if missing is None:
        missing = re.search(r"Unknown (layer): '([^']+)'", message)
    if missing is None:
        return None
    kind = "function" if missing[1] == "function" else "class"
    name = missing[2]
    lacking = f", which is not defined in {', '.join(modules)}" if modules else ""
    if name == "preprocess_input":
        return (
            f"it needs the function preprocess_input of its backbone{lacking}: pass --import "
            "MODULE (in Python modules=['MODULE']), the module that has it, such as "
            "keras.applications.mobilenet_v2"
        )
    return (
        f"it needs the {kind} {name}{lacking}: pass --import MODULE (in Python "
        "modules=['MODULE']), the module that defines it"
    )


def _other_way(source: _Source) -> str:
    """Return what to do with a file that this Keras does not load."""
    if _numbers(source.version) > _numbers(keras.__version__):
        return (
            f"Keras {source.version} wrote it, which is newer than this Keras "
            f"{keras.__version__}: pip install --upgrade keras"
        )
    return f"Keras {source.version} wrote it: {_REBUILD}"


def _numbers(version: str) -> list[int]:
    """Return the first two numbers of a version."""
    return [int(number) for number in re.findall(r"\d+", version)[:2]]
