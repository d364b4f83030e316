"""Write the embedded photographs, and draw the boxes over them.

    python data/make/photographs.py GCOMPRIS              write the photographs
    python data/make/photographs.py --sheet sheet.png     draw all of them with their boxes

GCOMPRIS is the folder `usr/share/gcompris-qt/rcc` of the Debian package gcompris-qt-data 3.1-2,
which `apt-get download gcompris-qt-data` and `dpkg-deb -x` unpack. `sources.csv` says where each
photograph stands in it or in scikit-image, and who took it. `boxes.csv` was drawn by hand.
"""

import argparse
import importlib.util
import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from PIL import Image, ImageDraw

PHOTOGRAPHS = Path(__file__).resolve().parents[1] / "photographs"
SIDE = 320
QUALITY = 85
COLUMNS = 6

# Flags of an entry of a Qt resource file.
PACKED = 1
FOLDER = 2


def files_in(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of all files in a Qt resource file (.rcc)."""
    data = path.read_bytes()
    if data[:4] != b"qres":
        raise ValueError(f"{path} is no Qt resource file")
    version, tree, contents, names = struct.unpack(">4i", data[4:20])
    entry_size = 14 if version == 1 else 22

    def name_at(offset: int) -> str:
        start = names + offset
        (length,) = struct.unpack_from(">H", data, start)
        return data[start + 6 : start + 6 + 2 * length].decode("utf-16-be")

    def walk(number: int, folder: str) -> Iterator[tuple[str, bytes]]:
        entry = tree + number * entry_size
        name_offset, flags = struct.unpack_from(">iH", data, entry)
        if flags & FOLDER:
            inner = f"{folder}{name_at(name_offset)}/" if number > 0 else ""
            count, first = struct.unpack_from(">ii", data, entry + 6)
            for child in range(first, first + count):
                yield from walk(child, inner)
            return
        (offset,) = struct.unpack_from(">i", data, entry + 10)
        start = contents + offset + 4
        (size,) = struct.unpack_from(">I", data, start - 4)
        content = data[start : start + size]
        if flags & PACKED:
            # Four bytes tell the unpacked size.
            content = zlib.decompress(content[4:])
        yield folder + name_at(name_offset), content

    return walk(0, "")


def write_photographs(gcompris: Path) -> None:
    """Write all photographs, at most SIDE pixels wide and high."""
    sources = pd.read_csv(PHOTOGRAPHS / "sources.csv")
    for file, package, member in sources[["file", "package", "member"]].itertuples(index=False):
        image = Image.open(io.BytesIO(_original(gcompris, package, member)))
        if image.mode in ("RGBA", "LA", "P"):
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image.convert("RGBA"))
        image = image.convert("RGB")
        image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
        target = PHOTOGRAPHS / file
        target.parent.mkdir(exist_ok=True)
        image.save(target, quality=QUALITY, optimize=True)


def _original(gcompris: Path, package: str, member: str) -> bytes:
    """Return the content of a file in a package."""
    if package == "scikit-image":
        skimage = importlib.util.find_spec("skimage")
        return (Path(skimage.origin).parents[1] / member).read_bytes()
    archive, name = member.split("/", 1)
    return dict(files_in(gcompris / archive))[name]


def write_sheet(target: Path, zoom: int = 1) -> None:
    """Draw all photographs with their boxes and classes on one sheet."""
    boxes = pd.read_csv(PHOTOGRAPHS / "boxes.csv")
    tiles = [_tile(file, drawn, zoom) for file, drawn in boxes.groupby("file")]
    width, height = tiles[0].size
    rows = -(-len(tiles) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * width, rows * height), "white")
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % COLUMNS * width, number // COLUMNS * height))
    sheet.save(target)


def _tile(file: str, boxes: pd.DataFrame, zoom: int) -> Image.Image:
    """Return a photograph with its boxes, and its name below."""
    image = Image.open(PHOTOGRAPHS / file)
    image = image.resize((zoom * image.width, zoom * image.height))
    draw = ImageDraw.Draw(image)
    for box in boxes[["x0", "y0", "x1", "y1"]].to_numpy():
        draw.rectangle((zoom * box).tolist(), outline="lime", width=2)
    side = zoom * SIDE
    tile = Image.new("RGB", (side + 8, side + 24), "white")
    tile.paste(image, (4, 4))
    ImageDraw.Draw(tile).text((4, side + 8), file, fill="black")
    return tile


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("gcompris", nargs="?", type=Path, help="folder of the .rcc files")
    parser.add_argument("--sheet", type=Path, help="write a picture of the photographs with boxes")
    options = parser.parse_args()
    if options.gcompris is not None:
        write_photographs(options.gcompris)
    if options.sheet is not None:
        write_sheet(options.sheet)
    if options.gcompris is None and options.sheet is None:
        parser.error("name the folder GCOMPRIS, or --sheet")


if __name__ == "__main__":
    main()
