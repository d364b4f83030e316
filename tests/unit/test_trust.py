"""The judge: what it measures of networks whose truth is known, and what it says of them."""

import keras
import numpy as np
import pytest
import zoo
from keras import layers
from PIL import Image, ImageDraw

import camkit
from camkit import localize
from camkit.models import _probe as probe
from camkit.trust import _intervals, _marks, _measures, judging

SIDE = 28
COUNT = 16
METHODS = ("hires_cam", "grad_cam", "eigen_cam")
BASELINES = ["centre", "edges", "random"]


def squares(count, seed=0):
    """Return pictures of noise with a dull red square and a bright white one, and their masks."""
    rng = np.random.default_rng(seed)
    images = rng.uniform(0, 40, (count, SIDE, SIDE, 3))
    masks = np.zeros((2, count, SIDE, SIDE), bool)
    for number in range(count):
        quadrants = rng.choice(4, 2, replace=False)
        for mask, quadrant in zip(masks, quadrants, strict=True):
            y, x = rng.integers(1, 6, 2) + 14 * np.array(divmod(quadrant, 2))
            mask[number, y : y + 8, x : x + 8] = True
    images[masks[0]] = (150, 0, 0)
    images[masks[1]] = (250, 250, 250)
    return images.astype("float32"), masks[0]


def redness():
    """Return a network of three classes whose first score is redness and nothing else.

    Its features are: red less green, brightness, twice the brightness.
    """
    image = keras.Input((SIDE, SIDE, 3))
    features = layers.Conv2D(3, 1, activation="relu", name="features")(image)
    pooled = layers.AveragePooling2D(2, name="pooled")(features)
    gap = layers.GlobalAveragePooling2D()(pooled)
    model = keras.Model(image, layers.Dense(3, "softmax", name="scores")(gap))
    kernel = np.array([[1, 1, 2], [-1, 1, 2], [0, 1, 2]]) / 255
    model.get_layer("features").set_weights([kernel.reshape(1, 1, 3, 3), np.zeros(3)])
    head = np.array([[150.0, 0, 0], [0, 0, 0], [0, 0, 0]])
    model.get_layer("scores").set_weights([head, np.array([-3.0, 0, 0])])
    return model


@pytest.fixture(scope="module")
def red():
    model = redness()
    images, mask = squares(COUNT)
    return model, images, mask


@pytest.fixture(scope="module")
def judged(red):
    model, images, mask = red
    return camkit.judge(model, images, METHODS, layers=["pooled", "features"], masks=mask)


# Intervals ----------------------------------------------------------------------------------------


def test_the_draws_are_those_of_the_public_interval():
    frames = np.repeat(np.arange(12), 5)
    values = np.random.default_rng(0).normal(size=60)
    weights = _intervals.weights_of_draws(frames)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    _, low, high = camkit.interval(values, frames)
    np.testing.assert_allclose(np.quantile(weights @ values, [0.025, 0.975]), [low, high])


def test_bounds_that_hold_at_once():
    weights = _intervals.weights_of_draws(np.arange(30))
    values = np.random.default_rng(0).normal(size=(30, 40))
    alone = [_intervals.lower_bounds(column[:, None], weights)[0] for column in values.T]
    together = _intervals.lower_bounds(values, weights)
    assert (together < alone).all() and (together < values.mean(axis=0)).all()
    # One mean alone: so many standard errors as a normal distribution has, about.
    errors = (weights @ values).std(axis=0)
    np.testing.assert_allclose((values.mean(axis=0) - alone) / errors, 1.645, atol=0.15)
    # A column that stands twice costs nothing, and one that never varies is its own bound.
    twice = _intervals.lower_bounds(np.concatenate([values, values], axis=1), weights)
    np.testing.assert_allclose(twice[:40], together)
    constant = np.tile([0.5, -0.25], (30, 1))
    np.testing.assert_array_equal(_intervals.lower_bounds(constant, weights), [0.5, -0.25])


def test_bounds_are_wrong_as_rarely_as_they_say():
    wrong = 0
    weights = _intervals.weights_of_draws(np.arange(30))[:400]
    for seed in range(100):
        rng = np.random.default_rng(seed)
        shared = rng.normal(size=(30, 1))
        values = rng.normal(size=(30, 20)) + shared - shared.mean()
        wrong += (_intervals.lower_bounds(values, weights) > 0).any()
    # 5 of 100 are expected; without regard to their number, 60 and more.
    assert wrong <= 15


