"""Formats beyond the usual: HEIC, DICOM, samples of 10 to 16 bits, several images in one file."""

import builtins
import io
import struct
import sys
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

import camkit
from camkit.images import _digests, load_images, read_image
from camkit.images._checking import Checker

RAMP = np.arange(48, dtype=np.uint16).reshape(6, 8)


def reason(path):
    return Checker().reason(path)


# HEIC ---------------------------------------------------------------------------------------------


@pytest.fixture
def heic(tmp_path):
    path = tmp_path / "a" / "IMG_0.HEIC"
    path.parent.mkdir()
    image = Image.new("RGB", (64, 48), "red")
    image.paste("blue", (0, 0, 32, 48))
    exif = Image.Exif()
    exif[0x0112] = 6
    pillow_heif.from_pillow(image).save(path, quality=95, exif=exif.tobytes())
    return path


def test_heic_is_read_upright(heic):
    pixels = load_images(heic.parents[1])[0]
    assert pixels.shape == (64, 48, 3)
    assert np.abs(pixels[8, 24].astype(int) - (0, 0, 255)).max() < 12
    assert np.abs(pixels[56, 24].astype(int) - (255, 0, 0)).max() < 12


def test_without_the_package_the_extra_is_named(heic, monkeypatch, tmp_path):
    path = write_dicom(tmp_path / "scan.dcm", RAMP)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    monkeypatch.setattr(Image, "OPEN", {k: v for k, v in Image.OPEN.items() if k != "HEIF"})
    assert reason(heic) == "HEIC, which pip install 'camkit[heic]' lets camkit read"
    assert reason(path) == "DICOM, which pip install 'camkit[medical]' lets camkit read"
    with pytest.raises(FileNotFoundError, match=r"pip install 'camkit\[heic\]'"):
        load_images(heic.parent)
    with pytest.raises(OSError, match=r"cannot be read: HEIC, which pip install 'camkit\[heic\]'"):
        read_image(heic)


def test_a_cut_heic_is_damaged(heic):
    heic.write_bytes(heic.read_bytes()[:-40])
    assert reason(heic).startswith("truncated or damaged: ")


# DICOM --------------------------------------------------------------------------------------------


