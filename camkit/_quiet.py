"""Keeping standard error for errors, one line each: TensorFlow and Keras write much more."""

import logging
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from camkit._import_hook import ImportHook

# The number of characters shown of an error of Keras or TensorFlow.
_LONGEST_REASON = 300

_COLOUR_CODE = re.compile("\x1b.*?m")

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


def brief(error: Exception) -> str:
    """Return an error of Keras or TensorFlow in one line.

    It is the last cause in the message, without traceback, arguments and colours.
    """
    _, _, cause = str(error).rpartition("Exception encountered")
    cause, _, _ = cause.partition("Arguments received")
    cause = _COLOUR_CODE.sub("", cause.lstrip(": "))
    cause = " ".join(cause.split())
    return f"{type(error).__name__}: {cause[:_LONGEST_REASON]}"
