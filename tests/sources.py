"""The kinds of sources that people bring, and what `camkit.load_images` makes of each.

A Source is a row of the page "What camkit loads" in the reference: a function that builds a small
one, one sentence, and what becomes of it. `tests/unit/test_sources.py` holds each row to its word;
`python tests/sources.py` writes the page anew.
"""

import shutil
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pillow_heif
import pydicom
from PIL import Image

PAGE = Path(__file__).resolve().parents[1] / "notebooks" / "site" / "sources.md"


@dataclass(frozen=True)
class Source:
    """A row of the page.

    Attributes:
        group: The heading that it stands under.
        name: One sentence of what it is.
        build: A function that writes into a folder what it needs, and returns the source.
        classes: The names of the classes, or None if it is refused.
        count: The number of images.
        words: What is said: in the refusal, in `notes`, or as a reason in `skipped`.
        given: The arguments of load_images beside the source.
    """

    group: str
    name: str
    build: Callable[[Path], Any]
    classes: tuple[str, ...] | None
    count: int
    words: str
    given: dict[str, Any] = field(default_factory=dict)


SOURCES: list[Source] = []
PETS = ("cat", "dog")


def reads(
    group: str,
    name: str,
    build: Callable[[Path], Any],
    count: int,
    words: str = "",
    classes: tuple[str, ...] = PETS,
    given_classes: tuple[str, ...] | None = None,
    **given: Any,
) -> None:
    """Add a row that is read; `given_classes` is the argument `classes` of load_images."""
    if given_classes is not None:
        given["classes"] = given_classes
    SOURCES.append(Source(group, name, build, classes, count, words, given))


def refused(group: str, name: str, build: Callable[[Path], Any], words: str, **given: Any) -> None:
    """Add a row that is refused."""
    SOURCES.append(Source(group, name, build, None, 0, words, given))


# Folders ------------------------------------------------------------------------------------------


def images(root: Path, *places: str) -> Path:
    """Write a small image to each place below a folder, and return the folder."""
    for number, place in enumerate(places):
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        color = (40 * number % 256, 90, len(place))
        Image.new("RGB", (12, 10), color).save(path, format="PNG")
    return root


def folder(*places: str) -> Callable[[Path], Path]:
    """Return a function that writes images to these places; "x/{}.png" stands for two."""
    each = [place.format(number) for place in places for number in range(1 + ("{}" in place))]
    return lambda root: images(root / "pets", *each)


def with_files(build: Callable[[Path], Path], *files: str) -> Callable[[Path], Path]:
    """Return a function that also writes files that are no images."""

    def built(root: Path) -> Path:
        result = build(root)
        for name in files:
            file = result / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("{}")
        return result

    return built


def zipped(build: Callable[[Path], Path]) -> Callable[[Path], str]:
    """Return a function that packs a folder into an archive."""
    return lambda root: shutil.make_archive(str(root / "pets"), "zip", build(root))


def damaged(root: Path) -> Path:
    (root / "pets.zip").write_bytes(b"PK")
    return root / "pets.zip"


def in_two_spellings(root: Path) -> Path:
    """Write a class whose name has a composed letter in train, and a decomposed one in test."""
    train = unicodedata.normalize("NFC", "Äpfel")
    test = unicodedata.normalize("NFD", "Äpfel")
    return images(root, f"train/{train}/0.png", f"test/{test}/0.png", "test/Birnen/0.png")


def with_a_loop(root: Path) -> Path:
    """Write class folders of which one holds a link to all of them."""
    folder("cat/{}.png", "dog/{}.png")(root)
    (root / "pets" / "cat" / "again").symlink_to(root / "pets")
    return root / "pets"


def format_of(
    name: str, image: Image.Image, save: Callable[..., None] = Image.Image.save, **options: Any
) -> Callable[[Path], Path]:
    """Return a function that saves an image as a file of each class."""

    def build(root: Path) -> Path:
        for kind in PETS:
            (root / "pets" / kind).mkdir(parents=True)
            save(image, root / "pets" / kind / name, **options)
        return root / "pets"

    return build


