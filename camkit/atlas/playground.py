"""The playground: a page in which the model itself runs, from disk and without a network.

The page holds the model up to its features as an ONNX file, the weights of the head, and the engine
that runs it, onnxruntime-web in `engine/`. From the features the page computes class maps, scores
and probabilities by the equation, M = F · W and mean(M) + b.
"""

import gzip
import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from camkit._class_names import names_in_order
from camkit.analysis import Analysis
from camkit.atlas._encoding import browser_image, picture_address, script_json, to_base64
from camkit.atlas._view import joined, stylesheet
from camkit.atlas.record import palette
from camkit.images import ImageSet
from camkit.images._label_sets import joined_names
from camkit.plots import SIGNED

if TYPE_CHECKING:
    import keras

    from camkit.maps._onnx import OnnxFeatures

ENGINE = Path(__file__).with_name("engine")

# The first images of so many classes are the examples of a page.
MOST_EXAMPLES = 24

# The probabilities of a model differ by less from those of its analysis.
SAME = 1e-3

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
    model: "keras.Model | Mapping[str, keras.Model]",
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

    On the page one can also teach it classes of one's own, by a few pictures each: a new head is
    trained on their averaged features, and its class maps are shown at once. The head can be
    downloaded as JSON (class_names, kernel, bias) and given to a model of the same backbone:
    `camkit.gap_classifier(backbone, class_names).get_layer("logits").set_weights([kernel, bias])`.

    Several models that differ in their heads only, {name: model}, are shown beside each other, with
    the same limits: the same picture, changed in the same way, and what each of them makes of it.

    The model is converted by Keras to ONNX and run by onnxruntime-web, which is part of the page
    (4.9 MB). Its maps differ from those of camkit.CAM by rounding only, less than 1/1000 of the
    highest value. Equal pixels are stretched to the input of the model exactly as
    `camkit.read_image` does it; files of photographs may differ by a few grey levels, since
    browsers decode JPEG in their own ways and as a whole, and camkit decodes large files at a
    fraction of their size.

    Args:
        model: A Keras model with a GAP → Dense head on one map (h, w, K), which reads gray or RGB
            images in the value range of files, 0..255, as `camkit.analyze` gives them. Or several
            by their names, which give an image the same features.
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
        TypeError: `images` is not an ImageSet.
        ValueError: The model cannot be converted, its input size is unknown, there are fewer or
            more names than classes, models give an image other features, or the folder holds
            something other than a playground.
        OSError: An image cannot be read, or the folder cannot be written to.
        ImportError: `pip install 'camkit[playground]'`, on JAX `pip install jax2onnx`, installs
            what converts the model.

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
    if not isinstance(images, ImageSet | None):
        raise TypeError(
            f"images must be an ImageSet or be left out, not {images!r:.80}: pass "
            "camkit.load_images(...)"
        )
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()) and not (folder / "data" / "model.js").exists():
        raise ValueError(
            f"{folder} holds something other than a playground: choose an empty folder or a new one"
        )
    data = {
        "model": _play_models(model, input_size, class_names),
        "examples": _examples(images),
    }
    shutil.rmtree(folder / "data", ignore_errors=True)
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "engine.js").write_text(engine_script(), encoding="ascii")
    script = f"window.camkitPlayground={script_json(data)};"
    (folder / "data" / "model.js").write_text(script, encoding="ascii")
    page = PAGE.format(css=stylesheet(), script=joined("playground.js"))
    (folder / "index.html").write_text(page, encoding="utf-8")
    return folder / "index.html"


def _play_models(
    models: "keras.Model | Mapping[str, keras.Model]",
    input_size: int | tuple[int, int] | None,
    class_names: Sequence[str] | Mapping | None,
) -> dict[str, Any]:
    """Return what the view needs to run a model, or several that differ in their heads only.

    Raises ValueError if they give an image other features.
    """
    # Keras is loaded where a model is met.
    from camkit.maps._onnx import onnx_features, with_head_of

    if not isinstance(models, Mapping):
        return _play_model(onnx_features(models, input_size), class_names)
    if not models:
        raise ValueError("there is no model: pass {name: model}, or a model")
    [first, *others] = models
    features = onnx_features(models[first], input_size)
    play = _play_model(features, class_names)
    play["heads"][0]["name"] = first
    for name in others:
        other = with_head_of(features, models[name])
        if other is None:
            raise ValueError(
                f"{first} and {name} give an image other features, and a page runs one backbone: "
                "write a page for each"
            )
        play["heads"].append(_play_head(name, other, class_names))
    return play


