"""The judge: which method and layer shows what a model uses, and what does none of them show?"""

import functools
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import pandas as pd
from scipy import stats

from camkit import localize
from camkit._progress import progress
from camkit.analysis._classes import match
from camkit.analysis._range import hint_of_range
from camkit.analysis.intervals import interval
from camkit.models import _probe as probe
from camkit.models._batches import array_of, batches_of, fixed_size
from camkit.models._graph import one_way
from camkit.models._part import part
from camkit.models.classifier import class_names_of
from camkit.trust._intervals import lower_bounds, weights_of_draws
from camkit.trust._measures import (
    BASELINES,
    BLIND_SHARE,
    NOISE,
    Case,
    Method,
    called,
    maps_and_what_stays,
    marks_of,
    objects_of,
    on_objects,
    probabilities_of,
    road_of,
    rows_of,
)

if TYPE_CHECKING:
    from camkit.images.image_set import ImageSet

METHODS = ("hires_cam", "grad_cam", "grad_cam_plus_plus", "layer_cam", "eigen_cam")

# Less than a tenth of the probability, or than 0.02, is of no use, however certain it is: what a
# network of random weights says hardly depends on the picture.
_LEAST_SHARE_OF_P = 0.1
_LEAST_ROAD = 0.02

# A little more than a half of what lies on the marks is of no use either.
_LEAST_SHARE_ON_MARK = 0.6

# A map that stays more alike than this without what was learnt does not show what was learnt. Less
# convicts nobody: shuffled convolutions still show outlines, so that even a class map keeps 0.6.
_MOST_THAT_STAYS = 0.9

# With fewer images or groups a bootstrap says little.
_FEWEST_GROUPS = 8

# The chance of a model without knowledge to be taken for one that has some.
_CHANCE = 0.05

# From so many on, the table comes without a caution.
_ENOUGH_GROUPS = 24

_MOST_NAMES = 3

_DECIDING = ("road", "marks", "stays")

PASSES = "passes"
_BASELINE = "baseline"


@dataclass(frozen=True, repr=False)
class Judgement:
    """What `judge` has found.

    Attributes:
        table: A row for each method and layer, and one for each map that knows no model. For each
            measure there is its mean, and the ends of its 95 % interval in MEASURE_low and
            MEASURE_high. "verdict" begins with "passes", or says what was measured that does not
            suffice, such as "52% (43 to 61) on the mark, not surely above 60%".
        verdict: One sentence: which method and layer to use, or that nothing beats the baselines.
        method: The name of the method to use, or None.
        layer: The name of its layer, or None; also for a method that reads no layer.
        notes: What was left out, and why, and what else to know, a sentence each.

    Example:
        >>> import camkit
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), ["apple", "lime"])
        >>> images = camkit.load_images("mini", "Test", per_class=1)
        >>> judged = camkit.judge(model, images.unlabelled(), ["grad_cam"])
        >>> judged.method is None, judged.verdict.split(":")[0]
        (True, 'Nothing here beats the baselines')
    """

    table: pd.DataFrame
    verdict: str
    method: str | None
    layer: str | None
    notes: list[str]

    @property
    def shown(self) -> pd.DataFrame:
        """Return the table as texts to read: "mean [low, high]" for each measure."""
        texts = {}
        for name in self.table:
            if f"{name}_low" in self.table:
                ends = self.table[[name, f"{name}_low", f"{name}_high"]].to_numpy()
                texts[name] = ["{:.2f} [{:.2f}, {:.2f}]".format(*row) for row in ends]
            elif not name.endswith(("_low", "_high")):
                texts[name] = self.table[name].tolist()
        return pd.DataFrame(texts)

    @property
    def text(self) -> str:
        """Return the table as a text of at most 80 columns, with a block for each layer.

        Below the numbers of a row stand its verdict and the measures that do not decide.
        """
        shown = self.shown
        measures = [name for name in shown if f"{name}_low" in self.table]
        columns = ["method", *(name for name in measures if name in _DECIDING)]
        widths = [shown[name].str.len().max() for name in columns]
        lines = [_aligned(["", *columns[1:]], widths)]
        for layer, rows in shown.groupby("layer", sort=False):
            lines.append(f"at {layer!r}" if layer else "without a layer")
            for row in rows.to_dict("records"):
                lines.append(_aligned([row[name] for name in columns], widths))
                others = [f"{name} {row[name]}" for name in measures if name not in _DECIDING]
                below = "; ".join([row["verdict"], *others])
                lines += textwrap.wrap(below, 80, initial_indent="  ", subsequent_indent="  ")
        return "\n".join(lines)

    def __repr__(self) -> str:
        """Return the table, the notes and the verdict as a text."""
        return "\n".join([self.text, *self.notes, self.verdict])


