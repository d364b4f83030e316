"""Archives as strangers serve them in the place of Fruits-360: a small whole one, and what is
slipped in or broken.
"""

import io
import struct
import warnings
import zipfile
from functools import cache

import numpy as np
from PIL import Image

TOP = "fruits-360-100x100-abc"
COUNTS = {"classes": 2, "Training": 4, "Test": 2}
OUTSIDE = (
    "../../evil.jpg",
    "/tmp/evil/Test/Pear/evil.jpg",
    "/Test/Pear/evil.jpg",
    "a/Test/../evil.jpg",
    "../Test/Pear/evil.jpg",
    "top/Test/../evil.jpg",
    "top/Test/Pear/../../../../evil.jpg",
    "top/Test/..\\..\\a/evil.jpg",
    "top/Test/Pear/..\\evil.jpg",
    "top/Test/C:/evil.jpg",
    "top/Test//evil.jpg",
    "~/Test/Pear/evil.py",
    "top/Test/Pear/evil.jpg/x",
    "..",
    "/",
    "top/../Pear/evil.jpg",
)


@cache
def members():
    """{name: bytes} of the whole archive: COUNTS pictures in two classes."""
    found, rng = {f"{TOP}/README.md": b"Fruits-360"}, np.random.default_rng(0)
    for split, count in (("Training", 2), ("Test", 1)):
        for name in ("Apple 1", "Pear"):
            for i in range(count):
                packed = io.BytesIO()
                Image.fromarray(rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)).save(
                    packed, "JPEG"
                )
                found[f"{TOP}/{split}/{name}/{i}_100.jpg"] = packed.getvalue()
    return found


def mutated(seed, index):  # noqa: C901  a branch for each kind of damage
    """The bytes of archive `index`: the whole one with up to three things slipped in, or one of its
    bytes another.
    """
    rng = np.random.default_rng([seed, index])
    entries = [(zipfile.ZipInfo(name), data) for name, data in members().items()]
    pictures = entries[1:]
    for _ in range(rng.integers(4)):
        kind, (info, data) = rng.integers(9), pictures[rng.integers(len(pictures))]
        if kind == 0:  # a name that leads out
            entries.append((zipfile.ZipInfo(OUTSIDE[rng.integers(len(OUTSIDE))]), b"evil"))
        elif kind == 1:  # a link or a device in a picture's place
            link = zipfile.ZipInfo(f"{TOP}/Test/Pear/{rng.integers(3)}_100.jpg")
            link.external_attr = int(rng.choice([0o120777, 0o020666, 0o010666])) << 16
            entries.append((link, b"../../../../../evil.jpg"))
        elif kind == 2:  # a class folder that is a link, then a file in it
            link = zipfile.ZipInfo(f"{TOP}/Test/evil")
            link.external_attr = 0o120777 << 16
            entries += [(link, b"/tmp"), (zipfile.ZipInfo(f"{TOP}/Test/evil/evil.jpg"), data)]
        elif kind == 3:  # the same name twice
            entries.append((zipfile.ZipInfo(info.filename), data[::-1]))
        elif kind == 4:  # one more or one fewer
            entries.pop() if rng.random() < 0.5 else entries.append(
                (zipfile.ZipInfo(f"{TOP}/Test/Pear/9.jpg"), data)
            )
        elif kind == 5:  # a bomb, also in the place of a picture
            large = zipfile.ZipInfo(str(rng.choice([info.filename, f"{TOP}/Test/Pear/8.jpg"])))
            large.compress_type = [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA][
                rng.integers(3)
            ]
            entries = [entry for entry in entries if entry[0].filename != large.filename] + [
                (large, bytes(3_000_000))
            ]
        elif kind == 6:  # names beyond what a disk takes
            name = str(rng.choice(["n" * 300, "苹" * 100, "a\x01b", "nul\0", "🍐", "a\nb", "con"]))
            entries = [e for e in entries if e[0] is not info] + [
                (zipfile.ZipInfo(f"{TOP}/Test/Pear/{name}.jpg"), data)
            ]
        elif kind == 7:  # a file where a folder ought to be
            entries.insert(0, (zipfile.ZipInfo(f"{TOP}/Test/Pear"), b"a file"))
        else:
            info.compress_type = zipfile.ZIP_DEFLATED
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a name twice
        for info, data in entries:
            archive.writestr(info, data)
    return bytes(BREAKS[rng.integers(len(BREAKS))](rng, bytearray(packed.getvalue())))


def whole(rng, data):
    return data


def encrypted(rng, data):
    """A picture asks for a password, in both places where that is said."""
    return marked(rng, data, (6, 8), 1)


def oddly_packed(rng, data):
    """A picture is packed in another way, or one that nobody knows."""
    return marked(rng, data, (8, 10), int(rng.choice([1, 8, 9, 12, 14, 93, 99])))


def lying(rng, data):
    """The directory gives a picture another length."""
    at = headers(data)[-1 - rng.integers(4)]
    struct.pack_into(
        "<I",
        data,
        at + int(rng.choice([20, 24])),
        int(rng.choice([0, 9, 5000, 1 << 20, (1 << 32) - 2])),
    )
    return data


def flipped(rng, data):
    """Some bytes are others, half the time in the directory at the end."""
    for _ in range(rng.integers(1, 5)):
        data[-rng.integers(1, len(data) if rng.random() < 0.5 else 600)] = rng.integers(256)
    return data


def cut(rng, data):
    return (
        data[: rng.integers(len(data))] if rng.random() < 0.7 else data[rng.integers(len(data)) :]
    )


def doubled(rng, data):
    """One archive after the other, or something before it."""
    return data + data if rng.random() < 0.5 else b"#!/bin/sh\n" + data


BREAKS = (
    whole,
    whole,
    whole,
    encrypted,
    oddly_packed,
    lying,
    lying,
    flipped,
    flipped,
    flipped,
    cut,
    doubled,
)


def headers(data):
    """Where the directory's entries begin."""
    found, at = [], data.find(b"PK\x01\x02")
    while at >= 0:
        found.append(at)
        at = data.find(b"PK\x01\x02", at + 4)
    return found


def marked(rng, data, places, value):
    """The two-byte field at these places, in a member's own header and in the directory, is
    `value`.
    """
    at = headers(data)[-1 - rng.integers(4)]
    own = struct.unpack_from("<I", data, at + 42)[0]
    for start, place in zip((own, at), places, strict=False):
        struct.pack_into("<H", data, start + place, value)
    return data
