"""The choice of the backend that Keras runs on, which is made when Keras is first imported.

The user's choice counts: the environment variable KERAS_BACKEND, else the file keras.json. If there
is none, Keras takes TensorFlow. Where that is not installed, camkit chooses one that is.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from camkit._import_hook import ImportHook

# Those that camkit runs on. Without a choice the first one that is installed is taken.
BACKENDS = ("tensorflow", "jax", "torch")

# What Keras runs on without a choice. When it is first imported, Keras itself writes this name into
# keras.json, so there the name is no choice.
_DEFAULT = "tensorflow"


def install() -> None:
    """Choose the backend as soon as Keras is imported, unless that has happened already."""
    ImportHook("keras", _backend_chosen).install()


@contextmanager
def _backend_chosen() -> Iterator[None]:
    """Context manager: before the block, choose a backend, and refuse one that is not installed.

    Raises:
        ImportError: The backend that the user has chosen is not installed, or none is; or Keras
            cannot be imported on one that camkit does not run on.
    """
    settings = _keras_folder() / "keras.json"
    in_environment = os.environ.get("KERAS_BACKEND")
    in_settings = _backend_in(settings)
    if in_environment:
        _check_installed(in_environment, "KERAS_BACKEND is")
    elif in_settings != _DEFAULT:
        _check_installed(in_settings, f"the backend in {settings} is")
    else:
        os.environ["KERAS_BACKEND"] = _first_installed()
    chosen = os.environ.get("KERAS_BACKEND") or in_settings
    try:
        yield
    except ImportError as error:
        if chosen in BACKENDS:
            raise
        # Keras on NumPy needs JAX, and names only that.
        raise ImportError(f"{unsupported(chosen)} ({error})") from error


def unsupported(name: str) -> str:
    """Return that camkit does not run on the backend of this name, and what to do."""
    return (
        f"camkit runs on Keras' backends {', '.join(BACKENDS)}, not on {name!r}: {remedy(name)} "
        "before Keras is imported"
    )


def remedy(name: str) -> str:
    """Return what to do where Keras cannot run, or camkit not, on the backend of this name."""
    installed = _installed()
    ways = []
    if name in BACKENDS:
        ways.append(f"pip install 'camkit[{name}]'")
    if installed:
        ways.append(f"set the environment variable KERAS_BACKEND={installed[0]}")
    return ", or ".join(ways) or remedy(_DEFAULT)


def _keras_folder() -> Path:
    """Return the folder of Keras' settings, which Keras finds in the same way."""
    folder = os.environ.get("KERAS_HOME")
    if folder is None:
        home = os.path.expanduser("~")
        folder = os.path.join(home if os.access(home, os.W_OK) else "/tmp", ".keras")
    return Path(folder).expanduser()


def _backend_in(settings: Path) -> str:
    """Return the backend that Keras reads from its settings; without the file, its default."""
    try:
        values = json.loads(settings.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return _DEFAULT
    return values.get("backend", _DEFAULT)


def _installed() -> list[str]:
    """Return the backends that are installed."""
    return [name for name in BACKENDS if find_spec(name)]


def _first_installed() -> str:
    """Return the backend to take without a choice. Raises ImportError if none is installed."""
    installed = _installed()
    if not installed:
        names = " or ".join(BACKENDS)
        raise ImportError(f"Keras needs {names}, and none is installed: {remedy(_DEFAULT)}")
    return installed[0]


def _check_installed(name: str, choice: str) -> None:
    """Raise ImportError, which begins with `choice`, if no backend of this name is installed."""
    if find_spec(name) is None:
        raise ImportError(f"{choice} {name!r}, which is not installed: {remedy(name)}")
