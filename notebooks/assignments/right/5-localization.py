#%% scale: in place
def scale(maps):
    maps -= maps.min(axis=(1, 2), keepdims=True)
    top = maps.max(axis=(1, 2), keepdims=True)
    maps /= np.where(top > 0, top, 1)
    return maps

#%% scale: a list of float32
def scale(maps):
    scaled = []
    for heat in maps.astype("float32"):
        low, high = heat.min(), heat.max()
        scaled.append((heat - low) / (high - low) if high > low else np.zeros_like(heat))
    return scaled

#%% largest_part: whole numbers
def largest_part(heat, threshold):
    parts, count = ndimage.label(heat >= threshold, np.ones((3, 3)))
    sizes = ndimage.sum_labels(parts > 0, parts, range(1, count + 1))
    return (parts == np.argmax(sizes) + 1).astype(int)

#%% box_of: slices
def box_of(mask):
    (rows, columns), *_ = ndimage.find_objects(mask.astype(int))
    return columns.start, rows.start, columns.stop, rows.stop

#%% iou: masks, one row of one column
def iou(one, other):
    masks = np.zeros((2, 40, 40), bool)
    for mask, (x0, y0, x1, y1) in zip(masks, (one, other)):
        mask[y0:y1, x0:x1] = True
    return [[masks.all(axis=0).sum() / masks.any(axis=0).sum()]]

#%% max_box_acc: a list
def max_box_acc(ious, deltas):
    return [max((ious >= delta).mean(axis=0)) for delta in deltas]

#%% lead: the interval as a pair
def lead(choosing, judging, delta, draws):
    t = [int(np.argmax((ious >= delta).sum(axis=0))) for ious in choosing]
    gain = (judging[0][:, t[0]] >= delta) * 1 - (judging[1][:, t[1]] >= delta)
    leads = [np.mean(gain[row]) for row in draws]
    return gain.mean(), (np.percentile(leads, 2.5), np.percentile(leads, 97.5))

#%% pxap: sorted, and by groups
def pxap(maps, masks):
    values, hits = maps.ravel(), masks.ravel().astype(bool)
    order = np.argsort(-values)
    values, hits = values[order], np.cumsum(hits[order])
    last = np.append(values[1:] != values[:-1], True)
    precision, recall = (hits / np.arange(1, len(hits) + 1))[last], (hits / hits[-1])[last]
    return np.sum(precision * np.diff(recall, prepend=0))

#%% pointing: a list
def pointing(maps, masks):
    return [float(np.mean(mask[heat == heat.max()])) for heat, mask in zip(maps, masks)]
