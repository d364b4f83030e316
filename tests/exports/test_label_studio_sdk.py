"""Label Studio accepts the interface and the pre-annotations."""

import json

from camkit import export


def test_label_studio_accepts_the_tasks(marked, tmp_path):
    from label_studio_sdk.label_interface import LabelInterface

    file = export.label_studio(marked, tmp_path / "tasks")
    interface = LabelInterface((file.parent / "config.xml").read_text())
    interface.validate()
    tasks = json.loads(file.read_text())
    assert len(tasks) == 8
    for task in tasks:
        # `validate_task` of version 2.1.2 fails on any task that has predictions.
        assert interface.validate_task({"data": task["data"]})
        for prediction in task["predictions"]:
            assert interface.validate_prediction(prediction, return_errors=True) == []
