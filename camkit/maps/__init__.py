"""Maps: what a model says about places of a picture, by CAM and by the gradient family."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
