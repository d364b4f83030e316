"""DICOM: the first image of a medical file, as a radiologist sees it."""

import logging
import warnings
from typing import IO, TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pydicom import Dataset

# Keys of `info` of an image.
IS_ONE_OF_SEVERAL = "camkit.is_one_of_several"
IS_WINDOWLESS = "camkit.is_windowless"

# Where a file of several frames keeps what holds for all of them, and what holds for each.
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
_SETTINGS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")

# pydicom warns of and logs values that break the standard, and reads the file nevertheless.
warnings.filterwarnings("ignore", category=UserWarning, module=r"pydicom\.")
logging.getLogger("pydicom").addHandler(logging.NullHandler())


class NoImageError(ValueError):
    """A file of a known kind holds no image."""


def open_dicom(stream: IO[bytes]) -> Image.Image:
    """Return the first image of a DICOM file, gray or RGB.

    Gray values are rescaled (slope and intercept, or a table), and the file's first window or its
    table decides what is black and white. Without either, 8 bits are taken as they are, and other
    values from the smallest to the largest of the image. MONOCHROME1, whose smallest value is
    white, is inverted. `info` of the image tells whether there was no window, and whether the file
    holds more frames.

    Raises:
        ImportError: pydicom is not installed.
        NoImageError: The file holds no image.
    """
    try:
        import pydicom
        from pydicom.pixels import apply_color_lut, pixel_array
    except ImportError:
        raise ImportError("DICOM, which pip install 'camkit[medical]' lets camkit read") from None
    dataset = pydicom.dcmread(stream, force=True)
    if "PixelData" not in dataset and "FloatPixelData" not in dataset:
        raise NoImageError("a DICOM file without an image")
    pixels = pixel_array(dataset, index=0)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
        image = Image.fromarray(_upper_8_bits(pixels, 8 * pixels.itemsize))
    elif dataset.SamplesPerPixel == 3:
        image = Image.fromarray(_upper_8_bits(pixels, dataset.BitsStored))
    else:
        image = _gray(pixels, dataset)
    image.info[IS_ONE_OF_SEVERAL] = int(dataset.get("NumberOfFrames") or 1) > 1
    return image


def _upper_8_bits(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Return unsigned samples of 8 bits or more as uint8."""
    return (pixels >> (bits - 8)).astype(np.uint8)


def _gray(pixels: np.ndarray, dataset: "Dataset") -> Image.Image:
    """Return gray pixels as an image, by the rescaling and the window of their file."""
    from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing

    for groups in _GROUPS:
        for settings in _SETTINGS:
            if groups in dataset and settings in dataset[groups][0]:
                dataset.update(dataset[groups][0][settings][0])
    values = apply_modality_lut(pixels, dataset)
    is_windowless = False
    if dataset.get("VOILUTSequence"):
        values = apply_voi(values.astype(int), dataset)
        low, high = 0, 2 ** dataset.VOILUTSequence[0].LUTDescriptor[2] - 1
    elif dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        values = apply_windowing(values, dataset)
        # A window maps all that is darker and all that is brighter to these values.
        with np.errstate(over="ignore"):
            low, high = apply_windowing(np.array([-np.inf, np.inf]), dataset)
    elif values.dtype == np.uint8:
        low, high = 0, 255
    else:
        is_windowless = True
        low, high = values.min(), values.max()
    shares = (values.astype(np.float64) - low) / max(high - low, 1e-9)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shares = 1 - shares
    image = Image.fromarray(np.rint(255 * shares.clip(0, 1)).astype(np.uint8))
    image.info[IS_WINDOWLESS] = is_windowless
    return image
