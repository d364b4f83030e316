"""Six remedies for class activation maps that show only the most telling part of an object.

All have one signature. `locate = remedy(model, images, *, seed=0)` learns from labelled images what
its paper learns, on the frozen features F (h, w, K) of a model with a GAP head. The images are a
set with `labels`, one per image, and `batches`; all of it is held in memory.
`locate(batch, targets=None)` returns one map per image, (B, y, x), which is higher where the target
class is more likely. The target is one class index, or one per image; by default it is the
predicted class. M_c is the class activation map. The model is not changed.

All raise HeadError if the model has no GAP head, and ValueError for images of another size than it
takes, labels that are not classes of its head, and targets that are not classes.
"""

from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import layers

from camkit.maps.arrays import unit, upsample
from camkit.whole_object import _heads as heads, _regions as regions
from camkit.whole_object._reader import LabelledImages, class_maps, read_training_images

Locator = Callable[..., np.ndarray]

# In maps scaled to 0..1, a cell above the first value surely belongs to the object, and one below
# the second surely to the background.
SURE_OBJECT = 0.8
SURE_BACKGROUND = 0.2

# The largest number of erasing steps, the first of which is the model's own head.
ERASING_STEPS = 5

# The probabilities above which a cell joins the seeds of the background and of the object.
GROWTH = (0.99, 0.85)

# The number of cells per side of the map that is redrawn by colours.
SIDE = 48

# The side of the windows of cells of FickleNet.
WINDOW = 5


def adversarial_erasing(
    model: keras.Model, images: LabelledImages, *, steps: int | None = None, seed: int = 0
) -> Locator:
    """Return a locator that erases the regions that it has located, and looks again.

    Where M_c, scaled to 0..1, exceeds 0.8, an image is painted with the mean colour of all images;
    the head of the next step learns on the rest. The first head is the model's own. The map of the
    locator is the highest of all steps' maps, each scaled to 0..1 (Wei et al., Object Region Mining
    with Adversarial Erasing, CVPR 2017; the highest map stands for their union of regions).

    Args:
        model: A model with a GAP head.
        images: Labelled images to learn from.
        steps: The number of steps. By default they end before the first head that classifies fewer
            than half as many held-out images correctly as the first new head, and after five at the
            latest (in the paper: when training no longer converges). A fifth of the images is held
            out.
        seed: Draws the images that are held out.

    Returns:
        `locate(batch, targets=None)`, whose maps (B, h, w) are 0..1.

    Example:
        >>> from camkit.whole_object import adversarial_erasing
        >>> import camkit
        >>> images = camkit.load_images("mini", "Training", per_class=2)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> locate = adversarial_erasing(model, images, steps=2)
        >>> locate(next(images.batches(4, 100))).shape
        (4, 13, 13)
    """
    training = read_training_images(model, images)
    reader = training.reader
    mean_colour = training.images.mean(axis=(0, 1, 2))
    classes = np.eye(reader.class_count)
    one_hot = classes[training.labels]
    order = np.random.default_rng(seed).permutation(len(training.labels))
    is_held_out = order % 5 == 0
    is_learnt = ~is_held_out

    kernels = [reader.head.kernel]
    erased = training.images
    features = training.features
    least_accuracy = 0
    while len(kernels) < (steps or ERASING_STEPS):
        maps = class_maps(features, kernels[-1], training.labels)
        erased = regions.erase(erased, maps, mean_colour, SURE_OBJECT)
        features = reader.features(erased)
        gap = features.mean(axis=(1, 2))
        kernel, bias = heads.fit_softmax(gap[is_learnt], one_hot[is_learnt])
        predicted = (gap @ kernel + bias).argmax(axis=1)
        is_correct = predicted == training.labels
        accuracy = is_correct[is_held_out].mean()
        if least_accuracy == 0:
            least_accuracy = accuracy / 2
        if steps is None and accuracy < least_accuracy:
            break
        kernels.append(kernel)

    def locate(batch: np.ndarray, targets: int | np.ndarray | None = None) -> np.ndarray:
        features, targets = reader.features_and_targets(batch, targets)
        maps = [class_maps(features, kernels[0], targets)]
        for kernel in kernels[1:]:
            batch = regions.erase(batch, maps[-1], mean_colour, SURE_OBJECT)
            maps.append(class_maps(reader.features(batch), kernel, targets))
        return np.max([unit(step_maps) for step_maps in maps], axis=0)

    return locate