def save_heic(image: Image.Image, path: Path) -> None:
    """Save a photograph as phones do."""
    pillow_heif.from_pillow(image).save(path)


def save_dicom(image: Image.Image, path: Path) -> None:
    """Copy a scan of a tomograph; the image plays no part."""
    shutil.copy(pydicom.examples.get_path("ct"), path)


CLASSES = folder("cat/{}.png", "dog/{}.png")

GROUP = "Folders of classes"
reads(GROUP, "a folder for each class", CLASSES, 4)
reads(
    GROUP,
    "the same some levels down, as archives unpack",
    folder("a/b/cat/{}.png", "a/b/dog/{}.png"),
    4,
)
reads(
    GROUP,
    "classes nested by date or camera",
    folder("cat/2023-01/cam1/{}.png", "dog/2023-02/cam1/{}.png"),
    4,
    "images in folders below a class folder count as its own",
)
reads(
    GROUP,
    "classes nested by breed",
    folder("cat/persian/{}.png", "dog/pug/{}.png"),
    4,
    "images in folders below a class folder count as its own",
)
reads(
    GROUP,
    "images in a class folder and in folders below it",
    folder("cat/{}.png", "cat/more/{}.png", "dog/{}.png"),
    6,
    "images in folders below a class folder count as its own",
)
refused(
    GROUP,
    "several versions of a set, with the same classes in each",
    folder("color/cat/0.png", "color/dog/0.png", "gray/cat/0.png", "gray/dog/0.png"),
    "pass classes=['color', 'gray'] or classes=['cat', 'dog']",
)
reads(
    GROUP,
    "the same, if the versions are the classes",
    folder("color/cat/0.png", "color/dog/0.png", "gray/cat/0.png", "gray/dog/0.png"),
    4,
    "images in folders below a class folder count as its own",
    classes=("color", "gray"),
    given_classes=("color", "gray"),
)
refused(
    GROUP,
    "patients, dates or cameras with the classes in each",
    folder("10253/0/{}.png", "10253/1/0.png", "10254/0/0.png"),
    "pass classes=['10253', '10254'] or classes=['0', '1']",
)
reads(
    GROUP,
    "the same, with the classes named; the folders above are metadata",
    folder("10253/0/{}.png", "10253/1/0.png", "10254/0/0.png"),
    4,
    classes=("0", "1"),
    given_classes=("0", "1"),
)
reads(
    GROUP,
    "a copy of the folder in itself: flowers/flowers/ beside the classes",
    folder("cat/{}.png", "dog/{}.png", "pets/cat/{}.png", "pets/dog/{}.png"),
    4,
    "holds the classes 'cat', 'dog' again",
)
reads(
    GROUP,
    "class names with accents in two spellings of Unicode, as from a Mac",
    in_two_spellings,
    2,
    "is spelt in two ways of Unicode, and is one class",
    classes=("Birnen", "Äpfel"),
)
reads(
    GROUP,
    '"Cat" in one split, "cat" in the other',
    folder("train/Cat/{}.png", "train/dog/{}.png", "test/cat/{}.png", "test/dog/{}.png"),
    4,
    "differ by case alone, in different splits: one class",
    classes=("Cat", "dog"),
)
reads(GROUP, '"Cat" beside "cat"', folder("Cat/{}.png", "cat/{}.png"), 4, classes=("Cat", "cat"))
reads(GROUP, "files without a suffix", folder("cat/0{}", "dog/0{}"), 4)
reads(GROUP, "a link to a folder above", with_a_loop, 4, "a link to a folder that holds it")

