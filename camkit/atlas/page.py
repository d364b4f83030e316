"""The atlas as a page: a folder that opens from disk, one file, or one element of another page.

A page on disk may neither import modules nor read files. So the view stands in the page itself,
data are scripts that the page runs when it needs them, and images are files.
"""

import hashlib
import html
import math
import os
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pandas as pd

from camkit._features import check_files
from camkit._files import in_turn, write_whole
from camkit._progress import progress
from camkit.analysis import Analysis
from camkit.atlas._encoding import LONGEST_SIDE, picture_address, script_json, to_base64
from camkit.atlas._view import joined, stylesheet
from camkit.atlas.playground import engine_script, entry_of, model_of_analysis
from camkit.atlas.record import Record, checked_images, images_of_faults
from camkit.atlas.verdicts import PathMatcher, for_view, read_verdicts
from camkit.images import ImageSet
from camkit.images._digests import digest_of
from camkit.images.decoding import THREADS

if TYPE_CHECKING:
    import keras

# Images in one data file.
CHUNK = 64

# Folders and file, from the end of a path, that are the name of an image within its set.
NAME_PARTS = 3

# Bytes of class maps up to which a page stores the maps of all classes for every image.
MAP_BYTES = 64_000_000

# The same limit for an element of another page, which should stay small.
EMBEDDED_MAP_BYTES = 8_000_000

# Bytes of a page in one file, at most. As an attachment, which takes four bytes for three, it still
# fits into a mail of 25 MB.
SINGLE_BYTES = 18_000_000

# Bytes that an image takes there at least, whatever its size.
LEAST_BYTES = 1_000

# Longest sides of the pictures there: the first with which the page is small enough is taken.
SINGLE_SIDES = (LONGEST_SIDE, 256, 128)

# What every page of an atlas holds.
ROOT_ELEMENT = '<div id="atlas"></div>'

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>body {{ margin: {margin}; }}
{css}</style></head><body><main>{heading}{root}</main>
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

# What runs the model in a page; None without a model, and for one that cannot run there.
Play = dict[str, Any] | None


@overload
def write_atlas(
    analysis: Analysis,
    images: PathLike,
    *,
    reference: Analysis | None = None,
    before: Analysis | None = None,
    verdicts: PathLike | pd.DataFrame | None = None,
    single: bool = False,
    model: "keras.Model | None" = None,
) -> Path: ...


@overload
def write_atlas(
    analysis: Analysis,
    images: ImageSet | None = None,
    folder: PathLike | None = None,
    *,
    reference: Analysis | None = None,
    before: Analysis | None = None,
    verdicts: PathLike | pd.DataFrame | None = None,
    single: bool = False,
    model: "keras.Model | None" = None,
) -> Path: ...


