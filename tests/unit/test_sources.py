"""What people have becomes an image set: tables, lists, arrays, datasets, archives, any folder."""

import gc
import os
import pickle
import re
import shutil
import zipfile
from io import BytesIO
from itertools import product
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import sources
from PIL import Image
from sources import SOURCES

import camkit
from camkit._cli import _load_images, _parser
from camkit.atlas._encoding import browser_image
from camkit.images import load_images

COUNT = 20
CLASSES = 4


@pytest.fixture
def x():
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (COUNT, 8, 9, 3), dtype=np.uint8)


@pytest.fixture
def y():
    return np.arange(COUNT) % CLASSES


def same(images, x):
    """Return whether image i is x[i], for all i."""
    return len(images) == len(x) and all((images[i] == x[i]).all() for i in range(len(x)))


def write(*paths):
    """Write a small image to each path, each with a colour of its own."""
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        color = (number % 256, 40, len(path.name))
        Image.new("RGB", (12, 10), color).save(path, format="PNG")
    return list(paths)


def write_classes(root, names=("cat", "dog"), count=2):
    """Write a folder of images for each class."""
    return write(*(root / name / f"{i}.png" for name in names for i in range(count)))


def reasons(images):
    return {path.name: reason for path, reason in images.skipped}


# Arrays -------------------------------------------------------------------------------------------


def test_row_i_of_an_array_is_image_i(x, y):
    images = load_images((x, y))
    assert same(images, x) and images.labels.tolist() == y.tolist()
    assert images.class_names == ["0", "1", "2", "3"] and images.skipped == images.notes == []
    assert load_images(x).labels.tolist() == [-1] * COUNT


@pytest.mark.parametrize("shape", ["indices", "column", "one-hot", "floats", "list", "series"])
def test_labels_come_in_every_shape(x, y, shape):
    labels = {
        "indices": y.astype("uint8"),
        "column": y[:, np.newaxis],
        "one-hot": keras.utils.to_categorical(y, CLASSES),
        "floats": y.astype("float32"),
        "list": y.tolist(),
        "series": pd.Series(y, index=range(100, 100 + COUNT)),
    }
    images = load_images((x, labels[shape]), class_names=list("abcd"))
    assert images.labels.tolist() == y.tolist() and images.class_names == list("abcd")


def test_indices_as_names_have_one_order_as_text_and_as_numbers(x):
    images = load_images((x[:12], np.arange(12)))
    assert images.class_names == sorted(images.class_names) and images.class_names[2] == "02"


def test_rows_of_0_and_1_are_one_hot_or_several_labels(x, y):
    one_hot = keras.utils.to_categorical(y, CLASSES)
    several = one_hot.copy()
    several[0] = 1
    several[1] = 0
    images = load_images((x, several), class_names=list("abcd"))
    assert images.labels.dtype == bool and images.labels.tolist() == several.astype(bool).tolist()
    assert load_images((x, one_hot)).labels.shape == (COUNT,)
    assert load_images((x, one_hot), multi_label=True).labels.shape == (COUNT, CLASSES)
    with pytest.raises(ValueError, match="some images have no label or several: leave it out"):
        load_images((x, several), multi_label=False)


@pytest.mark.parametrize(
    "labels",
    [
        [["red"], ["red", "round"], []] * 6,
        ["red", "red|round", ""] * 6,
        ["red", "red; round", None] * 6,
        ["['red']", "['red', 'round']", "[]"] * 6,
    ],
)
def test_lists_of_names_are_several_labels(x, labels):
    images = load_images((x[:18], labels))
    assert images.class_names == ["red", "round"]
    assert images.labels[:3].tolist() == [[True, False], [True, True], [False, False]]


def test_names_with_a_separator_can_be_single_labels(x):
    images = load_images((x[:2], ["cat|kitten", "dog"]), multi_label=False)
    assert images.class_names == ["cat|kitten", "dog"] and images.labels.tolist() == [0, 1]


@pytest.mark.parametrize(
    "labels",
    [
        ["['cat' 'dog']", "['cat']", "[]"],
        ["['dog'\n 'cat']", "cat", "[]"],
        ["{'cat', 'dog'}", "{'cat'}", "set()"],
        ["('cat', 'dog')", "('cat',)", "()"],
        ['["cat", "dog"]', "[cat]", "{}"],
        ["array(['cat', 'dog'], dtype=object)", "frozenset({'cat'})", "[]"],
        ["[1 1]", "[1 0]", "[0 0]"],
    ],
)
def test_lists_written_as_texts_are_read(x, labels):
    given = {"class_names": ["cat", "dog"]} if "1" in labels[0] else {}
    images = load_images((x[:3], labels), **given)
    assert images.class_names == ["cat", "dog"] and "read as lists of names" in images.notes[0]
    assert images.labels.tolist() == [[True, True], [True, False], [False, False]]


def test_names_in_brackets_are_no_lists(x):
    names = ["(cat)", "(cat) dog", "('cat')"]
    assert load_images((x[:3], names)).class_names == sorted(names)
    with pytest.raises(ValueError, match="a label is the dictionary"):
        load_images((x[:3], ["{'cat': 1}"] * 3))


def test_a_table_written_from_parquet_keeps_its_lists(table, tmp_path):
    names = [np.array(["cat", "dog"], dtype=object), np.array(["cat"], dtype=object)] * 3
    table.assign(label=names).to_csv(tmp_path / "labels.csv", index=False)
    images = load_images(tmp_path / "labels.csv", label_column="label")
    assert images.class_names == ["cat", "dog"] and images.labels[0].all()


@pytest.mark.parametrize(
    "names",
    [
        {"cat": 0, "dog": 2, "eel": 1},
        {1: "eel", 0: "cat", 2: "dog"},
        {"2": "dog", "1": "eel", "0": "cat"},
        pd.Index(["cat", "eel", "dog"]),
    ],
)
def test_class_names_are_in_the_order_of_their_indices(x, names):
    assert load_images((x[:3], [0, 1, 2]), class_names=names).class_names == ["cat", "eel", "dog"]


@pytest.mark.parametrize(
    "names, words",
    [
        ({"cat", "dog"}, "class_names is the set .*: pass a list"),
        ("cat", "class_names is the text 'cat': pass a list"),
        (2, "class_names is the int 2: pass a list"),
        (["cat", "cat"], "class_names has 'cat' twice"),
        ({"cat": 0, "dog": 0}, "give each index from 0 to 1 one name"),
        ({0: "cat", 2: "dog"}, "give each index from 0 to 1 one name"),
    ],
)
def test_class_names_without_an_order_are_refused(x, names, words):
    with pytest.raises(ValueError, match=words):
        load_images((x[:2], [0, 1]), class_names=names)


def test_texts_of_indices_are_indices_if_the_classes_have_names(x):
    given = {"class_names": ["cat", "dog", "eel"]}
    several = load_images((x[:3], ["0|2", "1", None]), **given)
    assert several.labels.tolist() == [[True, False, True], [False, True, False], [False] * 3]
    assert "1 of 3 images have no label, which counts as none of the classes" in several.notes
    assert load_images((x[:2], ["2", "0"]), **given).labels.tolist() == [2, 0]
    with pytest.raises(ValueError, match="have '3', which class_names lacks"):
        load_images((x[:2], ["3", "0"]), **given)


def test_names_that_may_be_several_are_told(x):
    images = load_images((x[:4], ["cat, dog", "dog", "cat", "eel"]))
    assert images.class_names[1] == "cat, dog" and "put | in place of ','" in images.notes[0]
    assert load_images((x[:2], ["hen, black", "cat/kitten"])).notes == []


def test_images_without_a_label_are_told(x):
    images = load_images((x[:3], ["cat", None, "dog"]))
    assert images.labels.tolist() == [0, -1, 1]
    assert images.notes == ["1 of 3 images have no label"]


