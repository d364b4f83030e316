"""Interactive views: controls over a picture and a readout, each a thin builder over a pure `render(state)`.

They read an Analysis; none of them runs the network again.
"""

import html
import os
from pathlib import Path

import ipywidgets
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from camkit import plots
from camkit.cam import upsample

VERDICTS = ("not reviewed", "label wrong", "ambiguous", "background", "resolution", "other")


class View(ipywidgets.VBox):
    """Controls above a picture and a line of text.

    `controls` maps a name to its widget, `render(state)` takes their values by name and returns (figure, text) without
    touching anything; `figure()` draws the present state for a page that cannot run Python.
    """

    def __init__(self, controls, render):
        self.controls, self.render = controls, render
        self._picture, self._drawn = ipywidgets.HTML(), None
        for control in controls.values():
            control.style.description_width = "7em"
            control.layout.width = "34em"
            control.observe(self._draw, "value")
        super().__init__([*controls.values(), self._picture])
        self._draw()

    @property
    def state(self):
        return {name: control.value for name, control in self.controls.items()}

    @property
    def text(self):
        """The readout of the present state."""
        return self.render(self.state)[1]

    def figure(self):
        """Return the present state as a matplotlib figure."""
        return self.render(self.state)[0]

    def _draw(self, _=None):
        if self.state == self._drawn:  # one change may set several controls
            return
        self._drawn = self.state
        figure, text = self.render(self.state)
        self._picture.value = f'{plots.img_tag(plots.png(figure), text)}<p role="status">{html.escape(text)}</p>'


def class_picker(analysis, images):
    """Return a View of one picture and the class activation map of any class on it.

    Controls: `true` the class whose pictures are shown, `picture` its number, `map` the class whose map is laid over
    it. The colour limits are those of all the picture's maps together, so that classes can be compared.
    """
    members, names = _members(analysis, images), analysis.class_names
    true, picture = _chooser("Pictures of", [(names[c], c) for c in members], "Picture", members)
    classes = [(name, c) for c, name in enumerate(names)]
    shown = ipywidgets.Dropdown(description="Map of class", options=classes, value=true.value)

    def render(state):
        i, c = members[state["true"]][state["picture"]], state["map"]
        maps = np.asarray(analysis.maps[i], dtype="float32")
        titles = [f"true: {names[analysis.labels[i]]}", f"map of {names[c]}"]
        figure = plots.map_row(Figure(figsize=(6.6, 3)), images[i], [maps[..., c]], titles, vmax=max(maps.max(), 1e-6))
        return figure, (
            f"{_name(analysis, i)}: predicted {_said(analysis, i)}. "
            f"Map of {names[c]}: mean {maps[..., c].mean():+.2f}, with the bias {analysis.bias[c]:+.2f} "
            f"the logit {analysis.logits[i, c]:+.2f}, probability {analysis.probs[i, c]:.1%}."
        )

    return View({"true": true, "picture": picture, "map": shown}, render)


def embedding_explorer(analysis, images, points):
    """Return a View of a map of GAP features (N, 2), with a class picker and a way from a point to its picture and CAM.

    Controls: `highlight` the class shown in colour, `point` the number of the point among that class's.
    """
    members, names = _members(analysis, images), analysis.class_names
    highlight, point = _chooser("Class", [(names[c], c) for c in members], "Point", members)

    def render(state):
        i, c = members[state["highlight"]][state["point"]], analysis.predicted
        figure = Figure(figsize=(9, 4.2))
        left, right = figure.subfigures(1, 2, width_ratios=(1, 1.15))
        ax = left.add_subplot()
        plots.embedding(ax, points, analysis.labels, names, highlight=state["highlight"], ring=i)
        titles = [f"true: {names[analysis.labels[i]]}", f"map of {names[c[i]]}"]
        plots.map_row(right, images[i], [np.asarray(analysis.maps[i, ..., c[i]], "float32")], titles)
        return figure, f"{_name(analysis, i)}: true {names[analysis.labels[i]]}, predicted {_said(analysis, i)}."

    return View({"highlight": highlight, "point": point}, render)


