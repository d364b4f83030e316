"""All that knows Keras: backbones, classifiers, and the reading of a model's graph."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