GROUP = "Splits"
reads(
    GROUP,
    "train/ and test/, Training/ and Test/, in any case",
    folder("train/cat/{}.png", "train/dog/{}.png", "TEST/cat/{}.png", "TEST/dog/0.png"),
    3,
)
reads(
    GROUP,
    'train/ and val/, of which "Test" takes val',
    folder("train/cat/{}.png", "train/dog/{}.png", "val/cat/0.png", "val/dog/0.png"),
    2,
)
reads(
    GROUP,
    "train/ and dev/",
    folder("train/cat/{}.png", "train/dog/{}.png", "dev/cat/0.png", "dev/dog/0.png"),
    2,
)
reads(
    GROUP,
    'training/, validation/, evaluation/ (Food-11), of which "Test" is evaluation',
    folder(
        "training/cat/{}.png",
        "training/dog/{}.png",
        "validation/cat/{}.png",
        "evaluation/dog/{}.png",
    ),
    2,
)
reads(
    GROUP,
    "training_set/training_set/ and test_set/test_set/ (cats and dogs)",
    folder(
        "training_set/training_set/cat/{}.png",
        "test_set/test_set/cat/{}.png",
        "test_set/test_set/dog/{}.png",
    ),
    4,
)
reads(
    GROUP,
    "seg_train/seg_train/, seg_test/seg_test/, seg_pred/seg_pred/ (Intel)",
    folder(
        "seg_train/seg_train/cat/{}.png",
        "seg_test/seg_test/cat/{}.png",
        "seg_test/seg_test/dog/0.png",
        "seg_pred/seg_pred/{}.png",
    ),
    3,
    "beside the splits 'seg_test', 'seg_train'",
)
reads(
    GROUP,
    "asl_alphabet_train/ and asl_alphabet_test/, or other words before the split",
    folder(
        "asl_alphabet_train/cat/{}.png",
        "asl_alphabet_test/cat/{}.png",
        "asl_alphabet_test/dog/0.png",
    ),
    3,
)
reads(
    GROUP,
    "train2017/ and val2017/",
    folder("train2017/cat/{}.png", "val2017/cat/0.png", "val2017/dog/0.png"),
    2,
)
reads(
    GROUP,
    "test/ and holdout/",
    folder("train/cat/{}.png", "test/cat/{}.png", "test/dog/{}.png", "holdout/cat/0.png"),
    4,
    "another split of this kind: split='holdout'",
)
reads(
    GROUP,
    "a split chosen by the name of its folder",
    folder("train/cat/{}.png", "test/cat/{}.png", "holdout/dog/0.png"),
    1,
    "another split of this kind: split='test'",
    split="holdout",
)
reads(
    GROUP,
    "a split of any other name, such as unseen/",
    folder("train/cat/{}.png", "train/dog/{}.png", "unseen/cat/{}.png"),
    2,
    split="unseen",
)
refused(
    GROUP,
    "the same, if it is not chosen",
    folder("train/cat/{}.png", "train/dog/{}.png", "unseen/cat/{}.png"),
    "beside it is split='unseen'",
)
reads(
    GROUP,
    "the splits in the classes: cat/train/, cat/test/",
    folder("cat/train/{}.png", "cat/test/0.png", "dog/train/{}.png", "dog/test/{}.png"),
    3,
    "the splits 'test', 'train' lie in the class folders",
)
reads(
    GROUP,
    "images/train2017/ and images/val2017/ without classes",
    folder("images/train2017/{}.png", "images/val2017/0.png"),
    1,
    classes=(),
)
reads(
    GROUP, "train/ and test/ without classes", folder("train/{}.png", "test/{}.png"), 2, classes=()
)
refused(
    GROUP,
    "train/ with classes, test/ without (Kaggle)",
    folder("train/cat/{}.png", "train/dog/{}.png", "test/{}.png"),
    "has images without class folders: pass it for these",
)
refused(
    GROUP, "a split that is not there", folder("train/cat/{}.png", "train/dog/{}.png"), "no Test in"
)
refused(
    GROUP,
    "two sets, with splits in each",
    folder("a/train/cat/{}.png", "b/train/cat/{}.png"),
    "holds several image sets: pass one of",
)