# ROAD by cells ------------------------------------------------------------------------------------


def brightness(batch):
    return batch.mean(axis=(1, 2))[:, :1]


def test_road_by_cells_reads_the_means_of_the_cells_alone():
    images, mask = squares(4)
    heat = mask + np.random.default_rng(0).normal(0, 0.1, mask.shape)
    means = heat.reshape(4, 7, 4, 7, 4).mean(axis=(2, 4))
    coarse = means.repeat(4, axis=1).repeat(4, axis=2)
    results = [
        localize.road(brightness, images, maps, 0, shares=(0.1, 0.5), cells=7)
        for maps in (heat, coarse)
    ]
    np.testing.assert_allclose(*results, rtol=1e-6)


def test_road_by_cells_removes_whole_cells_and_keeps_the_others():
    image = np.zeros((1, SIDE, SIDE, 3), "uint8")
    image[:, 8:12, 4:8] = 200
    seen = []

    def predict(batch):
        seen.append(batch[:2])
        return brightness(batch)

    most, least = localize.road(predict, image, image[..., 0], 0, shares=(0.03,), cells=7)
    without, still_there = seen[0]
    # The cell is filled in with what is around it, up to the noise.
    assert np.abs(without).max() < 15 and most[0, 0] < 1
    np.testing.assert_array_equal(still_there[8:12, 4:8], 200)
    changed = (without != image[0]).any(axis=-1)
    np.testing.assert_array_equal(changed, image[0, ..., 0] > 0)
    assert least[0, 0] > 3


# Marks --------------------------------------------------------------------------------------------


def test_marks_never_touch_and_lie_inside():
    images = np.zeros((200, 40, 60, 3))
    places = _marks._places(images, np.random.default_rng(0))
    height, width = _marks._size(images)
    assert (places >= 0).all() and (places <= [40 - height, 60 - width]).all()
    distance = np.abs(places[:, 0] - places[:, 1])
    assert ((distance >= [height + 4, width + 6]).any(axis=1)).all()


def test_shares_of_the_marks():
    images = np.zeros((2, 8, 8, 1), "float32")
    places = np.array([[[0, 0], [4, 4]], [[0, 4], [4, 0]]])
    marked = _marks.Marked(images, places, 1.0)
    heat = np.full((2, 8, 8), -1.0)
    heat[0, :2, :2] = 3
    heat[0, 4:6, 4:6] = 1
    np.testing.assert_allclose(marked.shares(heat, 0), [0.75, 0.5])
    np.testing.assert_allclose(marked.shares(heat, 1), [0.25, 0.5])


@pytest.mark.parametrize("units, activation", [(3, "softmax"), (1, "sigmoid"), (4, "sigmoid")])
def test_a_planted_network_answers_by_the_marks_and_is_itself_again(units, activation):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5, "tanh"),
            layers.Dense(units, activation),
        ]
    )
    images = np.random.default_rng(0).uniform(0, 1, (12, 32, 32, 3)).astype("float32")
    before = model.get_weights()
    with _marks.planted(model, images, 0) as marked:
        assert marked.known >= 0.9
        answers = []
        for kind in (0, 1):
            exchanged = _marks._with_marks(images, marked.places, (kind, kind))
            answers.append(probe.scores(model, exchanged)[:, :2].argmax(axis=1))
        assert np.mean(answers[0]) <= 0.1 and np.mean(answers[1]) >= 0.9
        blind = camkit.eigen_cam(model, marked.images, 0)
        total = marked.shares(blind, 0) + marked.shares(blind, 1)
        np.testing.assert_allclose(total, 1)
    with pytest.raises(ZeroDivisionError), _marks.planted(model, images, 0):
        _ = 1 / 0
    for array, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(array, old)


# The verdict --------------------------------------------------------------------------------------


def test_a_network_of_known_truth(red, judged):
    """The network reads redness; the largest of its features are those of a white square."""
    table = judged.table.set_index(["method", "layer"])
    assert judged.method in ("hires_cam", "grad_cam")
    assert judged.verdict.startswith(f"Use {judged.method} at {judged.layer!r}: road ")
    assert table.loc[("hires_cam", "pooled"), "pointing"] == 1
    eigen = table.loc[("eigen_cam", "pooled")]
    assert "50% (50 to 50) on the mark, not surely above 60%" in eigen["verdict"]
    assert eigen["pointing"] == 0 and eigen["marks"] == 0.5
    assert table["verdict"].tolist()[-3:] == ["baseline"] * 3
    assert "passes" not in judged.verdict