def _aligned(texts: list[str], widths: list[int]) -> str:
    """Return texts beside each other as one line, each in a column of its width."""
    cells = [f"{text:{width}}" for text, width in zip(texts, widths, strict=True)]
    return "  ".join(cells).rstrip()


def judge(
    model: keras.Model,
    images: "ImageSet | np.ndarray",
    methods: Sequence[str | Method] | Mapping[str, Method] = METHODS,
    *,
    layers: Sequence[str] | None = None,
    targets: int | Sequence[int] | None = None,
    masks: Sequence[np.ndarray] | np.ndarray | None = None,
    boxes: Sequence[np.ndarray] | None = None,
    groups: Sequence | np.ndarray | None = None,
    inputs: Mapping[str, np.ndarray] | None = None,
    output: str | None = None,
    seed: int = 0,
) -> Judgement:
    """Return which method and layer to trust for a model and images, or that none is.

    Every method at every layer has to pass three checks. Three maps that know no model are the
    baselines: a Gaussian in the centre, the edges, and noise (`camkit.localize.baselines`).

    "road": does the score fall when the map's highest cells go, and stay when its lowest go? It is
    the mean over shares of P_c without the least relevant cells minus P_c without the most relevant
    (ROAD; Rong et al., ICML 2022; `camkit.localize.road` with `cells=7` and shares .1, .3 and .5).
    It is ROAD rather than deletion, because deletion paints cells grey, which is an object of its
    own to a network. Whole cells go, because pixel by pixel the resolution of a map decides. To
    pass, a map has to beat noise, by no less than a tenth of P_c and 0.02. That it is worse than
    the centre or the edges is told, and does not convict: where objects lie in the centre, or have
    the strongest outlines, these maps remove what the model uses without knowing of it.

    "marks": does it find what is known to be used? Each picture gets two patches of stripes, and
    the last layer of the network gets weights that tell them apart, learnt from the vectors that it
    reads. That the answer depends on the marks is measured: exchanged, they change it. Both are
    asked for in turn; the measure is the share of a map's positive part on the marks that lies on
    the right one. It is exactly 0.5 for every map that is the same for all classes, so for all
    baselines; to pass, a map surely has to have more than 0.6. One that fails need not miss the
    mark, so its verdict gives the share and the interval. (This is a grid pointing game, Rao et
    al., Towards Better Understanding Attribution Methods, CVPR 2022, for one's own network.) Where
    a network cannot tell the marks apart, a map has to beat every baseline in "road" instead.

    "stays": how much of the map is left when the network has lost all that it has learnt? It is the
    absolute rank correlation with the map after the weights of every layer have been shuffled
    (Adebayo et al., NeurIPS 2018; `camkit.localize.randomization`). They are shuffled anew for each
    image, so the interval is that of other images and other shuffles. What is surely more than 0.9
    does not pass.
    To pass says little, since noise passes, too, and the numbers cannot rank methods (Binder et
    al., Shortcomings of Top-Down Randomization-Based Sanity Checks, CVPR 2023).

    Where masks or boxes are given, "pointing" and "boxes" tell whether the map finds the object.
    They have no part in the verdict, since a model may use something else.

    Many rows are compared, and the best of many looks good by chance. So for each check the bounds
    of all rows hold at once with 95 % (max-t bootstrap over images or groups); the intervals in the
    table are those of one row by itself. The row to use is the first, in the order of the layers
    and methods, of those that are not certainly worse than the best in "road", and of these in
    "marks".

    Args:
        model: A Keras model with any head that `camkit.grad_cam` reads. The weights are changed
            while it is judged, and restored at the end, also after an error.
        images: An ImageSet, or images (N, H, W, channels) in the value range that the model
            expects. 24 to 100 are enough; of fewer, a note says what that means. If an ImageSet has
            labels, the model has to be better than chance.
        methods: Names of methods of camkit, or functions with their signature
            `(model, batch, targets, *, layer)`, or {name: function}; "score_cam", "ablation_cam",
            "occlusion" and "integrated_gradients" take long.
        layers: Names of layers (default: the last layers of the last three sizes of map).
        targets: The class that is explained, one or one for each image (default: the predicted
            class).
        masks: N masks (H, W), true where the object of an image is, each as large as its image or
            as what the model sees.
        boxes: N arrays (n, 4) of boxes x0, y0, x1, y1 in pixels of its image. Of masks and boxes
            one is enough: the other is made of it.
        groups: What images belong together, N names or numbers, such as the fruit that frames show.
            The intervals are then those of new groups (default: each image is its own).
        inputs: {name: one row} of the inputs beside the image.
        output: The name of the output to explain, if the model has several.
        seed: Draws the marks, the order of the shuffled weights and the noise.

    Returns:
        A Judgement. `print(judged)` shows the table and the verdict.

    Raises:
        ValueError: There are fewer than eight images or groups, the images, masks or boxes do not
            fit, or no method can be computed at any layer.
        HeadError: The model has no graph of layers.

    Example:
        >>> import camkit
        >>> images = camkit.load_images("mini", "Test", per_class=1)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> judged = camkit.judge(model, images, ["hires_cam", "eigen_cam"])
        >>> judged.table["method"].tolist()[-3:]
        ['centre', 'edges', 'random']
        >>> judged.verdict.split(":")[0]
        'Nothing here beats the baselines'
    """
    model = part(model, inputs, output)
    pixels = _read(model, images)
    groups = np.arange(len(pixels)) if groups is None else np.asarray(groups)
    _check_groups(groups, len(pixels))
    objects = objects_of(images, pixels, masks, boxes)
    P = np.concatenate([probabilities_of(model, batch) for batch in probe.batches(pixels)])
    case = Case(model, pixels, probe.choose(P, targets))
    methods = [methods] if isinstance(methods, str) else methods
    layers = [layers] if isinstance(layers, str) else layers
    rows, notes = rows_of(case, methods, layers)
    notes += _few(len(np.unique(groups)))

    with progress(len(pixels), "Shuffling weights", "image") as bar:
        maps, stays = maps_and_what_stays(case, rows, seed, bar.update)
    with progress(len(maps), "Removing cells", "map") as bar:
        measures = {"road": road_of(case, maps, bar.update)}
    try:
        measures["marks"] = marks_of(case, rows, seed)
    except ValueError as error:
        notes.append(f"there are no marks: {error}")
    measures["stays"] = stays
    if objects is not None:
        measures |= on_objects(maps, *objects)

    weights = weights_of_draws(groups)
    P_of_targets = P[np.arange(len(P)), case.targets]
    names = [(row.name, row.layer) for row in rows]
    verdicts = _verdicts(measures, P_of_targets, weights, len(rows))
    table = _table([*names, *((name, None) for name in BASELINES)], measures, groups, verdicts)
    labels = _labels_of(model, images, P.shape[1])
    notes += _hints(case, images, labels, P)
    at_chance = _at_chance(labels, P)
    best = None if at_chance else _best(measures, verdicts, weights)
    if best is None:
        return Judgement(table, _nothing(table, at_chance), None, None, notes)
    method, layer = names[best]
    return Judgement(table, _use(table, best), method, layer, notes)


