"""Slices of a set on which a model errs more than on the rest."""

import re
from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import hypergeom

from camkit._features import feature_space
from camkit._files import any_bytes
from camkit.faults._images import Images
from camkit.faults._pixels import read_pixels

if TYPE_CHECKING:
    from camkit import Analysis

SOURCES = ("metadata", "quality", "features")

# A column of numbers with more values than this is cut into so many bins of equal size.
BINS = 4

# The measures of pictures that are asked, and their names in slices.
MEASURES = {
    "width": "width",
    "height": "height",
    "dark": "brightness of the brightest pixels",
    "bright": "brightness of the darkest pixels",
    "sharpness": "sharpness",
    "entropy": "entropy",
    "spread": "colour",
}

# Text that may be an ISO date, with or without a time.
_DATE = re.compile(r"\d{4}-\d\d-\d\d")

# The largest number of clusters of the features.
CLUSTERS = 20


class _Slice(NamedTuple):
    """A name, a mask (N,) of its images, and the position of its column of the metadata."""

    name: str
    mask: np.ndarray
    column: int | None = None


@any_bytes()
def error_slices(
    analysis: "Analysis",
    by: Sequence[str] = SOURCES,
    *,
    smallest: int = 10,
    level: float = 0.05,
) -> pd.DataFrame:
    """Return a table of the slices on which the model errs more than on the rest.

    Slices are the values of each column of the metadata, of measures of the pictures, and clusters
    of the features. Numbers and times with more than four values are cut at their quartiles, also
    dates as text such as 2026-11-29. A slice is listed if it has more errors than chance explains,
    by Fisher's exact test (one-sided) against all other images. p is corrected by Holm's method for
    the number of slices that were asked: if errors do not depend on any slice, a table with a row
    comes up in at most `level` of all sets. Slices overlap, so one cause may have several rows.

    Args:
        analysis: The analysis of images with labels. Images without one are not counted.
        by: Where slices come from, some of "metadata"; "quality", for which every file is read to
            measure its size, shape, brightness, sharpness, entropy and colour; and "features", the
            clusters that k-means finds in the standardised features, at most 20.
        smallest: Slices with fewer images are not asked.
        level: The highest corrected p that is listed; 1 lists all slices that were asked.

    Returns:
        A table, the lowest p first: "slice", such as "camera = old"; "size"; "errors";
        "error_rate"; "rest_error_rate", that of all other images; "p"; "images", the rows of its
        images: `analysis.select(table["images"][0])` has the first slice. Columns of the
        metadata that have no slice of `smallest` images are named in `table.attrs["not_asked"]`.

    Raises:
        ValueError: `by` names something else, or no image has a label.
        OSError: A file can no longer be read.

    Example:
        >>> import camkit, numpy as np
        >>> from dataclasses import replace
        >>> import pandas as pd
        >>> images = camkit.load_images("mini", "Test", per_class=5)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> # An untrained head takes all images for the first class.
        >>> is_first = pd.Series(images.labels == 0).map({True: "apples", False: "others"})
        >>> images = replace(images, metadata=pd.DataFrame({"shelf": is_first}))
        >>> table = camkit.error_slices(camkit.analyze(model, images), by=["metadata"], smallest=5)
        >>> table["slice"][0], int(table["errors"][0])
        ('shelf = others', 55)
    """
    unknown = sorted(set(by) - set(SOURCES))
    if unknown or isinstance(by, str):
        raise ValueError(f"by is {by!r}: pass a list of some of {', '.join(SOURCES)}")
    correct = analysis.table["correct"]
    labelled = np.flatnonzero(correct.notna())
    if not len(labelled):
        raise ValueError("no image has a label: which ones are errors is not known")
    is_error = ~correct.iloc[labelled].to_numpy(dtype=bool)
    part = analysis if len(labelled) == len(analysis) else analysis.select(labelled)
    large = [each for each in _slices(part, by, smallest) if _is_large(each, smallest)]
    table = _table(_distinct(large), is_error, labelled, level)
    if "metadata" in by and part.metadata is not None:
        asked = {each.column for each in large}
        names = enumerate(part.metadata.columns)
        table.attrs["not_asked"] = [name for position, name in names if position not in asked]
    return table


def _slices(analysis: "Analysis", by: Sequence[str], smallest: int) -> Iterator[_Slice]:
    """Yield the slices of each source, in the order of SOURCES."""
    if len(analysis) <= smallest:
        return
    if "metadata" in by and analysis.metadata is not None:
        for position, name in enumerate(analysis.metadata.columns):
            column = analysis.metadata.iloc[:, position].reset_index(drop=True)
            yield from _slices_of_column(name, column, position)
    if "quality" in by:
        for name, column in _measures(analysis).items():
            yield from _slices_of_column(name, column)
    if "features" in by:
        yield from _clusters(analysis, smallest)


