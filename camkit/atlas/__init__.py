"""The error atlas: browse a model's errors in a notebook, on a page or in an app.

`record.py` prepares the data that the view reads, `summary.py` summarises an analysis,
`notebook.py` shows the atlas in a notebook, `page.py` writes it as a folder that opens from disk,
and `verdicts.py` stores what reviewers decide. The view in `view/` is the same everywhere.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
