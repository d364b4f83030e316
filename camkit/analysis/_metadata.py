"""A table of metadata in a form that about.json holds, and back again with the same types."""

import json
from typing import Any

import pandas as pd

from camkit._files import any_bytes


def pack(metadata: pd.DataFrame | None, count: int) -> list[dict[str, Any]] | None:
    """Return the columns of a table as JSON holds them; None for None.

    Args:
        metadata: A table with a row for each image, or None.
        count: The number of images.

    Raises:
        ValueError: The table has another number of rows, or a column holds values that JSON cannot
            hold exactly.
    """
    if metadata is None:
        return None
    if len(metadata) != count:
        raise ValueError(
            f"images.metadata has {len(metadata)} rows and there are {count} images: it needs a "
            "row for each image, in their order"
        )
    metadata = metadata.reset_index(drop=True)
    columns = []
    for position, name in enumerate(metadata.columns):
        column = metadata.iloc[:, position]
        packed = {"name": name, **_pack_column(column)}
        if not _is_exact(packed, column):
            raise ValueError(
                f"the metadata {name!r} holds values of {column.dtype} that cannot be stored: "
                f"convert them, such as images.metadata[{name!r}].astype(str), or drop the column"
            )
        columns.append(packed)
    return columns


def unpack(columns: list[dict[str, Any]] | None) -> pd.DataFrame | None:
    """Return the table that `pack` has packed."""
    if columns is None:
        return None
    with any_bytes():
        unpacked = [_unpack_column(column) for column in columns]
        if not unpacked:
            return pd.DataFrame()
        table = pd.concat(unpacked, axis=1)
    table.columns = pd.Index([column["name"] for column in columns])
    return table


def _pack_column(column: pd.Series) -> dict[str, Any]:
    """Return {dtype, values} of a column, and the categories of a categorical one."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return {
            "dtype": "category",
            "values": column.cat.codes.tolist(),
            "categories": _pack_column(column.cat.categories.to_series()),
            "ordered": column.cat.ordered,
        }
    values = column.tolist()
    if column.dtype.kind not in "biufO" or pd.api.types.is_extension_array_dtype(column.dtype):
        # Dates as text; missing values as null.
        is_plain = column.dtype.kind in "biufO"
        values = [None if pd.isna(x) else x if is_plain else str(x) for x in values]
    return {"dtype": str(column.dtype), "values": values}


def _unpack_column(packed: dict[str, Any]) -> pd.Series:
    """Return the column that `_pack_column` has packed."""
    if packed["dtype"] != "category":
        return pd.Series(packed["values"], dtype=packed["dtype"])
    categories = _unpack_column(packed["categories"])
    codes = packed["values"]
    return pd.Series(pd.Categorical.from_codes(codes, categories, packed["ordered"]))


def _is_exact(packed: dict[str, Any], column: pd.Series) -> bool:
    """Return whether JSON gives the column back as it was."""
    try:
        with any_bytes():
            restored = _unpack_column(json.loads(json.dumps(packed)))
    except (TypeError, ValueError):
        return False
    # Text may be stored in two ways that have one name.
    is_same_type = str(restored.dtype) == str(column.dtype)
    return is_same_type and restored.astype(object).equals(column.astype(object))
