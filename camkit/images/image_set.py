"""Images: reading a class-per-folder set, be it the embedded one, Fruits-360 or a user's own.

`load_images` finds the class folders, decodes every file once to see that it is whole, and returns an
`ImageSet` that knows paths and labels; pixels are read when somebody asks for them.
"""

import logging
import operator
import os
import warnings
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from camkit._progress import progress
from camkit._quiet import held_back
from camkit.images.folders import FORMATS, SUFFIXES, candidates, find_set, folders, quote

THREADS, AHEAD = 4, 2  # decoders; batches decoded before they are asked for
UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}  # what puts a picture upright, by its EXIF orientation
warnings.filterwarnings(
    "ignore", category=UserWarning, module=r"PIL\."
)  # "Corrupt EXIF data" and such
logging.getLogger("PIL").addHandler(logging.NullHandler())  # its errors are raised as well


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """Paths and labels of images: `labels[i]` indexes `class_names`, -1 is no label; `skipped` holds (path, reason)."""

    root: Path
    paths: list
    labels: np.ndarray
    class_names: list
    skipped: list

    def __repr__(self):
        classes = f"in {len(self.class_names)} classes" if self.class_names else "without labels"
        return (
            f"ImageSet({len(self)} images {classes}, "
            f"{len(self.skipped)} skipped, root={str(self.root)!r})"
        )

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        """Image `index`, uint8 RGB (H, W, 3), at its own size."""
        return read_image(self.paths[operator.index(index)])

    def select(self, indices):
        """The set of these images only, in this order; `indices` are whole numbers, a mask or a slice."""
        chosen = np.arange(len(self))[indices]
        return replace(self, paths=[self.paths[i] for i in chosen], labels=self.labels[chosen])

    def unlabelled(self):
        """The same images without their labels: all -1, and no class names."""
        return replace(self, labels=np.full(len(self), -1), class_names=[])

    def batches(self, batch_size, size):
        """Yield the images in order as uint8 (B, h, w, 3), B <= batch_size, stretched to `size` (int or h,w).

        Resizing is bilinear with antialiasing. Two batches at the most are decoded ahead, in threads.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}: it must be at least 1")
        size = (size, size) if np.ndim(size) == 0 else tuple(size)
        ahead, pool = deque(), ThreadPoolExecutor(THREADS)
        try:
            for start in range(0, len(self), batch_size):
                paths = self.paths[start : start + batch_size]
                ahead.append([pool.submit(read_image, path, size) for path in paths])
                if len(ahead) > AHEAD:
                    yield np.stack([image.result() for image in ahead.popleft()])
            while ahead:
                yield np.stack([image.result() for image in ahead.popleft()])
        finally:
            pool.shutdown(cancel_futures=True)


def load_images(source="mini", split="Test", *, classes=None, per_class=None, seed=0):
    """An `ImageSet` of the readable images of `source`, sorted by class and path.

    source: "mini" (embedded), "fruits-360" (downloaded on first use) or a folder that holds, at most three
    levels down, Training/ and Test/ with a folder for each class, or else the class folders themselves; failing
    these, the pictures that lie in the folder itself, without labels.
    split: "Training", "Test", "Validation", or None for all. Folders may be called train, val and valid, in
    any case; "Test" falls back on a validation folder. A set without split folders comes back whole whichever
    split is asked: before training, see that the two share no path.
    classes: the names wanted, None for all. per_class: at most so many readable images each, drawn by `seed`.

    Classes are the sorted names of the folders in all splits, so a label means the same in Training and in
    Test, and a class keeps its place where none of its images can be read. What cannot be read goes to
    `skipped`; hidden files and notes (.txt, .csv, .json, ...) are passed over. Raises FileNotFoundError where
    there is no set, no such split or no readable image; ValueError for an unknown split or class, and where a
    folder holds several sets.
    """
    if per_class is not None and per_class < 1:
        raise ValueError(f"per_class is {per_class}: it must be at least 1, or None for all images")
    root, parts, everywhere = find_set(source, split)
    files = {folder: candidates(folder) for part in everywhere for folder in folders(part)}
    names = sorted({folder.name for folder, inside in files.items() if inside})
    wanted = sorted(
        {classes} if isinstance(classes, str) else set(names if classes is None else classes)
    )
    if unknown := set(wanted) - set(names):
        raise ValueError(f"no class {quote(unknown)} in {root}; its classes are {quote(names)}")
    skipped = [
        (path, "a folder without images" if path in files else "outside the class folders")
        for part in parts
        if everywhere
        for path in candidates(part)
        if not files.get(path) and (path in files or path.suffix.lower() in SUFFIXES)
    ]
    paths, labels = [], []
    queues = (
        [
            _draw(
                [path for part in parts for path in files.get(part / name, [])],
                name,
                per_class,
                seed,
            )
            for name in wanted
        ]
        if everywhere
        else [_draw(candidates(root), "", per_class, seed)]
    )
    with (
        ThreadPoolExecutor(THREADS) as pool,
        warnings.catch_warnings(),
        progress(sum(quota for _, quota in queues), "Checking images", "image") as bar,
    ):
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for label, (queue, quota) in enumerate(queues):
            good = []
            while queue and (missing := quota - len(good)):
                for path, reason in zip(queue[:missing], pool.map(_check, queue[:missing])):
                    skipped.append((path, reason)) if reason else good.append(path)
                    bar.update()
                queue = queue[missing:]
            paths += sorted(good)
            labels += [label if everywhere else -1] * len(good)
    if not paths:
        reasons = "; ".join(f"{path.name}: {reason}" for path, reason in skipped[:3])
        where = f"class folders {quote(wanted)}" if everywhere else "it"
        raise FileNotFoundError(
            f"no readable image in {quote(parts)}: looked for {', '.join(FORMATS)} in "
            f"{where}, set aside {len(skipped)} files ({reasons})"
        )
    return ImageSet(root, paths, np.array(labels), wanted, skipped)


def read_image(path, size=None):
    """The image in a file as uint8 RGB (H, W, 3), turned upright; stretched to `size` (h, w) where given.

    Transparency is laid on white; an animation gives its first frame; 16-bit gray is divided by 257. 32-bit
    samples have no fixed range: white is 65535 for integers, and for floats the first of 1, 255, 65535 that
    is no less than the largest sample; a larger sample is itself white. Raises OSError with the reason.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            image = _to_rgb(image)
    except Exception as error:
        raise OSError(f"{path} cannot be read: {_explain(Path(path), error)}") from error
    return np.array(
        image if size is None else image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    )


