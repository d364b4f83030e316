"""Sources: finding an image set on disk, and fetching Fruits-360 into the user's cache."""

import errno
import os
import shutil
import stat
import time
import zipfile
from pathlib import Path

from PIL import Image

from camkit._files import in_turn
from camkit._progress import progress
from camkit._resources import carried

MINI = carried("data") / "mini-fruits"
COMMIT = "019ab6f4eec0f6b9bdae4efe8ee55f377bef8812"
FRUITS_360 = {
    "version": "2025.03.09.0",
    "url": f"https://github.com/fruits-360/fruits-360-100x100/archive/{COMMIT}.zip",
    "counts": {"classes": 155, "Training": 76_893, "Test": 25_746},
}
SPLITS = {
    "training": ("training", "train"),
    "test": ("test", "validation", "valid", "val"),
    "validation": ("validation", "valid", "val"),
}
BAD_NAMES = (None, errno.EEXIST, errno.EINVAL, errno.EILSEQ, errno.ENAMETOOLONG)  # no number: bz2
SIDECARS = {".txt", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".md", ".html", ".ini", ".db"}

Image.init()  # of Pillow's formats those that need no other program: EPS is handed to Ghostscript
FORMATS = [
    "JPEG",
    "PNG",
    "GIF",
    "BMP",
    "TIFF",
    "WEBP",
    "PPM",
    "JPEG2000",
    *({"AVIF"} & set(Image.OPEN)),
]
SUFFIXES = {suffix for suffix, name in Image.registered_extensions().items() if name in FORMATS}


def find_set(source, split):
    """The set's root, the folders of the asked split, and those of all splits, which hold class folders.

    The last is empty where the pictures lie in the root itself.
    """
    role = str(split).lower()
    role = {"train": "training", "val": "validation", "valid": "validation"}.get(role, role)
    if split is not None and role not in SPLITS:
        raise ValueError(
            f"split is {split!r}: it must be 'Training', 'Test', 'Validation' or None for all"
        )
    folder = {"mini": MINI}.get(source) or (
        fetch_fruits_360() if source == "fruits-360" else Path(source)
    )
    folder = folder.expanduser().resolve()  # what an analysis remembers holds from anywhere
    if not folder.is_dir():
        remedy = (
            "the embedded images come with camkit: install it anew"
            if folder == MINI
            else "source must be a folder of images, 'mini' or 'fruits-360'"
        )
        raise FileNotFoundError(
            f"{folder} is {'a file' if folder.exists() else 'missing'}: {remedy}"
        )
    if root := search(folder, split_folders):
        splits = split_folders(root)
        parts = [
            splits[name] for name in (splits if split is None else SPLITS[role]) if name in splits
        ]
        if not parts:
            raise FileNotFoundError(
                f"no {split} in {root}, only {quote(f.name for f in splits.values())}"
            )
        return root, parts if split is None else parts[:1], list(splits.values())
    root = search(folder, lambda outer: any(map(holds_images, folders(outer))))
    if not root and holds_images(folder):
        return folder, [folder], []
    if not root:
        raise FileNotFoundError(
            f"no image set in {folder}: looked for folders Training and Test, for class folders with "
            f"images ({', '.join(FORMATS)}), at most three levels down, and for images in it; found "
            f"{quote(e.name for e in scan(folder))}"
        )
    return root, [root], [root]


def search(folder, holds):
    """The one folder at `folder` or at most three levels below it for which `holds` is true, or None."""
    level = [folder]
    for _ in range(4):
        found = [inner for inner in level if holds(inner)]
        if len(found) > 1:
            raise ValueError(f"{folder} holds several image sets: pass one of {quote(found)}")
        if found:
            return found[0]
        level = [inner for outer in level for inner in folders(outer)]


def split_folders(folder):
    """The split folders in a folder by lower-case name; one without folders is a class called "train"."""
    names = set(sum(SPLITS.values(), ()))
    return {f.name.lower(): f for f in folders(folder) if f.name.lower() in names and folders(f)}


def scan(folder):
    """What lies in a folder, sorted by name, without what is hidden."""
    with os.scandir(folder) as entries:
        return sorted(
            (e for e in entries if not e.name.startswith((".", "__"))), key=lambda e: e.name
        )


def folders(folder):
    """The folders in a folder; none where it cannot be read."""
    try:
        return [Path(entry) for entry in scan(folder) if entry.is_dir()]
    except OSError:
        return []


def candidates(folder):
    """All in a folder that ought to be an image; the folder itself where it cannot be read."""
    try:
        return [path for path in map(Path, scan(folder)) if path.suffix.lower() not in SIDECARS]
    except OSError:
        return [folder]


def holds_images(folder):
    return any(path.suffix.lower() in SUFFIXES for path in candidates(folder))