# What is judged -----------------------------------------------------------------------------------


def _read(model: keras.Model, images: Any) -> np.ndarray:
    """Return the images as a float32 array (N, H, W, channels) of the size that the model takes."""
    if hasattr(images, "batches"):
        shape = one_way(model).input.shape[1:]
        size = fixed_size(shape, "pass images as one array, (N, height, width, channels)")
        batches = list(batches_of(images, localize.BATCH, (*size, shape[-1])))
        pixels = np.concatenate(batches) if batches else np.zeros((0, *size, 3))
    else:
        pixels = array_of(images)
    pixels = pixels.astype("float32")
    if pixels.ndim != 4:
        raise ValueError(
            f"the images have shape {pixels.shape}: (N, height, width, channels) is needed"
        )
    if pixels.size and pixels.min() == pixels.max():
        raise ValueError(f"all pixels of the images are {pixels.min()}: nothing can be removed")
    return pixels


def _check_groups(groups: np.ndarray, count: int) -> None:
    """Raise ValueError unless each image has a group, and there are enough of them."""
    if groups.shape != (count,):
        raise ValueError(f"groups has shape {groups.shape}: one for each of {count} images")
    different = len(np.unique(groups))
    if different < _FEWEST_GROUPS:
        raise ValueError(
            f"{different} images or groups are too few to judge by: at least {_FEWEST_GROUPS} are "
            f"needed, and {_ENOUGH_GROUPS} or more tell methods apart"
        )


