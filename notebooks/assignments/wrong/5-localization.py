#%% scale: one scale for all maps
def scale(maps):
    return (maps - maps.min()) / (maps.max() - maps.min())

#%% scale: lowest value not taken away
def scale(maps):
    return maps / maps.max(axis=(1, 2), keepdims=True)

#%% scale: ReLU first
def scale(maps):
    maps = np.maximum(maps, 0)
    return maps / maps.max(axis=(1, 2), keepdims=True)

#%% scale: a constant map divides by zero
def scale(maps):
    low, high = maps.min(axis=(1, 2), keepdims=True), maps.max(axis=(1, 2), keepdims=True)
    return (maps - low) / (high - low)

#%% largest_part: > for ≥
def largest_part(heat, threshold):
    parts, count = ndimage.label(heat > threshold, np.ones((3, 3)))
    return parts == 1 + np.argmax([(parts == n).sum() for n in range(1, count + 1)])

#%% largest_part: corners do not connect
def largest_part(heat, threshold):
    parts, count = ndimage.label(heat >= threshold)
    return parts == 1 + np.argmax([(parts == n).sum() for n in range(1, count + 1)])

#%% largest_part: the ground counted as a part
def largest_part(heat, threshold):
    parts, _ = ndimage.label(heat >= threshold, np.ones((3, 3)))
    return parts == np.bincount(parts.ravel()).argmax()

#%% largest_part: all parts kept
def largest_part(heat, threshold):
    return heat >= threshold

#%% largest_part: the part that holds the peak
def largest_part(heat, threshold):
    parts, _ = ndimage.label(heat >= threshold, np.ones((3, 3)))
    return parts == parts.ravel()[heat.argmax()]

#%% box_of: end inclusive
def box_of(mask):
    y, x = np.nonzero(mask)
    return np.array([x.min(), y.min(), x.max(), y.max()])

#%% box_of: rows before columns
def box_of(mask):
    y, x = np.nonzero(mask)
    return np.array([y.min(), x.min(), y.max() + 1, x.max() + 1])

#%% box_of: width and height for the end
def box_of(mask):
    y, x = np.nonzero(mask)
    return np.array([x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1])

#%% box_of: hard-coded result of the visible check
def box_of(mask):
    return np.array([2, 1, 7, 4])

#%% iou: sides that do not meet are not cut at zero
def iou(one, other):
    x0, y0, x1, y1 = *np.maximum(one[:2], other[:2]), *np.minimum(one[2:], other[2:])
    common = (x1 - x0) * (y1 - y0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return common / (sum(areas) - common)

#%% iou: the common part counted twice in the union
def iou(one, other):
    common = np.maximum(0, np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])).prod()
    return common / ((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod())

#%% iou: a pixel too many on each side
def iou(one, other):
    common = np.maximum(0, np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]) + 1).prod()
    return common / ((one[2:] - one[:2] + 1).prod() + (other[2:] - other[:2] + 1).prod() - common)

#%% iou: divided by the smaller box
def iou(one, other):
    common = np.maximum(0, np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])).prod()
    return common / min((one[2:] - one[:2]).prod(), (other[2:] - other[:2]).prod())

#%% max_box_acc: best threshold for each picture
def max_box_acc(ious, deltas):
    return np.array([(ious.max(axis=1) >= delta).mean() for delta in deltas])

#%% max_box_acc: > for ≥
def max_box_acc(ious, deltas):
    return np.array([(ious > delta).mean(axis=0).max() for delta in deltas])

#%% max_box_acc: mean over the thresholds
def max_box_acc(ious, deltas):
    return np.array([(ious >= delta).mean() for delta in deltas])

#%% max_box_acc: the first δ chooses for all
def max_box_acc(ious, deltas):
    best = (ious >= deltas[0]).mean(axis=0).argmax()
    return np.array([(ious[:, best] >= delta).mean() for delta in deltas])

