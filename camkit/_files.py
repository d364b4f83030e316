"""Writing to folders: one process at a time, files complete or absent, errors with remedies.

A folder is a Path or, for an address such as s3://bucket/folder, a UPath, which has the same
interface.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, cast

import pandas as pd
from filelock import FileLock, Timeout

from camkit._progress import progress

_MAKE_ROOM = "make room there or choose another folder"
_ALLOW = "allow writing there or choose another folder"
_REMEDIES = {
    errno.ENOSPC: _MAKE_ROOM,
    errno.EDQUOT: _MAKE_ROOM,
    errno.EFBIG: _MAKE_ROOM,
    errno.EACCES: _ALLOW,
    errno.EPERM: _ALLOW,
    errno.EROFS: _ALLOW,
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "it was moved or deleted meanwhile: leave it where it is",
    errno.ENOTDIR: "it was moved or deleted meanwhile: leave it where it is",
}

# Seconds between two attempts to acquire a lock that another process holds.
_POLL = 1


def to_path(folder: str | os.PathLike) -> Path:
    """Return the path of a folder: a Path, or a UPath for an address.

    Raises:
        ImportError: An address needs universal-pathlib, which camkit[cluster] installs.
    """
    if "://" not in str(folder):
        return Path(folder)
    try:
        from upath import UPath
    except ImportError as error:
        raise ImportError(
            f"{folder} is the address of a store: pip install 'camkit[cluster]' to use it"
        ) from error
    path = UPath(folder)
    if path.protocol in ("file", "local"):
        return Path(path.path)
    # A UPath is used as a Path is.
    return cast(Path, path)


@contextmanager
def any_bytes() -> Iterator[None]:
    """Context manager: store pandas strings as Python objects.

    So file names that are not valid UTF-8 survive; pyarrow strings reject them.
    """
    with pd.option_context("mode.string_storage", "python"):
        yield


def present(folder: Path) -> set[str]:
    """Return the names of the current entries of a folder, also those of other processes."""
    if not isinstance(folder, Path):
        # The interface to a store caches what this process has listed before.
        folder.fs.invalidate_cache()
    if not folder.exists():
        return set()
    return {entry.name for entry in folder.iterdir()}


def write_whole(
    file: Path, data: bytes | Callable[[IO[bytes]], object], partial: str = ".partial"
) -> None:
    """Write a file that appears whole or not at all.

    Args:
        file: The file, which is replaced if it exists.
        data: Its bytes, or a function that writes them to an open file.
        partial: The ending of the file's name until it is complete. Processes that may write the
            same file at once need different endings.
    """
    fill = data if callable(data) else lambda stream: stream.write(data)
    if not isinstance(file, Path):
        # An object store shows nothing of an upload before its end.
        with file.fs.transaction, file.open("wb") as stream:
            fill(stream)
        return
    unfinished = file.with_name(file.name + partial)
    try:
        with open(unfinished, "wb") as stream:
            fill(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(unfinished, file)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


@contextmanager
def in_turn(lock: Path) -> Iterator[None]:
    """Hold an exclusive file lock for the block, creating its folder if needed.

    Other processes wait and show a progress bar. The operating system releases the lock even if the
    process is killed; the file is removed afterwards. A store has no locks, so nothing waits there.

    Raises:
        OSError: The folder cannot be written to, here or in the block. The error has the class that
            the system raised, and names the folder and the remedy.
    """
    folder = lock.parent
    if not isinstance(lock, Path):
        folder.mkdir(parents=True, exist_ok=True)
        yield
        return
    with _remedies(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file_lock = FileLock(lock)
        _acquire(file_lock, f"Waiting for another process in {folder}")
        try:
            yield
        finally:
            # A process that waits notices that the file is gone, and creates it again.
            with suppress(OSError):
                lock.unlink()
            file_lock.release()


def _acquire(lock: FileLock, description: str) -> None:
    """Wait for a lock until it is acquired, and show a progress bar."""
    with progress(None, description, "s") as bar:
        while not lock.is_locked:
            with suppress(Timeout):
                lock.acquire(timeout=_POLL)
            bar.update()


@contextmanager
def _remedies(folder: Path) -> Iterator[None]:
    """Context manager: add the folder and the remedy to an OSError that concerns the folder."""
    try:
        yield
    except OSError as error:
        # If the disk is full, the system does not name the file.
        file = None
        if error.filename:
            file = Path(os.fsdecode(error.filename)).absolute()
        is_elsewhere = file is not None and not file.is_relative_to(folder.absolute())
        if error.errno not in _REMEDIES or is_elsewhere:
            raise
        reason = error.strerror if file is None else f"{error.strerror} ({file.name})"
        remedy = _REMEDIES[error.errno]
        raise type(error)(
            f"{folder} cannot be written to: {reason}; {remedy} and call again: "
            "files that are complete are kept"
        ) from error
