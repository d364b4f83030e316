"""`data_faults`: planted faults and changed labels beside cleanvision and cleanlab, and the search
for neighbours.
"""

import contextlib
import io
import sys
import tempfile
import time

import numpy as np
from measure import ROOT, SHARED, Line, peak_memory

import camkit

sys.path.insert(0, str(ROOT / "tests"))
import planted  # noqa: E402

WEIGHTS = SHARED / "keras" / "mobilenet_v2_imagenet_notop.weights.h5"

# What cleanvision calls the kinds of poor quality.
ISSUES = {
    "dark": "dark",
    "bright": "light",
    "blurry": "blurry",
    "uniform": "low_information",
    "odd size": "odd_size",
    "odd shape": "odd_aspect_ratio",
    "gray": "grayscale",
}

# The classes of the real set: every third variety. Two that were left out hold the same pictures.
STEP = 3
SAME_PICTURES = ("Apple Rotten 1", "Apple 21")


def faults(scale):
    """Recall and precision of planted faults of each kind on two sets, and of labels that were
    changed at random, beside cleanvision and cleanlab.

    The sets are the embedded one and, where ../shared holds them, real varieties, both without the
    images whose label is wrong already. A planted fault is found if a row of its kind names it, and
    a row is wrong if nothing was planted in either of its images. So with eight faults of a kind,
    one clean image on its list is a precision of 0.89.
    """
    sets = {"embedded": ("mini", "mini", "imagenet")}
    if (SHARED / "fruits-360").exists() and scale["full"]:
        sets["real"] = (SHARED / "fruits-360", "MobileNetV2", WEIGHTS)
    for name, (source, network, weights) in sets.items():
        backbone = camkit.backbone(network, weights=weights)
        yield from planted_faults(name, backbone, source, each=8 if scale["full"] else 2)
        yield from flips(name, backbone, source, 3 if scale["full"] else 1)


def neighbours(scale):
    """The exact search for the nearest images among many: 1,280 features in a hundred clusters,
    which are reduced to 128 first, and the 35 frequencies of their pixels.
    """
    from camkit._features import feature_space
    from camkit.faults import _neighbours

    count = scale["many"]
    noise = np.random.default_rng(0)
    labels = noise.integers(0, 100, count)
    centres = noise.normal(size=(100, 1280)).astype("float32")
    gap = noise.standard_normal((count, 1280), dtype="float32")
    gap += centres[labels]
    np.abs(gap, out=gap)
    pixels = noise.standard_normal((count, 35), dtype="float32")
    pixels /= np.linalg.norm(pixels, axis=1, keepdims=True)

    marks = [clocks()]
    [features] = feature_space(gap)
    marks.append(clocks())
    _neighbours.find_neighbours(features, labels)
    marks.append(clocks())
    # Pixels are searched twice: for copies, and for mirrored ones.
    for _ in range(2):
        _neighbours.nearest(pixels, pixels, 8)
    marks.append(clocks())
    wall, cpu = np.diff(marks, axis=0).T
    steps = zip(["features", "their neighbours", "those of pixels"], wall, cpu, strict=True)
    details = [
        f"{step} {seconds:.0f} s ({cores:.0f} of the cores)" for step, seconds, cores in steps
    ]
    name = f"data_faults, the nearest neighbours of {count:,} images"
    yield Line(name, wall.sum(), "≤", 60, " s", ", ".join(details))
    yield Line(f"{name}: peak memory", peak_memory() / 1000, "≤", 4, " GB", "of the whole process")


def clocks():
    """Return the seconds by the clock and of the cores."""
    return time.perf_counter(), time.process_time()


def planted_faults(name, backbone, source, each):
    """Yield recall and precision of each kind of planted faults in a set."""
    with tempfile.TemporaryDirectory() as folder:
        truth = planted.plant(clean_sets(source), folder, each)
        train, test = (camkit.load_images(folder, split) for split in planted.SPLITS)
        model = camkit.gap_classifier(backbone, train.class_names)
        analyses = [camkit.analyze(model, images) for images in (test, train)]
        start = time.process_time()
        table = camkit.data_faults(*analyses)
        cpu = time.process_time() - start
        others = {"cleanvision": cleanvision(folder), "cleanlab": cleanlab(analyses)}
    count = len(train) + len(test)
    yield Line(f"{name}: data_faults of {count} pictures", cpu, "", None, " s", "of the cores")
    for row in planted.results(truth, table).itertuples():
        rivals = [compared(rival, row.kind, truth, found) for rival, found in others.items()]
        missed = f"missed {row.missed}" if row.missed else "none missed"
        said = "; ".join(filter(None, [f"{row.planted} planted, {missed}", *rivals]))
        yield Line(f"{name}, planted {row.kind}: recall", row.recall, "≥", 0.9, "", said)
        yield Line(f"{name}, planted {row.kind}: precision", row.precision, "≥", 0.9, "", "")