def write_dicom(path, pixels, *, frames=1, preamble=True, **tags):
    """Write pixels (H, W), (H, W, 3) or (frames, H, W) of 8 or 16 bits as a DICOM file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.3"
    is_colour = pixels.ndim == 3 and frames == 1
    height, width = pixels.shape[:2] if frames == 1 else pixels.shape[1:]
    dataset.Rows, dataset.Columns = height, width
    dataset.SamplesPerPixel = 3 if is_colour else 1
    dataset.PhotometricInterpretation = "RGB" if is_colour else "MONOCHROME2"
    if is_colour:
        dataset.PlanarConfiguration = 0
    if frames > 1:
        dataset.NumberOfFrames = frames
    bits = 8 * pixels.itemsize
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.PixelData = pixels.tobytes()
    if preamble:
        dataset.save_as(path, enforce_file_format=True)
    else:
        dataset.save_as(path, implicit_vr=False, little_endian=True)
    return path


def gray_of(path):
    pixels = read_image(path)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


def test_a_window_says_what_is_black_and_white(tmp_path):
    hounsfield = np.array([[-1000, -160, 40, 240, 3000]], np.int16)
    path = write_dicom(
        tmp_path / "ct.dcm",
        hounsfield + 1024,
        RescaleSlope=1,
        RescaleIntercept=-1024,
        WindowCenter=40,
        WindowWidth=400,
    )
    # Part 3, C.11.2.1.2.1 of the standard: ((x - (c - 0.5)) / (w - 1) + 0.5).
    middle = 255 * ((40 - 39.5) / 399 + 0.5)
    assert gray_of(path).tolist() == [[0, 0, round(middle), 255, 255]]


def test_the_first_of_several_windows_is_taken(tmp_path):
    values = np.array([[0, 100, 200, 4000]], np.uint16)
    path = write_dicom(
        tmp_path / "x.dcm", values, WindowCenter=[100.5, 2000], WindowWidth=[201, 4000]
    )
    assert gray_of(path).tolist() == [[0, 128, 255, 255]]


def test_monochrome1_is_inverted_and_8_bits_are_taken_as_they_are(tmp_path):
    values = np.array([[0, 10, 200, 240]], np.uint8)
    plain = write_dicom(tmp_path / "plain.dcm", values)
    inverted = write_dicom(
        tmp_path / "inverted.dcm", values, PhotometricInterpretation="MONOCHROME1"
    )
    assert gray_of(plain).tolist() == [[0, 10, 200, 240]]
    assert gray_of(inverted).tolist() == [[255, 245, 55, 15]]


def test_without_a_window_the_own_range_is_taken_and_told(tmp_path):
    write_dicom(tmp_path / "x.dcm", np.array([[-1000, 0, 1000]], np.int16))
    images = load_images(tmp_path)
    assert images[0][0, :, 0].tolist() == [0, 128, 255]
    assert images.notes[-1].startswith("DICOM without a window, ")
    assert images.notes[-1].endswith(": x.dcm")


def test_the_first_frame_of_a_film_is_read_and_told(tmp_path):
    film = np.stack([np.full((4, 6), 50, np.uint8), np.full((4, 6), 90, np.uint8)])
    write_dicom(tmp_path / "film.dcm", film, frames=2)
    images = load_images(tmp_path)
    assert (images[0] == 50).all()
    assert images.notes == ["files of several images, of which the first is read: film.dcm"]


def test_windows_of_enhanced_files_are_found(tmp_path):
    window = Dataset()
    window.WindowCenter, window.WindowWidth = 100.5, 201
    groups = Dataset()
    groups.FrameVOILUTSequence = [window]
    path = write_dicom(
        tmp_path / "x.dcm",
        np.array([[0, 100, 200, 4000]], np.uint16),
        SharedFunctionalGroupsSequence=[groups],
    )
    assert gray_of(path).tolist() == [[0, 128, 255, 255]]


def test_colours_and_files_without_a_preamble(tmp_path):
    colours = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    np.testing.assert_array_equal(read_image(write_dicom(tmp_path / "c.dcm", colours)), colours)
    bare = write_dicom(tmp_path / "bare.dcm", colours, preamble=False)
    np.testing.assert_array_equal(read_image(bare), colours)
    unnamed = write_dicom(tmp_path / "IM0001", colours)
    np.testing.assert_array_equal(read_image(unnamed), colours)


def test_dicom_without_an_image_and_cut_dicom(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", np.zeros((40, 40), np.uint8))
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert reason(path).startswith("truncated or damaged: ")
    (tmp_path / "empty.dcm").write_bytes(b"\0" * 128 + b"DICM")
    assert reason(tmp_path / "empty.dcm") == "a DICOM file without an image"


# Samples of more than 8 bits ----------------------------------------------------------------------


def write_gray(path, samples, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(samples, np.uint16)).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize(
    "largest, white", [(200, 255), (1000, 1023), (4000, 4095), (16000, 16383), (60000, 65535)]
)
def test_white_is_that_of_the_bits_that_are_used(tmp_path, suffix, largest, white):
    samples = np.linspace(0, largest, 48).reshape(6, 8).astype(np.uint16)
    path = write_gray(tmp_path / f"x.{suffix}", samples)
    np.testing.assert_array_equal(gray_of(path), np.rint(255 / white * samples.astype("float32")))
    images = load_images(tmp_path)
    np.testing.assert_array_equal(images[0], read_image(path))
    note = f"no sample of the gray files of 16 or 32 bits exceeds {white}, which is read as white"
    assert note in " ".join(images.notes) if white < 65535 else images.notes == []


def test_a_dark_image_stays_darker_than_its_bright_sister(tmp_path):
    dark = np.linspace(0, 900, 4800).reshape(60, 80)
    write_gray(tmp_path / "dark.png", dark)
    write_gray(tmp_path / "sister.png", 4 * dark)
    images = load_images(tmp_path)
    assert images[0].max() == round(255 * 900 / 4095) and images[1].max() == round(
        255 * 3600 / 4095
    )
    assert images.select([0]).reader == images.reader
    [(first, second)] = images.batches(2, (60, 80))
    np.testing.assert_array_equal(first, images[0])
    np.testing.assert_array_equal(second, images[1])


def test_a_file_that_is_clipped_below_white_keeps_its_own(tmp_path):
    ramp = np.linspace(0, 1.2, 4800).reshape(60, 80).clip(0, 1)
    write_gray(tmp_path / "a12.png", 4095 * ramp)
    write_gray(tmp_path / "b16.png", 65535 * ramp)
    write_gray(tmp_path / "c-dark.png", 2000 * ramp)
    images = load_images(tmp_path)
    assert [image.max() for image in images] == [255, 255, 8]
    assert images.notes == [
        "files with fewer bits than others, each read by its own white: a12.png",
        "files that are nearly black, since their samples are small beside those of others (if "
        "they have fewer bits, load them by themselves): c-dark.png",
    ]


def with_significant_bits(path, bits):
    """Add the chunk sBIT to a PNG file."""
    data = path.read_bytes()
    content = b"sBIT" + bytes([bits])
    chunk = struct.pack(">I", 1) + content + struct.pack(">I", zlib.crc32(content))
    path.write_bytes(data[:33] + chunk + data[33:])
    return path


def test_significant_bits_of_png_are_honoured(tmp_path):
    few = with_significant_bits(write_gray(tmp_path / "a.png", 10 * RAMP), 12)
    np.testing.assert_array_equal(gray_of(few), np.rint(255 / 4095 * 10 * RAMP.astype("float32")))
    # As PNG wants it, the samples of 12 bits are scaled to all 16.
    scaled = with_significant_bits(write_gray(tmp_path / "b.png", 1000 * RAMP // 4), 12)
    assert gray_of(scaled).max() == round(255 * (47000 // 4) / 65535)


def test_what_tiff_says_of_its_samples_is_honoured(tmp_path):
    path = write_gray(tmp_path / "a.tif", 10 * RAMP, tiffinfo={281: 4095})
    np.testing.assert_array_equal(gray_of(path), np.rint(255 / 4095 * 10 * RAMP.astype("float32")))


def test_12_bits_that_tiff_packs_are_12_bits_beside_any_file(tmp_path):
    # A little-endian TIFF of 2 samples of 12 bits in 3 bytes: 0x800 and 0x400.
    entries = [(256, 2), (257, 1), (258, 12), (259, 1), (262, 1), (273, 122), (277, 1), (278, 1)]
    entries.append((279, 3))
    header = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries))
    for tag, value in entries:
        header += struct.pack("<HHIHH", tag, 3, 1, value, 0)
    data = header + struct.pack("<I", 0)
    (tmp_path / "a.tif").write_bytes(data + b"\x80\x04\x00" + bytes(8))
    write_gray(tmp_path / "b.png", 1300 * RAMP)
    assert load_images(tmp_path)[0][0, :, 0].tolist() == [128, 64]


def test_pillow_scales_pgm_and_so_do_dark_ones(tmp_path):
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 4095\n" + struct.pack(">HH", 2047, 20))
    assert gray_of(tmp_path / "a.pgm").tolist() == [[127, 1]]


def test_floats_of_a_set_have_one_white(tmp_path):
    for name, white in (("a.tif", 0.5), ("b.tif", 200)):
        samples = np.linspace(0, white, 48, dtype=np.float32).reshape(6, 8)
        Image.fromarray(samples).save(tmp_path / name)
    images = load_images(tmp_path)
    assert images[0].max() <= 1 and images[1].max() == 200
    white, dark = images.notes
    assert white.startswith("255 is read as white in the files of floats")
    assert dark.startswith("files that are nearly black") and dark.endswith(": a.tif")
    assert read_image(tmp_path / "a.tif").max() == 128


@pytest.mark.parametrize(
    "low, high, white", [(-1000, 1550, 4095), (-500, -100, 1), (0, 4095, 4095), (0, 300, 1023)]
)
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_negative_samples_are_told_and_floats_have_the_whites_of_bits(
    tmp_path, low, high, white, dtype
):
    samples = np.linspace(low, high, 48).reshape(6, 8).astype(dtype)
    Image.fromarray(samples).save(tmp_path / "a.tif")
    images = load_images(tmp_path)
    expected = np.rint(samples.astype("float32").clip(0) * np.float32(255 / white))
    np.testing.assert_array_equal(images[0][..., 0], expected)
    notes = " ".join(images.notes)
    assert ("samples that are negative or no numbers, read as black" in notes) == (low < 0)
    assert ("nearly black" in notes) == (high < 0)


def test_splits_are_read_alike_as_the_note_says(tmp_path):
    write_gray(tmp_path / "train" / "a" / "0.png", 3060 / 47 * RAMP)
    write_gray(tmp_path / "test" / "a" / "0.png", 765 / 47 * RAMP)
    alone = load_images(tmp_path)
    assert "such as another split, load them together, split=None" in alone.notes[0]
    together = load_images(tmp_path, split=None)
    test = together.select([split == "test" for split in together.splits])
    assert alone[0].max() == round(765 / 1023 * 255) and test[0].max() == round(765 / 4095 * 255)


def test_an_analysis_keeps_the_white_of_its_set(tmp_path):
    for name in ("a", "b"):
        write_gray(tmp_path / "set" / name / "0.png", 20 * RAMP * (1 + (name == "b")))
    model = camkit.gap_classifier(camkit.backbone("mini"), ["a", "b"])
    images = load_images(tmp_path / "set")
    camkit.analyze(model, images, tmp_path / "out", batch_size=2)
    stored = camkit.load_analysis(tmp_path / "out")
    np.testing.assert_array_equal(stored.images[0], images[0])
    assert stored.reader == images.reader and stored.reader.integer_white == 4095


def test_dark_colours_of_16_bits_are_told(tmp_path):
    samples = struct.pack(">6H", 100, 200, 300, 4000, 3000, 2000)
    (tmp_path / "0.ppm").write_bytes(b"P6 2 1 65535\n" + samples)
    assert reason(tmp_path / "0.ppm") is None
    entries = [(256, 2), (257, 1), (258, 158), (259, 1), (262, 2), (273, 146), (277, 3), (278, 1)]
    entries.append((279, 12))
    header = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries))
    for tag, value in entries:
        count = 3 if tag == 258 else 1
        header += struct.pack("<HHIHH", tag, 3, count, value, 0)
    header += struct.pack("<I", 0)
    content = header.ljust(146, b"\0") + struct.pack("<6H", 100, 200, 300, 4000, 3000, 2000)
    (tmp_path / "1.tif").write_bytes(content + struct.pack("<3H", 16, 16, 16))
    images = load_images(tmp_path)
    assert images.paths[1].name == "1.tif"
    assert images.notes[-1].startswith("colours of 16 bits that are nearly black")
    assert images.notes[-1].endswith(": 1.tif")


# Several images, colours, size --------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif", "avif"])
def test_of_several_images_the_first_is_read_and_told(tmp_path, suffix):
    first, second = Image.new("RGB", (16, 16), "black"), Image.new("RGB", (16, 16), "white")
    first.save(tmp_path / f"x.{suffix}", save_all=True, append_images=[second])
    first.save(tmp_path / f"single.{suffix}")
    images = load_images(tmp_path)
    assert all(image.max() <= 4 for image in images)
    assert images.notes == [f"files of several images, of which the first is read: x.{suffix}"]


def test_a_camera_s_second_picture_is_not_told(tmp_path):
    image = Image.new("RGB", (16, 16))
    image.save(tmp_path / "x.mpo", save_all=True, append_images=[image])
    (tmp_path / "x.mpo").rename(tmp_path / "x.jpg")
    assert load_images(tmp_path).notes == []


def test_inverted_cmyk_of_adobe(tmp_path):
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    image.save(tmp_path / "x.jpg", quality=100)
    data = (tmp_path / "x.jpg").read_bytes()
    assert b"Adobe" in data
    assert np.abs(read_image(tmp_path / "x.jpg")[8, 8].astype(int) - (254, 0, 0)).max() <= 1


def test_a_bomb_is_refused_with_the_remedy(tmp_path, monkeypatch):
    Image.new("L", (100, 100)).save(tmp_path / "0.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert reason(tmp_path / "0.png") == (
        "a decompression bomb: more than 1,000 pixels; if you trust it, set "
        "PIL.Image.MAX_IMAGE_PIXELS = None before"
    )


# Openings -----------------------------------------------------------------------------------------


@pytest.fixture
def openings(monkeypatch):
    """Count how often each file is opened from now on, by its name."""
    counts = Counter()
    real = builtins.open

    def counted(file, *arguments, **options):
        if isinstance(file, str | Path):
            counts[Path(file).name] += 1
        return real(file, *arguments, **options)

    # pathlib calls io.open, everything else the built-in function.
    monkeypatch.setattr(builtins, "open", counted)
    monkeypatch.setattr(io, "open", counted)
    return counts


def settled(folder, monkeypatch):
    """Count the files of a folder as written long ago."""
    monkeypatch.setattr(_digests, "_SETTLED", -1)
    return folder


def small_set(root):
    rng = np.random.default_rng(0)
    for i in range(8):
        path = root / "ab"[i % 2] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(path)
    return root


def test_each_file_is_opened_once_by_each_step(tmp_path, openings, monkeypatch):
    folder = settled(small_set(tmp_path / "set"), monkeypatch)
    names = [path.name for path in folder.glob("*/*.jpg")]
    model = camkit.gap_classifier(camkit.backbone("mini"), ["a", "b"])
    openings.clear()
    images = load_images(folder)
    assert [openings[name] for name in names] == [1] * 8
    openings.clear()
    analysis = camkit.analyze(model, images, tmp_path / "out", input_size=64)
    assert [openings[name] for name in names] == [1] * 8
    openings.clear()
    camkit.analyze(model, images, tmp_path / "out", input_size=64)
    assert [openings[name] for name in names] == [0] * 8
    openings.clear()
    camkit.write_atlas(analysis, tmp_path / "page")
    # Once for the page, and once by the search for faults.
    assert all(1 <= openings[name] <= 2 for name in names)


def test_a_file_that_changes_is_read_anew(tmp_path, monkeypatch):
    [path, *_] = settled(small_set(tmp_path), monkeypatch).glob("a/*.jpg")
    before = _digests.digest_of(path)
    assert _digests.digest_of(path) == before
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)
    assert _digests.digest_of(path) != before


def test_the_digest_of_a_fresh_file_is_not_kept(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"one")
    first = _digests.digest_of(path)
    path.write_bytes(b"two")
    assert _digests.digest_of(path) != first and str(path) not in _digests._known


def test_a_size_is_one_number_or_two():
    path = load_images("mini", "Test").paths[0]
    np.testing.assert_array_equal(read_image(path, 32), read_image(path, (32, 32)))
    assert read_image(path, (20, 30)).shape == (20, 30, 3)
    for size in (0, (5, -5), (5, 5, 3), "64", 6.4):
        with pytest.raises(ValueError, match="is no size in pixels: pass .height, width. or one"):
            read_image(path, size)
