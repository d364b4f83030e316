"""An analysis in the formats of other programs.

Parquet is read by pandas, Renumics Spotlight and Apple's Embedding Atlas, the arrays of `cleanlab`
by cleanlab. `coco`, `yolo`, `label_studio` and `fiftyone` also hold boxes or masks that are drawn
from the maps: proposals for a person to correct, as `camkit.localize.boxes` finds them.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np
from PIL import Image
from scipy import ndimage

from camkit._features import check_files
from camkit._files import write_whole
from camkit._progress import progress
from camkit.localize import boxes, scaled
from camkit.maps.arrays import upsample

if TYPE_CHECKING:
    from camkit.analysis.result import Analysis

PathLike = str | os.PathLike

# A part of a map begins at this share of its range (Zhou et al., CVPR 2016, section 3.2).
THRESHOLD = 0.2

# The endings of files that somebody may expect where a format is a folder.
_OF_FILES = {".csv", ".json", ".npz", ".parquet", ".txt", ".xml", ".yaml", ".yml", ".zip"}

# Maps of FiftyOne have so many pixels for the side of a cell, so that they look smooth.
_ENLARGED = 8


class _Part(NamedTuple):
    """The largest part of the map of a class: the class, its probability, its box and mask.

    The box is x0, y0, x1, y1 in pixels, end exclusive, and the mask (H, W) is bool.
    """

    label: int
    probability: float
    box: tuple[int, int, int, int]
    mask: np.ndarray


class _Marked(NamedTuple):
    """An image of an analysis: its row, its size in pixels, its classes, and parts of their maps.

    A class whose map is the same everywhere has no part.
    """

    row: int
    width: int
    height: int
    labels: list[int]
    parts: list[_Part]


def parquet(analysis: "Analysis", file: PathLike) -> Path:
    """Write the table of an analysis with its features, and return the path of the file.

    The columns are those of `analysis.table` and "features", the GAP features, lists of float32. A
    column of the metadata with that name is called "metadata_features". The ending .parquet is
    added to the name of the file if it is missing.
    Renumics Spotlight opens it by `spotlight.show("file.parquet", dtype={"path": spotlight.Image,
    "features": spotlight.Embedding})`, Embedding Atlas by
    `embedding-atlas file.parquet --vector features`.

    Raises:
        ImportError: pyarrow is not installed.
        ValueError: A column of the metadata has several types, or a name is not valid text.
        OSError: The file cannot be written.

    Example:
        >>> import camkit, pandas as pd, tempfile
        >>> images = camkit.load_images("mini", "Test", per_class=1)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> analysis = camkit.analyze(model, images)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = camkit.export.parquet(analysis, folder + "/analysis.parquet")
        ...     len(pd.read_parquet(file)["features"][0])
        96
    """
    try:
        import pyarrow
    except ImportError as error:
        raise ImportError("Parquet needs pyarrow: pip install 'camkit[parquet]'") from error
    table = analysis.table.rename(columns={"features": "metadata_features"})
    table = table.assign(features=list(np.asarray(analysis.gap)))
    # Names of columns are text there.
    table.columns = table.columns.map(str)
    target = _with_suffix(file, ".parquet", ".pq")
    try:
        write_whole(target, lambda stream: table.to_parquet(stream, engine="pyarrow", index=False))
    except (pyarrow.ArrowException, UnicodeEncodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"the table cannot be written as Parquet: {reason}; convert that column of the "
            "metadata, or rename the files that have it"
        ) from error
    return target


def cleanlab(analysis: "Analysis", file: PathLike) -> Path:
    """Write what cleanlab asks for as an .npz file, and return its path.

    Its arrays are "labels" (N,), or a mask (N, C) for images with several labels, "pred_probs"
    (N, C), "features" (N, K), "paths" (N,) and "class_names" (C,); images without a label are left
    out. `cleanlab.filter.find_label_issues(data["labels"], data["pred_probs"])` assumes that the
    model was not trained on these images. The ending .npz is added if it is missing.

    Raises:
        ValueError: No image has a label.
        OSError: The file cannot be written.

    Example:
        >>> import camkit, numpy as np, tempfile
        >>> images = camkit.load_images("mini", "Test", per_class=1)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> analysis = camkit.analyze(model, images)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = camkit.export.cleanlab(analysis, folder + "/analysis.npz")
        ...     data = np.load(file)
        ...     data["labels"].shape, data["pred_probs"].shape
        ((12,), (12, 12))
    """
    is_labelled = np.full(len(analysis), True)
    if not analysis.has_label_sets:
        is_labelled = analysis.labels >= 0
    if not is_labelled.any():
        raise ValueError("cleanlab looks for wrong labels, and no image has a label")
    arrays: dict[str, Any] = {
        "labels": analysis.labels[is_labelled],
        "pred_probs": np.asarray(analysis.probs)[is_labelled],
        "features": np.asarray(analysis.gap)[is_labelled],
        "paths": np.array(analysis.paths)[is_labelled],
        "class_names": np.array(analysis.class_names),
    }
    target = _with_suffix(file, ".npz")
    write_whole(target, lambda stream: np.savez(stream, **arrays))
    return target


def coco(
    analysis: "Analysis", file: PathLike, *, of: str = "predicted", threshold: float = THRESHOLD
) -> Path:
    """Write boxes and masks as a COCO file of instances, and return its path.

    An image has an annotation for each class that is predicted: the largest part of the class map
    from a share of its range on, as a box and as a mask in run lengths, with the probability as its
    score. "file_name" is the path below `analysis.root`, categories count from 1.

    Args:
        analysis: The analysis.
        file: The file, such as "instances.json"; the ending is added if it is missing.
        of: "predicted", or "true" for the maps of the labels.
        threshold: Where a part begins, as a share of the range of its map, 0..1.

    Raises:
        ValueError: `of` is neither, `threshold` is out of range, a label has no map, or the images
            were cropped or padded.
        OSError: An image cannot be read or the file cannot be written.

    Example:
        >>> import camkit, json, tempfile
        >>> images = camkit.load_images("mini", "Test", per_class=1)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> analysis = camkit.analyze(model, images)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = camkit.export.coco(analysis, folder + "/instances.json")
        ...     len(json.loads(file.read_text())["images"])
        12
    """
    target = _with_suffix(file, ".json")
    files = _relative_files(analysis)
    images = []
    annotations: list[dict[str, Any]] = []
    for marked in _marked(analysis, of, threshold):
        image_id = marked.row + 1
        size = {"width": marked.width, "height": marked.height}
        images.append({"id": image_id, "file_name": files[marked.row], **size})
        for part in marked.parts:
            x0, y0, x1, y1 = part.box
            annotation = {
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": part.label + 1,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": int(part.mask.sum()),
                "segmentation": _run_lengths(part.mask),
                "iscrowd": 0,
                "score": round(part.probability, 6),
            }
            annotations.append(annotation)
    categories = [
        {"id": number, "name": name, "supercategory": ""}
        for number, name in enumerate(analysis.class_names, 1)
    ]
    content = {
        "info": {"description": "boxes and masks drawn by camkit from class maps"},
        "licenses": [],
        "images": images,
        "categories": categories,
        "annotations": annotations,
    }
    return _write_json(target, content)


def yolo(
    analysis: "Analysis", folder: PathLike, *, of: str = "predicted", threshold: float = THRESHOLD
) -> Path:
    """Write boxes as a folder for YOLO (Ultralytics), and return the path of its data.yaml.

    `labels/` has a text file for each image, with a line "class x y width height" for each box, as
    shares of the image; `images/` has links to the images, or copies where the system has no links.
    The set is named both as "train" and as "val": split it before training.

    Args:
        analysis: The analysis.
        folder: A folder, new or empty.
        of: "predicted", or "true" for the maps of the labels.
        threshold: Where a part begins, as a share of the range of its map, 0..1.

    Raises:
        ValueError: The folder is not empty, two images would have one file of labels, `of` is
            neither, `threshold` is out of range, a label has no map, or the images were cropped or
            padded.
        OSError: An image cannot be read or the folder cannot be written to.

    Example:
        >>> import camkit, tempfile
        >>> images = camkit.load_images("mini", "Test", per_class=1)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> analysis = camkit.analyze(model, images)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     data = camkit.export.yolo(analysis, folder)
        ...     len(list(data.parent.glob("labels/**/*.txt")))
        12
    """
    root = _empty_folder(folder)
    files = [Path(name.lstrip("/").replace(":", "")) for name in _relative_files(analysis)]
    targets = [file.with_suffix(".txt") for file in files]
    if len(set(targets)) < len(targets):
        twice = next(target for target in targets if targets.count(target) > 1)
        raise ValueError(
            f"two images would have the labels {twice}: rename one, or export a selection, "
            "analysis.select(...)"
        )
    for marked in _marked(analysis, of, threshold):
        lines = []
        for part in marked.parts:
            x0, y0, x1, y1 = np.divide(
                part.box, [marked.width, marked.height, marked.width, marked.height]
            )
            numbers = ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)
            lines.append(" ".join([str(part.label), *(f"{number:.6f}" for number in numbers)]))
        _place(root / "labels" / targets[marked.row], "".join(f"{line}\n" for line in lines))
        _link(analysis.paths[marked.row], root / "images" / files[marked.row])
    # Text in quotation marks of JSON is also YAML.
    names = "".join(f"  {c}: {json.dumps(name)}\n" for c, name in enumerate(analysis.class_names))
    return _place(root / "data.yaml", f"train: images\nval: images\nnames:\n{names}")


def label_studio(
    analysis: "Analysis",
    folder: PathLike,
    *,
    of: str = "predicted",
    threshold: float = THRESHOLD,
    address: str = "/data/local-files/?d=",
) -> Path:
    """Write boxes and classes as pre-annotations for Label Studio; return the path of tasks.json.

    `config.xml` in the same folder is the labelling interface that they belong to. A task has a
    prediction with a box for each class and the choice of these classes.

    Args:
        analysis: The analysis.
        folder: A folder, new or empty.
        of: "predicted", or "true" for the maps of the labels.
        threshold: Where a part begins, as a share of the range of its map, 0..1.
        address: What stands before the path of an image below `analysis.root`, quoted as in URLs,
            so that Label Studio finds it. By default that of its local storage.

    Raises:
        ValueError: The folder is not empty, `of` is neither, `threshold` is out of range, a label
            has no map, or the images were cropped or padded.
        OSError: An image cannot be read or the folder cannot be written to.

    Example:
        >>> import camkit, json, tempfile
        >>> images = camkit.load_images("mini", "Test", per_class=1)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> analysis = camkit.analyze(model, images)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     tasks = camkit.export.label_studio(analysis, folder)
        ...     json.loads(tasks.read_text())[0]["predictions"][0]["result"][0]["type"]
        'choices'
    """
    root = _empty_folder(folder)
    files = _relative_files(analysis)
    tasks = []
    for marked in _marked(analysis, of, threshold):
        names = [analysis.class_names[label] for label in marked.labels]
        size = {"original_width": marked.width, "original_height": marked.height}
        common = {"to_name": "image", "image_rotation": 0, **size}
        choices = {"from_name": "classes", "type": "choices", "value": {"choices": names}}
        result = [{"id": "classes", **common, **choices}] if names else []
        for number, part in enumerate(marked.parts):
            name = analysis.class_names[part.label]
            value = {**_in_percent(part, marked), "rotation": 0, "rectanglelabels": [name]}
            box = {"from_name": "boxes", "type": "rectanglelabels", "value": value}
            score = {"score": round(part.probability, 6)}
            result.append({"id": f"box{number}", **common, **box, **score})
        score = float(analysis.probs[marked.row][marked.labels].max(initial=0))
        prediction = {"model_version": "camkit", "score": round(score, 6), "result": result}
        data = {
            "image": address + quote(os.fsencode(files[marked.row])),
            "path": analysis.paths[marked.row],
        }
        tasks.append({"data": data, "predictions": [prediction]})
    _place(root / "config.xml", _labelling_interface(analysis.class_names))
    return _write_json(root / "tasks.json", tasks)


def fiftyone(
    analysis: "Analysis", folder: PathLike, *, tags: Sequence[Sequence[str]] | None = None
) -> Path:
    """Write a set for FiftyOne, and return the path of the folder.

    `fiftyone.Dataset.from_dir(folder, dataset_type=fiftyone.types.LegacyFiftyOneDataset)` opens it.
    Its samples have "ground_truth", "prediction" with its confidence, "boxes" as those of `coco`,
    "heatmap", the positive evidence for the most probable class, "margin", and the columns of the
    metadata, whose names begin with "metadata_".

    Args:
        analysis: The analysis.
        folder: A folder, new or empty.
        tags: Tags for each image, such as `camkit.load_verdicts(file).tags(analysis.paths)`.

    Raises:
        ValueError: The folder is not empty, the images were cropped or padded, or there are not
            tags for each image.
        OSError: An image cannot be read or the folder cannot be written to.

    Example:
        >>> import camkit, json, tempfile
        >>> images = camkit.load_images("mini", "Test", per_class=1)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> analysis = camkit.analyze(model, images)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     samples = camkit.export.fiftyone(analysis, folder) / "samples.json"
        ...     json.loads(samples.read_text())["samples"][0]["ground_truth"]["label"]
        'Apple Green'
    """
    if tags is not None and len(tags) != len(analysis):
        raise ValueError(f"there are {len(tags)} lists of tags for {len(analysis)} images")
    root = _empty_folder(folder)
    metadata = _metadata_fields(analysis)
    true = _classes_of(analysis, "true")
    margins = analysis._margins.tolist()
    samples = []
    for marked in _marked(analysis, "predicted", THRESHOLD):
        row = marked.row
        boxes_of_row = [_detection(part, marked, analysis.class_names) for part in marked.parts]
        sample = {
            "filepath": os.path.abspath(analysis.paths[row]),
            "tags": [] if tags is None else list(tags[row]),
            "ground_truth": _classification(analysis, row, true[row], is_predicted=False),
            "prediction": _classification(analysis, row, marked.labels, is_predicted=True),
            "boxes": {"_cls": "Detections", "detections": boxes_of_row},
            "heatmap": {"_cls": "Heatmap", "map_path": _write_heatmap(analysis, row, root)},
            "margin": margins[row] if np.isfinite(margins[row]) else None,
        }
        samples.append({**metadata[row], **sample})
    _write_json(root / "samples.json", {"samples": samples})
    return root


def _classification(
    analysis: "Analysis", row: int, labels: list[int], *, is_predicted: bool
) -> dict[str, Any] | None:
    """Return classes of an image as FiftyOne has them: one, or several where it may have those."""
    entries = []
    for label in labels:
        entry: dict[str, Any] = {"_cls": "Classification", "label": analysis.class_names[label]}
        if is_predicted:
            entry["confidence"] = float(analysis.probs[row, label])
        entries.append(entry)
    if analysis.has_label_sets:
        return {"_cls": "Classifications", "classifications": entries}
    return entries[0] if entries else None


def _detection(part: _Part, marked: _Marked, names: Sequence[str]) -> dict[str, Any]:
    """Return the box of a part as FiftyOne has it, in shares of the image."""
    percent = _in_percent(part, marked)
    return {
        "_cls": "Detection",
        "label": names[part.label],
        "bounding_box": [percent[key] / 100 for key in ("x", "y", "width", "height")],
        "confidence": part.probability,
    }


def _write_heatmap(analysis: "Analysis", row: int, root: Path) -> str:
    """Write the map of the most probable class of an image, and return its path in the folder."""
    evidence = np.maximum(analysis.class_map(row, analysis.predicted[row]), 0)
    height, width = evidence.shape
    enlarged = upsample(evidence, (_ENLARGED * height, _ENLARGED * width))
    shades = np.rint(255 * enlarged / max(enlarged.max(), 1e-12)).astype("uint8")
    name = f"fields/heatmap/{row:06d}.png"
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(shades).save(root / name)
    return name


def _metadata_fields(analysis: "Analysis") -> list[dict[str, Any]]:
    """Return the metadata of each image under names that FiftyOne takes for fields."""
    if analysis.metadata is None:
        return [{} for _ in range(len(analysis))]
    table = analysis.metadata.reset_index(drop=True)
    table.columns = [
        "metadata_" + re.sub(r"\W", "_", str(name), flags=re.ASCII) for name in table.columns
    ]
    # Numbers and truth values stay what they are, all else becomes text.
    for name, column in table.items():
        if column.dtype.kind not in "biuf":
            table[name] = column.map(str).where(column.notna(), None)
    return table.astype(object).where(table.notna(), None).to_dict("records")


def _in_percent(part: _Part, marked: _Marked) -> dict[str, float]:
    """Return the box of a part in percent of the image, as Label Studio has it."""
    x0, y0, x1, y1 = part.box
    return {
        "x": 100 * x0 / marked.width,
        "y": 100 * y0 / marked.height,
        "width": 100 * (x1 - x0) / marked.width,
        "height": 100 * (y1 - y0) / marked.height,
    }


def _labelling_interface(names: Sequence[str]) -> str:
    """Return the configuration of Label Studio for boxes and classes with these names."""
    labels = "".join(f"    <Label value={quoteattr(name)}/>\n" for name in names)
    choices = "".join(f"    <Choice value={quoteattr(name)}/>\n" for name in names)
    return (
        '<View>\n  <Image name="image" value="$image"/>\n'
        f'  <RectangleLabels name="boxes" toName="image">\n{labels}  </RectangleLabels>\n'
        f'  <Choices name="classes" toName="image" choice="multiple">\n{choices}  </Choices>\n'
        "</View>\n"
    )


def _marked(analysis: "Analysis", of: str, threshold: float) -> Iterator[_Marked]:
    """Yield the images with the largest parts of the maps of their classes.

    Raises ValueError if `of` names no classes, `threshold` is no share, a map is missing, or maps
    are not of whole images.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(
            f"threshold is {threshold}: pass a share of the range of a map, such as {THRESHOLD}"
        )
    images = analysis.images
    reader = images.reader
    for way in ("crop_to_aspect_ratio", "pad_to_aspect_ratio"):
        if getattr(reader, way, False):
            raise ValueError(
                f"the images were read with {way}, so the maps are not those of whole images: "
                "analyse them without it to draw boxes"
            )
    classes = _classes_of(analysis, of)
    with progress(len(analysis), "Drawing boxes", "image") as bar:
        for row, labels in enumerate(classes):
            try:
                height, width, _ = images[row].shape
            except OSError:
                check_files(analysis)
                raise
            drawn = [_part(analysis, row, label, (height, width), threshold) for label in labels]
            parts = [part for part in drawn if part is not None]
            yield _Marked(row, width, height, labels, parts)
            bar.update()