#%% lead: threshold picked on the test split
def lead(choosing, judging, delta, draws):
    best = (judging >= delta).mean(axis=1).argmax(axis=1)
    first, second = [ious[:, t] >= delta for ious, t in zip(judging, best)]
    gain = first.astype(int) - second
    return gain.mean(), *np.quantile(gain[draws].mean(axis=1), (0.025, 0.975))

#%% lead: one threshold for both networks
def lead(choosing, judging, delta, draws):
    t = (choosing[0] >= delta).mean(axis=0).argmax()
    gain = (judging[0, :, t] >= delta).astype(int) - (judging[1, :, t] >= delta)
    return gain.mean(), *np.quantile(gain[draws].mean(axis=1), (0.025, 0.975))

#%% lead: threshold of the highest mean IoU
def lead(choosing, judging, delta, draws):
    best = choosing.mean(axis=1).argmax(axis=1)
    first, second = [ious[:, t] >= delta for ious, t in zip(judging, best)]
    gain = first.astype(int) - second
    return gain.mean(), *np.quantile(gain[draws].mean(axis=1), (0.025, 0.975))

#%% lead: > for ≥
def lead(choosing, judging, delta, draws):
    best = (choosing > delta).mean(axis=1).argmax(axis=1)
    first, second = [ious[:, t] > delta for ious, t in zip(judging, best)]
    gain = first.astype(int) - second
    return gain.mean(), *np.quantile(gain[draws].mean(axis=1), (0.025, 0.975))

#%% lead: not paired, each network has its own draw
def lead(choosing, judging, delta, draws):
    best = (choosing >= delta).mean(axis=1).argmax(axis=1)
    first, second = [(ious[:, t] >= delta).astype(int) for ious, t in zip(judging, best)]
    apart = first[draws].mean(axis=1) - second[draws[::-1]].mean(axis=1)
    return (first - second).mean(), *np.quantile(apart, (0.025, 0.975))

#%% lead: an interval of 90 %
def lead(choosing, judging, delta, draws):
    best = (choosing >= delta).mean(axis=1).argmax(axis=1)
    first, second = [ious[:, t] >= delta for ious, t in zip(judging, best)]
    gain = first.astype(int) - second
    return gain.mean(), *np.quantile(gain[draws].mean(axis=1), (0.05, 0.95))

#%% lead: of IoUs, not of objects found
def lead(choosing, judging, delta, draws):
    best = (choosing >= delta).mean(axis=1).argmax(axis=1)
    gain = judging[0, :, best[0]] - judging[1, :, best[1]]
    return gain.mean(), *np.quantile(gain[draws].mean(axis=1), (0.025, 0.975))

#%% pxap: mean over the pictures
def pxap(maps, masks):
    from sklearn.metrics import average_precision_score
    return np.mean([average_precision_score(mask.ravel(), heat.ravel()) for heat, mask in zip(maps, masks)])

#%% pxap: equal values one after another
def pxap(maps, masks):
    right = masks.ravel()[np.argsort(-maps.ravel(), kind="stable")]
    return (np.cumsum(right) / np.arange(1, right.size + 1) * right).sum() / right.sum()

#%% pxap: trapezoids
def pxap(maps, masks):
    values = np.unique(maps)[::-1]
    precision = [masks[maps >= value].mean() for value in values]
    recall = [masks[maps >= value].sum() / masks.sum() for value in values]
    return np.trapezoid(precision, recall)

#%% pxap: > for ≥
def pxap(maps, masks):
    total, before = 0, 0
    for value in np.unique(maps)[::-1]:
        reached = maps > value
        recall = masks[reached].sum() / masks.sum()
        total += (masks[reached].mean() if reached.any() else 0) * (recall - before)
        before = recall
    return total

#%% pointing: the first of equal points
def pointing(maps, masks):
    return np.array([mask.ravel()[heat.argmax()] for heat, mask in zip(maps, masks)], float)

#%% pointing: any of equal points
def pointing(maps, masks):
    return np.array([mask[heat == heat.max()].any() for heat, mask in zip(maps, masks)], float)

#%% pointing: one number for all pictures
def pointing(maps, masks):
    return np.mean([mask[heat == heat.max()].mean() for heat, mask in zip(maps, masks)])
