"""Copies: the same picture twice, also if it was saved again, resized, mirrored or cropped."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree

from camkit._progress import progress
from camkit.faults._alignment import align, stretch
from camkit.faults._images import Fault, Images
from camkit.faults._labels import Opinions
from camkit.faults._neighbours import nearest
from camkit.images.decoding import THREADS

# Copies differ by less than this share of their contrast, at 16×16 pixels. Saving an image of 100
# pixels at JPEG quality 35 changes 1 to 2.6 %, at half the size 0.9 to 2 %. Frames of an object
# that was turned by 24 degrees differ by 2.9 % and more; by 3 degrees they may differ by 1 %.
LIMIT = 0.027

# Therefore copies also differ by less than half of what the nearest other image differs.
SHARE_OF_OTHERS = 0.5

# The most similar images that are compared by their pixels.
CANDIDATES = 8

# Copies have the same colours within so many levels (the root of the mean square).
COLOUR = 6.0

# Only images with at least this contrast, in levels, are told apart by it.
LEAST_CONTRAST = 4.0

# Images are first compared by so many of the lowest frequencies along each axis.
FREQUENCIES = 6

# A crop leaves at most this share of one of the sides.
MOST_OF_SIDE = 0.97

# Where a crop is looked for: in the middle, in a corner or at a side of nine tenths, and in the
# middle of four fifths.
_SIDES = (-0.1, 0.1)
WINDOWS = np.array(
    [
        (0.9, 0, 0.9, 0),
        *[(0.9, y, 0.9, x) for y in _SIDES for x in _SIDES],
        *[(0.9, y, 1, 0) for y in _SIDES],
        *[(1, 0, 0.9, x) for x in _SIDES],
        (0.8, 0, 0.8, 0),
    ],
    "float32",
)

# The windows of an image that are aligned, their least likeness, and how much they may differ then.
ALIGNED = 4
LEAST_LIKENESS = 0.8
COARSE_LIMIT = 0.3

# Crops are compared at this side, and then differ by less than this share of their contrast: 2.5 %
# if a tenth is cut off and 3.6 % if a fifth is. Frames of a turned object differ by 4.4 % and more.
SIDE = 64
CROP_LIMIT = 0.033

# The number of images whose crops are looked for at a time.
BLOCK = 512

# The ways in which two images are copies, the surest first.
WAYS = ["same", "nearly the same", "mirrored", "cropped"]


class Pair(NamedTuple):
    """Two images that are copies: how, and by which share of their contrast they differ."""

    image: int
    other: int
    way: str
    difference: float


class Copies(NamedTuple):
    """The copies among N images.

    Attributes:
        groups: (N,) a number for each group of copies; an image without copies is alone in its
            group.
        pairs: The pairs that hold the groups together, by the indices of their images, the lower
            one first. A group of k images has at least k - 1.
    """

    groups: np.ndarray
    pairs: dict[tuple[int, int], Pair]

    def are_copies(self, i: int, j: int) -> bool:
        """Return whether two images are in one group."""
        return bool(self.groups[i] == self.groups[j])

    def of_two_labels(self, images: Images) -> set[int]:
        """Return the images that are in a pair of two labels."""
        found: set[int] = set()
        for ends in self.pairs:
            if images.has_two_labels(*ends):
                found.update(ends)
        return found


def find_copies(images: Images, thumbnails: np.ndarray, neighbours: np.ndarray) -> Copies:
    """Return the copies.

    Args:
        images: The images.
        thumbnails: (N, 16, 16, 3) uint8, their pixels.
        neighbours: (N, n) the most similar images of each by its features, among which crops are
            looked for.
    """
    pixels = thumbnails.astype("float32")
    mirrored = pixels[:, :, ::-1]
    gray = luminance(pixels)
    pairs = [
        *_same(images, thumbnails),
        *_alike(pixels, pixels, "nearly the same"),
        *_alike(pixels, mirrored, "mirrored"),
        *_cropped(images, gray, neighbours),
    ]
    surest: dict[tuple[int, int], Pair] = {}
    # Of several ways, the surest one is written last and remains.
    for pair in sorted(pairs, key=_doubt, reverse=True):
        ends = _ends(pair.image, pair.other)
        surest[ends] = pair
    graph = _graph(surest, len(pixels))
    _, groups = connected_components(graph, directed=False)
    return Copies(groups, surest)


def list_copies(
    images: Images, copies: Copies, area: np.ndarray, opinions: Opinions
) -> Iterator[Fault]:
    """Yield a fault for each copy in a group but the one that is kept.

    One whose label or split is not that of the kept one is compared with this, the others with the
    one that they are most similar to.

    Args:
        images: The images.
        copies: Their copies.
        area: (N,) the number of pixels of each file.
        opinions: What the other images say of the labels.
    """
    graph = _graph(copies.pairs, len(copies.groups))
    tree = minimum_spanning_tree(graph)
    sizes = np.bincount(copies.groups)
    for group in np.flatnonzero(sizes > 1):
        members = np.flatnonzero(copies.groups == group)
        kept = _kept(images, members, area, opinions)
        order, before = breadth_first_order(tree, kept, directed=False)
        # The least sure pair on the way from the kept one to each other one.
        weakest: dict[int, Pair] = {}
        for i in order[1:].tolist():
            j = int(before[i])
            pair = copies.pairs[_ends(i, j)]
            before_it = weakest.get(j, pair)
            weakest[i] = max(pair, before_it, key=_doubt)
            is_elsewhere = images.splits[i] != images.splits[kept]
            if is_elsewhere or images.has_two_labels(i, kept):
                pair = weakest[i]
                j = kept
            yield _fault(images, pair, i, j, opinions)


def luminance(pixels: np.ndarray) -> np.ndarray:
    """Return the luminance (..., H, W) of pixels (..., H, W, 3)."""
    weights = np.array([0.299, 0.587, 0.114], "float32")
    return pixels @ weights


def _same(images: Images, thumbnails: np.ndarray) -> Iterator[Pair]:
    """Yield images with the same pixels, each with the one before it in the same group."""
    rows = thumbnails.reshape(len(thumbnails), -1)
    _, number, counts = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    is_repeated = counts[number.ravel()] > 1
    last: dict[bytes, int] = {}
    for i in np.flatnonzero(is_repeated).tolist():
        content = images.digest(i)
        if content in last:
            yield Pair(i, last[content], "same", 0.0)
        last[content] = i


def _alike(thumbnails: np.ndarray, views: np.ndarray, way: str) -> Iterator[Pair]:
    """Yield the images whose pixels are nearly those of a view of another one.

    Args:
        thumbnails: (N, S, S, 3) float32.
        views: (N, S, S, 3) the same, or mirrored.
        way: How these images are copies.
    """
    gray = luminance(thumbnails)
    gray_views = luminance(views)
    contrast = gray.std(axis=(1, 2))
    count = min(CANDIDATES, len(gray) - 1)
    candidates = nearest(frequencies(gray), frequencies(gray_views), count)
    differences = np.empty(candidates.shape, "float32")
    for k, others in enumerate(candidates.T):
        least = np.minimum(contrast, contrast[others])
        differences[:, k] = _share_of_contrast(gray - gray_views[others], least)

    # The nearest image that cannot be a copy. If there is none, it is as far as a copy may be.
    is_other = differences >= LIMIT
    of_others = np.where(is_other, differences, np.inf).min(axis=1)
    of_others[np.isinf(of_others)] = LIMIT
    limits = np.minimum(SHARE_OF_OTHERS * of_others, LIMIT)
    is_near = differences < limits[:, None]
    for i, k in np.argwhere(is_near).tolist():
        j = int(candidates[i, k])
        difference = float(differences[i, k])
        colours = _root_mean_square(thumbnails[i] - views[j], axis=None)
        if difference < limits[j] and colours < COLOUR:
            yield Pair(i, j, way, difference)


def frequencies(gray: np.ndarray) -> np.ndarray:
    """Return the lowest frequencies of images (N, S, S) without their mean, as unit vectors."""
    spectrum = dctn(gray, axes=(1, 2), norm="ortho")
    lowest = spectrum[:, :FREQUENCIES, :FREQUENCIES]
    vectors = lowest.reshape(len(gray), -1)
    # The first one is the mean.
    vectors = vectors[:, 1:]
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / length.clip(1e-6)


def _cropped(images: Images, gray: np.ndarray, neighbours: np.ndarray) -> Iterator[Pair]:
    """Yield the images that are a crop of one of their neighbours."""
    count = len(gray)
    own = frequencies(gray)
    views = np.empty((count, len(WINDOWS), own.shape[1]), "float32")
    for number, window in enumerate(WINDOWS):
        windows = np.broadcast_to(window, (count, 4))
        stretched = stretch(gray, windows)
        views[:, number] = frequencies(stretched)

    with progress(count, "Looking for crops", "image") as bar:
        for begin in range(0, count, BLOCK):
            end = min(begin + BLOCK, count)
            rows = np.arange(begin, end)
            pairs = _crop_candidates(gray, own, views, rows, neighbours[rows])
            yield from _confirmed_crops(images, *pairs)
            bar.update(len(rows))


def _crop_candidates(
    gray: np.ndarray, own: np.ndarray, views: np.ndarray, rows: np.ndarray, neighbours: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images, the one of their neighbours that each may be a crop of, and windows of it."""
    likeness = np.einsum("bd,bkwd->bkw", own[rows], views[neighbours])
    likeness = likeness.reshape(len(rows), -1)
    order = np.argsort(-likeness, axis=1, kind="stable")
    best = order[:, :ALIGNED]
    best_likeness = np.take_along_axis(likeness, best, axis=1)
    is_like = best_likeness > LEAST_LIKENESS
    position, _ = np.nonzero(is_like)
    neighbour, window = np.divmod(best[is_like], len(WINDOWS))
    crops = rows[position]
    others = neighbours[position, neighbour]
    windows = align(gray[others], gray[crops], WINDOWS[window])
    inside = stretch(gray[others], windows)
    difference = _relative_difference(inside, gray[crops])
    is_candidate = (difference < COARSE_LIMIT) & _is_crop(windows)

    # The best of each image comes first, and only that is kept.
    candidates = np.flatnonzero(is_candidate)
    order = np.argsort(difference[candidates], kind="stable")
    candidates = candidates[order]
    _, first = np.unique(crops[candidates], return_index=True)
    chosen = candidates[first]
    return crops[chosen], others[chosen], windows[chosen]


