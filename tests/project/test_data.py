"""The embedded data.

It is complete, as its manifest says; rendered again it is the same byte for byte; and masks fit.
"""

import hashlib
import json
import re
import struct
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import photographs
import pytest
import render
import things
from PIL import Image
from scipy.ndimage import binary_dilation
from studio import NAMES

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data"
FRUITS = DATA / "mini-fruits"
CLASSES = [
    "Apple Green",
    "Apple Red",
    "Banana",
    "Cherry",
    "Lemon",
    "Lime",
    "Mandarin",
    "Orange",
    "Pear",
    "Plum",
    "Strawberry",
    "Tomato",
]
SPLITS = [("Training", 40), ("Test", 20)]


# Digests of the first images on which the committed weights were trained.
DRAWN = ["394257cff2f2ca97", "e0e09289f9fcba3b", "2351ed661c4769a1"]

PLANTED = json.loads((DATA / "planted.json").read_text())
WRONG = {fault[key] for fault in PLANTED for key in ("path", "other_path") if key in fault}
PICTURES = sorted(p.relative_to(FRUITS).as_posix() for p in FRUITS.glob("T*/*/*.jpg"))


def mask_of(path):
    return np.asarray(Image.open((FRUITS / "Masks" / path).with_suffix(".png")))


def parts_of(path):
    with Image.open((FRUITS / "Parts" / path).with_suffix(".png")) as file:
        assert file.mode == "P", path
        return np.asarray(file)