def _classes_of(analysis: "Analysis", of: str) -> list[list[int]]:
    """Return the classes of each image whose maps are drawn."""
    if of not in ("predicted", "true"):
        raise ValueError(f"of is {of!r}: 'predicted' draws predicted classes, 'true' the labels")
    if analysis.has_label_sets:
        mask = analysis.predicted_labels() if of == "predicted" else analysis.labels
        return [np.flatnonzero(row).tolist() for row in mask]
    labels = analysis.predicted if of == "predicted" else analysis.labels
    return [[label] if label >= 0 else [] for label in labels.tolist()]


def _part(
    analysis: "Analysis", row: int, label: int, size: tuple[int, int], threshold: float
) -> _Part | None:
    """Return the largest part of a map; None if the map is the same everywhere."""
    heat = upsample(analysis.class_map(row, label), size)
    found = boxes(heat, threshold)
    if not len(found) or heat.max() == heat.min():
        return None
    x0, y0, x1, y1 = found[0].tolist()
    # Within its box, the largest part of all is the largest one.
    inside = scaled(heat)[y0:y1, x0:x1] >= threshold
    numbers, _ = ndimage.label(inside, np.ones((3, 3)))
    largest = np.bincount(numbers[inside]).argmax()
    mask = np.zeros(size, dtype=bool)
    mask[y0:y1, x0:x1] = numbers == largest
    return _Part(label, float(analysis.probs[row, label]), (x0, y0, x1, y1), mask)


