"""camkit: class activation maps (CAM) for Keras models, to learn with and to apply.

What `camkit.__all__` names is public; the other rooms (graph, probe, inference, reading, grid, heads, regions,
sources, quiet) serve it and may change. Names are loaded when first used, so that `import camkit` is quick and leaves
TensorFlow alone.
"""

import importlib
import os

from camkit import quiet

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # scikit-learn's idle threads leave the cores to TensorFlow
quiet.install()

_NAMES = {
    "images": ("ImageSet", "load_images", "read_image"),
    "models": ("backbone", "gap_classifier", "train_head"),
    "cam": ("CAM", "CamOutput", "overlay", "upsample"),
    "attribution": ("ablation_cam", "eigen_cam", "fuse", "grad_cam", "grad_cam_plus_plus", "hires_cam",
                    "integrated_gradients", "layer_cam", "occlusion", "score_cam"),
    "analysis": ("Analysis", "analyze", "load_analysis"),
    "faults": ("data_faults",),
    "atlas": ("error_atlas", "write_atlas"),
    "plots": (),
    "localize": (),
    "whole_object": (),
    "scenes": (),
    "widgets": (),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names} | {"HeadError": "graph"}

__version__ = "1.0.0"
__all__ = [*_MODULE_OF, *_NAMES]


def __getattr__(name):
    if name in _NAMES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
