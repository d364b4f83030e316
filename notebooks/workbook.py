"""What the lessons share: the model, recorded tables, cards for predictions, quizzes, exercises.

Lessons import it from their own folder. What a reader chooses stays in the reader's browser.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import metadata
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from assignments.checks import Mistake, agree
from IPython.display import display
from PIL import Image
from scipy import ndimage
from skimage import color
from sklearn.base import ClassifierMixin
from sklearn.linear_model import LogisticRegression

import camkit
from camkit import Interval
from camkit.images import ImageSet

# Below the table and no wider than it.
CAPTION = """<caption style="caption-side: bottom; text-align: left; white-space: normal">
{}</caption>"""

# Tables that other runs have left, and where a run of the lessons writes them anew.
RECORDS = Path(__file__).resolve().with_name("records")
NEW_RECORDS = Path(__file__).resolve().parents[1] / "build/records"

# All lessons keep the model of a set of images and a backbone here, with its analyses.
ANALYSES = Path(__file__).resolve().parents[1] / "build/analysis"

CARD = """<style>
.camkit-card {{ border: 1px solid #8886; border-left: 4px solid #4a7fb5; border-radius: 4px;
  margin: 0.5em 0; padding: 0.5em 1em; max-width: 46em;
  font-family: var(--jp-ui-font-family, inherit); }}
