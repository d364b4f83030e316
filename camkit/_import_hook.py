"""An import hook: what is to happen around the first import of a module."""

import importlib.abc
import sys
import types
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib.machinery import ModuleSpec


class ImportHook(importlib.abc.MetaPathFinder):
    """Import hook that finds one module as usual and loads it inside a context manager.

    Args:
        name: The name of the module.
        context: A function that returns the context manager.
    """

    def __init__(self, name: str, context: Callable[[], AbstractContextManager]) -> None:
        self._name = name
        self._context = context

    def install(self) -> None:
        """Put the hook before all others, unless the module has been imported already."""
        if self._name not in sys.modules:
            sys.meta_path.insert(0, self)

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: types.ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return the spec of the module, or None for any other module."""
        if name != self._name:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                self._wrap(spec)
                return spec
        return None

    def _wrap(self, spec: ModuleSpec) -> None:
        """Make the loader of a spec load the module inside the context manager."""
        loader = spec.loader
        if loader is None:
            return
        load = loader.exec_module

        def exec_module(module: types.ModuleType) -> None:
            with self._context():
                load(module)

        loader.exec_module = exec_module  # type: ignore[method-assign]
