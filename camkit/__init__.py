"""camkit: class activation maps (CAM) for Keras models, to learn with and to apply.

The public names are listed in `__init__.pyi`. They are loaded when first used, so that
`import camkit` is quick and loads neither Keras nor a backend.
"""

import importlib
import importlib.abc
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

import lazy_loader

from camkit import _backend_choice, _quiet

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
_quiet.install()
_backend_choice.install()

__version__ = "1.0.0"
_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

# The modules camkit.cam and camkit.attribution of version 1.0.0 are now the folder camkit.maps.
_NAMES_OF_MAPS = ("camkit.attribution", "camkit.cam")


class _NamesOfMaps(importlib.abc.Loader):
    """Import hook that finds camkit.maps under its names of version 1.0.0."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of camkit.maps under one of these names, or None for other modules."""
        return ModuleSpec(name, self) if name in _NAMES_OF_MAPS else None

    def exec_module(self, module: ModuleType) -> None:
        """Put camkit.maps in the place of the empty module; Python then imports that."""
        sys.modules[module.__name__] = importlib.import_module("camkit.maps")


sys.meta_path.append(_NamesOfMaps())


def __getattr__(name: str):
    """Load a public name when it is first used."""
    full_name = f"camkit.{name}"
    if full_name in _NAMES_OF_MAPS:
        return importlib.import_module(full_name)
    return _load(name)
