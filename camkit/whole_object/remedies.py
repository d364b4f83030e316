"""The whole object: six remedies for class activation maps that show only the part which tells a class best.

All have one signature. `locate = remedy(model, images, *, seed=0)` learns from labelled images what its paper learns,
on the frozen features F (h, w, K) of a model with a GAP head; images: a set with `labels`, one a picture, and
`batches`, all of it held in memory. `locate(batch, targets=None)` returns one map a picture, (B, y, x), higher where
the target class (one index, or one a picture; default: the predicted class) is likelier to be. M_c is the class
activation map. The model stays as it was. All raise HeadError where it has no GAP head, and ValueError for images of
another size than it takes, labels that its head does not know and targets that are no class.
"""

import keras
import numpy as np
from keras import layers

from camkit.maps.arrays import unit, upsample
from camkit.models import _probe as probe
from camkit.models._backend import compile_forward
from camkit.models._batches import batch_of, fixed_size
from camkit.models._copy import feature_model
from camkit.models._head import find_head
from camkit.models._serialize import fingerprint
from camkit.whole_object import _heads as heads
from camkit.whole_object import _regions as regions

REMEDY = "camkit.backbone(name, input_size=...) builds for another size"
BATCH, SIDE = 32, 48  # pictures read at once; cells a side of the map that colours redraw
SURE, GROUND = (
    0.8,
    0.2,
)  # of maps scaled to 0..1: the class is above the first, the ground below the second
READERS = {}  # what reads for the last model, by its fingerprint: several remedies ask for the same


def adversarial_erasing(model, images, *, steps=None, seed=0):
    """A locator that erases what it found and looks again; its map is the highest of all steps' maps, each in 0..1.

    Where M_c, scaled, exceeds SURE, a picture gets the mean colour of all; the next step's head learns on what is left
    (Wei et al., Object Region Mining with Adversarial Erasing, CVPR 2017; the highest map stands for its union of
    regions). The first head is the model's own. Steps end before the head that names less than half of what the first
    new one named of a fifth of the pictures, held out by `seed` (there: when training no longer converges), and after
    five; or as `steps` says.
    """
    read, head, pictures, F, labels = _opened(model, images)
    mean, classes = pictures.mean(axis=(0, 1, 2)), np.eye(len(head.bias))[labels]
    held = np.random.default_rng(seed).permutation(len(labels)) % 5 == 0
    kernels, least = [head.kernel], 0
    while len(kernels) < (steps or 5):
        pictures = regions.erased(pictures, _maps(F, kernels[-1], labels), mean, SURE)
        F = read(pictures)
        gap = F.mean(axis=(1, 2))
        W, b = heads.softmax_layer(gap[~held], classes[~held])
        right = ((gap @ W + b).argmax(axis=1) == labels)[held].mean()
        least = least or right / 2
        if steps is None and right < least:
            break
        kernels.append(W)

    def locate(batch, targets=None):
        F, targets = _asked(read, head, batch, targets)
        found = [_maps(F, kernels[0], targets)]
        for W in kernels[1:]:
            batch = regions.erased(batch, found[-1], mean, SURE)
            found.append(_maps(read(batch), W, targets))
        return np.max([unit(maps) for maps in found], axis=0)

    return locate


def multi_dilated(model, images, *, dilations=(1, 3, 6, 9), seed=0):
    """A locator whose kernels reach further: H = H_0 + (1/n) Σ H_i, the first map and the mean of the others.

    A layer of 64 channels on the features, then for each dilation (in cells) a 3×3 convolution and a GAP head, all
    trained together; H_i is the map, with its bias, whose mean is the logit of head i. Wide kernels carry the class
    from the part that tells it to what lies around; the mean dims what only one of them says (Wei et al., Revisiting
    Dilated Convolution, CVPR 2018: multi-dilated convolution, MDC).
    """
    read, head, _, F, labels = _opened(model, images)
    new, inputs = heads.maker(seed), keras.Input(F.shape[1:])
    x = new(64, 1, activation="relu")(inputs)
    blocks = [new(64, 3, padding="same", dilation_rate=d, activation="relu")(x) for d in dilations]
    net = keras.Model(inputs, [new(len(head.bias), 1)(block) for block in blocks])
    heads.train(net, [F], labels, seed)

    def locate(batch, targets=None):
        F, targets = _asked(read, head, batch, targets)
        first, *others = (H[np.arange(len(F)), ..., targets] for H in heads.outputs(net, F))
        return first + np.mean(others, axis=0) if others else first

    return locate


