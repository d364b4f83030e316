"""Write what can be used while the lessons run: python notebooks/site/front.py FOLDER

That is the playground, in which the model of the lessons runs, and the front page, which begins
with it. The model is the embedded backbone with a head that is trained here as in lesson 2, on the
embedded training images: seconds. The files in `playground/` serve all pages. Each shows the
playground in a frame of its own, `pages.frame`.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import run
from pages import FOLDER, LESSONS, PLAYGROUND, page, page_name

import camkit
from camkit.atlas._view import joined, stylesheet

if TYPE_CHECKING:
    import keras

INDEX = LESSONS / "00-index.ipynb"

# The end of the script of a frame.
FRAME_SCRIPT = FOLDER / "frame.js"

# A page on disk may not load modules, so what a frame runs is one script.
SCRIPT = """(() => {{
"use strict";
document.getElementById("atlas").replaceChildren();
{view}
{frame}}})();
"""


def write(folder: Path) -> Path:
    """Return the path of the front page, which is written with the playground into a folder."""
    write_playground(folder / PLAYGROUND)
    front = folder / page_name(INDEX.name)
    front.write_text(page(latest(folder), INDEX.name), encoding="utf-8")
    return front


def write_playground(folder: Path) -> None:
    """Write the playground into a folder, unless one that was made from the same lies there."""
    made_from = folder / "made-from.txt"
    checksum = run.made_from(Path(__file__), FRAME_SCRIPT)
    if made_from.exists() and made_from.read_text() == checksum:
        return
    made_from.unlink(missing_ok=True)
    camkit.write_playground(trained_model(), folder)
    frame = FRAME_SCRIPT.read_text(encoding="utf-8")
    script = SCRIPT.format(view=joined("playground.js"), frame=frame)
    (folder / "frame.js").write_text(script, encoding="utf-8")
    (folder / "frame.css").write_text(stylesheet(), encoding="utf-8")
    made_from.write_text(checksum)


def trained_model() -> "keras.Model":
    """Return the embedded backbone with a head for the embedded images."""
    images = camkit.load_images("mini", "Training")
    model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
    camkit.train_head(model, images)
    return model


def latest(folder: Path) -> nbformat.NotebookNode:
    """Return the index with its outputs if it has run in this folder, else without."""
    executed = folder / INDEX.name
    if executed.exists():
        notebook = nbformat.read(executed, as_version=4)
        if notebook.metadata.get("made_from") == run.made_from(INDEX):
            return notebook
    return nbformat.read(INDEX, as_version=4)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
