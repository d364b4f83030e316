"""Writing into a folder: one process after the other, files whole or not at all, the disk's faults with their remedies,
file names of any bytes.

A folder is a Path, or for an address such as s3://bucket/folder a UPath, which has the same interface.
"""

import errno
import os
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
from filelock import FileLock, Timeout

from camkit._progress import progress

FULL, CLOSED = (
    "make room there or name another folder",
    "allow writing there or name another folder",
)
REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), FULL),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), CLOSED),
    errno.ENAMETOOLONG: "choose a shorter name",
    **dict.fromkeys(
        (errno.ENOENT, errno.ENOTDIR), "it was moved or deleted meanwhile: leave it where it is"
    ),
}


def place(folder):
    """Return the path of a folder: a Path, or a UPath for an address. Raises ImportError where that needs the extra."""
    if "://" not in str(folder):
        return Path(folder)
    try:
        from upath import UPath
    except ImportError as error:
        raise ImportError(
            f"{folder} is the address of a store: pip install camkit[cluster] to use such"
        ) from error
    found = UPath(folder)
    return Path(found.path) if found.protocol in ("file", "local") else found


@contextmanager
def any_bytes():
    """Within, tables hold names in another encoding than the system's, too, which the texts of pyarrow cannot."""
    with pd.option_context("mode.string_storage", "python"):
        yield


def present(folder):
    """Return the names of what the folder holds now, whoever wrote it."""
    if not isinstance(folder, Path):
        folder.fs.invalidate_cache()  # of what this process has seen there
    return {entry.name for entry in folder.iterdir()} if folder.exists() else set()


def write_whole(file, data, partial=".partial"):
    """Write a file that appears whole or not at all; `data` is bytes or a function that writes to the open file."""
    fill = data if callable(data) else lambda stream: stream.write(data)
    if not isinstance(file, Path):  # an object store shows nothing of an upload before its end
        with file.fs.transaction, file.open("wb") as stream:
            return fill(stream)
    part = file.with_name(file.name + partial)
    try:
        with open(part, "wb") as stream:
            fill(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def in_turn(lock):
    """Hold the lock file `lock` while the block runs, in a folder that is made if need be: another process that asks
    for it waits and tells so in a progress bar. The system frees it however a process ends, and it is not left behind.

    Raises OSError, of the kind that the disk raised, naming the folder and the remedy where it cannot be written to.
    """
    if not isinstance(lock, Path):  # a store has no locks
        lock.parent.mkdir(parents=True, exist_ok=True)
        yield
        return
    with _explained(lock.parent):
        lock.parent.mkdir(parents=True, exist_ok=True)
        held = FileLock(lock)
        with progress(None, f"Waiting for another process in {lock.parent}", "s") as bar:
            while not held.is_locked:
                with suppress(Timeout):
                    held.acquire(timeout=1)
                bar.update()
        try:
            yield
        finally:
            with suppress(OSError):  # who waits sees that it is gone, and makes it anew
                lock.unlink()
            held.release()


@contextmanager
def _explained(folder):
    """Name the folder and the remedy in what the disk raises; a full one is not named by the system."""
    try:
        yield
    except OSError as error:
        named = error.filename and Path(os.fsdecode(error.filename)).absolute()
        if error.errno not in REMEDIES or named and not named.is_relative_to(folder.absolute()):
            raise
        raise type(error)(
            f"{folder} cannot be written to: {error.strerror}{f' ({named.name})' if named else ''}; "
            f"{REMEDIES[error.errno]} and call again: what is whole stays"
        ) from error
