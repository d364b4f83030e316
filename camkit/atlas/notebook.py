"""The atlas in a notebook: an anywidget whose view asks the kernel for what it shows."""

import anywidget
import traitlets

from camkit.atlas.page import CSS, JS, embedded
from camkit.atlas.record import PANELS, Record, portable, script
from camkit.atlas.verdicts import Verdicts

EMBEDDED = 2_000  # pictures: of so many a notebook's output holds a copy that lives without Python


class AtlasView(anywidget.AnyWidget):
    """The view of a Record; it answers messages {kind, number, …} of atlas.js by {number, …} or {number, error}."""

    _esm, _css = JS, CSS
    index = traitlets.Unicode().tag(sync=True)

    def __init__(self, record, verdicts):
        self.record, self.verdicts = record, verdicts
        self._number = {path: i for i, path in enumerate(record.analysis.paths)}
        self._known = record.index(verdicts=self._rows(), open=False)
        super().__init__(index=script(self._known))
        self.on_msg(self._receive)

    def _receive(self, _, message, __):
        try:
            answers = {"detail": self._detail, "picture": self._picture, "keep": self._keep}
            answer, buffers = answers[message["kind"]](**message)
        except Exception as error:  # told where the reader looks, not in a log
            answer, buffers = {"error": f"{type(error).__name__}: {error}"}, []
        self.send({"number": message["number"], **answer}, buffers=buffers)

    def _detail(self, i, **_):
        answer, packed = self.record.detail(i)
        return answer | {"verdicts": self._rows(i)}, [packed]

    def _picture(self, i, **_):
        data, kind = portable(self.record.path(i))
        return {"type": f"image/{kind}"}, [data]

    def _keep(self, i, row, seen, **_):
        analysis = self.record.analysis
        label = int(analysis.labels[i])
        row = {
            "path": analysis.paths[i],
            "true": str(analysis.class_names[label]) if label >= 0 else "",
            "predicted": str(analysis.class_names[analysis.predicted[i]]),
            "verdict": row["verdict"],
            "comment": row["comment"],
            "reviewer": row["reviewer"],
        }
        kept, there = self.verdicts.keep(row, seen)
        return {
            "kept": kept,
            "row": {"i": i, **{name: there[name] for name in ("verdict", "comment", "reviewer")}},
        }, []

    def _rows(self, i=None):
        """The verdicts [{i, verdict, comment, reviewer}] of the analysed pictures, or of one."""
        table = self.verdicts.read().reset_index()
        wanted = (
            table["path"].isin(self._number)
            if i is None
            else table["path"] == self.record.analysis.paths[i]
        )
        return [
            {
                "i": self._number[row.path],
                "verdict": row.verdict,
                "comment": row.comment,
                "reviewer": row.reviewer,
            }
            for row in table[wanted].itertuples()
        ]

    def _repr_mimebundle_(self, **options):
        bundle = super()._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        if data and len(self.record.analysis) <= EMBEDDED:
            data = {**data, "text/html": embedded(self.record, self._known)}
        return data, metadata


def error_atlas(analysis, images, *, verdicts=None, reference=None, points=None, panels=PANELS):
    """Return the error atlas of an analysis, to be shown in a notebook: confusion pairs and matrix, maps of any class,
    the map of GAP features, nearest pictures, data faults, verdicts.

    images: the ImageSet that was analysed. verdicts: a CSV file (path, true, predicted, verdict, comment, reviewer) to
    which each verdict is written at once and from which the next review goes on; without one they end with the
    notebook. reference: the Analysis of another split, such as the training set, for nearest pictures and data faults.
    points: (N, 2) in place of a t-SNE of the features. panels: what is shown, of PANELS.
    The network is not run. Raises ValueError where analysis, images and reference do not belong together, or the file
    is no such table.
    """
    if unknown := set(panels) - set(PANELS):
        raise ValueError(f"no panel {sorted(unknown)}; there are {', '.join(PANELS)}")
    return AtlasView(Record(analysis, images, reference, points, panels), Verdicts(verdicts))
