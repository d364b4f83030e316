"""Archives: a .zip file of images, unpacked into a temporary folder."""

import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from camkit._progress import progress
from camkit.images.folders import SIDECARS, TABLES
from camkit.images.image_set import ImageSet


def read_archive(archive: Path, read: Callable[[Path], ImageSet]) -> ImageSet:
    """Return the images of a .zip file, by a function that reads them from a folder.

    The files are in a temporary folder that lives as long as the set. What is told of them names
    the archive and the place in it.

    Raises:
        ValueError: The archive is damaged or encrypted, or `read` refuses what it holds.
        OSError: There is too little room for its files, or `read` finds no images.
    """
    temporary, folder = _unpacked(archive)
    try:
        images = read(folder)
    except (FileNotFoundError, ValueError) as error:
        told = _of_archive(str(error), folder, archive)
        names_part = f"{archive}{os.sep}" in told
        remedy = "; unpack it to pass what it holds" if names_part else ""
        raise type(error)(told + remedy) from error
    skipped = [
        (archive / path.relative_to(folder), _of_archive(reason, folder, archive))
        for path, reason in images.skipped
    ]
    notes = [_of_archive(note, folder, archive) for note in images.notes]
    return replace(images, skipped=skipped, notes=notes, _temporary=temporary)


def _of_archive(text: str, folder: Path, archive: Path) -> str:
    """Return a text on the folder that an archive was unpacked into as one on the archive."""
    return text.replace(str(folder), str(archive))


def _unpacked(archive: Path) -> tuple[TemporaryDirectory, Path]:
    """Return a temporary folder, and the folder in it that holds what a .zip file holds.

    Hidden files, and sidecar files but tables, are left out.

    Raises:
        ValueError: The archive is damaged or encrypted.
        OSError: There is too little room for its files.
    """
    temporary = TemporaryDirectory(prefix="camkit-", ignore_cleanup_errors=True)
    folder = Path(temporary.name).resolve() / "images"
    folder.mkdir()
    try:
        with zipfile.ZipFile(archive) as source:
            members = [member for member in source.infolist() if _is_wanted(member)]
            size = sum(member.file_size for member in members)
            free = shutil.disk_usage(folder).free
            if size > free:
                raise OSError(
                    f"{archive} unpacks to {size:,} bytes, and {temporary.name} has room for "
                    f"{free:,}: unpack it elsewhere and pass the folder"
                )
            with progress(len(members), "Unpacking", "file") as bar:
                for member in members:
                    # It removes what leads out of the folder from names, such as "..".
                    source.extract(member, folder)
                    bar.update()
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise ValueError(
            f"{archive} cannot be unpacked: {error}; unpack it yourself and pass the folder"
        ) from error
    return temporary, folder


def _is_wanted(member: zipfile.ZipInfo) -> bool:
    """Return whether a member is a visible file that is a table or no sidecar."""
    path = Path(member.filename)
    is_hidden = any(part.startswith((".", "__")) for part in path.parts)
    is_sidecar = path.suffix.lower() in SIDECARS.difference(TABLES)
    return not (member.is_dir() or is_hidden or is_sidecar)
