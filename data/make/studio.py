"""A photographer's studio in NumPy: signed distance functions, traced, lit and photographed.

An object is a list of parts in object space, where y points upwards and the size is about 1 to each
side. `photograph` traces rays against it, lights it with a softbox and a strip above a white table,
and averages 3x3 rays for each pixel. Points are float64 arrays (3, N); colours are linear light
(3, N) until the very end. All randomness comes from the caller's generator: the same numbers in
give the same image out.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import maximum_filter1d
from scipy.spatial import KDTree

# Pixels along a side of an image, rays along a side of a pixel.
SIZE = 100
RAYS = 3

# The distance of the camera from the object's origin, and the depth within which the object lies.
EYE_DISTANCE = 8.0
NEAR = EYE_DISTANCE - 3.3
FAR = EYE_DISTANCE + 3.3

# What a pixel can show; the position in this list is its number in a map of parts. SOLID are those
# that a ray can meet.
NAMES = ("background", "skin", "stem", "leaf", "highlight")
SOLID = ("skin", "stem", "leaf")

# A highlight reflects at least so much of the lamps, in linear light.
SHINE = 0.1

# Functions of points (3, N).
Distance = Callable[[np.ndarray], np.ndarray]
Paint = Callable[[np.ndarray], np.ndarray]


class Part(NamedTuple):
    """A part of an object.

    Attributes:
        distance: Signed distance (N,) to its surface.
        paint: Linear colour (3, N).
        bump: Height (N,) above the surface, for the normals alone; or None.
        gloss: How strongly it reflects.
        rough: How wide its reflections are.
        ball: (x, y, z, radius) of a ball that holds the whole part, so that far points need not ask
            for its distance.
        name: One of NAMES.
    """

    distance: Distance
    paint: Paint
    bump: Distance | None = None
    gloss: float = 0.5
    rough: float = 0.1
    ball: tuple[float, float, float, float] = (0, 0, 0, 9)
    name: str = "skin"


class Pose(NamedTuple):
    """Unit vectors (3, 1) in object space that say how an object lies.

    Attributes:
        up: The normal of the table.
        eye: From the object to the camera.
        light: From the object to the softbox.
    """

    up: np.ndarray
    eye: np.ndarray
    light: np.ndarray


# --- Small mathematics ----------------------------------------------------------------------------


def rgb(code: str) -> np.ndarray:
    """Return the linear colour (3, 1) of an sRGB hex code such as "c0392b"."""
    channels = [int(code[start : start + 2], 16) for start in (0, 2, 4)]
    encoded = np.array(channels)[:, None] / 255
    bright = ((encoded + 0.055) / 1.055) ** 2.4
    dark = encoded / 12.92
    return np.where(encoded > 0.04045, bright, dark)


def encode_srgb(colour: np.ndarray) -> np.ndarray:
    """Return sRGB values 0..1 of linear colours 0..1."""
    bright = 1.055 * colour ** (1 / 2.4) - 0.055
    dark = 12.92 * colour
    return np.where(colour > 0.0031308, bright, dark)


def mix(first, second, share):
    """Return `first` where `share` is 0, `second` where it is 1, and what lies between."""
    return first + (second - first) * share


def step(low, high, x):
    """Return a smooth step from 0 at `low` to 1 at `high`."""
    share = (x - low) / (high - low)
    t = np.clip(share, 0, 1)
    return t * t * (3 - 2 * t)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors (3, N) scaled to length 1."""
    squared_lengths = (vectors * vectors).sum(0)
    return vectors / np.sqrt(squared_lengths + 1e-18)


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the scalar products (N,) of vectors (3, N)."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def turn(axis: int, degrees: float) -> np.ndarray:
    """Return the rotation matrix (3, 3) about one of the axes 0, 1, 2."""
    cosine = np.cos(np.radians(degrees))
    sine = np.sin(np.radians(degrees))
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(3)
    matrix[i, i] = cosine
    matrix[j, j] = cosine
    matrix[i, j] = -sine
    matrix[j, i] = sine
    return matrix


# Random values on a lattice of 64³ points that repeats in all directions.
LATTICE_SIDE = 64
LATTICE = np.random.default_rng(360).uniform(-1, 1, LATTICE_SIDE**3)