GROUP = "What lies beside the images"
reads(
    GROUP,
    "folders without images: models/, notebooks/, logs/",
    with_files(CLASSES, "models/best.keras", "notebooks/eda.ipynb", "logs/events.out.1"),
    4,
    "a folder without images",
)
reads(
    GROUP,
    "folders of Synology and other systems: @eaDir",
    folder("cat/{}.png", "dog/{}.png", "@eaDir/x/t.png", "cat/@eaDir/t.png"),
    4,
    "a folder of the system or another program",
)
reads(
    GROUP,
    "an analysis of camkit",
    with_files(folder("cat/{}.png", "dog/{}.png", "analysis/images/0.png"), "analysis/about.json"),
    4,
    "an analysis of camkit",
)
reads(
    GROUP,
    "an error atlas of camkit",
    with_files(
        folder("cat/{}.png", "dog/{}.png", "page/pictures/0.png"),
        "page/index.html",
        "page/data/index.js",
    ),
    4,
    "an error atlas of camkit",
)
reads(
    GROUP,
    "hidden folders, tables and texts",
    with_files(folder("cat/{}.png", "dog/{}.png", ".trash/0.png"), "labels.csv", "cat/notes.txt"),
    4,
)
reads(
    GROUP,
    "images beside the class folders",
    folder("cat/{}.png", "dog/{}.png", "cover.png"),
    4,
    "outside the class folders",
)
reads(
    GROUP,
    "images/ and masks/, with classes or splits in each",
    folder("images/cat/{}.png", "images/dog/{}.png", "masks/cat/{}.png", "masks/dog/{}.png"),
    4,
    "taken for masks or annotations, beside 'images'",
)
reads(
    GROUP,
    "masks/ or annotations/ beside the classes",
    folder("cat/{}.png", "dog/{}.png", "masks/{}.png"),
    4,
    "taken for masks or annotations; classes=[...] with its name loads it",
)
reads(
    GROUP,
    "images/ with the classes, and other folders beside it (CUB-200)",
    folder("images/cat/{}.png", "images/dog/{}.png", "parts/{}.png"),
    4,
    "beside 'images', the folder of the classes",
)
reads(
    GROUP,
    "images/ and masks/ without classes",
    folder("images/{}.png", "masks/{}.png"),
    2,
    "'images' is the folder of the images, not a class",
    classes=(),
)
reads(
    GROUP,
    "masks in the same folder: a.png and a_mask.png (BUSI)",
    folder("cat/{}.png", "cat/{}_mask.png", "dog/{}.png"),
    4,
    "a mask of '0'",
)
reads(GROUP, "a folder of images", folder("{}.png"), 2, classes=())
refused(GROUP, "a folder without images", with_files(folder(), "notes.txt"), "no image set in")
refused(
    GROUP,
    "no folder at all",
    lambda root: root / "nowhere",
    "nowhere is missing: source must be a folder of images",
)
reads(GROUP, "a .zip file", zipped(CLASSES), 4)
reads(
    GROUP,
    "a folder of images with a table in it",
    with_files(folder("{}.png"), "labels.csv"),
    2,
    "'labels.csv' beside the images may hold their labels: pass the table",
    classes=(),
)
refused(
    GROUP,
    "one folder of images beside a table, or parts such as images_001/",
    with_files(folder("scans/{}.png"), "labels.csv"),
    "beside the table 'labels.csv': pass the table for its labels",
)
refused(
    GROUP,
    "archives in a folder or in an archive",
    with_files(folder(), "train.zip", "test.zip"),
    "unpack 'test.zip', 'train.zip' and pass the folder",
)
refused(GROUP, "a damaged .zip file", damaged, "cannot be unpacked")


# Tables and lists ---------------------------------------------------------------------------------


def table(root: Path, **columns: Any) -> pd.DataFrame:
    """Return a table of four images, whose files are written below the folder."""
    places = ["pictures/0.png", "pictures/1.png", "pictures/2.png", "pictures/3.png"]
    images(root, *places)
    return pd.DataFrame({"file": places, "label": ["cat", "dog", "cat", "dog"], **columns})


def saved(name: str, change: Callable = lambda table: table, **how: Any) -> Callable[[Path], Path]:
    """Return a function that writes a table to a file of this name."""

    def built(root: Path) -> Path:
        changed = change(table(root))
        file = root / name
        if file.suffix == ".parquet":
            changed.to_parquet(file)
        else:
            changed.to_csv(file, index=False, **how)
        return file

    return built


def no_table(root: Path) -> Path:
    (root / "labels.xlsx").write_bytes(b"PK")
    return root / "labels.xlsx"