def test_manifest_lists_every_file_as_it_is():
    groups = json.loads((DATA / "manifest.json").read_text())["groups"]
    listed = {path: entry for group in groups for path, entry in group["files"].items()}
    beside = {"manifest.json", "README.md", "LICENSE", "LICENSE-WordNet"}
    present = {
        p.relative_to(DATA).as_posix()
        for p in DATA.rglob("*")
        if p.is_file() and p.suffix not in {".py", ".pyc"}
    } - beside
    assert present == set(listed), "run python data/make/render.py --manifest"
    for path, (size, digest) in listed.items():
        content = (DATA / path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (size, digest), path
    for group in groups:
        assert (ROOT / group["source"]).is_file()


def test_every_photograph_has_an_author_a_free_licence_and_boxes_inside_it():
    folder = photographs.PHOTOGRAPHS
    sources = pd.read_csv(folder / "sources.csv")
    boxes = pd.read_csv(folder / "boxes.csv")
    files = {path.relative_to(folder).as_posix() for path in folder.glob("*/*.jpg")}
    assert files == set(sources["file"]) == set(boxes["file"]) and len(files) == 41
    assert set(sources["licence"]) == {"CC0-1.0", "public domain"}
    assert not sources.isna().any(axis=None) and not sources["file"].duplicated().any()
    names = (DATA / "imagenet-names.txt").read_text().splitlines()
    assert len({name.casefold() for name in names}) == 1000 and set(boxes["class"]) <= set(names)
    for file, name, *box in boxes.itertuples(index=False):
        assert file.split("/")[0] == name
        with Image.open(folder / file) as image:
            assert max(image.size) == 320
            width, height = image.size
        x0, y0, x1, y1 = box
        assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height, file


def test_files_are_read_from_qt_resources(tmp_path):
    """One folder with a plain and a packed file, in the first version of the format."""
    names = b""
    offsets = []
    for name in ("a", "plain", "packed"):
        offsets.append(len(names))
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    packed = struct.pack(">I", 4) + zlib.compress(b"more")
    contents = struct.pack(">I", 4) + b"some" + struct.pack(">I", len(packed)) + packed
    tree = struct.pack(">iHii", 0, photographs.FOLDER, 1, 1)
    tree += struct.pack(">iHii", offsets[0], photographs.FOLDER, 2, 2)
    tree += struct.pack(">iHIi", offsets[1], 0, 0, 0)
    tree += struct.pack(">iHIi", offsets[2], photographs.PACKED, 0, 8)
    starts = (20, 20 + len(tree), 20 + len(tree) + len(contents))
    header = b"qres" + struct.pack(">4i", 1, *starts)
    file = tmp_path / "some.rcc"
    file.write_bytes(header + tree + contents + names)
    assert dict(photographs.files_in(file)) == {"a/plain": b"some", "a/packed": b"more"}
    with pytest.raises(ValueError, match="no Qt resource file"):
        photographs.files_in(ROOT / "LICENSE")


def test_layout_is_that_of_fruits_360():
    counts = Counter(path.rsplit("/", 1)[0] for path in PICTURES)
    assert counts == {f"{split}/{name}": n for name in CLASSES for split, n in SPLITS}
    for path in PICTURES:
        frame = int(re.fullmatch(r".*/r[0-3]_(\d+)_100\.jpg", path)[1])
        assert frame in range(0, 360, 24)
        assert path.startswith("Test/" if frame // 24 % 3 == 1 else "Training/")
    for beside in ("Masks", "Parts"):
        masks = {
            p.relative_to(FRUITS / beside).with_suffix(".jpg")
            for p in FRUITS.glob(f"{beside}/*/*/*.png")
        }
        assert masks == set(map(Path, PICTURES)), beside
    assert {p.name for p in FRUITS.iterdir()} == {"Masks", "Parts", "Test", "Training"}


def test_the_set_stays_small():
    assert sum((FRUITS / path).stat().st_size for path in PICTURES) < 4.2e6


@pytest.mark.parametrize("name", CLASSES)
def test_masks_fit_their_pictures(name):
    for path in (p for p in PICTURES if p.split("/")[1] == name):
        with Image.open(FRUITS / path) as file:
            assert (file.format, file.mode, file.size) == ("JPEG", "RGB", (100, 100)), path
            picture = np.asarray(file).astype(int)
        mask = mask_of(path)
        assert mask.dtype == bool and mask.shape == (100, 100) and 0.08 < mask.mean() < 0.8, path
        colourful = np.ptp(picture, axis=-1) > 30  # as no table and no shadow is
        assert (picture[mask].min(-1) < 235).mean() > 0.97, path
        assert colourful[~binary_dilation(mask, iterations=2)].mean() < 0.005, path
        rows, columns = np.nonzero(mask)
        assert max(np.ptp(rows), np.ptp(columns)) >= 84, path  # the fruit fills the frame
        assert not (mask[[0, -1]].any() or mask[:, [0, -1]].any()), path  # and is whole
        assert np.median(picture[0]) > 245, path  # the background is white


@pytest.mark.parametrize("name", CLASSES)
def test_parts_fit_their_masks_and_pictures(name):
    """The mask is what is not background; leaves are green, highlights brighter than skin."""
    leaf, highlight = NAMES.index("leaf"), NAMES.index("highlight")
    brighter, green = [], []
    for path in (p for p in PICTURES if p.split("/")[1] == name):
        parts, picture = parts_of(path), np.asarray(Image.open(FRUITS / path)).astype(int)
        assert parts.max() < len(NAMES) and np.array_equal(parts > 0, mask_of(path)), path
        assert ((parts == 1) | (parts == highlight)).sum() > 0.4 * (parts > 0).sum(), (
            path
        )  # the most is fruit
        if (parts == highlight).sum() >= 20:
            brighter.append(
                picture[parts == highlight].min(-1).mean() - picture[parts == 1].min(-1).mean()
            )
        if (parts == leaf).sum() >= 20:
            r, g, b = picture[parts == leaf].mean(axis=0)
            green.append(g > max(r, b))
    assert np.mean(green or [True]) > 0.9 and np.mean(np.array(brighter or [99]) > 0) == 1


def test_parts_are_where_the_fruit_has_them():
    """By the recipes: which kinds can show which part at all."""
    kinds = {k: set() for k in ("stem", "leaf", "highlight")}
    for path in PICTURES:
        if path not in WRONG:
            for k in np.unique(parts_of(path)[parts_of(path) > 1]):
                kinds[NAMES[k]].add(path.split("/")[1])
    assert kinds["leaf"] == {"Mandarin", "Strawberry", "Tomato"}
    assert kinds["stem"] == set(CLASSES) - {"Banana"}
    assert (
        kinds["highlight"] >= {"Cherry", "Plum", "Tomato", "Strawberry"}
        and "Banana" not in kinds["highlight"]
    )


@pytest.mark.locked  # another Pillow packs the same pixels into other bytes
def test_the_same_seed_gives_the_same_bytes():
    plan, faults = render.plan()
    assert faults == PLANTED and set(plan) == set(PICTURES)
    for path in (
        "Training/Banana/r0_0_100.jpg",
        "Test/Strawberry/r2_168_100.jpg",
        PLANTED[0]["path"],
    ):
        image, parts = render.render(*plan[path])
        assert render.jpeg(image) == (FRUITS / path).read_bytes(), path
        assert (
            render.palette(parts) == (FRUITS / "Parts" / path).with_suffix(".png").read_bytes()
        ), path
        assert np.array_equal(parts > 0, mask_of(path)), path


def test_another_seed_gives_another_fruit():
    assert not np.array_equal(
        render.render("Plum", 1, 0, seed=0)[0], render.render("Plum", 1, 0, seed=1)[0]
    )


def test_planted_faults_are_what_they_are_said_to_be():
    assert Counter(fault["kind"] for fault in PLANTED) == {"wrong label": 4, "two labels": 2}
    involved = [fault[key] for fault in PLANTED for key in ("path", "other_path") if key in fault]
    assert len(set(involved)) == len(involved) == 8 and set(involved) <= set(PICTURES)
    assert {path.split("/")[0] for path in involved} == {"Training", "Test"}
    for fault in PLANTED:
        assert fault["true_class"] != fault["path"].split("/")[1]
        if fault["kind"] == "two labels":
            one, other = FRUITS / fault["path"], FRUITS / fault["other_path"]
            assert (
                one.read_bytes() == other.read_bytes() and other.parent.name == fault["true_class"]
            )
    twins = Counter(hashlib.sha256((FRUITS / path).read_bytes()).hexdigest() for path in PICTURES)
    assert sorted(twins.values())[-3:] == [1, 2, 2], (
        "no picture but the planted ones stands twice in the set"
    )


def test_only_error_reviews_read_the_planted_faults():
    """Lesson 5 finds them; assignment 6 leaves them out, and plants its own."""
    readers = {
        p.name
        for folder in ("camkit", "notebooks")
        for p in (ROOT / folder).rglob("*")
        if p.suffix in {".py", ".ipynb"}
        and ".ipynb_checkpoints" not in p.parts
        and "planted.json" in p.read_text(encoding="utf-8")
    }
    # The command line hands it out with the lessons.
    readers.discard("_cli.py")
    assert readers == {"05-error-review.ipynb", "6-review.ipynb"}


@pytest.mark.locked
def test_the_same_seed_gives_the_same_image_to_pretrain_on():
    digests = []
    for number in range(3):
        image, cover, labels = things.draw_image((1, number))
        content = image.tobytes() + cover.tobytes() + labels.tobytes()
        digests.append(hashlib.sha256(content).hexdigest()[:16])
    assert digests == DRAWN


def test_what_is_trained_is_the_committed_backbone_with_heads():
    import training

    backbone = training.mini((None, None, 3))
    backbone.load_weights(DATA / "mini-backbone.weights.h5")
    model = training.pretraining_model(backbone)
    shapes = {head: output.shape[1:] for head, output in model.output.items()}
    expected = {head: (things.OBJECTS, classes) for head, classes in things.HEADS.items()}
    assert shapes == expected | {"background": (1,)}


def test_the_transformer_is_what_its_script_builds_and_classifies_fruit():
    import keras
    import vit

    import camkit

    network = keras.models.load_model(DATA / "mini-vit.keras")
    built = vit.vision_transformer(len(CLASSES))
    assert [layer.name for layer in network.layers] == [layer.name for layer in built.layers]
    shapes = [weights.shape for weights in built.get_weights()]
    assert [weights.shape for weights in network.get_weights()] == shapes
    test = camkit.load_images("mini", "Test")
    outputs = network.predict(next(test.batches(len(test), vit.IMAGE)), verbose=0)
    for logits in outputs.values():
        assert np.mean(logits.argmax(axis=1) == test.labels) > 0.95


def test_the_oldest_keras_reads_the_transformer():
    """A version of Keras reads the files of older versions, not of newer ones."""
    path = DATA / "mini-vit.keras"
    assert path.stat().st_size < 700_000
    metadata = json.loads(zipfile.ZipFile(path).read("metadata.json"))
    oldest = re.search(r'"keras>=([\d.]+)', (ROOT / "pyproject.toml").read_text())[1]
    assert metadata["keras_version"].startswith(f"{oldest}.")