@pytest.mark.parametrize(
    "convert, black, white, words",
    [
        (lambda x: x / 255, 0, 1, "as they are, 0 to 1; they are shown as 0 to 255"),
        (lambda x: x.astype("float32") * np.float32(1 / 255), 0, 1, "as they are, 0 to 1"),
        (lambda x: (x / 255).astype("float16"), 0, 1, "rounded to whole grey levels"),
        (lambda x: x / 127.5 - 1, -1, 1, "as they are, -1 to 1"),
        (lambda x: x > 99, 0, 1, "as they are, 0 to 1"),
        (lambda x: x.astype("float32"), 0, 255, ""),
        (lambda x: x.astype("int64"), 0, 255, ""),
        (lambda x: x.astype("float32") / 2 + 0.25, 0, 255, "rounded to whole grey levels"),
        (lambda x: x[..., :1] / 510, 0, 1, "rounded to whole grey levels"),
    ],
)
def test_a_model_is_given_the_values_of_the_arrays(x, convert, black, white, words):
    values = convert(x)
    images = load_images(values)
    (batch,) = images.batches(COUNT, (8, 9), channels=values.shape[-1])
    assert np.abs(batch - values.astype("float32")).max() <= 4e-7 * max(white, 1)
    shown = (values.astype(float) - black) * 255 / (white - black)
    assert np.abs(np.stack(list(images)) - shown).max() <= 0.51 and words in " ".join(images.notes)
    assert images[0].dtype == np.uint8 and bool(words) == bool(images.notes)
    # Twice the size, as a model that takes another one has it.
    (large,) = images.batches(COUNT, (16, 18), channels=values.shape[-1])
    assert np.abs(large.mean((1, 2)) - batch.mean((1, 2))).max() < 0.06 * (white - black)


def test_an_analysis_of_arrays_has_the_scores_of_predict(x, y, tmp_path):
    first = keras.layers.Conv2D(4, 3, activation="relu")
    layers = [first, keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(CLASSES)]
    model = keras.Sequential([keras.Input((8, 9, 3)), *layers])
    for values in (x / 255, x / 300 + 0.01, x / 127.5 - 1, x / 2.0, x > 99):
        images = load_images((values, y))
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        analysis = camkit.analyze(model, images, folder)
        expected = model.predict(values.astype("float32"), verbose=0)
        assert np.abs(analysis.logits - expected).max() < 1e-4 * np.abs(expected).max()
        # The way of reading lasts in the folder, and the pictures are shown.
        loaded = camkit.load_analysis(folder)
        assert loaded.images.reader == images.reader
        assert loaded.images[0].dtype == np.uint8 and (loaded.images[0] == images[0]).all()
        assert (loaded.viewer(loaded.paths[0], (8, 9)) == images[0]).all()
        encoded, _ = browser_image(loaded.paths[0], loaded.viewer)
        assert (
            b"caMK" not in encoded and (np.asarray(Image.open(BytesIO(encoded))) == images[0]).all()
        )
        (batch,) = loaded.images.batches(COUNT, (8, 9))
        assert np.abs(batch - values).max() < 1e-4
    with pytest.raises(ValueError, match="leave read_as_keras out"):
        images.read_as_keras()


def test_gray_and_rgba_and_bool_and_images_of_several_sizes(x):
    gray = load_images(x[..., 0])
    assert (gray[3] == x[3, :, :, :1]).all()
    assert (load_images(x[..., :1])[3] == gray[3]).all()
    rgba = np.concatenate([x, np.full_like(x[..., :1], 255)], axis=-1)
    assert same(load_images(rgba), x)
    assert np.unique(load_images(x[..., 0] > 99)[0]).tolist() == [0, 255]
    several = load_images(([x[0], x[1, :4]], ["a", "b"]))
    assert several[1].shape == (4, 9, 3) and (several[0] == x[0]).all()
    palette = Image.fromarray(x[0]).convert("P")
    assert (load_images([palette])[0] == np.asarray(palette.convert("RGB"))).all()


def not_images():
    """Return sources of arrays that are refused, and the words of the refusal."""
    x = np.random.default_rng(0).integers(0, 256, (COUNT, 8, 9, 3), dtype=np.uint8)
    y = np.arange(COUNT) % CLASSES
    missing = x.astype("float32")
    missing[0, 0, 0, 0] = np.nan
    return {
        "centred": (x - 120.0, "the values of the images are -120 to 135,.*before the prep"),
        "16 bits": (x.astype("uint16") * 16, "0 to 4080,.*multiply them by 255 / 4080"),
        "above 1": (x / 250, "0 to 1.02, neither 0 to 1, -1 to 1 nor 0 to 255"),
        "missing": (missing, "replace NaN"),
        "flat": (x.reshape(COUNT, -1), "rows of numbers: pass images .*reshape"),
        "channels first": (np.moveaxis(x, -1, 1), "channels first: pass np.moveaxis"),
        "one image": (x[0], r"is one image: pass images\[np.newaxis\]"),
        "two channels": (x[..., :2], r"shape \(20, 8, 9, 2\): pass"),
        "texts": (np.array([[["a"]]]), "texts or paths: pass a list of paths"),
        "empty": (x[:0], "there is nothing in them"),
        "both sets": (((x, y), (x, y)), r"pair of pairs.*load_images\(data\[1\]\)"),
        "few labels": ((x, y[:3]), "there are 20 images and 3 labels"),
        "soft labels": ((x, np.full((COUNT, 4), 0.25)), "hold 0.25: they must be 0 and 1"),
        "fractions": ((x, y + 0.5), "a label is 0.5: labels that are numbers"),
        "negative": ((x, y - 2), "a label is -2"),
        "dictionaries": ([{"image": x[0]}], r"dictionaries: pass pairs.*row\['image'\]"),
        "a list of batches": ([(x[:5], y[:5]), (x[5:], y[5:])], r"batches as iter\(batches\)"),
        "lists of an image and a label": ([[x[0], 1], [x[1], 2]], r"as tuples \(image, label\)"),
        "a cube": ((x, np.zeros((COUNT, 2, 2))), r"labels have the shape \(20, 2, 2\)"),
        "a number": ((x, 3), "the labels are 3: pass one for each image"),
    }


@pytest.mark.parametrize("kind", not_images())
def test_what_is_no_array_of_images_is_refused_in_one_line(kind):
    source, words = not_images()[kind]
    with pytest.raises(ValueError, match=words) as raised:
        load_images(source)
    assert "\n" not in str(raised.value)


def test_class_names_must_fit_the_labels(x, y):
    with pytest.raises(ValueError, match="a label is 3, and class_names has 2 names"):
        load_images((x, y), class_names=["a", "b"])
    with pytest.raises(ValueError, match="the labels have 'c', which class_names lacks: 'a', 'b'"):
        load_images((x[:2], ["a", "c"]), class_names=["a", "b"])
    with pytest.raises(ValueError, match="class_names names the classes of labels"):
        load_images(x, class_names=["a", "b"])
    with pytest.raises(ValueError, match="columns, and class_names has 2 names"):
        load_images((x, np.eye(4)[y]), class_names=["a", "b"])


def test_classes_and_per_class_choose_among_the_rows_of_arrays(x, y):
    chosen = load_images((x, y), classes=["1", "3"], per_class=2, class_names=list("0123"))
    assert chosen.labels.tolist().count(0) == chosen.labels.tolist().count(1) == 2
    assert chosen.class_names == ["1", "3"] and chosen.paths == sorted(chosen.paths)
    with pytest.raises(ValueError, match="select those with several by images.select"):
        load_images((x, np.eye(4)[y]), classes=["1"], multi_label=True)


def test_an_option_without_a_meaning_is_refused(x, tmp_path):
    write_classes(tmp_path)
    with pytest.raises(ValueError, match="path_column= has no meaning for a ndarray"):
        load_images(x, path_column="file")
    with pytest.raises(ValueError, match="class_names= has no meaning for a folder"):
        load_images(tmp_path, class_names=["cat", "dog"])
    with pytest.raises(TypeError, match="source is of type int: pass a folder, a table"):
        load_images(3)
    with pytest.raises(TypeError, match="source is of type dict"):
        load_images({"x": x})
    with pytest.raises(ValueError, match="the source is an empty list"):
        load_images([])


