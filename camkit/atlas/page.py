"""The atlas as a page: a folder that opens from disk, or one element of another page.

A page on disk may neither import modules nor read files. So the view stands in the page itself,
data are scripts that the page runs when it needs them, and images are files.
"""

import base64
import hashlib
import html
import os
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, overload

import numpy as np
import pandas as pd

from camkit._features import check_files
from camkit._files import in_turn
from camkit._progress import progress
from camkit.analysis import Analysis
from camkit.atlas._encoding import script_json
from camkit.atlas._view import joined, stylesheet
from camkit.atlas.record import Record, checked_images, images_of_faults
from camkit.atlas.verdicts import PathMatcher, for_view, read_verdicts
from camkit.images import ImageSet
from camkit.images._digests import digest_of
from camkit.images.decoding import THREADS

# Images in one data file.
CHUNK = 64

# Folders and file, from the end of a path, that are the name of an image within its set.
NAME_PARTS = 3

# Bytes of class maps up to which a page stores the maps of all classes for every image.
MAP_BYTES = 64_000_000

# The same limit for an element of another page, which should stay small.
EMBEDDED_MAP_BYTES = 8_000_000

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>body {{ margin: {margin}; }}
{css}</style></head><body><main>{heading}<div id="atlas"></div></main>
<noscript>This page draws its maps with JavaScript: allow it to run.</noscript>
{data}
<script type="module">
{script}</script></body></html>
"""

FRAME = (
    '<iframe class="camkit-atlas-frame" title="Error atlas" loading="lazy" '
    'style="width: 100%; height: 50em; border: 0" srcdoc="{page}"></iframe>'
)

PathLike = str | os.PathLike[str]


@overload
def write_atlas(
    analysis: Analysis,
    images: PathLike,
    *,
    reference: Analysis | None = None,
    verdicts: PathLike | pd.DataFrame | None = None,
) -> Path: ...


@overload
def write_atlas(
    analysis: Analysis,
    images: ImageSet | None = None,
    folder: PathLike | None = None,
    *,
    reference: Analysis | None = None,
    verdicts: PathLike | pd.DataFrame | None = None,
) -> Path: ...


def write_atlas(
    analysis: Analysis,
    images: ImageSet | PathLike | None = None,
    folder: PathLike | None = None,
    *,
    reference: Analysis | None = None,
    verdicts: PathLike | pd.DataFrame | None = None,
) -> Path:
    """Return the path of an error atlas, which is written to a folder and opens from disk.

    Call it as `write_atlas(analysis, folder)`. The folder appears as a whole or not at all; an
    atlas that it already holds is replaced.

    Each class map is stored in 8 bits with its own scale and offset, so it is off by at most 1/510
    of its range. The maps of all classes are stored for every image if they come to 64 MB or less.
    Otherwise they are stored for misclassified images and their neighbours only; the other images
    have those of the true class and of the top five. Verdicts stay in the browser until they are
    saved as CSV; a page that is written again finds them by the content of the images. `faults.csv`
    beside the page is the table of camkit.data_faults, with the split of each image. The network is
    not run.

    Where images have several labels, the page shows which were missed and which were invented;
    `analysis.with_thresholds` sets from which probability on a label is predicted.

    The map of features (t-SNE) shows up to 25,000 images, drawn at random, if openTSNE is
    installed, and up to 5,000 without it.

    Args:
        analysis: The analysis.
        images: The ImageSet that was analysed, before the folder: `write_atlas(analysis, images,
            folder)`. It can be omitted, since the analysis knows the files; if it is passed, it is
            checked.
        folder: The folder, which need not exist.
        reference: The analysis of another split, such as the training set, by the same model:
            nearest images come from it, and data faults are looked for in both.
        verdicts: Verdicts that the page shows: a CSV file that a page or `error_atlas` has written,
            or a table with its columns (path, true, predicted, verdict, comment, reviewer,
            correct_label). Images are found by their paths or, where that is unique, by the ending
            of these. Verdicts on other images are told in a warning, and are in the CSV file that
            the page saves.

    Returns:
        The path of index.html.

    Raises:
        TypeError: If there is no folder, or `images` is not an ImageSet.
        ValueError: If analysis, images and reference do not belong together, the folder holds
            something other than an atlas, or `verdicts` is not a table of verdicts.
        OSError: If an image is missing or cannot be read, or the folder cannot be written to.

    Example:
        >>> import tempfile
        >>> import camkit
        >>> images = camkit.load_images("mini", "Test", per_class=2)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> analysis = camkit.analyze(model, images)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = camkit.write_atlas(analysis, folder + "/atlas")
        ...     print(page.name, page.exists())
        index.html True
    """
    images, folder = _images_and_folder(analysis, images, folder)
    if _holds_something_else(folder):
        raise ValueError(
            f"{folder} holds something other than an atlas: choose an empty folder or a new one"
        )
    check_files(analysis, reference)
    record = Record(analysis, reference)
    table = None if verdicts is None else read_verdicts(verdicts)
    root = analysis.images.root if images is None else images.root
    title = f"Error atlas: {'/'.join(root.parts[-2:])}"
    new = folder.with_name(f".{folder.name}.new")
    old = folder.with_name(f".{folder.name}.old")
    with in_turn(folder.with_name(f".{folder.name}.lock")):
        # A process that was killed may have left temporary folders.
        _tidy(folder, new, old)
        try:
            _write_page(record, new, title, table)
            if folder.exists():
                os.replace(folder, old)
            os.replace(new, folder)
        finally:
            _tidy(folder, new, old)
    return folder / "index.html"


def _images_and_folder(
    analysis: Analysis, images: ImageSet | PathLike | None, folder: PathLike | None
) -> tuple[ImageSet | None, Path]:
    """Return the image set, if any, and the folder from the arguments of write_atlas."""
    if folder is None:
        if isinstance(images, str | os.PathLike):
            return None, Path(images)
        raise TypeError("there is no folder to write to: call write_atlas(analysis, folder)")
    return checked_images(analysis, images), Path(folder)


def _holds_something_else(folder: Path) -> bool:
    """Return whether the folder is a file, or holds something other than an atlas."""
    if folder.is_file():
        return True
    if not folder.exists() or (folder / "data" / "index.js").exists():
        return False
    return any(folder.iterdir())


def _tidy(folder: Path, new: Path, old: Path) -> None:
    """Remove the temporary folders beside an atlas; restore the old one if there is no new one."""
    if old.exists() and not folder.exists():
        os.replace(old, folder)
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)


def _write_page(record: Record, folder: Path, title: str, verdicts: pd.DataFrame | None) -> None:
    """Write the page of a record, with verdicts, into a new folder."""
    for part in ("data", "pictures"):
        (folder / part).mkdir(parents=True)
    given = {} if verdicts is None else _given_verdicts(record, verdicts)
    index = record.index(open=True, chunk=CHUNK, **given)
    content = _Content(record, index, MAP_BYTES)
    pictures: list[str] = []
    keys: list[str] = []
    with (
        ThreadPoolExecutor(THREADS) as pool,
        progress(len(content.numbers), "Writing the atlas", "image") as bar,
    ):
        for start in range(0, len(content.numbers), CHUNK):
            numbers = content.numbers[start : start + CHUNK]
            images = pool.map(partial(_picture_and_key, record), numbers)
            for position, (data, kind, key) in enumerate(images, start):
                pictures.append(_write_picture(folder, position, data, kind))
                keys.append(key)
            _write_details(folder, start // CHUNK, [content.detail(i) for i in numbers])
            bar.update(len(numbers))
    script = _data_script({}, pictures, content.index | {"keys": keys})
    (folder / "data" / "index.js").write_text(script, encoding="ascii")
    record.faults_with_splits.to_csv(folder / "faults.csv", index=False, errors="surrogateescape")
    page = _fill_page(
        title=title,
        heading=f"<h1>{html.escape(title)}</h1>",
        margin="1rem",
        data='<script src="data/index.js"></script>',
        script=joined("page.js"),
    )
    (folder / "index.html").write_text(page, encoding="utf-8")


def _given_verdicts(record: Record, table: pd.DataFrame) -> dict[str, list[dict]]:
    """Return the entries of the index for verdicts; warn of those on images that are not there."""
    rows, unmatched = for_view(table, PathMatcher(record.paths))
    if unmatched:
        warnings.warn(
            f"{len(unmatched)} of {len(table)} verdicts are on images that the atlas does not "
            f"hold, or more than one image has such a path, such as {unmatched[0]['path']}: the "
            "page only keeps them for its CSV file",
            stacklevel=4,
        )
    return {"verdicts": rows, "unmatched": unmatched}


def _picture_and_key(record: Record, i: int) -> tuple[bytes, str, str]:
    """Return image i for a browser, its type, and a key by which a browser finds its verdicts.

    The key is a digest of the file's content, a dot, and one of its name within the set, which
    tells copies apart.
    """
    data, kind = record.picture(i)
    path = record.path(i)
    content = digest_of(path).hex()
    name = "/".join(Path(path).parts[-NAME_PARTS:]).encode(errors="surrogateescape")
    return data, kind, f"{content[:16]}.{hashlib.sha256(name).hexdigest()[:8]}"


def _write_picture(folder: Path, position: int, data: bytes, kind: str) -> str:
    """Write the file of a picture, and return its address within the page."""
    suffix = "jpg" if kind == "jpeg" else kind
    name = f"pictures/{position:06d}.{suffix}"
    (folder / name).write_bytes(data)
    return name


def _write_details(folder: Path, chunk: int, details: list[dict[str, Any]]) -> None:
    """Write a data file: a script that adds the details of its images to the page."""
    script = f"camkitAtlas.chunks[{chunk}]={script_json(details)};"
    (folder / "data" / f"{chunk:05d}.js").write_text(script, encoding="ascii")


def embedded(record: Record, index: dict[str, Any]) -> str:
    """Return the atlas as one HTML element that works without Python: a frame with all its data.

    To keep it small, images of the reference that are near correctly classified images only are
    left out.

    Args:
        record: The record.
        index: Its index.
    """
    content = _Content(record, index, EMBEDDED_MAP_BYTES, neighbours_of_errors_only=True)
    details = [content.detail(i) for i in content.numbers]
    pictures = []
    keys = []
    for i in content.numbers:
        data, kind, key = _picture_and_key(record, i)
        pictures.append(f"data:image/{kind};base64,{_base64(data)}")
        keys.append(key)
    index = content.index | {"chunk": len(pictures), "keys": keys}
    script = _data_script([details], pictures, index)
    page = _fill_page(
        title="Error atlas",
        heading="",
        margin="0",
        data=f"<script>{script}</script>",
        script=joined("frame.js"),
    )
    return FRAME.format(page=html.escape(page))


def _data_script(chunks: dict | list, pictures: list[str], index: dict[str, Any]) -> str:
    data = {"chunks": chunks, "pictures": pictures, "index": index}
    return f"window.camkitAtlas={script_json(data)};"


def _fill_page(title: str, heading: str, margin: str, data: str, script: str) -> str:
    return PAGE.format(
        title=html.escape(title),
        heading=heading,
        margin=margin,
        css=stylesheet(),
        data=data,
        script=script,
    )


class _Content:
    """The images of a page: those of the analysis, and those of the reference that it shows.

    A page numbers its images without gaps, so an image of the reference has another number there
    than in the record.

    Args:
        record: The record.
        index: Its index.
        map_bytes: Up to this size all class maps of all images are stored.
        neighbours_of_errors_only: Whether to leave out images of the reference that are near
            correctly classified images only.

    Attributes:
        numbers: The images in the order of the page, by their numbers in the record.
        positions: {number in the record: number on the page}.
        complete: The images, by their numbers in the record, that keep the maps of all classes.
        index: The index with the numbers of the page.
    """

    def __init__(
        self,
        record: Record,
        index: dict[str, Any],
        map_bytes: float,
        neighbours_of_errors_only: bool = False,
    ) -> None:
        self.record = record
        count = len(record.analysis)
        errors = record.analysis.errors.index.to_numpy()
        neighbours = self._neighbours()
        neighbours_of_errors = set(neighbours[errors].ravel().tolist())
        shown = images_of_faults(index)
        shown.update(row["i"] for row in index["verdicts"])
        if neighbours_of_errors_only:
            shown.update(neighbours_of_errors)
        else:
            shown.update(neighbours.ravel().tolist())
        from_reference = sorted(number for number in shown if number >= count)
        self.numbers = [*range(count), *from_reference]
        self.positions = {number: position for position, number in enumerate(self.numbers)}

        bytes_of_all = len(self.numbers) * record.analysis.maps[0].size
        if bytes_of_all <= map_bytes:
            self.complete = set(self.numbers)
        else:
            self.complete = neighbours_of_errors.union(errors.tolist())
        self.index = self._renumbered(index)

    def _neighbours(self) -> np.ndarray:
        """Return the numbers (N, n) of the neighbours that are shown."""
        if "near" not in self.record.panels:
            return np.zeros((len(self.record.analysis), 0), dtype=int)
        numbers, _ = self.record.neighbours
        return numbers

    def _renumbered(self, index: dict[str, Any]) -> dict[str, Any]:
        """Return the index with its images as the page numbers them."""
        renumbered = {}
        for name in ("verdicts", "others"):
            renumbered[name] = [row | {"i": self.positions[row["i"]]} for row in index[name]]
        if "summary" in index:
            kinds = [self._renumbered_kind(kind) for kind in index["summary"]["faults"]]
            renumbered["summary"] = index["summary"] | {"faults": kinds}
        return index | renumbered

    def _renumbered_kind(self, kind: dict[str, Any]) -> dict[str, Any]:
        rows = []
        for row in kind["rows"]:
            numbers = {"i": self.positions[row["i"]], "other": self.positions.get(row["other"])}
            rows.append(row | numbers)
        return kind | {"rows": rows}

    def detail(self, number: int) -> dict[str, Any]:
        """Return what belongs to an image of the record, as the page holds it."""
        detail, packed = self.record.detail(number, all_classes=number in self.complete)
        neighbours = []
        for neighbour in detail["near"]:
            position = self.positions.get(neighbour["i"])
            if position is not None:
                neighbours.append(neighbour | {"i": position})
        return detail | {"near": neighbours, "packed": _base64(packed)}


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