def multi_dilated(
    model: keras.Model,
    images: LabelledImages,
    *,
    dilations: Sequence[int] = (1, 3, 6, 9),
    seed: int = 0,
) -> Locator:
    """Return a locator whose kernels reach further: H = H_0 + (1/n) Σ H_i.

    A layer of 64 channels on the features is followed, for each dilation, by a 3×3 convolution and
    a GAP head; all are trained together. H_i is the map, with its bias, whose mean is the logit of
    head i. Wide kernels carry the evidence from the most telling part to its surroundings; the mean
    of all maps except the first weakens what only one of them shows (Wei et al., Revisiting Dilated
    Convolution, CVPR 2018: multi-dilated convolution, MDC).

    Args:
        model: A model with a GAP head.
        images: Labelled images to learn from.
        dilations: The dilations, in cells.
        seed: Draws the first weights and the order of the images.

    Returns:
        `locate(batch, targets=None)`, whose maps (B, h, w) are those of logits.

    Example:
        >>> from camkit.whole_object import multi_dilated
        >>> import camkit
        >>> images = camkit.load_images("mini", "Training", per_class=2)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> locate = multi_dilated(model, images, dilations=(1, 2))
        >>> locate(next(images.batches(4, 100))).shape
        (4, 13, 13)
    """
    training = read_training_images(model, images)
    reader = training.reader
    convolution = heads.convolution_factory(seed)
    inputs = keras.Input(training.features.shape[1:])
    x = convolution(64, 1, activation="relu")(inputs)
    blocks = []
    for dilation in dilations:
        block = convolution(64, 3, padding="same", dilation_rate=dilation, activation="relu")
        blocks.append(block(x))
    maps = [convolution(reader.class_count, 1)(block) for block in blocks]
    net = keras.Model(inputs, maps)
    heads.train_maps(net, [training.features], training.labels, seed)

    def locate(batch: np.ndarray, targets: int | np.ndarray | None = None) -> np.ndarray:
        features, targets = reader.features_and_targets(batch, targets)
        outputs = heads.predict_maps(net, features)
        maps = [heads.of_targets(output, targets) for output in outputs]
        if len(maps) == 1:
            return maps[0]
        return maps[0] + np.mean(maps[1:], axis=0)

    return locate


def seeded_region_growing(model: keras.Model, images: LabelledImages, *, seed: int = 0) -> Locator:
    """Return a locator that grows regions from cells whose class is sure.

    Seeds of an image's class are the cells where M_c, scaled to 0..1, exceeds 0.8; seeds of the
    background are those where the difference from the colour of the rim, scaled, is below 0.2. A
    softmax layer over the classes and the background learns the cells: from the mean over the seeds
    of either kind (balanced seeding loss), and from its own maps redrawn by the colours (boundary
    loss). Then the seeds grow over connected cells of a probability above 0.85 (background: 0.99).
    All that is done three times in turn (Huang et al., Weakly-Supervised Semantic Segmentation
    Network with Deep Seeded Region Growing, CVPR 2018).

    Args:
        model: A model with a GAP head.
        images: Labelled images to learn from.
        seed: Draws the cells that are learnt.

    Returns:
        `locate(batch, targets=None)`, whose maps (B, 48, 48) are the probability of the class
        against the background.

    Example:
        >>> from camkit.whole_object import seeded_region_growing
        >>> import camkit
        >>> images = camkit.load_images("mini", "Training", per_class=2)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> locate = seeded_region_growing(model, images)
        >>> locate(next(images.batches(4, 100))).shape
        (4, 48, 48)
    """
    training = read_training_images(model, images)
    reader = training.reader
    labels = training.labels
    components = heads.fit_components(training.features, seed)
    cells = components.project(training.features)
    seeds = _first_seeds(training.images, training.class_maps())
    size = cells.shape[1:3]
    small_images = [regions.shrink(image, size) for image in training.images]

    boundary_loss = np.zeros(seeds.shape)
    for _ in range(3):
        seed_counts = seeds.sum(axis=(2, 3), keepdims=True)
        seeding_loss = seeds / np.maximum(seed_counts, 1)
        losses = seeding_loss + boundary_loss
        layer = heads.fit_cell_layer(cells, losses, labels, reader.class_count, seed)
        probability = heads.probability_against_background(cells, layer, labels)
        redrawn = _redraw_all(probability, small_images)
        boundary_loss = np.stack([1 - redrawn, redrawn]) / redrawn[0].size
        probabilities = np.stack([1 - probability, probability])
        seeds = regions.grow(seeds, probabilities, GROWTH)

    def locate(batch: np.ndarray, targets: int | np.ndarray | None = None) -> np.ndarray:
        features, targets = reader.features_and_targets(batch, targets)
        cells = components.project(features)
        probability = heads.probability_against_background(cells, layer, targets)
        small_images = [regions.shrink(image, (SIDE, SIDE)) for image in batch]
        return _redraw_all(upsample(probability, SIDE), small_images)

    return locate


