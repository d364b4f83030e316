"""Everything that depends on Keras: backbones, classifiers, and reading the graph of a model."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