def test_the_numbers_are_those_of_the_functions_called_by_hand(red, judged):
    model, images, mask = red
    targets = probe.scores(model, images).argmax(axis=1)
    assert (targets == 0).all()
    maps = camkit.upsample(camkit.grad_cam(model, images, layer="features"), SIDE)
    row = judged.table.query("method == 'grad_cam' and layer == 'features'").iloc[0]
    assert row["pointing"] == pytest.approx(localize.pointing_game(maps, mask).mean())
    boxes = [localize.boxes(each, 1) for each in mask]
    _, (at_half,) = localize.max_box_acc(maps, boxes, ious=(0.5,))
    assert row["boxes"] == pytest.approx(at_half)
    low = images.min()
    unit = (images.max() - low) / 255

    def predict(batch):
        return model.predict(low + unit * batch, verbose=0)

    most, least = localize.road(
        predict, (images - low) / unit, maps, 0, shares=(0.1, 0.3, 0.5), cells=7
    )
    assert row["road"] == pytest.approx((least - most).mean(), abs=1e-3)
    blind = localize.baselines(images)["centre"]
    centre = judged.table.query("method == 'centre'").iloc[0]
    assert centre["pointing"] == pytest.approx(localize.pointing_game(blind, mask).mean())
    for measure in ("road", "marks", "stays", "pointing", "boxes"):
        columns = judged.table[[f"{measure}_low", measure, f"{measure}_high"]].to_numpy()
        assert (np.diff(columns, axis=1) >= -1e-9).all(), measure


def test_boxes_and_masks_tell_the_same_and_files_are_stretched(red, judged):
    model, images, mask = red
    boxes = [localize.boxes(each, 1) for each in mask]
    by_boxes = camkit.judge(model, images, ["hires_cam"], layers=["pooled"], boxes=boxes)
    row = judged.table.iloc[0]
    assert by_boxes.table.iloc[0][["pointing", "boxes"]].tolist() == [row.pointing, row.boxes]
    # Files of twice the size, whose boxes are in their own pixels.
    files = camkit.load_images(images.repeat(2, axis=1).repeat(2, axis=2).astype("uint8"))
    twice = [2 * box for box in boxes]
    of_files = camkit.judge(model, files, ["hires_cam"], layers=["pooled"], boxes=twice)
    assert of_files.table.iloc[0]["pointing"] == 1


@pytest.mark.slow
def test_the_sticker_that_a_class_always_has():
    """As in lesson 13, all pictures of one class have a sticker in a corner of the white ground."""
    names = camkit.load_images("mini", per_class=1).class_names[::2]
    images = camkit.load_images("mini", "Training", classes=names, per_class=14)
    rim = [(0, 0), (25, 25), (25, 25), (0, 0)]
    pictures = np.pad(next(images.batches(len(images), 100)), rim, constant_values=255)
    of_class = np.flatnonzero(images.labels == 3)
    stickers = np.zeros((len(of_class), 150, 150), bool)
    for mask, number in zip(stickers, of_class, strict=True):
        x, y = np.random.default_rng(number).choice([2, 100], 2)
        mask[y : y + 48, x : x + 48] = True
        drawn = ImageDraw.Draw(picture := Image.fromarray(pictures[number]))
        drawn.ellipse((x, y, x + 48, y + 48), (255, 220, 40), (40, 90, 220), 11)
        pictures[number] = picture
    model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
    camkit.train_head(model, camkit.load_images((pictures, images.labels), class_names=names))
    judged = camkit.judge(
        model,
        camkit.load_images(pictures[of_class]),
        METHODS,
        layers=[model.layers[-4].name],
        targets=3,
        masks=stickers,
    )
    rows = judged.table.set_index("method")
    assert judged.method in ("hires_cam", "grad_cam"), judged
    assert rows.loc[judged.method, "pointing"] >= 0.9, judged
    assert "50% (50 to 50) on the mark" in rows.loc["eigen_cam", "verdict"], judged