def write_atlas(
    analysis: Analysis,
    images: ImageSet | PathLike | None = None,
    folder: PathLike | None = None,
    *,
    reference: Analysis | None = None,
    before: Analysis | None = None,
    verdicts: PathLike | pd.DataFrame | None = None,
    single: bool = False,
    model: "keras.Model | None" = None,
) -> Path:
    """Return the path of an error atlas, which is written to a folder and opens from disk.

    Call it as `write_atlas(analysis, folder)`. The folder appears as a whole or not at all; an
    atlas that it already holds is replaced. `write_atlas(analysis, "atlas.html", single=True)`
    writes one file in its place, for mail and tickets: it holds the pictures and has at most 18 MB.
    Where these are too large, it holds them with 256 or 128 pixels on their longer side, and says
    so. To keep it small, images of the reference that are near correctly classified images only
    are left out. Its paths, and those in the CSV file that it saves, begin with the folder that all
    images share, so that they tell nothing of the machine.

    Each class map is stored in 8 bits with its own scale and offset, so it is off by at most 1/510
    of its range. The maps of all classes are stored for every image if they come to 64 MB or less.
    Otherwise, and in one file if they come to more than 8 MB, they are stored for misclassified
    images, their neighbours, and images whose answer differs from that of `before` only; the other
    images have those of the true class and of the top five. Verdicts stay in the browser until they
    are saved as CSV; a page that is written again finds them by the content of the images. In the
    folder, `faults.csv` is the table of camkit.data_faults, with the split of each image. The
    network is not run, unless `model` is given.

    A brush strikes cells out of a map, see `camkit.strike`: all scores follow. Where the maps of
    some classes are not stored, percentages are shares among the stored ones, and the page says so.

    Where images have several labels, the page shows which were missed and which were invented;
    `analysis.with_thresholds` sets from which probability on a label is predicted.

    The map of features (t-SNE) shows up to 25,000 images, drawn at random, if openTSNE is
    installed, and up to 5,000 without it.

    Args:
        analysis: The analysis.
        images: The ImageSet that was analysed, before the folder: `write_atlas(analysis, images,
            folder)`. It can be omitted, since the analysis knows the files; if it is passed, it is
            checked.
        folder: The folder, which need not exist, or the file, whose name ends in .html.
        reference: The analysis of another split, such as the training set, by the same model:
            nearest images come from it, and data faults are looked for in both.
        before: The analysis of the same images by another model, such as the one before a training:
            what it changed is shown first, and both models' maps side by side, as camkit.compare
            finds it.
        verdicts: Verdicts that the page shows: a CSV file that a page or `error_atlas` has written,
            or a table with its columns (path, true, predicted, verdict, comment, reviewer,
            correct_label). Images are found by their paths or, where that is unique, by the ending
            of these. Verdicts on other images are told in a warning, and are in the CSV file that
            the page saves.
        single: Whether to write one file.
        model: The model that was analysed: it goes into the page and runs there, as
            camkit.write_playground describes it, so that the picture under review can be painted
            out or get noise, and be asked again. The page is then larger by 5 MB, by the model, and
            in a folder by the pictures once more. A model that cannot be converted is told in a
            warning.

    Returns:
        The path of index.html, or of the one file.

    Raises:
        TypeError: If there is no folder, or `images` is not an ImageSet.
        ValueError: If analysis, images, reference and before do not belong together, the folder
            holds something other than an atlas, `verdicts` is not a table of verdicts, the
            images or the model are too large for one file, or `model` is another one than that of
            the analysis.
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
    images, target = _images_and_target(analysis, images, folder)
    if single:
        _check_file(target, len(analysis))
    else:
        _check_folder(target)
    check_files(analysis, reference)
    record = Record(analysis, reference, before=before, is_portable=single)
    table = None if verdicts is None else read_verdicts(verdicts)
    root = analysis.images.root if images is None else images.root
    title = f"Error atlas: {'/'.join(root.parts[-2:])}"
    with in_turn(target.with_name(f".{target.name}.lock")):
        index = _index(record, table)
        play = None
        if model is not None:
            play = model_of_analysis(model, analysis)
            index["play"] = entry_of(play)
            if "refusal" in play:
                play = None
        write = _write_file if single else _write_folder
        return write(record, index, target, title, play)


def _images_and_target(
    analysis: Analysis, images: ImageSet | PathLike | None, target: PathLike | None
) -> tuple[ImageSet | None, Path]:
    """Return the image set, if any, and the folder or file from the arguments of write_atlas."""
    if target is None:
        if isinstance(images, str | os.PathLike):
            return None, Path(images)
        raise TypeError("there is no folder to write to: call write_atlas(analysis, folder)")
    return checked_images(analysis, images), Path(target)


def _check_folder(folder: Path) -> None:
    """Raise ValueError for the name of a page, a file, or a folder of something else."""
    if folder.suffix.lower() in (".html", ".htm") and not folder.is_dir():
        raise ValueError(
            f"{folder} is the name of a page, and an atlas is a folder: pass single=True for an "
            "atlas in one file (in the shell --single), or the name of a folder"
        )
    if not folder.exists() or (folder / "data" / "index.js").exists():
        return
    if folder.is_file() or any(folder.iterdir()):
        raise ValueError(
            f"{folder} holds something other than an atlas: choose an empty folder or a new one"
        )


def _check_file(file: Path, count: int) -> None:
    """Raise ValueError if no page of `count` images can be written to a file."""
    if file.is_dir() or file.suffix.lower() not in (".html", ".htm"):
        raise ValueError(
            f"{file} is no name for an atlas in one file: choose one that ends in .html"
        )
    if file.exists() and ROOT_ELEMENT.encode() not in file.read_bytes():
        raise ValueError(f"{file} holds something other than an atlas: choose another name")
    if count * LEAST_BYTES > SINGLE_BYTES:
        raise _too_large(count)


def _too_large(count: int, scripts: str = "") -> ValueError:
    """Return the error for a page of `count` images, and of scripts that run a model, if any."""
    most = f"{SINGLE_BYTES // 1_000_000} MB"
    of_model = f"the model and its engine take {len(scripts) / 1_000_000:.1f} MB"
    if len(scripts) > SINGLE_BYTES:
        return ValueError(
            f"{of_model}, too much for one file of {most}: leave out model, or single"
        )
    images = "1 image comes" if count == 1 else f"{count} images come"
    remedy = "leave out single to write a folder, or choose fewer images by analysis.select"
    if scripts:
        remedy = f"{of_model}; leave out model, {remedy}"
    return ValueError(
        f"{images} to more than {most}, even with pictures of {SINGLE_SIDES[-1]} pixels, which is "
        f"too much for one file: {remedy}"
    )


def _tidy(folder: Path, new: Path, old: Path) -> None:
    """Remove the temporary folders beside an atlas; restore the old one if there is no new one."""
    if old.exists() and not folder.exists():
        os.replace(old, folder)
    for leftover in (new, old):
        shutil.rmtree(leftover, ignore_errors=True)


def _write_folder(
    record: Record, index: dict[str, Any], folder: Path, title: str, play: Play
) -> Path:
    """Write the page of a record and its index in place of the folder; return its index.html."""
    new = folder.with_name(f".{folder.name}.new")
    old = folder.with_name(f".{folder.name}.old")
    # A process that was killed may have left temporary folders.
    _tidy(folder, new, old)
    try:
        _write_page(record, index, new, title, play)
        if folder.exists():
            os.replace(folder, old)
        os.replace(new, folder)
    finally:
        _tidy(folder, new, old)
    return folder / "index.html"


def _write_page(
    record: Record, index: dict[str, Any], folder: Path, title: str, play: Play
) -> None:
    """Write the page of a record, its index, and what runs there, into a new folder."""
    for part in ("data", "pictures"):
        (folder / part).mkdir(parents=True)
    content = _Content(record, index | {"chunk": CHUNK}, MAP_BYTES)
    pictures: list[str] = []
    keys: list[str] = []
    if play is not None:
        (folder / "data" / "engine.js").write_text(engine_script(), encoding="ascii")
        (folder / "data" / "play.js").write_text(_play_script(play), encoding="ascii")
    with (
        ThreadPoolExecutor(THREADS) as pool,
        progress(len(content.numbers), "Writing the atlas", "image") as bar,
    ):
        for start in range(0, len(content.numbers), CHUNK):
            numbers = content.numbers[start : start + CHUNK]
            images = list(pool.map(partial(_picture_and_key, record), numbers))
            if play is not None:
                _write_readable(folder, start // CHUNK, images)
            for position, (data, kind, key) in enumerate(images, start):
                pictures.append(_write_picture(folder, position, data, kind))
                keys.append(key)
            _write_details(folder, start // CHUNK, [content.detail(i) for i in numbers])
            bar.update(len(numbers))
    script = _data_script({}, pictures, content.index | {"keys": keys})
    (folder / "data" / "index.js").write_text(script, encoding="ascii")
    record.faults_with_splits.to_csv(
        folder / "faults.csv", index=False, encoding="utf-8-sig", errors="surrogateescape"
    )
    page = _fill_page(
        title=title,
        heading=f"<h1>{html.escape(title)}</h1>",
        margin="1rem",
        data='<script src="data/index.js"></script>',
        script=joined("page.js"),
    )
    (folder / "index.html").write_text(page, encoding="utf-8")


def _index(record: Record, table: pd.DataFrame | None) -> dict[str, Any]:
    """Return the index of a page; warn of verdicts on images that are not there."""
    if table is None:
        return record.index(open=True)
    rows, unmatched = for_view(table, PathMatcher(record.paths))
    if unmatched:
        warnings.warn(
            f"{len(unmatched)} of {len(table)} verdicts are on images that the atlas does not "
            f"hold, or more than one image has such a path, such as {unmatched[0]['path']}: the "
            "page only keeps them for its CSV file",
            stacklevel=3,
        )
    return record.index(open=True, verdicts=rows, unmatched=unmatched)


def _picture_and_key(
    record: Record, i: int, longest_side: float = LONGEST_SIDE
) -> tuple[bytes, str, str]:
    """Return image i for a browser, its type, and a key by which a browser finds its verdicts.

    The key is a digest of the file's content, a dot, and one of its name within the set, which
    tells copies apart.
    """
    data, kind = record.picture(i, longest_side)
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


def _write_readable(folder: Path, chunk: int, images: list[tuple[bytes, str, str]]) -> None:
    """Write a data file: a script that adds pictures as data, whose pixels a page may read."""
    addresses = [picture_address(data, kind) for data, kind, _ in images]
    script = f"camkitAtlas.readable[{chunk}]={script_json(addresses)};"
    (folder / "data" / f"pictures-{chunk:05d}.js").write_text(script, encoding="ascii")


def _play_script(play: dict[str, Any]) -> str:
    """Return the script that gives the page the model."""
    return f"window.camkitPlay={script_json(play)};"


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
    # The copy has no kernel that could hand over the model.
    index = {name: value for name, value in index.items() if name != "play"}
    content = _Content(record, index, EMBEDDED_MAP_BYTES, neighbours_of_errors_only=True)
    page = _fill_page(
        title="Error atlas",
        heading="",
        margin="0",
        data=f"<script>{_inline_script(content)}</script>",
        script=joined("frame.js"),
    )
    return FRAME.format(page=html.escape(page))


def _write_file(record: Record, index: dict[str, Any], file: Path, title: str, play: Play) -> Path:
    """Write the page of a record and its index as one file, and return its path.

    Raises:
        ValueError: If it is too large, even with the smallest pictures.
    """
    content = _Content(record, index, EMBEDDED_MAP_BYTES, neighbours_of_errors_only=True)
    scripts = ""
    if play is not None:
        scripts = f"<script>{engine_script()}</script><script>{_play_script(play)}</script>"
    if len(scripts) > SINGLE_BYTES:
        raise _too_large(len(record.analysis), scripts)
    for side in SINGLE_SIDES:
        heading = f"<h1>{html.escape(title)}</h1>"
        if side != LONGEST_SIDE:
            heading += (
                f"<p>So that they fit into one file, pictures have {side} pixels at most.</p>"
            )
        data = _inline_script(content, side, SINGLE_BYTES)
        page = _fill_page(
            title=title,
            heading=heading,
            margin="1rem",
            data=f"{scripts}<script>{data}</script>",
            script=joined("page.js"),
        ).encode()
        if data and len(page) <= SINGLE_BYTES:
            write_whole(file, page)
            return file
    raise _too_large(len(record.analysis), scripts)


def _inline_script(
    content: "_Content", longest_side: float = LONGEST_SIDE, most: float = math.inf
) -> str:
    """Return a script with all data of a page and its pictures; "" if these exceed `most` bytes."""
    pictures: list[str] = []
    keys: list[str] = []
    size = 0
    for i in content.numbers:
        data, kind, key = _picture_and_key(content.record, i, longest_side)
        pictures.append(picture_address(data, kind))
        keys.append(key)
        size += len(pictures[-1])
        if size > most:
            return ""
    details = [content.detail(i) for i in content.numbers]
    index = content.index | {"chunk": len(pictures), "keys": keys}
    return _data_script([details], pictures, index)


def _data_script(chunks: dict | list, pictures: list[str], index: dict[str, Any]) -> str:
    data = {"chunks": chunks, "pictures": pictures, "readable": {}, "index": index}
    return f"window.camkitAtlas={script_json(data)};"


def _fill_page(title: str, heading: str, margin: str, data: str, script: str) -> str:
    return PAGE.format(
        title=html.escape(title),
        heading=heading,
        margin=margin,
        root=ROOT_ELEMENT,
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

        bytes_of_one = record.analysis.maps[0].size
        if record.comparison is not None:
            bytes_of_one += record.comparison.before.maps[0].size
        bytes_of_all = len(self.numbers) * bytes_of_one
        if bytes_of_all <= map_bytes:
            self.complete = set(self.numbers)
        else:
            self.complete = neighbours_of_errors.union(errors.tolist(), record.changed)
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
        is_complete = number in self.complete
        detail, packed = self.record.detail(number, is_complete)
        before = self.record.detail_before(number, is_complete)
        neighbours = []
        for neighbour in detail["near"]:
            position = self.positions.get(neighbour["i"])
            if position is not None:
                neighbours.append(neighbour | {"i": position})
        if before is not None:
            detail["before"] = to_base64(before)
        return detail | {"near": neighbours, "packed": to_base64(packed)}