def _confirmed_crops(
    images: Images, crops: np.ndarray, others: np.ndarray, windows: np.ndarray
) -> Iterator[Pair]:
    """Yield the pairs whose pixels agree at SIDE. Raises OSError if a file cannot be read."""
    if not len(crops):
        return

    def read(i: int) -> np.ndarray:
        image, _ = images.decoded(i, (SIDE, SIDE))
        gray = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        return np.asarray(gray, "float32")

    both = np.concatenate([crops, others])
    needed, position = np.unique(both, return_inverse=True)
    with ThreadPoolExecutor(THREADS) as pool:
        images_read = list(pool.map(read, needed.tolist()))
    pixels = np.stack(images_read)
    pixels_of_crops, pixels_of_others = np.split(pixels[position], 2)
    windows = align(pixels_of_others, pixels_of_crops, windows)
    inside = stretch(pixels_of_others, windows)
    differences = _relative_difference(
        _reduced(inside),
        _reduced(pixels_of_crops),
    )
    is_crop = (differences < CROP_LIMIT) & _is_crop(windows)
    pairs = zip(crops[is_crop], others[is_crop], differences[is_crop], strict=True)
    for crop, other, difference in pairs:
        yield Pair(int(crop), int(other), "cropped", float(difference))


def _is_crop(windows: np.ndarray) -> np.ndarray:
    """Return which windows (P, 4) are clearly less than the whole image."""
    smaller_scale = windows[:, ::2].min(axis=1)
    return np.asarray(smaller_scale < MOST_OF_SIDE)


