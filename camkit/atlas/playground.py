"""The playground: a page in which the model itself runs, from disk and without a network.

The page holds the model up to its features as an ONNX file, the weights of the head, and the engine
that runs it, onnxruntime-web in `engine/`. From the features the page computes class maps, scores
and probabilities by the equation, M = F · W and mean(M) + b.
"""

import base64
import gzip
import os
import shutil
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from camkit._class_names import names_in_order
from camkit.atlas._encoding import browser_image, script_json
from camkit.atlas._view import joined, stylesheet
from camkit.atlas.record import palette
from camkit.images import ImageSet
from camkit.maps._onnx import onnx_features
from camkit.plots import SIGNED

if TYPE_CHECKING:
    import keras

ENGINE = Path(__file__).with_name("engine")

# The first images of so many classes are the examples of a page.
MOST_EXAMPLES = 24

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Playground</title><style>body {{ margin: 1rem; }}
{css}</style></head><body><main><h1>Playground</h1><div id="atlas"></div></main>
<noscript>This page runs a model with JavaScript: allow it to run.</noscript>
<script src="data/model.js"></script>
<script type="module">
{script}</script></body></html>
"""


def write_playground(
    model: "keras.Model",
    folder: str | os.PathLike[str],
    images: ImageSet | None = None,
    *,
    class_names: Sequence[str] | Mapping | None = None,
    input_size: int | tuple[int, int] | None = None,
) -> Path:
    """Return the path of a page in which the model runs, which is written to a folder.

    The page opens from disk and needs no server, no network and no Python. It takes a photograph
    (from a file, dropped, pasted or from the camera) and shows the maps of all classes, M = F · W,
    with their scores, mean(M) + b. It follows at once when something is painted out, when an object
    is moved over the picture, and when noise is added. Nothing that is shown leaves the computer.

    The model is converted by Keras to ONNX and run by onnxruntime-web, which is part of the page
    (4.9 MB). Its maps differ from those of camkit.CAM by rounding only, less than 1/1000 of the
    highest value. Pictures are stretched to the input of the model exactly as `camkit.read_image`
    does it; files of photographs may differ by a grey level or so, since browsers decode JPEG in
    their own ways and as a whole.

    Args:
        model: A Keras model with a GAP → Dense head on one map (h, w, K), which reads gray or RGB
            images in the value range of files, 0..255, as `camkit.analyze` gives them.
        folder: The folder, which need not exist; a playground that it holds is replaced.
        images: The first image of each class, up to 24 of them, becomes an example on the page.
            None for the embedded fruits.
        class_names: A name for each class of the model, in the order of its outputs. None for the
            model's own names.
        input_size: The size of the images in pixels, one number or (height, width). It is required
            if the model takes images of any size.

    Returns:
        The path of index.html.

    Raises:
        HeadError: The model has no such head.
        ValueError: The model cannot be converted, its input size is unknown, there are fewer or
            more names than classes, or the folder holds something other than a playground.
        OSError: An image cannot be read, or the folder cannot be written to.
        ImportError: `pip install 'camkit[playground]'` installs what converts the model.

    Example:
        >>> import tempfile
        >>> import camkit
        >>> images = camkit.load_images("mini", "Test", per_class=1)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = camkit.write_playground(model, folder + "/playground")
        ...     print(page.name, page.exists())
        index.html True
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()) and not (folder / "data" / "model.js").exists():
        raise ValueError(
            f"{folder} holds something other than a playground: choose an empty folder or a new one"
        )
    data = {
        "model": play_model(model, class_names, input_size),
        "examples": _examples(images),
    }
    shutil.rmtree(folder / "data", ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    write_engine(folder / "data")
    script = f"window.camkitPlayground={script_json(data)};"
    (folder / "data" / "model.js").write_text(script, encoding="ascii")
    page = PAGE.format(css=stylesheet(), script=joined("playground.js"))
    (folder / "index.html").write_text(page, encoding="utf-8")
    return folder / "index.html"


def play_model(
    model: "keras.Model",
    class_names: Sequence[str] | Mapping | None,
    input_size: int | tuple[int, int] | None,
) -> dict[str, Any]:
    """Return what the view needs to run a model: see `PlayModel` in view/types.d.ts.

    Raises the errors of `write_playground`.
    """
    features = onnx_features(model, input_size)
    onnx = _compressed(features.content)
    return {
        "onnx": onnx,
        "kernel": _base64(features.kernel.astype("<f4").tobytes()),
        "bias": _base64(features.bias.astype("<f4").tobytes()),
        "inputShape": features.input_shape,
        "featureShape": features.feature_shape,
        "activation": features.activation,
        "classNames": _names(class_names or features.class_names, len(features.bias)),
        "palette": palette(SIGNED, 256),
        "size": len(onnx) + len(_engine()),
    }


def _names(class_names: Sequence[str] | Mapping | None, count: int) -> list[str]:
    """Return a name for each of `count` classes. Raises ValueError if there are not as many."""
    if class_names is None:
        return [f"class {c}" for c in range(count)]
    names = names_in_order(class_names)
    if len(names) != count:
        raise ValueError(
            f"there are {len(names)} class names and the model has {count} classes: give each "
            "output a name"
        )
    return names


def _examples(images: ImageSet | None) -> list[dict[str, str]]:
    """Return the first image of each class with its name, as addresses that have the data."""
    if images is None:
        from camkit.images.loading import load_images

        images = load_images("mini", "Test", per_class=1)
    examples = []
    if images.class_names:
        _, first = np.unique(images.labels, return_index=True)
    else:
        first = np.arange(len(images))
    for i in first[:MOST_EXAMPLES]:
        path = images.paths[i]
        data, kind = browser_image(path, images.reader)
        name = images.class_names[images.labels[i]] if images.class_names else Path(path).stem
        examples.append({"name": name, "src": f"data:image/{kind};base64,{_base64(data)}"})
    return examples


def write_engine(folder: Path) -> None:
    """Write the engine as a script that a page on disk can run, to engine.js in a folder."""
    (folder / "engine.js").write_text(_engine(), encoding="ascii")


@cache
def _engine() -> str:
    """Return the script that gives the page its engine: see `EngineFiles` in view/types.d.ts."""
    files = {
        "worker": joined("engine-worker.js"),
        "module": _compressed((ENGINE / "ort.wasm.bundle.min.mjs").read_bytes()),
        "wasm": _base64((ENGINE / "ort-wasm-simd-threaded.wasm.gz").read_bytes()),
    }
    licence = (ENGINE / "LICENSE").read_text(encoding="utf-8")
    return f"/* onnxruntime-web\n{licence}*/\nwindow.camkitEngine={script_json(files)};"


def _compressed(data: bytes) -> str:
    return _base64(gzip.compress(data, mtime=0))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
