"""Keeping standard error for errors: hold back log messages of TensorFlow and other libraries."""

import importlib.abc
import importlib.machinery
import importlib.util
import logging
import os
import sys
import tempfile
import threading
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

# Two threads that divert a descriptor at once would each restore the other's diversion.
_DIVERTED = threading.RLock()


@contextmanager
def held_back(stream: int = 2, *, drop: bool = False) -> Iterator[None]:
    """Context manager: divert what is written to a file descriptor during the block.

    Diverted text reappears only if the block raises an error, which Ctrl-C is not; with `drop` it
    never does. Threads take turns.

    Args:
        stream: The number of the file descriptor: 1 is standard output, 2 is standard error.
        drop: Whether the text is dropped even if the block raises an error.
    """
    with _DIVERTED, tempfile.TemporaryFile() as diverted:
        original = os.dup(stream)
        os.dup2(diverted.fileno(), stream)
        try:
            yield
        except Exception:
            if not drop:
                diverted.seek(0)
                os.write(original, diverted.read())
            raise
        finally:
            os.dup2(original, stream)
            os.close(original)


class QuietTensorFlow:
    """Import hook that finds TensorFlow as usual and makes its first import quiet.

    TensorFlow has no setting for that.
    """

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Return the spec of the module `tensorflow`, or None for any other module."""
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            _load_quietly(spec.loader)
        return spec


def _load_quietly(loader: importlib.abc.Loader) -> None:
    """Make a loader hold back what is written while it loads a module."""
    load = loader.exec_module

    def exec_module(module: types.ModuleType) -> None:
        with held_back():
            load(module)

    loader.exec_module = exec_module  # type: ignore[method-assign]


def _is_no_retracing_warning(record: logging.LogRecord) -> bool:
    """Return whether a log record is not the warning that a function is retraced."""
    return "tf.function retracing" not in record.getMessage()


def install() -> None:
    """Hold back TensorFlow's start-up messages and its retracing warnings.

    TensorFlow warns that functions are retraced when several models are read in turn.
    """
    logging.getLogger("tensorflow").addFilter(_is_no_retracing_warning)
    if "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, QuietTensorFlow())
