"""Archives: a .zip file of images, unpacked into a temporary folder."""

import shutil
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from camkit._progress import progress
from camkit.images.folders import SIDECARS, TABLES


def unpacked(archive: Path) -> tuple[TemporaryDirectory, Path]:
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
