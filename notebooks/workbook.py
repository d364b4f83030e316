"""What the lessons share: the model, and cards for predictions, quizzes and exercises.

Lessons import it from their own folder. What a reader chooses stays in the reader's browser.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import keras
from assignments.checks import Mistake, agree
from IPython.display import display

import camkit
from camkit.images import ImageSet

# All lessons keep the model of a set of images and a backbone here, with its analyses.
ANALYSES = Path(__file__).resolve().parents[1] / "build/analysis"

CARD = """<style>
.camkit-card {{ border: 1px solid #8886; border-left: 4px solid #4a7fb5; border-radius: 4px;
  margin: 0.5em 0; padding: 0.5em 1em; max-width: 46em;
  font-family: var(--jp-ui-font-family, inherit); }}
.camkit-card fieldset {{ border: 0; margin: 0; padding: 0; }}
.camkit-card legend, .camkit-card p {{ margin: 0 0 0.3em; padding: 0; font-weight: 600; }}
.camkit-card label {{ display: block; padding: 0.15em 0; }}
.camkit-card details {{ border: 0; margin: 0.2em 0; padding: 0; }}
.camkit-card summary {{ cursor: pointer; }}
.camkit-card details > div {{ padding: 0.1em 0 0.3em 1.2em; }}
.camkit-card small {{ opacity: 0.75; }}
.camkit-card table {{ border-collapse: collapse; margin: 0; }}
.camkit-card td, .camkit-card th {{ padding: 0.15em 1em 0.15em 0; text-align: left; }}
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
        print("○ Not answered yet: put your code in place of the dots, and run the cell again.")
        return
    try:
        agree(answer, right, mistakes or {})
    except Mistake as mistake:
        print(f"✗ {mistake}")
    else:
        print("✓ Right.")


def _name(kind: str, *questions: str) -> str:
    """Return an id for a card that no other card of a page has."""
    words = "-".join("".join(c if c.isalnum() else "-" for c in each) for each in questions)
    return f"{kind}-{words.lower()}"


def _show(name: str, content: str, text: str, script: str = "") -> None:
    """Display a card, or the text where no HTML can be shown."""
    html = CARD.format(name=name, content=content) + script.format(name=name)
    display({"text/html": html, "text/plain": text}, raw=True)
