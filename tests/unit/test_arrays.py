"""Maps as arrays: scaling, and what is not loaded; test_cam.py has enlargement and overlay."""

import importlib
import subprocess
import sys

import numpy as np
import pytest

import camkit
from camkit import localize
from camkit.maps import arrays


def test_rescale_by_hand():
    maps = np.array([[-2.0, 0.0, 6.0]])
    np.testing.assert_array_equal(arrays.rescale(maps, -2, 6), [[0, 0.25, 1]])
    np.testing.assert_array_equal(arrays.rescale(maps, 0, 4), [[-0.5, 0, 1.5]])
    np.testing.assert_array_equal(arrays.rescale(maps, 6, 6), maps - 6)


def test_each_map_is_scaled_by_its_own_values_and_a_constant_one_is_zero():
    maps = np.array([[[1, 3]], [[10, 20]], [[7, 7]]], dtype="float32")
    scaled = arrays.unit(maps)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, [[[0, 1]], [[0, 1]], [[0, 0]]])


def test_maps_are_scaled_alike_for_masks_measures_and_colours():
    heat = np.random.default_rng(0).normal(size=(5, 4))
    image = np.zeros((5, 4, 3), dtype="uint8")
    share = arrays.unit(heat)
    np.testing.assert_array_equal(localize.scaled(heat), share)
    np.testing.assert_array_equal(
        camkit.overlay(image, heat), camkit.overlay(image, share, vmin=0, vmax=1)
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_limits_that_are_plain_numbers_leave_the_precision_of_a_map(dtype):
    maps = np.ones((2, 2), dtype)
    assert arrays.rescale(maps, 0.0, 3.0).dtype == dtype


def test_enlarging_and_colouring_load_neither_keras_nor_scikit_learn():
    heavy = ["keras", "tensorflow", "jax", "torch", "sklearn", "skimage", "scipy", "pandas"]
    code = (
        "import sys\n"
        "import numpy as np\n"
        "import camkit\n"
        "camkit.upsample(np.eye(2), 4)\n"
        f"print([name for name in {heavy} if name in sys.modules])\n"
        "camkit.overlay(np.zeros((4, 4, 3), 'uint8'), np.eye(2))\n"
        f"print([name for name in {heavy[:5]} if name in sys.modules])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split("\n") == ["[]", "[]", ""]


def test_the_module_names_of_version_1_0_0_lead_to_the_maps():
    assert camkit.cam is camkit.attribution is camkit.maps
    assert camkit.cam.CAM is camkit.CAM
    assert camkit.cam.upsample is camkit.upsample
    assert camkit.cam.unit is arrays.unit
    assert camkit.attribution.grad_cam is camkit.grad_cam
    with pytest.raises(AttributeError, match="nothing"):
        _ = camkit.nothing


def test_the_module_names_of_version_1_0_0_can_be_imported():
    """They lead to camkit.maps, which `import camkit` does not load."""
    code = (
        "import sys\n"
        "import camkit\n"
        "print('camkit.maps' in sys.modules)\n"
        "import camkit.attribution\n"
        "from camkit.cam import unit, upsample\n"
        "from camkit import cam, maps\n"
        "print(cam is camkit.attribution is maps is sys.modules['camkit.cam'])\n"
        "print(maps.__spec__.name, upsample is camkit.upsample)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split("\n") == ["False", "True", "camkit.maps True", ""]
    with pytest.raises(ModuleNotFoundError, match="nothing"):
        importlib.import_module("camkit.nothing")


def test_maps_of_sequences_and_volumes_are_enlarged_along_each_axis():
    line = np.array([0.0, 4.0])
    np.testing.assert_array_equal(camkit.upsample(line, (4,)), [0, 1, 3, 4])
    np.testing.assert_array_equal(camkit.upsample(line[None], (4,)), [[0, 1, 3, 4]])
    np.testing.assert_array_equal(
        camkit.upsample(line[None, :, None], (4,))[..., 0], [[0, 1, 3, 4]]
    )

    volumes = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    enlarged = camkit.upsample(volumes, (6, 8, 10))
    assert enlarged.shape == (2, 6, 8, 10)
    np.testing.assert_allclose(enlarged.mean(axis=(1, 2, 3)), volumes.mean(axis=(1, 2, 3)))
    # Along one axis alone, a volume is a stack of maps.
    flat = camkit.upsample(volumes, (3, 8, 10))
    np.testing.assert_allclose(flat[0], camkit.upsample(volumes[0], (8, 10)))
    classes = camkit.upsample(np.stack([volumes, -volumes], axis=-1), (6, 8, 10))
    np.testing.assert_allclose(classes[..., 1], -enlarged)
    np.testing.assert_allclose(camkit.upsample(volumes[1], (6, 8, 10)), enlarged[1])


@pytest.mark.parametrize("shape, size", [((2,), 4), ((2, 2, 2, 2), (4,)), ((2, 2), (4, 4, 4))])
def test_maps_with_other_axes_than_their_size_are_refused(shape, size):
    with pytest.raises(ValueError, match=f"maps have {len(shape)} dimensions .* for the size"):
        camkit.upsample(np.zeros(shape), size)


def test_overlays_of_gray_images_and_of_images_with_opacity():
    heat = np.array([[0.0, 1.0]])
    gray = np.array([[0, 100], [200, 255]], dtype="uint8")
    rgb = np.stack([gray] * 3, axis=-1)
    expected = camkit.overlay(rgb, heat)
    np.testing.assert_array_equal(camkit.overlay(gray, heat), expected)
    np.testing.assert_array_equal(camkit.overlay(gray[..., None], heat), expected)

    opaque = np.full((2, 2, 1), 255, dtype="uint8")
    np.testing.assert_array_equal(
        camkit.overlay(np.concatenate([rgb, opaque], axis=-1), heat), expected
    )
    transparent = np.concatenate([rgb, 0 * opaque], axis=-1)
    white = np.full_like(rgb, 255)
    np.testing.assert_array_equal(camkit.overlay(transparent, heat), camkit.overlay(white, heat))
    with pytest.raises(ValueError, match=r"the image has shape \(2, 2, 2\)"):
        camkit.overlay(rgb[..., :2], heat)
