"""What other programs read of an analysis: right values.

pandas, cleanlab and pycocotools read the files here. FiftyOne, Label Studio, Renumics Spotlight and
Embedding Atlas open them in `tests/exports`, each in an environment of its own.
"""

import json
import sys
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
import pytest
from made_analyses import (
    BOX,
    LABELS,
    MASK,
    NAMES,
    PREDICTED,
    analysis_of,
    image_set,
    marked_analysis,
)
from PIL import Image

import camkit
from camkit import export


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    return marked_analysis(tmp_path_factory.mktemp("export"))


def test_parquet_holds_the_table_and_the_features(analysis, tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow belongs to camkit[parquet]")
    file = analysis.to_parquet(tmp_path / "analysis.parquet")
    table = pd.read_parquet(file)
    assert list(table.columns) == [*map(str, analysis.table.columns), "features"]
    np.testing.assert_array_equal(np.stack(table["features"]), analysis.gap)
    assert table["features"][0].dtype == "float32"
    for name in ("path", "true", "confidence", "correct", "file", "camera"):
        assert table[name].astype(object).equals(analysis.table[name].astype(object))
    named = replace(analysis, metadata=pd.DataFrame({"features": list("abcdefgh")}))
    table = pd.read_parquet(named.to_parquet(tmp_path / "named.parquet"))
    assert list(table.columns)[-2:] == ["metadata_features", "features"]
    assert table["metadata_features"].tolist() == list("abcdefgh")
    np.testing.assert_array_equal(np.stack(table["features"]), analysis.gap)
    mixed = replace(analysis, metadata=pd.DataFrame({"x": ["a", 1] * 4}, dtype=object))
    with pytest.raises(ValueError, match="cannot be written as Parquet: .*convert that column"):
        mixed.to_parquet(tmp_path / "mixed.parquet")


def test_parquet_without_pyarrow_is_refused_with_the_remedy(analysis, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match="Parquet needs pyarrow: pip install 'camkit.parquet.'"):
        analysis.to_parquet(tmp_path / "analysis.parquet")


def test_cleanlab_finds_the_errors_in_what_it_is_given(analysis, tmp_path):
    data = np.load(export.cleanlab(analysis, tmp_path / "analysis.npz"))
    np.testing.assert_array_equal(data["labels"], LABELS)
    np.testing.assert_array_equal(data["pred_probs"], analysis.probs)
    np.testing.assert_array_equal(data["features"], analysis.gap)
    assert data["paths"].tolist() == analysis.paths and data["class_names"].tolist() == NAMES
    some = replace(analysis, labels=np.where(LABELS == 1, -1, LABELS))
    assert (
        np.load(export.cleanlab(some, tmp_path / "some.npz"))["labels"].tolist()
        == [0] * 3 + [2] * 3
    )
    with pytest.raises(ValueError, match="no image has a label"):
        export.cleanlab(replace(analysis, labels=np.full(8, -1)), tmp_path / "none.npz")


def test_cleanlab_itself_reads_the_arrays(analysis, tmp_path):
    cleanlab = pytest.importorskip("cleanlab.filter", reason="cleanlab belongs to camkit[bench]")
    data = np.load(export.cleanlab(analysis, tmp_path / "analysis.npz"))
    issues = cleanlab.find_label_issues(data["labels"], data["pred_probs"], n_jobs=1)
    assert issues.shape == (8,)


def decoded(segmentation):
    """The mask of COCO's run lengths, by its definition."""
    height, width = segmentation["size"]
    values = np.arange(len(segmentation["counts"])) % 2 == 1
    return np.repeat(values, segmentation["counts"]).reshape(width, height).T


def test_coco_by_hand(analysis, tmp_path):
    file = export.coco(analysis, tmp_path / "instances.json")
    content = json.loads(file.read_text())
    assert content["images"][0] == {
        "id": 1,
        "file_name": analysis.table["file"][0],
        "width": 30,
        "height": 20,
    }
    assert [each["name"] for each in content["categories"]] == NAMES
    assert [each["category_id"] - 1 for each in content["annotations"]] == PREDICTED.tolist()
    for i, each in enumerate(content["annotations"]):
        assert each["image_id"] == i + 1 and each["bbox"] == BOX and each["iscrowd"] == 0
        assert each["area"] == MASK.sum() and (decoded(each["segmentation"]) == MASK).all()
        assert each["score"] == pytest.approx(analysis.probs[i].max(), abs=1e-6)
    # The maps of the labels are the same everywhere where the model errs, and have no part.
    content = json.loads(export.coco(analysis, file, of="true").read_text())
    assert [each["image_id"] - 1 for each in content["annotations"]] == [0, 3, 5]


def test_pycocotools_reads_the_boxes_and_masks(analysis, tmp_path):
    reader = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    coco = reader.COCO(export.coco(analysis, tmp_path / "instances.json"))
    [annotation] = coco.loadAnns(coco.getAnnIds(imgIds=[2]))
    assert annotation["category_id"] == PREDICTED[1] + 1
    assert (coco.annToMask(annotation) == MASK).all()
    results = coco.loadRes(list(coco.anns.values()))
    assert len(results.anns) == 8


def test_yolo_by_hand(analysis, tmp_path):
    yaml = pytest.importorskip("yaml")
    data = export.yolo(analysis, tmp_path / "yolo")
    content = yaml.safe_load(data.read_text())
    assert content["names"] == dict(enumerate(NAMES)) and content["train"] == "images"
    for i, name in enumerate(analysis.table["file"]):
        assert (data.parent / "images" / name).read_bytes() == open(analysis.paths[i], "rb").read()
        lines = (data.parent / "labels" / name).with_suffix(".txt").read_text()
        label, *numbers = map(float, lines.split())
        assert label == PREDICTED[i]
        np.testing.assert_allclose(numbers, [12 / 30, 7.5 / 20, 12 / 30, 5 / 20], atol=1e-6)
    with pytest.raises(ValueError, match="is not empty: choose a new folder"):
        export.yolo(analysis, tmp_path / "yolo")


def test_two_images_with_one_file_of_labels_are_refused(tmp_path):
    (tmp_path / "set" / "Ant").mkdir(parents=True)
    for name in ("a.png", "a.jpg", "b.jpg"):
        Image.new("RGB", (30, 20)).save(tmp_path / "set" / "Ant" / name)
    images = camkit.load_images(tmp_path / "set", None)
    analysis = analysis_of(images, np.zeros(3, int))
    with pytest.raises(ValueError, match="two images would have the labels Ant/a.txt: rename one"):
        export.yolo(analysis, tmp_path / "yolo")


def test_label_studio_by_hand(analysis, tmp_path):
    tasks = json.loads(export.label_studio(analysis, tmp_path / "tasks").read_text())
    assert len(tasks) == 8
    [prediction] = tasks[1]["predictions"]
    choice, box = prediction["result"]
    assert choice["value"] == {"choices": ["Bee"]}
    assert box["value"] == {
        "x": 20.0,
        "y": 25.0,
        "width": 40.0,
        "height": 25.0,
        "rotation": 0,
        "rectanglelabels": ["Bee"],
    }
    assert tasks[1]["data"]["image"] == "/data/local-files/?d=" + analysis.table["file"][1]


def test_label_studio_finds_names_that_an_address_cannot_hold(tmp_path):
    images = image_set(tmp_path / "images", labels=[0, 1], names=["Salt & Pepper", "50 %#"])
    analysis = analysis_of(images, np.array([0, 1]), images.class_names)
    tasks = json.loads(export.label_studio(analysis, tmp_path / "tasks").read_text())
    for task, file in zip(tasks, analysis.table["file"], strict=True):
        assert parse_qs(urlsplit(task["data"]["image"]).query) == {"d": [file]}


def test_fiftyone_by_hand(analysis, tmp_path):
    tags = [["label wrong"], *[[]] * 7]
    root = export.fiftyone(analysis, tmp_path / "set", tags=tags)
    samples = json.loads((root / "samples.json").read_text())["samples"]
    assert [sample["filepath"] for sample in samples] == analysis.paths
    assert [sample["tags"] for sample in samples] == tags
    sample = samples[1]
    assert sample["ground_truth"] == {"_cls": "Classification", "label": "Ant"}
    assert sample["prediction"]["label"] == "Bee"
    assert sample["prediction"]["confidence"] == pytest.approx(analysis.probs[1].max())
    assert sample["boxes"]["detections"][0]["bounding_box"] == [0.2, 0.25, 0.4, 0.25]
    assert samples[0]["metadata_camera"] == "old" and sample["metadata_camera"] is None
    assert sample["metadata_3"] == 1
    with Image.open(root / sample["heatmap"]["map_path"]) as heatmap:
        shades = np.asarray(heatmap)
    # A cell among cells of the part is white.
    assert shades.shape == (160, 240) and (shades[56:64, 56:64] == 255).all()
    assert (shades[100:] == 0).all()
    with pytest.raises(ValueError, match="there are 1 lists of tags for 8 images"):
        export.fiftyone(analysis, tmp_path / "other", tags=[[]])


def test_several_labels_have_a_box_each(analysis, tmp_path):
    mask = np.zeros((8, 3), dtype=bool)
    mask[0] = [True, True, False]
    maps = np.repeat(analysis.maps[:, ..., :1], 3, axis=3) * 0 + MASK[None, ..., None]
    several = replace(analysis, labels=mask, maps=maps, is_multi_label=True)
    content = json.loads(export.coco(several, tmp_path / "a.json", of="true").read_text())
    assert [each["category_id"] for each in content["annotations"]] == [1, 2]


def test_boxes_of_cropped_images_and_other_classes_are_refused(analysis, tmp_path):
    with pytest.raises(
        ValueError, match="of is 'all': 'predicted' draws predicted classes, 'true'"
    ):
        export.coco(analysis, tmp_path / "a.json", of="all")
    for threshold in (7, -0.1, np.nan):
        for write in (export.coco, export.yolo, export.label_studio):
            with pytest.raises(ValueError, match="threshold is .*: pass a share of the range of"):
                write(analysis, tmp_path / f"{write.__name__}{threshold}", threshold=threshold)
    pytest.importorskip("tensorflow")
    images = analysis.images.read_as_keras(crop_to_aspect_ratio=True)
    cropped = replace(analysis, reader=images.reader)
    with pytest.raises(
        ValueError, match="were read with crop_to_aspect_ratio, so the maps are not"
    ):
        export.coco(cropped, tmp_path / "a.json")


def test_names_of_files_get_their_ending_and_are_no_names_of_folders(analysis, tmp_path):
    assert export.cleanlab(analysis, tmp_path / "run.v2") == tmp_path / "run.v2.npz"
    assert export.coco(analysis, tmp_path / "boxes") == tmp_path / "boxes.json"
    (tmp_path / "present").touch()
    for write in (export.yolo, export.label_studio, export.fiftyone):
        for name in ("ls.json", "present"):
            with pytest.raises(ValueError, match=f"{name} has the name of a file, .*new folder"):
                write(analysis, tmp_path / name)
    assert not (tmp_path / "ls.json").exists()
