#%% worst: a list
def worst(probs, labels, n):
    errors = [i for i, row in enumerate(probs) if row.argmax() != labels[i]]
    return sorted(errors, key=lambda i: -probs[i].max())[:n]

#%% most_confused: a dictionary of counts
def most_confused(labels, predicted, C):
    counts = {}
    for pair in zip(labels.tolist(), predicted.tolist()):
        counts[pair] = counts.get(pair, 0) + 1
    both = {
        (a, c): counts.get((a, c), 0) + counts.get((c, a), 0)
        for a in range(C)
        for c in range(a + 1, C)
    }
    a, c = max(both, key=both.get)
    return [a, c, counts.get((a, c), 0), counts.get((c, a), 0)]

#%% where_lost: a list of two
def where_lost(M, b, labelled, predicted):
    maps = [m[..., t] - m[..., p] for m, t, p in zip(M, labelled, predicted)]
    return [maps, [b[t] - b[p] for t, p in zip(labelled, predicted)]]

#%% copies: a list of pairs
def copies(test, train, limit):
    return [
        (i, j)
        for i, one in enumerate(test)
        for j, other in enumerate(train)
        if np.abs(one.astype(float) - other).mean() <= limit
    ]

#%% suspects: in place
def suspects(p, labels):
    rows = np.arange(len(p))
    bars = np.array([p[labels == k, k].mean() for k in range(p.shape[1])])
    own = p[rows, labels].copy()
    p[p < bars] = 0
    p[rows, labels] = 0
    found = np.flatnonzero((p > own[:, None]).any(axis=1))
    return found[np.argsort(own[found])].tolist()

#%% off_object: in place
def off_object(maps, masks):
    maps[maps < 0] = 0
    total = maps.sum(axis=(1, 2))
    maps[masks.astype(bool)] = 0
    return [part / whole if whole else 0 for part, whole in zip(maps.sum(axis=(1, 2)), total)]

#%% precision_recall: arrays
def precision_recall(listed, planted):
    hits = np.intersect1d(listed, planted)
    return np.array([len(hits) / max(1, len(np.unique(listed))), len(hits) / len(planted)])

#%% accuracies: a table
def accuracies(predicted, labels, aside, verdicts):
    import pandas as pd

    table = pd.DataFrame({"said": predicted, "label": labels, "better": labels})
    for i, c in verdicts.items():
        table.loc[i, "better"] = c
    stay = table.drop(index=list(set(aside)))
    pairs = [(table, "label"), (stay, "label"), (stay, "better")]
    return [(rows["said"] == rows[column]).mean() for rows, column in pairs]

#%% most_confused: a pair of pairs
def most_confused(labels, predicted, C):
    errors = lambda a, c: int(((labels == a) & (predicted == c)).sum())
    pairs = [(a, c) for a in range(C) for c in range(a + 1, C)]
    a, c = max(pairs, key=lambda pair: errors(*pair) + errors(*pair[::-1]))
    return (a, c), (errors(a, c), errors(c, a))

#%% copies: a table
def copies(test, train, limit):
    rows = [
        (i, j)
        for i in range(len(test))
        for j in range(len(train))
        if np.abs(test[i].astype("int16") - train[j]).mean() <= limit
    ]
    return pd.DataFrame(rows, columns=["test", "train"])

#%% copies: a generator
def copies(test, train, limit):
    for i, one in enumerate(test):
        for j in np.flatnonzero(np.abs(train.astype(int) - one).mean(axis=(1, 2, 3)) <= limit):
            yield i, j

#%% suspects: an index
def suspects(p, labels):
    bars = np.array([p[labels == c, c].mean() for c in range(p.shape[1])])
    own = pd.Series(p[range(len(p)), labels])
    found = ((p >= bars) & (p > own.to_numpy()[:, None])).any(axis=1)
    return pd.Index([i for i in own.sort_values().index if found[i]])

#%% worst: an index of a table
def worst(probs, labels, n):
    table = pd.DataFrame({"p": probs.max(axis=1), "said": probs.argmax(axis=1), "label": labels})
    return table.query("said != label").sort_values("p", ascending=False).head(n).index

#%% most_confused: a dataclass
from collections import Counter
from dataclasses import dataclass

@dataclass(frozen=True)
class Pair:
    one: int
    other: int
    there: int
    back: int

def most_confused(labels, predicted, C):
    count = Counter(zip(map(int, labels), map(int, predicted)))
    best = None
    for a in range(C):
        for c in range(a + 1, C):
            total = count[a, c] + count[c, a]
            if best is None or total > best[0]:
                best = total, Pair(a, c, count[a, c], count[c, a])
    return best[1]

#%% where_lost: a dataclass
from dataclasses import dataclass

@dataclass
class Parts:
    maps: np.ndarray
    biases: np.ndarray

def where_lost(M, b, labelled, predicted):
    i = np.arange(len(M))
    return Parts(M[i, ..., labelled] - M[i, ..., predicted], b[labelled] - b[predicted])

#%% off_object: masked arrays
def off_object(maps, masks):
    heat = np.ma.masked_less(maps, 0).filled(0)
    total = heat.sum((1, 2))
    off = np.where(masks, 0, heat).sum((1, 2))
    return np.ma.divide(off, total).filled(0)

#%% precision_recall: a dataclass
from dataclasses import dataclass

@dataclass
class Quality:
    precision: np.float32
    recall: np.float32

def precision_recall(listed, planted):
    listed, planted = np.unique(listed), np.unique(planted)
    hits = np.isin(listed, planted).sum()
    return Quality(np.float32(hits / listed.size if listed.size else 0), np.float32(hits / planted.size))
