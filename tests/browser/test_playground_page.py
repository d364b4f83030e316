"""The playground in Chromium and in Firefox, from disk: its maps are those of camkit.CAM."""

import base64
import json
import re
from functools import cache

import keras
import numpy as np
import pytest
from chromium import (
    CHROMIUM,
    FLAGS,
    OVERFLOW,
    address_of,
    drawn,
    elsewhere,
    needs_chromium,
    serious,
    watch,
)
from matplotlib import colormaps
from PIL import Image

import camkit
from camkit.atlas import _view
from camkit.maps import _onnx

pytestmark = needs_chromium

# The modules of the panel as one, with what is asked of them here.
JS = _view.joined("play-panel.js") + "export { Answer, PlayPanel, fetchPhotograph };"

# The model's answer to an image at an address: the pixels that it reads and all maps.
ANSWER = """async ([js, address]) => {
    const code = URL.createObjectURL(new Blob([js], {type: "text/javascript"}));
    const { Answer, PlayPanel, fetchPhotograph } = await import(code);
    const { model } = camkitPlayground;
    const panel = window.asked ??= new PlayPanel(model, async () => camkitEngine, []);
    panel.show(await fetchPhotograph(address), "asked");
    const rgb = Array.from(panel.rgb);
    while (panel.isRunning) await new Promise((resolve) => setTimeout(resolve, 5));
    const answer = panel.maps.answer;
    return {
        rgb,
        maps: Array.from(answer.logits, (_, c) => Array.from(answer.mapOf(c))),
        logits: Array.from(answer.logits),
        probs: Array.from(answer.probs),
    };
}"""


def noise(height, width, seed=0):
    """Return an image of coarse noise."""
    small = np.random.default_rng(seed).integers(0, 256, (9, 7, 3), "uint8")
    return Image.fromarray(small).resize((width, height))


@pytest.fixture(scope="module")
def model():
    """Return the embedded backbone with a random head."""
    images = camkit.load_images("mini", "Test", per_class=1)
    model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
    random = np.random.default_rng(0)
    head = camkit.models._head.find_head(model).layer
    head.set_weights([random.normal(size=weight.shape) for weight in head.get_weights()])
    return model


@pytest.fixture(scope="module", autouse=True)
def converted_once():
    """Convert each model once: no test asks for another size than that of the model."""
    features_of = cache(_onnx.onnx_features)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_onnx, "onnx_features", lambda model, input_size=None: features_of(model))
        yield


@pytest.fixture(scope="module")
def playground(model, tmp_path_factory):
    """Return the path of the page of the embedded backbone with a random head."""
    return camkit.write_playground(model, tmp_path_factory.mktemp("playground") / "page")


def opened(browser, playground, **options):
    """Yield a page of the playground that shows an answer; nothing is told or asked elsewhere."""
    told, fetched = [], []
    context = browser.new_context(**options)
    page = context.new_page()
    watch(page, told, fetched)
    page.goto(playground.as_uri())
    page.get_by_role("status").filter(has_text="Apple Green: the model says").wait_for()
    yield page
    assert told == []
    assert elsewhere(fetched) == []
    context.close()


@pytest.fixture(scope="module")
def leaf(browser, playground):
    yield from opened(browser, playground, viewport={"width": 1280, "height": 900})


@pytest.fixture
def page(leaf, model):
    """Return the page with its first example as it was."""
    leaf.set_viewport_size({"width": 1280, "height": 900})
    leaf.get_by_label("Object over the picture").select_option("none")
    show_example(leaf, "Apple Green")
    leaf.get_by_text(says(model, example(), "Apple Green")).wait_for()
    return leaf


@pytest.fixture
def firefox_page(firefox, playground):
    yield from opened(firefox, playground, viewport={"width": 1280, "height": 900})


def example():
    """Return the image of the first example."""
    return camkit.load_images("mini", "Test", per_class=1)[0]


# The CAM of a model, which takes seconds to compile.
cam_of = cache(camkit.CAM)