def _slices_of_column(
    name: Hashable, column: pd.Series, position: int | None = None
) -> Iterator[_Slice]:
    """Yield the slices of a column with a row for each image, at a position of the metadata."""
    if column.isna().any():
        yield _Slice(f"{name} is missing", column.isna().to_numpy(), position)
    column = _with_dates(column)
    cut = _bins if _is_cut(column) else _values
    for text, mask in cut(column):
        yield _Slice(f"{name} {text}", mask, position)


def _with_dates(column: pd.Series) -> pd.Series:
    """Return a column, as times if all that it holds is text with ISO dates."""
    texts = column.dropna()
    are_dates = all(isinstance(text, str) and _DATE.match(text) for text in texts)
    if not are_dates or texts.empty:
        return column
    try:
        return pd.to_datetime(column, format="ISO8601")
    except ValueError:
        # There is no such day, or the time zones differ.
        return column


def _is_cut(column: pd.Series) -> bool:
    """Return whether a column holds numbers or times with many values."""
    is_ordered = column.dtype.kind in "iufmM" or isinstance(column.dtype, pd.DatetimeTZDtype)
    return is_ordered and column.nunique() > BINS


def _bins(column: pd.Series) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the range and the images between the quartiles of a column."""
    bins = pd.qcut(column, BINS, labels=False, duplicates="drop")
    for number in sorted(bins.dropna().unique()):
        mask = (bins == number).to_numpy()
        low, high = (_shown(value) for value in (column[mask].min(), column[mask].max()))
        yield f"{low} to {high}", mask


def _values(column: pd.Series) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the images of each value of a column; lists count by what is written of them."""
    texts = column.dropna().map(_shown)
    for text, rows in texts.groupby(texts).groups.items():
        mask = np.zeros(len(column), dtype=bool)
        mask[rows] = True
        yield f"= {text}", mask


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _measures(analysis: "Analysis") -> pd.DataFrame:
    """Return measures of each picture: its size and shape, brightness, sharpness and colour."""
    images = Images(analysis, None)
    measures = read_pixels(images).measures.set_index(pd.Index(images.paths))
    # A file that has several rows has the same measures in each.
    measures = measures[~measures.index.duplicated()]
    table = measures.loc[analysis.paths].reset_index(drop=True)
    shape = table["width"] / table["height"]
    return table[list(MEASURES)].rename(columns=MEASURES).assign(**{"width / height": shape})


def _clusters(analysis: "Analysis", smallest: int) -> Iterator[_Slice]:
    """Yield the clusters of the features of images."""
    from sklearn.cluster import KMeans

    count = min(CLUSTERS, len(analysis) // (2 * max(1, smallest)))
    if count < 2:
        return
    [features] = feature_space(np.asarray(analysis.gap))
    clusters = KMeans(count, n_init=3, random_state=0).fit_predict(features)
    for number in range(count):
        yield _Slice(f"cluster {number} of the features", clusters == number)


def _is_large(each: _Slice, smallest: int) -> bool:
    """Return whether a slice is large enough to be asked, and has a rest."""
    return smallest <= int(np.count_nonzero(each.mask)) < len(each.mask)


def _distinct(slices: list[_Slice]) -> list[_Slice]:
    """Return the slices that are not those of another name."""
    distinct: dict[bytes, _Slice] = {}
    for each in slices:
        distinct.setdefault(each.mask.tobytes(), each)
    return list(distinct.values())


def _table(
    slices: list[_Slice], is_error: np.ndarray, rows: np.ndarray, level: float
) -> pd.DataFrame:
    """Return the table of slices; `rows` are those of the masks' images in the analysis."""
    count = len(is_error)
    sizes = np.array([each.mask.sum() for each in slices], dtype=int)
    errors = np.array([(each.mask & is_error).sum() for each in slices], dtype=int)
    # P(at least so many errors), if the images of the slice were drawn at random.
    p = hypergeom.sf(errors - 1, count, is_error.sum(), sizes)
    table = pd.DataFrame(
        {
            "slice": pd.Series([each.name for each in slices], dtype=str),
            "size": sizes,
            "errors": errors,
            "error_rate": errors / sizes,
            "rest_error_rate": (is_error.sum() - errors) / (count - sizes),
            "p": _holm(p),
            "images": pd.Series([rows[each.mask] for each in slices], dtype=object),
        }
    )
    listed = table[table["p"] <= level]
    return listed.sort_values(["p", "size"], ascending=[True, False], ignore_index=True)


def _holm(p: np.ndarray) -> np.ndarray:
    """Return p-values corrected for their number (Holm, Scand. J. Statist. 6, 1979).

    The k-th lowest of n is multiplied by n − k + 1, and none is lower than one before it.
    """
    order = np.argsort(p, kind="stable")
    factors = len(p) - np.arange(len(p))
    corrected = np.maximum.accumulate(p[order] * factors)
    result = np.empty(len(p))
    result[order] = np.minimum(corrected, 1)
    return result
