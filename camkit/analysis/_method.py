"""The identity of a method: a text that distinguishes it from every other, also across processes.

An analysis is resumed only with the method that began it. A name does not distinguish methods: all
lambdas have the same, and a function that is edited in a notebook keeps its name. So a function is
identified by what it does: its bytecode, constants and names, its defaults, and the values of the
variables and globals that it uses, followed into the user's functions, classes and objects.
Installed code, camkit included, is identified by its public name.

There are two limits. Bytecode belongs to one minor release of Python: on another release, the same
user-defined function counts as another method (camkit's methods do not, as they are identified by
name). And what a function imports while it runs is identified by name only.
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

from camkit.analysis._reader import Method

# Types whose values are distinguished by their `repr`.
_SCALARS = (type(None), bool, int, float, complex, str, bytes, np.generic, type(...))

# Attributes of a class that have no effect on what it does.
_IGNORED_ATTRIBUTES = {
    "__annotate__",
    "__annotate_func__",
    "__annotations__",
    "__annotations_cache__",
    "__dataclass_fields__",
    "__dataclass_params__",
    "__dict__",
    "__doc__",
    "__firstlineno__",
    "__match_args__",
    "__module__",
    "__orig_bases__",
    "__parameters__",
    "__qualname__",
    "__static_attributes__",
    "__type_params__",
    "__weakref__",
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

# Version 1.0.0 stored the module of camkit's methods, which has moved.
_MODULE_OF_1_0_0 = re.compile(r"^camkit\.attribution\.(?=\w)")


class UnknownState(ValueError):
    """A method uses an object whose state cannot be determined."""


def identify(method: Method) -> str:
    """Return the text that distinguishes a method from every other.

    Args:
        method: A function, an instance of a callable class, or functools.partial of these.

    Returns:
        For camkit's methods the public name and settings, such as
        "camkit.layer_cam, layer='conv3'"; for the user's methods the name and a digest.

    Raises:
        UnknownState: The method uses an object whose state cannot be determined; the message names
            it.
    """
    if isinstance(method, functools.partial):
        arguments = [_shown(value, "an argument") for value in method.args]
        for name, value in sorted(method.keywords.items()):
            if name == "layer" and _is_layer(value):
                # The layer belongs to the analysed model, whose digest is stored as well.
                value = value.name
            arguments.append(f"{name}={_shown(value, f'the argument {name!r}')}")
        return ", ".join([identify(method.func), *arguments])
    public = _public_name(method)
    if public is not None and _is_installed(method.__module__):
        return public
    return f"{name_of(method)} {_digest(_State().of(method, 'the method'))}"


def name_of(method: Method) -> str:
    """Return a readable name of a method, which other methods may have as well."""
    if isinstance(method, functools.partial):
        return name_of(method.func)
    return getattr(method, "__name__", type(method).__name__)


def is_same(stored: str | None, current: str | None) -> bool:
    """Return whether a stored identity, perhaps from version 1.0.0, is the current one."""
    if stored is None or current is None:
        return stored is current
    return _MODULE_OF_1_0_0.sub("camkit.", stored) == current


def _shown(value: Any, where: str) -> str:
    """Return an argument of functools.partial as text: its `repr` if complete, else a digest."""
    if _is_plain(value):
        return repr(value)
    return _digest(_State().of(value, where))


def _is_plain(value: Any) -> bool:
    """Return whether the `repr` of a value describes it completely."""
    if isinstance(value, tuple | list):
        return all(_is_plain(item) for item in value)
    return type(value) in _SCALARS or isinstance(value, np.generic)


def _is_layer(value: Any) -> bool:
    """Return whether a value is a Keras layer, or a model, without importing Keras."""
    return hasattr(value, "get_config") and hasattr(value, "get_weights")


def _digest(state: list) -> str:
    """Return a digest of a state."""
    text = json.dumps(state, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _is_installed(module: str | None) -> bool:
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


def _public_name(value: Any) -> str | None:
    """Return the shortest dotted name by which a function or class can be imported, or None.

    Files may move: camkit.maps.attribution.grad_cam is camkit.grad_cam.
    """
    module = getattr(value, "__module__", None)
    name = getattr(value, "__qualname__", None)
    if not module or not name:
        return None
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        prefix = ".".join(parts[:count])
        if getattr(sys.modules.get(prefix), name, None) is value:
            return f"{prefix}.{name}"
    return None


class _State:
    """Walks through everything that a method uses; `of` returns a nested list for JSON."""

    def __init__(self) -> None:
        # The objects visited so far, so that cycles end and no object is visited twice. They are
        # kept alive, since another object could get the id of a deleted one.
        self._numbers: dict[int, int] = {}
        self._objects: list[Any] = []

    def of(self, value: Any, where: str) -> list:
        """Return the state of a value; `where` describes its location in an error message."""
        if type(value) in _SCALARS or isinstance(value, np.generic):
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
        for walk in (self._data, self._callable, self._object):
            state = walk(value, where)
            if state is not None:
                return state
        raise _unknown(value, where)

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
            raise _unknown(array, where)
        data = np.ascontiguousarray(array).tobytes()
        digest = hashlib.sha256(data).hexdigest()
        return ["array", array.dtype.str, list(array.shape), digest]

    def _callable(self, value: Any, where: str) -> list | None:
        """Return the state of a function, method, class or wrapper, or None for anything else."""
        public = _public_name(value)
        if public is not None and _is_installed(value.__module__):
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

    def _object(self, value: Any, where: str) -> list | None:
        """Return the state of a layer or of an object of a user-defined class, else None."""
        cls = type(value)
        if isinstance(value, enum.Enum):
            return ["enum", cls.__qualname__, value.name, self.of(value.value, where)]
        if _is_layer(value):
            return self._layer(value, where)
        if not _is_of_the_user(cls):
            return None
        attributes = dict(getattr(value, "__dict__", {}))
        for slot in _slots(cls):
            if hasattr(value, slot):
                attributes[slot] = getattr(value, slot)
        kind = f"the attribute of a {cls.__name__}"
        return ["object", self.of(cls, where), self._mapping(attributes, kind)]

    def _layer(self, layer: Any, where: str) -> list:
        """Return the state of a Keras layer or model, apart from its name."""
        if hasattr(layer, "layers"):
            from camkit.models._serialize import fingerprint

            return ["model", fingerprint(layer)]
        config = {key: value for key, value in layer.get_config().items() if key != "name"}
        state = [self.of(type(layer), where), self.of(config, where)]
        return ["layer", *state, self.of(layer.get_weights(), where)]

    def _mapping(self, values: Mapping[str, Any], kind: str) -> list:
        """Return the states of named values, sorted by name."""
        return [[name, self.of(values[name], f"{kind} {name!r}")] for name in sorted(values)]


def _unknown(value: Any, where: str) -> UnknownState:
    """Return the error for a value whose state cannot be determined."""
    cls = type(value)
    return UnknownState(
        f"the method cannot be distinguished from others: {where} is an object of {cls.__module__}."
        f"{cls.__qualname__}, whose state camkit cannot determine; pass a plain function with its "
        "options as keyword arguments, such as method=functools.partial(function, option=3), or "
        "leave out the folder"
    )


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
    return isinstance(value, types.ModuleType) and not _is_installed(value.__name__)


def _is_of_the_user(cls: type) -> bool:
    """Return whether a class and its bases are the user's, so that its state is accessible."""
    bases = [base for base in cls.__mro__[1:] if base not in _BASES_WITHOUT_STATE]
    return not any(_is_installed(base.__module__) for base in (cls, *bases))


def _is_wrapper(value: Any) -> bool:
    """Return whether a value only wraps a function: functools.lru_cache, tf.function, jax.jit."""
    wrapped = getattr(value, "__wrapped__", None)
    return isinstance(wrapped, types.FunctionType) and _is_installed(type(value).__module__)


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
