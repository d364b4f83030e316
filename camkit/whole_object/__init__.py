"""The whole object: remedies for maps that show only the most telling part of an object."""

from camkit.whole_object.remedies import (
    adversarial_erasing,
    cross_image,
    ficklenet,
    multi_dilated,
    seeded_region_growing,
    superpixels,
)

__all__ = [
    "adversarial_erasing",
    "cross_image",
    "ficklenet",
    "multi_dilated",
    "seeded_region_growing",
    "superpixels",
]