def show_example(page, name):
    page.get_by_role("group", name="Examples").get_by_role("button", name=name).click()


def signed(value):
    """Return a number as the page writes it."""
    return f"{'−' if value < 0 else '+'}{abs(value):.2f}"


def status(page):
    return page.get_by_role("status").inner_text()


def wait_for_another_answer(page, before):
    changed = "before => document.querySelector('.status').textContent !== before"
    page.wait_for_function(changed, arg=before)


def says(model, image, name, c=None):
    """Return the line of the page on the class that the model says of an image, and its map.

    That is the map of class c if one is chosen.
    """
    cam = cam_of(model)
    out = cam(image[None].astype("float32"))
    first = int(out.logits[0].argmax())
    c = first if c is None else c
    bias = cam.bias[c]
    logit = out.logits[0, c]
    return (
        f"{name}: the model says {cam.class_names[first]}, {100 * out.probs[0, first]:.1f} %. "
        f"Map of {cam.class_names[c]}: mean {signed(logit - bias)}, bias {signed(bias)}, "
        f"score {signed(logit)}."
    )


def differences(model, answers, images):
    """Return the largest difference of maps and of probabilities, relative to the highest map."""
    out = cam_of(model)(np.stack(images).astype("float32"))
    maps = np.array([answer["maps"] for answer in answers])
    expected = np.moveaxis(out.maps, -1, 1).reshape(maps.shape)
    relative = np.abs(maps - expected).max() / np.abs(expected).max()
    probs = np.array([answer["probs"] for answer in answers])
    return relative, np.abs(probs - out.probs).max()


@pytest.mark.smoke
def test_pixels_and_maps_are_those_of_camkit(model, page, tmp_path):
    answers, images = [], []
    for shape in [(100, 100), (150, 97), (61, 240), (1203, 901)]:
        file = tmp_path / f"{shape[0]}.png"
        noise(*shape).save(file)
        images.append(camkit.read_image(file, (100, 100)))
        answers.append(page.evaluate(ANSWER, [JS, address_of(Image.open(file))]))
    read = np.array([answer["rgb"] for answer in answers]).reshape(-1, 100, 100, 3)
    np.testing.assert_array_equal(read, images)
    maps, probs = differences(model, answers, images)
    assert maps <= 1e-3
    assert probs <= 1e-3


def test_what_the_page_tells_of_an_example(model, page):
    image = example()
    np.testing.assert_array_equal(drawn(page.locator(".stage canvas")), image)
    assert status(page) == says(model, image, "Apple Green")


def test_transparency_is_laid_on_white(model, page, tmp_path):
    rgba = noise(100, 100).convert("RGBA")
    rgba.putalpha(Image.fromarray(np.arange(10000, dtype="uint8").reshape(100, 100)))
    rgba.save(tmp_path / "glass.png")
    answer = page.evaluate(ANSWER, [JS, address_of(rgba)])
    expected = camkit.read_image(tmp_path / "glass.png", (100, 100)).astype(int)
    # Browsers multiply colours by their opacity in their own ways.
    assert np.abs(np.reshape(answer["rgb"], (100, 100, 3)) - expected).max() <= 2


def test_a_photograph_turned_by_the_camera_is_upright(page, tmp_path):
    image = noise(120, 80)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", quality=95, exif=exif)
    answer = page.evaluate(ANSWER, [JS, address_of(image, "jpeg", quality=95, exif=exif)])
    expected = camkit.read_image(tmp_path / "turned.jpg", (100, 100)).astype(int)
    assert np.abs(np.reshape(answer["rgb"], (100, 100, 3)) - expected).mean() < 1


# --- what a visitor does


