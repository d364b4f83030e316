"""Every kind of model that people bring is read rightly, or refused in one line of camkit's own.

The truth is Keras' own `predict`, and a plain gradient of the scores before the last activation.
"""

import functools
import traceback
from pathlib import Path

import keras
import kinds
import numpy as np
import pytest
from kinds import KINDS
from PIL import Image
from scipy.special import expit, softmax

import camkit
from camkit._cli import main

PACKAGE = str(Path(camkit.__file__).parent)
LONGEST_REFUSAL = 600
IMAGES_OF_A_CLASS = 2


# The truth ----------------------------------------------------------------------------------------


@functools.cache
def built(name):
    """Return the Case of a kind, which is built once."""
    return next(kind for kind in KINDS if kind.name == name).build()


def batch_of(case):
    """Return images for a case."""
    if case.batch is not None:
        return case.batch
    shape = shape_of(case)
    generator = np.random.default_rng(1)
    return generator.uniform(0, 255, (3, *shape[1:])).astype("float32")


def shape_of(case):
    """Return the shape (B, H, W, channels) of the images of a case.

    What is no model, or knows no shape yet, gets that of the usual images.
    """
    model = case.model if case.plain is None else case.plain
    try:
        return model.input_shape
    except AttributeError:
        return (None, *kinds.SHAPE)


