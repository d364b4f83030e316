"""Which map can be trusted on real networks and photographs: the page that the reference shows.

    make bench PARTS=judge                  judges the networks anew and writes the page

The networks are EfficientNet-Lite0, which `camkit[lessons]` brings, and MobileNetV2, whose weights
are read from ../shared/keras where that is there; without it, the page keeps what it has of it.
"""

import datetime
import platform
import re
import sys
import time
from importlib import metadata
from pathlib import Path

import pandas as pd
from measure import ROOT, SHARED, Line

import camkit

PAGE = ROOT / "notebooks" / "site" / "judged.md"
PHOTOGRAPHS = ROOT / "data" / "photographs"
WEIGHTS = SHARED / "keras" / "mobilenet_v2_imagenet.weights.h5"
PACKAGES = ("camkit", "keras", "tensorflow", "numpy", "scipy")
TITLE = "# Which map can be trusted?"
ABOUT = """
`camkit.judge` on networks that were trained on ImageNet, and on the photographs that come with
camkit and their boxes. `make bench PARTS=judge` writes this page. Each value is a mean over
photographs with its 95 % interval. "centre", "edges" and "random" are maps that know no
network.

- **road**: the probability without the least relevant cells of a map, minus that without the most
  relevant ones; a map of noise gets 0
- **marks**: of what a map shows on two marks that the network tells apart, the share on the one
  that is asked for; 0.5 for a map that is the same for all classes
- **stays**: the absolute rank correlation with the map after all weights have been shuffled,
  anew for each photograph, so that the interval is that of other photographs and other shuffles
- **pointing**: the share of photographs whose highest point lies in a box
- **boxes**: the share of photographs whose map has a box with an IoU of 0.5 or more with a true
  one, at the best threshold

"road", "marks" and "stays" decide; "pointing" and "boxes" are shown beside them. The verdict
"passes" means: better than noise in "road", more than 0.6 in "marks", and not the same without the
weights, each with a certainty that holds for all rows at once. A row that is not surely above 0.6
is told with its share "on the mark" and that share's interval. The bold line names the first row
of those that pass and are not certainly worse than the best in "road", and of these in "marks".
`camkit.judge` in the reference says how.

Each run draws other marks, shuffled weights and noise: its seed is its date. Two runs have the same
ranking within intervals if no two rows whose intervals are apart in one run stand in the opposite
order in the other, in any column.
"""


def efficientnet_lite0():
    return camkit.imagenet_classifier()


