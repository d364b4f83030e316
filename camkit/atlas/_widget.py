"""The atlas as an anywidget, whose view asks the kernel for the data that it shows."""

import math
from collections.abc import Callable
from typing import Any

import anywidget
import pandas as pd
import traitlets

from camkit.atlas._encoding import script_json
from camkit.atlas._view import joined, stylesheet
from camkit.atlas.page import embedded
from camkit.atlas.playground import engine_files, entry_of
from camkit.atlas.record import Record
from camkit.atlas.verdicts import VIEW_NAMES, PathMatcher, Verdicts, for_view

# Up to this many images, the cell output also embeds a static copy that works without a kernel.
EMBEDDED_IMAGES = 2_000

Answer = tuple[dict[str, Any], list[bytes]]


class AtlasView(anywidget.AnyWidget):
    """The view of a record.

    It answers the messages of kernel-source.js, {kind, number, …}, with {number, …} and buffers, or
    with {number, error}.

    Args:
        record: The record.
        verdicts: The verdicts of the reviewers.
        play: What runs the model in the view, see `model_of_analysis`, or None.
    """

    _esm = joined("notebook.js")
    _css = stylesheet()
    index = traitlets.Unicode().tag(sync=True)

    def __init__(
        self, record: Record, verdicts: Verdicts, play: dict[str, Any] | None = None
    ) -> None:
        self.record = record
        self.verdicts = verdicts
        self.play = play
        self._matcher = PathMatcher(record.paths)
        rows, unmatched = for_view(verdicts.read(), self._matcher)
        self._initial_index = record.index(verdicts=rows, unmatched=unmatched, open=False)
        if play is not None:
            self._initial_index["play"] = entry_of(play)
        super().__init__(index=script_json(self._initial_index))
        self.on_msg(self._receive)

    def _receive(self, _widget: Any, message: dict[str, Any], _buffers: list) -> None:
        """Answer a message; errors are shown by the view rather than written to a log."""
        handlers: dict[str, Callable[..., Answer]] = {
            "detail": self._detail,
            "picture": self._picture,
            "play": self._play,
            "save": self._save,
            "rename": self._rename,
        }
        content = dict(message)
        number = content.pop("number")
        try:
            handler = handlers[content.pop("kind")]
            answer, buffers = handler(**content)
        except Exception as error:
            answer, buffers = {"error": f"{type(error).__name__}: {error}"}, []
        self.send({"number": number, **answer}, buffers=buffers)

    def _detail(self, i: int) -> Answer:
        detail, packed = self.record.detail(i)
        table = self.verdicts.read()
        is_of_image = [self._matcher.find(path) == i for path, _ in table.index]
        rows, _ = for_view(table[is_of_image], self._matcher)
        before = self.record.detail_before(i)
        return detail | {"verdicts": rows}, [packed] if before is None else [packed, before]

    def _picture(self, i: int, full: bool = False) -> Answer:
        """Return an image as the view draws it, or at its full size."""
        data, kind = self.record.picture(i, math.inf) if full else self.record.picture(i)
        return {"type": f"image/{kind}"}, [data]

    def _play(self) -> Answer:
        """Return the model and the engine that runs it in the view."""
        return {"play": {"model": self.play, "engine": engine_files()}}, []

    def _save(self, changes: list[dict[str, Any]]) -> Answer:
        """Save verdicts {i, entry, seen}, each by what the reviewer saw; return what is stored."""
        paths = self._stored_paths()
        rows = []
        for change in changes:
            row = self._stored_row(change["i"], change["entry"], paths)
            rows.append((row, _as_stored(change["seen"])))
        answers = []
        saved = self.verdicts.save_all(rows)
        for change, (is_saved, stored) in zip(changes, saved, strict=True):
            shown = {name: stored[column] for name, column in VIEW_NAMES.items()}
            row = {"i": change["i"], "reviewer": stored["reviewer"], **shown}
            answers.append({"saved": is_saved, "row": row})
        return {"answers": answers}, []

    def _rename(self, numbers: list[int], old: str, new: str) -> Answer:
        """Give verdicts of one reviewer to another; return the numbers of the images."""
        paths = self._stored_paths()
        by_path = {paths[i, old]: i for i in numbers if (i, old) in paths}
        # An image may be known by another path to the new reviewer.
        free = [path for path, i in by_path.items() if (i, new) not in paths]
        moved = self.verdicts.rename(free, old, new)
        return {"moved": [by_path[path] for path in moved]}, []

    def _stored_paths(self) -> dict[tuple[int | None, str], str]:
        """Return the paths of the stored verdicts by image and reviewer."""
        index = self.verdicts.read().index
        return {(self._matcher.find(path), reviewer): path for path, reviewer in index}

    def _stored_row(
        self, i: int, entry: dict[str, str], paths: dict[tuple[int | None, str], str]
    ) -> dict[str, str]:
        """Return the row of the table for what a reviewer has entered on image i."""
        analysis, row = self.record.locate(i)
        names = analysis.table.iloc[row]
        reviewer = entry["reviewer"]
        return {
            "path": paths.get((i, reviewer), analysis.paths[row]),
            "true": "" if pd.isna(names["true"]) else str(names["true"]),
            "predicted": str(names["predicted"]),
            "reviewer": reviewer,
            **_as_stored(entry),
        }

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict, dict] | None:
        """Return what Jupyter displays: the widget, and for few images a copy without a kernel."""
        bundle = super()._repr_mimebundle_(**options)
        if bundle is None or len(self.record.analysis) > EMBEDDED_IMAGES:
            return bundle
        data, metadata = bundle
        page = embedded(self.record, self._initial_index)
        return {**data, "text/html": page}, metadata


def _as_stored(entry: dict[str, str] | None) -> dict[str, str]:
    """Return what a reviewer has entered by the names of the table's columns."""
    return {column: (entry or {}).get(name, "") for name, column in VIEW_NAMES.items()}
