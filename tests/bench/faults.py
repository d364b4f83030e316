"""`data_faults`: the search for neighbours, planted faults beside cleanvision and cleanlab, flipped
labels.
"""

import contextlib
import io
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measure import ROOT, Line, peak_memory

import camkit

sys.path.insert(0, str(ROOT / "tests"))
import planted  # noqa: E402

SHARED = ROOT.parent / "shared"
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
    """The search for neighbours among many pictures; recall and precision of planted faults of each
    kind on two sets, beside cleanvision and cleanlab; and label suspects against cleanlab's on the
    same out-of-sample probabilities.

    Labels are flipped at random in 1, 2 and 5 % of the embedded set and, where ../shared holds
    them, of the real varieties, once the pictures that bear a wrong label or two already are left
    out. Average precision, mean of 5 draws.
    """
    yield from search(scale["many"])
    sets = {"embedded": ("mini", "mini", "imagenet")}
    if (SHARED / "fruits-360").exists() and scale["full"]:
        sets["real"] = (SHARED / "fruits-360", "MobileNetV2", WEIGHTS)
    for name, (source, network, weights) in sets.items():
        backbone = camkit.backbone(network, weights=weights)
        yield from planted_faults(name, backbone, source, each=8 if scale["full"] else 2)
        yield from flips(name, backbone, source, 5 if scale["full"] else 1)


def search(count):
    """Yield what the exact search among random unit vectors costs, of features and of pixels."""
    from camkit.faults import _neighbours

    noise = np.random.default_rng(0)
    labels = noise.integers(0, 100, count)
    seconds = []
    for width in (128, 35):
        vectors = noise.normal(size=(count, width)).astype("float32")
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        start = np.array([time.perf_counter(), time.process_time()])
        if width == 128:
            _neighbours.find_neighbours(vectors, labels)
        else:
            _neighbours.nearest(vectors, vectors, 8)
        seconds.append(np.array([time.perf_counter(), time.process_time()]) - start)
    # Pixels are searched twice: for copies, and for mirrored ones.
    (wall, cpu), (pixel_wall, pixel_cpu) = seconds
    yield Line(
        f"data_faults, the nearest neighbours of {count:,} pictures",
        wall + 2 * pixel_wall,
        "≤",
        60,
        " s",
        f"features {wall:.0f} s ({cpu:.0f} s of the cores), pixels twice {pixel_wall:.0f} s "
        f"({pixel_cpu:.0f} s), peak memory {peak_memory():.0f} MB",
    )


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
        goal = None if row.kind == "twin" else 0.9
        sign = "≥" if goal else ""
        yield Line(f"{name}, planted {row.kind}: recall", row.recall, sign, goal, "", said)
        yield Line(f"{name}, planted {row.kind}: precision", row.precision, sign, goal, "", "")


def clean_sets(source):
    """Return the training and the test set without what is wrong in them already."""
    given = json.loads((ROOT / "data" / "planted.json").read_text())
    wrong = {fault[key] for fault in given for key in ("path", "other_path") if key in fault}
    classes = None
    if source != "mini":
        names = camkit.load_images(source, "Test").class_names[::STEP]
        classes = [each for each in names if each not in SAME_PICTURES]
    sets = []
    for split in planted.SPLITS:
        images = camkit.load_images(source, split, classes=classes, per_class=60)
        names = ["/".join(Path(path).parts[-3:]) for path in images.paths]
        sets.append(images.select(~np.isin(names, list(wrong))))
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
    """Yield the average precision at each share of flipped labels, and what of it cleanlab would
    add.
    """
    from sklearn.metrics import average_precision_score

    from camkit.faults import _labels

    try:
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores
    except ImportError:
        find_label_issues = None
    planted = json.loads((ROOT / "data" / "planted.json").read_text())
    known = [fault[key] for fault in planted for key in ("path", "other_path") if key in fault]
    known += ["/Apple Rotten 1/", "/Apple 21/"]  # the same pictures, in the real set
    images = camkit.load_images(source, None)
    images = images.select(
        [not any(one in Path(path).as_posix() for one in known) for path in images.paths]
    )
    names, labels = np.unique(np.array(images.class_names)[images.labels], return_inverse=True)
    gap = np.concatenate(
        [
            backbone.predict_on_batch(batch.astype("float32")).mean(axis=(1, 2))
            for batch in images.batches(32, backbone.input_shape[1:3])
        ]
    )
    paths = [str(path) for path in images.paths]
    held_out = _labels._held_out_log_probabilities
    for share in (0.01, 0.02, 0.05):
        values = {}
        for seed in range(draws):
            random, given, kept = np.random.default_rng(seed), labels.copy(), []
            wrong = random.permutation(len(labels))[: round(share * len(labels))]
            given[wrong] = (given[wrong] + random.integers(1, len(names), len(wrong))) % len(names)
            _labels._held_out_log_probabilities = lambda *args, kept=kept: (
                kept.append(held_out(*args)) or kept[0]
            )
            table = camkit.data_faults(
                camkit.Analysis(
                    folder=None,
                    gap=gap,
                    maps=None,
                    logits=None,
                    probs=None,
                    labels=given,
                    bias=None,
                    paths=paths,
                    class_names=list(names),
                    map_classes=None,
                )
            )
            _labels._held_out_log_probabilities = held_out
            place = {path: n for n, path in enumerate(table.loc[table["kind"] == "label", "path"])}
            scores = {"camkit": [-place.get(path, len(paths)) for path in paths]}
            if find_label_issues:
                probabilities = np.exp(kept[0])
                probabilities /= probabilities.sum(axis=1, keepdims=True)
                for method in (
                    "self_confidence",
                    "normalized_margin",
                    "confidence_weighted_entropy",
                ):
                    scores[method] = -get_label_quality_scores(given, probabilities, method=method)
                for rule in (
                    "prune_by_noise_rate",
                    "prune_by_class",
                    "both",
                    "confident_learning",
                    "predicted_neq_given",
                ):
                    listed = find_label_issues(
                        given,
                        probabilities,
                        filter_by=rule,
                        n_jobs=1,
                        return_indices_ranked_by="self_confidence",
                    )
                    scores[rule] = np.full(len(paths), -len(paths))
                    scores[rule][listed] = -np.arange(len(listed))
            for way, score in scores.items():
                values.setdefault(way, []).append(
                    average_precision_score(np.isin(np.arange(len(paths)), wrong), score)
                )
        ours, *theirs = ((np.mean(each), way) for way, each in values.items())
        said = (
            ", ".join(f"{way} {value:.3f}" for value, way in theirs)
            or "is not installed, NOT COMPARED"
        )
        yield Line(
            f"flipped labels, {share:.0%}, {name}: average precision",
            ours[0],
            "≥",
            0.9,
            "",
            f"cleanlab: {said}",
        )