def quote(names):
    """Up to a dozen names in quotes, and how many more there are."""
    names = sorted(map(str, names))
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(map(repr, names[:12])) + more or "nothing"


def fetch_fruits_360():
    """The folder of Fruits-360 in the user's cache (or $CAMKIT_CACHE), downloaded and unpacked on first use.

    Raises OSError where the archive does not arrive or does not hold the images that FRUITS_360 counts.
    """
    import pooch

    cache = Path(os.environ.get("CAMKIT_CACHE") or pooch.os_cache("camkit")).expanduser()
    folder = cache / f"fruits-360-{FRUITS_360['version']}"
    archive = folder.with_name(folder.name + ".zip")
    if folder.is_dir() and not archive.exists():  # which one that was killed may have left
        return folder
    with in_turn(cache / ".lock"):
        if not folder.is_dir():
            if not archive.is_file():
                download(archive)
            unpack(archive, folder)
        archive.unlink(missing_ok=True)
    return folder


def download(archive):
    """Fetch the archive; what has arrived before an interruption stays in a .part file.

    The next attempt asks for the rest (HTTP Range), where pooch would begin anew. A server that packs archives on
    demand, as GitHub may, answers with the whole, and the file starts anew.
    """
    import requests

    part = archive.with_suffix(".part")
    for pause in (1, 2, None):
        try:
            resume(part)
            return part.replace(archive)
        except (ValueError, requests.RequestException) as error:
            if not pause:
                raise OSError(
                    f"Fruits-360 could not be downloaded from {FRUITS_360['url']}: {error}. What has arrived stays "
                    f"in {archive.parent}; the next call goes on from it where the server can. With a copy, pass "
                    "the folder that holds Training and Test: load_images('path/to/fruits-360')"
                ) from error
        time.sleep(pause)


def resume(part):
    """Fetch what the .part file lacks. Raises ValueError and RequestException where it does not arrive."""
    import requests

    offset = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
    with requests.get(
        FRUITS_360["url"], headers=headers, stream=True, timeout=(10, 60)
    ) as response:
        span = response.headers.get("Content-Range", "")
        if response.status_code != 416:
            response.raise_for_status()
            if response.status_code != 206 or not span.startswith(f"bytes {offset}-"):
                offset = 0  # the server sends all of it again
            length = int(response.headers.get("Content-Length", 0))
            with (
                open(part, "ab" if offset else "wb") as out,
                progress(length and offset + length or None, "Downloading Fruits-360", "B") as bar,
            ):
                bar.update(offset)
                for chunk in response.iter_content(1 << 14):
                    out.write(chunk)
                    bar.update(len(chunk))
        elif span != f"bytes */{offset}":  # 416 with another length: the .part file is of no use
            part.unlink()
            raise ValueError(f"the server cannot go on from byte {offset}")


def unpack(archive, folder):
    """Unpack the images below Training/ and Test/ beside the folder, count them, then name the folder."""
    part = folder.with_name(folder.name + ".unpacking")
    shutil.rmtree(part, ignore_errors=True)
    try:
        with zipfile.ZipFile(archive) as source:
            members = [member for member in source.infolist() if is_image(member)]
            size = sum(member.file_size for member in members)
            if size > 2 * archive.stat().st_size:  # JPEG has shrunk already
                raise zipfile.BadZipFile(
                    f"it would unpack to {size:,} bytes, more than pictures do"
                )
            with progress(len(members), "Unpacking Fruits-360", "image") as bar:
                for member in members:
                    target = part.joinpath(*member.filename.split("/")[1:])
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with source.open(member) as packed, open(target, "xb") as out:
                        shutil.copyfileobj(packed, out)
                    bar.update()
        counts = {split: len(list(part.glob(f"{split}/*/*"))) for split in ("Training", "Test")}
        counts = {"classes": len(list(part.glob("Training/*"))), **counts}
        if counts != FRUITS_360["counts"]:
            raise zipfile.BadZipFile(f"it holds {counts} where {FRUITS_360['counts']} are expected")
        part.rename(folder)
    except Exception as error:  # encrypted, packed in an unknown way, a name twice or too long
        if isinstance(error, OSError) and error.errno not in BAD_NAMES:
            raise  # the disk's fault
        archive.unlink()
        raise OSError(
            f"the archive from {FRUITS_360['url']} is damaged: {error}. It has been removed from "
            f"{archive.parent}: call again to fetch it anew, or pass a copy's folder"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def is_image(member):
    """Whether an archive member is a plain image file at <top>/Training|Test/<class>/<name>, no more."""
    parts = member.filename.split("/")
    return (
        len(parts) == 4
        and parts[1] in ("Training", "Test")
        and not {"", ".", ".."} & set(parts)
        and not set("\\:") & set(member.filename)
        and Path(parts[3]).suffix.lower() in SUFFIXES
        and not stat.S_ISLNK(member.external_attr >> 16)
    )
