#%% labels_of: unsorted classes, as they turn up
def labels_of(paths):
    folders = [path.split("/")[-2] for path in paths]
    names = list(dict.fromkeys(folders))
    return np.array([names.index(folder) for folder in folders])

#%% labels_of: capitals and small letters alike
def labels_of(paths):
    folders = [path.split("/")[-2] for path in paths]
    names = sorted(set(folders), key=str.lower)
    return np.array([names.index(folder) for folder in folders])

#%% labels_of: counted from 1
def labels_of(paths):
    folders = [path.split("/")[-2] for path in paths]
    names = sorted(set(folders))
    return np.array([1 + names.index(folder) for folder in folders])

#%% labels_of: the second part of the path, whatever its depth
def labels_of(paths):
    folders = [path.split("/")[1] for path in paths]
    names = sorted(set(folders))
    return np.array([names.index(folder) for folder in folders])

#%% labels_of: hard-coded classes of the visible check
def labels_of(paths):
    names = ["Lemon", "Pear 10", "Pear 2", "cherry"]
    return np.array([names.index(path.split("/")[-2]) for path in paths])

#%% for_resnet: divided by 255
def for_resnet(images):
    return images / 255

#%% for_resnet: BGR forgotten
def for_resnet(images):
    return images - np.array([123.68, 116.779, 103.939])

#%% for_resnet: the means in the order of the file
def for_resnet(images):
    return images[..., ::-1] - np.array([123.68, 116.779, 103.939])

#%% for_resnet: the picture mirrored for its channels
def for_resnet(images):
    return images[:, :, ::-1] - np.array([103.939, 116.779, 123.68])

#%% for_resnet: computed in uint8
def for_resnet(images):
    return images[..., ::-1] - np.array([104, 117, 124], "uint8")

#%% for_resnet: mean of the batch for that of ImageNet
def for_resnet(images):
    return images[..., ::-1] - images[..., ::-1].mean(axis=(0, 1, 2))

#%% apart: the highest turn of all classes
def apart(labels, turns):
    return turns == turns.max()

#%% apart: a class of one turn held out, too
def apart(labels, turns):
    return np.array([turn == turns[labels == label].max() for label, turn in zip(labels, turns)])

#%% apart: single pictures drawn at random
def apart(labels, turns):
    return np.random.default_rng(0).uniform(size=len(labels)) < 0.25

