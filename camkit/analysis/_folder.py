"""The files of an analysis.

A folder holds about.json and, while the work goes on, shards (see `_shards`). At the end they are
joined into one .npy file for each array.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from camkit._files import present

# The file that describes the model, the images and the settings of the analysis in a folder.
ABOUT = "about.json"

# The folder, in that of an analysis, of the one that is to take its place.
NEXT = ".next"

# The arrays that every analysis stores, each in its own file.
ARRAYS = ("gap", "maps", "logits", "probs")


def array_names(about: Mapping) -> tuple[str, ...]:
    """Return the names of the arrays that an analysis stores, given the content of about.json."""
    is_by_cam = about.get("method") is None
    if not is_by_cam:
        return (*ARRAYS, "map_classes")
    has_rest = about.get("has_rest", False)
    return (*ARRAYS, "rest") if has_rest else ARRAYS


def is_finished(folder: Path, about: Mapping) -> bool:
    """Return whether a folder holds all arrays of an analysis."""
    files = {f"{name}.npy" for name in array_names(about)}
    return files <= present(folder)


def temporary_folder() -> tempfile.TemporaryDirectory:
    """Return a new temporary folder, which is deleted with the object returned."""
    return tempfile.TemporaryDirectory(prefix="camkit-", ignore_cleanup_errors=True)