def test_a_file_a_drop_and_a_paste(model, page, tmp_path):
    file = tmp_path / "noise.png"
    noise(120, 80).save(file)
    expected = says(model, camkit.read_image(file, (100, 100)), "noise.png")
    page.get_by_label("Choose a picture").set_input_files(file)
    page.get_by_text(expected).wait_for()

    show_example(page, "Lemon")
    page.get_by_role("status").filter(has_text="Lemon: the model says").wait_for()
    page.evaluate(HAND_OVER, ["drop", "noise.png", "image/png", bytes_of(file)])
    page.get_by_text(expected).wait_for()

    show_example(page, "Lemon")
    page.get_by_role("status").filter(has_text="Lemon: the model says").wait_for()
    page.evaluate(HAND_OVER, ["paste", "noise.png", "image/png", bytes_of(file)])
    page.get_by_text(expected).wait_for()


def test_what_is_no_picture_is_refused(page, tmp_path):
    file = tmp_path / "broken.png"
    file.write_text("no picture")
    page.get_by_label("Choose a picture").set_input_files(file)
    page.get_by_text("broken.png is not a picture that this browser can read").wait_for()
    page.evaluate(HAND_OVER, ["drop", "notes.txt", "text/plain", ""])
    page.get_by_text("notes.txt is not a picture.").wait_for()


# Drop or paste a file, given in base64.
HAND_OVER = """([type, name, kind, content]) => {
    const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], name, {type: kind}));
    const event = type === "drop"
        ? new DragEvent(type, {dataTransfer: data, bubbles: true, cancelable: true})
        : new ClipboardEvent(type, {clipboardData: data, bubbles: true});
    document.querySelector(".play").dispatchEvent(event);
}"""


def bytes_of(file):
    return base64.b64encode(file.read_bytes()).decode()


def test_painting_out_and_noise(model, page):
    image = example()
    before = status(page)
    mean = np.rint(image.reshape(-1, 3).mean(axis=0))
    stage = page.locator(".stage canvas")
    box = stage.bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + box["width"] / 5, middle[1], steps=4)
    page.mouse.up()
    painted = drawn(page.locator(".stage canvas"))
    changed = (painted != image).any(axis=-1)
    # The brush has a radius of 8 % of the height; it was drawn over 20 % of the width.
    assert changed[44:57, 45:75].mean() > 0.9
    assert not changed[:40].any() and not changed[60:].any() and not changed[:, :40].any()
    np.testing.assert_array_equal(painted[50, 50:70], np.tile(mean, (20, 1)))
    page.get_by_text(says(model, painted, "Apple Green")).wait_for()

    page.get_by_role("button", name="Undo the stroke").click()
    page.get_by_text(before).wait_for()
    np.testing.assert_array_equal(drawn(page.locator(".stage canvas")), image)

    page.get_by_label("Noise").fill("40")
    wait_for_another_answer(page, before)
    noisy = drawn(page.locator(".stage canvas")).astype(int)
    inside = (image > 120) & (image < 136)
    assert abs((noisy - image)[inside].std() - 40) < 4
    page.get_by_text(says(model, noisy.astype("uint8"), "Apple Green")).wait_for()
    page.get_by_role("button", name="Picture as it was").click()
    page.get_by_text(before).wait_for()
    assert page.get_by_label("Noise").input_value() == "0"


def test_an_object_over_a_picture_by_keys(model, page):
    before = status(page)
    page.get_by_label("Object over the picture").select_option("Strawberry")
    stage = page.get_by_role("application")
    assert page.get_by_role("radio", name="Move the object").is_checked()
    wait_for_another_answer(page, before)
    image = example().astype(int)
    middle = np.abs(drawn(page.locator(".stage canvas")) - image).sum(axis=-1)
    rows, columns = np.nonzero(middle)
    # Half as tall as the picture, its white background aside.
    assert 25 < np.ptp(rows) <= 50
    assert abs(columns.mean() - 50) < 5
    stage.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    moved = np.abs(drawn(page.locator(".stage canvas")) - image).sum(axis=-1)
    assert np.nonzero(moved)[1].mean() == pytest.approx(columns.mean() + 20, abs=3)
    page.get_by_text(says(model, drawn(page.locator(".stage canvas")), "Apple Green")).wait_for()
    page.get_by_role("button", name="Picture as it was").click()
    page.get_by_text(before).wait_for()
    assert page.get_by_label("Object over the picture").input_value() == ""
    np.testing.assert_array_equal(drawn(page.locator(".stage canvas")), image)


