"""Suspected faults in the data of an analysis.

They are copies, labels that the images contradict, backgrounds that give a class away, twins and
strangers. Images are compared by their standardised GAP features; the network is not run again.
"""

from typing import TYPE_CHECKING

import pandas as pd

from camkit._files import any_bytes
from camkit.faults._backgrounds import find_telling_backgrounds
from camkit.faults._copies import find_copies_and_twins, is_copy_with_another_label
from camkit.faults._images import Fault, Images
from camkit.faults._label_sets import find_wrong_label_sets
from camkit.faults._labels import find_wrong_labels
from camkit.faults._neighbours import find_neighbours
from camkit.faults._strangers import find_strangers

if TYPE_CHECKING:
    from camkit import Analysis

__all__ = ["KINDS", "data_faults"]

KINDS = ["copy", "label", "background", "twin", "stranger"]


@any_bytes()
def data_faults(analysis: "Analysis", reference: "Analysis | None" = None) -> pd.DataFrame:
    """Return a table of suspected faults in the data, the worst of each kind first.

    The kinds, in this order:

    - "copy": the same bytes or pixels under two labels, or else in both splits. `other` is the
      copy. Score: 1.
    - "label": another class is at least as probable as it is, on average, for the images of that
      class, and more probable than the label (the confident joint; Northcutt, Jiang and Chuang,
      "Confident Learning", JAIR 2021). The probabilities are those of linear discriminant analysis
      that has not seen the image. `other` is the most similar image of that class.
      Score: 1 − probability of the given label. Copies under two labels are not repeated.
    - "background": the background of a class differs from the typical one, and does so more than
      that of the median class, by at least 2 % of the range from black to white and beyond Tukey's
      fence (of the lower half, mirrored). `path` and `other` are the two images whose background is
      the strongest evidence for the class. Score: share of the class evidence that lies on the
      background (a little always spills over from the object; `reason` gives the median of all
      classes). Only checked if backgrounds are plain, there are at least three classes, and the
      class maps of all classes were stored. It finds a sticker, a stamp or a tint on most images of
      a class; it misses small marks, marks on few images, and backgrounds that all differ.
    - "twin": not a copy, but closer to an image of another label than 90 % of images are to their
      nearest neighbour of their own label; or nearly the pixels of an image in the other split,
      such as one that was saved again or resized: at a size of 16×16 they differ by less than 2.5
      grey levels and 5 % of the contrast (root mean square). Score: the cosine.
    - "stranger": not similar to any image, with a distance to the nearest one beyond Tukey's fence
      (on logarithms). `other` is the nearest image. Score: 1 − cosine.

    Where images have several labels, two images have the same label if they have the same set of
    labels. Labels are judged class by class: "label" is an image that lacks a label or has one too
    many, perhaps several times. Backgrounds are not looked at.

    The analysis and its reference are two splits, and so are the images of one analysis that lie in
    folders such as Training and Test. Images without a label (-1) can be copies or twins in the
    other split, and strangers. Memory grows with the number of images times the number of classes.

    Args:
        analysis: The analysis of a set of images.
        reference: The analysis of another split, such as the training set, by the same model.
            Faults of its images are listed, too.

    Returns:
        A table with the columns `path`, `kind` (categorical, in the order above), `reason`,
        `score` (0..1) and `other` (a path), sorted by kind and decreasing score.

    Raises:
        ValueError: The two analyses differ in their classes or features, or there are fewer than
            three images.
        OSError: An image that must be compared or checked can no longer be read.

    Example:
        >>> import camkit
        >>> images = camkit.load_images("mini", "Test", per_class=3)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> analysis = camkit.analyze(model, images)
        >>> table = camkit.data_faults(analysis)
        >>> list(table.columns)
        ['path', 'kind', 'reason', 'score', 'other']
    """
    images = Images(analysis, reference)
    neighbours = find_neighbours(images.features, images.labels, images.splits)
    faults = [*find_copies_and_twins(images, neighbours), *find_strangers(neighbours.any)]
    explained = {fault.image for fault in faults if is_copy_with_another_label(fault, images)}
    has_label_sets = images.label_sets is not None
    wrong_labels = find_wrong_label_sets if has_label_sets else find_wrong_labels
    for fault in wrong_labels(images):
        if fault.image not in explained:
            faults.append(fault)
    if not has_label_sets:
        faults += find_telling_backgrounds(images)
    return _table_of(faults, images)


def _table_of(faults: list[Fault], images: Images) -> pd.DataFrame:
    """Return the table of faults, with paths in place of indices."""
    # The types are given, since a table without rows has nothing to tell them by.
    columns = {
        "path": pd.Series([images.paths[fault.image] for fault in faults], dtype=str),
        "kind": pd.Categorical([fault.kind for fault in faults], KINDS),
        "reason": pd.Series([fault.reason for fault in faults], dtype=str),
        "score": pd.Series([fault.score for fault in faults], dtype=float),
        "other": pd.Series([images.paths[fault.other] for fault in faults], dtype=str),
    }
    return pd.DataFrame(columns).sort_values(
        ["kind", "score"], ascending=[True, False], kind="stable", ignore_index=True
    )