.camkit-card fieldset {{ border: 0; margin: 0; padding: 0; }}
.camkit-card legend, .camkit-card p {{ margin: 0 0 0.3em; padding: 0; font-weight: 600; }}
.camkit-card label {{ display: flex; gap: 0.4em; align-items: baseline; padding: 0.15em 0; }}
.camkit-card details {{ border: 0; margin: 0.2em 0; padding: 0; }}
.camkit-card summary {{ cursor: pointer; padding-left: 1.15em; text-indent: -1.15em; }}
.camkit-card details > div {{ padding: 0.1em 0 0.3em 1.2em; }}
.camkit-card small {{ opacity: 0.75; }}
.camkit-card table {{ border-collapse: collapse; margin: 0; }}
.camkit-card table td, .camkit-card table th {{ padding: 0.15em 1em 0.15em 0; text-align: left; }}
</style><div class="camkit-card" id="{name}">{content}</div>"""

# Browsers may forbid a page to keep anything; then a prediction lasts as long as the page.
REMEMBER = """<script>(() => {{
const card = document.getElementById("{name}");
const kept = window.camkitPredictions ??= {{}};
const key = "camkit prediction: " + card.querySelector("legend").textContent;
try {{ kept[key] ??= localStorage.getItem(key); }} catch {{}}
for (const choice of card.querySelectorAll("input")) {{
  choice.checked = choice.value === kept[key];
  choice.addEventListener("change", () => {{
    kept[key] = choice.value;
    try {{ localStorage.setItem(key, choice.value); }} catch {{}}
    window.dispatchEvent(new Event("camkit-prediction"));
  }});
}}
}})();</script>"""

COMPARE = """<script>(() => {{
const card = document.getElementById("{name}");
const kept = window.camkitPredictions ??= {{}};
const show = () => {{
  let made = 0, right = 0;
  for (const row of card.querySelectorAll("tbody tr")) {{
    const [question, answer, mine] = row.children;
    const key = "camkit prediction: " + question.textContent;
    try {{ kept[key] ??= localStorage.getItem(key); }} catch {{}}
    if (!kept[key]) continue;
    made += 1;
    const same = kept[key] === answer.textContent;
    if (same) right += 1;
    mine.textContent = (same ? "✓ " : "✗ ") + kept[key];
  }}
  if (made) card.querySelector("p").textContent = `Of ${{made}} predictions, ${{right}} came true.`;
}};
window.addEventListener("camkit-prediction", show);
show();
}})();</script>"""


NOT_ANSWERED = (
    "○ Not answered yet: put your code in place of the dots, end a function with `return`,\n"
    "  and run the cell again."
)


@dataclass(frozen=True)
class Prediction:
    """A question that the reader answers before the page does.

    Attributes:
        question: The question.
        options: The answers to choose from.
    """

    question: str
    options: tuple[str, ...]


def shared_model(
    dataset: str, backbone: str, weights: str
) -> tuple[ImageSet, ImageSet, keras.Model, Path]:
    """Return the images and the model that the lessons share, and the folder of its analyses.

    Lesson 2 makes the model and shows how. Where it has not been run, the head is trained here.

    Args:
        dataset: The set of images, as `camkit.load_images` takes it.
        backbone: The backbone, as `camkit.backbone` takes it.
        weights: The weights of the backbone.

    Returns:
        The training images, the test images, the model and the folder.
    """
    train = camkit.load_images(dataset, "Training")
    test = camkit.load_images(dataset, "Test")
    folder = ANALYSES / f"{Path(dataset).name}-{backbone}"
    if (folder / "model.keras").exists():
        return train, test, keras.models.load_model(folder / "model.keras"), folder
    model = camkit.gap_classifier(camkit.backbone(backbone, weights=weights), train.class_names)
    camkit.train_head(model, train)
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / "model.keras")
    return train, test, model, folder


def dozen(dataset: str) -> tuple[ImageSet, ImageSet]:
    """Return some training and test images of about a dozen classes, evenly chosen.

    A set that has no more classes gives more images of each.

    Args:
        dataset: The set of images, as `camkit.load_images` takes it.
    """
    every = camkit.load_images(dataset, "Training", per_class=1).class_names
    few = every[:: max(1, len(every) // 12)]
    learnt, asked = (40, 20) if len(few) == len(every) else (24, 12)
    train = camkit.load_images(dataset, "Training", classes=few, per_class=learnt)
    test = camkit.load_images(dataset, "Test", classes=few, per_class=asked)
    return train, test


def turns_of(images: ImageSet) -> tuple[np.ndarray, np.ndarray]:
    """Return the turn (N,) in which each image was filmed and its frame (N,), as strings.

    A file r0_48_100.jpg is frame 48 of turn r0, a file 48_100.jpg that of a turn without a name,
    "". Of other files the turn is the name up to its last underscore.

    Args:
        images: The images.
    """
    stems = [path.stem.removesuffix("_100").rpartition("_") for path in images.paths]
    return np.array([turn for turn, *_ in stems]), np.array([frame for *_, frame in stems])


def fruits_of(images: ImageSet) -> np.ndarray:
    """Return which fruit each image shows (N,): its class, and the turn in which it was filmed.

    Images whose names tell nothing are one group for each class.

    Args:
        images: The images.
    """
    turns, _ = turns_of(images)
    return np.array(
        [f"{images.class_names[c]} {t}" for c, t in zip(images.labels, turns, strict=True)]
    )


def stretched(images: Iterable[np.ndarray], size: int) -> np.ndarray:
    """Return images as (N, size, size, 3), uint8, enlarged or reduced bilinearly.

    Args:
        images: Images (H, W, 3), uint8, of any sizes.
        size: The side of each image in pixels.
    """
    square = [
        Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR) for image in images
    ]
    return np.stack(square)


def features(backbone: keras.Model, images: Iterable[np.ndarray]) -> np.ndarray:
    """Return the features (N, h, w, K) of images, each stretched to the backbone's size.

    Args:
        backbone: A backbone, such as `camkit.backbone` returns.
        images: Images (H, W, 3), uint8, of any sizes.
    """
    square = stretched(images, backbone.input_shape[1])
    return backbone.predict(square, batch_size=32, verbose=0)


def fit_head(
    pooled: np.ndarray, labels: np.ndarray, machine: ClassifierMixin | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights (K, C) and biases (C,) of a linear head, which has class maps.

    Args:
        pooled: GAP features (N, K).
        labels: The class of each image (N,). Columns of the result are in sorted order.
        machine: A linear classifier of scikit-learn, by default softmax regression in which all
            classes weigh the same. It learns from features that are divided by their spread;
            channels that hardly vary are not amplified.
    """
    if machine is None:
        machine = LogisticRegression(C=0.1, max_iter=1000, class_weight="balanced")
    mean = pooled.mean(axis=0)
    spread = pooled.std(axis=0)
    scale = spread + spread.mean()
    fitted = machine.fit((pooled - mean) / scale, labels)
    kernel = fitted.coef_.T / scale[:, None]
    bias = fitted.intercept_ - mean @ kernel
    if len(bias) > 1:
        return kernel, bias
    # Of two classes scikit-learn has the difference alone.
    return np.hstack([-kernel, kernel]) / 2, np.hstack([-bias, bias]) / 2