def test_a_stroke_by_keys(model, page):
    stage = page.get_by_role("application")
    before = drawn(page.locator(".stage canvas"))
    stage.focus()
    page.keyboard.press("ArrowUp")
    assert page.locator(".ring").is_visible()
    page.keyboard.press("Space")
    after = drawn(page.locator(".stage canvas"))
    rows, _ = np.nonzero((after != before).any(axis=-1))
    assert rows.mean() == pytest.approx(45.5, abs=1.5)
    page.get_by_text(says(model, after, "Apple Green")).wait_for()


def test_the_map_of_any_class(model, page):
    cam = cam_of(model)
    image = example()
    out = cam(image[None].astype("float32"))
    ranking = np.argsort(-out.logits[0])
    buttons = page.locator(".class-maps li:visible button")
    names = [cam.class_names[c] for c in ranking]
    assert buttons.locator("strong").all_inner_texts() == names
    buttons.nth(3).click()
    c = ranking[3]
    assert status(page).endswith(
        f"Map of {names[3]}: mean {signed(out.maps[0, ..., c].mean())}, "
        f"bias {signed(cam.bias[c])}, score {signed(out.logits[0, c])}."
    )
    assert buttons.nth(3).get_attribute("aria-pressed") == "true"
    # Over the gray and lightened picture the map has the colours and the limits of the bar.
    reach = np.abs(out.maps).max()
    assert page.locator(".bar.signed").inner_text().startswith(signed(-reach))
    values = camkit.upsample(out.maps, image.shape[:2])[0, ..., c]
    colours = 255 * colormaps["coolwarm"]((values / reach + 1) / 2)[..., :3]
    opacity = 0.85 * np.minimum(2 * np.abs(values) / reach, 1)[..., None]
    gray = np.array(Image.fromarray(image).convert("L"))[..., None]
    expected = opacity * colours + (1 - opacity) * (127.5 + gray / 2)
    shown = drawn(page.locator(".pair figure:last-child canvas")).astype(int)
    assert np.abs(shown - expected).max() <= 2
    buttons.nth(3).click()
    assert status(page) == says(model, image, "Apple Green")


def test_classes_of_ones_own_are_learnt_and_taken_to_keras(model, page, tmp_path):
    page.get_by_role("button", name="Teach it classes of your own").click()
    taught = page.locator(".teach .note")
    first, second = (page.get_by_role("region", name=f"class {n}", exact=True) for n in (1, 2))
    for name, region in [("Lime", first), ("Cherry", second)]:
        show_example(page, name)
        page.get_by_role("status").filter(has_text=f"{name}: the model says").wait_for()
        region.get_by_role("button", name="Add the picture shown").click()
        region.get_by_text("1 picture; choose one to take it out").wait_for()
    taught.filter(has_text="It has learnt 2 classes from 2 pictures.").wait_for()
    files = [tmp_path / name for name in ("Apple Green.png", "Pear.png", "broken.png")]
    images = camkit.load_images("mini", "Test", per_class=1)
    for file in files[:2]:
        Image.fromarray(images[images.class_names.index(file.stem)]).save(file)
    files[2].write_text("no picture")
    first.get_by_label("Pictures for class 1").set_input_files(files)
    reason = "broken.png is not a picture that this browser can read: save it as JPEG or PNG."
    taught.filter(has_text=f"It has learnt 2 classes from 4 pictures. {reason}").wait_for()
    first.get_by_role("button", name="Take picture 3 out").click()
    taught.filter(has_text="It has learnt 2 classes from 3 pictures.").wait_for()
    page.get_by_label("Name of class 1").fill("green")
    page.get_by_label("Name of class 2").fill("red")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the head").click()
    head = json.loads(download.value.path().read_text())
    assert head["class_names"] == ["green", "red"]

    # The weights give a model of Keras the maps and scores of the page.
    backbone = camkit.backbone("mini")
    taught_model = camkit.gap_classifier(backbone, head["class_names"])
    weights = [np.array(head[name]) for name in ("kernel", "bias")]
    taught_model.get_layer("logits").set_weights(weights)
    for name, answer in [("Apple Green", "green"), ("Strawberry", "red")]:
        show_example(page, name)
        image = images[images.class_names.index(name)]
        line = says(taught_model, image, name)
        assert f"the model says {answer}" in line
        page.get_by_text(line).wait_for()
    names = page.locator(".class-maps li:visible strong").all_inner_texts()
    assert names == ["red", "green"]
    assert serious(page) == []

    page.get_by_role("button", name="Back to the classes of the model").click()
    page.get_by_text(says(model, image, "Strawberry")).wait_for()
    assert page.get_by_role("button", name="Download the head").is_hidden()