def _first_seeds(images: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Return the seeds (2, N, h, w) bool of background and class; a cell of both is the class's."""
    size = maps.shape[1:]
    differences = [regions.shrink(regions.rim_difference(image), size) for image in images]
    is_class = unit(maps) > SURE_OBJECT
    is_background = unit(np.stack(differences)) < SURE_BACKGROUND
    return np.stack([is_background & ~is_class, is_class])


def _redraw_all(probabilities: np.ndarray, images: Sequence[np.ndarray]) -> np.ndarray:
    """Return probabilities (N, h, w) that follow the colours of images (h, w, 3)."""
    pairs = zip(probabilities, images, strict=True)
    return np.stack([regions.redraw(probability, image) for probability, image in pairs])


def superpixels(model: keras.Model, images: LabelledImages, *, seed: int = 0) -> Locator:
    """Return a locator that classifies regions of similar colour.

    The first objects of an image are its superpixels whose mean of M_c, scaled to 0..1, exceeds one
    half. Then, twice in turn: a softmax layer over the classes and the background learns the
    superpixels from their mean features (region network); its objects are refined by Bayes' rule
    with the difference from the rim as prior; a second layer learns the cells from the share that
    objects cover of them (pixel network); its mean over superpixels gives the next objects. The map
    is the mean of both layers, refined (Wang et al., Weakly-Supervised Semantic Segmentation by
    Iteratively Mining Common Object Features, CVPR 2018, which refines in the first turn only).

    Args:
        model: A model with a GAP head.
        images: Labelled images to learn from.
        seed: Draws the cells and superpixels that are learnt.

    Returns:
        `locate(batch, targets=None)`, whose maps (B, 112, 112) are the probability of the object.

    Example:
        >>> from camkit.whole_object import superpixels
        >>> import camkit
        >>> images = camkit.load_images("mini", "Training", per_class=2)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> locate = superpixels(model, images)
        >>> locate(next(images.batches(4, 100))).shape
        (4, 112, 112)
    """
    training = read_training_images(model, images)
    reader = training.reader
    labels = training.labels
    class_count = reader.class_count
    components = heads.fit_components(training.features, seed)
    cells = components.project(training.features)
    size = cells.shape[1:3]
    cuts = [regions.cut_regions(image, size) for image in training.images]
    region_labels = np.repeat(labels, [len(cut.sizes) for cut in cuts])
    region_features = _pool_all(cuts, cells)

    probability = unit(training.class_maps())
    for _ in range(2):
        is_object = _pool_all(cuts, probability) > 0.5
        losses = np.stack([~is_object, is_object]).astype(float)
        region_layer = heads.fit_cell_layer(
            region_features, losses, region_labels, class_count, seed
        )
        region_probability = heads.probability_against_background(
            region_features, region_layer, region_labels
        )
        shares = _object_shares(cuts, region_probability).reshape(probability.shape)
        losses = np.stack([1 - shares, shares])
        cell_layer = heads.fit_cell_layer(cells, losses, labels, class_count, seed)
        probability = heads.probability_against_background(cells, cell_layer, labels)

    def locate_one(
        image: np.ndarray, cells: np.ndarray, probability: np.ndarray, target: int
    ) -> np.ndarray:
        cut = regions.cut_regions(image, probability.shape)
        region_targets = np.full(len(cut.sizes), target)
        by_region = heads.probability_against_background(
            cut.pool(cells), region_layer, region_targets
        )
        by_cell = cut.pool(probability)
        refined = regions.refine((by_region + by_cell) / 2, cut)
        return refined[cut.labels]

    def locate(batch: np.ndarray, targets: int | np.ndarray | None = None) -> np.ndarray:
        features, targets = reader.features_and_targets(batch, targets)
        cells = components.project(features)
        probability = heads.probability_against_background(cells, cell_layer, targets)
        parts = zip(batch, cells, probability, targets, strict=True)
        return np.stack([locate_one(*part) for part in parts])

    return locate


def _pool_all(cuts: list[regions.Regions], cells: np.ndarray) -> np.ndarray:
    """Return the means (M, …) over the M regions of all images, of cells (N, h, w, …)."""
    pooled = [cut.pool(of_image) for cut, of_image in zip(cuts, cells, strict=True)]
    return np.concatenate(pooled)


def _object_shares(cuts: list[regions.Regions], probability: np.ndarray) -> np.ndarray:
    """Return the share (N, h·w) of cells that objects cover, by the probability (M,) of regions."""
    ends = np.cumsum([len(cut.sizes) for cut in cuts])
    shares = []
    probabilities = np.split(probability, ends[:-1])
    for cut, of_image in zip(cuts, probabilities, strict=True):
        refined = regions.refine(of_image, cut)
        shares.append(regions.object_shares(refined, cut))
    return np.stack(shares)


def ficklenet(
    model: keras.Model,
    images: LabelledImages,
    *,
    rate: float = 0.9,
    passes: int = 20,
    seed: int = 0,
) -> Locator:
    """Return a locator that looks at an image many times, each time at other cells.

    A layer of 32 channels on the features is followed by one that computes 64 channels from each
    window of 5×5 cells, and by a GAP head that computes maps from them. In training and later, each
    window drops its cells at random, except the one in its centre, so that other parts must
    identify the class each time. The map of the locator is the highest of those of all passes, each
    scaled to 0..1 (Lee et al., FickleNet, CVPR 2019: dropout that preserves the centre, on an
    expanded feature map; the highest map here corresponds to the union of their maps there).

    Args:
        model: A model with a GAP head.
        images: Labelled images to learn from.
        rate: The probability 0..1 of dropping a cell.
        passes: The number of passes over an image.
        seed: Draws the first weights, the order of the images and the cells that are dropped.

    Returns:
        `locate(batch, targets=None)`, whose maps (B, h, w) are 0..1.

    Example:
        >>> from camkit.whole_object import ficklenet
        >>> import camkit
        >>> images = camkit.load_images("mini", "Training", per_class=2)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> locate = ficklenet(model, images, passes=2)
        >>> locate(next(images.batches(4, 100))).shape
        (4, 13, 13)
    """
    training = read_training_images(model, images)
    reader = training.reader
    height, width = training.features.shape[1:3]
    window_size = WINDOW**2
    centre = window_size // 2
    # Dropout scales the remaining cells, so that the expected mean of a window is unchanged.
    retained_share = 1 - rate * (window_size - 1) / window_size

    def draw(count: int, rng: np.random.Generator) -> np.ndarray:
        is_retained = rng.random((count, height, width, window_size)) >= rate
        is_retained[..., centre] = True
        return is_retained / retained_share

    shape = training.features.shape[1:]
    net = _window_network(shape, reader.class_count, seed)
    heads.train_maps(net, [training.features, draw], training.labels, seed)

    def locate(batch: np.ndarray, targets: int | np.ndarray | None = None) -> np.ndarray:
        features, targets = reader.features_and_targets(batch, targets)
        rng = np.random.default_rng(seed)
        maps = []
        for _ in range(passes):
            # All images drop the same cells, so that a map does not depend on the other images.
            scale = np.repeat(draw(1, rng), len(features), axis=0)
            (all_maps,) = heads.predict_maps(net, features, scale)
            maps.append(unit(heads.of_targets(all_maps, targets)))
        return np.max(maps, axis=0)

    return locate


def _window_network(shape: tuple[int, int, int], class_count: int, seed: int) -> keras.Model:
    """Return a network of windows of 5×5 cells, each scaled by a second input (h, w, 25)."""
    height, width, _ = shape
    convolution = heads.convolution_factory(seed)
    inputs = keras.Input(shape)
    scale = keras.Input((height, width, WINDOW**2))
    squeeze = convolution(32, 1, activation="relu")
    classify = convolution(class_count, 1)
    expand = convolution(64, 1, activation="relu")
    x = layers.ZeroPadding2D(WINDOW // 2)(squeeze(inputs))
    shifted = []
    for row in range(WINDOW):
        for column in range(WINDOW):
            below = row + height
            shifted.append(x[:, row:below, column : column + width])
    windows = keras.ops.stack(shifted, axis=3) * scale[..., None]
    x = layers.Reshape((height, width, WINDOW**2 * 32))(windows)
    return keras.Model([inputs, scale], classify(expand(x)))


def cross_image(
    model: keras.Model, images: LabelledImages, *, references: int = 8, seed: int = 0
) -> Locator:
    """Return a locator that uses other images of the class.

    A cell i takes Σ_j softmax_j(cos(E_i, E_j) / 0.1) M_c(j) from the cells j of an image, where E
    are principal components of the features. This is averaged over some images of the class, the
    references, and the image itself; the map of the locator is the mean of M_c and this average.
    As the head is linear, this equals the map of features completed in the same way (Fan et al.,
    CIAN: Cross-Image Affinity Net, AAAI 2020, where E is trained with the network).

    Args:
        model: A model with a GAP head.
        images: Labelled images to learn from.
        references: The number of references of each class.
        seed: Draws the references, and the cells of which principal components are computed.

    Returns:
        `locate(batch, targets=None)`, whose maps (B, h, w) have the unit of M_c.

    Example:
        >>> from camkit.whole_object import cross_image
        >>> import camkit
        >>> images = camkit.load_images("mini", "Training", per_class=2)
        >>> model = camkit.gap_classifier(camkit.backbone("mini"), images.class_names)
        >>> locate = cross_image(model, images, references=1)
        >>> locate(next(images.batches(4, 100))).shape
        (4, 13, 13)
    """
    training = read_training_images(model, images)
    reader = training.reader
    kernel = reader.head.kernel
    components = heads.fit_components(training.features, seed)
    training_cells = heads.unit_vectors(components.project(training.features))
    training_maps = training.class_maps()
    rng = np.random.default_rng(seed)
    references_of_class = []
    for c in range(reader.class_count):
        of_class = np.flatnonzero(training.labels == c)
        references_of_class.append(rng.permutation(of_class)[:references])

    def transfer(cells: np.ndarray, heat: np.ndarray, target: int) -> np.ndarray:
        transferred = [heads.transfer_map(cells, cells, heat)]
        for n in references_of_class[target]:
            transferred.append(heads.transfer_map(cells, training_cells[n], training_maps[n]))
        return np.mean(transferred, axis=0)

    def locate(batch: np.ndarray, targets: int | np.ndarray | None = None) -> np.ndarray:
        features, targets = reader.features_and_targets(batch, targets)
        maps = class_maps(features, kernel, targets)
        cells = heads.unit_vectors(components.project(features))
        parts = zip(cells, maps, targets, strict=True)
        transferred = np.stack([transfer(*part) for part in parts])
        return (maps + transferred) / 2

    return locate