def noise(points: np.ndarray, scale: float = 1.0, octaves: int = 1) -> np.ndarray:
    """Return smooth value noise (N,) in -1..1 at points (3, N), with `scale` cells per unit.

    Each further octave has twice the frequency and half the amplitude.
    """
    total = 0.0
    weight = 0.0
    for octave in range(octaves):
        frequency = scale * 2**octave
        positions = np.asarray(points) * frequency + 11.3 * octave + 100.5
        total = total + _lattice_noise(positions) / 2**octave
        weight += 0.5**octave
    return total / weight


def _lattice_noise(positions: np.ndarray) -> np.ndarray:
    """Return LATTICE, interpolated smoothly between the eight corners of each position's cell."""
    cell = np.floor(positions).astype(np.int64)
    inside = positions - cell
    share_x, share_y, share_z = inside**2 * (3 - 2 * inside)
    low = cell & (LATTICE_SIDE - 1)
    high = (cell + 1) & (LATTICE_SIDE - 1)
    along_z = []
    for x in (low[0], high[0]):
        for y in (low[1], high[1]):
            row = x * LATTICE_SIDE**2 + y * LATTICE_SIDE
            low_values = LATTICE[row + low[2]]
            high_values = LATTICE[row + high[2]]
            along_z.append(mix(low_values, high_values, share_z))
    at_low_x = mix(along_z[0], along_z[1], share_y)
    at_high_x = mix(along_z[2], along_z[3], share_y)
    return mix(at_low_x, at_high_x, share_x)


def sphere_points(count: int, rng: np.random.Generator, jitter: float = 0.0) -> np.ndarray:
    """Return directions (3, count), spread evenly like the seeds of a sunflower, then jittered."""
    y = 1 - (2 * np.arange(count) + 1) / count
    angle = np.arange(count) * np.pi * (3 - 5**0.5)
    radius = np.sqrt(1 - y * y)
    x = radius * np.cos(angle)
    z = radius * np.sin(angle)
    even = np.stack([x, y, z])
    deviation = jitter / count**0.5
    offsets = rng.normal(0, deviation, (3, count))
    return unit(even + offsets)


def spots(centres: np.ndarray) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return a function of points (3, N): distance (N,) to the nearest centre, and its index."""
    tree = KDTree(centres.T)

    def nearest(points):
        return tree.query(points.T)

    return nearest


# --- Shapes ---------------------------------------------------------------------------------------


def body(outline: np.ndarray, warp: Callable | None = None) -> Distance:
    """Return the distance to a body of revolution about the y axis, star-shaped at the origin.

    Args:
        outline: Radii and heights (2, n) from the top to the bottom.
        warp: A function (direction, theta, phi) of the factor by which the radius is scaled.
    """
    theta = np.linspace(0, np.pi, 4096)
    radius = _radius_by_angle(outline, theta)
    slopes = np.abs(np.gradient(radius, theta))
    steepest = maximum_filter1d(slopes, 400)

    def distance(points):
        from_axis = np.hypot(points[0], points[2])
        length = np.hypot(from_axis, points[1])
        angle = np.arctan2(from_axis, points[1])
        surface = np.interp(angle, theta, radius)
        if warp:
            direction = points / np.maximum(length, 1e-9)
            longitude = np.arctan2(points[2], points[0])
            surface = surface * warp(direction, angle, longitude)
        slope = np.interp(angle, theta, steepest)
        steep = slope / np.maximum(length, 0.3)
        height = 0.9 * (length - surface)
        return height / np.sqrt(1 + steep * steep)

    return distance


def _radius_by_angle(outline: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Return the distance of an outline (2, n) from the origin at angles from the top."""
    radii, heights = outline
    # Mirrored at both ends, so that the poles are smooth.
    radii = np.r_[-radii[1], radii, -radii[-2]]
    heights = np.r_[heights[1], heights, heights[-2]]
    lengths = np.hypot(np.diff(radii), np.diff(heights))
    along = np.r_[0, np.cumsum(lengths)]
    radius_spline = CubicSpline(along, radii)
    height_spline = CubicSpline(along, heights)
    fine = np.linspace(along[1], along[-2], 4000)
    fine_radii = radius_spline(fine)
    fine_heights = height_spline(fine)
    angles = np.arctan2(np.abs(fine_radii), fine_heights)
    rising_angles = np.maximum.accumulate(angles)
    distances = np.hypot(fine_radii, fine_heights)
    return np.interp(theta, rising_angles, distances)


