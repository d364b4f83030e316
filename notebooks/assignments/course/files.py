"""The files of a folder of submissions, and those in the .zip archives in it."""

import errno
import os
import shutil
import tempfile
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

# Of a notebook; nearly all of it are outputs, which are dropped.
LARGEST_FILE = 256 << 20
LARGEST_ARCHIVE = 8 << 30
DEEPEST_ARCHIVE = 3

# What systems and editors leave beside a notebook.
IGNORED = ("__MACOSX", "__pycache__", "~$", "Thumbs.db", "desktop.ini")


class File(NamedTuple):
    """A file that was handed in.

    Args:
        place: Its folders and archives below the folder of submissions, and its own name.
        path: Where its bytes are.
        modified: When it was last changed, in seconds as `time.time` counts them.
    """

    place: tuple[str, ...]
    path: Path
    modified: float


class Listing(NamedTuple):
    """All that a folder of submissions holds.

    Args:
        files: The visible files.
        empty: The places of empty folders.
        unread: {place: why it could not be read} of archives and files.
    """

    files: list[File]
    empty: list[tuple[str, ...]]
    unread: dict[tuple[str, ...], str]


class BadArchive(ValueError):
    """An archive is damaged or hostile; the message says why."""


def list_files(submitted: Path, scratch: Path) -> Listing:
    """Return all visible files of a folder, or of a .zip archive; archives in it count as folders.

    Args:
        submitted: The folder or the archive.
        scratch: An empty folder, into which archives are unpacked. Files in it get
            names of their own, so that no name in an archive leads out of it.
    """
    listing = Listing([], [], {})
    if submitted.is_file():
        _add_archive(submitted, (), scratch, listing)
        return listing
    for folder, subfolders, names in os.walk(submitted):
        subfolders[:] = sorted(name for name in subfolders if not _is_ignored(name))
        names = sorted(name for name in names if not _is_ignored_file(name))
        parts = Path(folder).relative_to(submitted).parts
        if not subfolders and not names:
            listing.empty.append(parts)
        for name in names:
            path = Path(folder) / name
            if is_archive(name):
                _add_archive(path, (*parts, name), scratch, listing)
            elif path.is_file():
                # A name is shown to people, whatever bytes it is made of.
                shown = os.fsencode(name).decode(errors="replace")
                file = File((*parts, shown), path, path.stat().st_mtime)
                listing.files.append(file)
    return listing


def is_archive(name: str) -> bool:
    """Return whether a file is named as an archive that can be unpacked."""
    return name.lower().endswith(".zip")


def _is_ignored(name: str) -> bool:
    return name.startswith((".", *IGNORED))


def _is_ignored_file(name: str) -> bool:
    """Return whether a file is hidden and no notebook, or one of macOS' files beside each."""
    if name.startswith(("._", *IGNORED)):
        return True
    return name.startswith(".") and not name.lower().endswith(".ipynb")


def _add_archive(
    archive: Path, place: tuple[str, ...], scratch: Path, listing: Listing, depth: int = 1
) -> None:
    """Unpack an archive and add its files to the listing, or the reason why it cannot be read."""
    try:
        members = _unpack(archive, place, scratch)
    except BadArchive as error:
        listing.unread[place] = str(error)
        return
    # zipfile raises whatever its decoders and its arithmetic on damaged bytes raise.
    except Exception as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        listing.unread[place] = f"it cannot be unpacked: {error}"
        return
    for member in members:
        if not is_archive(member.place[-1]):
            listing.files.append(member)
        elif depth < DEEPEST_ARCHIVE:
            _add_archive(member.path, member.place, scratch, listing, depth + 1)
        else:
            listing.unread[member.place] = f"it lies in {DEEPEST_ARCHIVE} other archives: unpack it"


def _unpack(archive: Path, place: tuple[str, ...], scratch: Path) -> list[File]:
    """Unpack the visible files of an archive into the scratch folder."""
    members = []
    with zipfile.ZipFile(archive) as source:
        infos = [info for info in source.infolist() if not info.is_dir()]
        _check_members(infos, scratch)
        for info in infos:
            parts = _parts(info)
            *folders, name = parts
            if _is_ignored_file(name) or any(_is_ignored(folder) for folder in folders):
                continue
            descriptor, path = tempfile.mkstemp(dir=scratch)
            with source.open(info) as packed, open(descriptor, "wb") as unpacked:
                # zipfile reads no more than the size that was checked.
                shutil.copyfileobj(packed, unpacked)
            modified = time.mktime((*info.date_time, 0, 0, -1))
            members.append(File((*place, *parts), Path(path), modified))
    return members


def _check_members(infos: list[zipfile.ZipInfo], scratch: Path) -> None:
    """Raise BadArchive if an archive is too large, or a name in it leads out of it."""
    size = sum(info.file_size for info in infos)
    most = min(LARGEST_ARCHIVE, shutil.disk_usage(scratch).free)
    if size > most:
        raise BadArchive(f"it would unpack to {size:,} bytes, where {most:,} are allowed")
    for info in infos:
        parts = _parts(info)
        if not parts or ".." in parts or info.filename.startswith("/"):
            raise BadArchive(f"it holds {info.filename!r}, which leads out of it")


def _parts(info: zipfile.ZipInfo) -> tuple[str, ...]:
    """Return the folders and the name of a member.

    macOS writes names in UTF-8 without saying so, and zipfile takes them for cp437.
    """
    name = info.filename
    if not info.flag_bits & 0x800:
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            pass
    return tuple(part for part in name.split("/") if part not in ("", "."))
