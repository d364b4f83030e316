"""Reading image sets: layouts, order, what is skipped and why, pixels, batches, the download."""

import http.server
import io
import itertools
import os
import struct
import subprocess
import sys
import tempfile
import threading
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFile

from camkit.images import ImageSet, decoding, folders, fruits360, image_set, load_images, read_image
from camkit.images._checking import Checker


def write(path, color=(200, 30, 10), size=(12, 10), **options):
    """A one-colour picture at `path`, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path, **options)
    return path


def write_set(root, classes=("Apple", "Pear"), splits=("Training", "Test"), count=3):
    for split, name, i in itertools.product(splits, classes, range(count)):
        write(root / split / name / f"{i}_100.png", color=(len(split), 10 * i, len(name)))
    return root


def reasons(image_set):
    return {path.name: reason for path, reason in image_set.skipped}


# Layouts and order --------------------------------------------------------------------------------


def test_labels_index_the_sorted_folder_names_whatever_they_are_called(tmp_path):
    names = ["Apple 10", "Apple 2", "apple", "Ärtchen", "苹果", "Cherry Wax Red 1", "🍐"]
    write_set(tmp_path, names)
    found = load_images(tmp_path, "Test")
    assert found.class_names == sorted(names)
    assert [found.class_names[label] for label in found.labels] == [
        path.parent.name for path in found.paths
    ]
    assert found.paths == sorted(found.paths, key=lambda path: (path.parent.name, path.name))
    assert {path.parents[1].name for path in found.paths} == {"Test"}
    assert len(found) == len(found.labels) == 21 and found.labels.dtype.kind == "i"


@pytest.mark.parametrize(
    "levels",
    [
        "",
        "fruits-360",
        "fruits-360_dataset/fruits-360",
        "archive/fruits-360_dataset_100x100/fruits-360",
    ],
)
def test_extra_folder_levels_of_a_downloaded_copy_are_seen_through(tmp_path, levels):
    write_set(tmp_path / levels)
    for beside in ("Masks", "papers", "test-multiple_fruits"):
        write(tmp_path / levels / beside / "apple.png")
    write(tmp_path / levels / ".hidden" / "Test" / "Apple" / "0.png")
    write(tmp_path / "__MACOSX" / "Test" / "Apple" / "._0.png")
    (tmp_path / "readme.md").write_text("Fruits-360")
    found = load_images(str(tmp_path), "Training")
    assert len(found) == 6 and found.root == tmp_path / levels
    beside = "beside the splits 'Test', 'Training'"
    assert reasons(found) == dict.fromkeys(("Masks", "papers", "test-multiple_fruits"), beside)


@pytest.mark.parametrize(
    "train, test", [("train", "val"), ("TRAINING", "TEST"), ("Train", "validation")]
)
def test_split_folders_go_by_several_names(tmp_path, train, test):
    write_set(tmp_path, splits=(train, test))
    assert {path.parents[1].name for path in load_images(tmp_path, "Training").paths} == {train}
    assert {path.parents[1].name for path in load_images(tmp_path, "train").paths} == {train}
    assert {path.parents[1].name for path in load_images(tmp_path, "Test").paths} == {test}
    assert len(load_images(tmp_path, None)) == 12


def test_a_set_knows_the_split_of_each_image(tmp_path):
    write_set(tmp_path / "set", splits=("TRAIN", "Test", "valid"), count=1)
    assert load_images(tmp_path, None).splits == ["training", "test", "validation"] * 2
    assert load_images(tmp_path, "Training").splits == ["training"] * 2
    assert load_images(tmp_path / "set" / "Test").splits == ["test"] * 2
    assert load_images(tmp_path / "set" / "Test" / "Apple").splits == ["test"]
    write_set(tmp_path / "other", splits=("",))
    assert set(load_images(tmp_path / "other").splits) == {None}


def test_validation_is_its_own_split_where_there_is_a_test(tmp_path):
    write_set(tmp_path, splits=("Training", "Test", "Validation"))
    assert {p.parents[1].name for p in load_images(tmp_path, "val").paths} == {"Validation"}
    assert {p.parents[1].name for p in load_images(tmp_path, "Test").paths} == {"Test"}


def test_class_folders_without_splits_come_back_whole(tmp_path):
    for name in ("bus", "train", "Mopeds"):
        write(tmp_path / "vehicles" / name / "0.jpg")
    for split in ("Training", "Test", None):
        found = load_images(tmp_path, split)
        assert found.class_names == ["Mopeds", "bus", "train"] and len(found) == 3


def test_a_class_keeps_its_label_where_a_split_lacks_it(tmp_path):
    write_set(tmp_path, ["Apple", "Cherry", "Plum"], ["Training"])
    write_set(tmp_path, ["Apple", "Plum"], ["Test"])
    (tmp_path / "Test" / "Plum" / "0_100.png").write_bytes(b"")
    (tmp_path / "Test" / "notes").mkdir()
    training, test = load_images(tmp_path, "Training"), load_images(tmp_path, "Test")
    assert training.class_names == test.class_names == ["Apple", "Cherry", "Plum"]
    assert test.labels.tolist() == [0, 0, 0, 2, 2]
    assert reasons(test) == {"notes": "a folder without images", "0_100.png": "empty"}


def test_classes_and_per_class_choose_reproducibly(tmp_path):
    write_set(tmp_path, ["Apple", "Pear", "Plum"], count=20)
    chosen = load_images(tmp_path, classes=["Plum", "Apple"], per_class=5, seed=3)
    assert chosen.class_names == ["Apple", "Plum"] and chosen.labels.tolist() == [0] * 5 + [1] * 5
    assert chosen.paths == sorted(chosen.paths)
    assert (
        chosen.paths == load_images(tmp_path, classes=["Plum", "Apple"], per_class=5, seed=3).paths
    )
    assert (
        chosen.paths != load_images(tmp_path, classes=["Plum", "Apple"], per_class=5, seed=4).paths
    )
    everything = load_images(tmp_path, per_class=5, seed=3)
    assert set(chosen.paths) < set(everything.paths)  # a class's draw is its own
    assert load_images(tmp_path, classes="Pear", per_class=99).class_names == ["Pear"]


def test_per_class_replaces_what_it_cannot_read(tmp_path):
    write_set(tmp_path, ["Apple"], count=6)
    for i in range(3):
        (tmp_path / "Test" / "Apple" / f"{i}_100.png").write_bytes(b"no picture")
    found = load_images(tmp_path, per_class=3)
    assert [path.name for path in found.paths] == ["3_100.png", "4_100.png", "5_100.png"]


# Without labels -----------------------------------------------------------------------------------


def test_pictures_in_the_folder_itself_have_no_label(tmp_path):
    for name in ("b.png", "a 'quoted' <b>.png", "苹果.JPG", "🍐.png"):
        write(tmp_path / name)
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "papers").mkdir()
    for split in ("Training", "Test", None):
        found = load_images(tmp_path, split)
        assert [path.name for path in found.paths] == sorted(
            ["b.png", "a 'quoted' <b>.png", "苹果.JPG", "🍐.png"]
        )
        assert (
            found.labels.tolist() == [-1] * 4 and found.class_names == [] and found.root == tmp_path
        )
        assert reasons(found) == {"empty.png": "empty", "papers": "a folder, not an image"}
        assert repr(found).startswith("ImageSet(4 images without labels, 2 skipped")
    assert len(load_images(tmp_path, per_class=2)) == 2
    with pytest.raises(ValueError, match="no class 'Apple' in"):
        load_images(tmp_path, classes="Apple")
    assert found.select([2, 0]).labels.tolist() == [-1, -1]


def test_class_folders_come_before_the_pictures_beside_them(tmp_path):
    write(tmp_path / "beside.png")
    write(tmp_path / "Apple" / "0.png")
    found = load_images(tmp_path)
    assert found.class_names == ["Apple"] and reasons(found) == {
        "beside.png": "outside the class folders"
    }


def test_labels_are_left_out_on_purpose(tmp_path):
    found = load_images(write_set(tmp_path))
    without = found.unlabelled()
    assert (
        without.paths == found.paths
        and without.labels.tolist() == [-1] * 6
        and without.class_names == []
    )
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]


# Errors -------------------------------------------------------------------------------------------


def test_errors_say_what_was_looked_for_and_what_was_found(tmp_path):
    write_set(tmp_path / "good", splits=["Training"])
    write_set(tmp_path / "two" / "a"), write_set(tmp_path / "two" / "b")
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "apple.png").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken" / "Apple").mkdir(parents=True)
    (tmp_path / "broken" / "Apple" / "0.png").write_bytes(b"")
    for source, split, error, words in [
        ("good", "Test", FileNotFoundError, ["no Test", "'Training'"]),
        ("good", "Tset", ValueError, ["'Tset'", "'Validation'"]),
        ("two", "Test", ValueError, ["several image sets", "two/a'", "two/b'"]),
        (
            "flat",
            "Test",
            FileNotFoundError,
            ["no readable image", "in it; files skipped: 1 (apple.png: empty)"],
        ),
        ("empty", "Test", FileNotFoundError, ["no image set", "found nothing"]),
        ("broken", "Test", FileNotFoundError, ["no readable image", "'Apple'", "0.png: empty"]),
        (
            "absent",
            "Test",
            FileNotFoundError,
            ["absent is missing", "'photographs' or 'fruits-360'"],
        ),
        ("flat/apple.png", "Test", FileNotFoundError, ["is a file"]),
    ]:
        with pytest.raises(error) as raised:
            load_images(tmp_path / source, split)
        assert all(word in str(raised.value) for word in words), raised.value
    with pytest.raises(
        ValueError, match="no class 'Fig', 'Kiwi' in .*its classes are 'Apple', 'Pear'"
    ):
        load_images(tmp_path / "good", "Training", classes=["Kiwi", "Apple", "Fig"])
    with pytest.raises(ValueError, match="per_class is 0"):
        load_images(tmp_path / "good", "Training", per_class=0)


def test_without_the_embedded_set_the_error_names_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setitem(folders._EMBEDDED, "mini", tmp_path / "mini-fruits")
    with pytest.raises(
        FileNotFoundError, match="mini-fruits is missing: .* come with camkit: install it again"
    ):
        load_images()


def test_a_name_of_embedded_images_and_of_a_folder_is_noted(tmp_path, monkeypatch):
    (tmp_path / "mini" / "Kiwi").mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "mini" / "Kiwi" / "a.png")
    monkeypatch.chdir(tmp_path)
    images = load_images("mini", per_class=1)
    note = f"'mini' stands for camkit's own images: pass './mini' for the folder {tmp_path}/mini"
    assert len(images) == 12 and images.notes == [note]
    own = load_images("./mini", None)
    assert own.class_names == ["Kiwi"] and own.notes == []
    monkeypatch.chdir(tmp_path / "mini")
    assert load_images("mini", per_class=1).notes == []


# What cannot be read ------------------------------------------------------------------------------


def png_of(width, height):
    """The bytes of a PNG that claims to be width x height and holds next to nothing."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0")), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def write_faults(folder):
    """Write every kind of file that cannot be read, and a good one; return {name: its reason}."""
    noise = Image.fromarray(
        np.random.default_rng(0).integers(0, 255, (400, 600, 3), dtype=np.uint8)
    )
    folder.mkdir(parents=True)
    noise.save(folder / "good.jpg", quality=90)
    for suffix in ("jpg", "png", "gif", "bmp", "tif", "webp"):
        noise.save(folder / f"cut.{suffix}")
        whole = (folder / f"cut.{suffix}").read_bytes()
        (folder / f"cut.{suffix}").write_bytes(whole[: len(whole) * 19 // 20])
    noise.save(folder / "cut-progressive.jpg", progressive=True)
    os.truncate(folder / "cut-progressive.jpg", 60_000)
    noise.save(folder / "packed.tif", compression="tiff_adobe_deflate")
    packed = bytearray((folder / "packed.tif").read_bytes())
    packed[1000:1010] = bytes(10)
    (folder / "packed.tif").write_bytes(packed)
    (folder / "empty.png").write_bytes(b"")
    (folder / "page.jpg").write_text("<html>404 Not Found</html>")
    (folder / "drawing.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    (folder / "warned.png").write_bytes(png_of(10_000, 10_000))
    (folder / "refused.png").write_bytes(png_of(30_000, 30_000))
    (folder / "link.jpg").symlink_to(folder / "gone.jpg")
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    (folder / "folder.jpg").mkdir()
    os.mkfifo(folder / "pipe.jpg")
    for passed_over in (
        ".DS_Store",
        "._good.jpg",
        "Thumbs.db",
        "desktop.ini",
        "labels.csv",
        "README.md",
    ):
        (folder / passed_over).write_bytes(b"x")
    return {
        **{
            f"cut.{kind}": "truncated or damaged"
            for kind in ("jpg", "png", "gif", "bmp", "tif", "webp")
        },
        "cut-progressive.jpg": "truncated or damaged",
        "packed.tif": "truncated or damaged",
        "empty.png": "empty",
        "page.jpg": "not an image",
        "drawing.eps": "not an image",
        "warned.png": "a decompression bomb: more than 89,478,485 pixels",
        "refused.png": "a decompression bomb: more than 89,478,485 pixels",
        "link.jpg": "a broken link",
        "loop.jpg": "a broken link",
        "folder.jpg": "a folder, not an image",
        "pipe.jpg": "not a file",
    }


def test_what_cannot_be_read_is_skipped_with_its_reason(tmp_path, capfd, recwarn):
    expected = write_faults(tmp_path / "Apple")
    write(tmp_path / "stray.png")
    found = load_images(tmp_path)
    assert [path.name for path in found.paths] == ["good.jpg"]
    got = reasons(found)
    assert got.pop("stray.png") == "outside the class folders"
    assert got.keys() == expected.keys()
    for name, reason in expected.items():
        assert got[name].startswith(reason), (name, got[name])
    assert not recwarn.list and capfd.readouterr() == ("", "")


def test_loading_faults_writes_nothing_to_standard_error(tmp_path):
    write_faults(tmp_path / "Apple")
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03\0\xff\xff\0\0"  # promises more than it holds
    write(tmp_path / "Apple" / "exif.jpg", exif=exif)
    code = (
        "import sys; from camkit.images import load_images; images = load_images(sys.argv[1]);"
        "print(len(images), sum(1 for _ in images), [len(b) for b in images.batches(2, 8)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True
    )
    assert done.stdout == "2 2 [2]\n" and done.stderr == ""


def test_libraries_below_pillow_say_nothing_whatever_the_file_is_called(tmp_path):
    """libtiff reports bad code words of a fax that it reads anyway; Pillow logs a false TIFF."""
    noise = np.random.default_rng(0).integers(0, 2, (40, 50), dtype=np.uint8) * 255
    fax = tmp_path / "Apple" / "fax.tif"
    fax.parent.mkdir()
    Image.fromarray(noise).convert("1").save(fax, compression="group4")
    data = bytearray(fax.read_bytes())
    data[28:34] = b"\xff" * 6
    fax.write_bytes(data), fax.with_name("fax.png").write_bytes(data)
    Image.fromarray(noise).convert("RGB").save(fax.with_name("many.tif"))
    data = fax.with_name("many.tif").read_bytes()
    many = struct.pack("<HHIHH", 277, 3, 1, 8195, 0)  # samples a pixel
    fax.with_name("many.tif").write_bytes(
        data.replace(struct.pack("<HHIHH", 277, 3, 1, 3, 0), many)
    )
    code = (
        "import sys; from camkit.images import load_images; images = load_images(sys.argv[1]);"
        "print([path.name for path in images.paths], len(images.skipped), "
        "sum(1 for _ in images.batches(2, 8)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("['fax.png', 'fax.tif'] 1 1\n", "")


def test_too_little_memory_is_a_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "_upright", lambda *_: bytearray(1 << 62))
    write(tmp_path / "0.png")
    with pytest.raises(
        OSError, match="0.png cannot be read: it needs more memory than is available"
    ):
        read_image(tmp_path / "0.png")


def test_no_permission_is_a_reason():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        closed = write(Path(folder) / "Apple" / "closed.png")
        write(Path(folder) / "Apple" / "open.png")
        write(Path(folder) / "Pear" / "0.png")
        os.chmod(closed, 0)
        os.chmod(closed.parents[1] / "Pear", 0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # root reads everything: be somebody else for a moment
        try:
            found = load_images(folder)
        finally:
            if user == 0:
                os.seteuid(0)
            os.chmod(closed.parents[1] / "Pear", 0o755)
    assert [path.name for path in found.paths] == ["open.png"] and found.class_names == [
        "Apple",
        "Pear",
    ]
    assert reasons(found) == {
        "closed.png": "no permission to read it",
        "Pear": "no permission to read it",
    }


def test_a_file_that_goes_after_loading_is_named_in_the_error(tmp_path):
    found = load_images(write_set(tmp_path))
    found.paths[4].unlink()
    with pytest.raises(OSError, match="Pear/1_100.png cannot be read: not a file"):
        list(found.batches(2, 8))


@pytest.mark.parametrize("size", [(1, 1), (4, 40), (40, 7)])
def test_jpeg_files_smaller_than_a_block_are_whole(tmp_path, size):
    path = tmp_path / "small.jpg"
    Image.new("RGB", size, "red").save(path)
    assert Checker().reason(path) is None
    assert read_image(path).shape == (size[1], size[0], 3)


@pytest.mark.filterwarnings("ignore:Truncated File Read")
@pytest.mark.parametrize(
    "suffix, options",
    [
        ("jpg", {}),
        ("jpg", {"progressive": True}),
        ("png", {}),
        ("gif", {}),
        ("bmp", {}),
        ("webp", {}),
        ("tif", {"compression": "tiff_lzw"}),
    ],
)
def test_what_passes_the_check_can_be_read_in_full(tmp_path, suffix, options):
    rng = np.random.default_rng(1)
    path = tmp_path / f"image.{suffix}"
    Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(path, **options)
    whole, verdicts = path.read_bytes(), []
    for trial in range(60):
        damaged = bytearray(
            whole[: rng.integers(len(whole) - 40, len(whole))] if trial % 2 else whole
        )
        if trial % 2 == 0:
            damaged[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        verdicts.append(Checker().reason(path))
        if verdicts[-1] is None:
            assert read_image(path).ndim == 3
        else:
            pytest.raises(OSError, read_image, path)
    assert any(verdicts)


# Pixels -------------------------------------------------------------------------------------------


def two_halves(mode, left, right):
    """An 8x6 picture of two colours."""
    image = Image.new(mode, (8, 6), left)
    image.paste(right, (4, 0, 8, 6))
    return image


PALETTE = two_halves("P", 0, 1)
PALETTE.putpalette([10, 20, 30, 200, 100, 50])
FLOAT = [
    Image.fromarray(np.repeat([[low] * 4 + [high] * 4], 6, 0).astype(np.float32))
    for low, high in [(0, 1), (51, 255), (0, 65535), (-5, 1e6)]
]


@pytest.mark.parametrize(
    "image, suffix, options, left, right",
    [
        (two_halves("L", 7, 250), "png", {}, (7,) * 3, (250,) * 3),
        (two_halves("1", 0, 1), "png", {}, (0,) * 3, (255,) * 3),
        (two_halves("LA", (100, 255), (100, 0)), "png", {}, (100,) * 3, (255,) * 3),
        (two_halves("RGBA", (10, 20, 30, 255), (0, 0, 0, 51)), "png", {}, (10, 20, 30), (204,) * 3),
        (
            two_halves("RGB", (9, 8, 7), (1, 2, 3)),
            "png",
            {"transparency": (1, 2, 3)},
            (9, 8, 7),
            (255,) * 3,
        ),
        (PALETTE, "png", {}, (10, 20, 30), (200, 100, 50)),
        (PALETTE, "png", {"transparency": b"\xff\x00"}, (10, 20, 30), (255,) * 3),
        (PALETTE, "gif", {"transparency": 0}, (255,) * 3, (200, 100, 50)),
        (
            PALETTE,
            "gif",
            {"save_all": True, "append_images": [PALETTE.rotate(9)]},
            (10, 20, 30),
            (200, 100, 50),
        ),
        (two_halves("CMYK", (0, 0, 0, 0), (0, 255, 255, 0)), "tif", {}, (255,) * 3, (255, 0, 0)),
        (
            two_halves("CMYK", (0, 0, 0, 0), (0, 255, 255, 0)),
            "jpg",
            {"quality": 100},
            (255,) * 3,
            (254, 0, 0),
        ),
        (two_halves("I;16", 257 * 3, 65535), "png", {}, (3,) * 3, (255,) * 3),
        (two_halves("I;16", 257 * 3, 65535), "tif", {}, (3,) * 3, (255,) * 3),
        (two_halves("I", 257 * 3, 65535), "tif", {}, (3,) * 3, (255,) * 3),
        (two_halves("I", 0, 2**31 - 1), "tif", {}, (0,) * 3, (255,) * 3),
        (FLOAT[0], "tif", {}, (0,) * 3, (255,) * 3),
        (FLOAT[1], "tif", {}, (51,) * 3, (255,) * 3),
        (FLOAT[2], "tif", {}, (0,) * 3, (255,) * 3),
        (FLOAT[3], "tif", {}, (0,) * 3, (255,) * 3),
        (
            two_halves("RGB", (250, 0, 0), (0, 0, 250)),
            "webp",
            {"lossless": True},
            (250, 0, 0),
            (0, 0, 250),
        ),
    ],
)
def test_every_mode_becomes_rgb(tmp_path, image, suffix, options, left, right):
    image.save(tmp_path / f"image.{suffix}", **options)
    pixels = read_image(tmp_path / f"image.{suffix}")
    assert pixels.shape == (6, 8, 3) and pixels.dtype == np.uint8 and pixels.flags.writeable
    assert np.abs(pixels[3, 1].astype(int) - left).max() <= 1
    assert np.abs(pixels[3, 6].astype(int) - right).max() <= 1


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_undone(tmp_path, suffix, orientation):
    upright = np.zeros((24, 40, 3), np.uint8)
    upright[:12, :20], upright[:12, 20:], upright[12:, :20] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"jpg": {"quality": 95, "subsampling": 0}, "webp": {"lossless": True}}.get(suffix, {})
    Image.fromarray(stored).save(tmp_path / f"image.{suffix}", exif=exif, **options)
    pixels = read_image(tmp_path / f"image.{suffix}")
    assert pixels.shape == upright.shape
    assert np.abs(pixels[6::12, 10::20].astype(int) - upright[6::12, 10::20]).max() <= 6


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_gray_is_the_luminance_that_keras_reads(tmp_path, mode):
    noise = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    if mode == "I;16":
        image = Image.fromarray(257 * noise[..., 0].astype(np.uint16))
    else:
        image = Image.fromarray(noise).convert(mode)
    suffix = "tif" if mode == "CMYK" else "png"
    image.save(tmp_path / f"image.{suffix}")
    pixels = read_image(tmp_path / f"image.{suffix}", channels=1)
    assert pixels.shape == (6, 8, 1) and pixels.dtype == np.uint8
    if mode == "I;16":
        # Keras would keep 16 bits.
        np.testing.assert_array_equal(pixels[..., 0], noise[..., 0])
        return
    expected = keras.utils.load_img(tmp_path / f"image.{suffix}", color_mode="grayscale")
    np.testing.assert_array_equal(pixels[..., 0], expected)


def test_rgba_keeps_the_transparency_that_rgb_lays_on_white(tmp_path):
    two_halves("RGBA", (10, 20, 30, 255), (0, 0, 0, 51)).save(tmp_path / "image.png")
    pixels = read_image(tmp_path / "image.png", channels=4)
    assert pixels.shape == (6, 8, 4)
    assert pixels[0, 0].tolist() == [10, 20, 30, 255] and pixels[0, 7].tolist() == [0, 0, 0, 51]
    assert read_image(tmp_path / "image.png")[0, 7].tolist() == [204] * 3
    assert read_image(tmp_path / "image.png", channels=1)[0, 7].tolist() == [204]
    two_halves("RGB", (9, 8, 7), (1, 2, 3)).save(tmp_path / "opaque.png")
    assert (read_image(tmp_path / "opaque.png", channels=4)[..., 3] == 255).all()


def test_batches_have_the_channels_that_are_asked_for(tmp_path):
    write_photographs(tmp_path, 3)
    images = load_images(tmp_path)
    for channels in (1, 3, 4):
        (batch,) = images.batches(4, (12, 10), channels=channels)
        assert batch.shape == (3, 12, 10, channels)
        for path, image in zip(images.paths, batch, strict=True):
            np.testing.assert_array_equal(image, read_image(path, (12, 10), channels=channels))
    assert images[0].shape[2] == 3
    with pytest.raises(ValueError, match=r"files are read as gray \(1\), .*not in 2 channels: for"):
        next(images.batches(4, 12, channels=2))


# Sets and batches ---------------------------------------------------------------------------------


def write_photographs(root, count):
    rng = np.random.default_rng(0)
    for i in range(count):
        noise = rng.integers(0, 255, (*rng.integers(20, 90, 2), 3), dtype=np.uint8)
        Image.fromarray(noise).save(write(root / "ab"[i % 2] / f"{i:03}.png"))
    return load_images(root)


def test_batches_are_the_single_images_in_order(tmp_path):
    found = write_photographs(tmp_path, 23)
    batches = list(found.batches(5, (32, 48)))
    assert [batch.shape for batch in batches] == [(5, 32, 48, 3)] * 4 + [(3, 32, 48, 3)]
    assert all(batch.dtype == np.uint8 for batch in batches)
    singles = [
        Image.fromarray(image).resize((48, 32), Image.Resampling.BILINEAR) for image in found
    ]
    assert len(singles) == 23
    np.testing.assert_array_equal(
        np.concatenate(batches), np.stack([np.array(image) for image in singles])
    )
    assert next(found.batches(4, 16)).shape == (4, 16, 16, 3)
    with pytest.raises(ValueError, match="batch_size is 0"):
        next(found.batches(0, 16))


def test_shrinking_is_antialiased(tmp_path):
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    (tmp_path / "a").mkdir()
    Image.fromarray(stripes).save(tmp_path / "a" / "stripes.png")
    batch = next(load_images(tmp_path).batches(1, 8))
    assert np.abs(batch[:, :, 1:-1].astype(int) - 127).max() <= 2


def test_no_more_than_two_batches_are_decoded_ahead(tmp_path, monkeypatch):
    found = write_photographs(tmp_path, 40)
    submitted = []

    class Counting(ThreadPoolExecutor):
        def submit(self, *arguments):
            submitted.append(arguments)
            return super().submit(*arguments)

    monkeypatch.setattr(image_set, "ThreadPoolExecutor", Counting)
    batches = found.batches(4, 16)
    assert not submitted
    for taken in range(1, 5):
        next(batches)
        assert len(submitted) == 4 * (taken + 2)
    before = threading.active_count()
    batches.close()
    assert threading.active_count() < before and len(submitted) == 24


def test_select_keeps_the_labels_with_the_images(tmp_path):
    found = write_photographs(tmp_path, 8)
    for chosen, expected in [
        ([5, 0, 5], [5, 0, 5]),
        (found.labels == 1, [4, 5, 6, 7]),
        (slice(1, 3), [1, 2]),
        (np.array([-1]), [7]),
        ([], []),
    ]:
        part = found.select(chosen)
        assert isinstance(part, ImageSet) and part.paths == [found.paths[i] for i in expected]
        assert (
            part.labels.tolist() == found.labels[expected].tolist() if expected else len(part) == 0
        )
        assert part.class_names == found.class_names
    np.testing.assert_array_equal(found.select([5])[0], found[5])
    np.testing.assert_array_equal(found[-1], read_image(found.paths[7]))
    with pytest.raises(IndexError):
        found.select([8])
    assert repr(found) == f"ImageSet(8 images in 2 classes, 0 skipped, root={str(tmp_path)!r})"


def test_a_mask_of_a_table_is_aligned_by_its_index(tmp_path):
    found = write_photographs(tmp_path, 8)
    table = pd.DataFrame({"score": [3, 1, 2, 8, 5, 4, 7, 6]})
    low = table.sort_values("score")["score"] < 4
    assert found.select(low).paths == found.paths[:3]
    assert found.select(low.astype("boolean").mask(low.index == 1)).paths == found.paths[:3:2]
    # Integers are the rows themselves, whatever their index.
    assert found.select(pd.Series([5, 6], index=[9, 1])).paths == found.paths[5:7]
    with pytest.raises(ValueError, match="index of the mask is not 0 to 7.*mask.to_numpy"):
        found.select(low.set_axis(range(10, 18)))
    with pytest.raises(IndexError, match="the mask has 5 values for 8 images: pass one for each"):
        found.select(low[:5])
    with pytest.raises(IndexError, match="there is no image 999: the 8 images have the rows 0 to"):
        found.select([0, 999])
    with pytest.raises(IndexError, match=r"indices has .*0.0.*: rows are whole numbers, such as"):
        found.select([0.0, 1.0])
    with pytest.raises(IndexError, match=r"indices is 3: pass a list of rows such as \[3\]"):
        found.select(3)


# Real images --------------------------------------------------------------------------------------


def test_the_real_fruits(shared):
    training, test = (load_images(shared / "fruits-360", split) for split in ("Training", "Test"))
    assert (len(training), len(test), len(test.class_names)) == (3960, 1320, 44)
    assert training.class_names == test.class_names == sorted(test.class_names)
    assert not training.skipped + test.skipped and not set(training.paths) & set(test.paths)
    assert np.bincount(training.labels).tolist() == [90] * 44
    assert np.bincount(test.labels).tolist() == [30] * 44
    assert test[0].shape == (100, 100, 3) and (test[0][0, 0] > 240).all()
    assert np.bincount(load_images(shared / "fruits-360", None).labels).tolist() == [120] * 44


def test_photographs_of_any_size(shared):
    for path in sorted((shared / "photos").glob("*.jpg")):
        with Image.open(path) as image:
            assert read_image(path).shape == (image.height, image.width, 3)
        assert read_image(path, (224, 160)).shape == (224, 160, 3)


# The download -------------------------------------------------------------------------------------


def pack(extra=(), training=4, test=2):
    """An archive as GitHub packs it, with two classes, and whatever is slipped in."""
    packed = io.BytesIO()
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("fruits-360-100x100-abc/README.md", "Fruits-360")
        for split, count in (("Training", training), ("Test", test)):
            for name, i in itertools.product(("Apple 1", "Pear"), range(count)):
                picture = io.BytesIO()
                Image.fromarray(rng.integers(0, 255, (100, 100, 3), dtype=np.uint8)).save(
                    picture, "JPEG"
                )
                archive.writestr(
                    f"fruits-360-100x100-abc/{split}/{name}/{i}_100.jpg", picture.getvalue()
                )
        for member in extra:
            archive.writestr(member, b"slipped in")
    return packed.getvalue()


class Server(http.server.ThreadingHTTPServer):
    """Serves `content` here, with or without Range; hangs up after `cuts[i]` bytes of answer i."""

    daemon_threads = True

    def __init__(self, content, ranges=True, cuts=()):
        self.content, self.ranges, self.cuts, self.asked = content, ranges, list(cuts), []
        super().__init__(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, span = self.server, self.headers.get("Range")
        server.asked.append(span)
        start, total = int(span[6:-1]) if span and server.ranges else 0, len(server.content)
        body = server.content[start:]
        self.send_response(416 if start >= total else 206 if start else 200)
        if start:
            self.send_header(
                "Content-Range", f"bytes {f'{start}-{total - 1}' if body else '*'}/{total}"
            )
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: server.cuts.pop(0)] if server.cuts else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Return what starts a server of Fruits-360, whose counts are set to those of pack()."""
    servers = []

    def start(*args, **options):
        servers.append(Server(*args, **options))
        url = f"http://127.0.0.1:{servers[-1].server_port}/archive.zip"
        monkeypatch.setitem(fruits360.FRUITS_360, "url", url)
        return servers[-1]

    monkeypatch.setitem(fruits360.FRUITS_360, "counts", {"classes": 2, "Training": 8, "Test": 4})
    monkeypatch.setenv("CAMKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fruits360, "_PAUSES", (0, 0))
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def in_cache(tmp_path):
    return sorted(path.name for path in (tmp_path / "cache").iterdir() if path.name != ".lock")


def test_the_download_is_pinned():
    assert fruits360.FRUITS_360 == {
        "version": "2025.03.09.0",
        "counts": {"classes": 155, "Training": 76893, "Test": 25746},
        "url": "https://github.com/fruits-360/fruits-360-100x100/archive/"
        "019ab6f4eec0f6b9bdae4efe8ee55f377bef8812.zip",
    }


def test_fruits_360_is_downloaded_once(serve, tmp_path, capfd):
    server = serve(pack())
    training, test = load_images("fruits-360", "Training"), load_images("fruits-360")
    assert (len(training), len(test), test.class_names) == (8, 4, ["Apple 1", "Pear"])
    assert server.asked == [None] and in_cache(tmp_path) == ["fruits-360-2025.03.09.0"]
    load_images("fruits-360")
    assert not (tmp_path / "cache" / ".lock").exists()  # a cache that is ready is only read
    assert capfd.readouterr() == ("", "")


def test_two_at_once_share_one_download(serve, tmp_path):
    server = serve(pack())
    with ThreadPoolExecutor() as pool:
        roots = {found.root for found in pool.map(load_images, ["fruits-360"] * 2)}
    assert roots == {tmp_path / "cache" / "fruits-360-2025.03.09.0"} and server.asked == [None]


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_goes_on(serve, tmp_path, ranges):
    content = pack()
    server = serve(content, ranges=ranges, cuts=[20_000])
    assert len(load_images("fruits-360", "Training")) == 8
    assert server.asked == [None, "bytes=16384-"] and in_cache(tmp_path) == [
        "fruits-360-2025.03.09.0"
    ]


def test_a_later_call_goes_on_where_an_earlier_one_failed(serve, tmp_path):
    content = pack()
    server = serve(content, cuts=[17_000, 17_000, 17_000])
    with pytest.raises(
        OSError, match="could not be downloaded from http://127.* stays in .*cache, .*pass"
    ):
        load_images("fruits-360")
    assert (tmp_path / "cache" / "fruits-360-2025.03.09.0.part").read_bytes() == content[: 3 << 14]
    assert len(load_images("fruits-360")) == 4
    assert server.asked[-1] == f"bytes={3 << 14}-" and len(server.asked) == 4


@pytest.mark.parametrize("surplus, requests", [(b"", 1), (b"of another archive", 2)])
def test_a_part_that_has_it_all_is_kept_and_one_that_is_too_long_dropped(
    serve, tmp_path, surplus, requests
):
    content = pack()
    server = serve(content)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "fruits-360-2025.03.09.0.part").write_bytes(content + surplus)
    assert len(load_images("fruits-360")) == 4 and len(server.asked) == requests


def test_nothing_is_unpacked_outside_or_beside_the_images(serve, tmp_path):
    link = zipfile.ZipInfo("top/Test/Pear/link.jpg")
    link.external_attr = 0o120777 << 16
    serve(
        pack(
            [
                "../../evil.jpg",
                "/etc/evil/Test/Pear/evil.jpg",
                "/Test/Pear/evil.jpg",
                "a/Test/../evil.jpg",
                "top/../Test/evil.jpg",
                "top/Test/Pear/../../../../evil.jpg",
                "top/Test/..\\..\\a/evil.jpg",
                "top/Test/Pear/C:evil.jpg",
                "top/Test//evil.jpg",
                "top/Test/evil.jpg",
                "top/Test/Pear/evil.py",
                "top/Masks/Pear/evil.jpg",
                link,
            ]
        )
    )
    assert len(load_images("fruits-360")) == 4
    assert not list(tmp_path.rglob("*evil*")) and not list(tmp_path.rglob("link.jpg"))
    assert {path.name for path in load_images("fruits-360").root.iterdir()} == {"Training", "Test"}


@pytest.mark.parametrize(
    "content, words",
    [
        (pack(test=1), "it holds .*'Test': 2.* where .*'Test': 4.* are expected"),
        (b"<html>log in", "not a zip"),
        (pack().replace(b"\xff\xd9", b"\xff\xd8", 1), "CRC"),
        (pack()[:-300], "not a zip"),
    ],
)
def test_a_wrong_archive_leaves_nothing_behind_but_the_remedy(serve, tmp_path, content, words):
    serve(content)
    with pytest.raises(OSError, match=f"is damaged: .*{words}.* call again to download it again"):
        load_images("fruits-360")
    assert in_cache(tmp_path) == []
    serve(pack())
    assert len(load_images("fruits-360")) == 4


def spoilt(**changed):
    """The archive, with two-byte fields of its last picture changed in both of its headers."""
    data = bytearray(pack())
    at = data.rfind(b"PK\x01\x02")
    for field, value in changed.items():
        offsets = {"flags": (6, 8), "method": (8, 10)}[field]
        (local,) = struct.unpack_from("<I", data, at + 42)
        for start, offset in zip((local, at), offsets, strict=True):
            struct.pack_into("<H", data, start + offset, value)
    return bytes(data)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "content, words",
    [
        (spoilt(flags=1), "encrypted"),
        (spoilt(method=99), "compression"),
        (lambda: pack(["top/Test/Pear/0.jpg", "top/Test/Pear/0.jpg"], test=1), "File exists"),
        (lambda: pack([f"top/Test/Pear/{'n' * 300}.jpg"]), "name too long"),
    ],
)
def test_an_archive_that_cannot_be_unpacked_is_fetched_anew(serve, tmp_path, content, words):
    """It used to stay in the cache, where every later call failed on it."""
    serve(content if isinstance(content, bytes) else content())
    with pytest.raises(OSError, match=f"is damaged: .*{words}.* call again to download it again"):
        load_images("fruits-360")
    assert in_cache(tmp_path) == []


def test_an_archive_that_unpacks_to_more_than_pictures_is_refused_before_it_is_unpacked(
    serve, tmp_path, monkeypatch
):
    packed = io.BytesIO(pack())
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("top/Test/Pear/bomb.jpg", bytes(10_000_000))
    serve(packed.getvalue())
    monkeypatch.setattr(
        fruits360.shutil, "copyfileobj", lambda packed, out: pytest.fail("it was unpacked")
    )
    with pytest.raises(OSError, match=r"it would unpack to 10,\d+,\d+ bytes, more than images do"):
        load_images("fruits-360")
    assert in_cache(tmp_path) == []


def test_a_kill_while_unpacking_leaves_no_half_set(serve, tmp_path, monkeypatch):
    server = serve(pack())
    with monkeypatch.context() as patch:
        patch.setattr(
            fruits360.shutil, "rmtree", lambda *args, **options: None
        )  # killed: nothing tidies up
        patch.setattr(fruits360.shutil, "copyfileobj", mock.Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            load_images("fruits-360")
    assert in_cache(tmp_path) == [
        "fruits-360-2025.03.09.0.unpacking",
        "fruits-360-2025.03.09.0.zip",
    ]
    assert len(load_images("fruits-360")) == 4
    assert len(server.asked) == 1 and in_cache(tmp_path) == ["fruits-360-2025.03.09.0"]


def test_without_a_network_the_error_says_what_to_do(serve, tmp_path):
    server = serve(b"")
    server.shutdown(), server.server_close()
    with pytest.raises(OSError) as raised:
        load_images("fruits-360")
    for words in (
        fruits360.FRUITS_360["url"],
        str(tmp_path / "cache"),
        "load_images('path/to/fruits-360')",
    ):
        assert words in str(raised.value)


@pytest.mark.parametrize("package", ["pooch", "requests"])
def test_without_the_packages_that_download_one_line_says_what_to_do(
    tmp_path, monkeypatch, package
):
    if package == "pooch":
        monkeypatch.delenv("CAMKIT_CACHE", raising=False)
    else:
        monkeypatch.setenv("CAMKIT_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ImportError,
        match=r"needs the package \w+: pip install 'camkit\[lessons\]'; if you have a copy, pass",
    ) as raised:
        load_images("fruits-360")
    assert package in str(raised.value) and "\n" not in str(raised.value)


def test_a_download_that_is_there_needs_no_package(serve, monkeypatch):
    serve(pack())
    load_images("fruits-360")
    for package in ("pooch", "requests"):
        monkeypatch.setitem(sys.modules, package, None)
    assert len(load_images("fruits-360")) == 4


def test_paths_hold_from_anywhere(tmp_path, monkeypatch):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path.parent)
    assert load_images(tmp_path.name).paths == [tmp_path.resolve() / "a.png"]


def large_photograph(path, width, height, **options):
    noise = np.random.default_rng(0).integers(0, 256, (9, 12, 3), dtype="uint8")
    image = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
    image.save(path, **options)
    return path


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = large_photograph(tmp_path / "a.jpg", 1600, 1200, exif=exif, quality=85)
    whole = Image.fromarray(read_image(path))
    assert whole.size == ((1600, 1200) if orientation == 1 else (1200, 1600))
    expected = np.asarray(whole.resize((90, 60), Image.Resampling.BILINEAR), "int16")
    difference = np.abs(read_image(path, (60, 90)) - expected)
    assert 0 < difference.max() <= 4 and difference.mean() < 0.5


@pytest.mark.parametrize(
    "name, size",
    [("odd.jpg", (1601, 1200)), ("small.jpg", (354, 356)), ("lossless.png", (1600, 1200))],
)
def test_other_files_are_decoded_whole(tmp_path, name, size):
    path = large_photograph(tmp_path / name, *size)
    whole = Image.fromarray(read_image(path))
    expected = np.asarray(whole.resize((90, 60), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(read_image(path, (60, 90)), expected)


# Openers ------------------------------------------------------------------------------------------


def open_raw(path):
    """Read a made-up format: height, width and gray samples."""
    data = np.fromfile(path, np.uint8)
    return data[2:].reshape(data[0], data[1])


def write_raw(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.concatenate([pixels.shape, pixels.ravel()]).astype(np.uint8).tofile(path)
    return path


def test_an_opener_reads_what_pillow_cannot(tmp_path):
    pixels = np.arange(48, dtype=np.uint8).reshape(6, 8)
    write_raw(tmp_path / "a" / "0.raw", pixels), write(tmp_path / "a" / "1.png")
    (tmp_path / "a" / "2.raw").write_bytes(b"\x09")
    found = load_images(tmp_path, image_opener=open_raw)
    np.testing.assert_array_equal(found[0], np.repeat(pixels[..., None], 3, axis=2))
    assert next(found.batches(2, (3, 4), channels=1)).shape == (1, 3, 4, 1)
    assert found.select([0]).reader == found.reader
    assert reasons(found)["2.raw"].startswith("image_opener open_raw fails: IndexError: ")


@pytest.mark.parametrize(
    "content, words",
    [
        (None, "it returned a NoneType, and must return a Pillow image or a uint8 array"),
        (np.zeros((4, 4, 3)), r"it returned float64 \(4, 4, 3\), and must return"),
        (np.zeros((4, 4, 2), np.uint8), r"it returned uint8 \(4, 4, 2\), and must return"),
    ],
)
def test_an_opener_that_returns_no_image_is_told_so(tmp_path, content, words):
    path = write(tmp_path / "0.png")
    with pytest.raises(OSError, match=f"0.png cannot be read: image_opener <lambda> .*{words}"):
        decoding.FileReader(lambda path: content)(path)


def test_an_opener_may_keep_its_images(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    kept = Image.open(write(tmp_path / "0.jpg", size=(160, 80), exif=exif))
    images = load_images(tmp_path, image_opener=lambda path: kept)
    assert images[0].shape == images[0].shape == (160, 80, 3) and kept.size == (160, 80)
    np.testing.assert_array_equal(images[0], read_image(tmp_path / "0.jpg"))


def test_a_format_that_a_plugin_adds_is_read_and_eps_is_not(tmp_path, monkeypatch):
    class RawImageFile(ImageFile.ImageFile):
        def _open(self):
            if self.fp.read(3) != b"RAW":
                raise SyntaxError("no raw file")
            self._mode, self._size = "L", (8, 6)
            self.tile = [ImageFile._Tile("raw", (0, 0, 8, 6), 3, "L")]

    monkeypatch.setattr(Image, "ID", list(Image.ID))
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    monkeypatch.setattr(Image, "EXTENSION", dict(Image.EXTENSION))
    (tmp_path / "0.raw1").write_bytes(b"RAW" + bytes(range(48)))
    with pytest.raises(FileNotFoundError, match="no image set"):
        load_images(tmp_path)
    Image.register_open("RAW1", RawImageFile)
    Image.register_extension("RAW1", ".raw1")
    assert load_images(tmp_path)[0][..., 0].ravel().tolist() == list(range(48))
    assert "RAW1" in decoding.formats() and "EPS" not in decoding.formats()
