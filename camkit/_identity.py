"""The state of a function or an object: what distinguishes it from others, also across processes.

A name does not distinguish functions: all lambdas have the same, and a function that is edited in a
notebook keeps its name. So a function is identified by what it does: its bytecode, constants and
names, its defaults, and the values of the variables and globals that it uses, followed into the
user's functions, classes and objects. Installed functions and classes, camkit's included, are
identified by their public name if they have one; methods and nested functions by what they do.

There are two limits. Bytecode belongs to one minor release of Python: on another release, the same
user-defined function has another state (camkit's functions do not, as they are identified by name).
And what a function imports while it runs is identified by name only.
"""

import abc
import dis
import enum
import functools
import hashlib
import json
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

# Types whose values are distinguished by their `repr`.
SCALARS = (type(None), bool, int, float, complex, str, bytes, np.generic, type(...))

# Attributes of a class that have no effect on what it does.
_IGNORED_ATTRIBUTES = {
    "__annotate__",
    "__annotate_func__",
    "__annotations__",
    "__annotations_cache__",
    "__dataclass_fields__",
    "__dataclass_params__",
    "__doc__",
    "__firstlineno__",
    "__match_args__",
    "__module__",
    "__orig_bases__",
    "__parameters__",
    "__qualname__",
    "__static_attributes__",
    "__type_params__",
    "_abc_impl",
}

# Methods that the decorator `dataclass` generates; the values they work on are in the objects.
_GENERATED_METHODS = {
    "__delattr__",
    "__eq__",
    "__ge__",
    "__getstate__",
    "__gt__",
    "__hash__",
    "__init__",
    "__le__",
    "__lt__",
    "__replace__",
    "__repr__",
    "__setattr__",
    "__setstate__",
}

# Bases that add nothing to the state of an object.
_BASES_WITHOUT_STATE = (object, abc.ABC, typing.Generic, typing.Protocol)


def is_layer(value: Any) -> bool:
    """Return whether a value is a Keras layer, or a model, without importing Keras."""
    return hasattr(value, "get_config") and hasattr(value, "get_weights")


def settings_of(layer: Any) -> dict[str, Any]:
    """Return the settings of a Keras layer without its name."""
    return {key: value for key, value in layer.get_config().items() if key != "name"}


def is_installed(module: str | None) -> bool:
    """Return whether a module belongs to camkit, to Python or to an installed package."""
    if module in (None, "__main__"):
        return False
    package = module.partition(".")[0]
    if package == "camkit" or package in sys.stdlib_module_names:
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return False
    return not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)


def public_name(value: Any) -> str | None:
    """Return the shortest dotted name by which a function or class can be imported, or None.

    Files may move: camkit.maps.attribution.grad_cam is camkit.grad_cam.
    """
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None)
    if not module or not name:
        return None
    # Keras defines keras.activations.gelu in a module of keras.src.
    for path in (module.replace(".src.", "."), module):
        parts = path.split(".")
        for count in range(1, len(parts) + 1):
            prefix = ".".join(parts[:count])
            if getattr(sys.modules.get(prefix), name, None) is value:
                return f"{prefix}.{name}"
    return None


