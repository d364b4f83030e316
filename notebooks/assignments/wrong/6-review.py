#%% worst: the least sure first
def worst(probs, labels, n):
    errors = np.flatnonzero(probs.argmax(axis=1) != labels)
    return errors[np.argsort(probs[errors].max(axis=1))][:n]

#%% worst: in the order of the true class's probability
def worst(probs, labels, n):
    errors = np.flatnonzero(probs.argmax(axis=1) != labels)
    return errors[np.argsort(probs[errors, labels[errors]])][:n]

#%% worst: places in the list of errors
def worst(probs, labels, n):
    errors = np.flatnonzero(probs.argmax(axis=1) != labels)
    return np.argsort(-probs[errors].max(axis=1))[:n]

#%% worst: right answers are listed, too
def worst(probs, labels, n):
    return np.argsort(-probs.max(axis=1))[:n]

#%% worst: hard-coded result of the visible check
def worst(probs, labels, n):
    return np.array([4, 0, 2])

#%% most_confused: one direction only
def most_confused(labels, predicted, C):
    matrix = np.zeros((C, C), int)
    np.add.at(matrix, (labels, predicted), 1)
    one, other = np.unravel_index((matrix * (1 - np.eye(C))).argmax(), (C, C))
    one, other = min(one, other), max(one, other)
    return one, other, matrix[one, other], matrix[other, one]

#%% most_confused: the two directions have changed places
def most_confused(labels, predicted, C):
    matrix = np.zeros((C, C), int)
    np.add.at(matrix, (predicted, labels), 1)
    one, other = np.unravel_index(np.triu(matrix + matrix.T, 1).argmax(), (C, C))
    return one, other, matrix[one, other], matrix[other, one]

#%% most_confused: right answers count
def most_confused(labels, predicted, C):
    matrix = np.zeros((C, C), int)
    np.add.at(matrix, (labels, predicted), 1)
    one, other = np.unravel_index(np.triu(matrix + matrix.T).argmax(), (C, C))
    return one, other, matrix[one, other], matrix[other, one]

#%% most_confused: the last of equal pairs
def most_confused(labels, predicted, C):
    matrix = np.zeros((C, C), int)
    np.add.at(matrix, (labels, predicted), 1)
    one, other = max(((i, k) for i in range(C) for k in range(i + 1, C)),
                     key=lambda at: (matrix[at] + matrix[at[::-1]], at))
    return one, other, matrix[one, other], matrix[other, one]

#%% where_lost: predicted less labelled
def where_lost(M, b, labelled, predicted):
    rows = np.arange(len(M))
    return M[rows, :, :, predicted] - M[rows, :, :, labelled], b[predicted] - b[labelled]

#%% where_lost: ReLU too early
def where_lost(M, b, labelled, predicted):
    rows, M = np.arange(len(M)), np.maximum(M, 0)
    return M[rows, :, :, labelled] - M[rows, :, :, predicted], b[labelled] - b[predicted]

#%% where_lost: the classes of the first picture for all
def where_lost(M, b, labelled, predicted):
    return M[..., labelled[0]] - M[..., predicted[0]], b[labelled] - b[predicted]

#%% where_lost: the biases are spread over the places
def where_lost(M, b, labelled, predicted):
    rows = np.arange(len(M))
    part = b[labelled] - b[predicted]
    return M[rows, :, :, labelled] - M[rows, :, :, predicted] + part[:, None, None], part

#%% where_lost: bias of the labelled class alone
def where_lost(M, b, labelled, predicted):
    rows = np.arange(len(M))
    return M[rows, :, :, labelled] - M[rows, :, :, predicted], b[labelled]

#%% copies: differences in uint8
def copies(test, train, limit):
    apart = [np.abs(train - picture).mean(axis=(1, 2, 3)) for picture in test]
    return np.argwhere(np.array(apart) <= limit)

#%% copies: < for ≤
def copies(test, train, limit):
    apart = [np.abs(train.astype(int) - picture).mean(axis=(1, 2, 3)) for picture in test]
    return np.argwhere(np.array(apart) < limit)

#%% copies: the nearest alone
def copies(test, train, limit):
    apart = np.array([np.abs(train.astype(int) - picture).mean(axis=(1, 2, 3)) for picture in test])
    near = apart.argmin(axis=1)
    return [(i, j) for i, j in enumerate(near) if apart[i, j] <= limit]

#%% copies: dark and light cancel each other
def copies(test, train, limit):
    apart = [np.abs((train.astype(int) - picture).mean(axis=(1, 2, 3))) for picture in test]
    return np.argwhere(np.array(apart) <= limit)

#%% copies: the largest difference for the mean
def copies(test, train, limit):
    apart = [np.abs(train.astype(int) - picture).max(axis=(1, 2, 3)) for picture in test]
    return np.argwhere(np.array(apart) <= limit)

#%% copies: exact copies alone, whatever the limit
def copies(test, train, limit):
    return [(i, j) for i, a in enumerate(test) for j, b in enumerate(train) if (a == b).all()]