# Where the files of arrays are --------------------------------------------------------------------


def test_the_files_of_arrays_are_there_as_long_as_a_set_reads_them(x):
    images = load_images(x)
    folder = images.root
    part = images.select([3]).unlabelled()
    sent = pickle.loads(pickle.dumps(part))
    del images
    gc.collect()
    assert (part[0] == x[3]).all() and (sent[0] == x[3]).all()
    del part
    gc.collect()
    assert not folder.exists()


def model_of(classes):
    inputs = keras.Input((8, 9, 3))
    maps = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    pooled = keras.layers.GlobalAveragePooling2D()(maps)
    return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(pooled))


def test_an_analysis_of_arrays_keeps_its_images(x, y, tmp_path):
    model = model_of(CLASSES)
    analysis = camkit.analyze(model, load_images((x, y)), tmp_path / "analysis")
    gc.collect()
    assert np.abs(analysis.probs - model.predict(x, verbose=0)).max() < 1e-5
    assert analysis.labels.tolist() == y.tolist() and same(analysis.images, x)
    assert all(Path(path).is_relative_to(tmp_path) for path in analysis.paths)
    again = camkit.analyze(model, load_images((x, y)), tmp_path / "analysis")
    assert again.paths == analysis.paths
    more = camkit.analyze(model, load_images((x[:15], y[:15])), tmp_path / "analysis")
    assert same(more.images, x[:15])
    assert len(list((tmp_path / "analysis").glob("images-*"))) == 1
    temporary = camkit.analyze(model, load_images((x, y)))
    images = temporary.images
    del temporary
    gc.collect()
    assert same(images, x)


def test_images_are_copied_to_a_folder_that_lasts(x, tmp_path):
    copied = load_images(x).copy_to(tmp_path / "copy")
    gc.collect()
    assert same(copied, x) and copied.root == tmp_path / "copy"
    elsewhere = write(tmp_path / "a" / "one.png")
    listed = load_images(elsewhere)
    assert (listed.copy_to(tmp_path / "b")[0] == listed[0]).all()


def test_a_copy_replaces_no_other_file_and_may_be_made_twice(tmp_path):
    write_classes(tmp_path / "a")
    images = load_images(tmp_path / "a")
    for folder in (tmp_path / "a", tmp_path / "b", tmp_path / "b"):
        assert images.copy_to(folder).root == folder
    other = tmp_path / "b" / "cat" / "1.png"
    other.write_bytes(b"mine")
    (tmp_path / "b" / "cat" / "0.png").unlink()
    with pytest.raises(ValueError, match=f"{other} is there, and another file than .*: choose a"):
        images.copy_to(tmp_path / "b")
    assert other.read_bytes() == b"mine" and not (tmp_path / "b" / "cat" / "0.png").exists()


def loaded_labels(images, folder, split=None):
    """The names of the labels and the splits that a copy of images is loaded with, by content."""
    copied = images.copy_to(folder)
    loaded = load_images(folder, split)
    for each in (copied, loaded):
        names = [each.class_names[label] for label in each.labels]
        content = [path.read_bytes() for path in each.paths]
        yield dict(zip(content, zip(names, each.splits, strict=True), strict=True))


def test_the_folders_of_a_copy_tell_the_labels_and_splits(x, y, tmp_path):
    arrays = load_images((x, y))
    copied, loaded = loaded_labels(arrays, tmp_path / "arrays")
    assert copied == loaded and len(loaded) == len(x)
    # Files of one name, of which two become one class; splits that only a table tells.
    write(*(tmp_path / "from" / folder / "0.png" for folder in "abc"))
    listed = pd.DataFrame({"file": ["a/0.png", "b/0.png", "c/0.png"], "label": ["a", "a", "d"]})
    listed["split"] = ["train", "train", "val"]
    images = load_images(listed, None, root=tmp_path / "from")
    copied, loaded = loaded_labels(images, tmp_path / "listed")
    assert copied == loaded and set(loaded.values()) == {("a", "training"), ("d", "validation")}
    files = sorted(path.name for path in (tmp_path / "listed").rglob("a/*"))
    assert len(files) == 2 and "0.png" in files


def test_what_folders_cannot_tell_is_not_copied(x, tmp_path):
    some = load_images((x[:3], ["cat", None, "dog"]))
    with pytest.raises(ValueError, match="1 of 3 images have no label, so that no folder"):
        some.copy_to(tmp_path / "some")
    slash = load_images((x[:2], ["a/b", "c"]))
    with pytest.raises(ValueError, match="the class 'a/b' cannot be the name of a folder: rename"):
        slash.copy_to(tmp_path / "slash")
    hidden = load_images((x[:2], [".a", "c"]))
    with pytest.raises(ValueError, match="would not be read as these classes: rename"):
        hidden.copy_to(tmp_path / "hidden")
    assert not list(tmp_path.iterdir())


def test_a_split_of_its_own_name_keeps_its_folder(tmp_path):
    write_classes(tmp_path / "from" / "train")
    write_classes(tmp_path / "from" / "unseen", count=1)
    images = load_images(tmp_path / "from", "unseen")
    copied = images.copy_to(tmp_path / "to")
    assert {path.parent.parent.name for path in copied.paths} == {"unseen"}
    every = load_images(tmp_path / "from", None)
    note = "all splits are 'train', without 'unseen' beside them: split='unseen' (in the shell "
    assert every.notes == [f"{note}--split unseen) loads that folder"]


def test_analyze_says_what_to_load(x, y):
    model = model_of(CLASSES)
    for source, words in [
        ((x, y), r"load_images\(\(x, y\)\)"),
        (x, r"load_images\(x\)"),
        (pd.DataFrame({"file": ["a.png"]}), r"load_images\(table\)"),
        ([x], r"load_images\(source\)"),
    ]:
        with pytest.raises(ValueError, match=f"pass the image set camkit.{words}"):
            camkit.analyze(model, source)


# Batches ------------------------------------------------------------------------------------------


def test_a_generator_is_read_batch_by_batch_or_image_by_image(x, y):
    by_batch = ((x[i : i + 6], y[i : i + 6]) for i in range(0, COUNT, 6))
    by_image = ((x[i], y[i]) for i in range(COUNT))
    weighted = ((x[i : i + 6], y[i : i + 6], np.ones(6)) for i in range(0, COUNT, 6))
    for source in (by_batch, by_image, weighted):
        images = load_images(source)
        assert same(images, x) and images.labels.tolist() == y.tolist()
    assert same(load_images(iter([x])), x)
    with pytest.raises(ValueError, match="the generator yields nothing"):
        load_images(by_image)


def test_pairs_and_triples_in_lists_are_read(x, y):
    weights = np.ones(COUNT)
    pictures = [Image.fromarray(image) for image in x]
    for source in (
        list(zip(x, y, strict=True)),
        list(zip(pictures, y, strict=True)),
        [x, y],
        (x, y, weights),
        [x[..., 0], y],
    ):
        images = load_images(source)
        assert images.labels.tolist() == y.tolist() and len(images) == COUNT
        assert (images[3][..., 0] == x[3, ..., 0]).all()
    assert len(load_images([x[0], x[1], x[2]])) == 3
    assert len(load_images([x[0], x[1]])) == 2


def test_labels_of_several_outputs_are_refused(x, y):
    batches = [(x[:5], {"kind": y[:5]}), (x[5:], {"kind": y[5:]})]
    with pytest.raises(ValueError, match=r"dictionaries with 'kind'.*labels\['kind'\]"):
        load_images(iter(batches))
    images = load_images((images, labels["kind"]) for images, labels in batches)
    assert images.labels.tolist() == y.tolist()
    with pytest.raises(ValueError, match=r"the labels are 2 arrays.*labels\[0\]"):
        load_images(iter([(x, (y, y))]))
    for source in ([x[0], {"image": x[1]}], iter([x[:2], {"image": x}])):
        with pytest.raises(ValueError, match="the images are dictionaries: pass pairs"):
            load_images(source)