def model_of_analysis(model: "keras.Model", analysis: Analysis) -> dict[str, Any]:
    """Return what an atlas needs to run the model that was analysed: see `PlayModel`.

    A model that cannot run in a page is told in a warning, and the result is {"refusal": reason}.

    Raises:
        ValueError: It is not the model of the analysis.
    """
    from camkit.maps._onnx import onnx_features

    try:
        features = onnx_features(model, analysis.input_size)
    except (ValueError, ImportError) as error:
        reason = str(error)
        warnings.warn(f"the atlas does not hold the model: {reason}", stacklevel=3)
        return {"refusal": reason}
    *_, channels = features.input_shape
    batch = next(analysis.images.batches(1, features.input_shape[:2], channels=channels))
    probs = features.cam(batch).probs[0]
    expected = analysis.probs[0]
    if probs.shape != expected.shape or np.abs(probs - expected).max() > SAME:
        raise ValueError(
            f"the model gives {analysis.paths[0]} other probabilities than the analysis has: pass "
            "the model that was analysed"
        )
    return _play_model(features, analysis.class_names)


def entry_of(play: dict[str, Any]) -> dict[str, Any]:
    """Return what the index of an atlas tells of `model_of_analysis`: the refusal, if any."""
    return {name: reason for name, reason in play.items() if name == "refusal"}


def _play_model(
    features: "OnnxFeatures", class_names: Sequence[str] | Mapping | None
) -> dict[str, Any]:
    """Return what the view needs to run a model: see `PlayModel` in view/types.d.ts.

    Raises ValueError if there are more or fewer names than classes.
    """
    onnx = _compressed(features.content)
    head = _play_head("", features, class_names)
    return {
        "onnx": onnx,
        "inputShape": features.input_shape,
        "featureShape": features.feature_shape,
        "heads": [head],
        "palette": palette(SIGNED, 256),
        "size": len(onnx) + len(head["kernel"]) + len(engine_script()),
    }


def _play_head(
    name: str, features: "OnnxFeatures", class_names: Sequence[str] | Mapping | None
) -> dict[str, Any]:
    """Return what the view needs of a head: see `PlayHead` in view/types.d.ts."""
    cam = features.cam
    return {
        "name": name,
        "kernel": to_base64(cam.kernel.astype("<f4").tobytes()),
        "bias": to_base64(cam.bias.astype("<f4").tobytes()),
        "activation": features.activation,
        "classNames": _names(class_names or cam.class_names, len(cam.bias)),
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
    for i, name in _first_of_each_class(images)[:MOST_EXAMPLES]:
        data, kind = browser_image(images.paths[i], images.reader)
        examples.append({"name": name, "src": picture_address(data, kind)})
    return examples


def _first_of_each_class(images: ImageSet) -> list[tuple[int, str]]:
    """Return number and name of the first image with each label; of all, if there are no labels.

    Of several labels, an image may be the first with more than one: it is there once, and named
    by all of its labels.
    """
    if not images.class_names:
        return [(i, Path(path).stem) for i, path in enumerate(images.paths)]
    labels = np.asarray(images.labels)
    if labels.ndim == 1:
        labels = labels[:, None] == np.arange(len(images.class_names))
    occurs = labels.any(axis=0)
    first = dict.fromkeys(labels.argmax(axis=0)[occurs].tolist())
    names = joined_names(labels, images.class_names)
    return [(i, names[i]) for i in first]


@cache
def engine_script() -> str:
    """Return the script that gives a page the engine."""
    licence = (ENGINE / "LICENSE").read_text(encoding="utf-8")
    return f"/* onnxruntime-web\n{licence}*/\nwindow.camkitEngine={script_json(engine_files())};"


@cache
def engine_files() -> dict[str, str]:
    """Return the engine as text: see `EngineFiles` in view/types.d.ts."""
    return {
        "worker": joined("engine-worker.js"),
        "module": _compressed((ENGINE / "ort.wasm.bundle.min.mjs").read_bytes()),
        "wasm": to_base64((ENGINE / "ort-wasm-simd-threaded.wasm.gz").read_bytes()),
    }


def _compressed(data: bytes) -> str:
    return to_base64(gzip.compress(data, mtime=0))
