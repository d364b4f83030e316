"""Suspected faults in the data of an analysis.

They are copies, labels that the images contradict, backgrounds that give a class away, twins,
classes that overlap, strangers, images of poor quality, and groups that lie in both splits. Images
are compared by their standardised GAP features and by their pixels; the network is not run again.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from camkit._files import any_bytes
from camkit.faults._backgrounds import find_telling_backgrounds
from camkit.faults._copies import find_copies, list_copies
from camkit.faults._groups import find_split_groups
from camkit.faults._images import Fault, Images
from camkit.faults._label_sets import find_wrong_label_sets
from camkit.faults._labels import Opinions, find_opinions, find_wrong_labels, no_opinions
from camkit.faults._neighbours import find_neighbours
from camkit.faults._overlaps import find_overlaps
from camkit.faults._pixels import read_pixels
from camkit.faults._quality import QUALITY, find_poor_quality
from camkit.faults._strangers import find_strangers
from camkit.faults._twins import find_twins

if TYPE_CHECKING:
    from camkit import Analysis

__all__ = ["COLUMNS", "KINDS", "data_faults"]

COLUMNS = ["path", "kind", "reason", "score", "other", "suggestion", "probability"]

KINDS = ["copy", "label", "background", "twin", "overlap", "stranger", "group", *QUALITY]


@any_bytes()
def data_faults(
    analysis: "Analysis", reference: "Analysis | None" = None, *, group: str | None = None
) -> pd.DataFrame:
    """Return a table of suspected faults in the data, the worst of each kind first.

    The kinds, in this order:

    - "copy": the same picture as `other`, under another label, in the other split, or beside it in
      its class: the same bytes or pixels, or nearly the same since it was saved again or resized,
      mirrored, or cropped by about a tenth (a fifth at most). A group of k copies has k - 1 rows,
      one for each image but the one that is kept: of two labels that of the more probable one, of
      two splits that of the reference or of the training split, and else the largest. `other` is
      one of the group, not always the one that is kept. Pixels decide; frames of an object that was
      turned a little are no copies. Score: 1 for the same pixels, less by the difference as a share
      of the contrast.
    - "label": the label is more probably wrong than right. The probabilities are those of linear
      discriminant analysis that was fitted without the image, and without copies under two labels,
      images of poor quality and other suspects. How certain it may be, and how often images of one
      class are labelled as another, are the values that make the labels of all images most likely:
      where classes overlap, hardly any image in between is listed. `suggestion` is the most
      probable other class, and `other` the most similar image of it. Score: 1 − probability of the
      given label. Images that are listed as copies, as strangers or as of poor quality are not
      listed again, nor is the kept one of copies under two labels.
    - "background": the background of a class differs from the typical one, and does so more than
      that of the median class, by at least 2 % of the range from black to white and beyond Tukey's
      fence (of the lower half, mirrored). `path` and `other` are the two images whose background is
      the strongest evidence for the class. Score: share of the class evidence that lies on the
      background (a little always spills over from the object; `reason` gives the median of all
      classes). Only checked if backgrounds are plain, there are at least three classes, and the
      class maps of all classes were stored. It finds a sticker, a stamp or a tint on most images of
      a class; it misses small marks, marks on few images, and backgrounds that all differ.
    - "twin": not a copy, but closer to an image of another label than 90 % of images are to their
      nearest neighbour of their own label. Score: the cosine. Images that are listed as "copy" or
      "label" are not listed again, and nobody is the twin of a wrong label.
    - "overlap": two classes that the images do not tell apart: at least a tenth of the images of
      both, and three, look more like the other class and are not listed as "label". Either the
      classes overlap, or so many labels were exchanged that none is known to be right: look at
      both. One row for each pair; `path` is the image with the least probable label. Score: the
      share of the images.
    - "stranger": not similar to any image: its distance to the third nearest one, in standardised
      features, is beyond Tukey's fence (on logarithms). `other` is the nearest image. Score: 1 −
      the usual distance as a share of it.
    - "group": a group, such as the images of one patient, lies in both splits. One row for each
      group. Only checked if `group` is given. Score: share of the group that is not in the split
      that is kept.
    - "dark", "bright", "blurry", "uniform" (an entropy below 3 bits; one colour has 1.6 at most),
      "odd size", "odd shape" (one side is more than three times as long as the other) and "gray"
      (among images with colours): the measures and limits of cleanvision. A kind that would list
      more than half of all images says nothing of a single one and is left out. Score: 0..1 by the
      measure.

    Where images have several labels, two images have the same label if they have the same set of
    labels. Labels are judged class by class: "label" is an image that lacks a label or has one too
    many, perhaps several times. Twins have a cosine above 0.9999. Backgrounds and overlaps are not
    looked at.

    The analysis and its reference are two splits, and so are the images of one analysis that lie in
    folders such as Training and Test. Images without a label (-1) have no faults of labels, twins
    and backgrounds. All files are read once, at a small size; those that may be copies are read
    again. Memory grows with the number of
    images times the number of classes.

    Args:
        analysis: The analysis of a set of images.
        reference: The analysis of another split, such as the training set, by the same model.
            Faults of its images are listed, too.
        group: A column of `analysis.metadata`, and of the reference's, whose value images of one
            group share, such as a patient, a video or a day.

    Returns:
        A table with the columns `path`, `kind` (categorical, in the order above), `reason`,
        `score` (0..1), `other` (a path), `suggestion` (the class that is more probable than the
        label) and `probability` (of the suggestion, 0..1), sorted by kind and decreasing score.
        Values that a fault does not have are missing (NaN): only labels and copies under two labels
        have suggestions, and images of poor quality have no `other`.

    Raises:
        ValueError: The two analyses are of the same images, or differ in their classes or features,
            there are fewer than three images, or `group` is no column of the metadata or there is
            only one split.
        OSError: An image can no longer be read.

    Example:
        >>> import camkit
        >>> images = camkit.load_images("mini", "Test", per_class=3)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> analysis = camkit.analyze(model, images)
        >>> table = camkit.data_faults(analysis)
        >>> list(table.columns)
        ['path', 'kind', 'reason', 'score', 'other', 'suggestion', 'probability']
    """
    images = Images(analysis, reference)
    of_groups = [] if group is None else list(find_split_groups(images, group))
    pixels = read_pixels(images)
    neighbours = find_neighbours(images.features, images.labels)
    copies = find_copies(images, pixels.thumbnails, neighbours.several)
    of_two_labels = copies.of_two_labels(images)
    poor = list(find_poor_quality(pixels.measures))
    # Images that are known to be wrong say nothing of the labels of others.
    wrong_images = of_two_labels | {fault.image for fault in poor}
    opinions, wrong_labels = _judged_labels(images, wrong_images)
    # What is of no class is not of another class either.
    strangers = list(find_strangers(images, neighbours.several))
    strange = {fault.image for fault in strangers}
    wrong_labels = [fault for fault in wrong_labels if fault.image not in strange]
    copy_faults = list(list_copies(images, copies, pixels.area, opinions))
    listed = wrong_images | {fault.image for fault in copy_faults}
    # Backgrounds are compared class by class, of images with one label.
    backgrounds = find_telling_backgrounds(images) if images.label_sets is None else []
    faults = [
        *copy_faults,
        *(fault for fault in wrong_labels if fault.image not in listed),
        *backgrounds,
        *_unexplained(find_twins(images, neighbours, copies), images, copy_faults, wrong_labels),
        *find_overlaps(images, opinions),
        *strangers,
        *of_groups,
        *poor,
    ]
    return _table_of(faults, images)


def _judged_labels(images: Images, wrong_images: set[int]) -> tuple[Opinions, list[Fault]]:
    """Return what images say of the labels of others, and the wrong ones; some are not believed."""
    is_trusted = np.ones(len(images.paths), bool)
    is_trusted[list(wrong_images)] = False
    if images.label_sets is None:
        opinions = find_opinions(images, is_trusted)
        return opinions, list(find_wrong_labels(images, opinions))
    opinions = no_opinions(len(images.paths))
    return opinions, list(find_wrong_label_sets(images, is_trusted))


def _unexplained(
    twins: Iterator[Fault], images: Images, copies: list[Fault], labels: list[Fault]
) -> Iterator[Fault]:
    """Yield the twins that no other fault explains: a copy, or a wrong label of one of the two."""
    of_two_labels = {copy.image for copy in copies if images.has_two_labels(copy.image, copy.other)}
    mislabelled = {fault.image for fault in labels} | of_two_labels
    repeated = {copy.image for copy in copies} | mislabelled
    for twin in twins:
        if twin.image not in repeated and twin.other not in mislabelled:
            yield twin


def _table_of(faults: list[Fault], images: Images) -> pd.DataFrame:
    """Return the table of faults, with names in place of indices."""
    # The index -1 selects the last entry, a missing value.
    paths = np.array([*images.paths, np.nan], dtype=object)
    names = np.array([*images.class_names, np.nan], dtype=object)
    others = [paths[fault.other] for fault in faults]
    suggestions = [names[fault.suggestion] for fault in faults]
    # The types are given, since a table without rows has nothing to tell them by.
    columns = {
        "path": pd.Series([images.paths[fault.image] for fault in faults], dtype=str),
        "kind": pd.Categorical([fault.kind for fault in faults], KINDS),
        "reason": pd.Series([fault.reason for fault in faults], dtype=str),
        "score": pd.Series([fault.score for fault in faults], dtype=float),
        "other": pd.Series(others, dtype=str),
        "suggestion": pd.Series(suggestions, dtype=str),
        "probability": pd.Series([fault.probability for fault in faults], dtype=float),
    }
    return pd.DataFrame(columns).sort_values(
        ["kind", "score"], ascending=[True, False], kind="stable", ignore_index=True
    )