def frame(root: Path) -> pd.DataFrame:
    """Return a table with absolute paths."""
    listed = table(root)
    return listed.assign(file=[str(root / file) for file in listed["file"]])


def one_hot(listed: pd.DataFrame) -> pd.DataFrame:
    return listed[["file"]].assign(cat=[1, 0, 1, 0], dog=[0, 1, 0, 1])


def paths(root: Path) -> list[Path]:
    return [root / file for file in table(root)["file"]]


FOUND = "paths from the column 'file'"
LABELS = ["cat", "dog", "cat", "dog"]

GROUP = "Formats"
PHOTOGRAPH = Image.new("RGB", (12, 10), "red")
TWELVE_BITS = Image.fromarray(np.linspace(0, 4000, 120).reshape(10, 12).astype("uint16"))
FLOATS = Image.fromarray(np.linspace(0, 1, 120, dtype="float32").reshape(10, 12))
reads(GROUP, "HEIC of a phone (`camkit[heic]`)", format_of("IMG_1.HEIC", PHOTOGRAPH, save_heic), 2)
reads(
    GROUP,
    "DICOM (`camkit[medical]`); a window, where there is one, is applied",
    format_of("scan.dcm", PHOTOGRAPH, save_dicom),
    2,
    "DICOM without a window, read from its smallest value to its largest",
)
reads(GROUP, "AVIF", format_of("0.avif", PHOTOGRAPH), 2)
reads(
    GROUP,
    "a film or several pages: GIF, WebP, PNG, TIFF",
    format_of("0.gif", PHOTOGRAPH, save_all=True, append_images=[Image.new("RGB", (12, 10))]),
    2,
    "files of several images, of which the first is read",
)
reads(
    GROUP,
    "10 or 12 bits in files of 16 bits",
    format_of("0.png", TWELVE_BITS),
    2,
    "no sample of the gray files of 16 or 32 bits exceeds 4095",
)
reads(
    GROUP,
    "floats (TIFF)",
    format_of("0.tif", FLOATS),
    2,
    "1 is read as white in the files of floats",
)
reads(GROUP, "CMYK", format_of("0.jpg", PHOTOGRAPH.convert("CMYK")), 2)
reads(
    GROUP,
    "a video or a text among the images",
    with_files(CLASSES, "cat/film.mp4"),
    4,
    "not an image of a known kind",
)