def test_iterators_of_paths_are_lists_of_them(tf, tmp_path):
    paths = write(*(tmp_path / f"{i}.png" for i in range(3)))
    images = load_images(path for path in paths)
    assert images.paths == paths and load_images(tmp_path.glob("*.png")).paths
    assert load_images((path, 1) for path in paths).labels.tolist() == [1, 1, 1]
    dataset = tf.data.Dataset.from_tensor_slices([str(path) for path in paths])
    with pytest.raises(ValueError, match="texts or paths: pass a list of paths, such as .os.fsdec"):
        load_images(dataset)
    assert load_images([os.fsdecode(path) for path in dataset.as_numpy_iterator()]).paths == paths


def test_a_generator_must_keep_to_its_range(x):
    with pytest.raises(ValueError, match="follow on values of 0 to 1: bring all images"):
        load_images(iter([x[:5] / 255, x[5:] * 1.0]))
    black_first = load_images(iter([x[:5] * 0.0, x[5:] * 1.0]))
    assert (black_first[9] == x[9]).all()
    black_first = load_images(iter([x[:5] * 0.0, x[5:] / 127.5 - 1]))
    assert (next(black_first.batches(5, (8, 9))) == 0).all()
    with pytest.raises(ValueError, match="replace NaN"):
        load_images(iter([x[:5] * np.nan, x[5:] * 1.0]))


def test_a_pydataset_is_read_by_index(x, y):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, index):
            rows = slice(5 * index, 5 * index + 5)
            return x[rows], np.eye(CLASSES)[y[rows]]

    images = load_images(Batches())
    assert same(images, x) and images.labels.tolist() == y.tolist()
    assert images.notes == ["the images are in the order of the dataset"]


def test_a_dataset_of_tensorflow_is_read_once(tf, x, y):
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(6)
    images = load_images(dataset, class_names=list("abcd"))
    assert same(images, x) and images.labels.tolist() == y.tolist()
    assert images.class_names == list("abcd")
    shuffled = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(COUNT).batch(6)
    images = load_images(shuffled)
    assert "build it with shuffle=False" in " ".join(images.notes)
    # Each image has its own label, whatever the order.
    label_of = {image.tobytes(): label for image, label in zip(x, y, strict=True)}
    assert all(label_of[image.tobytes()] == images.labels[i] for i, image in enumerate(images))
    with pytest.raises(ValueError, match="repeats without end: pass dataset.take"):
        load_images(dataset.repeat())
    named = tf.data.Dataset.from_tensor_slices({"image": x, "label": y})
    with pytest.raises(ValueError, match="dictionaries: pass pairs"):
        load_images(named)
    assert same(load_images((row["image"], row["label"]) for row in named), x)


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_directory_dataset_gives_its_files(tf, tmp_path, shuffle):
    write_classes(tmp_path / "cat" / "dog", ("cat", "dog"), count=5)
    dataset = keras.utils.image_dataset_from_directory(
        tmp_path / "cat" / "dog", image_size=(8, 8), shuffle=shuffle, seed=1, verbose=False
    )
    images = load_images(dataset)
    assert [str(path) for path in images.paths] == dataset.file_paths
    assert images.class_names == dataset.class_names == ["cat", "dog"]
    names = [images.class_names[label] for label in images.labels]
    assert names == [path.parent.name for path in images.paths]
    assert "in the order of its list of files" in images.notes[0]
    # What map returns has lost the names of the files.
    if not shuffle:
        scaled = dataset.map(lambda image, label: (image / 255, label))
        assert load_images(scaled).labels.tolist() == [0] * 5 + [1] * 5


def test_an_iterator_of_image_data_generator_gives_its_files(tmp_path):
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    write_classes(tmp_path, count=3)
    iterator = ImageDataGenerator().flow_from_directory(str(tmp_path))
    images = load_images(iterator)
    names = [images.class_names[label] for label in images.labels]
    assert names == [path.parent.name for path in images.paths] == ["cat"] * 3 + ["dog"] * 3


# Lists of paths -----------------------------------------------------------------------------------


def test_a_list_of_paths_keeps_its_order(tmp_path):
    paths = write_classes(tmp_path)[::-1]
    assert load_images(paths).paths == paths and load_images(paths).class_names == []
    images = load_images((paths, ["b", "a", "b", "a"]))
    assert images.paths == paths and images.labels.tolist() == [1, 0, 1, 0]
    pairs = [(str(path), number % 2) for number, path in enumerate(paths)]
    assert load_images(pairs, class_names=["a", "b"]).labels.tolist() == [0, 1, 0, 1]
    relative = [path.relative_to(tmp_path) for path in paths]
    assert load_images(relative, root=tmp_path).paths == paths
    assert load_images(np.array([str(path) for path in paths])).paths == paths
    assert load_images((pd.Series(paths), pd.Series(["b", "a", "b", "a"]))).paths == paths


def test_files_in_several_rows_are_told(tmp_path):
    paths = write(*(tmp_path / f"{i}.png" for i in range(4)))
    images = load_images(([*paths, paths[0], paths[1]], [0, 1, 0, 1, 1, 1]))
    assert images.notes == [
        "files in several rows, under different labels: '0.png'",
        "files in several rows: '1.png'",
    ]
    several = load_images((paths + paths[:1], ["cat|dog", "cat", "dog", "cat", "dog"]))
    assert "under different labels: '0.png'" in several.notes[-1]


def test_a_path_that_is_missing_is_skipped_with_its_label(tmp_path):
    paths = write_classes(tmp_path)
    images = load_images(([tmp_path / "gone.png", *paths], [1, 0, 0, 1, 1]))
    assert images.paths == paths and images.labels.tolist() == [0, 0, 1, 1]
    assert reasons(images) == {"gone.png": "not a file"}


# Tables -------------------------------------------------------------------------------------------


@pytest.fixture
def table(tmp_path):
    """Return a table of six images, with columns that are neither paths nor labels."""
    files = write(*(tmp_path / "pictures" / f"{i}.png" for i in range(6)))
    return pd.DataFrame(
        {
            "camera": [1, 2, 1, 2, 1, 2],
            "file": [f"pictures/{path.name}" for path in files],
            "label": ["cat", "dog", "cat", "dog", "cat", "eel"],
            "note": ["", "dark", "", "", "blurred", ""],
        }
    )


def test_a_table_keeps_its_order_and_its_columns(table, tmp_path):
    table = table.sample(frac=1, random_state=1)
    images = load_images(table, root=tmp_path)
    assert [path.name for path in images.paths] == [Path(file).name for file in table["file"]]
    assert images.class_names == ["cat", "dog", "eel"]
    assert [images.class_names[label] for label in images.labels] == table["label"].tolist()
    expected = table[["camera", "note"]].reset_index(drop=True)
    pd.testing.assert_frame_equal(images.metadata, expected)
    assert images.notes == ["paths from the column 'file'", "labels from the column 'label'"]
    named = load_images(table, root=tmp_path, path_column="file", label_column="note")
    assert named.notes == ["4 of 6 images have no label"]
    assert named.class_names == ["blurred", "dark"] and list(named.metadata) == ["camera", "label"]


@pytest.mark.parametrize("kind", ["csv", "semicolons", "tsv", "parquet", "bom", "index"])
def test_a_file_of_a_table_is_read_as_the_table(table, tmp_path, kind):
    file = tmp_path / f"labels.{kind if kind in ('tsv', 'parquet') else 'csv'}"
    if kind == "parquet":
        pytest.importorskip("pyarrow")
        table.to_parquet(file)
    else:
        separator = {"tsv": "\t", "semicolons": ";"}.get(kind, ",")
        encoding = "utf-8-sig" if kind == "bom" else "utf-8"
        table.to_csv(file, sep=separator, encoding=encoding, index=kind == "index")
    images = load_images(file)
    assert [path.name for path in images.paths] == [f"{i}.png" for i in range(6)]
    assert [images.class_names[label] for label in images.labels] == table["label"].tolist()
    assert images.metadata["camera"].tolist() == table["camera"].tolist()
    assert images.metadata["camera"].dtype.kind == "i" and images.root == tmp_path


