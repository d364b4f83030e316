"""The map of features and the clusters: what lies close together in the feature space."""

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from threadpoolctl import threadpool_limits

# With fewer images there are no neighbourhoods that a map could preserve.
FEWEST = 10

# The map shows at most this many images, drawn at random. The time of openTSNE is proportional to
# their number; the Barnes-Hut algorithm of scikit-learn takes a good deal more.
POINTS = 25_000
POINTS_WITHOUT_OPENTSNE = 5_000

# The effective number of neighbours of a point (van der Maaten and Hinton, JMLR 2008).
PERPLEXITY = 30

# The largest number of clusters that is tried, and the images that the silhouette is measured on.
MOST_CLUSTERS = 12
SILHOUETTE_SAMPLE = 2000


# Both t-SNE and k-means run in one thread. Threads of OpenMP wait for each other some thousand
# times here, and on a busy machine they spin until the slowest of them gets a core: twenty images
# then take a minute in place of half a second. How they wait is settled when OpenMP is loaded, by
# Keras or scikit-learn, which may happen before camkit is imported.
_THREADS = 1


def embed(features: np.ndarray) -> dict[int, list[float]]:
    """Return the positions of images on the map of features: t-SNE, scaled to 0..1.

    It is computed by openTSNE if that is installed, else by scikit-learn's TSNE.

    Args:
        features: Unit vectors (N, D) of the images.

    Returns:
        {row: [x, y]} for all rows, or for 25,000 rows drawn at random (5,000 without openTSNE).
        Empty if there are fewer than ten images.
    """
    count = len(features)
    if count < FEWEST:
        return {}
    try:
        import openTSNE
    except ImportError:
        rows = _drawn(count, POINTS_WITHOUT_OPENTSNE)
        points = _tsne_of_scikit_learn(features[rows])
    else:
        rows = _drawn(count, POINTS)
        method = openTSNE.TSNE(
            perplexity=_perplexity(len(rows)),
            learning_rate=max(200, len(rows) / 12),
            n_jobs=_THREADS,
            neighbors="approx",
            random_state=0,
        )
        points = method.fit(features[rows].astype("float64"))
    coordinates = scale_to_unit(np.asarray(points))
    return dict(zip(rows.tolist(), coordinates, strict=True))


def _drawn(count: int, most: int) -> np.ndarray:
    """Return all rows, or `most` rows drawn at random, in ascending order."""
    if count <= most:
        return np.arange(count)
    generator = np.random.default_rng(0)
    return np.sort(generator.choice(count, most, replace=False))


def _perplexity(count: int) -> float:
    return min(PERPLEXITY, (count - 1) / 3)


def _tsne_of_scikit_learn(features: np.ndarray) -> np.ndarray:
    from sklearn.manifold import TSNE

    method = TSNE(perplexity=_perplexity(len(features)), random_state=0)
    with threadpool_limits(_THREADS, user_api="openmp"):
        return method.fit_transform(features)


def scale_to_unit(points: np.ndarray) -> list[list[float]]:
    """Return points (N, 2) scaled to 0..1: one scale for both axes, the shorter one centred.

    >>> scale_to_unit(np.array([[0, 0], [10, 4]]))
    [[0.0, 0.3], [1.0, 0.7]]
    """
    low = points.min(axis=0)
    extent = np.ptp(points, axis=0)
    largest = extent.max() or 1
    margin = (1 - extent / largest) / 2
    scaled = (points - low) / largest + margin
    return scaled.round(4).tolist()


def cluster(features: np.ndarray) -> list[int] | None:
    """Return a cluster for each image, by k-means.

    The number of clusters is the one from 2 to 12 with the highest silhouette, which is measured on
    2,000 images where there are more.

    Args:
        features: Unit vectors (N, D) of the images.

    Returns:
        N cluster numbers from 0; None if there are fewer than three images.
    """
    most = min(MOST_CLUSTERS, len(features) - 1)
    best = None
    best_silhouette = -np.inf
    for count in range(2, most + 1):
        with threadpool_limits(_THREADS, user_api="openmp"):
            clusters = KMeans(count, n_init=3, random_state=0).fit_predict(features)
        silhouette = _silhouette(features, clusters)
        if silhouette > best_silhouette:
            best_silhouette = silhouette
            best = clusters.tolist()
    return best


def _silhouette(features: np.ndarray, clusters: np.ndarray) -> float:
    if len(features) <= SILHOUETTE_SAMPLE:
        return silhouette_score(features, clusters)
    return silhouette_score(features, clusters, sample_size=SILHOUETTE_SAMPLE, random_state=0)
