"""FiftyOne reads its own format, and with it those of YOLO and COCO."""

import pytest
from made_analyses import BOX, PREDICTED

from camkit import export

# BOX as shares of 30 x 20 pixels.
SHARES = [0.2, 0.25, 0.4, 0.25]


def test_the_importer_reads_the_set(marked, tmp_path):
    """MongoDB is not asked for until a set is stored."""
    from fiftyone.utils.data.importers import LegacyFiftyOneDatasetImporter

    root = export.fiftyone(marked, tmp_path / "set", tags=[["other"]] * 8)
    with LegacyFiftyOneDatasetImporter(str(root)) as importer:
        samples = list(importer)
    assert len(samples) == 8 and samples[0].tags == ["other"]
    assert [sample.filepath for sample in samples] == marked.paths
    assert samples[1].prediction.label == "Bee" and samples[1].ground_truth.label == "Ant"
    assert samples[1].heatmap.get_map().shape == (160, 240)
    assert samples[1].boxes.detections[0].bounding_box == SHARES


def test_the_set_is_stored_in_the_data_base(marked, tmp_path):
    """The package fiftyone-db has no MongoDB in it, but downloads it when it is installed."""
    import fiftyone
    from fiftyone.core.config import FiftyOneConfigError

    root = export.fiftyone(marked, tmp_path / "set", tags=[["other"]] * 8)
    try:
        dataset = fiftyone.Dataset.from_dir(
            str(root), dataset_type=fiftyone.types.LegacyFiftyOneDataset
        )
    except FiftyOneConfigError as error:
        pytest.skip(f"FiftyOne has no data base here: {error}")
    assert dataset.count() == 8
    assert dataset.count_values("prediction.label") == {"Ant": 2, "Bee": 5, "Cat": 1}
    dataset.delete()


def test_the_folder_of_yolo_is_read(marked, tmp_path):
    from fiftyone.utils.yolo import YOLOv5DatasetImporter

    root = export.yolo(marked, tmp_path / "yolo").parent
    with YOLOv5DatasetImporter(str(root), yaml_path="data.yaml", split="val") as importer:
        found = {path: labels.detections for path, _, labels in importer}
    assert len(found) == 8
    for path, name, predicted in zip(found, sorted(marked.table["file"]), PREDICTED, strict=True):
        assert path.endswith(name)
        [detection] = found[path]
        assert detection.label == ["Ant", "Bee", "Cat"][predicted]
        assert detection.bounding_box == pytest.approx(SHARES, abs=1e-6)


def test_the_boxes_and_masks_of_coco_are_read(marked, tmp_path):
    from fiftyone.utils.coco import COCODetectionDatasetImporter

    file = export.coco(marked, tmp_path / "instances.json")
    with COCODetectionDatasetImporter(
        data_path=str(marked.root),
        labels_path=str(file),
        label_types=["detections", "segmentations"],
    ) as importer:
        for _, _, labels in importer:
            for each in (labels["detections"], labels["segmentations"]):
                assert each.detections[0].bounding_box == pytest.approx(SHARES)
            # The mask is that of the box alone.
            assert labels["segmentations"].detections[0].mask.shape == (BOX[3], BOX[2])
