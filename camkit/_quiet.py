"""Keeping standard error for errors: hold back log messages of TensorFlow and other libraries."""

import logging
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from camkit._import_hook import ImportHook

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


def _is_no_retracing_warning(record: logging.LogRecord) -> bool:
    """Return whether a log record is not the warning that a function is retraced."""
    return "tf.function retracing" not in record.getMessage()


def install() -> None:
    """Hold back TensorFlow's start-up messages and its retracing warnings.

    TensorFlow warns that functions are retraced when several models are read in turn.
    """
    # TensorFlow has no setting for quiet start-up.
    ImportHook("tensorflow", held_back).install()
    logging.getLogger("tensorflow").addFilter(_is_no_retracing_warning)