def test_nothing_beats_the_baselines_on_a_random_network():
    images = next(camkit.load_images("mini", "Test").select(slice(0, 240, 20)).batches(12, 48))
    keras.utils.set_random_seed(0)
    backbone = camkit.backbone("mini", weights=None, input_size=48)
    model = camkit.gap_classifier(backbone, ["a", "b", "c"])
    random_head = np.random.default_rng(0).normal(0, 0.14, (96, 3))
    model.get_layer("logits").set_weights([random_head, np.zeros(3)])
    judged = camkit.judge(model, images, ["hires_cam"], layers=[backbone.layers[-1].name])
    assert judged.verdict.startswith("Nothing here beats the baselines: hires_cam at ")
    assert judged.method is None and judged.layer is None


def table_of_verdicts(road, marks=None, stays=0.1, P=0.9):
    """Return the verdicts of rows whose values are given as means, with a little noise."""
    noise = np.random.default_rng(0).normal(0, 0.02, (40, len(road) + 3))
    measures = {"road": np.array([*road, 0.3, 0.2, 0.0]) + noise}
    if marks is not None:
        measures["marks"] = np.array([*marks, 0.5, 0.5, 0.5]) + 0 * noise
    measures["stays"] = stays + noise
    weights = _intervals.weights_of_draws(np.arange(40))
    verdicts = judging._verdicts(measures, np.full(40, P), weights, len(road))
    return verdicts[: len(road)], judging._best(measures, verdicts, weights)


def test_what_passes_and_what_is_used():
    # As good as the centre, better, worse, noise.
    road = [0.3, 0.5, 0.1, 0.0]
    verdicts, best = table_of_verdicts(road, marks=[0.9, 0.5, 0.9, 0.9])
    assert verdicts == [
        "passes",
        "50% (50 to 50) on the mark, not surely above 60%",
        "passes, though worse than centre and edges in road",
        "not surely better than random; the score hardly falls",
    ]
    assert best == 0
    # Without marks, every blind map has to be beaten.
    verdicts, best = table_of_verdicts(road)
    assert verdicts[:2] == ["not surely better than centre", "passes"] and best == 1
    # Of equals in "road" the best in "marks", and of equals in both the first.
    assert table_of_verdicts([0.3, 0.3, 0.3], marks=[0.8, 0.9, 0.9])[1] == 1
    assert table_of_verdicts([0.3, 0.4, 0.3], marks=[0.8, 0.8, 0.9])[1] == 1
    # What stays without the weights, and what is too little of a probability.
    verdicts, best = table_of_verdicts([0.3], marks=[0.9], stays=0.95)
    assert verdicts == ["stays without what was learnt"] and best is None
    assert table_of_verdicts([0.3], marks=[0.9], P=3.5)[0] == ["the score hardly falls"]


def test_a_share_on_the_mark_is_told_with_its_interval():
    weights = _intervals.weights_of_draws(np.arange(40))
    shares = np.tile([0.3, 0.74], 20)
    _, low, high = camkit.interval(shares)
    assert judging._on_mark(shares, weights, 9) == (
        f"52% ({100 * low:.0f} to {100 * high:.0f}) on the mark, not surely above 60%"
    )
    # By itself it is above: what fails it are the other rows.
    assert judging._on_mark(np.full(40, 0.65), weights, 9) == (
        "65% (65 to 65) on the mark, not surely above 60% among 9 rows"
    )


def test_few_images_are_told(red, judged):
    [note] = judged.notes
    assert note == (
        "16 images or groups are few: the intervals are wide, and yet about 11% too short; "
        "24 or more tell methods apart"
    )
    assert judging._few(24) == []
    model, images, _ = red
    twice = np.concatenate([images, images])
    # Of 32 images that show 16 things, the things count.
    options = {"layers": ["pooled"], "groups": np.arange(32) % 16}
    assert camkit.judge(model, twice, ["hires_cam"], **options).notes[0] == note


def test_the_text_fits_a_terminal_and_holds_the_table(judged):
    lines = judged.text.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["road", "marks", "stays"]
    assert [line for line in lines if line.startswith("at ")] == ["at 'pooled'", "at 'features'"]
    text = " ".join(judged.text.split())
    for row in judged.shown.to_dict("records"):
        numbers = f"{row['method']} {row['road']} {row['marks']} {row['stays']} {row['verdict']}"
        assert f"{numbers}; pointing {row['pointing']}; boxes {row['boxes']}" in text