def test_files_are_found_by_their_names_below_the_table(table, tmp_path):
    for files in (
        [str(i) for i in range(6)],
        [f"{i}.png" for i in range(6)],
        [f"/data/of/another/machine/{i}.png" for i in range(6)],
        [f"C:\\photos\\{i}.png" for i in range(6)],
    ):
        table.assign(file=files).to_csv(tmp_path / "labels.csv", index=False)
        images = load_images(tmp_path / "labels.csv", path_column="file")
        assert [path.name for path in images.paths] == [f"{i}.png" for i in range(6)], files


@pytest.mark.parametrize(
    "listed, on_disk, words",
    [
        ("B/\u00e9.png", "B/e\u0301.png", ""),
        ("B/e\u0301.png", "B/\u00e9.png", ""),
        ("\u00c4/\u00e9.png", "A\u0308/\u00e9.png", ""),
        (" B/1.png ", "B/1.png", ""),
        ("B/1.PNG", "B/1.png", "another case or suffix than the table: '1.png' for '1.PNG'"),
        ("B/1.png", "B/1.JPG", "'1.JPG' for '1.png'"),
        ("b/1.png", "B/1.png", ""),
        ("img.001", "B/img.001.png", ""),
    ],
)
def test_paths_of_a_table_are_found_in_other_spellings(tmp_path, listed, on_disk, words):
    write(tmp_path / on_disk, tmp_path / "B" / "other.png")
    (tmp_path / "t.csv").write_text(f"file,label\n{listed},cat\nB/other.png,dog\n", "utf-8")
    images = load_images(tmp_path / "t.csv")
    assert images.paths[0] == tmp_path / on_disk and images.labels.tolist() == [0, 1]
    found = [note for note in images.notes if "another case" in note]
    assert bool(found) == bool(words) and words in "".join(found)


def test_a_name_in_two_folders_is_told_with_both(tmp_path):
    write(tmp_path / "a" / "1.png", tmp_path / "b" / "1.png", tmp_path / "b" / "2.png")
    (tmp_path / "t.csv").write_text("file,label,split\n1.png,cat,train\n/old/B/1.PNG,dog,test\n")
    assert load_images(tmp_path / "t.csv").paths == [tmp_path / "b" / "1.png"]
    both = load_images(tmp_path / "t.csv", split=None)
    assert both.labels.tolist() == [1] and both.splits == ["test"]
    assert reasons(both) == {"1.png": "the name of several files: 'a/1.png', 'b/1.png'"}
    (tmp_path / "t.csv").write_text("file,label\n1.png,cat\n")
    with pytest.raises(FileNotFoundError, match="the name of several files: 'a/1.png', 'b/1.png'"):
        load_images(tmp_path / "t.csv")


def test_a_list_of_paths_is_read_in_either_spelling_of_unicode(tmp_path):
    write(tmp_path / "e\u0301.png")
    assert len(load_images([str(tmp_path / "\u00e9.png")])) == 1


def test_names_and_numbers_keep_every_character(tmp_path):
    write(*(tmp_path / f"{i:03}.png" for i in range(3)))
    text = "id,class\n000,01\n001,None\n002,NA\n"
    (tmp_path / "labels.csv").write_text(text)
    images = load_images(tmp_path / "labels.csv")
    assert images.class_names == ["01", "NA", "None"] and len(images) == 3


def test_an_identifier_beside_the_path_is_no_path(table, tmp_path):
    write(tmp_path / "masks" / "0.png")
    identified = table.assign(image_id=["0", "1", "2", "3", "4", "5"])
    images = load_images(identified[["image_id", *table.columns]], root=tmp_path)
    assert images.notes[0] == "paths from the column 'file'"
    assert images.paths == [tmp_path / file for file in table["file"]]
    assert list(images.metadata) == ["image_id", "camera", "note"]
    other = identified.assign(image_id=["5", "4", "3", "2", "1", "x"])
    with pytest.raises(ValueError, match="the columns 'file', 'image_id' hold files"):
        load_images(other, root=tmp_path)


def test_commas_between_semicolons_are_decimal_in_metadata_and_told(table, tmp_path):
    table = table.assign(
        weight=["1,5", "2", "", "-0,25", "3", "4,0"],
        size=["1,5", "x", "2", "3", "4", "5"],
        code=["01,5", "2", "3", "4", "5", "6"],
        price=["1.229,50", "0,5", "-12.000", "1.000.000", "7", ""],
        mixed=["1.229,50", "1,229.50", "3", "4", "5", "6"],
        label=["1,5", "1,5", "2", "2", "2", "2"],
    )
    columns = {"path_column": "file", "label_column": "label"}
    table.to_csv(tmp_path / "labels.csv", sep=";", index=False)
    images = load_images(tmp_path / "labels.csv", **columns)
    weight = images.metadata["weight"]
    np.testing.assert_array_equal(weight, [1.5, 2, np.nan, -0.25, 3, 4])
    price = images.metadata["price"]
    np.testing.assert_array_equal(price, [1229.5, 0.5, -12000, 1e6, 7, np.nan])
    assert "numbers with decimal commas in the columns 'price', 'weight'" in images.notes
    assert any(note.startswith("the columns 'code', 'mixed' stay texts") for note in images.notes)
    assert images.metadata["mixed"][0] == "1.229,50"
    assert images.metadata["size"][0] == "1,5" and images.metadata["code"][0] == "01,5"
    assert images.class_names == ["1,5", "2"]
    table.to_csv(tmp_path / "labels.csv", index=False)
    as_text = load_images(tmp_path / "labels.csv", **columns)
    assert as_text.metadata["weight"][0] == "1,5"


def test_numbers_in_a_table_are_names_as_for_flow_from_dataframe(table, tmp_path):
    numbers = table.assign(label=[0, 1, 2, 10, 0, 1])
    images = load_images(numbers, root=tmp_path)
    assert images.class_names == ["0", "1", "10", "2"]
    missing = table.assign(label=[0, 1, None, 1, 0, 1])
    assert load_images(missing, root=tmp_path).labels.tolist() == [0, 1, -1, 1, 0, 1]
    named = load_images(missing, root=tmp_path, class_names=["cat", "dog"])
    assert named.class_names == ["cat", "dog"] and named.labels.tolist() == [0, 1, -1, 1, 0, 1]


def test_several_labels_stand_in_lists_texts_or_columns_of_0_and_1(table, tmp_path):
    mask = [[1, 0], [1, 1], [0, 0], [0, 1], [1, 0], [1, 1]]
    names = [[name for name, has in zip("ab", row, strict=True) if has] for row in mask]
    pictures = table[["file", "camera"]]
    for columns, given in [
        ({"label": names}, {}),
        ({"label": ["|".join(each) for each in names]}, {}),
        ({"a": [a for a, _ in mask], "b": [b for _, b in mask]}, {"label_column": ["a", "b"]}),
        ({"a": [a == 1 for a, _ in mask], "b": [b for _, b in mask]}, {"label_column": ["a", "b"]}),
    ]:
        images = load_images(pictures.assign(**columns), root=tmp_path, **given)
        assert images.class_names == ["a", "b"], columns
        assert images.labels.astype(int).tolist() == mask and list(images.metadata) == ["camera"]
    only = table[["file"]].assign(a=[a for a, _ in mask], b=[b for _, b in mask])
    guessed = load_images(only, root=tmp_path)
    assert guessed.labels.astype(int).tolist() == mask
    assert guessed.notes[-1] == "labels from the columns 'a', 'b'"


