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
WINDOWS = np.array(
    [
        (0.9, 0, 0.9, 0),
        *[(0.9, y, 0.9, x) for y in (-0.1, 0.1) for x in (-0.1, 0.1)],
        *[(0.9, y, 1, 0) for y in (-0.1, 0.1)],
        *[(1, 0, 0.9, x) for x in (-0.1, 0.1)],
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
    pairs = [
        *_same(images, thumbnails),
        *_alike(pixels, pixels, "nearly the same"),
        *_alike(pixels, pixels[:, :, ::-1], "mirrored"),
        *_cropped(images, luminance(pixels), neighbours),
    ]
    surest: dict[tuple[int, int], Pair] = {}
    # Of several ways, the surest one is written last and remains.
    for pair in sorted(pairs, key=_doubt, reverse=True):
        ends = (min(pair.image, pair.other), max(pair.image, pair.other))
        surest[ends] = pair
    _, groups = connected_components(_graph(surest, len(pixels)), directed=False)
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
    tree = minimum_spanning_tree(_graph(copies.pairs, len(copies.groups)))
    for group in np.flatnonzero(np.bincount(copies.groups) > 1):
        members = np.flatnonzero(copies.groups == group)
        kept = _kept(images, members, area, opinions)
        order, before = breadth_first_order(tree, kept, directed=False)
        # The least sure pair on the way from the kept one to each other one.
        weakest: dict[int, Pair] = {}
        for i in order[1:].tolist():
            j = int(before[i])
            pair = copies.pairs[min(i, j), max(i, j)]
            weakest[i] = max(pair, weakest.get(j, pair), key=_doubt)
            if images.has_two_labels(i, kept) or images.splits[i] != images.splits[kept]:
                pair = weakest[i]
                j = kept
            yield _fault(images, pair, i, j, opinions)


def luminance(pixels: np.ndarray) -> np.ndarray:
    """Return the luminance (..., H, W) of pixels (..., H, W, 3)."""
    return pixels @ np.array([0.299, 0.587, 0.114], "float32")


def _same(images: Images, thumbnails: np.ndarray) -> Iterator[Pair]:
    """Yield images with the same pixels, each with the one before it in the same group."""
    rows = thumbnails.reshape(len(thumbnails), -1)
    _, number, counts = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    number = number.ravel()
    last: dict[bytes, int] = {}
    for i in np.flatnonzero(counts[number] > 1).tolist():
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
        difference = _root_mean_square(gray - gray_views[others])
        least = np.minimum(contrast, contrast[others])
        differences[:, k] = difference / least.clip(1e-6)
        differences[least < LEAST_CONTRAST, k] = np.inf

    # The nearest image that cannot be a copy. If there is none, it is as far as a copy may be.
    of_others = np.where(differences >= LIMIT, differences, np.inf).min(axis=1)
    of_others[np.isinf(of_others)] = LIMIT
    limits = np.minimum(SHARE_OF_OTHERS * of_others, LIMIT)
    for i, k in np.argwhere(differences < limits[:, None]).tolist():
        j = candidates[i, k]
        has_colours = _root_mean_square(thumbnails[i] - views[j], axis=None) < COLOUR
        if differences[i, k] < limits[j] and has_colours:
            yield Pair(i, int(j), way, float(differences[i, k]))


def frequencies(gray: np.ndarray) -> np.ndarray:
    """Return the lowest frequencies of images (N, S, S) without their mean, as unit vectors."""
    lowest = dctn(gray, axes=(1, 2), norm="ortho")[:, :FREQUENCIES, :FREQUENCIES]
    lowest = lowest.reshape(len(gray), -1)[:, 1:]
    length = np.linalg.norm(lowest, axis=1, keepdims=True)
    return lowest / length.clip(1e-6)


def _cropped(images: Images, gray: np.ndarray, neighbours: np.ndarray) -> Iterator[Pair]:
    """Yield the images that are a crop of one of their neighbours."""
    own = frequencies(gray)
    views = np.empty((len(gray), len(WINDOWS), own.shape[1]), "float32")
    for number, window in enumerate(WINDOWS):
        windows = np.broadcast_to(window, (len(gray), 4))
        views[:, number] = frequencies(stretch(gray, windows))

    with progress(len(gray), "Looking for crops", "image") as bar:
        for begin in range(0, len(gray), BLOCK):
            rows = np.arange(begin, min(begin + BLOCK, len(gray)))
            pairs = _crop_candidates(gray, own, views, rows, neighbours[rows])
            yield from _confirmed_crops(images, *pairs)
            bar.update(len(rows))


def _crop_candidates(
    gray: np.ndarray, own: np.ndarray, views: np.ndarray, rows: np.ndarray, neighbours: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images, the one of their neighbours that each may be a crop of, and windows of it."""
    likeness = np.einsum("bd,bkwd->bkw", own[rows], views[neighbours])
    likeness = likeness.reshape(len(rows), -1)
    best = np.argsort(-likeness, axis=1, kind="stable")[:, :ALIGNED]
    is_like = np.take_along_axis(likeness, best, axis=1) > LEAST_LIKENESS
    position, _ = np.nonzero(is_like)
    column = best[is_like]
    crops = rows[position]
    others = neighbours[position, column // len(WINDOWS)]
    windows = align(gray[others], gray[crops], WINDOWS[column % len(WINDOWS)])
    difference = _relative_difference(stretch(gray[others], windows), gray[crops])
    is_candidate = (difference < COARSE_LIMIT) & _is_crop(windows)

    # The best of each image comes first, and only that is kept.
    order = np.argsort(np.where(is_candidate, difference, np.inf), kind="stable")
    order = order[is_candidate[order]]
    _, first = np.unique(crops[order], return_index=True)
    chosen = order[first]
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

    needed, position = np.unique(np.concatenate([crops, others]), return_inverse=True)
    with ThreadPoolExecutor(THREADS) as pool:
        pixels = np.stack(list(pool.map(read, needed.tolist())))
    pixels_of_crops, pixels_of_others = np.split(pixels[position], 2)
    windows = align(pixels_of_others, pixels_of_crops, windows)
    inside = stretch(pixels_of_others, windows)
    difference = _relative_difference(_reduced(inside), _reduced(pixels_of_crops))
    is_crop = (difference < CROP_LIMIT) & _is_crop(windows)
    for n in np.flatnonzero(is_crop):
        yield Pair(int(crops[n]), int(others[n]), "cropped", float(difference[n]))


def _is_crop(windows: np.ndarray) -> np.ndarray:
    """Return which windows (P, 4) are clearly less than the whole image."""
    smaller_scale = windows[:, ::2].min(axis=1)
    return np.asarray(smaller_scale < MOST_OF_SIDE)


def _reduced(images: np.ndarray) -> np.ndarray:
    """Return images (P, SIDE, SIDE) at a quarter of their side, which noise hardly changes."""
    side = SIDE // 4
    return images.reshape(len(images), side, 4, side, 4).mean(axis=(2, 4))


def _relative_difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the differences (P,) of images (P, S, S), as a share of the smaller contrast."""
    contrast = np.minimum(first.std(axis=(1, 2)), second.std(axis=(1, 2)))
    difference = _root_mean_square(first - second) / contrast.clip(1e-6)
    return np.where(contrast < LEAST_CONTRAST, np.inf, difference)


def _root_mean_square(values: np.ndarray, axis: tuple[int, ...] | None = (1, 2)) -> np.ndarray:
    return np.sqrt(np.mean(values**2, axis=axis))


def _doubt(pair: Pair) -> float:
    """Return how unsure a pair is: first by the way, then by the difference. Never 0."""
    return WAYS.index(pair.way) + pair.difference + 1e-3


def _graph(pairs: dict[tuple[int, int], Pair], count: int) -> csr_array:
    """Return the pairs as a graph of images (N, N), weighted by their doubt."""
    ends = np.array(list(pairs), int).reshape(-1, 2).T
    doubts = [_doubt(pair) for pair in pairs.values()]
    return csr_array((doubts, ends), shape=(count, count))


def _kept(images: Images, members: np.ndarray, area: np.ndarray, opinions: Opinions) -> int:
    """Return the copy that is kept."""
    # The last key counts most.
    keys = [-area[members], images.ranks[members]]
    labels = images.labels[members]
    if len(np.unique(labels[labels > -1])) > 1:
        keys.append(-opinions.label_log_probability[members])
    return int(members[np.lexsort(keys)[0]])


def _fault(images: Images, pair: Pair, i: int, j: int, opinions: Opinions) -> Fault:
    """Return the fault that image i is a copy of image j."""
    reason = f"{pair.way} image {_relation(images, i, j)}"
    score = 1 - pair.difference
    if not images.has_two_labels(i, j):
        return Fault(i, "copy", reason, score, j)
    suggestion = int(opinions.suggestion[i])
    return Fault(i, "copy", reason, score, j, suggestion, float(opinions.probability[i]))


def _relation(images: Images, i: int, j: int) -> str:
    """Return where image j is, seen from image i."""
    places = []
    if images.has_two_labels(i, j):
        places.append(f"labelled {images.label_name(j)}")
    if images.splits[i] != images.splits[j]:
        places.append("in the other split")
    if places:
        return ", ".join(places)
    has_same_label = images.labels[i] == images.labels[j] and images.labels[i] > -1
    return "in the same class" if has_same_label else "in the same set"