def clean_sets(source):
    """Return the training and the test set without what is wrong in them already."""
    classes = None
    if source != "mini":
        names = camkit.load_images(source, "Test").class_names[::STEP]
        classes = [each for each in names if each not in SAME_PICTURES]
    sets = []
    for split in planted.SPLITS:
        images = camkit.load_images(source, split, classes=classes, per_class=60)
        sets.append(planted.clean(images))
    return sets


def compared(rival, kind, truth, found):
    """Return what another package finds of a kind, in words; None if it does not look for it."""
    if kind not in found:
        return None
    of_kind = [fault.path for fault in truth if fault.kind == kind]
    recall = np.isin(of_kind, list(found[kind])).mean()
    false = found[kind] - {fault.path for fault in truth}
    if kind == "copy":
        return f"{rival}: recall {recall:.2f}, without looking at the originals"
    return f"{rival}: recall {recall:.2f}, {len(false)} clean pictures"


def cleanvision(folder):
    """Return the files that cleanvision lists, by kind."""
    from cleanvision import Imagelab

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        lab = Imagelab(data_path=folder)
        lab.find_issues(n_jobs=1, verbose=False)
    issues = lab.issues
    found = {}
    for kind, issue in ISSUES.items():
        found[kind] = set(issues.index[issues[f"is_{issue}_issue"]])
    is_copy = issues["is_exact_duplicates_issue"] | issues["is_near_duplicates_issue"]
    found["copy"] = set(issues.index[is_copy])
    return found


def cleanlab(analyses):
    """Return the files whose labels cleanlab doubts, by probabilities of logistic regression."""
    from cleanlab.filter import find_label_issues
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    from camkit._features import feature_space

    features = np.concatenate(feature_space(*(analysis.gap for analysis in analyses)))
    labels = np.concatenate([analysis.labels for analysis in analyses])
    paths = [path for analysis in analyses for path in analysis.paths]
    model = LogisticRegression(max_iter=1000)
    probabilities = cross_val_predict(model, features, labels, cv=5, method="predict_proba")
    listed = find_label_issues(labels, probabilities, n_jobs=1)
    return {"label": {paths[i] for i in np.flatnonzero(listed)}}


def flips(name, backbone, source, draws):
    """Yield what is found of labels that were changed at random, beside cleanlab on the same
    images.
    """
    from sklearn.metrics import average_precision_score

    from camkit.faults import _labels
    from camkit.faults._images import Images

    sets = clean_sets(source)
    model = camkit.gap_classifier(backbone, sets[0].class_names)
    analyses = [camkit.analyze(model, images) for images in sets]
    for share in (0.0, 0.01, 0.02, 0.05):
        rows = []
        for seed in range(draws if share else 1):
            changed, wrong = with_wrong_labels(analyses, share, np.random.default_rng(seed))
            images = Images(*changed)
            opinions = _labels.find_opinions(images, np.ones(len(images.paths), bool))
            found = [
                images.paths[fault.image] for fault in _labels.find_wrong_labels(images, opinions)
            ]
            theirs = cleanlab(changed)["label"]
            rank = {path: -n for n, path in enumerate(found)}
            ranks = [rank.get(path, -len(images.paths)) for path in images.paths]
            is_wrong = [path in wrong for path in images.paths]
            average = average_precision_score(is_wrong, ranks) if wrong else np.nan
            right = [len(wrong & set(found)), len(wrong & theirs)]
            rows.append([average, len(wrong), len(found), right[0], len(theirs), right[1]])
        average = np.mean(rows, axis=0)[0]
        _, planted_count, listed, right, listed_theirs, right_theirs = np.sum(rows, axis=0)
        details = (
            f"{planted_count:.0f} changed; {right:.0f} of {listed:.0f} listed; "
            f"cleanlab: {right_theirs:.0f} of {listed_theirs:.0f}"
        )
        if not share:
            yield Line(f"{name}, no label changed: listed", listed, "≤", 0, "", details)
            continue
        yield Line(
            f"{name}, {share:.0%} changed: average precision", average, "≥", 0.9, "", details
        )
        precision = right / max(listed, 1)
        yield Line(f"{name}, {share:.0%} changed: precision", precision, "≥", 0.9, "", "")


def with_wrong_labels(analyses, share, random):
    """Return the analyses with a share of their labels changed, and the paths of those images."""
    pairs = [planted.with_wrong_labels(analysis, share, random) for analysis in analyses]
    changed, wrong = zip(*pairs, strict=True)
    return changed, set().union(*wrong)