def test_a_column_tells_the_split(table, tmp_path):
    splits = ["train", "valid", "test", "train", "test", "valid"]
    table = table.assign(**{"data set": splits})
    test = load_images(table, root=tmp_path)
    assert [path.stem for path in test.paths] == ["2", "4"] and test.class_names[-1] == "eel"
    assert test.splits == ["test"] * 2
    assert [path.stem for path in load_images(table, "Training", root=tmp_path).paths] == ["0", "3"]
    everything = load_images(table, None, root=tmp_path)
    roles = {"train": "training", "valid": "validation", "test": "test"}
    assert everything.splits == [roles[split] for split in splits]
    with pytest.raises(FileNotFoundError, match="no Test in the column 'data set', only 'train'"):
        load_images(table.assign(**{"data set": "train"}), root=tmp_path)


def test_columns_of_minus_1_and_1_become_0_and_1_as_the_refusal_says(table, tmp_path):
    table = table[["file"]].assign(a=[1, -1, -1, 1, 1, -1], b=[-1, -1, 1, 1, 1, 1])
    columns = ["a", "b"]
    with pytest.raises(ValueError, match="table.columns. = table.columns. == 1 if nothing"):
        load_images(table, root=tmp_path, label_column=columns)
    table[columns] = table[columns] == 1
    images = load_images(table, root=tmp_path, label_column=columns)
    assert images.labels[:, 0].tolist() == [True, False, False, True, True, False]


def test_columns_of_true_and_false_are_read_from_a_file(table, tmp_path):
    for words in (["True", "False"], ["TRUE", "FALSE"]):
        written = table[["file"]].assign(a=words * 3, b=words[:1] * 6)
        written.to_csv(tmp_path / "labels.csv", index=False)
        images = load_images(tmp_path / "labels.csv")
        assert images.labels[:2].tolist() == [[True, True], [False, True]]
        assert images.class_names == ["a", "b"]
    images = load_images(tmp_path / "labels.csv", label_column=["a"])
    assert images.class_names == ["not a", "a"] and images.labels.tolist() == [1, 0] * 3
    named = load_images(table, root=tmp_path, label_column=["label"])
    assert named.class_names == ["cat", "dog", "eel"]


@pytest.mark.parametrize("first, separator", [("sep=;\n", ";"), ("", "|")])
def test_any_separator_of_columns_is_read(table, tmp_path, first, separator):
    text = first + table.to_csv(sep=separator, index=False)
    (tmp_path / "labels.csv").write_text(text)
    assert load_images(tmp_path / "labels.csv").class_names == ["cat", "dog", "eel"]


@pytest.mark.parametrize("column", ["split", "is_valid", "fold"])
def test_a_column_that_may_tell_splits_is_named(table, tmp_path, column):
    images = load_images(table.assign(**{column: [0, 0, 1, 1, 0, 1]}), root=tmp_path)
    assert len(images) == 6 and f"the column {column!r} holds '0', '1'" in images.notes[-1]
    assert len(images.select(images.metadata[column] == 1)) == 3


def unclear_tables():
    """Return {kind: (change of the table, arguments, words of the refusal)}."""
    return {
        "two paths": (
            lambda t: t.assign(mask=t["file"][::-1].to_numpy()),
            {},
            "'file', 'mask' hold files: name the",
        ),
        "no paths": (lambda t: t.assign(file="gone.png"), {}, "no column of the table holds files"),
        "no label": (lambda t: t.drop(columns="label"), {}, "not clear: name it, label_column="),
        "two labels": (lambda t: t.assign(target=1), {}, "among 'label', 'target'"),
        "unknown": (lambda t: t, {"label_column": "species"}, "no column 'species'; its columns"),
        "unknown path": (lambda t: t, {"path_column": "path"}, "the table has no column 'path'"),
        "uncertain": (
            lambda t: t.assign(a=[0, 1, -1, 0, 1, 0], b=1),
            {"label_column": ["a", "b"]},
            "the column 'a' holds -1: columns of labels must hold 0 and 1",
        ),
        "empty": (lambda t: t[:0], {}, "the table has no rows"),
        "twice": (lambda t: pd.concat([t, t["file"]], axis=1), {}, "several columns of one name"),
    }


@pytest.mark.parametrize("kind", unclear_tables())
def test_an_unclear_table_is_refused_with_the_remedy(table, tmp_path, kind):
    change, given, words = unclear_tables()[kind]
    with pytest.raises((ValueError, FileNotFoundError), match=words) as raised:
        load_images(change(table), root=tmp_path, **given)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "latin.csv").write_bytes("datei,klasse\n1.png,Äpfel\n".encode("cp1252"))
    with pytest.raises(ValueError, match="latin.csv is not UTF-8: save it as UTF-8"):
        load_images(tmp_path / "latin.csv")
    (tmp_path / "empty.csv").write_bytes(b"")
    with pytest.raises(ValueError, match="empty.csv cannot be read as a table"):
        load_images(tmp_path / "empty.csv")
    (tmp_path / "labels.xlsx").write_bytes(b"PK")
    with pytest.raises(FileNotFoundError, match="labels.xlsx is a file: pass a folder"):
        load_images(tmp_path / "labels.xlsx")


def test_a_table_without_names_of_columns_is_refused(table, tmp_path):
    file = tmp_path / "labels.csv"
    table[["file", "label"]].to_csv(file, index=False, header=False)
    found = "the first line of the table is 'pictures/0.png', 'cat', not the names of columns"
    with pytest.raises(ValueError, match=rf"{found}: pass .*header=None"):
        load_images(file)
    numbered = pd.read_csv(file, header=None)
    images = load_images(numbered, root=tmp_path)
    assert images.class_names == ["cat", "dog", "eel"] and len(images) == 6
    assert load_images(numbered, root=tmp_path, path_column=0, label_column=1).metadata is None


@pytest.mark.parametrize("dtype", ["string", "category", "object"])
def test_texts_of_any_dtype_are_labels(table, tmp_path, dtype):
    table = table.astype({"file": dtype, "label": dtype})
    assert load_images(table, root=tmp_path).class_names == ["cat", "dog", "eel"]
    integers = table.assign(label=pd.array([0, 1, None, 1, 0, 1], dtype="Int64"))
    images = load_images(integers, root=tmp_path, class_names=["cat", "dog"])
    assert images.labels.tolist() == [0, 1, -1, 1, 0, 1]


def test_metadata_travel_into_the_table_of_an_analysis(table, tmp_path):
    images = load_images(table, root=tmp_path)
    analysis = camkit.analyze(model_of(3), images, tmp_path / "analysis")
    assert analysis.table["camera"].tolist() == table["camera"].tolist()
    assert analysis.table["true"].tolist() == table["label"].tolist()


# Archives -----------------------------------------------------------------------------------------


def test_an_archive_is_read_as_the_folder_in_it(tmp_path):
    (
        write_classes(tmp_path / "pets" / "archive" / "Train"),
        write_classes(tmp_path / "pets" / "archive" / "Test"),
    )
    write(tmp_path / "pets" / "__MACOSX" / "archive" / "Test" / "cat" / "._0.png")
    archive = shutil.make_archive(str(tmp_path / "pets"), "zip", tmp_path / "pets")
    images = load_images(archive)
    direct = load_images(tmp_path / "pets")
    assert images.class_names == ["cat", "dog"] and images.skipped == []
    assert [path.name for path in images.paths] == [path.name for path in direct.paths]
    assert images.splits == ["test"] * 4
    folder = images.root
    del images
    gc.collect()
    assert not folder.exists()


def test_an_archive_that_cannot_be_unpacked_is_refused(tmp_path):
    (tmp_path / "damaged.zip").write_bytes(b"PK no archive")
    with pytest.raises(ValueError, match="damaged.zip cannot be unpacked: .*pass the folder"):
        load_images(tmp_path / "damaged.zip")
    (image,) = write(tmp_path / "0.png")
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
        archive.write(image, "../../evil.png")
        archive.write(image, "cat/0.png")
    images = load_images(tmp_path / "out.zip")
    assert not (tmp_path.parent / "evil.png").exists()
    assert all(path.is_relative_to(images.root) for path in images.paths)


