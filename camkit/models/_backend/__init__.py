"""The backend that Keras computes with. Only the files of this folder name one.

Each backend has its own file with the same three functions: `compile_forward`, `compile_query`
and `gradient`. Compiled functions take and return NumPy arrays; the functions to compile are
written with `keras.ops`.
"""

from importlib import import_module
from importlib.util import find_spec

import keras

_name = keras.backend.backend()
if find_spec(f"{__name__}.{_name}") is None:
    raise ImportError(
        f"camkit does not run on Keras' backend {_name!r} yet: set the environment variable "
        "KERAS_BACKEND=tensorflow before Keras is imported"
    )
_backend = import_module(f"{__name__}.{_name}")

compile_forward = _backend.compile_forward
compile_query = _backend.compile_query
gradient = _backend.gradient