def right(
    head: tuple[np.ndarray, np.ndarray], pooled: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """Return 1 for each image that a linear head classifies correctly, else 0: floats (N,).

    Args:
        head: Its weights (K, C) and biases (C,).
        pooled: GAP features (N, K).
        labels: The class of each image (N,), or of all of them.
    """
    kernel, bias = head
    return ((pooled @ kernel + bias).argmax(axis=1) == labels).astype(float)


def resamples(count: int) -> np.ndarray:
    """Return the weights (1001, count) of each image in a bootstrap, which sum to 1 in each row.

    The first row counts every image once; the others draw as many as chance does, with
    replacement. A mean is the product with these rows, and its interval lies between their
    quantiles. Two products with the same rows are paired.

    Args:
        count: The number of images.
    """
    draws = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), 1000)
    return np.vstack([np.ones(count), draws]) / count


def as_text(values: Interval | np.ndarray, form: str = "{:z.2f} ({:z.2f} to {:z.2f})") -> str:
    """Return a value and its 95 % interval as text, without the zeros before decimal points.

    Args:
        values: What `camkit.interval` returns, or a value and then the values of its bootstrap, as
            products with `resamples` are.
        form: Takes the value and the ends of its interval; with a z it writes 0 for −0.
    """
    if not isinstance(values, Interval):
        values = Interval(values[0], *np.quantile(values[1:], (0.025, 0.975)))
    return form.format(*values).replace("0.", ".").replace("-", "−")


def mean_as_text(values: np.ndarray, form: str = "{:z.2f} ({:z.2f} to {:z.2f})") -> str:
    """Return the mean of values and its 95 % interval as text, as `as_text` writes it.

    Args:
        values: One for each image (N,), which the interval draws anew.
        form: As in `as_text`.
    """
    return as_text(camkit.interval(values), form)


def unlike_rim(image: np.ndarray) -> np.ndarray:
    """Return how far each pixel's colour (H, W) is from the median colour of the image's rim.

    Distances are Euclidean in CIELAB, smoothed by a Gaussian of two pixels. It is a map that knows
    no network: a rival where objects lie on an even background.

    Args:
        image: An image (H, W, 3), uint8.
    """
    lab = color.rgb2lab(image)
    rim = np.concatenate([lab[0], lab[-1], lab[:, 0], lab[:, -1]])
    distance = np.linalg.norm(lab - np.median(rim, axis=0), axis=-1)
    return ndimage.gaussian_filter(distance, 2)


def predict(question: str, options: Sequence[str]) -> Prediction:
    """Ask for a prediction and return what `score` compares it with.

    Args:
        question: The question.
        options: The answers to choose from.
    """
    name = _name("predict", question)
    choices = [
        f'<label><input type="radio" name="{name}" value="{escape(each)}"> {escape(each)}</label>'
        for each in options
    ]
    content = (
        f"<fieldset><legend>{escape(question)}</legend>{''.join(choices)}</fieldset>"
        "<small>Your prediction stays in this browser. The end of the lesson compares it.</small>"
    )
    text = "\n".join([question, *(f"( ) {each}" for each in options)])
    _show(name, content, text, REMEMBER)
    return Prediction(question, tuple(options))


def score(answers: Mapping[Prediction, str]) -> None:
    """Show what came true of each prediction.

    Args:
        answers: {prediction: the option that this page has shown to be right}.

    Raises:
        ValueError: If an answer is not among the options of its prediction.
    """
    rows = []
    for prediction, answer in answers.items():
        if answer not in prediction.options:
            raise ValueError(f"{answer!r} is not among the answers to {prediction.question!r}")
        rows.append(
            f"<tr><td>{escape(prediction.question)}</td><td>{escape(answer)}</td><td>–</td></tr>"
        )
    name = _name("score", *(prediction.question for prediction in answers))
    content = (
        "<p>What did you predict?</p><table><thead><tr><th>question</th><th>this page</th>"
        f"<th>you</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
    )
    lines = [f"{prediction.question} {answer}" for prediction, answer in answers.items()]
    _show(name, content, "\n".join(lines), COMPARE)


def quiz(question: str, replies: Mapping[str, str], *, right: str) -> None:
    """Show a question whose answers open their replies.

    Args:
        question: The question.
        replies: {answer: what to say to a reader who chooses it}.
        right: The right answer.

    Raises:
        ValueError: If `right` is not among the answers.
    """
    if right not in replies:
        raise ValueError(f"{right!r} is not among the answers {list(replies)}")
    name = _name("quiz", question)
    answers = [
        f'<details name="{name}"><summary>{escape(answer)}</summary>'
        f"<div>{'✓' if answer == right else '✗'} {escape(reply)}</div></details>"
        for answer, reply in replies.items()
    ]
    text = "\n".join([question, *(f"- {answer}" for answer in replies)])
    _show(name, f"<p>{escape(question)}</p>{''.join(answers)}", text)