#%% copies: sorted by the second array
def copies(test, train, limit):
    apart = [np.abs(test.astype(int) - picture).mean(axis=(1, 2, 3)) for picture in train]
    return np.argwhere(np.array(apart) <= limit)[:, ::-1]

#%% suspects: all that would be named otherwise
def suspects(p, labels):
    found = np.flatnonzero(p.argmax(axis=1) != labels)
    return found[np.argsort(p[found, labels[found]])]

#%% suspects: below the bar of their own label
def suspects(p, labels):
    bars = np.array([p[labels == k, k].mean() for k in range(p.shape[1])])
    own = p[np.arange(len(p)), labels]
    found = np.flatnonzero(own < bars[labels])
    return found[np.argsort(own[found])]

#%% suspects: bars are means over all pictures
def suspects(p, labels):
    own = p[np.arange(len(p)), labels]
    found = np.flatnonzero(((p >= p.mean(axis=0)) & (p > own[:, None])).any(axis=1))
    return found[np.argsort(own[found])]

#%% suspects: > for ≥
def suspects(p, labels):
    bars = np.array([p[labels == k, k].mean() for k in range(p.shape[1])])
    own = p[np.arange(len(p)), labels]
    found = np.flatnonzero(((p > bars) & (p > own[:, None])).any(axis=1))
    return found[np.argsort(own[found])]

#%% suspects: unsorted
def suspects(p, labels):
    bars = np.array([p[labels == k, k].mean() for k in range(p.shape[1])])
    own = p[np.arange(len(p)), labels]
    return np.flatnonzero(((p >= bars) & (p > own[:, None])).any(axis=1))

#%% suspects: one half is the bar of every class
def suspects(p, labels):
    own = p[np.arange(len(p)), labels]
    found = np.flatnonzero(((p >= 0.5) & (p > own[:, None])).any(axis=1))
    return found[np.argsort(own[found])]

#%% off_object: the share on the object
def off_object(maps, masks):
    positive = np.maximum(maps, 0)
    return (positive * masks).sum(axis=(1, 2)) / positive.sum(axis=(1, 2))

#%% off_object: negative evidence left in
def off_object(maps, masks):
    return (maps * ~masks).sum(axis=(1, 2)) / maps.sum(axis=(1, 2))

#%% off_object: places counted
def off_object(maps, masks):
    bright = maps > 0
    return (bright & ~masks).sum(axis=(1, 2)) / np.maximum(1, bright.sum(axis=(1, 2)))

#%% off_object: a map without evidence divides by zero
def off_object(maps, masks):
    positive = np.maximum(maps, 0)
    return (positive * ~masks).sum(axis=(1, 2)) / positive.sum(axis=(1, 2))

#%% off_object: one share for all maps
def off_object(maps, masks):
    positive = np.maximum(maps, 0)
    return positive[~masks].sum() / positive.sum()

#%% precision_recall: the two have changed places
def precision_recall(listed, planted):
    hits = len(set(listed) & set(planted))
    return hits / len(planted), hits / max(1, len(set(listed)))

#%% precision_recall: listed twice counts twice
def precision_recall(listed, planted):
    hits = sum(i in planted for i in listed)
    return hits / max(1, len(listed)), hits / len(planted)

#%% precision_recall: divides by zero on an empty list
def precision_recall(listed, planted):
    hits = len(set(listed) & set(planted))
    return hits / len(set(listed)), hits / len(planted)

#%% precision_recall: hard-coded result of the visible check
def precision_recall(listed, planted):
    return 0.5, 0.4

#%% accuracies: those set aside still count below the line
def accuracies(predicted, labels, aside, verdicts):
    better = np.array([verdicts.get(i, c) for i, c in enumerate(labels)])
    stay = np.isin(np.arange(len(labels)), aside, invert=True)
    return (predicted == labels).mean(), ((predicted == labels) & stay).mean(), ((predicted == better) & stay).mean()

#%% accuracies: the third with the copies
def accuracies(predicted, labels, aside, verdicts):
    better = np.array([verdicts.get(i, c) for i, c in enumerate(labels)])
    stay = np.isin(np.arange(len(labels)), aside, invert=True)
    return (predicted == labels).mean(), (predicted == labels)[stay].mean(), (predicted == better).mean()

#%% accuracies: verdicts given after numbers have moved
def accuracies(predicted, labels, aside, verdicts):
    p, y = np.delete(predicted, aside), np.delete(labels, aside)
    as_labelled = (p == y).mean()
    for i, c in verdicts.items():
        if i < len(y):
            y[i] = c
    return (predicted == labels).mean(), as_labelled, (p == y).mean()

#%% accuracies: pictures with a verdict left out
def accuracies(predicted, labels, aside, verdicts):
    right = predicted == labels
    return right.mean(), np.delete(right, aside).mean(), np.delete(right, [*aside, *verdicts]).mean()

#%% accuracies: the labels that were given are changed
def accuracies(predicted, labels, aside, verdicts):
    right = predicted == labels
    for i, c in verdicts.items():
        labels[i] = c
    return right.mean(), np.delete(right, aside).mean(), np.delete(predicted == labels, aside).mean()