def test_files_that_are_refused_in_teaching_are_told_with_their_reasons(page, tmp_path):
    """As in the rest of the panel: 16 bits, a turned WebP file, and what is no picture."""
    exif = Image.Exif()
    exif[0x0112] = 6
    noise(20, 30).save(tmp_path / "turned.webp", exif=exif)
    Image.fromarray(np.zeros((9, 9), "uint16")).save(tmp_path / "deep.png")
    (tmp_path / "notes.png").write_text("no picture")
    page.get_by_role("button", name="Teach it classes of your own").click()
    files = [tmp_path / name for name in ("turned.webp", "deep.png", "notes.png")]
    page.get_by_label("Pictures for class").first.set_input_files(files)
    note = page.locator(".teach .note")
    note.filter(has_text="notes.png is not a picture").wait_for()
    assert "turned.webp is turned by its EXIF orientation" in note.inner_text()
    assert "deep.png is gray of 16 bits, of which browsers show 8 only" in note.inner_text()
    assert "save it with 8 bits" in note.inner_text()
    page.get_by_role("button", name="Back to the classes of the model").click()


# Teach 60 pictures of 4 classes with 1280 features, and count the turns of the page until a head
# is there. Later changes take the place of a training that is under way.
TAUGHT = """async js => {
    const code = URL.createObjectURL(new Blob([js], {type: "text/javascript"}));
    const { TeachPanel } = await import(code);
    const host = { files: async () => camkitEngine, model: {inputShape: [1, 1, 3]} };
    const heads = [];
    const panel = new TeachPanel(host, () => heads.push(panel.taught));
    const random = (k) => Float64Array.from({length: 1280}, (_, i) => Math.sin(i * (k + 2) ** 2));
    panel.open();
    panel.addClass();
    panel.addClass();
    panel.classes.forEach((own, c) => {
        for (let k = 0; k < 15; k++) own.add(new Uint8ClampedArray(3), random(20 * c + k));
    });
    await new Promise((resolve) => setTimeout(resolve));
    heads.length = 0;
    panel.train();
    panel.classes[3].pictures = [];
    panel.train();
    let turns = 0;
    while (!heads.length) {
        await new Promise((resolve) => setTimeout(resolve));
        turns += 1;
    }
    return {turns, heads: heads.map(({classes}) => classes.length), note: panel.note.textContent};
}"""


def test_the_page_answers_while_a_head_is_trained(page):
    js = _view.joined("teach-panel.js") + "export { TeachPanel };"
    taught = page.evaluate(TAUGHT, js)
    # On the thread of the page the head would be there after one turn.
    assert taught["turns"] > 3
    assert taught["heads"] == [3]
    assert taught["note"] == "It has learnt 3 classes from 45 pictures."


def test_a_photograph_by_the_camera(playwright, playground):
    flags = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags])
    for page in opened(chromium, playground):
        page.get_by_role("button", name="Use the camera").click()
        page.wait_for_function("document.querySelector('video').videoWidth")
        page.get_by_role("button", name="Take the photograph").click()
        page.get_by_role("status").filter(has_text="your photograph: the model says").wait_for()
        # The fake device shows a green picture.
        red, green, blue = drawn(page.locator(".stage canvas"))[10, 10].astype(int)
        assert green > red + 50 and green > blue + 50
        assert page.locator(".camera").is_hidden()
    chromium.close()