def mobilenet_v2():
    """Return MobileNetV2 with preprocessing and head, or None if its weights are missing."""
    import keras

    if not WEIGHTS.is_file():
        return None
    plain = keras.applications.MobileNetV2(weights=None)
    plain.load_weights(WEIGHTS)
    image = keras.Input((224, 224, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(image)
    return keras.Model(image, plain(scaled))


NETWORKS = {"EfficientNet-Lite0": efficientnet_lite0, "MobileNetV2": mobilenet_v2}


def photographs(count):
    """Return the first photographs, without labels, and the boxes of each in pixels of its file."""
    images = camkit.load_images("photographs").select(slice(0, count)).unlabelled()
    rows = pd.read_csv(PHOTOGRAPHS / "boxes.csv")
    corners = ["x0", "y0", "x1", "y1"]
    boxes = {file: of_file[corners].to_numpy() for file, of_file in rows.groupby("file")}
    names = [Path(path).relative_to(images.root).as_posix() for path in images.paths]
    return images, [boxes[name] for name in names]


def judge(scale):
    """The judge on real networks: its time, and whether a new run ranks as the page does."""
    images, boxes = photographs(None if scale["full"] else 8)
    # In small, other rows are judged than those of the page.
    has_page = scale["full"] and PAGE.exists()
    sections = sections_of(PAGE.read_text(encoding="utf-8")) if has_page else {}
    today = datetime.date.today()
    for name, build in NETWORKS.items():
        model = build()
        if model is None:
            print(f"    no {WEIGHTS.name} in ../shared/keras: {name} IS NOT JUDGED")
            continue
        options = {} if scale["full"] else {"methods": ["hires_cam"]}
        seed = int(today.strftime("%Y%m%d"))
        start = time.process_time()
        judged = camkit.judge(model, images, boxes=boxes, seed=seed, **options)
        seconds = time.process_time() - start
        yield Line(f"judge, {name}, the cores' time", seconds, "≤", None, " s", judged.verdict)
        section = section_of(name, judged, len(images), today, seconds)
        if name in sections:
            pairs, answer = compared(sections[name], section)
            yield Line(f"judge, {name}, pairs in the opposite order", pairs, "≤", 0, "", answer)
            section += f"\n\n{answer}"
        sections[name] = section
    if scale["full"]:
        write(sections)


def section_of(name, judged, count, today, seconds):
    """Return the section of the page on a network."""
    versions = [f"Python {platform.python_version()}"]
    versions += [f"{package} {metadata.version(package)}" for package in PACKAGES]
    shown = judged.shown.replace({"layer": {"": "–"}})
    header = f"| {' | '.join(shown)} |"
    rule = "| --- " * shown.shape[1] + "|"
    rows = [f"| {' | '.join(row)} |" for row in shown.astype(str).to_numpy()]
    lines = [
        f"## {name}",
        "",
        f"{count} photographs, {today}, {', '.join(versions)}, {sys.platform} "
        f"{platform.machine()}; {seconds / 60:.0f} minutes of the cores' time.",
        "",
        f"**{judged.verdict}**",
        "",
        *(f"{note}\n" for note in judged.notes),
        header,
        rule,
        *rows,
    ]
    return "\n".join(lines)


def sections_of(text):
    """Return {network: its section} of a page."""
    parts = re.split(r"\n\n(?=## )", text.strip())[1:]
    return {part.splitlines()[0].removeprefix("## "): part for part in parts}


def compared(old, new):
    """Return how many pairs of rows stand in the opposite order, and what to say of two sections.

    Counted are the pairs whose intervals do not overlap in one of the tables, in each measure.
    """
    first = values_of(old)
    second = values_of(new)
    rows = first.index.intersection(second.index)
    first = first.loc[rows]
    second = second.loc[rows]
    measures = first.columns.levels[0].intersection(second.columns.levels[0])
    pairs = {}
    for measure in measures:
        fallen = opposite(first[measure], second[measure])
        risen = opposite(second[measure], first[measure]).T
        pairs[measure] = int((fallen | risen).sum())
    where = ", ".join(f'{count} pairs in "{name}"' for name, count in pairs.items() if count)
    same = f"no, {where}" if where else "yes"
    change = (first["road", "mean"] - second["road", "mean"]).abs().max()
    day = re.search(r"\d{4}-\d\d-\d\d", old)[0]
    return sum(pairs.values()), (
        f"Compared with the run of {day}: same ranking within intervals: {same}; no mean of "
        f'"road" moved by more than {change:.2f}.'
    )


def opposite(surely, by_mean):
    """Return which rows (R, R) are below which in the one table, and above them in the other.

    Both tables have the same R rows, with the columns mean, low and high. A row is below another in
    the first if their intervals do not overlap, and above it in the second by its mean.
    """
    high = surely["high"].to_numpy()
    low = surely["low"].to_numpy()
    means = by_mean["mean"].to_numpy()
    is_below = high[:, None] < low
    is_above = means[:, None] > means
    return is_below & is_above


def values_of(section):
    """Return the numbers of a section's table: a row for each method and layer, with the columns
    (measure, "mean"), (measure, "low") and (measure, "high").
    """
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    header, _, *rows = [line.strip("| ").split(" | ") for line in lines]
    table = pd.DataFrame(rows, columns=header).set_index(["method", "layer"])
    number = r"(?P<{}>-?\d+\.\d+)"
    pattern = rf"{number.format('mean')} \[{number.format('low')}, {number.format('high')}\]"
    measures = table.columns.drop("verdict")
    return pd.concat(
        {name: table[name].str.extract(pattern).astype(float) for name in measures}, axis=1
    )


def write(sections):
    """Write the page."""
    text = "\n\n".join([TITLE, ABOUT.strip(), *sections.values()])
    PAGE.write_text(text + "\n", encoding="utf-8")
