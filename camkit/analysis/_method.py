"""The identity of a method: a text that distinguishes it from every other, also across processes.

An analysis is resumed only with the method that began it. camkit's methods are identified by their
public name, on every release of Python; those of the user by what they do (see camkit._identity).
"""

import functools
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from camkit._identity import SCALARS, State, is_installed, is_layer, public_name

# Version 1.0.0 stored the module of camkit's methods, which has moved.
_MODULE_OF_1_0_0 = re.compile(r"^camkit\.attribution\.(?=\w)")

# The identity of a function of the user's: its name, and the digest of what it does.
_USERS_FUNCTION = re.compile(r"^(?P<name>.+) [0-9a-f]{64}\b")


class UnknownState(ValueError):
    """A method uses an object whose state cannot be determined."""


def identify(method: Callable, role: str = "method") -> str:
    """Return the text that distinguishes a method from every other.

    Args:
        method: A function, an instance of a callable class, or functools.partial of these.
        role: The argument of `camkit` that it was passed as, for messages.

    Returns:
        For camkit's methods the public name and settings, such as
        "camkit.layer_cam, layer='conv3'"; for the user's methods the name and a digest.

    Raises:
        UnknownState: The method uses an object whose state cannot be determined; the message names
            it.
    """
    if isinstance(method, functools.partial):
        arguments = [_shown(value, "an argument", role) for value in method.args]
        for name, value in sorted(method.keywords.items()):
            if name == "layer" and is_layer(value):
                # The layer belongs to the analysed model, whose digest is stored as well.
                value = value.name
            arguments.append(f"{name}={_shown(value, f'the argument {name!r}', role)}")
        return ", ".join([identify(method.func, role), *arguments])
    public = public_name(method)
    if public is not None and is_installed(method.__module__):
        return public
    return f"{name_of(method)} {_digest(_MethodState(role).of(method, f'the {role}'))}"


def name_of(method: Callable) -> str:
    """Return a readable name of a method, which other methods may have as well."""
    if isinstance(method, functools.partial):
        return name_of(method.func)
    return getattr(method, "__name__", type(method).__name__)


def is_same(stored: str | None, current: str | None) -> bool:
    """Return whether a stored identity, perhaps from version 1.0.0, is the current one."""
    if stored is None or current is None:
        return stored is current
    return _MODULE_OF_1_0_0.sub("camkit.", stored) == current


def difference(stored: str | None, current: str | None) -> str:
    """Return in words that a stored identity is another one, and why if the names are the same."""
    before = _USERS_FUNCTION.match(stored or "")
    now = _USERS_FUNCTION.match(current or "")
    if before and now and before["name"] == now["name"]:
        return f"another method (the code of {now['name']!r}, or a value it uses, has changed)"
    return "another method"


def _shown(value: Any, where: str, role: str) -> str:
    """Return an argument of functools.partial as text: its `repr` if complete, else a digest."""
    if _is_plain(value):
        return repr(value)
    return _digest(_MethodState(role).of(value, where))


def _is_plain(value: Any) -> bool:
    """Return whether the `repr` of a value describes it completely."""
    if isinstance(value, tuple | list):
        return all(_is_plain(item) for item in value)
    return type(value) in SCALARS or isinstance(value, np.generic)


def _digest(state: list) -> str:
    """Return a digest of a state."""
    text = json.dumps(state, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


class _MethodState(State):
    """The state of what a method uses; an object whose state cannot be determined is refused."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self.role = role

    def digest_of_model(self, model: Any) -> str:
        from camkit.models._serialize import fingerprint

        return fingerprint(model)

    def of_unknown(self, value: Any, where: str) -> list:
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        raise UnknownState(
            f"the {self.role} cannot be distinguished from others: {where} is an object of {kind}, "
            "whose state camkit cannot determine; pass a plain function with its options as "
            f"keyword arguments, {self.role}=functools.partial(function, option=3), or leave out "
            "the folder"
        )