def _few(count: int) -> list[str]:
    """Return what fewer than 24 images or groups mean for the intervals."""
    if count >= _ENOUGH_GROUPS:
        return []
    # The length of a percentile interval of normal values beside that of Student's.
    length = stats.norm.ppf(0.975) / stats.t.ppf(0.975, count - 1) * np.sqrt(1 - 1 / count)
    return [
        f"{count} images or groups are few: the intervals are wide, and yet about {1 - length:.0%} "
        f"too short; {_ENOUGH_GROUPS} or more tell methods apart"
    ]


def _labels_of(model: keras.Model, images: Any, classes: int) -> np.ndarray | None:
    """Return the class (N,) of each image, -1 for none; None for arrays, and for several labels."""
    if not hasattr(images, "batches") or np.ndim(images.labels) != 1:
        return None
    return match(images, classes, class_names_of(model)).labels


def _hints(case: Case, images: Any, labels: np.ndarray | None, P: np.ndarray) -> list[str]:
    """Return a hint if the model seems to be trained on another range of values."""
    if labels is None:
        return []
    score = functools.partial(probe.scores, case.model)
    height, width, channels = case.images.shape[1:]
    shape = (height, width, channels)
    hint = hint_of_range(labels, P.argmax(axis=1), images, score, shape, localize.BATCH)
    return [hint] if hint else []


def _at_chance(labels: np.ndarray | None, P: np.ndarray) -> str:
    """Return how many labels a model names that is no better than chance, "" for any other one."""
    if labels is None or (labels < 0).all():
        return ""
    classes = P.shape[1]
    is_labelled = labels >= 0
    count = int(is_labelled.sum())
    labels = labels[is_labelled]
    predicted = P.argmax(axis=1)[is_labelled]
    correct = int((predicted == labels).sum())
    # What is expected if answers and labels have nothing to do with each other.
    shares = np.bincount(predicted, minlength=classes) * np.bincount(labels, minlength=classes)
    has_one_class = (labels == labels[0]).all()
    chance = 1 / classes if has_one_class else shares.sum() / count**2
    if stats.binomtest(correct, count, chance, "greater").pvalue <= _CHANCE:
        return ""
    return f"the model classifies {correct} of {count} images correctly, which chance does as well"


# The verdict --------------------------------------------------------------------------------------


def _verdicts(
    measures: Mapping[str, np.ndarray], P: np.ndarray, weights: np.ndarray, count: int
) -> list[str]:
    """Return PASSES or the reasons against it for each row, and what a baseline is for these.

    Args:
        measures: The values (N, R) of rows and baselines.
        P: The probabilities (N,) of the classes that are explained.
        weights: How much each image counts in each bootstrap.
        count: The number of rows.
    """
    road = measures["road"]
    gains = road[:, :count, None] - road[:, None, count:]
    gains = gains.reshape(len(road), -1)
    surely_better = (lower_bounds(gains, weights) > 0).reshape(count, -1)
    surely_worse = (lower_bounds(-gains, weights) > 0).reshape(count, -1)
    least = max(_LEAST_ROAD, _LEAST_SHARE_OF_P * P.mean())
    finds_mark = np.full(count, True)
    if "marks" in measures:
        finds_mark = lower_bounds(measures["marks"][:, :count] - _LEAST_SHARE_ON_MARK, weights) > 0
    stays = lower_bounds(measures["stays"][:, :count] - _MOST_THAT_STAYS, weights) > 0
    # What the marks cannot show has to be shown by the pixels alone.
    to_beat = [NOISE] if "marks" in measures else BASELINES
    verdicts = []
    for row in range(count):
        unbeaten = [name for name in to_beat if not surely_better[row, BASELINES.index(name)]]
        reasons = [f"not surely better than {name}" for name in unbeaten]
        if road[:, row].mean() < least:
            reasons.append("the score hardly falls")
        if not finds_mark[row]:
            reasons.append(_on_mark(measures["marks"][:, row], weights, count))
        if stays[row]:
            reasons.append("stays without what was learnt")
        better = [
            name for name, is_worse in zip(BASELINES, surely_worse[row], strict=True) if is_worse
        ]
        remark = f", though worse than {' and '.join(better)} in road" if better else ""
        verdicts.append("; ".join(reasons) or PASSES + remark)
    return [*verdicts, *[_BASELINE] * len(BASELINES)]


