"""camkit: class activation maps (CAM) for Keras models, to learn with and to apply.

The public names are listed in `__init__.pyi`. They are loaded when first used, so that
`import camkit` is quick and loads neither Keras nor a backend.
"""

import os

import lazy_loader

from camkit import _quiet

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# Let idle threads of scikit-learn leave the cores to the backend.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
_quiet.install()

__version__ = "1.0.0"
_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

# The modules camkit.cam and camkit.attribution of version 1.0.0 are now the folder camkit.maps.
_RENAMED = {"attribution": "maps", "cam": "maps"}


def __getattr__(name: str):
    """Load a public name when it is first used."""
    return _load(_RENAMED.get(name, name))
