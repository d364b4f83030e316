"""The files of an analysis.

A folder holds about.json and, while the work goes on, shards (see `_shards`). At the end they are
joined into one .npy file for each array.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

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


def check_finite(logits: np.ndarray, paths: Sequence[Path | str]) -> None:
    """Raise ValueError, which names the first image, if scores (N, C) are not finite."""
    # The extremes take no memory beside the scores, which may be in a file.
    if np.isfinite([logits.min(initial=0), logits.max(initial=0)]).all():
        return
    is_finite = np.isfinite(logits).all(axis=1)
    first = int(np.flatnonzero(~is_finite)[0])
    [score, *_] = logits[first][~np.isfinite(logits[first])]
    raise ValueError(
        f"{paths[first]} has a score of {score}: either weights of the model are not finite, since "
        "its training diverged (load an earlier state of it), or a layer divides by 0 or overflows "
        "on this image (leave the image out by images.select)"
    )


def temporary_folder() -> tempfile.TemporaryDirectory:
    """Return a new temporary folder, which is deleted with the object returned."""
    return tempfile.TemporaryDirectory(prefix="camkit-", ignore_cleanup_errors=True)