def tube(points: Sequence[Sequence[float]], radii: Sequence[float]) -> Distance:
    """Return the distance to a round tube of varying radius along a smooth curve through points."""
    knots = np.linspace(0, 1, len(points))
    fine = np.linspace(0, 1, 3 * len(points))
    spline = CubicSpline(knots, np.array(points, float))
    centres = spline(fine)
    thickness = np.interp(fine, knots, radii)
    pieces = list(zip(centres[:-1], centres[1:], thickness[:-1], thickness[1:], strict=True))

    def distance(p):
        nearest = np.full(p.shape[1], np.inf)
        for start, end, start_radius, end_radius in pieces:
            origin = start[:, None]
            way = (end - start)[:, None]
            projection = dot(p - origin, way) / dot(way, way)
            share = np.clip(projection, 0, 1)
            offset = p - origin - way * share
            surface = mix(start_radius, end_radius, share)
            from_centre = np.sqrt(dot(offset, offset))
            nearest = np.minimum(nearest, from_centre - surface)
        return nearest * 0.95

    return distance


def sepals(
    count: int,
    height: Callable[[np.ndarray], np.ndarray],
    length: float,
    width: float,
    rng: np.random.Generator,
    inner: float = 0.0,
    thick: float = 0.022,
) -> Distance:
    """Return the distance to pointed leaves round the y axis.

    Args:
        count: Number of leaves.
        height: A function of the distance from the axis: how high they lie there.
        length: Their mean length.
        width: Half their width, about.
        rng: Draws their lengths, bends and directions.
        inner: How wide they begin at the axis.
        thick: Half their thickness.
    """
    lengths = length * rng.uniform(0.8, 1.15, count)
    bends = rng.uniform(-0.15, 0.25, count)
    start = rng.uniform(0, 2 * np.pi)

    def distance(p):
        longitude = np.arctan2(p[2], p[0])
        angle = np.mod(longitude + start, 2 * np.pi) * count / (2 * np.pi)
        which = np.minimum(angle.astype(int), count - 1)
        from_axis = np.hypot(p[0], p[2])
        from_midrib = (angle - which - 0.5) * 2 * np.pi / count
        along = from_axis * np.cos(from_midrib)
        across = from_axis * np.sin(from_midrib)
        leaf_length = lengths[which]
        share = np.clip(along / leaf_length, 0, 1)
        widening = width * np.sqrt(share * 1.2 + inner)
        half_width = widening * (1 - share) ** 0.8
        from_middle = np.abs(across)
        bend = bends[which] * share * share * length
        lift = height(along) + bend - 0.35 * from_middle
        beside = np.maximum(from_middle - half_width, 0)
        above = np.abs(p[1] - lift) * 0.7
        past_an_end = np.maximum(-along, along - leaf_length)
        beyond = np.maximum(past_an_end, 0)
        in_section = np.hypot(beside, above)
        from_leaf = np.hypot(in_section, beyond)
        return 0.7 * (from_leaf - thick)

    return distance


# --- Rays -----------------------------------------------------------------------------------------


def join(parts: Sequence[Part]) -> Distance:
    """Return the distance to the nearest part; each is asked only where it could be the nearest."""

    def distance(points):
        nearest = parts[0].distance(points)
        for part in parts[1:]:
            x, y, z, radius = part.ball
            reach = nearest + radius
            square = (points[0] - x) ** 2 + (points[1] - y) ** 2 + (points[2] - z) ** 2
            close = np.flatnonzero(square < reach * np.abs(reach))
            if close.size:
                distances = part.distance(points[:, close])
                nearest[close] = np.minimum(nearest[close], distances)
        return nearest

    return distance


