"""Images: read files as arrays with labels."""

from camkit.images.decoding import read_image
from camkit.images.image_set import ImageSet
from camkit.images.loading import load_images

__all__ = ["ImageSet", "load_images", "read_image"]
