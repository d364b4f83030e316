#%% labels_of: a table's categories
def labels_of(paths):
    import pandas as pd

    return pd.Series([path.split("/")[-2] for path in paths]).astype("category").cat.codes

#%% for_resnet: in place
def for_resnet(images):
    images = images.astype("float32")[..., ::-1]
    images -= [103.939, 116.779, 123.68]
    return images

#%% apart: a list, one picture after another
def apart(labels, turns):
    held = []
    for label, turn in zip(labels, turns):
        own = turns[labels == label]
        held.append(bool(turn == own.max() and own.min() < own.max()))
    return held

#%% step: with SciPy's softmax
from scipy.special import softmax

def step(f, labels, W, rate):
    Y = np.eye(W.shape[1])[labels]
    return W - rate * f.T @ (softmax(f @ W, axis=1) - Y) / len(f)

#%% step: in place
def step(f, labels, W, rate):
    S = f @ W
    S -= S.max(axis=1, keepdims=True)
    P = np.exp(S)
    P /= P.sum(axis=1, keepdims=True)
    P -= np.eye(W.shape[1])[labels]
    W -= rate * f.T @ P / len(f)
    return W

#%% fold: in place
def fold(W, mean, spread):
    W[:-1] /= spread[:, None]
    W[-1] -= mean @ W[:-1]
    return W

#%% report: a list
def report(losses, accuracies, patience):
    best, waited = 0, 0
    for epoch in range(1, len(losses)):
        best, waited = (epoch, 0) if losses[epoch] < losses[best] else (best, waited + 1)
        if waited == patience:
            break
    return [best, float(accuracies[best])]

#%% confusion: a table
def confusion(true, said, C):
    import pandas as pd

    table = pd.DataFrame(0.0, index=range(C), columns=range(C))
    for row, column in zip(true, said):
        table.loc[row, column] += 1
    return table.div(table.sum(axis=1).replace(0, 1), axis=0)

#%% gain: a table
def gain(one, other, fruits):
    import pandas as pd

    return pd.Series(one - other).groupby(fruits).mean().agg(["mean", "sem"])

#%% labels_of: a generator
def labels_of(paths):
    number = {name: n for n, name in enumerate(sorted({path.split("/")[-2] for path in paths}))}
    return (number[path.split("/")[-2]] for path in paths)

#%% for_resnet: a layer in place of a function
for_resnet = keras.layers.Lambda(
    lambda x: keras.ops.cast(x, "float32")[..., ::-1] - np.float32([103.939, 116.779, 123.68])
)

#%% report: a number, and a row of one
def report(losses, accuracies, patience):
    best = 0
    for epoch in range(len(losses)):
        if losses[epoch] < losses[best]:
            best = epoch
        elif epoch - best >= patience:
            break
    return best, accuracies[[best]]

#%% confusion: fractions
from fractions import Fraction

def confusion(true, said, C):
    counts = [[int(((true == a) & (said == c)).sum()) for c in range(C)] for a in range(C)]
    return [[Fraction(count, max(1, sum(row))) for count in row] for row in counts]

#%% gain: tables of one column
def gain(one, other, fruits):
    import pandas as pd

    gains = pd.DataFrame({"gain": one - other, "fruit": fruits}).groupby("fruit").mean()
    return gains.mean(), gains.sem()

#%% for_resnet: half precision
def for_resnet(images):
    return (images[..., ::-1] - np.array([103.939, 116.779, 123.68])).astype(np.float16)

#%% apart: a table
import pandas as pd

def apart(labels: np.ndarray, turns: np.ndarray) -> pd.Series:
    frame = pd.DataFrame({"label": labels, "turn": turns})
    by = frame.groupby("label")["turn"]
    return (frame.turn == by.transform("max")) & (by.transform("nunique") > 1)

#%% step: a tape
def step(f, labels, W, rate):
    import tensorflow as tf
    w = tf.Variable(W)
    with tf.GradientTape() as tape:
        S = tf.constant(f, w.dtype) @ w
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, S))
    return w - rate * tape.gradient(loss, w)

#%% report: a dataclass
from dataclasses import dataclass

@dataclass
class Report:
    epoch: int
    accuracy: float

def report(losses, accuracies, patience) -> Report:
    best, waited = 0, 0
    for epoch in range(1, len(losses)):
        if losses[epoch] < losses[best]:
            best, waited = epoch, 0
        else:
            waited += 1
            if waited >= patience:
                break
    return Report(best, float(accuracies[best]))

#%% confusion: a table of counts
def confusion(true, said, C):
    import pandas as pd
    table = pd.crosstab(true, said, normalize="index")
    return table.reindex(index=range(C), columns=range(C), fill_value=0)