def trace(
    distance: Distance,
    origin: np.ndarray,
    direction: np.ndarray,
    near: float | np.ndarray,
    far: float,
    steps: int = 160,
    touch: float = 1.5e-3,
) -> np.ndarray:
    """Return the lengths (N,) at which rays come within `touch` of a surface; inf where they miss.

    This is sphere tracing: each ray advances by its distance to the surface.

    Args:
        distance: Signed distance to the surface.
        origin: Where rays begin, (3, 1) or (3, N).
        direction: Unit vectors (3, N).
        near: Where to start, a number or (N,), inf for no ray.
        far: Where to give up.
        steps: At most so many; a ray that is then still on its way creeps along the surface, and
            counts as a hit.
        touch: How close is a hit.
    """
    count = direction.shape[1]
    origin = np.broadcast_to(origin, (3, count))
    length = np.broadcast_to(near, count).copy()
    hit = np.full(count, np.inf)
    alive = np.flatnonzero(length < far)
    for _ in range(steps):
        way = direction[:, alive] * length[alive]
        advance = distance(origin[:, alive] + way)
        length[alive] += advance
        touches = advance < touch
        arrived = alive[touches]
        hit[arrived] = length[arrived]
        goes_on = ~touches & (length[alive] < far)
        alive = alive[goes_on]
        if not alive.size:
            break
    hit[alive] = length[alive]
    return hit


def camera_rays(pose: Pose, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the directions (3, N) of camera rays through image points, x to the right and y up.

    Image points are tangents of angles.
    """
    right = unit(np.cross(pose.up, pose.eye, axis=0))
    above = np.cross(pose.eye, right, axis=0)
    in_image = right * x + above * y
    return unit(in_image - pose.eye)


def grid(
    centre_x: float, centre_y: float, half: float, cells: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y (cells², each) of the cells' centres of a square, row by row."""
    centres = (np.arange(cells) + 0.5) / cells * 2 - 1
    x = np.tile(centre_x + half * centres, cells)
    y = np.repeat(centre_y - half * centres, cells)
    return x, y


def frame_object(distance: Distance, pose: Pose, fill: float) -> tuple[float, float, float]:
    """Return the image square (x, y, half) that the object fills to the fraction `fill`.

    A coarse look at the object decides.
    """
    x, y = grid(0, 0, 0.42, 84)
    rays = camera_rays(pose, x, y)
    reach = trace(distance, pose.eye * EYE_DISTANCE, rays, NEAR, FAR, steps=40)
    seen = np.isfinite(reach)
    x = x[seen]
    y = y[seen]
    half = max(np.ptp(x), np.ptp(y)) / 2 + 0.005
    centre_x = (x.max() + x.min()) / 2
    centre_y = (y.max() + y.min()) / 2 - 0.03 * half
    return centre_x, centre_y, half / fill


def table_height(distance: Distance, up: np.ndarray) -> float:
    """Return the height along `up` of the object's lowest point, as rays from below meet it."""
    side = unit(np.cross(up, [[0.3], [0.5], [0.8]], axis=0))
    other_side = np.cross(up, side, axis=0)
    x, y = grid(0, 0, 2.6, 70)
    start = -3.2 * up + side * x + other_side * y
    direction = np.broadcast_to(up, start.shape)
    hit = trace(distance, start, direction, near=0.0, far=6.4, steps=40)
    return -3.2 + hit.min()


# --- Light ----------------------------------------------------------------------------------------


def gradient(height: Distance, points: np.ndarray, epsilon: float = 2e-3) -> np.ndarray:
    """Return the gradient (3, N) of a function of points, from a tetrahedron's four corners."""
    corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], float)[:, :, None]
    total = sum(corner * height(points + epsilon * corner) for corner in corners)
    return total / (4 * epsilon)


