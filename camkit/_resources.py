"""Finding the data and the lessons that come with camkit."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def carried(name: str) -> Path:
    """Return the folder "data" or "notebooks" that comes with camkit.

    It is inside the package if camkit is installed, and beside the package in a clone of the
    repository.
    """
    installed = _PACKAGE / name
    if installed.is_dir():
        return installed
    return _PACKAGE.parent / name
