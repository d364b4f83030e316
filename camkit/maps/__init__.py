"""Maps: what a model finds at each position of an image, by CAM and by the Grad-CAM family."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
