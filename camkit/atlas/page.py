"""The atlas as a page: a folder that opens from disk by a double click, or one element of another page.

A page on disk may neither import modules nor read files, so the module stands in the page, and data are scripts that
are read when they are needed; pictures are files.
"""

import base64
import html
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from camkit._files import in_turn
from camkit._progress import progress
from camkit.atlas.record import Record, portable, script
from camkit.images.image_set import THREADS

JS, CSS = (
    Path(__file__).with_name("view").joinpath(name).read_text(encoding="utf-8")
    for name in ("atlas.js", "atlas.css")
)
CHUNK = 64  # pictures in a data file
WHOLE = 64_000_000  # bytes of maps: up to here every picture keeps those of all classes

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>body {{ margin: {margin}; }}
{css}</style></head><body><main>{heading}<div id="atlas"></div></main>
<noscript>This page draws its maps with JavaScript: allow it to run.</noscript>
{data}
<script type="module">
{js}
mount(document.getElementById("atlas"), fromPage());
{last}
</script></body></html>
"""
FIT = """new ResizeObserver(() => { frameElement.style.height = `${document.documentElement.offsetHeight}px`; })
    .observe(document.documentElement);"""


def write_atlas(analysis, images, folder, *, reference=None):
    """Write the error atlas of an analysis into a folder and return the path of its index.html, which opens from disk.

    images: the ImageSet that was analysed. reference: the Analysis of another split, such as the training set, for
    nearest pictures and data faults. The folder appears whole or not at all; an atlas that stands there is replaced.
    Maps are kept in 8 bits with scale and offset of their own, off by 1/510 of a map's range at the most: those of all
    classes for misclassified pictures and their neighbours, and for all pictures where these come to 64 MB or less;
    else of the true class and the top five. Verdicts stay in the browser, until they are saved as CSV. `faults.csv`
    beside the page is the table of camkit.data_faults.
    Raises ValueError where analysis, images and reference do not belong together, or the folder holds something else.
    """
    folder = Path(folder)
    if (
        folder.exists()
        and not (folder / "data" / "index.js").exists()
        and (folder.is_file() or any(folder.iterdir()))
    ):
        raise ValueError(
            f"{folder} holds something that is no atlas: name an empty folder or a new one"
        )
    record = Record(analysis, images, reference)
    new, old = (folder.with_name(f".{folder.name}.{kind}") for kind in ("new", "old"))
    with in_turn(folder.with_name(f".{folder.name}.lock")):
        _tidy(folder, new, old)  # after a process that was killed
        try:
            _write(record, new, f"Error atlas: {'/'.join(images.root.parts[-2:])}")
            if folder.exists():
                os.replace(folder, old)
            os.replace(new, folder)
        finally:
            _tidy(folder, new, old)
    return folder / "index.html"


def _tidy(folder, new, old):
    """Remove what stands beside an atlas; the old one comes back where there is no other."""
    if old.exists() and not folder.exists():
        os.replace(old, folder)
    for made in (new, old):
        shutil.rmtree(made, ignore_errors=True)


def _write(record, folder, title):
    """Write the page of a record into a new folder."""
    for part in (folder / "data", folder / "pictures"):
        part.mkdir(parents=True)
    index = record.index(open=True, chunk=CHUNK)
    index, numbers, place, full = _numbers(record, index, WHOLE)
    pictures = []
    with (
        ThreadPoolExecutor(THREADS) as pool,
        progress(len(numbers), "Writing the atlas", "image") as bar,
    ):
        for k, start in enumerate(range(0, len(numbers), CHUNK)):
            chunk = numbers[start : start + CHUNK]
            for n, (data, kind) in enumerate(pool.map(portable, map(record.path, chunk)), start):
                pictures.append(f"pictures/{n:06d}.{'jpg' if kind == 'jpeg' else kind}")
                (folder / pictures[-1]).write_bytes(data)
            details = script([_detail(record, i, place, i in full) for i in chunk])
            (folder / "data" / f"{k:05d}.js").write_text(
                f"camkitAtlas.chunks[{k}]={details};", encoding="ascii"
            )
            bar.update(len(chunk))
    known = f"window.camkitAtlas={{chunks:{{}},pictures:{script(pictures)},index:{script(index)}}};"
    (folder / "data" / "index.js").write_text(known, encoding="ascii")
    record.faults.to_csv(folder / "faults.csv", index=False, errors="surrogateescape")
    text = _page(title, '<script src="data/index.js"></script>', heading=True)
    (folder / "index.html").write_text(text, encoding="utf-8")


def embedded(record, index):
    """Return the atlas as one HTML element that lives without Python: a frame with everything in it.

    To stay small it has the nearest pictures of misclassified pictures only.
    """
    index, numbers, place, full = _numbers(record, index, WHOLE / 8, lean=True)
    details = [_detail(record, i, place, i in full) for i in numbers]
    pictures = []
    for i in numbers:
        data, kind = portable(record.path(i))
        pictures.append(f"data:image/{kind};base64,{base64.b64encode(data).decode()}")
    known = {"chunks": [details], "pictures": pictures, "index": index | {"chunk": len(numbers)}}
    page = _page(
        "Error atlas", f"<script>window.camkitAtlas={script(known)};</script>", heading=False
    )
    return (
        f'<iframe class="camkit-atlas-frame" title="Error atlas" loading="lazy" style="width: 100%; height: 50em; '
        f'border: 0" srcdoc="{html.escape(page)}"></iframe>'
    )


def _page(title, data, heading):
    title = html.escape(title)
    return PAGE.format(
        title=title,
        heading=f"<h1>{title}</h1>" if heading else "",
        margin="1rem" if heading else "0",
        css=CSS,
        js=JS,
        data=data,
        last="" if heading else FIT,
    )


def _numbers(record, index, most, lean=False):
    """Return the index with pictures numbered as they stand on a page, those pictures [number], the place of each
    {number: place}, and which keep all maps: each, up to `most` bytes. `lean`: only errors have nearest pictures."""
    analysis, own = record.analysis, len(record.analysis)
    wrong = analysis.errors.index.to_numpy()
    near = record.near[0] if "near" in record.panels else np.zeros((own, 0), int)
    summary = index.get("summary", {"faults": []})
    shown = {
        n
        for kind in summary["faults"]
        for row in kind["rows"]
        for n in (row["i"], row["other"])
        if n is not None
    }
    shown |= set(near[wrong if lean else slice(None)].ravel().tolist())
    numbers = [*range(own), *sorted(n for n in shown if n >= own)]
    place = {n: k for k, n in enumerate(numbers)}
    faults = [
        kind
        | {
            "rows": [
                row | {"i": place[row["i"]], "other": place.get(row["other"])}
                for row in kind["rows"]
            ]
        }
        for kind in summary["faults"]
    ]
    index = index | {"summary": summary | {"faults": faults}}
    whole = len(numbers) * analysis.maps[0].size <= most
    return (
        index,
        numbers,
        place,
        set(numbers) if whole else {*wrong.tolist(), *near[wrong].ravel().tolist()},
    )


def _detail(record, i, place, every):
    """Return the detail of picture i as a page holds it."""
    found, packed = record.detail(i, every)
    near = [one | {"i": place[one["i"]]} for one in found["near"] if one["i"] in place]
    return found | {"near": near, "packed": base64.b64encode(packed).decode()}