def error_review(analysis, images, verdicts):
    """Return a View that steps through the misclassified images by class pair and keeps the reviewer's verdicts.

    Controls: `pair` of true and predicted class, `error` its number, `verdict`. Each verdict is written at once to the
    CSV file `verdicts` (path, true, predicted, verdict), which the next review reads again; rows of other images and
    further columns stay in it. Raises ValueError where that file is not such a table.
    """
    _members(analysis, images)
    names, file, errors = analysis.class_names, Path(verdicts), analysis.errors
    if errors.empty:
        said = "No image is misclassified: there is nothing to review."
        return View({}, lambda state: (Figure(figsize=(1, 1)), said))
    given = _read_verdicts(file)
    pairs = {pair: rows.index.to_numpy() for pair, rows in errors.groupby(["true", "predicted"])}
    order = sorted(pairs, key=lambda pair: -len(pairs[pair]))
    choices = [*VERDICTS, *sorted(set(given["verdict"]) - set(VERDICTS))]
    options = [(f"{true} taken for {predicted} ({len(pairs[true, predicted])})", (true, predicted))
               for true, predicted in order]
    pair, error = _chooser("Class pair", options, "Error", pairs)
    verdict = ipywidgets.Dropdown(description="Verdict", options=choices)

    def current():
        return pairs[pair.value][error.value]

    def recall(_=None):
        verdict.value = given["verdict"].get(analysis.paths[current()], VERDICTS[0])

    def keep(change):
        row = analysis.table.loc[current(), ["path", "true", "predicted"]]
        if change["new"] != given["verdict"].get(row["path"], VERDICTS[0]):
            given.loc[row["path"], ["true", "predicted", "verdict"]] = [row["true"], row["predicted"], change["new"]]
            _write_verdicts(file, given)

    pair.observe(recall, "value")
    error.observe(recall, "value")
    verdict.observe(keep, "value")
    recall()

    def render(state):
        i = pairs[state["pair"]][state["error"]]
        true, predicted = analysis.labels[i], analysis.predicted[i]
        maps = np.asarray(analysis.maps[i], dtype="float32")[..., [true, predicted]]
        figure = Figure(figsize=(10, 3))
        left, right = figure.subfigures(1, 2, width_ratios=(3.2, 1.3))
        picture = Path(analysis.paths[i]).name
        titles = [picture, f"map of the true class\n{names[true]}", f"of the predicted\n{names[predicted]}"]
        plots.map_row(left, images[i], np.moveaxis(maps, -1, 0), titles)
        ax = right.add_subplot()
        difference = maps[..., 1] - maps[..., 0]
        reach = max(np.abs(difference).max(), 1e-6)
        drawn = ax.imshow(upsample(difference, images[i].shape[:2]), cmap=plots.SIGNED, vmin=-reach, vmax=reach)
        ax.set_title("predicted minus true", fontsize=9)
        ax.set_axis_off()
        right.colorbar(drawn, ax=ax, fraction=0.05)
        reviewed = errors["path"].isin(given.index[given["verdict"] != VERDICTS[0]]).sum()
        return figure, (
            f"{_name(analysis, i)}: true {names[true]}, predicted {_said(analysis, i)}, "
            f"ahead by {analysis.logits[i, predicted] - analysis.logits[i, true]:.2f} in the logit. "
            f"Verdict: {state['verdict']}. {reviewed} of {len(errors)} errors reviewed."
        )

    return View({"pair": pair, "error": error, "verdict": verdict}, render)


def _members(analysis, images):
    """Return {class: indices of its images} for classes that have any; ValueError unless the two belong together."""
    if len(analysis) != len(images) or any(str(a) != b for a, b in zip(images.paths, analysis.paths)):
        raise ValueError(
            f"the analysis holds {len(analysis)} images, the image set {len(images)}, not all the same: "
            "give the images that were analysed"
        )
    return {c: np.flatnonzero(analysis.labels == c) for c in np.unique(analysis.labels)}


def _chooser(description, options, unit, members):
    """Return a dropdown of groups and a slider that counts the members of the one picked, from the first."""
    group = ipywidgets.Dropdown(description=description, options=options, value=options[0][1])
    slider = ipywidgets.IntSlider(description=unit, max=len(members[group.value]) - 1, continuous_update=False)

    def reset(_):
        slider.value = 0
        slider.max = len(members[group.value]) - 1

    group.observe(reset, "value")
    return group, slider


def _name(analysis, i):
    return "/".join(Path(analysis.paths[i]).parts[-2:])


def _said(analysis, i):
    return f"{analysis.class_names[analysis.predicted[i]]} ({analysis.probs[i].max():.0%})"


def _read_verdicts(file):
    """Return the table of verdicts in a CSV file, indexed by path, with all its columns; empty where there is none."""
    if not file.exists():
        return pd.DataFrame(columns=["true", "predicted", "verdict"], index=pd.Index([], name="path"), dtype=str)
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    if not {"path", "true", "predicted", "verdict"} <= set(table.columns):
        raise ValueError(
            f"{file} has the columns {list(table.columns)}: a table of verdicts has path, true, predicted and verdict; "
            "name another file"
        )
    return table.drop_duplicates("path", keep="last").set_index("path")


def _write_verdicts(file, given):
    """Write the table of verdicts; the file appears whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(file.name + ".partial")
    given.to_csv(partial)
    os.replace(partial, file)
