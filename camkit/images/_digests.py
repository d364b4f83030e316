"""Digests of files: what a file holds, read once as long as the file does not change."""

import hashlib
import os
import time
from io import BufferedReader

# A file that changed less than these seconds ago could change again without another time stamp,
# since file systems keep times to 2 seconds at the worst.
_SETTLED = 2.5

# The digest of a file by its path, and the state in which it was read.
_known: dict[str, tuple[tuple[int, ...], bytes]] = {}


def digest_of(path: str | os.PathLike) -> bytes:
    """Return the SHA-256 digest of a file, which is read only if it is new or has changed."""
    state, digest = _known.get(os.fspath(path), (None, b""))
    if state is not None and state == _state_of(os.stat(path)):
        return digest
    with open(path, "rb") as stream:
        return remember(path, stream)


def remember(path: str | os.PathLike, stream: BufferedReader) -> bytes:
    """Return the SHA-256 digest of an opened file, and keep it for `digest_of`."""
    status = os.fstat(stream.fileno())
    stream.seek(0)
    digest = hashlib.file_digest(stream, "sha256").digest()
    if time.time() - max(status.st_mtime, status.st_ctime) > _SETTLED:
        _known[os.fspath(path)] = (_state_of(status), digest)
    return digest


def _state_of(status: os.stat_result) -> tuple[int, ...]:
    """Return what changes whenever a file is written or replaced."""
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)