def test_without_a_camera_the_page_says_so(page):
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("status").filter(has_text="The camera cannot be used").wait_for()


def test_the_page_on_a_telephone(page):
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate(OVERFLOW) <= 0
    size = re.search(r"\(([\d.]+) MB with its engine\)", page.locator("main").inner_text())
    assert 6 < float(size[1]) < 8


def test_axe_finds_nothing_serious(page):
    assert serious(page) == []


def test_two_models_beside_each_other(model, browser, tmp_path):
    """The same picture and the same changes for both, the same limits, the class that is chosen."""
    other = keras.models.clone_model(model)
    other.set_weights(model.get_weights())
    head = camkit.models._head.find_head(other).layer
    kernel, bias = head.get_weights()
    head.set_weights([-0.5 * kernel, bias])
    assert cam_of(other).class_names == cam_of(model).class_names
    both = {"as it was": model, "mended": other}
    playground = camkit.write_playground(both, tmp_path / "page")
    images = camkit.load_images("mini", "Test", per_class=1)

    def lines(image, name, c=None):
        text = name + ":"
        for title, each in both.items():
            said = says(each, image, "", c).replace("the model", f"“{title}”").lstrip(": ")
            text += f" {said}"
        return text

    told = []
    page = browser.new_page()
    watch(page, told)
    page.goto(playground.as_uri())
    page.get_by_text(lines(images[0], "Apple Green")).wait_for()
    assert page.locator(".pair figure").count() == 3
    reach = max(np.abs(cam_of(each)(images[0][None]).maps).max() for each in both.values())
    assert page.locator(".bar.signed").inner_text().startswith(signed(-reach))
    page.get_by_role("application").focus()
    page.keyboard.press("Space")
    painted = drawn(page.locator(".stage canvas"))
    page.get_by_text(lines(painted, "Apple Green")).wait_for()

    page.get_by_label("Classes of the model").select_option("mended")
    names = page.locator(".class-maps li:visible strong").all_inner_texts()
    out = cam_of(other)(painted[None])
    assert names == [images.class_names[c] for c in np.argsort(-out.logits[0])]
    page.locator(".class-maps li:visible button", has_text="Plum").click()
    page.get_by_text(lines(painted, "Apple Green", images.class_names.index("Plum"))).wait_for()
    assert page.get_by_role("button", name="Teach it").count() == 0
    assert serious(page) == [] and told == []
    page.close()


def test_models_with_other_features_are_refused(model, tmp_path):
    other = keras.models.clone_model(model)
    other.set_weights([1.01 * weights for weights in model.get_weights()])
    with pytest.raises(ValueError, match="a and b give an image other features"):
        camkit.write_playground({"a": model, "b": other}, tmp_path / "page")
    with pytest.raises(ValueError, match="there is no model"):
        camkit.write_playground({}, tmp_path / "page")


@pytest.fixture(scope="module")
def analysis(model):
    return camkit.analyze(model, camkit.load_images("mini", "Test", per_class=1))