def check(answer: object, right: object, mistakes: Mapping[str, object] | None = None) -> None:
    """Print whether an answer is right and, where it is a known mistake, what went wrong.

    Args:
        answer: The reader's answer: a number, an array or whatever NumPy reads as one. None and
            `...` mean that there is none yet.
        right: The right answer. Numbers agree up to rounding.
        mistakes: {what went wrong: the answer that it gives}.
    """
    if answer is None or answer is ...:
        print(NOT_ANSWERED)
        return
    known = dict(mistakes or {})
    if isinstance(right, float | np.floating):
        known["This is 100 times what is right: give a share, not a percentage."] = 100 * right
        known["This is a hundredth of what is right: give a percentage."] = right / 100
    try:
        agree(answer, right, known)
    except Mistake as mistake:
        print(f"✗ {mistake}")
    else:
        print("✓ Right.")


def recorded(name: str) -> dict[tuple[str, str], Interval]:
    """Display a table that another run has left: on other data, or with another backbone.

    Its caption is what the first lines of the file say: what was measured, on which data, when and
    with which versions. `make check-photographs` repeats the run and compares.

    Args:
        name: The table's file in `notebooks/records`, without ".csv".

    Returns:
        {(row, column): the value and its 95 % interval}.
    """
    # As text, so that the table shows as many digits as were recorded.
    lines = pd.read_csv(RECORDS / f"{name}.csv", comment="#", dtype=str)
    ends = lines.low + " to " + lines.high
    lines["text"] = (lines.value + " (" + ends + ")").str.replace("-", "−")
    table = lines.pivot(index="row", columns="column", values="text")
    table = table.loc[lines.row.unique(), lines.column.unique()]
    table = table.rename_axis(index=None, columns=None)
    caption = " ".join(_first_lines(name))
    html = table.to_html().replace("<thead>", CAPTION.format(escape(caption)) + "<thead>", 1)
    display({"text/html": html, "text/plain": f"{table}\n{caption}"}, raw=True)

    numbers = lines[["value", "low", "high"]].astype(float).to_numpy()
    places = zip(lines.row, lines.column, strict=True)
    return {place: Interval(*each) for place, each in zip(places, numbers, strict=True)}


def record(name: str, table: pd.DataFrame, digits: int = 2) -> None:
    """Write what this run has measured to `build/records`, in the form of a recorded table.

    Args:
        name: The table's file, without ".csv".
        table: Its cells are (value, low, high), such as `camkit.interval` returns.
        digits: Decimal places that are kept.
    """
    lines = [
        # Adding 0 makes 0 of −0.
        (row, column, *(np.round(table.loc[row, column], digits) + 0.0))
        for row in table.index
        for column in table.columns
    ]
    today = pd.Timestamp.now().date()
    backend = keras.backend.backend()
    versions = f"Keras {keras.__version__} on {backend} {metadata.version(backend)}"
    run = f"Recorded on {today} with {versions}."
    # What is said of the data stands in the recorded table, and stays.
    title = [line for line in _first_lines(name) if not line.startswith("Recorded on")]
    NEW_RECORDS.mkdir(parents=True, exist_ok=True)
    values = pd.DataFrame(lines, columns=["row", "column", "value", "low", "high"])
    text = "".join(f"# {line}\n" for line in [*title, run])
    text += values.to_csv(index=False, float_format=f"%.{digits}f")
    (NEW_RECORDS / f"{name}.csv").write_text(text, encoding="utf-8")


def _name(kind: str, *questions: str) -> str:
    """Return an id for a card that no other card of a page has."""
    words = "-".join("".join(c if c.isalnum() else "-" for c in each) for each in questions)
    return f"{kind}-{words.lower()}"


def _show(name: str, content: str, text: str, script: str = "") -> None:
    """Display a card, or the text where no HTML can be shown."""
    html = CARD.format(name=name, content=content) + script.format(name=name)
    display({"text/html": html, "text/plain": text}, raw=True)


def _first_lines(name: str) -> list[str]:
    """Return the first lines of a recorded table, which say what it holds; [] if it is new."""
    file = RECORDS / f"{name}.csv"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return [line.removeprefix("#").strip() for line in lines if line.startswith("#")]
