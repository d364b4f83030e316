"""The atlas in a notebook."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from camkit._features import check_files
from camkit.analysis import Analysis
from camkit.atlas.playground import model_of_analysis
from camkit.atlas.record import PANELS, Record, checked_images
from camkit.atlas.verdicts import Verdicts
from camkit.images import ImageSet

if TYPE_CHECKING:
    import keras

    from camkit.atlas._widget import AtlasView


def error_atlas(
    analysis: Analysis,
    images: ImageSet | None = None,
    *,
    verdicts: str | os.PathLike[str] | None = None,
    reference: Analysis | None = None,
    before: Analysis | None = None,
    points: np.ndarray | None = None,
    panels: Sequence[str] = PANELS,
    model: "keras.Model | None" = None,
) -> "AtlasView":
    """Return the error atlas of an analysis, to be shown in a notebook.

    It shows confused pairs and the confusion matrix, the maps of any class, what the answer would
    be without some cells of the map, the map of GAP features, nearest images, data faults and
    verdicts. The network is not run. As the last line of
    a cell, the atlas is displayed; up to 2,000 images, the output also holds a static copy that
    works without a kernel.

    Args:
        analysis: The analysis.
        images: The ImageSet that was analysed. It can be omitted, since the analysis knows the
            files; if it is passed, it is checked.
        verdicts: A CSV file (path, true, predicted, verdict, comment, reviewer, correct_label).
            Each verdict is written to it at once, and the next review continues from it. Its paths
            may be relative or of another machine: images are found by the ending of these, where
            that is unique. Without a file, verdicts are lost when the notebook ends.
        reference: The analysis of another split, such as the training set, by the same model:
            nearest images come from it, and data faults are looked for in both.
        before: The analysis of the same images by another model, such as the one before a training:
            what it changed is shown first, and both models' maps side by side, as camkit.compare
            finds it.
        points: The map of features (N, 2), in place of a t-SNE.
        panels: The parts to show: any of "summary", "pairs", "what-if", "classes", "review", "near"
            and "features".
        model: The model that was analysed: it goes into the widget and runs in the browser, so that
            the picture under review can be painted out or get noise, see camkit.write_atlas.

    Returns:
        A widget.

    Raises:
        ImportError: If anywidget is not installed.
        TypeError: If `images` is no ImageSet.
        ValueError: If analysis, images, reference, before and points do not belong together, the
            file is not a table of verdicts, there is no such panel, or `model` is another one than
            that of the analysis.
        FileNotFoundError: If images are missing.

    Example:
        >>> import camkit
        >>> images = camkit.load_images("mini", "Test", per_class=2)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> analysis = camkit.analyze(model, images)
        >>> atlas = camkit.error_atlas(analysis, panels=["pairs", "classes"])
    """
    checked_images(analysis, images)
    unknown = sorted(set(panels) - set(PANELS))
    if unknown:
        raise ValueError(f"there is no panel {unknown}: choose from {', '.join(PANELS)}")
    try:
        from camkit.atlas._widget import AtlasView
    except ImportError as error:
        raise ImportError(
            "error_atlas needs anywidget: pip install 'camkit[notebook]', "
            "or write a page with camkit.write_atlas"
        ) from error
    check_files(analysis, reference)
    record = Record(analysis, reference, points, panels, before)
    play = None if model is None else model_of_analysis(model, analysis)
    return AtlasView(record, Verdicts(verdicts), play)