def _to_rgb(image):
    """An opened image as an upright 8-bit RGB image."""
    with (
        held_back(drop=True) if image.format == "TIFF" else nullcontext()
    ):  # libtiff writes to standard error
        image.load()
    try:
        turn = UPRIGHT.get(image.getexif().get(0x0112))
    except Exception:  # the EXIF block is damaged, but the picture is whole
        turn = None
    if image.mode.startswith(("I", "F")):
        samples = np.nan_to_num(np.array(image, np.float32), copy=False, posinf=0, neginf=0)
        samples.clip(0, None, out=samples)
        ranges = (1, 255, 65535) if image.mode == "F" else (65535,)
        white = next((top for top in ranges if samples.max() <= top), samples.max())
        samples *= 255 / white  # in place: a picture may have 89 million pixels
        image = Image.fromarray(np.rint(samples, out=samples).astype(np.uint8))
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("RGB")
    return image.transpose(Image.Transpose[turn]) if turn else image


def _check(path):
    """Why a file is not a whole image, or None; JPEG is read to its end, at an eighth of its size."""
    try:
        if not (path.is_file() or path.is_dir()):
            raise FileNotFoundError(path)  # or a pipe, on which opening would wait
        with Image.open(path, formats=FORMATS) as image:
            image.draft(None, (image.width // 8, image.height // 8))
            _to_rgb(image)
    except Exception as error:
        return _explain(path, error)


def _explain(path, error):
    """The reason why a file cannot be read, in words."""
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if path.is_dir():
        return "a folder, not an image"
    if not path.is_file():
        return "a broken link" if path.is_symlink() else "not a file"
    if path.stat().st_size == 0:
        return "empty"
    if isinstance(error, UnidentifiedImageError):
        return f"not an image of a known kind ({', '.join(FORMATS)})"
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return f"a decompression bomb: more than {Image.MAX_IMAGE_PIXELS:,} pixels"
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is"
    return f"truncated or damaged: {error}"


def _draw(paths, name, per_class, seed):
    """The paths in the order in which they are tried, and how many to take; a class's draw is its own."""
    if per_class is None or per_class >= len(paths):
        return paths, len(paths)
    order = np.random.default_rng([seed, *os.fsencode(name)]).permutation(len(paths))
    return [paths[i] for i in order], per_class