def _run_lengths(mask: np.ndarray) -> dict[str, list[int]]:
    """Return a mask in COCO's run lengths: pixels off and on in turn, column by column."""
    pixels = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(pixels)) + 1
    runs = np.diff([0, *changes, len(pixels)]).tolist()
    return {"counts": [0, *runs] if pixels[0] else runs, "size": list(mask.shape)}


def _relative_files(analysis: "Analysis") -> list[str]:
    """Return the paths of the images below the root, with slashes."""
    return analysis._files()


def _with_suffix(file: PathLike, *suffixes: str) -> Path:
    """Return a file with one of the suffixes of its format; the first is added to other names."""
    path = Path(file)
    if path.suffix.lower() in suffixes:
        return path
    return path.with_name(path.name + suffixes[0])


def _empty_folder(folder: PathLike) -> Path:
    """Return a folder that is made if needed.

    Raises ValueError if there is something in it, or if its name is that of a file.
    """
    path = Path(folder)
    if path.is_file() or path.suffix.lower() in _OF_FILES:
        raise ValueError(
            f"{path} has the name of a file, and this format is several: pass that of a new folder"
        )
    path.mkdir(parents=True, exist_ok=True)
    if any(path.iterdir()):
        raise ValueError(f"{path} is not empty: choose a new folder")
    return path


def _place(file: Path, text: str) -> Path:
    """Write a file, whose folder is made if needed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def _link(path: str, target: Path) -> None:
    """Make a link to a file, or a copy where the system has no links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.symlink_to(Path(path).absolute())
    except OSError:
        shutil.copyfile(path, target)


def _write_json(file: Path, content: object) -> Path:
    """Write a file of JSON, whole or not at all."""
    write_whole(file, json.dumps(content).encode())
    return file


# The formats by the names that the shell has for them.
FORMATS: Mapping[str, Callable[["Analysis", PathLike], Path]] = {
    "parquet": parquet,
    "cleanlab": cleanlab,
    "coco": coco,
    "yolo": yolo,
    "label-studio": label_studio,
    "fiftyone": fiftyone,
}
