"""Fruits-360: the full data set, downloaded into the user's cache on first use."""

import errno
import os
import shutil
import stat
import time
import zipfile
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camkit._files import in_turn
from camkit._progress import progress
from camkit.images.decoding import suffixes

if TYPE_CHECKING:
    import requests

_COMMIT = "019ab6f4eec0f6b9bdae4efe8ee55f377bef8812"
FRUITS_360: dict[str, Any] = {
    "version": "2025.03.09.0",
    "url": f"https://github.com/fruits-360/fruits-360-100x100/archive/{_COMMIT}.zip",
    "counts": {"classes": 155, "Training": 76_893, "Test": 25_746},
}

# Seconds between attempts to download, and timeouts for connecting and for each answer.
_PAUSES = (1, 2)
_TIMEOUTS = (10, 60)
_CHUNK = 1 << 14

# JPEG files hardly shrink further, so an archive of images unpacks to about its own size.
_MOST_EXPANSION = 2

# Errors of the system that a bad file name in a damaged archive causes. None is for bz2, which
# raises OSError without a number.
_ERRORS_OF_NAMES = (None, errno.EEXIST, errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG)

_WITH_A_COPY = "pass the folder that holds Training and Test: load_images('path/to/fruits-360')"


def fetch_fruits_360() -> Path:
    """Return the folder of Fruits-360, downloaded and unpacked on first use.

    It is stored in the user's cache, or in the folder given by the environment variable
    CAMKIT_CACHE.

    Returns:
        The folder that holds Training and Test.

    Raises:
        OSError: The archive cannot be downloaded, or does not hold as many images as it should.
        ImportError: The packages for the download are not installed.

    Example:
        >>> from camkit.images.fruits360 import fetch_fruits_360
        >>> fetch_fruits_360()  # doctest: +SKIP
        PosixPath('.../camkit/fruits-360-2025.03.09.0')
    """
    cache = _cache()
    folder = cache / f"fruits-360-{FRUITS_360['version']}"
    archive = folder.with_name(folder.name + ".zip")
    # A process that was killed may have left the archive beside the finished folder.
    if folder.is_dir() and not archive.exists():
        return folder
    with in_turn(cache / ".lock"):
        if not folder.is_dir():
            if not archive.is_file():
                _download(archive)
            _unpack(archive, folder)
        archive.unlink(missing_ok=True)
    return folder


def _cache() -> Path:
    """Return the folder for downloads."""
    named = os.environ.get("CAMKIT_CACHE")
    if named:
        return Path(named).expanduser()
    try:
        import pooch
    except ImportError as error:
        raise _lacking("pooch") from error
    return Path(pooch.os_cache("camkit"))


def _lacking(package: str) -> ImportError:
    """Return the error for a missing package, which says how to get it or to do without it."""
    return ImportError(
        f"downloading Fruits-360 needs the package {package}: pip install 'camkit[lessons]'; "
        f"if you have a copy, {_WITH_A_COPY}"
    )


def _download(archive: Path) -> None:
    """Fetch the archive.

    What has arrived before an interruption stays in a .part file, and the next attempt requests the
    rest (HTTP Range), where pooch would start again. A server that packs archives on demand, as
    GitHub may, answers with the whole archive, and the file is written from the start.
    """
    try:
        import requests
    except ImportError as error:
        raise _lacking("requests") from error
    part = archive.with_suffix(".part")
    for pause in (*_PAUSES, None):
        try:
            _resume(part)
        except (ValueError, requests.RequestException) as error:
            if pause is None:
                raise OSError(
                    f"Fruits-360 could not be downloaded from {FRUITS_360['url']}: {error}. "
                    f"What has arrived stays in {archive.parent}, and the next call continues "
                    f"from it if the server can. If you have a copy, {_WITH_A_COPY}"
                ) from error
            time.sleep(pause)
        else:
            part.replace(archive)
            return


def _resume(part: Path) -> None:
    """Fetch the missing rest of the .part file.

    Raises ValueError or a RequestException if it cannot be fetched.
    """
    import requests

    size = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    if size:
        headers["Range"] = f"bytes={size}-"
    with requests.get(
        FRUITS_360["url"], headers=headers, stream=True, timeout=_TIMEOUTS
    ) as response:
        if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            _expect_complete(part, size, response)
        else:
            response.raise_for_status()
            _save(response, part, size)