GROUP = "Tables"
reads(GROUP, "a .csv file, paths relative to it", saved("labels.csv"), 4, FOUND)
reads(GROUP, "with semicolons, as from Excel", saved("labels.csv", sep=";"), 4, FOUND)
reads(
    GROUP,
    "the same, with decimal commas",
    saved("labels.csv", lambda t: t.assign(weight=["1,5", "2", "", "0,25"]), sep=";"),
    4,
    "numbers with decimal commas in the columns 'weight'",
)
reads(GROUP, "a .tsv file", saved("labels.tsv", sep="\t"), 4, FOUND)
reads(GROUP, "a .parquet file", saved("labels.parquet"), 4, FOUND)
reads(GROUP, "a DataFrame", frame, 4, "labels from the column 'label'")
reads(
    GROUP,
    "names without folder or suffix (Kaggle's train.csv beside train_images/)",
    saved("labels.csv", lambda t: t.assign(file=["0", "1", "2", "3"])),
    4,
    path_column="file",
)
reads(
    GROUP,
    "paths of another machine",
    saved("labels.csv", lambda t: t.assign(file=[f"C:\\data\\{i}.png" for i in range(4)])),
    4,
    FOUND,
)
reads(
    GROUP,
    "numbers for labels, which are names as in `flow_from_dataframe`",
    saved("labels.csv", lambda t: t.assign(label=[0, 10, 0, 2])),
    4,
    classes=("0", "10", "2"),
)
reads(
    GROUP,
    "a column for each class, one-hot",
    saved("labels.csv", one_hot),
    4,
    "labels from the columns 'cat', 'dog'",
)
reads(
    GROUP,
    "a column for each of several labels",
    saved("labels.csv", lambda t: one_hot(t).assign(dog=1)),
    4,
    "labels from the columns 'cat', 'dog'",
)
reads(
    GROUP,
    "several labels in one text, with bars or semicolons between them",
    saved("labels.csv", lambda t: t.assign(label=["cat", "cat|dog", "dog", ""])),
    4,
    "were split at",
)
reads(
    GROUP,
    "lists of labels",
    saved("labels.csv", lambda t: t.assign(label=["['cat']", "['cat', 'dog']", "[]", "['dog']"])),
    4,
)
reads(
    GROUP,
    "the same, written by NumPy",
    saved("labels.csv", lambda t: t.assign(label=["['cat']", "['cat' 'dog']", "[]", "['dog']"])),
    4,
    "were read as lists of names",
)
reads(
    GROUP,
    "a column of splits in words of its own",
    saved("labels.csv", lambda t: t.assign(is_valid=[0, 1, 0, 1])),
    4,
    "which are no names of splits",
)
reads(
    GROUP,
    "a column of splits",
    saved("labels.csv", lambda t: t.assign(split=["train", "test", "test", "train"])),
    2,
    "splits from the column 'split'",
)
reads(
    GROUP,
    "rows without a label",
    saved("labels.csv", lambda t: t.assign(label=["cat", "dog", "", ""])),
    4,
    "2 of 4 images have no label",
)
reads(
    GROUP,
    "rows without a file",
    saved("labels.csv", lambda t: t.assign(file=[*t["file"][:3], "gone.png"])),
    3,
    "not a file",
)
reads(
    GROUP,
    "names in another case, with another suffix or with spaces around them",
    saved("labels.csv", lambda t: t.assign(file=[" 0.png", "1.PNG", "2.jpg", "3.png"])),
    4,
    "another case or suffix than the table",
)
reads(
    GROUP,
    "names that files in two folders have",
    lambda root: saved("labels.csv", lambda t: t.assign(file=[f"{i}.png" for i in range(4)]))(
        images(root, "more/0.png")
    ),
    3,
    "the name of several files: 'more/0.png', 'pictures/0.png'",
)
reads(
    GROUP,
    "an identifier beside the path",
    saved("labels.csv", lambda t: t.assign(image_id=["0", "1", "2", "3"])),
    4,
    FOUND,
)
refused(
    GROUP,
    "several columns of files, such as masks",
    saved("labels.csv", lambda t: t.assign(mask=t["file"][::-1].to_numpy())),
    "hold files: name the one of the images",
)
refused(
    GROUP,
    "several columns that may be labels",
    saved("labels.csv", lambda t: t.rename(columns={"label": "dx"}).assign(sex="f")),
    "which column holds the labels is not clear: name it",
)
reads(
    GROUP,
    "the same, with the column named",
    saved("labels.csv", lambda t: t.rename(columns={"label": "dx"}).assign(sex="f")),
    4,
    label_column="dx",
)
refused(
    GROUP,
    "columns of labels with −1 or gaps (CheXpert)",
    saved("labels.csv", lambda t: one_hot(t).assign(cat=[1, -1, 0, 0])),
    "columns of labels must hold 0 and 1",
    label_column=["cat", "dog"],
)
refused(
    GROUP,
    "files that are not there",
    saved("labels.csv", lambda t: t.assign(file="gone.png")),
    "no column of the table holds files below",
)
refused(
    GROUP,
    "a file that is not UTF-8",
    saved("labels.csv", lambda t: t.assign(label="Äpfel"), encoding="cp1252"),
    "is not UTF-8: save it as UTF-8",
)
refused(GROUP, "an Excel file", no_table, "is a file: pass a folder of images, a table")

GROUP = "Lists"
reads(GROUP, "a list of paths", paths, 4, classes=())
reads(GROUP, "(paths, labels)", lambda root: (paths(root), LABELS), 4)
reads(
    GROUP,
    "[(path, label), ...], as `samples` of torchvision",
    lambda root: list(zip(paths(root), LABELS, strict=True)),
    4,
)


# Arrays and datasets ------------------------------------------------------------------------------


def x(root: Path | None = None) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (8, 8, 9, 3), dtype=np.uint8)


