"""Progress bars that are shown on a terminal or in a notebook, and silent elsewhere."""

import sys

from tqdm.auto import tqdm

# Work that takes less than this many seconds shows no bar at all.
_DELAY = 2


def progress(total: int | None, description: str, unit: str, done: int = 0) -> tqdm:
    """Return a tqdm progress bar, which is a context manager with the method `update(n=1)`.

    The bar appears after two seconds, on a terminal or in a notebook; elsewhere it is silent.

    Args:
        total: The number of units; None if it is unknown.
        description: The text before the bar, such as "Checking images".
        unit: What is counted: "image", "s", or "B" for bytes, which are shown as kB, MB and so on.
        done: The number of units that were done before.
    """
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    return tqdm(
        total=total,
        initial=done,
        desc=description,
        unit=unit,
        unit_scale=unit == "B",
        delay=_DELAY,
        disable=not (_in_notebook() or on_terminal),
    )


def _in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    # A program may import IPython, or even ipykernel, without being a kernel.
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")
