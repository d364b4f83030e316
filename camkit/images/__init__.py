"""Images: files become pictures with labels."""

from camkit.images.image_set import ImageSet, load_images, read_image

__all__ = ["ImageSet", "load_images", "read_image"]