def openness(distance: Distance, points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Return how much of the sky (N,) in 0..1 points see.

    This is ambient occlusion from five steps along the normal.
    """
    shut = 0.0
    for height, weight in ((0.03, 3.0), (0.09, 1.6), (0.2, 0.8), (0.42, 0.42), (0.8, 0.2)):
        above = points + normals * height
        missing = height - distance(above)
        shut = shut + weight * np.maximum(missing, 0)
    open_share = 1 - 0.75 * shut
    return np.clip(open_share, 0.04, 1)


def sunlit(
    distance: Distance, points: np.ndarray, normals: np.ndarray, light: np.ndarray, steps: int = 11
) -> np.ndarray:
    """Return the share (N,) in 0..1 of the softbox that surface points see: a soft shadow."""
    share = np.ones(points.shape[1])
    length = np.full(points.shape[1], 0.05)
    for _ in range(steps):
        on_the_way = points + normals * 0.02 + light * length
        clearance = distance(on_the_way)
        seen = 0.5 + 2.6 * clearance / length
        share = np.minimum(share, seen)
        length += np.clip(clearance, 0.06, 0.6)
    return step(0, 1, share)


def lamp(
    directions: np.ndarray, towards: np.ndarray, up: np.ndarray, size: tuple[float, float], rough
) -> np.ndarray:
    """Return how much (N,) of a rectangular lamp of size (width, height) lies in the directions."""
    width, height = size
    side = unit(np.cross(up, towards, axis=0))
    upright = np.cross(towards, side, axis=0)
    ahead = np.maximum(dot(directions, towards), 1e-3)
    across = np.abs(dot(directions, side)) / ahead
    along = np.abs(dot(directions, upright)) / ahead
    blur = rough + 0.02
    within_width = step(width + blur, width - blur, across)
    within_height = step(height + blur, height - blur, along)
    return within_width * within_height * (ahead > 0.01)


def studio(directions: np.ndarray, pose: Pose, rough: np.ndarray) -> np.ndarray:
    """Return the light (2, N) from directions (3, N): of the lamps, and of all there is.

    The lamps are a softbox and a strip; besides them there are the white table and a dim room.
    """
    right = unit(np.cross(pose.up, pose.eye, axis=0))
    strip = unit(right * 0.9 + pose.eye * 0.35 + pose.up * 0.35)
    softbox_share = lamp(directions, pose.light, pose.up, (0.30, 0.36), rough)
    strip_share = lamp(directions, strip, pose.up, (0.12, 0.6), rough)
    from_softbox = softbox_share * 12 / (1 + 16 * rough)
    from_strip = strip_share * 1.6 / (1 + 6 * rough)
    lamps = from_softbox + from_strip
    height = dot(directions, pose.up)
    table = 0.55 * step(0.05, -0.25, height)
    sky = 0.3 * step(0.2, 1, height)
    return np.stack([lamps, lamps + table + 0.22 + sky])


def ambience(
    distance: Distance,
    points: np.ndarray,
    normals: np.ndarray,
    light: np.ndarray,
    pixel: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return openness and softbox share (N,) of points.

    Both are soft, so one point of each pixel speaks for all; `pixel` (N,) is each point's pixel.
    """
    _, first, back = np.unique(pixel, return_index=True, return_inverse=True)
    points = points[:, first]
    normals = normals[:, first]
    share = np.zeros(first.size)
    faces = np.flatnonzero(dot(normals, light) > -0.36)
    share[faces] = sunlit(distance, points[:, faces], normals[:, faces], light)
    return openness(distance, points, normals)[back], share[back]


class Surface(NamedTuple):
    """What points of an object are made of.

    Attributes:
        part: The number (N,) of the part that each point lies on.
        albedo: Linear colours (3, N).
        smooth: Normals (3, N) of the shape.
        normals: Normals (3, N) with the bumps.
        gloss: (N,)
        rough: (N,)
    """

    part: np.ndarray
    albedo: np.ndarray
    smooth: np.ndarray
    normals: np.ndarray
    gloss: np.ndarray
    rough: np.ndarray


def surface(parts: Sequence[Part], points: np.ndarray) -> Surface:
    """Return what the points (3, N) on an object's surface are made of."""
    nearest = np.argmin([part.distance(points) for part in parts], axis=0)
    albedo = np.zeros(points.shape)
    smooth = np.zeros(points.shape)
    normals = np.zeros(points.shape)
    gloss = np.zeros(points.shape[1])
    rough = np.zeros(points.shape[1])
    for number, part in enumerate(parts):
        here = np.flatnonzero(nearest == number)
        if not here.size:
            continue
        p = points[:, here]
        albedo[:, here] = part.paint(p)
        gloss[here] = part.gloss
        rough[here] = part.rough
        smooth[:, here] = unit(gradient(part.distance, p))
        normals[:, here] = smooth[:, here]
        if part.bump:
            normals[:, here] = unit(smooth[:, here] - gradient(part.bump, p))
    return Surface(nearest, albedo, smooth, normals, gloss, rough)


def shade(
    parts: Sequence[Part],
    scene: Distance,
    pose: Pose,
    points: np.ndarray,
    view: np.ndarray,
    pixel: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how points on the object's surface look.

    Args:
        parts: The object.
        scene: Distance to the object and the table.
        pose: How the object lies.
        points: (3, N)
        view: The directions (3, N) of the rays that met them.
        pixel: The number (N,) of the pixel of each ray.

    Returns:
        Linear colours (3, N), the number (N,) of each point's part, and the light (N,) of the lamps
        that it reflects.
    """
    made = surface(parts, points)
    normals = made.normals
    sky_share, lamp_share = ambience(scene, points, made.smooth, pose.light, pixel)
    # Light seeps into flesh, red the farthest.
    wrap = np.array([[0.34], [0.22], [0.16]])
    wrapped = (dot(normals, pose.light) + wrap) / (1 + wrap)
    key = np.clip(wrapped, 0, None) ** 1.2 * lamp_share
    towards_camera = 0.5 + 0.5 * dot(normals, pose.eye)
    front = np.clip(towards_camera, 0, None)
    # The table is brighter than the room.
    upwards = 0.5 + 0.5 * dot(normals, pose.up)
    sky = mix(0.62, 0.5, upwards)
    # Bright flesh lights its hollows itself.
    bounce = sky_share ** mix(1.0, 0.55, made.albedo)
    facing = dot(view, normals)
    grazing = np.clip(1 + facing, 0, 1)
    fresnel = 0.04 + 0.5 * grazing**5
    mirror_direction = view - 2 * facing * normals
    mirrored = studio(mirror_direction, pose, made.rough)
    dimmed = 0.35 + 0.65 * lamp_share
    lamps, shine = made.gloss * fresnel * mirrored * sky_share * dimmed
    ambient = (0.30 * sky + 0.13 * front) * bounce
    diffuse = made.albedo * (0.82 * key + ambient)
    return diffuse + shine, made.part, lamps


# --- The photograph -------------------------------------------------------------------------------


def photograph(
    parts: Sequence[Part],
    pose: Pose,
    exposure: float = 1.0,
    tint: Sequence[float] = (1, 1, 1),
    fill: float = 0.9,
    size: int = SIZE,
) -> tuple[np.ndarray, np.ndarray]:
    """Return an image of an object on white, and what each of its pixels shows.

    Args:
        parts: The object.
        pose: How it lies.
        exposure: Factor of its light.
        tint: Factor of each colour's light.
        fill: The fraction of the image that it fills.
        size: Pixels along a side.

    Returns:
        The image, uint8 RGB (size, size, 3), and its parts, uint8 (size, size), numbers in NAMES.
    """
    distance = join(parts)
    floor = table_height(distance, pose.up)

    def scene(points):
        return np.minimum(distance(points), dot(points, pose.up) - floor)

    pixel, view, reach = _look(distance, pose, fill, size)
    eye = pose.eye * EYE_DISTANCE
    # The white of the table and the wall.
    colour = np.ones_like(view)
    solid = np.isfinite(reach)
    met = view[:, solid]
    points = eye + met * reach[solid]
    lit, part, lamps = shade(parts, scene, pose, points, met, pixel[solid])
    lit = lit * exposure * np.array(tint)[:, None]
    colour[:, solid] = _film(lit)

    table, light = _table_light(distance, pose, floor, view, solid, pixel)
    colour[:, table] = light

    parts_shown = _parts_shown(parts, part, lamps, pixel, solid, size)
    light_of_pixels = np.clip(_average(colour, size), 0, 1)
    values = np.rint(encode_srgb(light_of_pixels) * 255)
    image = values.astype(np.uint8).transpose(1, 2, 0)
    return image, parts_shown


def _look(
    distance: Distance, pose: Pose, fill: float, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each ray's pixel (N,), its direction (3, N) and the length (N,) at which it hits."""
    square = frame_object(distance, pose, fill)
    eye = pose.eye * EYE_DISTANCE
    numbers = np.arange(size * size).reshape(size, size)
    block = np.ones((RAYS, RAYS), int)
    pixel = np.kron(numbers, block).ravel()
    # A ray as wide as a pixel goes first; the nine of that pixel start where it stopped.
    _, _, half = square
    cone = half / size * 2 * EYE_DISTANCE
    wide_rays = camera_rays(pose, *grid(*square, size))
    stopped = trace(distance, eye, wide_rays, NEAR, FAR, steps=60, touch=cone)
    view = camera_rays(pose, *grid(*square, size * RAYS))
    reach = trace(distance, eye, view, stopped[pixel], FAR)
    return pixel, view, reach


def _film(light: np.ndarray) -> np.ndarray:
    """Return what film makes of light: bright values are compressed (its shoulder)."""
    excess = (light - 0.7) / 0.3
    compressed = 0.7 + 0.3 * np.tanh(excess)
    return np.where(light > 0.7, compressed, light)


def _table_light(
    distance: Distance,
    pose: Pose,
    floor: float,
    view: np.ndarray,
    solid: np.ndarray,
    pixel: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rays that meet the table near the object, and their shadowed colours (3, N)."""
    eye = pose.eye * EYE_DISTANCE
    down = dot(view, pose.up)
    table = np.flatnonzero(~solid & (down < -0.02))
    eye_above_table = floor - dot(eye, pose.up)
    length = eye_above_table / down[table]
    points = eye + view[:, table] * length
    near = dot(points, points) < 9
    table = table[near]
    points = points[:, near]
    normals = np.broadcast_to(pose.up, points.shape)
    sky_share, lamp_share = ambience(distance, points, normals, pose.light, pixel[table])
    fade = step(3, 1.4, np.sqrt(dot(points, points)))
    no_lamp = 0.40 * (1 - lamp_share)
    no_sky = 0.6 * (1 - sky_share)
    dark = (no_lamp + no_sky) * fade
    shadow = np.clip(dark - 0.015, 0, 0.9)
    tint = np.array([[0.94], [0.97], [1.0]])
    return table, 1 - shadow * tint


def _parts_shown(
    parts: Sequence[Part],
    part: np.ndarray,
    lamps: np.ndarray,
    pixel: np.ndarray,
    solid: np.ndarray,
    size: int,
) -> np.ndarray:
    """Return for each pixel, uint8 (size, size), what it shows, a number in NAMES.

    Pixels of which fewer than half of the rays meet the object are background, shadow or not.
    Others show the part that most of their rays meet. Skin that reflects SHINE of the lamps, on
    average over all rays, is highlight.

    Args:
        parts: The object.
        part: The number of the part that each solid ray meets.
        lamps: The light of the lamps that it reflects.
        pixel: The number of each ray's pixel.
        solid: Whether a ray meets the object.
        size: Pixels along a side.
    """
    solid_pixel = pixel[solid]

    def sum_by_pixel(values):
        return np.bincount(solid_pixel, values, size * size).reshape(size, size)

    numbers = np.array([NAMES.index(each.name) for each in parts])
    numbers_of_rays = numbers[part]
    counts = [sum_by_pixel(numbers_of_rays == NAMES.index(name)) for name in SOLID]
    shown = 1 + np.argmax(counts, axis=0)
    is_skin = shown == NAMES.index("skin")
    shines = sum_by_pixel(lamps) >= SHINE * RAYS**2
    shown[is_skin & shines] = NAMES.index("highlight")
    share_of_object = _average(solid, size)[0]
    shown[share_of_object < 0.5] = NAMES.index("background")
    return shown.astype(np.uint8)


def _average(values: np.ndarray, size: int) -> np.ndarray:
    """Return the means (channels, size, size) over each pixel's rays of values (channels, rays)."""
    return values.reshape(-1, size, RAYS, size, RAYS).mean((2, 4))
