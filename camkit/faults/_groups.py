"""Groups of images that belong together, such as those of a patient, and lie in both splits."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from camkit.faults._images import Fault, Images


def find_split_groups(images: Images, column: str) -> Iterator[Fault]:
    """Yield an image of each group that lies in more than one split.

    Args:
        images: The images.
        column: The column of the metadata that names the group of each image. Images without a
            value belong to no group.

    Raises:
        ValueError: There is no such column, or only one split.
    """
    groups = images.metadata_of(column)
    if len(np.unique(images.splits)) < 2:
        raise ValueError(
            f"group={column!r} asks which groups lie in two splits, and all images are in one: "
            "pass the analysis of the other split as the reference"
        )
    table = pd.DataFrame({"group": groups, "split": images.splits, "rank": images.ranks})
    table = table[table["group"].notna()]
    for group, rows in table.groupby("group", sort=False):
        if rows["split"].nunique() < 2:
            continue
        # Of the splits, one is kept: that of the lowest rank.
        kept = rows.sort_values("rank", kind="stable").iloc[0]
        elsewhere = rows[rows["split"] != kept["split"]]
        share = len(elsewhere) / len(rows)
        reason = (
            f"{column} {group} is in both splits: {len(elsewhere)} images here, "
            f"{len(rows) - len(elsewhere)} in the other"
        )
        yield Fault(int(elsewhere.index[0]), "group", reason, share, int(kept.name))