Y = np.arange(8) % 2
SEVERAL = np.array([[1, 0], [0, 1], [1, 1], [0, 0]] * 2)
NAMES = {"class_names": ["cat", "dog"]}


def batches() -> Any:
    """Yield batches of images and labels."""
    for start in range(0, 8, 3):
        yield x()[start : start + 3], Y[start : start + 3]


class Batches(keras.utils.PyDataset):
    """Batches by index."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return x()[4 * index : 4 * index + 4], Y[4 * index : 4 * index + 4]


def dataset(*, is_named: bool = False) -> Any:
    """Return a dataset of tf.data with one image and label in an element."""
    import tensorflow

    arrays = {"image": x(), "label": Y} if is_named else (x(), Y)
    return tensorflow.data.Dataset.from_tensor_slices(arrays)


def paths_dataset(root: Path) -> Any:
    """Return a dataset of tf.data of paths."""
    import tensorflow

    return tensorflow.data.Dataset.list_files(str(CLASSES(root) / "*" / "*.png"))


def of_directory(root: Path, **how: Any) -> Any:
    return keras.utils.image_dataset_from_directory(
        CLASSES(root), image_size=(8, 8), verbose=False, **how
    )


GROUP = "Arrays"
reads(GROUP, "(x, y) of `keras.datasets`, y indices", lambda root: (x(), Y), 8, **NAMES)
reads(GROUP, "y a column (N, 1)", lambda root: (x(), Y[:, np.newaxis]), 8, **NAMES)
reads(GROUP, "y one-hot", lambda root: (x(), np.eye(2)[Y]), 8, **NAMES)
reads(GROUP, "y with several labels a row", lambda root: (x(), SEVERAL), 8, **NAMES)
reads(GROUP, "y names", lambda root: (x(), [PETS[label] for label in Y]), 8)
reads(GROUP, "y indices without names", lambda root: (x(), Y), 8, classes=("0", "1"))
reads(GROUP, "x alone", x, 8, classes=())
reads(GROUP, "gray images (N, H, W)", lambda root: (x()[..., 0], Y), 8, **NAMES)
reads(
    GROUP,
    "a list of images of several sizes, or of Pillow",
    lambda root: ([Image.new("RGB", (9, 8)), x()[0]], [0, 1]),
    2,
    **NAMES,
)
reads(
    GROUP,
    "values of 0 to 1",
    lambda root: (x() / 255, Y),
    8,
    "a model is given the values of the arrays as they are, 0 to 1",
    **NAMES,
)
reads(
    GROUP,
    "values of 0 to 255 with fractions",
    lambda root: (x() * 0.7, Y),
    8,
    "they are shown as 0 to 255, rounded to whole grey levels",
    **NAMES,
)
reads(
    GROUP,
    "values of −1 to 1",
    lambda root: (x() / 127.5 - 1, Y),
    8,
    "a model is given the values of the arrays as they are, -1 to 1",
    **NAMES,
)
refused(
    GROUP,
    "values after another preprocessing",
    lambda root: x() - 120.0,
    "pass images from before the preprocessing, and a model that begins with it",
)
refused(
    GROUP,
    "values of 0 to 4095",
    lambda root: x().astype("uint16") * 16,
    "neither 0 to 1, -1 to 1 nor 0 to 255: multiply them by 255",
)
refused(
    GROUP,
    "channels first (N, C, H, W)",
    lambda root: np.moveaxis(x(), -1, 1),
    "channels first: pass np.moveaxis(images, 1, -1)",
)
refused(
    GROUP,
    "flat rows (N, 784)",
    lambda root: x().reshape(8, -1),
    "holds rows of numbers: pass images",
)
refused(GROUP, "one image (H, W, C)", lambda root: x()[0], "is one image: pass images[np.newaxis]")
refused(
    GROUP,
    "both sets of `load_data()`",
    lambda root: ((x(), Y), (x(), Y)),
    "pass one of them, such as load_images(data[1])",
)
refused(
    GROUP,
    "labels with fractions, as after label smoothing",
    lambda root: (x(), np.full((8, 2), 0.5)),
    "they must be 0 and 1",
)

GROUP = "Datasets"
reads(
    GROUP,
    "`image_dataset_from_directory`, shuffled or not",
    of_directory,
    4,
    "the images are the files of the dataset",
)
reads(
    GROUP,
    "a `tf.data.Dataset`, in batches or not",
    lambda root: dataset().batch(3),
    8,
    "in the order of the dataset",
    **NAMES,
)
reads(
    GROUP,
    "one that shuffles or augments",
    lambda root: dataset().shuffle(8),
    8,
    "the dataset shuffles or augments",
    **NAMES,
)
refused(
    GROUP,
    "one of paths",
    paths_dataset,
    "texts or paths: pass a list of paths",
)
refused(
    GROUP,
    "one that repeats",
    lambda root: dataset().batch(3).repeat(),
    "repeats without end: pass dataset.take",
)
refused(
    GROUP,
    "one of dictionaries (tensorflow_datasets, Hugging Face)",
    lambda root: dataset(is_named=True),
    "the images are dictionaries: pass pairs",
)
reads(
    GROUP,
    "a `keras.utils.PyDataset`",
    lambda root: Batches(),
    8,
    "in the order of the dataset",
    **NAMES,
)
reads(GROUP, "a generator of images or batches", lambda root: batches(), 8, **NAMES)
refused(GROUP, "none of these", lambda root: 3, "source is of type int: pass a folder, a table")

INTRODUCTION = """# What camkit loads