# The page -----------------------------------------------------------------------------------------


def check(source, load):
    """Check what `load` makes of a row of the page: the images and what is told, or the refusal."""
    if source.classes is None:
        with pytest.raises((ValueError, TypeError, OSError)) as raised:
            load()
        assert source.words in str(raised.value) and "\n" not in str(raised.value)
        return
    images = load()
    told = [*images.notes, *(reason for _, reason in images.skipped)]
    assert (len(images), tuple(images.class_names)) == (source.count, source.classes), images
    assert any(source.words in line for line in told) or not source.words, told
    # Nothing is told where there is nothing to tell, but for the columns of a table.
    assert source.words or source.group in ("Tables", "Arrays") or not told, told
    assert images.labels.shape[0] == len([*images])


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_a_source_is_read_or_refused_as_the_page_says(source, tmp_path):
    if source.group == "Datasets" and "Py" not in source.name:
        pytest.importorskip("tensorflow")
    if "parquet" in source.name:
        pytest.importorskip("pyarrow")
    built = source.build(tmp_path)
    check(source, lambda: load_images(built, **source.given))


@pytest.mark.parametrize(
    "source",
    [source for source in SOURCES if sources.cell_of_shell(source) != "–"],
    ids=lambda source: source.name,
)
def test_the_shell_reads_or_refuses_a_source_as_the_page_says(source, tmp_path, capsys):
    if "parquet" in source.name:
        pytest.importorskip("pyarrow")
    built = source.build(tmp_path)
    options = [word for option in sources.arguments_of_shell(source) for word in option]
    arguments = ["analyze", "model.keras", str(built), "--out", "out", *options]
    check(source, lambda: _load_images(_parser().parse_args(arguments)))
    if source.classes is not None:
        assert source.words in capsys.readouterr().err


def test_the_page_says_what_these_tests_say():
    assert sources.PAGE.read_text(encoding="utf-8") == sources.page(), "run python tests/sources.py"


