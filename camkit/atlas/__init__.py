"""The error atlas: what an analysis tells about a model's errors, to look through in a notebook, a page or an app.

`atlas.js` is the view, everywhere the same; `record.py` says what it reads, `notebook.py` shows it in a notebook,
`page.py` writes it as a folder that opens from disk, `verdicts.py` keeps what reviewers say.
"""

from camkit.atlas.notebook import error_atlas
from camkit.atlas.page import write_atlas

__all__ = ["error_atlas", "write_atlas"]