def _reduced(images: np.ndarray) -> np.ndarray:
    """Return images (P, SIDE, SIDE) at a quarter of their side, which noise hardly changes."""
    side = SIDE // 4
    blocks = images.reshape(len(images), side, 4, side, 4)
    return blocks.mean(axis=(2, 4))


def _relative_difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the differences (P,) of images (P, S, S), as a share of the smaller contrast."""
    first_contrast = first.std(axis=(1, 2))
    second_contrast = second.std(axis=(1, 2))
    contrast = np.minimum(first_contrast, second_contrast)
    return _share_of_contrast(first - second, contrast)


def _share_of_contrast(difference: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    """Return the size of differences (P, S, S) as a share of contrasts (P,).

    It is infinite where the contrast is too low to tell images apart.
    """
    size = _root_mean_square(difference)
    share = size / contrast.clip(1e-6)
    return np.where(contrast < LEAST_CONTRAST, np.inf, share)


def _root_mean_square(values: np.ndarray, axis: tuple[int, ...] | None = (1, 2)) -> np.ndarray:
    mean_square = np.mean(values**2, axis=axis)
    return np.sqrt(mean_square)


def _ends(i: int, j: int) -> tuple[int, int]:
    """Return two images in the order in which `Copies.pairs` has them."""
    return min(i, j), max(i, j)


def _doubt(pair: Pair) -> float:
    """Return how unsure a pair is: first by the way, then by the difference. Never 0."""
    return WAYS.index(pair.way) + pair.difference + 1e-3


def _graph(pairs: dict[tuple[int, int], Pair], count: int) -> csr_array:
    """Return the pairs as a graph of images (N, N), weighted by their doubt."""
    # SciPy 1.15 takes a tree with indices of 32 bits alone.
    ends = np.array(list(pairs), "int32")
    rows_and_columns = ends.reshape(-1, 2).T
    doubts = [_doubt(pair) for pair in pairs.values()]
    return csr_array((doubts, rows_and_columns), shape=(count, count))


def _kept(images: Images, members: np.ndarray, area: np.ndarray, opinions: Opinions) -> int:
    """Return the copy that is kept."""
    # The last key counts most.
    keys = [-area[members], images.ranks[members]]
    labels = images.labels[members]
    known = labels[labels > -1]
    if len(np.unique(known)) > 1:
        keys.append(-opinions.label_log_probability[members])
    first = np.lexsort(keys)[0]
    return int(members[first])


def _fault(images: Images, pair: Pair, i: int, j: int, opinions: Opinions) -> Fault:
    """Return the fault that image i is a copy of image j."""
    relation = _relation(images, i, j)
    reason = f"{pair.way} image {relation}"
    score = 1 - pair.difference
    if not images.has_two_labels(i, j):
        return Fault(i, "copy", reason, score, j)
    suggestion = int(opinions.suggestion[i])
    probability = float(opinions.probability[i])
    return Fault(i, "copy", reason, score, j, suggestion, probability)


def _relation(images: Images, i: int, j: int) -> str:
    """Return where image j is, seen from image i."""
    places = []
    if images.has_two_labels(i, j):
        places.append(f"labelled {images.label_name(j)}")
    if images.splits[i] != images.splits[j]:
        places.append("in the other split")
    if places:
        return ", ".join(places)
    label = images.labels[i]
    other_label = images.labels[j]
    if label == other_label and label > -1:
        return "in the same class"
    return "in the same set"