def test_every_row_of_the_page_has_four_cells():
    rows = [line for line in sources.page().splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {5}


def test_the_names_of_the_sources_are_unique():
    names = [(source.group, source.name) for source in SOURCES]
    assert len(set(names)) == len(names)


# Folders: what the rows of the page do not say ----------------------------------------------------


def test_images_in_folders_of_a_class_carry_their_folder(tmp_path):
    write(tmp_path / "cat" / "2023" / "cam1" / "0.png", tmp_path / "cat" / "1.png")
    write(tmp_path / "dog" / "0.png")
    images = load_images(tmp_path)
    assert images.metadata["folder"].tolist() == ["", "2023/cam1", ""]
    assert [path.name for path in images.paths] == ["1.png", "0.png", "0.png"]


def test_splits_inside_classes_are_known(tmp_path):
    for split in ("train", "test"):
        write(
            tmp_path / "test" / "cat" / split / "0.png", tmp_path / "test" / "dog" / split / "0.png"
        )
    images = load_images(tmp_path / "test", None)
    assert images.splits == ["test", "training"] * 2 and images.class_names == ["cat", "dog"]
    analysis = camkit.analyze(model_of(2), images)
    assert analysis.images.splits == images.splits
    assert analysis.select([1, 2]).images.splits == ["training", "test"]


def test_classes_are_matched_under_normalisation(tmp_path):
    build = sources.in_two_spellings
    for name in ("\u00c4pfel", "A\u0308pfel"):
        images = load_images(build(tmp_path), None, classes=name)
        assert images.class_names == ["\u00c4pfel"] and len(images) == 2


def test_a_class_that_the_model_lacks_names_the_way_to_leave_it_out(tmp_path):
    write_classes(tmp_path, ("cat", "dog", "figures"))
    model = model_of(2)
    with pytest.raises(
        ValueError,
        match=r"classes=\['cat', 'dog'\] of load_images \(in the shell --classes\) leaves",
    ):
        camkit.analyze(model, load_images(tmp_path), class_names=["cat", "dog"])


def test_a_model_trained_on_a_mac_knows_the_composed_names(tmp_path):
    images = load_images(sources.in_two_spellings(tmp_path))
    analysis = camkit.analyze(model_of(2), images, class_names=["A\u0308pfel", "Birnen"])
    assert analysis.table["true"].tolist() == ["Birnen", "A\u0308pfel"]
    assert analysis.matched_by == "name"


@pytest.mark.parametrize("name", ["unseen", "my_test", "in-distribution-test"])
def test_a_split_of_any_name_is_chosen_by_its_folder_and_told_where_it_is_not(tmp_path, name):
    write_classes(tmp_path / "train")
    write_classes(tmp_path / name, count=1)
    assert len(load_images(tmp_path, name.upper())) == 2
    assert set(load_images(tmp_path, name).splits) == {"test" if "test" in name else name}
    with pytest.raises(FileNotFoundError, match=f"no Test in .*beside it is split='{name}'"):
        load_images(tmp_path)
    training = load_images(tmp_path, "Training")
    assert len(training) == 4 and reasons(training)[name] == "beside the splits 'train'"
    with pytest.raises(ValueError, match="'Validation', the name of a folder beside theirs"):
        load_images(tmp_path, "nowhere")


@pytest.mark.parametrize("name", ["testdata", "hold-out", "hold_out", "tst", "Test Data"])
def test_names_of_splits_in_other_spellings(tmp_path, name):
    write_classes(tmp_path / "train")
    write_classes(tmp_path / name, count=1)
    assert load_images(tmp_path).splits == ["test"] * 2


def test_splits_without_classes_or_in_classes_are_chosen_by_any_name(tmp_path):
    write_classes(tmp_path / "a" / "seg_train")
    write(tmp_path / "a" / "seg_pred" / "seg_pred" / "7.png")
    images = load_images(tmp_path / "a", "seg_pred")
    assert [path.name for path in images.paths] == ["7.png"] and images.labels.tolist() == [-1]
    for kind in ("cat", "dog"):
        write_classes(tmp_path / "b" / kind, ("train", "test", "unseen"), count=1)
    unseen = load_images(tmp_path / "b", "unseen")
    assert unseen.labels.tolist() == [0, 1] and unseen.splits == ["unseen"] * 2


def failing(path):
    raise RuntimeError("no such codec")


@pytest.mark.parametrize(
    "opener, error, words",
    [
        (failing, FileNotFoundError, "image_opener failing fails: RuntimeError: no such codec"),
        (lambda path: None, FileNotFoundError, "it returned a NoneType, and must return"),
        ("pillow", TypeError, "image_opener is of type str: pass a function"),
    ],
)
def test_an_opener_that_opens_nothing_says_why(tmp_path, opener, error, words):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.npy").write_bytes(b"x")
    with pytest.raises(error, match=words) as raised:
        load_images(tmp_path, image_opener=opener)
    assert "\n" not in str(raised.value)


def write_levels(root, *levels):
    """Write an image at each place that takes a folder of each level."""
    return write(*(root.joinpath(*folders, "0.png") for folders in product(*levels)))


@pytest.mark.parametrize(
    "levels, given",
    [
        ((("10253", "10254"), ("0", "1")), "classes=['10253', '10254'] or classes=['0', '1'] (in"),
        ((("p1", "p2"), ("mel", "nev")), "classes=['p1', 'p2'] or classes=['mel', 'nev'] (in"),
        (
            (("cam1", "cam2"), ("2024-01", "2024-02"), ("ng", "ok")),
            "classes=['cam1', 'cam2'] or classes=['2024-01', '2024-02'] or classes=['ng', 'ok']",
        ),
    ],
)
def test_classes_at_either_level_are_asked_for_and_chosen_by_name(tmp_path, levels, given):
    write_levels(tmp_path, *levels)
    for split in ("Test", None):
        with pytest.raises(ValueError, match=re.escape(f"pass {given}")) as raised:
            load_images(tmp_path, split)
        assert "\n" not in str(raised.value)
    for number, names in enumerate(levels):
        images = load_images(tmp_path, classes=names)
        assert images.class_names == list(names)
        taken = [path.relative_to(tmp_path).parts[number] for path in images.paths]
        assert taken == [names[label] for label in images.labels]
        for row, path in enumerate(images.paths):
            folders = path.relative_to(tmp_path).parts[:-1]
            of_row = images.metadata.loc[row]
            assert of_row.get("folder above", "") == "/".join(folders[:number])
            assert of_row.get("folder", "") == "/".join(folders[number + 1 :])
    only = load_images(tmp_path, classes=levels[-1][0])
    assert only.class_names == [levels[-1][0]]


def test_levels_of_classes_in_splits_are_asked_for_too(tmp_path):
    write_levels(tmp_path, ("train",), ("p1", "p2"), ("mel", "nev"))
    write(tmp_path / "test" / "p3" / "nev" / "0.png", tmp_path / "test" / "p3" / "out.png")
    with pytest.raises(ValueError, match=r"classes=\['p1', 'p2'\] or classes=\['mel', 'nev'\]"):
        load_images(tmp_path)
    images = load_images(tmp_path, classes=["mel", "nev"])
    assert images.labels.tolist() == [1] and images.class_names == ["mel", "nev"]
    assert images.metadata["folder above"].tolist() == ["p3"]
    assert reasons(images) == {"out.png": "outside the class folders"}


@pytest.mark.parametrize(
    "levels",
    [
        (("cat", "dog"), ("2024-01", "2024-02"), ("cam1", "cam2")),
        (("cat", "dog"), ("images",)),
    ],
)
def test_dates_and_cameras_below_classes_are_no_classes(tmp_path, levels):
    write_levels(tmp_path, *levels)
    assert load_images(tmp_path).class_names == ["cat", "dog"]


def test_folders_of_unrelated_names_below_classes_are_no_classes(tmp_path):
    write_levels(tmp_path, ("cat",), ("persian", "siamese", "other"))
    write_levels(tmp_path, ("dog",), ("pug", "husky", "other"))
    images = load_images(tmp_path)
    assert images.class_names == ["cat", "dog"]
    assert load_images(tmp_path, classes=["pug", "siamese"]).labels.tolist() == [0, 1]


def test_many_names_of_a_level_are_cut_short_in_the_refusal(tmp_path):
    write_levels(tmp_path, [f"p{i:02}" for i in range(14)], ("mel", "nev"))
    with pytest.raises(ValueError, match=r"'p11', ...\] \(all 14\) or classes=\['mel', 'nev'\]"):
        load_images(tmp_path)


def test_masks_are_a_class_where_they_may_be_one(tmp_path):
    write_levels(tmp_path / "a", ("mask", "no_mask", "half"))
    assert load_images(tmp_path / "a").class_names == ["half", "mask", "no_mask"]
    write_levels(tmp_path / "b", ("cat", "dog", "masks"))
    assert load_images(tmp_path / "b", classes=["cat", "masks"]).class_names == ["cat", "masks"]


def test_a_table_beside_a_folder_of_images_is_told(tmp_path):
    write(*(tmp_path / "pics" / f"{i}.png" for i in range(2)))
    (tmp_path / "labels.csv").write_text("file,label\n0.png,cat\n1.png,dog\n")
    for source in (tmp_path, shutil.make_archive(str(tmp_path) + "-packed", "zip", tmp_path)):
        with pytest.raises(
            ValueError, match=r"beside the table 'labels.csv'.*or classes=\['pics'\]"
        ):
            load_images(source)
        assert load_images(source, classes=["pics"]).class_names == ["pics"]
    assert load_images(tmp_path / "labels.csv").class_names == ["cat", "dog"]
    (tmp_path / "pics" / "labels.csv").write_text("file,label\n0.png,cat\n")
    flat = load_images(tmp_path / "pics")
    assert flat.class_names == [] and flat.notes[0].startswith("'labels.csv' beside the images may")


def test_tables_beside_splits_without_classes_and_parts_of_a_set_are_told(tmp_path):
    write(tmp_path / "a" / "train_images" / "0.png", tmp_path / "a" / "test_images" / "1.png")
    write(tmp_path / "b" / "images_part_1" / "0.png", tmp_path / "b" / "images_part_2" / "1.png")
    write_classes(tmp_path / "c")
    for name in "abc":
        (tmp_path / name / "train.csv").write_text("id,label\n0,cat\n")
    assert load_images(tmp_path / "a").notes[0].startswith("'train.csv' beside the images may hold")
    with pytest.raises(ValueError, match="holds images in 'images_part_1', 'images_part_2' alone"):
        load_images(tmp_path / "b")
    assert load_images(tmp_path / "c").notes == []


def test_an_archive_in_a_folder_or_an_archive_is_told(tmp_path):
    (tmp_path / "set").mkdir()
    with zipfile.ZipFile(tmp_path / "set" / "train.zip", "w") as archive:
        archive.write(*write(tmp_path / "0.png"), "cat/0.png")
    outer = shutil.make_archive(str(tmp_path / "outer"), "zip", tmp_path / "set")
    for source in (tmp_path / "set", outer):
        with pytest.raises(FileNotFoundError, match="unpack 'train.zip' and pass") as raised:
            load_images(source)
        assert str(raised.value).startswith(f"no image set in {source}: ")
        assert "PNG" in str(raised.value) and "HEIC, DICOM)" in str(raised.value)


def test_a_message_on_an_archive_names_no_temporary_folder(tmp_path):
    write_levels(tmp_path / "set", ("p1", "p2"), ("mel", "nev"))
    outer = shutil.make_archive(str(tmp_path / "outer"), "zip", tmp_path / "set")
    with pytest.raises(ValueError, match="unpack it to pass what it holds") as raised:
        load_images(outer)
    assert "camkit-" not in str(raised.value) and f"'{outer}/p1'" in str(raised.value)


def test_what_is_told_of_pictures_in_an_archive_names_it_and_their_place(tmp_path):
    write_classes(tmp_path / "set")
    (tmp_path / "set" / "cat" / "1.png").write_bytes(b"no image")
    outer = Path(shutil.make_archive(str(tmp_path / "outer"), "zip", tmp_path / "set"))
    [(path, reason)] = load_images(outer).skipped
    assert path == outer / "cat" / "1.png" and "camkit-" not in reason
    with pytest.raises(ValueError, match=f"no class 'eel' in {outer}; its classes are 'cat', 'd"):
        load_images(outer, classes="eel")
    write_levels(tmp_path / "broken", ("cat", "dog"))
    for path in (tmp_path / "broken").rglob("*.png"):
        path.write_bytes(b"no image")
    broken = shutil.make_archive(str(tmp_path / "broken"), "zip", tmp_path / "broken")
    with pytest.raises(FileNotFoundError, match=f"no readable image in {broken}: looked for"):
        load_images(broken)
    with pytest.raises(ValueError, match="root= has no meaning for an archive"):
        load_images(outer, root=tmp_path)


def test_folders_of_photograph_programs_are_no_classes(tmp_path):
    write_levels(tmp_path, ("cat", "dog", "Lightroom Previews.lrdata"))
    images = load_images(tmp_path)
    assert images.class_names == ["cat", "dog"]
    assert "another program" in reasons(images)["Lightroom Previews.lrdata"]


def test_a_set_of_which_keras_reads_nothing_is_refused(tmp_path):
    pytest.importorskip("tensorflow")
    images = load_images(write(tmp_path / "0.webp"))
    assert repr(images).startswith("ImageSet(1 image without labels, 0 skipped")
    with pytest.raises(ValueError, match="none of the images is one that Keras reads: Keras reads"):
        images.read_as_keras()
