"""Analysis: a whole image set through a model once, kept on disk; everything after that reads the result."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
