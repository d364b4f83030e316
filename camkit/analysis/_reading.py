"""How the files of a stored analysis are read: the reader that about.json describes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from camkit.images._as_arrays import ArrayReader
from camkit.images._as_keras import KerasReader, Reader
from camkit.images.decoding import FileReader


def reader_of_description(description: dict[str, Any] | None) -> Reader:
    """Return the reader that about.json describes."""
    if description is None:
        return FileReader()
    if "keras" in description:
        return KerasReader(**description["keras"])
    if "array" in description:
        return ArrayReader(**description["array"])
    name = description.get("opener")
    return FileReader(
        None if name is None else _LostOpener(name),
        integer_white=description.get("integer_white"),
        float_white=description.get("float_white"),
    )


@dataclass(frozen=True)
class _LostOpener:
    """Stands for an opener that a stored analysis only has the name of."""

    __name__: str

    def __call__(self, path: Path) -> NoReturn:
        raise LookupError(
            "an analysis stores only its name: pass camkit.load_images(..., image_opener="
            f"{self.__name__}) to camkit.analyze with the same model and folder, which finds the "
            "work done"
        )
