"""Pictures as strangers send them: whole ones of every format that camkit reads, and what mutation
makes of them.
"""

import io
import struct
import zlib
from functools import cache

import numpy as np
from PIL import Image

SIZE = WIDTH, HEIGHT = 37, 23  # two numbers that are easily found again in a header
SUFFIXES = ("jpg", "png", "gif", "bmp", "tif", "webp", "ppm", "jp2", "avif", "JPEG", "tiff", "pfm")
NUMBERS = (0, 1, 255, 9000, 40_000, 65_535, 1 << 20, (1 << 31) - 1, (1 << 32) - 1)


@cache
def wholes():
    """[(suffix, bytes)]: a small picture in every format, mode and packing."""
    rng = np.random.default_rng(0)
    smooth = np.linspace(0, 200, WIDTH * HEIGHT * 4).reshape(HEIGHT, WIDTH, 4)
    rgba = Image.fromarray((smooth + rng.integers(0, 55, smooth.shape)).astype(np.uint8))
    rgb, gray = rgba.convert("RGB"), rgba.convert("L")
    deep, real = np.asarray(gray, np.uint16) * 257, np.asarray(gray, np.float32) / 255
    exif = Image.Exif()
    exif[0x0112] = 6
    several = {"save_all": True, "append_images": [rgb.rotate(90), rgb.rotate(180)], "duration": 40}
    pages = {"save_all": True, "append_images": [gray]}
    packings = ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
    made = [
        ("jpg", rgb, {}),
        ("jpg", rgb, {"progressive": True, "exif": exif}),
        ("jpg", gray, {}),
        ("jpg", rgb.convert("CMYK"), {}),
        ("jpg", rgb, {"icc_profile": bytes(300), "comment": b"x" * 99}),
        ("png", rgb, {"exif": exif}),
        ("png", rgba, {}),
        ("png", rgb.quantize(9), {"transparency": 3}),
        ("png", gray.convert("1"), {}),
        ("png", Image.fromarray(deep), {}),
        ("png", rgb, several),
        ("gif", rgb, several),
        ("gif", gray, {"transparency": 9}),
        ("bmp", rgb, {}),
        ("bmp", rgb.quantize(9), {}),
        ("bmp", rgba, {}),
        ("tif", gray.convert("1"), {"compression": "group4"}),
        ("tif", rgb, pages),
        ("tif", Image.fromarray(deep), {}),
        ("tif", Image.fromarray(real), {"compression": "tiff_lzw"}),
        *(("tif", rgb, {"compression": packing}) for packing in packings),
        ("webp", rgb, {}),
        ("webp", rgba, {"lossless": True, "exif": exif}),
        ("webp", rgb, several),
        ("ppm", rgb, {}),
        ("ppm", gray, {}),
        ("pgm", Image.fromarray(deep), {}),
        ("pbm", gray.convert("1"), {}),
        ("pfm", Image.fromarray(real), {}),
        ("jp2", rgb, {}),
        ("j2k", rgba, {"num_resolutions": 3}),
        ("jp2", rgb, {"tile_size": (16, 16)}),
        ("avif", rgb, {}),
    ]
    found = [
        (
            "ppm",
            (
                f"P3\n# plain\n{WIDTH} {HEIGHT} 255\n"
                f"{' '.join(map(str, np.asarray(rgb).ravel()))}\n"
            ).encode(),
        )
    ]
    for suffix, image, options in made:
        if f".{suffix}" in Image.registered_extensions():
            packed = io.BytesIO()
            image.save(packed, Image.registered_extensions()[f".{suffix}"], **options)
            found.append((suffix, packed.getvalue()))
    return found


def mutated(seed, index):
    """(suffix, bytes) of stranger `index`: a whole picture, or one that one to three mutations went
    over.
    """
    rng = np.random.default_rng([seed, index])
    suffix, data = wholes()[rng.integers(len(wholes()))]
    data = bytearray(data)
    for _ in range(rng.integers(4)):
        data = MUTATIONS[rng.integers(len(MUTATIONS))](rng, data)
    if data[:8] == b"\x89PNG\r\n\x1a\n" and rng.random() < 0.7:
        data = sealed(data)  # or no flipped byte comes past the checksums
    return suffix if rng.random() < 0.8 else SUFFIXES[rng.integers(len(SUFFIXES))], bytes(data)


def flip(rng, data):
    """Some bytes are others; half the time near the beginning, where the headers are."""
    reach = min(len(data), 200) if rng.random() < 0.5 else len(data)
    for _ in range(rng.integers(1, 9) if reach else 0):
        data[rng.integers(reach)] = rng.integers(256)
    return data


def truncate(rng, data):
    return data[: rng.integers(len(data) + 1)]


def splice(rng, data):
    """Begun as one picture, ended as another."""
    other = wholes()[rng.integers(len(wholes()))][1]
    return data[: rng.integers(len(data) + 1)] + other[rng.integers(len(other)) :]


def blank(rng, data):
    """A range is zero, gone or there twice."""
    start, end = sorted(rng.integers(len(data) + 1, size=2))
    middle = (bytes(end - start), b"", data[start:end] * 2)[rng.integers(3)]
    return data[:start] + middle + data[end:]


def lie(rng, data):
    """Wherever the width or the height stands as a number, another one stands there."""
    true, false = SIZE[rng.integers(2)], NUMBERS[rng.integers(len(NUMBERS))]
    text = str(true).encode()
    if data[:1] == b"P" and text in data:
        return data.replace(text, str(false).encode(), 1)
    for form in rng.permutation([">I", "<I", ">H", "<H"]):
        if (at := data.find(struct.pack(form, true))) >= 0:
            data[at : at + struct.calcsize(form)] = struct.pack(
                form, false % (1 << 8 * struct.calcsize(form))
            )
            break
    return data


def bomb(rng, data):
    """A small file of a large picture, of many pictures or of a long text; or nothing at all."""
    width = int(rng.choice([3000, 9000, 9459, 9460, 20_000]))  # 9459 * 9459 is just allowed
    kind = rng.integers(5)
    if kind == 0:
        return bytearray()
    if kind == 1:  # honest, and one bit a pixel
        return bytearray(png(width, 0, zlib.compress(bytes(width * (width // 8 + 2)), 1)))
    if kind == 2:  # what is packed has no end
        return bytearray(png(50, 0, zlib.compress(bytes(30_000_000), 1)))
    if kind == 3:
        return bytearray(
            png(
                50,
                0,
                zlib.compress(bytes(8 * 50)),
                zTXt=b"a\0\0" + zlib.compress(bytes(30_000_000), 1),
            )
        )
    return bytearray(b"P6 %d %d 255\n" % (width, width)) + data


MUTATIONS = 3 * (flip, flip, truncate, splice, blank, lie, lie) + (bomb,)


def png(width, color, pixels, **chunks):
    """A square PNG of one-bit pixels, with these chunks before them."""
    header = struct.pack(">IIBBBBB", width, width, 1, color, 0, 0, 0)
    chunks = {"IHDR": header, **chunks, "IDAT": pixels, "IEND": b""}
    return sealed(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + kind.encode() + data + bytes(4)
            for kind, data in chunks.items()
        )
    )


def sealed(data):
    """A PNG whose chunks have the checksums of what they hold, as far as they can be found."""
    data, at = bytearray(data), 8
    while at + 12 <= len(data):
        end = at + 8 + struct.unpack_from(">I", data, at)[0]
        if end + 4 > len(data):
            break
        struct.pack_into(">I", data, end, zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return data
