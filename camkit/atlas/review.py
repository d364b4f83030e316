"""What reviewers decided, as data: a mended image set, and how far the reviewers agree."""

import itertools
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from camkit._files import any_bytes
from camkit.atlas.verdicts import BLANK, VERDICTS, PathMatcher, read_verdicts
from camkit.images import ImageSet
from camkit.images._label_sets import SEPARATOR, joined_names

# The verdict that the label is that which the model gave, unless a correct label is entered.
LABEL_WRONG = "label wrong"

# The verdicts that take an image out of a set.
REMOVE = ("remove", "ambiguous")

# What a table of verdicts says of an image without a label.
NO_LABEL = ("", "no label")


class Applied(NamedTuple):
    """An image set after a review, and what the review changed.

    Attributes:
        images: The ImageSet without the removed images and with the new labels.
        table: The same as a table, which `camkit.load_images` reads, with the classes in the same
            order if it is given `class_names=images.class_names`: "path", "label" and the columns
            of the metadata; one that has one of these names begins with "metadata_".
        log: A row for each image with verdicts: "path"; "action", which is "removed", "relabelled",
            "unchanged", "disagreement" or "not found"; "before" and "after", its label; and "why".
    """

    images: ImageSet
    table: pd.DataFrame
    log: pd.DataFrame


class _Decision(NamedTuple):
    """What is to be done with an image, and why; `label` is the new one of a relabelled image."""

    action: str
    label: str
    why: str