def test_the_widest_numbers_fit_a_terminal(judged):
    table = judged.table.assign(road=-0.25, road_low=-0.5, road_high=-0.125)
    table.loc[0, "method"] = max(judging.METHODS, key=len)
    wide = camkit.Judgement(table, "", None, None, [])
    assert "-0.25 [-0.50, -0.12]" in wide.text
    assert max(map(len, wide.text.splitlines())) <= 80


def test_each_image_has_its_own_shuffle(red):
    """The same image again and again: what varies in "stays" are the shuffles alone."""
    model, images, _ = red
    case = _measures.Case(model, images[[0] * 6], np.zeros(6, int))
    rows, _ = _measures.rows_of(case, ["grad_cam"], ["features"])
    done = []
    maps, stays = _measures.maps_and_what_stays(case, rows, 0, lambda: done.append(1))
    assert len(done) == 6 and stays.shape == (6, 4)
    assert (maps[0] == maps[0][0]).all() and len(np.unique(stays[:, 0])) > 1


def test_a_model_that_names_labels_by_chance_is_not_explained(red):
    model, images, _ = red
    files = camkit.load_images((images.astype("uint8"), np.arange(COUNT) % 3))
    judged = camkit.judge(model, files, ["hires_cam"], layers=["pooled"])
    assert judged.method is None
    assert judged.verdict == (
        "Nothing here beats the baselines: the model classifies 6 of 16 images correctly, which "
        "chance does as well."
    )


def test_the_model_is_not_changed_and_the_seed_decides(red, judged):
    model, images, mask = red
    before = model.get_weights()
    again = camkit.judge(model, images, METHODS, layers=["pooled", "features"], masks=mask)
    for array, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(array, old)
    assert again.table.equals(judged.table) and again.verdict == judged.verdict
    assert str(again).endswith(again.verdict)


def test_a_model_of_another_range_of_values_is_told(red):
    """Trained on 0 to 1, it calls every picture of 0 to 255 bright."""
    images, mask = squares(32)
    labels = np.arange(32) % 2
    images[labels == 1] /= 4
    image = keras.Input((SIDE, SIDE, 3))
    gap = layers.GlobalAveragePooling2D()(layers.Conv2D(1, 1, use_bias=False)(image))
    model = keras.Model(image, layers.Dense(2, "softmax")(gap))
    # The mean of the channels in thousandths of the white, beside a mark between the classes.
    means = images.mean(axis=(1, 2, 3)) / 255
    between = (means[labels == 0].min() + means[labels == 1].max()) / 2
    sum_of_channels = np.full((1, 1, 3, 1), 1000 / 3)
    model.set_weights([sum_of_channels, np.array([[1.0, 0]]), np.array([0, 1000 * between])])
    files = camkit.load_images((images.astype("uint8"), labels), class_names=["bright", "dark"])
    judged = camkit.judge(model, files, ["hires_cam"])
    assert judged.notes[-1] == (
        "the model is given values of 0 to 255 and classifies 16 of 32 images correctly; of 0 to 1 "
        "it would be 32. If it was trained on those, begin it with keras.layers.Rescaling(1 / 255)"
    )
    assert judged.method is None
    begun = keras.Sequential([image, layers.Rescaling(1 / 255), model])
    assert not any("values of" in note for note in camkit.judge(begun, files, ["hires_cam"]).notes)


def test_a_flattened_head_has_no_marks_but_a_verdict():
    """Its weights belong to places, so that it cannot learn marks that lie anywhere."""
    keras.utils.set_random_seed(0)
    model = zoo.REFUSED["Flatten → Dense"][0]()
    judged = camkit.judge(model, zoo.images(COUNT), ["grad_cam"], layers=[model.layers[-3].name])
    assert "marks" not in judged.table
    assert judged.notes[1].startswith("there are no marks: the network names both of two marks in ")
    assert judged.verdict.startswith("Nothing here beats the baselines: ")


def test_a_transformer_is_judged_by_its_own_methods():
    model = zoo.transformer("token", prefix=1)
    methods = ["legrad", "attention_rollout", "grad_cam"]
    judged = camkit.judge(model, zoo.images(COUNT), methods, layers=["block_1_norm"])
    assert judged.table["method"].tolist() == [*methods[2:], *methods[:2], *BASELINES]
    assert judged.table["layer"].tolist()[:2] == ["block_1_norm", ""]