@pytest.mark.parametrize("single", [False, True], ids=["folder", "single"])
def test_the_picture_under_review_is_changed(model, analysis, browser, tmp_path, single):
    target = tmp_path / ("atlas.html" if single else "atlas")
    atlas = camkit.write_atlas(analysis, target, single=single, model=model)
    context = browser.new_context()
    page = context.new_page()
    told = []
    watch(page, told)
    page.goto(atlas.as_uri())
    page.get_by_label("Pictures of", exact=True).select_option(label="all pictures (12)")
    page.get_by_text("Try it: change the picture").click()
    panel = page.get_by_role("region", name="Try it")
    name = ""
    for _ in range(2):
        page.locator(".tiles").focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function(
            "before => !document.querySelector('.status').textContent.startsWith(before)",
            arg=f"{name} (",
        )
        name = page.locator(".status").first.inner_text().partition(" (")[0]
        image = analysis.images[analysis.table["path"].str.endswith(name).argmax()]
        panel.get_by_text(says(model, image, name)).wait_for()
        np.testing.assert_array_equal(drawn(page.locator(".stage canvas")), image)
        panel.get_by_role("application").focus()
        page.keyboard.press("Space")
        painted = drawn(page.locator(".stage canvas"))
        assert (painted != image).any()
        panel.get_by_text(says(model, painted, name)).wait_for()
    # A file of one's own, one that the browser reads otherwise than camkit, and the way back.
    other = 255 - image
    Image.fromarray(other).save(tmp_path / "other.png")
    Image.fromarray(other[..., 0].astype("uint16")).save(tmp_path / "gray.png")
    panel.locator("input[type=file]").first.set_input_files(tmp_path / "other.png")
    panel.get_by_text(says(model, other, "other.png")).wait_for()
    panel.locator("input[type=file]").first.set_input_files(tmp_path / "gray.png")
    panel.get_by_text("gray.png is gray of 16 bits, of which browsers show 8 only").wait_for()
    panel.get_by_role("button", name="Back to the picture under review").click()
    panel.get_by_text(says(model, image, name)).wait_for()
    assert told == []
    context.close()


@pytest.mark.slow
def test_the_maps_of_a_mobilenet(browser, tmp_path):
    keras.utils.set_random_seed(0)
    backbone = keras.applications.MobileNetV2((96, 96, 3), 0.35, weights=None, include_top=False)
    image = keras.Input((96, 96, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, -1)(image)
    pooled = keras.layers.GlobalAveragePooling2D()(backbone(scaled))
    model = keras.Model(image, keras.layers.Dense(30, activation="sigmoid")(pooled))
    playground = camkit.write_playground(model, tmp_path / "page")
    noise(140, 70).save(tmp_path / "noise.png")
    for page in opened(browser, playground):
        answer = page.evaluate(ANSWER, [JS, address_of(Image.open(tmp_path / "noise.png"))])
        # Of more than 24 classes, those are listed that the search finds.
        assert page.locator(".class-maps li:visible").count() == 24
        page.get_by_label("Search for a class").fill("class 17")
        assert page.locator(".class-maps li:visible strong").all_inner_texts() == ["class 17"]
    image = camkit.read_image(tmp_path / "noise.png", (96, 96))
    maps, probs = differences(model, [answer], [image])
    assert maps <= 1e-3
    assert probs <= 1e-3


def test_the_playground_in_firefox(model, firefox_page, tmp_path):
    page = firefox_page
    file = tmp_path / "noise.png"
    noise(150, 97).save(file)
    answer = page.evaluate(ANSWER, [JS, address_of(Image.open(file))])
    image = camkit.read_image(file, (100, 100))
    np.testing.assert_array_equal(np.reshape(answer["rgb"], (100, 100, 3)), image)
    maps, _ = differences(model, [answer], [image])
    assert maps <= 1e-3
    page.get_by_role("application").focus()
    page.keyboard.press("Space")
    painted = drawn(page.locator(".stage canvas"))
    page.get_by_text(says(model, painted, "Apple Green")).wait_for()

    page.get_by_role("button", name="Teach it classes of your own").click()
    for n, name in [(1, "Lime"), (2, "Cherry")]:
        show_example(page, name)
        page.get_by_role("status").filter(has_text=f"{name}: the model says").wait_for()
        region = page.get_by_role("region", name=f"class {n}", exact=True)
        region.get_by_role("button", name="Add the picture shown").click()
        region.get_by_text("1 picture; choose one to take it out").wait_for()
    page.get_by_text("It has learnt 2 classes from 2 pictures.").wait_for()
    page.get_by_role("status").filter(has_text="Cherry: the model says class 2").wait_for()
