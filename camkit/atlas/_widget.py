"""The atlas as an anywidget, whose view asks the kernel for the data that it shows."""

from collections.abc import Callable
from typing import Any

import anywidget
import traitlets

from camkit.atlas._encoding import script_json
from camkit.atlas._view import joined, stylesheet
from camkit.atlas.page import embedded
from camkit.atlas.record import Record
from camkit.atlas.verdicts import Verdicts

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
    """

    _esm = joined("notebook.js")
    _css = stylesheet()
    index = traitlets.Unicode().tag(sync=True)

    def __init__(self, record: Record, verdicts: Verdicts) -> None:
        self.record = record
        self.verdicts = verdicts
        self._numbers = {path: i for i, path in enumerate(record.analysis.paths)}
        self._initial_index = record.index(verdicts=self._all_verdicts(), open=False)
        super().__init__(index=script_json(self._initial_index))
        self.on_msg(self._receive)

    def _receive(self, _widget: Any, message: dict[str, Any], _buffers: list) -> None:
        """Answer a message; errors are shown by the view rather than written to a log."""
        handlers: dict[str, Callable[..., Answer]] = {
            "detail": self._detail,
            "picture": self._picture,
            "save": self._save,
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
        path = self.record.path(i)
        verdicts = self._verdicts_of(path)
        return detail | {"verdicts": verdicts}, [packed]

    def _picture(self, i: int) -> Answer:
        data, kind = self.record.picture(i)
        return {"type": f"image/{kind}"}, [data]

    def _save(self, i: int, entry: dict[str, str], seen: dict[str, Any] | None) -> Answer:
        analysis = self.record.analysis
        label = int(analysis.labels[i])
        row = {
            "path": analysis.paths[i],
            "true": str(analysis.class_names[label]) if label >= 0 else "",
            "predicted": str(analysis.class_names[analysis.predicted[i]]),
            "verdict": entry["verdict"],
            "comment": entry["comment"],
            "reviewer": entry["reviewer"],
        }
        saved, stored = self.verdicts.save(row, seen)
        shown = {name: stored[name] for name in ("verdict", "comment", "reviewer")}
        return {"saved": saved, "row": {"i": i, **shown}}, []

    def _all_verdicts(self) -> list[dict[str, Any]]:
        """Return the verdicts {i, verdict, comment, reviewer} on images of the analysis."""
        table = self.verdicts.read().reset_index()
        analysed = table[table["path"].isin(list(self._numbers))]
        return [self._verdict_row(row) for row in analysed.itertuples()]

    def _verdicts_of(self, path: str) -> list[dict[str, Any]]:
        """Return the verdicts on one image."""
        if path not in self._numbers:
            return []
        table = self.verdicts.read().reset_index()
        return [self._verdict_row(row) for row in table[table["path"] == path].itertuples()]

    def _verdict_row(self, row: Any) -> dict[str, Any]:
        return {
            "i": self._numbers[row.path],
            "verdict": row.verdict,
            "comment": row.comment,
            "reviewer": row.reviewer,
        }

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict, dict] | None:
        """Return what Jupyter displays: the widget, and for few images a copy without a kernel."""
        bundle = super()._repr_mimebundle_(**options)
        if bundle is None or len(self.record.analysis) > EMBEDDED_IMAGES:
            return bundle
        data, metadata = bundle
        page = embedded(self.record, self._initial_index)
        return {**data, "text/html": page}, metadata
