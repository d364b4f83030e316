"""Faults planted in a set of images, and how many of them `camkit.data_faults` finds."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFilter

ROOT = Path(__file__).resolve().parents[1]
SPLITS = ("Training", "Test")


def saved(image, quality=90):
    """Return the bytes of an image as a JPEG file."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def reencoded(image, random):
    return saved(image, quality=35)


def halved(image, random):
    return saved(image.resize((image.width // 2, image.height // 2)))


def mirrored(image, random):
    return saved(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))


def cropped(image, random):
    """Nine tenths of each side, anywhere."""
    x = random.uniform(0, 0.1) * image.width
    y = random.uniform(0, 0.1) * image.height
    box = (x, y, x + 0.9 * image.width, y + 0.9 * image.height)
    return saved(image.crop([round(edge) for edge in box]))


def turned(image, random):
    """The same object, shot again: turned by a degree in the picture."""
    corner = image.getpixel((0, 0))
    return saved(image.rotate(1, Image.Resampling.BICUBIC, fillcolor=corner), 95)


def levels(factor, base=0):
    """Return a function that brings all pixels nearer to a level."""
    return lambda image, random: saved(
        image.point(lambda level: base + (level - base) * factor), 95
    )


def blurred(image, random):
    radius = 0.02 * max(image.size)
    return saved(image.filter(ImageFilter.GaussianBlur(radius)))


def uniform(image, random):
    colour = tuple(random.integers(60, 200, 3).tolist())
    return saved(Image.new("RGB", image.size, colour))


def tiny(image, random):
    return saved(image.resize((12, 12)))


def stripe(image, random):
    middle = image.crop((0, 3 * image.height // 8, image.width, 5 * image.height // 8))
    return saved(middle.resize((3 * image.width, image.height // 3)))


def gray(image, random):
    return saved(image.convert("L").convert("RGB"))


def stranger(image, random):
    """A picture of coloured shapes, each time other ones."""
    colours = random.integers(0, 256, (12, 3)).tolist()
    picture = Image.new("RGB", image.size, tuple(colours[0]))
    draw = ImageDraw.Draw(picture)
    shapes = [draw.ellipse, draw.rectangle, draw.line]
    for colour in colours[1:]:
        corners = random.uniform(0, 1, (2, 2)) * image.size
        low, high = corners.min(axis=0), corners.max(axis=0)
        shape = shapes[random.integers(len(shapes))]
        shape([*low.tolist(), *high.tolist()], tuple(colour))
    return saved(picture)


COPIES = {
    "exact": None,
    "re-encoded": reencoded,
    "half size": halved,
    "mirrored": mirrored,
    "cropped": cropped,
}
# What takes the place of an image, by the kind of the fault.
REPLACED = {
    "label": None,
    "stranger": stranger,
    "dark": levels(0.15),
    "bright": levels(0.04, 255),
    "blurry": blurred,
    "uniform": uniform,
    "odd size": tiny,
    "odd shape": stripe,
    "gray": gray,
}


class Planted(NamedTuple):
    """A fault that was planted: its kind and case, and the file."""

    kind: str
    case: str
    path: str


class Garden:
    """A folder of images in which faults are planted.

    Args:
        images: The training and the test set, with the same classes.
        folder: An empty folder; Training and Test are made in it.
        seed: Draws the images that the faults are made of; none is used twice.
    """

    def __init__(self, images, folder, seed=0):
        self.random = np.random.default_rng(seed)
        self.folder = Path(folder)
        self.names = images[0].class_names
        self.planted = []
        self._unused = []
        for split, part in zip(SPLITS, images, strict=True):
            for path, label in zip(part.paths, part.labels, strict=True):
                target = self.folder / split / self.names[label] / Path(path).name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(Path(path).read_bytes())
                self._unused.append(target)
        self._unused = [self._unused[n] for n in self.random.permutation(len(self._unused))]

    def copy(self, case, change, relation):
        """Add a copy of an image in the same class, another class or the other split."""
        source = self._unused.pop()
        split, name = source.parts[-3:-1]
        if relation == "other class":
            name = self._other_class(name)
        if relation == "other split":
            split = SPLITS[1 - SPLITS.index(split)]
        self._write("copy", f"{case}, {relation}", split, name, self._changed(source, change))

    def twin(self):
        """Add an image of an object under another label that was shot again."""
        source = self._unused.pop()
        split, name = source.parts[-3:-1]
        content = self._changed(source, turned)
        self._write("twin", "twin", split, self._other_class(name), content)

    def replace(self, kind, change):
        """Put another image in the place of one, or another label."""
        source = self._unused.pop()
        split, name = source.parts[-3:-1]
        if kind == "label":
            name = self._other_class(name)
        self._write(kind, kind, split, name, self._changed(source, change))
        source.unlink()

    def _other_class(self, name):
        return self.random.choice([other for other in self.names if other != name])

    def _changed(self, path, change):
        """Return the bytes of a file after a change of its image; None changes nothing."""
        if change is None:
            return path.read_bytes()
        with Image.open(path) as image:
            return change(image.convert("RGB"), self.random)

    def _write(self, kind, case, split, name, content):
        number = len(self.planted)
        target = self.folder / split / name / f"{case.replace(' ', '-')}-{number}.jpg"
        target.write_bytes(content)
        self.planted.append(Planted(kind, case, str(target)))


def plant(images, folder, each=3, seed=0):
    """Write images with faults to a folder, `each` of every kind and case; return the faults."""
    garden = Garden(images, folder, seed)
    for _ in range(each):
        for case, change in COPIES.items():
            for relation in ("same class", "other class", "other split"):
                garden.copy(case, change, relation)
        garden.twin()
        for kind, change in REPLACED.items():
            garden.replace(kind, change)
    return garden.planted


def names_of(paths):
    """Return split, class and name of each path, as data/planted.json has them."""
    return ["/".join(Path(path).parts[-3:]) for path in paths]


def faults_of_the_set():
    """Return the wrong labels in the embedded set, as data/planted.json has them."""
    return json.loads((ROOT / "data" / "planted.json").read_text())


def wrong_in_the_set():
    """Return the names of the images of the embedded set whose label is wrong, or one of two."""
    keys = ("path", "other_path")
    return [fault[key] for fault in faults_of_the_set() for key in keys if key in fault]


def clean(part):
    """Return images, or an analysis of them, without those whose label is wrong already."""
    return part.select(~np.isin(names_of(part.paths), wrong_in_the_set()))


def with_wrong_labels(analysis, share, random):
    """Return an analysis with a share of its labels changed, and the paths of those images."""
    labels = analysis.labels.copy()
    rows = random.permutation(len(labels))[: round(share * len(labels))]
    classes = len(analysis.class_names)
    labels[rows] = (labels[rows] + random.integers(1, classes, len(rows))) % classes
    return replace(analysis, labels=labels), {analysis.paths[i] for i in rows}


def results(planted, faults):
    """Return a table of recall and precision for each kind that was planted.

    A planted fault is found if a row of its kind has its file as `path` or `other`. A row is wrong
    if nothing was planted in either of its files; a row about a fault of another kind counts for
    nothing. A twin is found as a copy or a wrong label, too: then it is not listed again. Each
    wrong row is counted once, for its own kind.
    """
    truth = pd.DataFrame(planted)
    rows = []
    for kind, of_kind in truth.groupby("kind", sort=False):
        kinds = ["twin", "copy", "label"] if kind == "twin" else [kind]
        listed = faults[faults["kind"].isin(kinds)]
        found = of_kind["path"].isin([*listed["path"], *listed["other"]])
        is_right = listed["path"].isin(of_kind["path"]) | listed["other"].isin(of_kind["path"])
        is_planted = listed["path"].isin(truth["path"]) | listed["other"].isin(truth["path"])
        right = is_right.sum()
        is_wrong = (listed["kind"] == kind) & ~is_planted
        precision = right / max(right + is_wrong.sum(), 1)
        missed = of_kind.loc[~found, "case"].value_counts().to_dict()
        rows.append((kind, len(of_kind), found.mean(), precision, missed))
    return pd.DataFrame(rows, columns=["kind", "planted", "recall", "precision", "missed"])