def _on_mark(shares: np.ndarray, weights: np.ndarray, count: int) -> str:
    """Return the words for a row of `count` that has not surely enough on the mark."""
    low, high = np.quantile(weights @ shares, (0.025, 0.975))
    # By itself the row would pass, but the luckiest of many has an interval like that by chance.
    among = f" among {count} rows" if low > _LEAST_SHARE_ON_MARK else ""
    return (
        f"{shares.mean():.0%} ({100 * low:.0f} to {100 * high:.0f}) on the mark, "
        f"not surely above {_LEAST_SHARE_ON_MARK:.0%}{among}"
    )


def _best(
    measures: Mapping[str, np.ndarray], verdicts: list[str], weights: np.ndarray
) -> int | None:
    """Return the row to use, None if none passes.

    Of those that are not certainly worse than the best in "road", and among these in "marks", it is
    the first.
    """
    passing = np.array([row for row, verdict in enumerate(verdicts) if verdict.startswith(PASSES)])
    for name in ("road", "marks"):
        if len(passing) and name in measures:
            values = measures[name][:, passing]
            best = values.mean(axis=0).argmax()
            differences = values[:, [best]] - values
            passing = passing[lower_bounds(differences, weights) <= 0]
    return int(passing[0]) if len(passing) else None


def _table(
    names: list[tuple[str, str | None]],
    measures: Mapping[str, np.ndarray],
    groups: np.ndarray,
    verdicts: list[str],
) -> pd.DataFrame:
    """Return the table: names, the mean and interval of each measure, and the verdict of a row."""
    columns: dict[str, list] = {
        "method": [name for name, _ in names],
        "layer": [layer or "" for _, layer in names],
    }
    for name, values in measures.items():
        intervals = [interval(column, groups) for column in values.T]
        columns[name] = [each.mean for each in intervals]
        columns[f"{name}_low"] = [each.low for each in intervals]
        columns[f"{name}_high"] = [each.high for each in intervals]
    return pd.DataFrame({**columns, "verdict": verdicts})


def _nothing(table: pd.DataFrame, at_chance: str) -> str:
    """Return the sentence for a model of which no row is to be used."""
    begin = "Nothing here beats the baselines"
    if at_chance:
        return f"{begin}: {at_chance}."
    rows = table[table["verdict"] != _BASELINE]
    nearest = rows.loc[rows["road"].idxmax()]
    return (
        f"{begin}: {called(nearest['method'], nearest['layer'])} has the highest road, "
        f"{nearest['road']:.2f} ({_strongest_baseline(table)}), but: {nearest['verdict']}."
    )


def _use(table: pd.DataFrame, best: int) -> str:
    """Return the sentence for the row to use."""
    row = table.loc[best]
    marks = f", marks {row['marks']:.2f} (blind: {BLIND_SHARE})" if "marks" in table else ""
    others = [
        called(other["method"], other["layer"])
        for number, other in table.iterrows()
        if other["verdict"].startswith(PASSES) and number != best
    ]
    more = f" and {len(others) - _MOST_NAMES} more" if len(others) > _MOST_NAMES else ""
    also = f"; also passed: {', '.join(others[:_MOST_NAMES])}{more}" if others else ""
    return (
        f"Use {called(row['method'], row['layer'])}: road {row['road']:.2f} "
        f"({_strongest_baseline(table)}){marks}{also}."
    )


def _strongest_baseline(table: pd.DataFrame) -> str:
    """Return the words for the baseline with the highest "road"."""
    baselines = table[table["verdict"] == _BASELINE]
    strongest = baselines.loc[baselines["road"].idxmax()]
    return f"best blind map, {strongest['method']}: {strongest['road']:.2f}"
