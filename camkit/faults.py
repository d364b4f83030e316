"""What is wrong with the data, as an analysis shows it: copies, labels that nobody would guess, twins, strangers.

Pictures are compared by the directions of their standardised GAP features; the network is not run again.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.decomposition import TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from camkit.images import read_image

KINDS = ["copy", "label", "twin", "stranger"]
COMPONENTS = 128                     # of the features, the principal ones
BLOCK = 1024                         # pictures that are compared with all others at a time
SAME = 1 - 1e-4                      # from this cosine on the files are read


def data_faults(analysis, reference=None):
    """Return a DataFrame of suspected faults, worst first: path, kind, reason, score (0..1), other.

    reference: the analysis of another split, such as the training set, by the same model; its pictures are listed, too.

    - "copy": the same bytes or pixels under two labels, or else in both splits; `other` is the copy. Score 1.
    - "label": another class is as probable as it is, on average, for pictures of that label (the confident joint;
      Northcutt, Jiang and Chuang, "Confident Learning", JAIR 2021), asked of linear discriminant analysis that has not
      seen the picture; `other` is the most similar picture of that class. Score: 1 - probability of the label as given.
    - "twin": no copy, but more like a picture of another label than nine of ten are like their nearest own, or more
      like one in the other split than 99 of 100 are. Score: the cosine.
    - "stranger": like none; `other` is the nearest. Score: 1 - cosine, beyond Tukey's fence (on logarithms).

    Memory grows with the number of pictures times that of classes. Raises ValueError where the two analyses differ in
    classes or features, or hold fewer than three pictures.
    """
    pictures, z = _gather(analysis, reference)
    label, names = pictures["label"].to_numpy(), np.array(analysis.class_names, dtype=object)
    nearest = _neighbours(z, label, pictures["split"].to_numpy())
    rows = [*_copies_and_twins(pictures["path"], names[label], nearest), *_strangers(nearest)]
    explained = {i for i, kind, *_, other in rows if kind == "copy" and label[i] != label[other]}
    rows += [row for row in _labels(z, label, names) if row[0] not in explained]

    table = pd.DataFrame(rows, columns=["path", "kind", "reason", "score", "other"])
    for column in ("path", "other"):
        table[column] = pictures["path"].to_numpy()[table[column].to_numpy(dtype=int)]
    table["kind"] = pd.Categorical(table["kind"], KINDS)
    return table.sort_values(["kind", "score"], ascending=[True, False], kind="stable", ignore_index=True)


def _gather(analysis, reference):
    """Return the pictures of both, each path once (path, label, split), and the directions (N, COMPONENTS) of their
    standardised features."""
    parts = [analysis] if reference is None else [analysis, reference]
    shapes = {(tuple(part.class_names), part.gap.shape[1]) for part in parts}
    if len(shapes) > 1:
        raise ValueError(f"the analysis has {len(analysis.class_names)} classes and {analysis.gap.shape[1]} features, "
                         f"the reference {len(reference.class_names)} and {reference.gap.shape[1]}, or other names: "
                         "analyse both with one model")
    pictures = pd.DataFrame({"path": np.concatenate([part.paths for part in parts]),
                             "label": np.concatenate([part.labels for part in parts]),
                             "split": np.repeat(range(len(parts)), [len(part.labels) for part in parts])})
    once = ~pictures["path"].duplicated().to_numpy()
    if once.sum() < 3:
        raise ValueError(f"{once.sum()} pictures cannot be compared: give three or more")
    gap = np.concatenate([part.gap for part in parts])[once]
    z = _directions((gap - gap.mean(axis=0)) / (gap.std(axis=0) + 0.01 * gap.std() + 1e-12))
    if min(z.shape) > COMPONENTS:
        z = _directions(TruncatedSVD(COMPONENTS, random_state=0).fit_transform(z))
    return pictures[once].reset_index(drop=True), z


def _directions(z):
    """Return vectors (N, K) of length one, zeros as they are."""
    return z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)


def _neighbours(z, label, split):
    """Return {relation: (cosine (N,), find)}: the highest cosine with a picture of the same label, of another one, of
    the same label in the other split, of any; find(i) is the index of that picture."""
    _, first, group = np.unique(np.stack([label, split]), axis=1, return_index=True, return_inverse=True)
    members = [np.flatnonzero(group == g) for g in range(len(first))]
    order = np.concatenate(members)
    starts = np.cumsum([0, *map(len, members[:-1])])
    together = z[order]                                              # those of a group side by side
    peaks = np.empty((len(z), len(members)), "float32")              # the highest cosine with each group
    for begin in range(0, len(z), BLOCK):
        rows = order[begin:begin + BLOCK]
        cosines = together[begin:begin + BLOCK] @ together.T
        cosines[np.arange(len(rows)), begin + np.arange(len(rows))] = -1             # itself
        peaks[rows] = np.maximum.reduceat(cosines, starts, axis=1)

    def within(allowed):
        inside = np.where(allowed, peaks, -1)
        best = inside.argmax(axis=1)

        def find(i):
            others = members[best[i]][members[best[i]] != i]
            return others[(z[others] @ z[i]).argmax()]
        return inside.max(axis=1), find

    foreign, away = label[:, None] != label[first], split[:, None] != split[first]
    return {"own": within(~foreign), "foreign": within(foreign), "away": within(away & ~foreign), "any": within(True)}


def _copies_and_twins(paths, labels, nearest):
    """Yield what is closer to a picture of another label, or in the other split, than pictures are to their own."""
    own, _ = nearest["own"]
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
    return Path(one).read_bytes() == Path(other).read_bytes() or np.array_equal(read_image(one), read_image(other))


def _labels(z, label, names):
    """Yield the pictures whose label the others speak against."""
    counts = np.bincount(label)
    rows = np.flatnonzero(counts[label] > 1)                         # a class of one cannot be asked
    z, label = z[rows], label[rows]
    present, given = np.unique(label, return_inverse=True)
    if len(present) < 2:
        return
    folds = StratifiedKFold(int(np.clip(counts[present].min(), 2, 10)), shuffle=True, random_state=0)
    asked = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    log_p = cross_val_predict(asked, z.astype("float64"), label, cv=folds, method="predict_log_proba")
    p = np.exp(log_p)                                                                # (n, present)
    usual = np.array([p[given == k, k].mean() for k in range(len(present))])
    own = np.arange(len(present)) == given[:, None]
    likely, log_own = np.where(own | (p < usual), -np.inf, log_p), log_p[own]
    for n in np.argsort(log_own):                                    # 1 - p may be 1 for many
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
        yield i, "stranger", f"cosine {cosine[i]:.3f} with the nearest", min(1 - cosine[i], 1.0), find(i)
