"""Trust: which method and layer shows what a model uses, and what does none of them show?"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