def seeded_region_growing(model, images, *, seed=0):
    """A locator that grows what is sure; its map (B, SIDE, SIDE) is the probability of the class against the ground.

    Seeds of a picture's class are the cells where M_c, scaled, exceeds SURE; of the ground, where `regions.unlike_rim`,
    scaled, is below GROUND. A softmax layer over the classes and the ground learns the cells: from the mean over the
    seeds of either kind (balanced seeding loss), and from its own maps redrawn by the colours (boundary loss). Then the
    seeds grow over connected cells of a probability above 0.85 (ground: 0.99); three times in turn (Huang et al.,
    Weakly-Supervised Semantic Segmentation Network with Deep Seeded Region Growing, CVPR 2018).
    """
    read, head, pictures, F, labels = _opened(model, images)
    size, compress = F.shape[1:3], heads.components(F, seed)
    small, E = [regions.cells(picture, size) for picture in pictures], compress(F)
    rim = np.stack([regions.cells(regions.unlike_rim(picture), size) for picture in pictures])
    seeds = np.stack([unit(rim) < GROUND, unit(_maps(F, head.kernel, labels)) > SURE])
    seeds[0] &= ~seeds[1]
    agreed = np.zeros(seeds.shape)
    for _ in range(3):
        losses = seeds / np.maximum(seeds.sum(axis=(2, 3), keepdims=True), 1) + agreed
        layer = heads.place_layer(E, losses, labels, head, seed)
        P = heads.against_ground(E, layer, labels)
        Q = np.stack([regions.redraw(*one) for one in zip(P, small)])
        agreed = np.stack([1 - Q, Q]) / Q[0].size
        seeds = regions.grow(seeds, np.stack([1 - P, P]), (0.99, 0.85))

    def locate(batch, targets=None):
        F, targets = _asked(read, head, batch, targets)
        P = upsample(heads.against_ground(compress(F), layer, targets), SIDE)
        return np.stack(
            [
                regions.redraw(p, regions.cells(picture, (SIDE, SIDE)))
                for p, picture in zip(P, batch)
            ]
        )

    return locate


def superpixels(model, images, *, seed=0):
    """A locator that decides for regions of like colour; its map (B, 112, 112) is the probability of being the object.

    The first objects of a picture are its superpixels whose mean of M_c, scaled, exceeds one half. Then, twice in turn:
    a softmax layer over the classes and the ground learns the superpixels from their mean features (region network),
    what it finds is refined by `regions.refine`, a second layer learns the cells from the share that objects have in
    them (pixel network), and its mean over superpixels gives the next objects (Wang et al., Weakly-Supervised Semantic
    Segmentation by Iteratively Mining Common Object Features, CVPR 2018, which refines in the first turn only). The map
    is the mean of both layers, refined.
    """
    read, head, pictures, F, labels = _opened(model, images)
    (N, *size), compress = F.shape[:3], heads.components(F, seed)
    E, parts = compress(F), [regions.cut(picture, tuple(size)) for picture in pictures]
    owner = np.repeat(np.arange(N), [len(part.sizes) for part in parts])
    X = np.concatenate([part.weights @ e.reshape(-1, e.shape[-1]) for e, part in zip(E, parts)])
    P = unit(_maps(F, head.kernel, labels))
    for _ in range(2):
        pooled = np.concatenate([part.weights @ p.ravel() for p, part in zip(P, parts)]) > 0.5
        by_region = heads.place_layer(
            X, np.stack([~pooled, pooled]).astype(float), labels[owner], head, seed
        )
        found = heads.against_ground(X, by_region, labels[owner])
        objects = [regions.refine(found[owner == n], part) for n, part in enumerate(parts)]
        share = np.stack([regions.shares(p, part) for p, part in zip(objects, parts)]).reshape(
            P.shape
        )
        by_cell = heads.place_layer(E, np.stack([1 - share, share]), labels, head, seed)
        P = heads.against_ground(E, by_cell, labels)

    def locate(batch, targets=None):
        F, targets = _asked(read, head, batch, targets)
        E, maps = compress(F), []
        for picture, e, p, c in zip(batch, E, heads.against_ground(E, by_cell, targets), targets):
            part = regions.cut(picture, p.shape)
            found = heads.against_ground(
                part.weights @ e.reshape(p.size, -1), by_region, np.full(len(part.sizes), c)
            )
            maps.append(regions.refine((found + part.weights @ p.ravel()) / 2, part)[part.labels])
        return np.stack(maps)

    return locate


