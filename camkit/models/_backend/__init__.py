"""The backend that Keras computes with. Only the files of this folder import one.

Each backend has its own file with the same three functions: `compile_forward`, `compile_query`
and `gradient`. Compiled functions take and return NumPy arrays; the functions to compile are
written with `keras.ops`.
"""

from importlib import import_module

import keras

from camkit._backend_choice import BACKENDS, unsupported

_name = keras.backend.backend()
if _name not in BACKENDS:
    raise ImportError(unsupported(_name))
_backend = import_module(f"{__name__}.{_name}")

compile_forward = _backend.compile_forward
compile_query = _backend.compile_query
gradient = _backend.gradient
