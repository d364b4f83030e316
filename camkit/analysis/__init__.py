"""Analysis: a whole set of images through a model once, kept on disk.

Everything that comes after reads the result and runs the network no more.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
