"""The whole object: remedies for maps that show only the part which tells a class best."""

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