def _expect_complete(part: Path, size: int, response: "requests.Response") -> None:
    """Raise ValueError unless the .part file is already as long as the archive."""
    if response.headers.get("Content-Range", "") != f"bytes */{size}":
        # The file is too long, so it belongs to another archive.
        part.unlink()
        raise ValueError(f"the server cannot go on from byte {size}")


def _save(response: "requests.Response", part: Path, size: int) -> None:
    """Append the answer to the `size` bytes of the .part file, or replace them by it."""
    span = response.headers.get("Content-Range", "")
    goes_on = response.status_code == HTTPStatus.PARTIAL_CONTENT
    goes_on = goes_on and span.startswith(f"bytes {size}-")
    offset = size if goes_on else 0
    length = int(response.headers.get("Content-Length", 0))
    total = offset + length if length else None
    mode = "ab" if goes_on else "wb"
    with open(part, mode) as file, progress(total, "Downloading Fruits-360", "B") as bar:
        bar.update(offset)
        for chunk in response.iter_content(_CHUNK):
            file.write(chunk)
            bar.update(len(chunk))


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack the images below Training and Test, count them, then give the folder its name."""
    unpacking = folder.with_name(folder.name + ".unpacking")
    shutil.rmtree(unpacking, ignore_errors=True)
    try:
        _extract(archive, unpacking)
        _check_counts(unpacking)
        unpacking.rename(folder)
    except Exception as error:
        # Members may be encrypted, packed in an unknown way, or have a name twice or too long.
        if isinstance(error, OSError) and error.errno not in _ERRORS_OF_NAMES:
            # The disk is at fault, not the archive.
            raise
        archive.unlink()
        raise OSError(
            f"the archive from {FRUITS_360['url']} is damaged: {error}. It has been removed from "
            f"{archive.parent}: call again to download it again, or pass the folder of a copy"
        ) from error
    finally:
        shutil.rmtree(unpacking, ignore_errors=True)


def _extract(archive: Path, folder: Path) -> None:
    """Write the images of the archive to the folder, without the archive's top folder."""
    with zipfile.ZipFile(archive) as source:
        members = [member for member in source.infolist() if _is_image(member)]
        size = sum(member.file_size for member in members)
        if size > _MOST_EXPANSION * archive.stat().st_size:
            raise zipfile.BadZipFile(f"it would unpack to {size:,} bytes, more than images do")
        with progress(len(members), "Unpacking Fruits-360", "image") as bar:
            for member in members:
                _, *inner = member.filename.split("/")
                target = folder.joinpath(*inner)
                target.parent.mkdir(parents=True, exist_ok=True)
                with source.open(member) as packed, open(target, "xb") as file:
                    shutil.copyfileobj(packed, file)
                bar.update()


def _check_counts(folder: Path) -> None:
    """Raise BadZipFile unless the folder holds as many classes and images as FRUITS_360 says."""
    counts = {"classes": len(list(folder.glob("Training/*")))}
    for split in ("Training", "Test"):
        counts[split] = len(list(folder.glob(f"{split}/*/*")))
    if counts != FRUITS_360["counts"]:
        raise zipfile.BadZipFile(f"it holds {counts} where {FRUITS_360['counts']} are expected")


def _is_image(member: zipfile.ZipInfo) -> bool:
    """Return whether a member is an image at <top>/Training|Test/<class>/<name> and nothing else.

    Names that could lead out of the folder, and links, are rejected.
    """
    parts = member.filename.split("/")
    if len(parts) != 4:
        return False
    _, split, _, name = parts
    if split not in ("Training", "Test"):
        return False
    if any(part in ("", ".", "..") for part in parts):
        return False
    if "\\" in member.filename or ":" in member.filename:
        return False
    # The upper 16 bits are the file's mode on Unix.
    if stat.S_ISLNK(member.external_attr >> 16):
        return False
    return Path(name).suffix.lower() in suffixes()
