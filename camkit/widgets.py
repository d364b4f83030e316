"""An interactive view of one's own: controls over a picture and a readout, built over a pure `render(state)`.

The pictures, maps and errors of an analysis have theirs: camkit.error_atlas.
"""

import html

import ipywidgets

from camkit import plots


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
        self._picture.value = (
            f'{plots.img_tag(plots.png(figure), text)}<p role="status">{html.escape(text)}</p>'
        )