class State(abc.ABC):
    """Walks through everything that a value uses; `of` returns a nested list for JSON.

    Subclasses choose what represents a model, and an object whose state cannot be determined.
    """

    def __init__(self) -> None:
        # The objects visited so far, so that cycles end and no object is visited twice. They are
        # kept alive, since another object could get the id of a deleted one.
        self._numbers: dict[int, int] = {}
        self._objects: list[Any] = []

    def of(self, value: Any, where: str) -> list:
        """Return the state of a value; `where` describes its location in an error message."""
        if type(value) in SCALARS or isinstance(value, np.generic):
            return [type(value).__name__, repr(value)]
        if isinstance(value, types.ModuleType):
            return ["module", value.__name__]
        if type(value) is tuple:
            # Equal tuples may be one object in one process and two in the next.
            return ["tuple", *(self.of(item, where) for item in value)]
        if id(value) in self._numbers:
            return ["met before", self._numbers[id(value)]]
        self._numbers[id(value)] = len(self._numbers)
        self._objects.append(value)
        for walk in (self._data, self._callable, self.of_object):
            state = walk(value, where)
            if state is not None:
                return state
        return self.of_unknown(value, where)

    @abc.abstractmethod
    def digest_of_model(self, model: Any) -> str:
        """Return a digest of a Keras model; raise ValueError if its layers cannot be followed."""

    @abc.abstractmethod
    def of_unknown(self, value: Any, where: str) -> list:
        """Return what represents an object whose state cannot be determined, or raise an error."""

    def of_object(self, value: Any, where: str) -> list | None:
        """Return the state of a layer or of an object of a user-defined class, else None."""
        cls = type(value)
        if isinstance(value, enum.Enum):
            return ["enum", cls.__qualname__, value.name, self.of(value.value, where)]
        if is_layer(value):
            return self._layer(value, where)
        if not _is_of_the_user(cls):
            return None
        attributes = dict(getattr(value, "__dict__", {}))
        for slot in _slots(cls):
            if hasattr(value, slot):
                attributes[slot] = getattr(value, slot)
        kind = f"the attribute of a {cls.__name__}"
        return ["object", self.of(cls, where), self._mapping(attributes, kind)]

    def _data(self, value: Any, where: str) -> list | None:
        """Return the state of an array or a built-in container, or None if the value is neither."""
        cls = type(value)
        if cls in (np.ndarray, np.memmap):
            return self._array(value, where)
        if cls is list:
            return ["list", *(self.of(item, where) for item in value)]
        if cls in (set, frozenset):
            # The order of a set of strings changes from process to process.
            items = [self.of(item, where) for item in value]
            return ["set", *sorted(items, key=json.dumps)]
        if cls in (dict, types.MappingProxyType):
            items = [[self.of(key, where), self.of(item, where)] for key, item in value.items()]
            return ["dict", *sorted(items, key=json.dumps)]
        if cls is types.SimpleNamespace:
            return ["namespace", *self._mapping(vars(value), f"{where}, attribute")]
        if isinstance(value, range | slice | np.dtype | Path | re.Pattern):
            return [cls.__name__, repr(value)]
        return None

    def _array(self, array: np.ndarray, where: str) -> list:
        if array.dtype.hasobject:
            return self.of_unknown(array, where)
        data = np.ascontiguousarray(array).tobytes()
        digest = hashlib.sha256(data).hexdigest()
        return ["array", array.dtype.str, list(array.shape), digest]

    def _callable(self, value: Any, where: str) -> list | None:
        """Return the state of a function, method, class or wrapper, or None for anything else."""
        public = public_name(value)
        if public is not None and is_installed(value.__module__):
            return ["installed", public]
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.MethodType):
            function = self.of(value.__func__, where)
            return ["method", function, self.of(value.__self__, f"the object of {where}")]
        if isinstance(value, functools.partial):
            function = self.of(value.func, where)
            arguments = self.of(value.args, f"an argument of {where}")
            return ["partial", function, arguments, self._mapping(value.keywords, "the argument")]
        if isinstance(value, type):
            return self._class(value)
        if _is_wrapper(value):
            return ["wrapper", type(value).__qualname__, self.of(value.__wrapped__, where)]
        return None

    def _function(self, function: types.FunctionType) -> list:
        default = f"a default of {function.__name__}"
        return [
            "function",
            self._code(function.__code__),
            self.of(function.__defaults__, default),
            self.of(function.__kwdefaults__, default),
            self._mapping(_closure(function), "the variable"),
            self._mapping(_globals(function), "the global"),
            self._mapping(function.__dict__, f"the attribute of {function.__name__}"),
        ]

    def _code(self, code: types.CodeType) -> list:
        """Return what a code object does, without its name, its file and its line numbers."""
        constants = []
        for constant in code.co_consts:
            is_code = isinstance(constant, types.CodeType)
            constants.append(self._code(constant) if is_code else self.of(constant, "a constant"))
        return [
            code.co_code.hex(),
            code.co_exceptiontable.hex(),
            code.co_flags,
            [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount],
            [code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars],
            constants,
        ]

    def _class(self, cls: type) -> list:
        """Return the state of a user-defined class: its bases, methods and plain attributes."""
        bases = [self.of(base, f"a base of {cls.__name__}") for base in cls.__bases__]
        return ["class", bases, self._mapping(_attributes(cls), f"the attribute of {cls.__name__}")]

    def _layer(self, layer: Any, where: str) -> list:
        """Return the state of a Keras layer or model, apart from its name."""
        try:
            if hasattr(layer, "layers"):
                return ["model", self.digest_of_model(layer)]
            config = settings_of(layer)
        except (ValueError, NotImplementedError):
            # A model without a graph of layers, or a layer that does not return its settings.
            return self.of_unknown(layer, where)
        state = [self.of(type(layer), where), self.of(config, where)]
        return ["layer", *state, self.of(layer.get_weights(), where)]

    def _mapping(self, values: Mapping[str, Any], kind: str) -> list:
        """Return the states of named values, sorted by name."""
        return [[name, self.of(values[name], f"{kind} {name!r}")] for name in sorted(values)]