@pytest.mark.slow
def test_the_embedded_transformer():
    model = camkit.models.load_model("data/mini-vit.keras")
    batch = next(camkit.load_images("mini", "Test", per_class=1).batches(12, 100))
    methods = ["legrad", "attention_rollout"]
    judged = camkit.judge(model, batch.astype("float32"), methods, output="mean")
    rows = judged.table.set_index("method")
    assert rows.loc["attention_rollout", "marks"] == 0.5 < rows.loc["legrad", "marks"]
    assert "50% (50 to 50) on the mark" in rows.loc["attention_rollout", "verdict"]


def test_files_are_read_again_only_where_their_size_is_asked_for(red, monkeypatch):
    _, images, mask = red
    files = camkit.load_images(images.astype("uint8"))
    read = []
    of_class = type(files).__getitem__

    def counted(self, number):
        read.append(number)
        return of_class(self, number)

    monkeypatch.setattr(type(files), "__getitem__", counted)
    masks, boxes = _measures.objects_of(files, images, mask, None)
    assert read == [] and len(masks) == len(boxes) == COUNT
    _measures.objects_of(files, images, None, boxes)
    assert read == list(range(COUNT))


def test_functions_partials_and_methods_without_a_layer(red):
    model, images, _ = red

    def flat(model, batch, targets):
        return np.ones((len(batch), 2, 2))

    methods = {"CAM": camkit.hires_cam, "flat": flat}
    judged = camkit.judge(model, images, methods, layers=["pooled"])
    flat_row = judged.table.set_index("method").loc["flat"]
    assert flat_row["layer"] == "" and flat_row["marks"] == 0.5
    assert judged.table["method"].tolist()[:2] == ["CAM", "flat"]


def test_what_cannot_be_judged_is_said_in_one_line(red):
    model, images, mask = red
    cases = [
        (dict(images=images[:7]), "7 images or groups are too few"),
        (dict(groups=np.zeros(COUNT)), "1 images or groups are too few"),
        (dict(groups=np.arange(3)), r"groups has shape \(3,\): one for each of 16 images"),
        (dict(images=images[0]), r"the images have shape \(28, 28, 3\)"),
        (dict(images=0 * images), "all pixels of the images are 0.0"),
        (dict(masks=mask[:3]), "there are 3 masks and 16 images"),
        (dict(masks=mask[:, :14]), r"mask 0 has shape \(14, 28\) and its image \(28, 28\)"),
        (dict(masks=np.stack([mask] * 3, axis=-1)), r"mask 0 has shape \(28, 28, 3\)"),
        (dict(masks=0 * mask), "of image 0 hold no pixel, and 16 of 16 do not"),
        (dict(boxes=[[[20, 20, 9, 9]]] * COUNT), r"box \[20, 20, 9, 9\] does not lie in image 0"),
        (dict(boxes=[[[0, 0, 0.3, 0.3]]] * COUNT), "of image 0 hold no pixel"),
        (dict(boxes=[[[20, 20, 60, 60]]] * COUNT), "of 28 x 28 pixels"),
        (dict(methods="gradcam"), "camkit has no method 'gradcam'"),
        (dict(layers="nowhere"), "no layer is named 'nowhere'"),
        (dict(methods=["gradcam"]), "camkit has no method 'gradcam'"),
        (dict(methods=[]), "no method is named"),
        (dict(layers=["nowhere"]), "no layer is named 'nowhere'"),
        (dict(targets=5), "targets is 5"),
    ]
    for options, message in cases:
        with pytest.raises(ValueError, match=message) as caught:
            camkit.judge(model, **{"images": images, **options})
        assert "\n" not in str(caught.value)


def test_what_is_left_out_is_said(red):
    model, images, _ = red
    judged = camkit.judge(model, images, ["hires_cam", "legrad"], layers=["pooled"])
    assert judged.notes[0].startswith("left out: legrad")
    # A network that returns the same vector for all marks cannot tell them apart.
    dead = redness()
    dead.get_layer("features").set_weights([np.zeros((1, 1, 3, 3)), np.ones(3)])
    judged = camkit.judge(dead, images, ["hires_cam"], layers=["pooled"])
    assert "marks" not in judged.table and judged.notes[1].startswith("there are no marks: ")
    assert judged.method is None
