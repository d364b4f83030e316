"""Standard error kept for errors: TensorFlow's start-up remarks held back, progress bars only where they are seen."""

import importlib.util
import logging
import os
import sys
import tempfile
import threading
from contextlib import contextmanager

DIVERTED = threading.RLock()  # two threads that divert in turn would restore each other's diversion


@contextmanager
def held_back(stream=2, *, drop=False):
    """Divert a file descriptor while the block runs; what was written there reappears only if the block fails, and with
    `drop` never. Threads take turns."""
    with DIVERTED, tempfile.TemporaryFile() as held:
        saved = os.dup(stream)
        os.dup2(held.fileno(), stream)
        try:
            yield
        except BaseException:
            if not drop:
                held.seek(0)
                os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, stream)
            os.close(saved)


class QuietTensorFlow:
    """An import hook: finds TensorFlow as usual, and makes its first import quiet (no setting of TensorFlow's does)."""

    def find_spec(self, name, path=None, target=None):
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None:
            load = spec.loader.exec_module

            def load_quietly(module):
                with held_back():
                    load(module)

            spec.loader.exec_module = load_quietly
        return spec


def install():
    """Hold back TensorFlow's start-up remarks, and its warning that models read one after the other are traced anew."""
    logging.getLogger("tensorflow").addFilter(
        lambda record: "tf.function retracing" not in record.getMessage()
    )
    if "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, QuietTensorFlow())


def progress(total, description, unit, done=0):
    """A tqdm bar that shows itself after two seconds, on a terminal or in a notebook; else it is silent."""
    from tqdm.auto import tqdm

    quiet = "ipykernel" not in sys.modules and not (sys.stderr and sys.stderr.isatty())
    return tqdm(
        total=total,
        initial=done,
        desc=description,
        unit=unit,
        unit_scale=unit == "B",
        delay=2,
        disable=quiet,
    )