def _closure(function: types.FunctionType) -> dict[str, Any]:
    """Return the values of the outer variables that a function uses."""
    cells = function.__closure__ or ()
    values = {}
    for name, cell in zip(function.__code__.co_freevars, cells, strict=True):
        try:
            values[name] = cell.cell_contents
        except ValueError:
            # The outer function has not yet assigned the variable.
            values[name] = "without a value"
    return values


def _globals(function: types.FunctionType) -> dict[str, Any]:
    """Return the values of the globals that a function uses, by dotted names.

    Attributes that it reads from the user's modules, such as helpers.smooth, are included.
    """
    values = {}
    for first, *attributes in _global_names(function.__code__):
        if first not in function.__globals__:
            # A built-in, or a name that does not exist yet.
            continue
        name = first
        value = function.__globals__[first]
        for attribute in attributes:
            if not _is_module_of_the_user(value) or not hasattr(value, attribute):
                break
            name = f"{name}.{attribute}"
            value = getattr(value, attribute)
        values[name] = value
    return values


def _global_names(code: types.CodeType) -> Iterator[list[str]]:
    """Yield each global that code reads, with the attributes that are read from it directly."""
    names: list[str] = []
    for instruction in dis.get_instructions(code):
        if instruction.opname == "EXTENDED_ARG":
            continue
        if names and instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            names.append(instruction.argval)
            continue
        if names:
            yield names
        is_global = instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME")
        names = [instruction.argval] if is_global else []
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)


def _is_module_of_the_user(value: Any) -> bool:
    """Return whether a value is a module that is not part of an installed package."""
    return isinstance(value, types.ModuleType) and not is_installed(value.__name__)


def _is_of_the_user(cls: type) -> bool:
    """Return whether a class and its bases are the user's, so that its state is accessible."""
    bases = [base for base in cls.__mro__[1:] if base not in _BASES_WITHOUT_STATE]
    return not any(is_installed(base.__module__) for base in (cls, *bases))


def _is_wrapper(value: Any) -> bool:
    """Return whether a value only wraps a function: functools.lru_cache, tf.function, jax.jit."""
    wrapped = getattr(value, "__wrapped__", None)
    return isinstance(wrapped, types.FunctionType) and is_installed(type(value).__module__)


def _attributes(cls: type) -> dict[str, Any]:
    """Return the attributes of a class that determine what it does, with descriptors unwrapped."""
    is_dataclass = "__dataclass_fields__" in vars(cls)
    attributes = {}
    for name, value in vars(cls).items():
        is_slot = isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType)
        is_generated = is_dataclass and name in _GENERATED_METHODS
        if name not in _IGNORED_ATTRIBUTES and not is_slot and not is_generated:
            attributes[name] = _unwrapped(value)
    return attributes


def _unwrapped(value: Any) -> object:
    """Return the functions that a descriptor wraps, or the value itself."""
    if isinstance(value, staticmethod | classmethod):
        return value.__func__
    if isinstance(value, property):
        return (value.fget, value.fset, value.fdel)
    if isinstance(value, functools.cached_property):
        return value.func
    return value


def _slots(cls: type) -> Iterator[str]:
    """Yield the slots of a class and its bases, in which an object may hold values."""
    for base in cls.__mro__:
        slots = vars(base).get("__slots__", ())
        yield from [slots] if isinstance(slots, str) else slots