def gradient(function, tensor):
    """Return the gradient of the sum of function(tensor)."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        with tensorflow.GradientTape() as tape:
            tape.watch(tensor)
            value = function(tensor)
        return np.asarray(tape.gradient(value, tensor), "float32")
    # The other backends' own gradients have tests of their own.
    from camkit.models._backend import gradient as by_backend

    return np.asarray(keras.ops.convert_to_numpy(by_backend(function, tensor)), "float32")


def scores_of(case, batch):
    """Return the scores S (B, C) before the last activation."""
    features = case.features(batch, training=False)
    scores = np.asarray(keras.ops.cast(case.head(features), "float32"))
    if case.answer.startswith("one "):
        return np.concatenate([-scores / 2, scores / 2], axis=1)
    return scores


def parts_of(case, batch, target, head):
    """Return (F, ∂S/∂F) of each map that a head reads, for one class."""
    parts = keras.tree.flatten(case.features(batch, training=False))[: len(head.inputs)]
    pairs = []
    for index, part in enumerate(parts):
        if len(part.shape) == 2:
            # No map: it stands beside those that are pooled.
            continue

        def score(tensor, index=index):
            given = [*parts[:index], tensor, *parts[index + 1 :]]
            scores = keras.ops.cast(head(given), "float32")
            if case.answer.startswith("one "):
                return scores[:, 0] * (target - 0.5)
            return scores[:, target]

        features = np.asarray(keras.ops.cast(part, "float32"))
        pairs.append((features, gradient(score, part)))
    return pairs


def read_by_family(case, batch, target):
    """Return (F, ∂S/∂F) of the map that the family reads, for one class."""
    head = case.head if case.through is None else case.through
    return parts_of(case, batch, target, head)[case.reads]


def telling_class(case, batch):
    """Return the class whose score depends most on the map that the family reads."""
    sizes = []
    for target in range(scores_of(case, batch).shape[1]):
        _, slopes = read_by_family(case, batch, target)
        sizes.append(np.abs(slopes).max())
    return int(np.argmax(sizes))


def probabilities_of(case, batch):
    """Return the probabilities (B, C) that the model itself gives."""
    model = case.model if case.plain is None else case.plain
    answers = np.asarray(model.predict(batch, verbose=0), "float32")
    if case.answer == "one sigmoid":
        return np.concatenate([1 - answers, answers], axis=1)
    if case.answer == "one logit":
        return np.concatenate([expit(-answers), expit(answers)], axis=1)
    if case.answer == "logits":
        return softmax(answers, axis=1)
    if case.answer == "log softmax":
        return np.exp(answers)
    return answers


def as_places(array, size):
    """Return tokens (B, T, …) as (B, *size, …), without those that have no place."""
    if array.shape[1 : 1 + len(size)] == size:
        return array
    count = np.prod(size)
    return array[:, -count:].reshape(len(array), *size, *array.shape[2:])


def true_maps(case, batch, target, places):
    """Return the class map that the gradient of a head of GAP gives, or None for several sizes.

    The head is affine, so that ∂S/∂F is W/(h·w) everywhere.
    """
    pairs = parts_of(case, batch, target, case.head)
    maps = [np.sum(features * slopes, axis=-1) for features, slopes in pairs]
    if len({each.shape for each in maps}) > 1:
        return None
    return as_places(sum(maps), places) * np.prod(places)


def close(found, expected, tolerance):
    """Assert that arrays agree, up to a share of the largest value."""
    largest = max(1, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, atol=tolerance * largest, rtol=0)


def with_rows(options, batch):
    """Return options with the rows of a batch, where a function returns them."""
    if "inputs" not in options:
        return options
    inputs = {
        name: values(batch) if callable(values) else values
        for name, values in options["inputs"].items()
    }
    return {**options, "inputs": inputs}


# Outcomes -----------------------------------------------------------------------------------------


def refusal(run, options):
    """Return the words in which camkit refuses: one line of its own, raised by itself."""
    try:
        run(options)
    except (ValueError, OSError, ImportError) as error:
        words = str(error)
        origin = traceback.extract_tb(error.__traceback__)[-1].filename
        assert origin.startswith(PACKAGE), f"raised in {origin}: {words}"
    else:
        pytest.fail(f"nothing was refused with {options}")
    assert "\n" not in words, words
    assert 0 < len(words) < LONGEST_REFUSAL, words
    return words


def hold(outcome, run, check):
    """Hold a column of a row to its word.

    Args:
        outcome: The outcome.
        run: A function that takes the options and returns what camkit answers.
        check: A function that asserts that an answer is right.
    """
    if not outcome.works:
        assert outcome.words in refusal(run, {})
        return
    if outcome.options and outcome.words:
        assert outcome.words in refusal(run, {})
    check(run(outcome.options))


def rows(column):
    """Return the parameters of the tests of a column."""
    parameters = []
    for kind in KINDS:
        if getattr(kind, column) is None:
            continue
        marks = [pytest.mark.slow] if kind.is_slow else []
        parameters.append(pytest.param(kind, marks=marks, id=kind.name))
    return parameters


@pytest.mark.parametrize("kind", rows("cam"))
def test_cam(kind):
    case = built(kind.name)

    def run(options):
        batch = batch_of(case)
        cam = camkit.CAM(case.model, **with_rows(options, batch))
        return batch, cam, cam(batch)

    def check(answer):
        batch, cam, out = answer
        scores = scores_of(case, batch)
        np.testing.assert_allclose(out.probs, probabilities_of(case, batch), atol=kind.tolerance)
        close(out.logits, scores, kind.tolerance)
        places = tuple(range(1, out.maps.ndim - 1))
        rest = getattr(out, "rest", 0)
        close(out.maps.mean(axis=places) + rest + cam.bias, out.logits, kind.tolerance)
        for target in range(scores.shape[1]):
            expected = true_maps(case, batch, target, out.maps.shape[1:-1])
            if expected is not None:
                close(out.maps[..., target], expected, kind.tolerance)

    hold(kind.cam, run, check)


@pytest.mark.slow
@pytest.mark.parametrize("kind", rows("family"))
def test_family(kind):
    case = built(kind.name)
    target = 1
    if case.features is None:
        batch = np.zeros((1, *case.shape))
    else:
        batch = batch_of(case)
    if kind.family.works:
        target = telling_class(case, batch)

    def run(options):
        options = with_rows(options, batch)
        grad = camkit.grad_cam(case.model, batch, target, **options)
        return grad, camkit.hires_cam(case.model, batch, target, **options)

    def check(answer):
        grad, hires = answer
        pair = read_by_family(case, batch, target)
        features, slopes = [as_places(array, grad.shape[1:]) for array in pair]
        alpha = slopes.mean(axis=tuple(range(1, slopes.ndim - 1)), keepdims=True)
        expected_grad = np.maximum(0, np.sum(alpha * features, axis=-1))
        expected_hires = np.sum(slopes * features, axis=-1)
        largest = np.abs(expected_hires).max()
        assert largest > 0
        tolerance = kind.tolerance
        close(grad / largest, expected_grad / largest, tolerance)
        close(hires / largest, expected_hires / largest, tolerance)

    hold(kind.family, run, check)


@functools.cache
def folder_of_images(folder, classes):
    """Return a folder of random photographs in a folder for each class."""
    generator = np.random.default_rng(2)
    for number in range(classes):
        of_class = folder / str(classes) / f"class {number}"
        of_class.mkdir(parents=True)
        for index in range(IMAGES_OF_A_CLASS):
            pixels = generator.integers(0, 256, (24, 20, 3), dtype="uint8")
            Image.fromarray(pixels).save(of_class / f"{index}.png")
    return folder / str(classes)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Return a function from a Case to the folder of photographs for it."""
    folder = tmp_path_factory.mktemp("photographs")
    return lambda case: folder_of_images(folder, max(2, case.classes))


