"""Checking: whether the files of a set are complete images, and how they are to be read."""

from pathlib import Path

from camkit.images.decoding import FileReader, Opener


class Checker:
    """Checks the files of one set, in any number of threads.

    Attributes:
        reader: The reader of the files that were found complete.
        notes: What the user should know of how they are read, a sentence each.
    """

    def __init__(self, opener: Opener | None = None) -> None:
        """Check files that `opener` opens; None for Pillow."""
        self._reader = FileReader(opener)

    @property
    def reader(self) -> FileReader:
        return self._reader

    @property
    def notes(self) -> list[str]:
        return []

    def reason(self, path: Path) -> str | None:
        """Return why a file is not a complete image, such as "empty", or None if it is one."""
        return self._reader.check(path)
