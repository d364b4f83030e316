"""Image sets: the paths and labels of images, whose pixels are read on demand."""

import filecmp
import functools
import operator
import os
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from camkit.images._as_arrays import ArrayReader
from camkit.images._as_keras import SUFFIXES, KerasReader, Reader
from camkit.images._class_folders import class_places
from camkit.images._selection import positions
from camkit.images.decoding import THREADS, FileReader
from camkit.images.folders import split_of

# How many batches are decoded before they are requested.
_AHEAD = 2

# The label of an image without a class.
_NO_LABEL = -1


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """The paths and labels of N images. Indexing reads one image, iterating reads all.

    Attributes:
        root: The folder of the set.
        paths: The N files.
        labels: (N,) integers; `labels[i]` indexes `class_names`, -1 is no label. For images with
            several labels each, a mask (N, C) of booleans.
        class_names: The names of the classes, in the order of the labels.
        skipped: (path, reason) for each file or folder that was left out.
        metadata: A table with a row for each image and whatever else is known of it, such as the
            camera; None if nothing is.
        notes: What was decided while the images were found, a sentence each, such as which column
            of a table was taken for the labels.
        reader: How files become arrays.

    Example:
        >>> import camkit
        >>> images = camkit.load_images("mini", "Test")
        >>> len(images), images.class_names[:2], images.skipped
        (240, ['Apple Green', 'Apple Red'], [])
        >>> images[0].shape, images[0].dtype
        ((100, 100, 3), dtype('uint8'))
    """

    root: Path
    paths: list[Path]
    labels: np.ndarray
    class_names: list[str]
    skipped: list[tuple[Path, str]]
    metadata: pd.DataFrame | None = None
    notes: list[str] = field(default_factory=list)
    reader: Reader = FileReader()
    # The split of each image, where it is not that of its folder; see `splits`.
    _splits: list[str | None] | None = None
    # The folder of images that were no files before; it lives as long as a set that reads it.
    _temporary: TemporaryDirectory | None = None

    def __repr__(self) -> str:
        """Return a text with the number of images and classes, and the folder."""
        if self.class_names:
            classes = f"in {len(self.class_names)} classes"
        else:
            classes = "without labels"
        root = str(self.root)
        notes = "".join(f"; {note}" for note in self.notes)
        plural = "" if len(self) == 1 else "s"
        return (
            f"ImageSet({len(self)} image{plural} {classes}, {len(self.skipped)} skipped, "
            f"root={root!r}{notes})"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs; the temporary folder stays with this one."""
        return {**vars(self), "_temporary": None}

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        """Return image `index` as uint8 RGB (H, W, 3), at the size of its file.

        Raises:
            OSError: The file can no longer be read.
            IndexError: There is no such image.
        """
        path = self.paths[operator.index(index)]
        return self.reader(path)

    @property
    def splits(self) -> list[str | None]:
        """Return the split of each image, by the name of a folder or a column of a table.

        It is "training", "test" or "validation", whatever the folder is called, such as seg_train,
        dev or holdout; the name of a folder, such as "unseen", if this was loaded as the split; and
        None for images that lie in no such folder.

        Example:
            >>> import camkit
            >>> sorted(set(camkit.load_images("mini", split=None).splits))
            ['test', 'training']
        """
        if self._splits is not None:
            return list(self._splits)
        return [split_of(path) for path in self.paths]

    def select(self, indices: Sequence[int] | np.ndarray | pd.Series | slice) -> "ImageSet":
        """Return the set of the selected images, in the given order.

        Args:
            indices: Integers, a mask of N booleans, or a slice. A mask that is a column of a table
                is aligned by its index, and its missing values select nothing.

        Returns:
            An ImageSet with the same classes.

        Raises:
            IndexError: There is no such image, or there is not a boolean for each image.
            ValueError: The index of a mask is not 0 to N − 1, in any order.

        Example:
            >>> import camkit
            >>> images = camkit.load_images("mini", "Test")
            >>> len(images.select(images.labels == 0)), len(images.select(slice(0, 5)))
            (20, 5)
        """
        chosen = positions(indices, len(self))
        paths = [self.paths[i] for i in chosen]
        metadata = self.metadata
        if metadata is not None:
            metadata = metadata.iloc[chosen].reset_index(drop=True)
        splits = self._splits
        if splits is not None:
            splits = [splits[i] for i in chosen]
        return replace(
            self, paths=paths, labels=self.labels[chosen], metadata=metadata, _splits=splits
        )

    def unlabelled(self) -> "ImageSet":
        """Return the same images without labels: all are -1, and there are no class names.

        Example:
            >>> import camkit
            >>> images = camkit.load_images("mini", "Test").unlabelled()
            >>> int(images.labels.max()), images.class_names
            (-1, [])
        """
        labels = np.full(len(self), _NO_LABEL)
        return replace(self, labels=labels, class_names=[])

    def read_as_keras(
        self,
        *,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
    ) -> "ImageSet":
        """Return the same images, read as `keras.utils.image_dataset_from_directory` reads them.

        A model that was trained or evaluated on such a dataset then gets the very same numbers, and
        `camkit.analyze` finds the accuracy of `model.evaluate`. What differs from the way camkit
        reads: files are decoded and resized by TensorFlow, whatever the backend, without
        antialiasing; the orientation in EXIF is ignored, so that some photographs lie on their
        side; and values are not rounded. Only files that end in .bmp, .gif, .jpeg, .jpg and .png
        are read. The others move to `skipped`.

        Args:
            interpolation: "bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5",
                "gaussian" or "mitchellcubic", as Keras has it.
            crop_to_aspect_ratio: Whether the middle of each image is taken instead of the whole.
            pad_to_aspect_ratio: Whether black margins are added instead of stretching the image.

        Returns:
            The ImageSet, whose batches are float32.

        Raises:
            ValueError: Keras has no such interpolation, cannot combine these arguments, or reads
                none of the files; or the set was loaded with an `image_opener`, or from arrays
                whose values are not 0 to 255.
            ImportError: TensorFlow is not installed.

        Example:
            >>> import camkit
            >>> images = camkit.load_images("mini", "Test").read_as_keras(interpolation="nearest")
            >>> next(images.batches(32, size=64)).dtype
            dtype('float32')
        """
        if isinstance(self.reader, FileReader) and self.reader.opener is not None:
            raise ValueError(
                "the images are opened by an image_opener, which Keras does not have: load them "
                "without one"
            )
        if isinstance(self.reader, ArrayReader):
            raise ValueError(
                "the images were arrays, whose values a model is given as they are: leave "
                "read_as_keras out"
            )
        reader = KerasReader(interpolation, crop_to_aspect_ratio, pad_to_aspect_ratio)
        is_read = np.array([Path(path).suffix.lower() in SUFFIXES for path in self.paths], bool)
        reason = f"Keras reads files that end in {', '.join(SUFFIXES)}"
        passed_over = [(self.paths[i], reason) for i in np.flatnonzero(~is_read)]
        if len(passed_over) == len(self) > 0:
            raise ValueError(f"none of the images is one that Keras reads: {reason}")
        selected = self.select(is_read)
        return replace(selected, reader=reader, skipped=[*self.skipped, *passed_over])

    def copy_to(self, folder: str | os.PathLike) -> "ImageSet":
        """Return the same set with its files copied into a folder.

        Images that were arrays, or lay in an archive, are there only as long as the set is; in a
        folder they last. `camkit.load_images` reads the folder with the same labels and splits, so
        that labels which a review has changed last, too: the folder of an image is that of its
        class. The classes are then sorted, without those that have no images.

        Folders cannot tell several labels of an image. Such a set, and one without labels, keeps
        the folders that it has, and the labels stay in the set that is returned.

        Args:
            folder: The folder, which is created if it does not exist; choose a new one after each
                change of labels. Files keep their places below the root of the set, save for the
                folder of the class. Where these places would not tell the labels and splits, they
                go to split/class/name. If two files would have one place, one gets a number. An
                image without a label that lies elsewhere gets its number as its name. Files that
                are there already are left as they are.

        Returns:
            The ImageSet whose root is the folder, with the classes in the same order.

        Raises:
            ValueError: The folder holds another file of the same name, only some images have
                labels, or a class has a name that folders of classes cannot have; nothing is
                copied.
            OSError: The folder cannot be written to, or a file cannot be read.

        Example:
            >>> import camkit, numpy, tempfile
            >>> images = camkit.load_images(numpy.zeros((2, 8, 8, 3), "uint8"))
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     [path.name for path in images.copy_to(folder).paths]
            ['0000000.png', '0000001.png']
        """
        copied = self._copied_to(Path(folder).resolve())
        if self.labels.ndim == 1 and (self.labels >= 0).any():
            copied = copied._in_class_folders(self)
        self._copy_files(copied)
        return copied

    def _copy_files(self, copied: "ImageSet") -> None:
        """Copy the files to their places in another set, as `copy_to` says."""
        missing = {}
        for source, target in zip(self.paths, copied.paths, strict=True):
            if not target.exists():
                missing[target] = source
            elif not filecmp.cmp(source, target, shallow=False):
                raise ValueError(
                    f"{target} is there, and another file than {source}: choose a new folder"
                )
        for target, source in missing.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished = target.with_name(f"{target.name}.partial")
            shutil.copyfile(source, unfinished)
            os.replace(unfinished, target)

    def _in_class_folders(self, source: "ImageSet") -> "ImageSet":
        """Return a copy of the set `source`, of which no file is there yet, in class folders."""
        places = [path.relative_to(self.root) for path in self.paths]
        splits = source.splits
        places = class_places(source.paths, places, self.labels, self.class_names, splits)
        paths = [self.root / place for place in places]
        if self.root == source.root and paths != source.paths:
            raise ValueError(
                f"the labels are not those of the folders in {self.root}, which would stay: choose "
                "a new folder"
            )
        return replace(self, paths=paths, _splits=splits)

    def _copied_to(self, folder: Path) -> "ImageSet":
        """Return the set in a folder in which there are no files yet, at their places."""
        paths = []
        for number, path in enumerate(self.paths):
            is_inside = path.is_relative_to(self.root)
            inner = path.relative_to(self.root) if is_inside else f"{number:07}{path.suffix}"
            paths.append(folder / inner)
        return replace(self, root=folder, paths=paths, _temporary=None)

    def batches(
        self, batch_size: int, size: int | tuple[int, int], *, channels: int = 3
    ) -> Iterator[np.ndarray]:
        """Yield the images in order, in batches, all stretched to one size.

        They are resized bilinearly with antialiasing, unless `read_as_keras` says otherwise. At
        most two batches are decoded ahead, in threads.

        Args:
            batch_size: How many images a batch has at most; the last one may have fewer.
            size: The size of the images: one number, or (height, width).
            channels: 1 for gray, 3 for RGB, 4 for RGBA.

        Yields:
            (B, height, width, channels), B ≤ batch_size, uint8; float32 if read as by Keras,
            and for arrays whose values were not whole numbers of 0 to 255.

        Raises:
            ValueError: `batch_size` is less than 1, or there are no images of so many channels.
            OSError: A file can no longer be read.

        Example:
            >>> import camkit
            >>> images = camkit.load_images("mini", "Test")
            >>> next(images.batches(32, size=64)).shape
            (32, 64, 64, 3)
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}: it must be at least 1")
        height, width = np.broadcast_to(size, 2).tolist()
        read = functools.partial(self.reader, size=(height, width), channels=channels)
        decoded: deque[list[Future]] = deque()
        pool = ThreadPoolExecutor(THREADS)
        try:
            for start in range(0, len(self), batch_size):
                paths = self.paths[start : start + batch_size]
                batch = [pool.submit(read, path) for path in paths]
                decoded.append(batch)
                if len(decoded) > _AHEAD:
                    yield _stack(decoded.popleft())
            while decoded:
                yield _stack(decoded.popleft())
        finally:
            pool.shutdown(cancel_futures=True)


def _stack(batch: list[Future]) -> np.ndarray:
    """Wait until all images of a batch are decoded, and return them as one array."""
    return np.stack([image.result() for image in batch])