@dataclass(eq=False, repr=False)
class Review:
    """The verdicts of all reviewers.

    Attributes:
        table: A row for each image and reviewer, all text: "path", "reviewer", "true", "predicted",
            "verdict", "comment", "correct_label", and other columns of the files.

    Example:
        >>> import camkit
        >>> import pandas as pd
        >>> rows = {"path": ["a.jpg", "b.jpg"], "true": "Pear", "predicted": "Apple"}
        >>> kim = pd.DataFrame(rows).assign(reviewer="Kim", verdict=["label wrong", "background"])
        >>> lee = pd.DataFrame(rows).assign(reviewer="Lee", verdict=["label wrong", "ambiguous"])
        >>> review = camkit.load_verdicts(kim, lee)
        >>> review
        Review(4 verdicts on 2 images by Kim, Lee)
        >>> review.disagreements()["path"].tolist()
        ['b.jpg']
    """

    table: pd.DataFrame

    def __repr__(self) -> str:
        """Return how many verdicts there are, on how many images and by whom."""
        reviewers = ", ".join(self._reviewers()) or "nobody"
        images = self.table["path"].nunique()
        return f"Review({len(self.table)} verdicts on {images} images by {reviewers})"

    def apply(self, images: ImageSet, remove: Collection[str] = REMOVE) -> Applied:
        """Return an image set without the removed images and with the corrected labels.

        An image with one of the verdicts `remove` is taken out, also if it has a correct label. One
        with the verdict "label wrong" gets its `correct_label`; several are separated by "|" where
        images have several labels, and "no label" takes all away. Without a correct label it gets
        the class that the model predicted, if it predicted any. A class that the set does not have
        is added to it. Other verdicts, such as "background", say something of the model and change
        nothing, also beside a correct label; "not reviewed" is no verdict. Where reviewers decide
        differently, nothing is changed, nor is a label that is no longer the one that was reviewed.

        Args:
            images: The set that was reviewed, such as `analysis.images`. Images are found by their
                paths or, where that is unique, by the endings of these.
            remove: The verdicts that take an image out, whatever its label: by default "remove" and
                "ambiguous".

        Returns:
            An `Applied`: `images`, `table` and `log`. No file is changed.

        Raises:
            ValueError: The verdicts name no class of the set.

        Example:
            >>> import camkit
            >>> import pandas as pd
            >>> images = camkit.load_images("mini", "Test", classes=["Lemon", "Lime"], per_class=2)
            >>> path = "Test/Lemon/" + images.paths[0].name
            >>> row = {"path": [path], "true": "Lemon", "predicted": "Lime"}
            >>> table = pd.DataFrame(row).assign(verdict="label wrong")
            >>> applied = camkit.load_verdicts(table).apply(images)
            >>> applied.images.labels, applied.log["action"].tolist()
            (array([1, 0, 1, 1]), ['relabelled'])
        """
        matcher = PathMatcher([str(path) for path in images.paths])
        numbers = self.table["path"].map(matcher.find)
        self._check_classes(images, numbers)
        labels = _Labels(images)
        removed = []
        log = []
        for key, rows in self.table.groupby(numbers.fillna(-1).astype(int), sort=False):
            if key < 0:
                log += [_not_found(row) for row in rows.to_dict("records")]
                continue
            before = labels.name(key)
            decision = labels.allowed(_decide(rows, before, remove))
            if decision.action == "relabelled":
                labels.set(key, decision.label)
            if decision.action == "removed":
                removed.append(key)
            after = "" if decision.action == "removed" else labels.name(key)
            path = str(images.paths[key])
            log.append((path, decision.action, before, after, decision.why))
        kept = np.setdiff1d(np.arange(len(images)), removed)
        mended = labels.images().select(kept)
        with any_bytes():
            columns = ["path", "action", "before", "after", "why"]
            return Applied(mended, _table_of(mended), pd.DataFrame(log, columns=columns))

    def tags(self, paths: Sequence[str]) -> list[list[str]]:
        """Return the verdicts on each image, such as ["label wrong"], and [] where there is none.

        Args:
            paths: The images, such as `analysis.paths`.

        Example:
            >>> import camkit
            >>> import pandas as pd
            >>> row = {"path": ["a/b.jpg"], "true": "Pear", "predicted": "Apple"}
            >>> review = camkit.load_verdicts(pd.DataFrame(row).assign(verdict="ambiguous"))
            >>> review.tags(["/data/kim/a/b.jpg", "/data/kim/a/c.jpg"])
            [['ambiguous'], []]
        """
        matcher = PathMatcher(paths)
        tags: list[list[str]] = [[] for _ in paths]
        for path, verdict in zip(self.table["path"], self.table["verdict"], strict=True):
            number = matcher.find(path)
            if number is not None and verdict not in (BLANK["verdict"], *tags[number]):
                tags[number].append(verdict)
        return tags

    def agreement(self) -> pd.DataFrame:
        """Return how far each two reviewers agree, by Cohen's kappa.

        Two verdicts "label wrong" are the same if they name the same correct label.

        Returns:
            A table: "first" and "second", the reviewers; "images" that both gave a verdict; "same",
            the share of these with the same verdict; "kappa", how much more often that is than by
            chance, 1 for always and 0 for as often, NaN where both gave one verdict alone.

        Example:
            >>> import camkit
            >>> import pandas as pd
            >>> rows = {"path": list("abcd"), "true": "Pear", "predicted": "Apple"}
            >>> given = ["other", "other", "ambiguous", "ambiguous"]
            >>> kim = pd.DataFrame(rows).assign(reviewer="Kim", verdict=given)
            >>> lee = kim.assign(reviewer="Lee", verdict=[*given[:3], "other"])
            >>> camkit.load_verdicts(kim, lee).agreement()[["same", "kappa"]].values.tolist()
            [[0.75, 0.5]]
        """
        from sklearn.metrics import cohen_kappa_score

        verdicts = self._by_reviewer()
        rows = []
        for first, second in itertools.combinations(verdicts.columns, 2):
            both = verdicts[[first, second]].dropna()
            same = both[first] == both[second]
            kappa = np.nan
            if len(np.unique(both)) > 1:
                kappa = cohen_kappa_score(both[first], both[second])
            rows.append((first, second, len(both), same.mean(), kappa))
        return pd.DataFrame(rows, columns=["first", "second", "images", "same", "kappa"])

    def disagreements(self) -> pd.DataFrame:
        """Return the verdicts on images to which two reviewers gave different ones.

        Returns:
            A table with a row for each image: "path", and a column for each reviewer, with None
            where there is no verdict. "label wrong" comes with the correct label, such as
            "label wrong: Apple".

        Example:
            >>> import camkit
            >>> import pandas as pd
            >>> row = {"path": ["a"], "true": "Pear", "predicted": "Apple"}
            >>> kim = pd.DataFrame(row).assign(reviewer="Kim", verdict="ambiguous")
            >>> lee = pd.DataFrame(row).assign(reviewer="Lee", verdict="background")
            >>> camkit.load_verdicts(kim, lee).disagreements().values.tolist()
            [['a', 'ambiguous', 'background']]
        """
        verdicts = self._by_reviewer()
        differ = verdicts.nunique(axis=1) > 1
        return verdicts[differ].reset_index().rename_axis(columns=None)

    def _by_reviewer(self) -> pd.DataFrame:
        """Return the verdicts by path, a column for each reviewer, without those not given."""
        given = self.table[self.table["verdict"] != BLANK["verdict"]]
        stated = [_stated(row) for row in given.to_dict("records")]
        with any_bytes():
            given = given.assign(verdict=pd.Series(stated, index=given.index, dtype=object))
            verdicts = given.pivot(index="path", columns="reviewer", values="verdict")
            return verdicts.astype(object).where(verdicts.notna(), None)

    def _reviewers(self) -> list[str]:
        """Return the names of the reviewers, in the order of the table."""
        return [name or "a reviewer without a name" for name in self.table["reviewer"].unique()]

    def _check_classes(self, images: ImageSet, numbers: pd.Series) -> None:
        """Raise ValueError if the verdicts are on other classes than those of the set."""
        names = self.table["true"][numbers.notna()]
        named = {part for name in names for part in name.split(SEPARATOR)} - set(NO_LABEL)
        if named and images.class_names and not named & set(images.class_names):
            raise ValueError(
                f"the verdicts are on classes {sorted(named)[:5]}, of which the image set has none:"
                f" pass the images as the model names them, load_analysis(folder).images"
            )


