"""Renumics Spotlight serves the Parquet file, as the docstring of `camkit.export.parquet` says."""

import json
from urllib.request import urlopen

from camkit import export


def test_spotlight_serves_the_table(marked, tmp_path):
    from renumics import spotlight

    file = export.parquet(marked, tmp_path / "analysis.parquet")
    viewer = spotlight.show(
        file,
        dtype={"path": spotlight.Image, "features": spotlight.Embedding},
        no_browser=True,
        wait=False,
    )
    try:
        with urlopen(viewer.url) as page:
            assert page.status == 200
        with urlopen(f"{viewer.url}api/table/") as answer:
            columns = {column["name"]: column for column in json.load(answer)["columns"]}
    finally:
        viewer.close()
    assert columns["path"]["dtype"]["name"] == "Image"
    assert columns["path"]["values"] == marked.paths
    assert columns["features"]["dtype"]["name"] == "Embedding"
    assert columns["predicted"]["values"] == marked.table["predicted"].tolist()
    assert columns["camera"]["values"] == ["old", None] * 4
