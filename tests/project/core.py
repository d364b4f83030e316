"""What the core promises with a backend of Keras and no other extra: maps, an analysis, its faults,
its page. MODULES are hidden from it.

python tests/project/core.py [MODULE ...]
"""

import sys
import tempfile
from importlib.abc import MetaPathFinder
from pathlib import Path


class Hidden(MetaPathFinder):
    """An import hook that knows nothing of some modules."""

    def __init__(self, modules):
        self.modules = set(modules)

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.modules:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def use_the_core(folder):
    """Do everything that needs no extra, on the embedded images."""
    import camkit

    images = camkit.load_images("mini", "Test", per_class=5)
    model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
    batch = next(images.batches(4, 100)).astype("float32")
    maps = camkit.CAM(model)(batch).maps
    camkit.overlay(images[0], camkit.upsample(maps[0, ..., 0], 100))
    camkit.grad_cam(model, batch)
    analysis = camkit.analyze(model, images, folder / "analysis")
    camkit.data_faults(analysis)
    page = camkit.write_atlas(analysis, images, folder / "page")
    assert (folder / "page" / "index.html").is_file(), page
    assert camkit.load_analysis(folder / "analysis").table.equals(analysis.table)


def refuse_the_rest(folder):
    """See that what needs an extra is refused in one line that names the extra."""
    import camkit

    analysis = camkit.load_analysis(folder / "analysis")
    images = camkit.load_images("mini", "Test", per_class=5)
    wants = {
        "camkit[notebook]": lambda: camkit.error_atlas(analysis, images),
        "camkit[cluster]": lambda: camkit.load_analysis("s3://bucket/analysis"),
        "camkit[lessons]": lambda: camkit.load_images("fruits-360"),
    }
    for extra, use in wants.items():
        try:
            use()
        except ImportError as error:
            assert extra in str(error) and "\n" not in str(error), error
        else:
            raise AssertionError(f"what needs {extra} was not refused")


if __name__ == "__main__":
    sys.meta_path.insert(0, Hidden(sys.argv[1:]))
    with tempfile.TemporaryDirectory() as name:
        use_the_core(Path(name))
        refuse_the_rest(Path(name))
    print("the core works")
