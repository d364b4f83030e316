"""The pass over the files: every image is decoded once, at a small size, and only numbers stay."""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from camkit._progress import progress
from camkit.faults._images import Images
from camkit.faults._quality import SIDE, Measures, measure
from camkit.images.decoding import THREADS

# The side of the thumbnails by which images are compared.
THUMBNAIL = 16


class Pixels(NamedTuple):
    """What is kept of the pixels of N images.

    Attributes:
        thumbnails: (N, 16, 16, 3) uint8; every image is stretched to that size.
        measures: A table with a row for each image and the columns of `Measures`.
    """

    thumbnails: np.ndarray
    measures: pd.DataFrame

    @property
    def area(self) -> np.ndarray:
        """The number of pixels (N,) of each file."""
        return (self.measures["width"] * self.measures["height"]).to_numpy()


def read_pixels(images: Images) -> Pixels:
    """Return the thumbnails and measures of all images. Raises OSError if one cannot be read."""

    def read(i: int) -> tuple[np.ndarray, Measures]:
        image, extent = images.decoded(i, (SIDE, SIDE))
        thumbnail = image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR)
        return np.asarray(thumbnail), measure(image, extent)

    count = len(images.paths)
    thumbnails = np.empty((count, THUMBNAIL, THUMBNAIL, 3), "uint8")
    measures = []
    pool = ThreadPoolExecutor(THREADS)
    try:
        with progress(count, "Reading images", "image") as bar:
            for i, (thumbnail, measured) in enumerate(pool.map(read, range(count))):
                thumbnails[i] = thumbnail
                measures.append(measured)
                bar.update()
    except OSError:
        images.check_files()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return Pixels(thumbnails, pd.DataFrame(measures))
