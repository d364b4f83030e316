"""Embedding Atlas makes its page of the Parquet file, with the options that the docstring names."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from made_analyses import analysis_of, image_set

from camkit import export

COUNT = 30


def test_embedding_atlas_projects_the_features(tmp_path):
    """UMAP, which it runs, asks for more images than the other tests have."""
    images = image_set(tmp_path / "images", labels=np.arange(COUNT) % 3)
    analysis = analysis_of(images, np.zeros(COUNT, int))
    file = export.parquet(analysis, tmp_path / "analysis.parquet")
    target = tmp_path / "page.zip"
    subprocess.run(
        [
            Path(sys.executable).with_name("embedding-atlas"),
            file,
            *("--vector", "features"),
            *("--export-application", target),
        ],
        check=True,
    )
    with zipfile.ZipFile(target) as archive:
        assert "index.html" in archive.namelist()
        [data] = [name for name in archive.namelist() if name.endswith(".parquet")]
        table = pd.read_parquet(io.BytesIO(archive.read(data)))
    assert table["path"].tolist() == analysis.paths
    assert np.isfinite(table[["projection_x", "projection_y"]]).all(axis=None)
