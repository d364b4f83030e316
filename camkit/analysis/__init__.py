"""Analysis: run a model once over a whole set of images, and store the results on disk.

Everything that follows reads the results and does not run the network again.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