Each row is a kind of source that the tests of camkit build and pass to `camkit.load_images`. None
of them is read wrongly without a word: what is decided stands in `images.notes`, what is left out
in `images.skipped`, and what cannot be read is refused in one line that says what to do. The shell
prints these lines.

- **load_images**: how many images and classes of the small example are read, and the arguments
  that were given. "no": it is refused
- **shell**: `camkit analyze model.keras SOURCE` reads it as well. "–": it is no file or folder
- **it says**: part of the note, of the reason in `skipped`, or of the refusal
"""


def page() -> str:
    """Return the page "What camkit loads" as Markdown."""
    lines = [INTRODUCTION]
    for group in dict.fromkeys(source.group for source in SOURCES):
        lines.append(f"## {group}\n")
        lines.append("| source | load_images | shell | it says |")
        lines.append("| --- | --- | --- | --- |")
        for source in SOURCES:
            if source.group == group:
                cells = (source.name, cell(source), cell_of_shell(source), quoted(source.words))
                lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def cell(source: Source) -> str:
    """Return what becomes of a source."""
    if source.classes is None:
        return "no"
    # Numbers stay in one line with what they count.
    images = f"{source.count}\N{NO-BREAK SPACE}image{'s' * (source.count > 1)}"
    classes = "no labels"
    if source.classes:
        classes = f"{len(source.classes)}\N{NO-BREAK SPACE}class{'es' * (len(source.classes) > 1)}"
    names = "".join(f", with `{name}=`" for name in source.given)
    return f"{images}, {classes}{names}"


def is_file(source: Source) -> bool:
    """Return whether a source is a file or folder, which the shell takes."""
    return source.group not in ("Lists", "Arrays", "Datasets") and source.name != "a DataFrame"


def cell_of_shell(source: Source) -> str:
    """Return what the shell makes of a source."""
    if not is_file(source):
        return "–"
    if source.classes is None:
        return "no"
    options = [f"`{words[0]}`" for words in arguments_of_shell(source)]
    return "yes" + "".join(f", with {option}" for option in options)


def arguments_of_shell(source: Source) -> list[list[str]]:
    """Return the options of the shell for the arguments of a source."""
    options = []
    if "classes" in source.given:
        options.append(["--classes", *source.given["classes"]])
    if "split" in source.given:
        options.append(["--split", source.given["split"]])
    labels = source.given.get("label_column", [])
    columns = [
        source.given.get("path_column", ""),
        *([labels] if labels == str(labels) else labels),
    ]
    if any(columns):
        options.append(["--columns", ",".join(columns)])
    return options


def quoted(words: str) -> str:
    """Return words in quotes, or nothing."""
    return f"“{words}”" if words else ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
