"""camkit: class activation maps (CAM) for Keras models, to learn with and to apply.

The public names stand in `__init__.pyi`. They are loaded when first used, so that `import camkit` is quick and loads
neither Keras nor a backend.
"""

import os

import lazy_loader

from camkit import _quiet

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault(
    "OMP_WAIT_POLICY", "PASSIVE"
)  # scikit-learn's idle threads leave the cores to TensorFlow
_quiet.install()

__version__ = "1.0.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