def load_verdicts(*sources: str | os.PathLike[str] | pd.DataFrame) -> Review:
    """Return the verdicts in one or more files as a Review.

    Args:
        *sources: CSV files that the atlas has written, perhaps by way of a spreadsheet, or tables
            with their columns. Where a path of another file is not in the first, it is that of the
            image with the same ending, if there is one such image. Verdicts without a reviewer are
            those of the file's name, if there are several files. Of two verdicts by one reviewer
            on an image the last one counts.

    Returns:
        A Review, which `apply` turns into a mended image set.

    Raises:
        TypeError: No file is given.
        ValueError: A file is not a table of verdicts, or has a verdict that the atlas has not, such
            as a misspelt one.
        OSError: A file cannot be read.

    Example:
        >>> import camkit
        >>> import pandas as pd
        >>> row = {"path": ["a.jpg"], "true": "Pear", "predicted": "Apple", "verdict": "other"}
        >>> camkit.load_verdicts(pd.DataFrame(row))
        Review(1 verdicts on 1 images by a reviewer without a name)
    """
    if not sources:
        raise TypeError("there are no verdicts to load: pass one or more CSV files")
    tables: list[pd.DataFrame] = []
    for number, source in enumerate(sources, 1):
        table = read_verdicts(source).reset_index()
        _check_verdicts(table, source)
        if len(sources) > 1:
            name = f"table {number}" if isinstance(source, pd.DataFrame) else Path(source).stem
            table["reviewer"] = table["reviewer"].replace("", name)
        if tables:
            known = tables[0]["path"].unique().tolist()
            matcher = PathMatcher(known)
            found = table["path"].map(matcher.find)
            is_found = found.notna()
            paths = [known[int(number)] for number in found[is_found]]
            table.loc[is_found, "path"] = paths
        tables.append(table)
    with any_bytes():
        table = pd.concat(tables, ignore_index=True).fillna("")
    table = table.drop_duplicates(["path", "reviewer"], keep="last", ignore_index=True)
    return Review(table)


def _check_verdicts(table: pd.DataFrame, source: str | os.PathLike[str] | pd.DataFrame) -> None:
    """Raise ValueError if a verdict is none that the atlas has, which would decide nothing."""
    unknown = table[~table["verdict"].isin(VERDICTS)]
    if unknown.empty:
        return
    first = unknown.iloc[0]
    name = "the table" if isinstance(source, pd.DataFrame) else source
    reviewer = f" by {first['reviewer']}" if first["reviewer"] else ""
    more = f" ({len(unknown) - 1} more like it)" if len(unknown) > 1 else ""
    raise ValueError(
        f"{name} has the verdict {first['verdict']!r} on {first['path']}{reviewer}{more}: write "
        f"one of {', '.join(VERDICTS)}"
    )


def _decide(rows: pd.DataFrame, before: str, remove: Collection[str]) -> _Decision:
    """Return what the verdicts on an image, whose label is `before`, come to."""
    decisions = {}
    for row in rows.to_dict("records"):
        decision = _decide_by_one(row, before, remove)
        if decision is not None:
            decisions[row["reviewer"]] = decision
    whys = "; ".join(
        f"{name}: {each.why}" if name else each.why for name, each in decisions.items()
    )
    outcomes = {(each.action, each.label) for each in decisions.values()}
    if not outcomes:
        return _Decision("unchanged", "", BLANK["verdict"])
    if len(outcomes) > 1:
        return _Decision("disagreement", "", whys)
    [(action, label)] = outcomes
    return _Decision(action, label, whys)