def check_analysis(kind, case, analysis, images):
    """Assert that an analysis says what the model says."""
    batch = as_read(case, images)
    np.testing.assert_allclose(
        analysis.probs, probabilities_of(case, batch), atol=2 * kind.tolerance
    )
    close(analysis.logits, scores_of(case, batch), kind.tolerance)
    expected = analysis.probs.argmax(axis=1)
    assert (analysis.predicted == expected).all()


def as_read(case, images):
    """Return photographs in the size and the channels that a case takes."""
    shape = shape_of(case)
    size = tuple(size or kinds.SIDE for size in shape[1:3])
    return next(images.batches(len(images), size, **channels(shape))).astype("float32")


def channels(shape):
    """Return the arguments with which photographs have the model's channels."""
    return {} if shape[-1] == 3 else {"channels": shape[-1]}


def arguments_of_analyze(options):
    """Return the keyword arguments of `analyze` for the options of a column."""
    options = dict(options)
    name = options.pop("method", None)
    if name is None:
        return options
    method = getattr(camkit, name)
    if "layer" in options:
        method = functools.partial(method, layer=options.pop("layer"))
    return {"method": method, **options}


@pytest.mark.slow
@pytest.mark.parametrize("kind", rows("analyze"))
def test_analyze(kind, photographs):
    case = built(kind.name)
    images = camkit.load_images(photographs(case), None)

    def run(options):
        if "inputs" in options:
            options = with_rows(options, as_read(case, images))
        return camkit.analyze(case.model, images, **arguments_of_analyze(options))

    hold(kind.analyze, run, lambda analysis: check_analysis(kind, case, analysis, images))


def words_of_shell(options):
    """Return the words of the command for the options of a column."""
    words = []
    for name, value in options.items():
        if name == "input_size":
            words += ["--size", str(max(value))]
        else:
            words += [f"--{name}", str(value)]
    return words


class CommandError(ValueError):
    """What the command says."""


@pytest.mark.sweep
@pytest.mark.parametrize("kind", rows("shell"))
def test_shell(kind, photographs, tmp_path, capsys):
    case = built(kind.name)
    folder = photographs(case)
    file = tmp_path / "model.keras"
    case.model.save(file)
    capsys.readouterr()

    def say(options, out):
        command = ["analyze", file, folder, "--out", out, *words_of_shell(options)]
        code = main([str(word) for word in command])
        said = capsys.readouterr().err.splitlines()
        return code, said

    outcome = kind.shell
    if outcome.words:
        code, said = say({}, tmp_path / "refused")
        assert code == 1 and len(said) == 1, said
        assert outcome.words in said[0]
        assert "does not run" not in said[0]
    if outcome.works:
        code, said = say(outcome.options, tmp_path / "out")
        assert code == 0, said
        images = camkit.load_images(folder, None)
        analysis = camkit.load_analysis(tmp_path / "out")
        check_analysis(kind, case, analysis, images)


# The table ----------------------------------------------------------------------------------------


def test_the_table_of_the_reference_says_what_these_tests_say():
    assert kinds.TABLE.read_text(encoding="utf-8") == kinds.table(), (
        "out of date: write it anew with python tests/kinds.py"
    )


def test_the_names_of_the_kinds_are_unique():
    names = [kind.name for kind in KINDS]
    assert len(set(names)) == len(names)
