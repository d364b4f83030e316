"""Checking: whether the files of a set are complete images, and how they are to be read."""

from pathlib import Path
from threading import Lock

from PIL import Image

from camkit.images._samples import Depth, depth_of, is_dark_colour, white_of
from camkit.images.decoding import FileReader, Opener, is_one_of_several, is_windowless

_WHITE_16_BIT = 65535

# How several sets are read by one white.
_ALIKE = (
    "(to read other images alike, such as another split, load them together, split=None, and take "
    "each by images.select)"
)

# An image is nearly black if no sample exceeds this fraction of white.
_NEARLY_BLACK = 16


class Checker:
    """Checks the files of one set, in any number of threads."""

    def __init__(self, opener: Opener | None = None) -> None:
        """Check files that `opener` opens; None for Pillow."""
        self._opener = opener
        self._reader = FileReader(opener)
        self._lock = Lock()
        self._depths: dict[Path, Depth] = {}
        # The files of each kind that the user should know of.
        self._several: list[Path] = []
        self._windowless: list[Path] = []
        self._dark_colours: list[Path] = []

    def reason(self, path: Path) -> str | None:
        """Return why a file is not a complete image, or None if it is one.

        The reason is in words, such as "empty" or "truncated or damaged: ...". A JPEG file is read
        to its end, but decoded only at an eighth of its size.
        """
        try:
            # Opening a pipe would block until another process writes to it.
            if not (path.is_file() or path.is_dir()):
                raise FileNotFoundError(path)
            with self._reader.opened(path, keeps_digest=True) as image:
                eighth = (max(image.width // 8, 1), max(image.height // 8, 1))
                image.draft(None, eighth)
                self._reader.upright(image, "RGB")
                self._note(path, image)
        except Exception as error:
            return self._reader.explained(path, error)
        return None

    def _note(self, path: Path, image: Image.Image) -> None:
        """Take note of what a decoded image says on how it is to be read."""
        depth = depth_of(image)
        kinds = [
            (self._several, is_one_of_several(image)),
            (self._windowless, is_windowless(image)),
            (self._dark_colours, is_dark_colour(image)),
        ]
        with self._lock:
            if depth is not None:
                self._depths[path] = depth
            for paths, is_of_kind in kinds:
                if is_of_kind:
                    paths.append(path)

    @property
    def reader(self) -> FileReader:
        """The reader of the files that were found complete, one white for all."""
        integers = [depth for depth in self._depths.values() if not depth.is_float]
        floats = [depth for depth in self._depths.values() if depth.is_float]
        return FileReader(
            self._opener,
            integer_white=white_of(integers) if integers else None,
            float_white=white_of(floats) if floats else None,
        )

    @property
    def notes(self) -> list[str]:
        """What the user should know of how the files are read, a sentence each."""
        reader = self.reader
        notes = []
        if reader.integer_white not in (None, _WHITE_16_BIT):
            notes.append(
                f"no sample of the gray files of 16 or 32 bits exceeds {reader.integer_white:g}, "
                f"which is read as white {_ALIKE}"
            )
        if reader.float_white is not None:
            notes.append(f"{reader.float_white:g} is read as white in the files of floats {_ALIKE}")
        own, dark = self._unlike(reader)
        clipped = [path for path, depth in self._depths.items() if depth.is_clipped_at_0]
        kinds = [
            (own, "files with fewer bits than others, each read by its own white"),
            (
                dark,
                "files that are nearly black, since their samples are small beside those of others "
                "(if they have fewer bits, load them by themselves)",
            ),
            (
                clipped,
                "files with samples that are negative or no numbers, read as black (pass "
                "image_opener= to read them otherwise)",
            ),
            (self._several, "files of several images, of which the first is read"),
            (
                self._windowless,
                "DICOM without a window, read from its smallest value to its largest",
            ),
            (
                self._dark_colours,
                "colours of 16 bits that are nearly black, since their upper 8 bits alone are read "
                "(pass image_opener=)",
            ),
        ]
        for paths, what in kinds:
            if paths:
                more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
                notes.append(f"{what}: {min(paths).name}{more}")
        return notes

    def _unlike(self, reader: FileReader) -> tuple[list[Path], list[Path]]:
        """Return the files whose own white is less than that of all, and those nearly black."""
        own, dark = [], []
        for path, depth in self._depths.items():
            white = reader.float_white if depth.is_float else reader.integer_white
            if white is None:
                continue
            if depth.own_white is not None and depth.own_white < white:
                own.append(path)
            elif depth.largest <= white / _NEARLY_BLACK:
                dark.append(path)
        return own, dark