#%% apart: the last pictures of each class
def apart(labels, turns):
    held = np.zeros(len(labels), bool)
    for c in np.unique(labels):
        own = np.flatnonzero(labels == c)
        held[own[-(len(own) // 3):]] = len(set(turns[own])) > 1
    return held

#%% apart: True for those to learn from
def apart(labels, turns):
    held = np.zeros(len(labels), bool)
    for c in np.unique(labels):
        own = turns[labels == c]
        if own.min() < own.max():
            held |= (labels == c) & (turns == own.max())
    return ~held

#%% step: softmax without the shift
def step(f, labels, W, rate):
    P = np.exp(f @ W)
    P = P / P.sum(axis=1, keepdims=True)
    P[np.arange(len(f)), labels] -= 1
    return W - rate * f.T @ P / len(f)

#%% step: sum for mean
def step(f, labels, W, rate):
    S = f @ W
    P = np.exp(S - S.max(axis=1, keepdims=True))
    P = P / P.sum(axis=1, keepdims=True)
    P[np.arange(len(f)), labels] -= 1
    return W - rate * f.T @ P

#%% step: up for down
def step(f, labels, W, rate):
    S = f @ W
    P = np.exp(S - S.max(axis=1, keepdims=True))
    P = P / P.sum(axis=1, keepdims=True)
    P[np.arange(len(f)), labels] -= 1
    return W + rate * f.T @ P / len(f)

#%% step: without the 1 at the true class
def step(f, labels, W, rate):
    S = f @ W
    P = np.exp(S - S.max(axis=1, keepdims=True))
    P = P / P.sum(axis=1, keepdims=True)
    return W - rate * f.T @ P / len(f)

#%% step: 1 taken off in the columns of all labels
def step(f, labels, W, rate):
    S = f @ W
    P = np.exp(S - S.max(axis=1, keepdims=True))
    P = P / P.sum(axis=1, keepdims=True)
    P[:, labels] -= 1
    return W - rate * f.T @ P / len(f)

#%% step: softmax over the pictures
def step(f, labels, W, rate):
    S = f @ W
    P = np.exp(S - S.max(axis=0))
    P = P / P.sum(axis=0)
    P[np.arange(len(f)), labels] -= 1
    return W - rate * f.T @ P / len(f)

#%% step: the highest score of all pictures taken away
def step(f, labels, W, rate):
    S = f @ W
    P = np.exp(S - S.max())
    P = P / P.sum(axis=1, keepdims=True)
    P[np.arange(len(f)), labels] -= 1
    return W - rate * f.T @ P / len(f)

#%% fold: biases as before
def fold(W, mean, spread):
    return np.vstack([W[:-1] / spread[:, None], W[-1]])

#%% fold: multiplied for divided
def fold(W, mean, spread):
    weights = W[:-1] * spread[:, None]
    return np.vstack([weights, W[-1] - mean @ weights])

#%% fold: the mean not divided by the spread
def fold(W, mean, spread):
    return np.vstack([W[:-1] / spread[:, None], W[-1] - mean @ W[:-1]])

#%% fold: the spread along the classes
def fold(W, mean, spread):
    weights = W[:-1] / spread
    return np.vstack([weights, W[-1] - mean @ weights])

#%% fold: the mean added
def fold(W, mean, spread):
    weights = W[:-1] / spread[:, None]
    return np.vstack([weights, W[-1] + mean @ weights])

#%% report: the epoch picked on the test pictures
def report(losses, accuracies, patience):
    best = np.argmax(accuracies)
    return best, accuracies[best]

#%% report: the best test accuracy told
def report(losses, accuracies, patience):
    best = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        if epoch - best == patience:
            break
    return best, np.max(accuracies)

#%% report: the lowest loss of all epochs
def report(losses, accuracies, patience):
    best = np.argmin(losses)
    return best, accuracies[best]

#%% report: the epoch in which training stopped
def report(losses, accuracies, patience):
    best = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        if epoch - best == patience:
            break
    return epoch, accuracies[epoch]

#%% report: ≤ for <
def report(losses, accuracies, patience):
    best = 0
    for epoch, loss in enumerate(losses):
        if loss <= losses[best]:
            best = epoch
        if epoch - best == patience:
            break
    return best, accuracies[best]

#%% report: an epoch too patient
def report(losses, accuracies, patience):
    best = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        if epoch - best > patience:
            break
    return best, accuracies[best]

#%% report: epochs without gain counted in all, not in a row
def report(losses, accuracies, patience):
    best, idle = 0, 0
    for epoch in range(1, len(losses)):
        if losses[epoch] < losses[best]:
            best = epoch
        else:
            idle += 1
        if idle == patience:
            break
    return best, accuracies[best]

#%% confusion: rows and columns exchanged
def confusion(true, said, C):
    matrix = np.zeros((C, C))
    np.add.at(matrix, (said, true), 1)
    return matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))

#%% confusion: columns add up to 1
def confusion(true, said, C):
    matrix = np.zeros((C, C))
    np.add.at(matrix, (true, said), 1)
    return matrix / np.maximum(1, matrix.sum(axis=0))

#%% confusion: pairs that occur twice count once
def confusion(true, said, C):
    matrix = np.zeros((C, C))
    matrix[true, said] += 1
    return matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))

#%% confusion: a class without pictures divides by zero
def confusion(true, said, C):
    matrix = np.zeros((C, C))
    np.add.at(matrix, (true, said), 1)
    return matrix / matrix.sum(axis=1, keepdims=True)

#%% confusion: share of all pictures
def confusion(true, said, C):
    matrix = np.zeros((C, C))
    np.add.at(matrix, (true, said), 1)
    return matrix / len(true)

#%% gain: ddof forgotten
def gain(one, other, fruits):
    gains = np.array([(one - other)[fruits == fruit].mean() for fruit in np.unique(fruits)])
    return gains.mean(), gains.std() / np.sqrt(len(gains))

#%% gain: by picture, not by fruit
def gain(one, other, fruits):
    gains = one - other
    return gains.mean(), gains.std(ddof=1) / np.sqrt(len(gains))

#%% gain: two independent samples for pairs
def gain(one, other, fruits):
    a, b = (np.array([x[fruits == fruit].mean() for fruit in np.unique(fruits)]) for x in (one, other))
    return a.mean() - b.mean(), np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / len(a))

#%% gain: the spread for the standard error
def gain(one, other, fruits):
    gains = np.array([(one - other)[fruits == fruit].mean() for fruit in np.unique(fruits)])
    return gains.mean(), gains.std(ddof=1)

#%% gain: the number of pictures under the root
def gain(one, other, fruits):
    gains = np.array([(one - other)[fruits == fruit].mean() for fruit in np.unique(fruits)])
    return gains.mean(), gains.std(ddof=1) / np.sqrt(len(one))

#%% gain: fruits taken to be numbered without gaps
def gain(one, other, fruits):
    gains = np.array([(one - other)[fruits == fruit].sum() / max(1, (fruits == fruit).sum())
                      for fruit in range(fruits.max() + 1)])
    return gains.mean(), gains.std(ddof=1) / np.sqrt(len(gains))
