"""The error atlas: a model's errors to look through, in a notebook, a page or an app.

`record.py` says what the view is given, `summary.py` sums an analysis up, `notebook.py` shows the
atlas in a notebook, `page.py` writes it as a folder that opens from disk, `verdicts.py` stores what
reviewers say. The view in `view/` is the same everywhere.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