def ficklenet(model, images, *, rate=0.9, passes=20, seed=0):
    """A locator that looks many times, each time at other cells; its map is the highest of the passes', each in 0..1.

    A layer of 32 channels on the features, then one layer makes 64 channels of each window of 5×5 cells, and a GAP
    head maps of them. In training and later, every window drops each of its cells, but the one in its centre, with the
    probability `rate`, so that ever other parts must tell the class (Lee et al., FickleNet, CVPR 2019: dropout that
    preserves the centre, on an expanded feature map; the highest map here is the union of their maps there).
    """
    read, head, _, F, labels = _opened(model, images)
    new, (h, w), inputs = heads.maker(seed), F.shape[1:3], keras.Input(F.shape[1:])
    x = layers.ZeroPadding2D(2)(new(32, 1, activation="relu")(inputs))
    windows = keras.ops.stack(
        [x[:, i : i + h, j : j + w] for i in range(5) for j in range(5)], axis=3
    )
    kept = keras.Input((h, w, 25))
    x = layers.Reshape((h, w, 25 * 32))(windows * kept[..., None])
    net = keras.Model([inputs, kept], new(len(head.bias), 1)(new(64, 1, activation="relu")(x)))

    def draw(count, rng):
        kept = rng.random((count, h, w, 25)) >= rate
        kept[..., 12] = True  # the centre
        return kept / (1 - rate * 24 / 25)

    heads.train(net, [F, draw], labels, seed)

    def locate(batch, targets=None):
        F, targets = _asked(read, head, batch, targets)
        rng, own = np.random.default_rng(seed), np.arange(len(F))
        looks = (
            np.repeat(draw(1, rng), len(F), axis=0) for _ in range(passes)
        )  # the same for each picture
        return np.max(
            [unit(heads.outputs(net, F, kept)[0][own, ..., targets]) for kept in looks], axis=0
        )

    return locate


def cross_image(model, images, *, references=8, seed=0):
    """A locator that asks other pictures of the class; its map is the mean of M_c and of what they have of like cells.

    A cell i takes from the cells j of a picture Σ_j softmax_j(cos(E_i, E_j) / 0.1) M_c(j), E principal components of
    the features. The mean is taken over `references` pictures of the class, drawn by `seed`, and the picture itself.
    As the head is linear, this is the map of features completed in the same way (Fan et al., CIAN: Cross-Image Affinity
    Net, AAAI 2020, where E is trained with the network).
    """
    read, head, _, F, labels = _opened(model, images)
    compress, rng = heads.components(F, seed), np.random.default_rng(seed)
    bank = [
        rng.permutation(np.flatnonzero(labels == c))[:references] for c in range(len(head.bias))
    ]
    E, M = heads.directions(compress(F)), _maps(F, head.kernel, labels)

    def locate(batch, targets=None):
        F, targets = _asked(read, head, batch, targets)
        maps, own = _maps(F, head.kernel, targets), heads.directions(compress(F))
        told = [
            np.mean([heads.told(e, e, m), *(heads.told(e, E[r], M[r]) for r in bank[c])], axis=0)
            for e, m, c in zip(own, maps, targets)
        ]
        return (maps + np.array(told)) / 2

    return locate


# What they share ------------------------------------------------------------------------------------------------------


def _reader(model):
    """(read, head): read(pictures (B, H, W, 3)) gives features (B, h, w, K) float32; head is the model's GAP head."""
    head, key = find_head(model), fingerprint(model)
    if key in READERS:
        return READERS[key], head
    features = feature_model(model, head)
    forward = compile_forward(
        lambda x: keras.ops.cast(features(x, training=False), "float32"), features
    )

    def read(pictures):
        found = []
        for start in range(0, len(pictures), BATCH):
            some = batch_of(pictures[start : start + BATCH], features.input_shape[1:], REMEDY)
            full = np.resize(
                some, (min(BATCH, len(pictures)), *some.shape[1:])
            )  # compiled for one size
            found.append(forward(full)[: len(some)])
        return np.concatenate(found)

    read.size = fixed_size(features.input_shape[1:], REMEDY)
    READERS.clear()
    READERS[key] = read
    return read, head


def _opened(model, images):
    """What reads, the head, and the images as uint8 (N, H, W, 3), features F (N, h, w, K) and labels (N,)."""
    read, head = _reader(model)
    labels = np.ravel(images.labels)
    if len(labels) != len(images) or not np.isin(labels, np.arange(len(head.bias))).all():
        raise ValueError(
            f"{len(images)} images have {len(labels)} labels, {labels.min()} to {labels.max()}: one a "
            f"picture, 0 to {len(head.bias) - 1} as in the model's head, is needed"
        )
    pictures = np.concatenate(list(images.batches(BATCH, read.size)))
    return read, head, pictures, read(pictures), labels


def _asked(read, head, batch, targets):
    """Features (B, h, w, K) and target classes (B,) of a batch."""
    F = read(batch)
    return F, probe.choose(F.mean(axis=(1, 2)) @ head.kernel + head.bias, targets)


def _maps(F, W, targets):
    """The class activation maps (B, h, w) of the targets (B,)."""
    return np.einsum("nyxk,kn->nyx", F, W[:, targets])