def _decide_by_one(row: dict[str, str], before: str, remove: Collection[str]) -> _Decision | None:
    """Return what one reviewer decides; None if the image is not reviewed."""
    verdict = row["verdict"]
    label = _corrected(row)
    why = ", ".join(filter(None, (_stated(row), row["comment"])))
    if verdict in remove:
        return _Decision("removed", "", why)
    if verdict == BLANK["verdict"]:
        return None
    if verdict != LABEL_WRONG:
        ignored = f', and a correct label counts with "{LABEL_WRONG}" only' if label else ""
        return _Decision("unchanged", "", why + ignored)
    if not label:
        remedy = "and the model predicts none: enter a correct label, or 'no label'"
        return _Decision("unchanged", "", f"{why}, {remedy}")
    if label in ((before,) if before else NO_LABEL):
        return _Decision("unchanged", "", why)
    reviewed = "" if row["true"] in NO_LABEL else row["true"]
    if reviewed != before:
        return _Decision("unchanged", "", f"{why}, but its label was {reviewed or 'none'} then")
    return _Decision("relabelled", label, why)


def _corrected(row: dict[str, str]) -> str:
    """Return the label that an image should have by one reviewer; "" if none is named."""
    label = row["correct_label"].strip()
    if not label and row["verdict"] == LABEL_WRONG and row["predicted"] not in NO_LABEL:
        label = row["predicted"]
    return label


def _stated(row: dict[str, str]) -> str:
    """Return a verdict in words; of a wrong label, with the correct one."""
    label = _corrected(row)
    if row["verdict"] == LABEL_WRONG and label:
        return f"{LABEL_WRONG}: {label}"
    return row["verdict"]


def _not_found(row: dict[str, str]) -> tuple[str, ...]:
    """Return the row of the log for a verdict on an image that the set does not have."""
    reason = f"{row['verdict']}: no image of the set, or several, have this path or its ending"
    return (row["path"], "not found", row["true"], "", reason)


class _Labels:
    """The labels of an image set, which can be changed."""

    def __init__(self, images: ImageSet) -> None:
        self._images = images
        self._names = list(images.class_names)
        self._has_sets = np.ndim(images.labels) == 2
        self._labels = np.array(images.labels)

    def name(self, i: int) -> str:
        """Return the name of the label of image i; "" if it has none."""
        if self._has_sets:
            return joined_names(self._labels[i : i + 1], self._names)[0]
        label = self._labels[i]
        return self._names[label] if label >= 0 else ""

    def allowed(self, decision: _Decision) -> _Decision:
        """Return a decision, or that nothing changes if it has several labels for one."""
        is_one = self._has_sets or decision.label in self._names
        if is_one or SEPARATOR not in decision.label:
            return decision
        remedy = "but an image has one label here: enter one"
        return _Decision("unchanged", "", f"{decision.why}, {remedy}")

    def set(self, i: int, name: str) -> None:
        """Set the label of image i, or its labels where it may have several."""
        is_none = name in NO_LABEL and name not in self._names
        names = [] if is_none else name.split(SEPARATOR)
        if not self._has_sets:
            self._labels[i] = self._number(name) if names else -1
            return
        numbers = [self._number(each) for each in names]
        self._labels[i] = False
        self._labels[i, numbers] = True

    def _number(self, name: str) -> int:
        """Return the number of a class, which is added if it is new."""
        if name not in self._names:
            self._names.append(name)
            if self._has_sets:
                self._labels = np.pad(self._labels, [(0, 0), (0, 1)])
        return self._names.index(name)

    def images(self) -> ImageSet:
        """Return the set with these labels."""
        return replace(self._images, labels=self._labels, class_names=self._names)


def _table_of(images: ImageSet) -> pd.DataFrame:
    """Return the paths, labels and metadata of a set as a table."""
    labels = _Labels(images)
    table = pd.DataFrame(
        {
            "path": [str(path) for path in images.paths],
            "label": [labels.name(i) for i in range(len(images))],
        }
    )
    if images.metadata is None:
        return table
    names = {name: f"metadata_{name}" for name in table}
    others = images.metadata.reset_index(drop=True).rename(columns=names)
    return pd.concat([table, others], axis=1)
