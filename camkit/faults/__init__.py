"""What is wrong with the data, as an analysis shows it: copies, labels that nobody would guess, grounds that give a
class away, twins, strangers.

Pictures are compared by the directions of their standardised GAP features; the network is not run again.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy import ndimage
from skimage import morphology, segmentation
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from camkit._features import feature_space
from camkit._files import any_bytes
from camkit.images.image_set import THREADS, read_image
from camkit.scenes import foreground

KINDS = ["copy", "label", "background", "twin", "stranger"]
BLOCK = 1024  # pictures that are compared with all others at a time
SAME = 1 - 1e-4  # from this cosine on the files are read
SAMPLE, SIDE = (
    1000,
    64,
)  # pictures whose grounds are looked at, and the pixels that they are reduced to
PLAIN, UNLIKE = (
    20,
    0.02,
)  # grey levels within a plain ground; between two grounds, of black to white


@any_bytes()
def data_faults(analysis, reference=None):
    """Return a DataFrame of suspected faults, worst first: path, kind, reason, score (0..1), other.

    reference: the analysis of another split, such as the training set, by the same model; its pictures are listed, too.

    - "copy": the same bytes or pixels under two labels, or else in both splits; `other` is the copy. Score 1.
    - "label": another class is as probable as it is, on average, for pictures of that label (the confident joint;
      Northcutt, Jiang and Chuang, "Confident Learning", JAIR 2021), asked of linear discriminant analysis that has not
      seen the picture; `other` is the most similar picture of that class. Score: 1 - probability of the label as given.
    - "background": the ground of a class is unlike that of others, by 2 % from black to white at least and beyond
      Tukey's fence (of the lower half, mirrored); `path` and `other` are the two pictures in which it speaks most for
      the class. Score: the share of the evidence that lies there; for others this is what cells beside an object see
      of it. Asked where grounds are plain, classes three or more, and the maps those of all classes. Finds a sticker,
      a stamp, a tint on most pictures of a class; misses what is on few of them or small, and grounds all different.
    - "twin": no copy, but more like a picture of another label than nine of ten are like their nearest own, or more
      like one in the other split than 99 of 100 are. Score: the cosine.
    - "stranger": like none; `other` is the nearest. Score: 1 - cosine, beyond Tukey's fence (on logarithms).

    Unlabelled pictures (label -1) can be copies or twins in the other split, and strangers.
    Memory grows with the number of pictures times that of classes. Raises ValueError where the two analyses differ in
    classes or features, or hold fewer than three pictures.
    """
    pictures, z = _gather(analysis, reference)
    label, names = pictures["label"].to_numpy(), np.array(analysis.class_names, dtype=object)
    nearest = _neighbours(z, label, pictures["split"].to_numpy())
    rows = [*_copies_and_twins(pictures["path"], names[label], nearest), *_strangers(nearest)]
    explained = {
        i for i, kind, *_, other in rows if kind == "copy" and -1 < label[i] != label[other] > -1
    }
    rows += [row for row in _labels(z, label, names) if row[0] not in explained]
    rows += _backgrounds(
        pictures, names, [analysis] if reference is None else [analysis, reference]
    )

    table = pd.DataFrame(rows, columns=["path", "kind", "reason", "score", "other"])
    for column in ("path", "other"):
        table[column] = pictures["path"].to_numpy()[table[column].to_numpy(dtype=int)]
    table["kind"] = pd.Categorical(table["kind"], KINDS)
    return table.sort_values(
        ["kind", "score"], ascending=[True, False], kind="stable", ignore_index=True
    )


def _gather(analysis, reference):
    """Return the pictures of both, each path once (path, label, split, row), and the directions (N, COMPONENTS) of
    their standardised features."""
    parts = [analysis] if reference is None else [analysis, reference]
    shapes = {(tuple(part.class_names), part.gap.shape[1]) for part in parts}
    if len(shapes) > 1:
        raise ValueError(
            f"the analysis has {len(analysis.class_names)} classes and {analysis.gap.shape[1]} features, "
            f"the reference {len(reference.class_names)} and {reference.gap.shape[1]}, or other names: "
            "analyse both with one model"
        )
    pictures = pd.DataFrame(
        {
            "path": np.concatenate([part.paths for part in parts]),
            "label": np.concatenate([part.labels for part in parts]),
            "split": np.repeat(range(len(parts)), [len(part.labels) for part in parts]),
            "row": np.concatenate([np.arange(len(part.labels)) for part in parts]),
        }
    )
    once = ~pictures["path"].duplicated().to_numpy()
    if once.sum() < 3:
        raise ValueError(f"{once.sum()} pictures cannot be compared: give three or more")
    gap = np.concatenate([part.gap for part in parts])[once]
    (z,) = feature_space(gap)
    return pictures[once].reset_index(drop=True), z


def _neighbours(z, label, split):
    """Return {relation: (cosine (N,), find)}: the highest cosine with a picture of the same label, of another one, of
    the same label or none in the other split, of any; -1 where there is none; find(i) is the index of that picture."""
    _, first, group = np.unique(
        np.stack([label, split]), axis=1, return_index=True, return_inverse=True
    )
    members = [np.flatnonzero(group == g) for g in range(len(first))]
    order = np.concatenate(members)
    starts = np.cumsum([0, *map(len, members[:-1])])
    together = z[order]  # those of a group side by side
    peaks = np.empty((len(z), len(members)), "float32")  # the highest cosine with each group
    for begin in range(0, len(z), BLOCK):
        rows = order[begin : begin + BLOCK]
        cosines = together[begin : begin + BLOCK] @ together.T
        cosines[np.arange(len(rows)), begin + np.arange(len(rows))] = -1  # itself
        peaks[rows] = np.maximum.reduceat(cosines, starts, axis=1)

    def within(allowed):
        inside = np.where(allowed, peaks, -1)
        best = inside.argmax(axis=1)

        def find(i):
            others = members[best[i]][members[best[i]] != i]
            return others[(z[others] @ z[i]).argmax()]

        return inside.max(axis=1), find

    known = (label[:, None] > -1) & (label[first] > -1)
    same, away = label[:, None] == label[first], split[:, None] != split[first]
    return {
        "own": within(same),
        "foreign": within(known & ~same),
        "away": within(away & (same | ~known)),
        "any": within(True),
    }


def _copies_and_twins(paths, labels, nearest):
    """Yield what is closer to a picture of another label, or in the other split, than pictures are to their own."""
    own = nearest["own"][0]
    own = np.append(own[own > -1], SAME) if (own > -1).sum() < 2 else own[own > -1]
    for relation, share in (("foreign", 0.9), ("away", 0.99)):
        cosine, find = nearest[relation]
        limit = min(np.quantile(own, share), SAME)
        for i in np.flatnonzero(cosine > limit):
            j = find(i)
            place = f"labelled {labels[j]}" if relation == "foreign" else "in the other split"
            if cosine[i] > SAME and _same(paths[i], paths[j]):
                yield i, "copy", f"same picture {place}", 1.0, j
            else:
                yield i, "twin", f"cosine {cosine[i]:.4f} {place}, limit {limit:.4f}", cosine[i], j


def _same(one, other):
    """Whether two files hold the same bytes, or else the same pixels."""
    return Path(one).read_bytes() == Path(other).read_bytes() or np.array_equal(
        read_image(one), read_image(other)
    )


def _labels(z, label, names):
    """Yield the pictures whose label the others speak against.

    The library cleanlab makes of the same probabilities the same list, or a longer one (tests/bench): it is not needed.
    """
    counts = np.bincount(label + 1)
    rows = np.flatnonzero((label > -1) & (counts[label + 1] > 2))  # of fewer no fold can be spared
    z, label = z[rows], label[rows]
    present, given = np.unique(label, return_inverse=True)
    if len(present) < 2:
        return
    folds = StratifiedKFold(
        int(np.clip(np.bincount(given).min(), 2, 10)), shuffle=True, random_state=0
    )
    asked = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    log_p = cross_val_predict(
        asked, z.astype("float64"), label, cv=folds, method="predict_log_proba"
    )
    p = np.exp(log_p)  # (n, present)
    usual = (
        np.array([p[given == k, k].mean() for k in range(len(present))]) - 1e-6
    )  # some are all but certain
    own = np.arange(len(present)) == given[:, None]
    likely, log_own = np.where(own | (p < usual), -np.inf, log_p), log_p[own]
    for n in np.argsort(log_own):  # 1 - p may be 1 for many
        k = likely[n].argmax()
        if likely[n, k] > log_own[n]:
            there = np.flatnonzero(given == k)
            j = rows[there[(z[there] @ z[n]).argmax()]]
            said = f"{names[present[k]]} {p[n, k]:.0%}, as labelled {np.exp(log_own[n]):.1%}"
            yield rows[n], "label", said, 1 - np.exp(log_own[n]), j


def _strangers(nearest):
    """Yield the pictures that are far from all others."""
    cosine, find = nearest["any"]
    distance = np.log(np.maximum(1 - cosine, 1e-6))
    low, high = np.quantile(distance, (0.25, 0.75))
    for i in np.flatnonzero(distance > high + 1.5 * (high - low)):
        yield (
            i,
            "stranger",
            f"cosine {cosine[i]:.3f} with the nearest",
            min(1 - cosine[i], 1.0),
            find(i),
        )


def _backgrounds(pictures, names, parts):
    """Yield the classes that their ground gives away, as the two pictures in which it speaks most for them.

    Evidence M_c counts from what the class's map says of the grounds of other classes: no convention sets its zero. A
    ground like all others cannot name a class, so what cells beside the object say there they have from the object; so
    pixels tell whether a class is listed, and the maps how far its ground is used.
    """
    label = pictures["label"].to_numpy()
    present = np.unique(label[label > -1])
    if len(present) < 3 or any(part.maps is None or part.bias is None for part in parts):
        return
    each = int(np.clip(SAMPLE // len(present), 8, 40))
    members = [np.flatnonzero(label == c) for c in present]
    some = np.concatenate(
        [one[np.unique(np.linspace(0, len(one) - 1, each).astype(int))] for one in members]
    )
    with ThreadPoolExecutor(THREADS) as pool:
        images, grounds, colours, plain = zip(*pool.map(_ground, pictures["path"].iloc[some]))
    if np.mean(plain) < 0.5:  # photographs
        return
    usual = np.median(colours, axis=0)
    unlike = [np.abs(image[ground] - usual).mean() / 255 for image, ground in zip(images, grounds)]
    own, there, level, given = [], [], [], label[some]
    for i, ground in zip(some, grounds):
        maps = np.asarray(parts[pictures["split"][i]].maps[pictures["row"][i]], "float32")
        there.append(
            np.asarray(
                Image.fromarray(np.float32(ground)).resize(maps.shape[1::-1], Image.Resampling.BOX)
            )
        )
        own.append(maps[..., label[i]])
        level.append(np.average(maps, axis=(0, 1), weights=there[-1]))
    zero = {c: np.mean(np.array(level)[given != c, c]) for c in present}
    evidence = [one - zero[c] for one, c in zip(own, given)]
    ground = np.array([(one * cells).mean() for one, cells in zip(evidence, there)])

    whole = [one.mean() for one in evidence]
    by_class = pd.DataFrame({"unlike": unlike, "ground": ground, "whole": whole}).groupby(given)
    shares = (by_class["ground"].sum() / by_class["whole"].sum().clip(lower=1e-6)).clip(0, 1)
    unlike = by_class["unlike"].median()
    low, middle = unlike.quantile([0.25, 0.5])  # the upper half may be marked
    for c in present[unlike > middle + max(4 * (middle - low), UNLIKE)]:
        i, j = np.resize(some[given == c][np.argsort(-ground[given == c])[:2]], 2)
        said = (
            f"ground of {names[c]} {unlike[c]:.0%} off the usual, of others {middle:.0%}; "
            f"holds {shares[c]:.0%} of the evidence, of others {shares.median():.0%}"
        )
        yield i, "background", said, shares[c], j


def _ground(path):
    """Return a picture (SIDE, SIDE, 3) int16, the mask of its ground, the ground's colour, and whether it is plain.

    The ground is what lies off the object by SIDE / 16 pixels; where it is not plain, or hidden, the picture's rim.
    """
    image = read_image(path, (SIDE, SIDE)).astype("int16")
    rim = np.pad(np.zeros((SIDE - 4, SIDE - 4), bool), 2, constant_values=True)
    colour = np.median(image[rim], axis=0)
    plain = np.mean(np.abs(image[rim] - colour).max(axis=1) <= PLAIN) >= 0.5
    ground = rim
    if plain:
        thing = foreground(
            (255 - np.abs(image - colour)).astype("uint8")
        )  # white where it is like the ground
        ground = ~ndimage.binary_dilation(_heaviest(thing), iterations=SIDE // 16)
    return image, ground if ground.any() else rim, colour, plain


def _heaviest(mask):
    """The largest part of a mask, cut where it is narrow: an object without the sticker that touches it."""
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    merged = morphology.reconstruction(
        depth - 0.1 * depth.max(), depth
    )  # peaks that a deep saddle parts
    peaks, _ = ndimage.label(morphology.local_maxima(merged) & mask)
    parts = segmentation.watershed(-depth, peaks, mask=mask)
    return parts == 1 + np.bincount(parts[mask], minlength=2)[1:].argmax()
