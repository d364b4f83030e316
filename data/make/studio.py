"""A photographer's studio in NumPy: signed distance functions, traced, lit and photographed on white.

An object is a list of parts in object space, where y points upwards and the size is about 1 to each side.
`photograph` traces rays against it, lights it with a softbox and a strip above a white table, and averages
3x3 rays per pixel. Points are float64 arrays (3, N); colours are linear light (3, N) until the very end. All
randomness comes from the caller's generator: the same numbers in give the same picture out.
"""

from collections import namedtuple

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import maximum_filter1d
from scipy.spatial import KDTree

SIZE, RAYS = 100, 3  # pixels along one side, rays along one side of a pixel
EYE = 8.0  # distance of the camera from the object's origin

# Functions of points (3, N): distance (N,), paint: linear colour (3, N), bump: height (N,) for normals;
# ball: (x, y, z, radius) that holds the whole part, so that far points need not ask for its distance; name: of NAMES
Part = namedtuple(
    "Part",
    "distance paint bump gloss rough ball name",
    defaults=(None, 0.5, 0.1, (0, 0, 0, 9), "skin"),
)
NAMES = (
    "ground",
    "skin",
    "stem",
    "leaf",
    "highlight",
)  # what a pixel can show, and its number in a map of parts
SHINE = 0.1  # linear light: a highlight reflects so much of the lamps at least
# unit vectors (3, 1) in object space: the table's normal, from the object to the camera and to the softbox
Pose = namedtuple("Pose", "up eye light")


# --- Small mathematics --------------------------------------------------------------------------------------


def rgb(code):
    """Linear colour (3, 1) of an sRGB hex code such as "c0392b"."""
    c = np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)])[:, None] / 255
    return np.where(c > 0.04045, ((c + 0.055) / 1.055) ** 2.4, c / 12.92)


def mix(a, b, t):
    """a where t is 0, b where t is 1, and what lies between."""
    return a + (b - a) * t


def step(low, high, x):
    """A smooth step from 0 at `low` to 1 at `high`."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def unit(v):
    """Vectors (3, N) of length 1."""
    return v / np.sqrt((v * v).sum(0) + 1e-18)


def dot(a, b):
    """Scalar products (N,) of vectors (3, N)."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def turn(axis, degrees):
    """Rotation matrix (3, 3) about one of the axes 0, 1, 2."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    m = np.eye(3)
    m[i, i] = m[j, j] = c
    m[i, j], m[j, i] = -s, s
    return m


LATTICE = np.random.default_rng(360).uniform(-1, 1, 64**3)


def noise(p, scale=1.0, octaves=1):
    """Smooth value noise (N,) in -1..1 at points (3, N), with `scale` cells per unit."""
    total, weight = 0.0, 0.0
    for octave in range(octaves):
        q = np.asarray(p) * (scale * 2**octave) + 11.3 * octave + 100.5
        cell = np.floor(q).astype(np.int64)
        x, y, z = (q - cell) ** 2 * (3 - 2 * (q - cell))
        (i, j, k), (i1, j1, k1) = cell & 63, (cell + 1) & 63
        i, i1, j, j1 = i * 4096, i1 * 4096, j * 64, j1 * 64
        edge = [mix(LATTICE[a + b + k], LATTICE[a + b + k1], z) for a in (i, i1) for b in (j, j1)]
        total = total + mix(mix(edge[0], edge[1], y), mix(edge[2], edge[3], y), x) / 2**octave
        weight += 0.5**octave
    return total / weight


def sphere_points(n, rng, jitter=0.0):
    """n directions (3, n), spread evenly over the sphere like the seeds of a sunflower, then jittered."""
    y = 1 - (2 * np.arange(n) + 1) / n
    angle = np.arange(n) * np.pi * (3 - 5**0.5)
    rho = np.sqrt(1 - y * y)
    even = np.stack([rho * np.cos(angle), y, rho * np.sin(angle)])
    return unit(even + rng.normal(0, jitter / n**0.5, (3, n)))


def spots(points):
    """A function (3, N) -> distance (N,) to the nearest of `points` (3, n), and its index (N,)."""
    tree = KDTree(points.T)
    return lambda p: tree.query(p.T)


# --- Shapes -------------------------------------------------------------------------------------------------


def body(outline, warp=None):
    """Distance to a body turned from `outline` (2, n): radii and heights from the top to the bottom.

    The body must be star-shaped around the origin. `warp(direction, theta, phi)` scales its radius."""
    r, y = outline
    r, y = np.r_[-r[1], r, -r[-2]], np.r_[y[1], y, y[-2]]  # mirrored, so that the poles are smooth
    s = np.r_[0, np.cumsum(np.hypot(np.diff(r), np.diff(y)))]
    s_fine = np.linspace(s[1], s[-2], 4000)
    r, y = CubicSpline(s, r)(s_fine), CubicSpline(s, y)(s_fine)
    theta = np.linspace(0, np.pi, 4096)
    radius = np.interp(theta, np.maximum.accumulate(np.arctan2(np.abs(r), y)), np.hypot(r, y))
    slope = maximum_filter1d(np.abs(np.gradient(radius, theta)), 400)

    def distance(p):
        rho = np.hypot(p[0], p[2])
        length = np.hypot(rho, p[1])
        at = np.arctan2(rho, p[1])
        surface = np.interp(at, theta, radius)
        if warp:
            surface = surface * warp(p / np.maximum(length, 1e-9), at, np.arctan2(p[2], p[0]))
        steep = np.interp(at, theta, slope) / np.maximum(length, 0.3)
        return 0.9 * (length - surface) / np.sqrt(1 + steep * steep)

    return distance


def tube(points, radii):
    """Distance to a round tube of varying radius along a smooth curve through `points` (list of x, y, z)."""
    knots = np.linspace(0, 1, len(points))
    fine = np.linspace(0, 1, 3 * len(points))
    way, thick = CubicSpline(knots, np.array(points, float))(fine), np.interp(fine, knots, radii)

    def distance(p):
        best = np.full(p.shape[1], np.inf)
        for a, b, ra, rb in zip(way, way[1:], thick, thick[1:]):
            a, ab = a[:, None], (b - a)[:, None]
            t = np.clip(dot(p - a, ab) / dot(ab, ab), 0, 1)
            v = p - a - ab * t
            best = np.minimum(best, np.sqrt(dot(v, v)) - mix(ra, rb, t))
        return best * 0.95

    return distance


def sepals(count, height, length, width, rng, inner=0.0, thick=0.022):
    """Distance to `count` pointed leaves round the y axis; `height(u)`: their height at distance u."""
    lengths, bends = length * rng.uniform(0.8, 1.15, count), rng.uniform(-0.15, 0.25, count)
    start = rng.uniform(0, 2 * np.pi)

    def distance(p):
        phi = np.mod(np.arctan2(p[2], p[0]) + start, 2 * np.pi) * count / (2 * np.pi)
        which = np.minimum(phi.astype(int), count - 1)
        rho, phi = np.hypot(p[0], p[2]), (phi - which - 0.5) * 2 * np.pi / count
        u, v = rho * np.cos(phi), rho * np.sin(phi)
        t = np.clip(u / lengths[which], 0, 1)
        half = width * np.sqrt(t * 1.2 + inner) * (1 - t) ** 0.8
        lift = height(u) + bends[which] * t * t * length - 0.35 * np.abs(v)
        flat = np.hypot(np.maximum(np.abs(v) - half, 0), np.maximum(np.abs(p[1] - lift) * 0.7, 0))
        return 0.7 * (np.hypot(flat, np.maximum(np.maximum(-u, u - lengths[which]), 0)) - thick)

    return distance


# --- The studio ---------------------------------------------------------------------------------------------


def join(parts):
    """Distance to the nearest of the parts, which are asked only where they could be the nearest."""

    def distance(p):
        best = parts[0].distance(p)
        for part in parts[1:]:
            x, y, z, radius = part.ball
            reach = best + radius
            near = np.flatnonzero(
                (p[0] - x) ** 2 + (p[1] - y) ** 2 + (p[2] - z) ** 2 < reach * np.abs(reach)
            )
            if near.size:
                best[near] = np.minimum(best[near], part.distance(p[:, near]))
        return best

    return distance


def trace(distance, origin, direction, near, far, steps=160, touch=1.5e-3):
    """Lengths (N,) at which rays come within `touch` of the surface; inf where they miss.

    origin: (3, 1) or (3, N); direction: (3, N); near: where to start, a number or (N,), inf for no ray."""
    n = direction.shape[1]
    origin = np.broadcast_to(origin, (3, n))
    t, hit = np.broadcast_to(near, n).copy(), np.full(n, np.inf)
    alive = np.flatnonzero(t < far)
    for _ in range(steps):
        d = distance(origin[:, alive] + direction[:, alive] * t[alive])
        t[alive] += d
        close = d < touch
        hit[alive[close]] = t[alive[close]]
        alive = alive[~close & (t[alive] < far)]
        if not alive.size:
            break
    hit[alive] = t[alive]  # still creeping along the surface
    return hit


def camera_rays(pose, x, y):
    """Directions (3, N) of camera rays through image points x to the right and y upwards (tangents)."""
    right = unit(np.cross(pose.up, pose.eye, axis=0))
    above = np.cross(pose.eye, right, axis=0)
    return unit(right * x + above * y - pose.eye)


def grid(cx, cy, half, n):
    """Image points x, y (n * n,) at the centres of n by n cells of a square around cx, cy, row by row."""
    c = (np.arange(n) + 0.5) / n * 2 - 1
    return np.tile(cx + half * c, n), np.repeat(cy - half * c, n)


def frame_object(distance, pose, fill):
    """Image square (cx, cy, half) that the object fills to the fraction `fill`, by a coarse look at it."""
    x, y = grid(0, 0, 0.42, 84)
    seen = np.isfinite(
        trace(distance, pose.eye * EYE, camera_rays(pose, x, y), EYE - 3.3, EYE + 3.3, 40)
    )
    x, y = x[seen], y[seen]
    half = max(np.ptp(x), np.ptp(y)) / 2 + 0.005
    return (x.max() + x.min()) / 2, (y.max() + y.min()) / 2 - 0.03 * half, half / fill


def ground_height(distance, up):
    """Height along `up` of the object's lowest point, seen by parallel rays from below."""
    side = unit(np.cross(up, [[0.3], [0.5], [0.8]], axis=0))
    x, y = grid(0, 0, 2.6, 70)
    start = -3.2 * up + side * x + np.cross(up, side, axis=0) * y
    hit = trace(distance, start, np.broadcast_to(up, start.shape), 0.0, 6.4, 40)
    return -3.2 + hit.min()


def slope(height, p, eps=2e-3):
    """Gradient (3, N) of a function of points, from the four corners of a tetrahedron."""
    corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], float)[:, :, None]
    return sum(k * height(p + eps * k) for k in corners) / (4 * eps)


def openness(distance, p, n):
    """How much of the sky (N,) in 0..1 a point sees: ambient occlusion from five steps along the normal."""
    shut = 0.0
    for h, weight in ((0.03, 3.0), (0.09, 1.6), (0.2, 0.8), (0.42, 0.42), (0.8, 0.2)):
        shut = shut + weight * np.maximum(h - distance(p + n * h), 0)
    return np.clip(1 - 0.75 * shut, 0.04, 1)


def sunlit(distance, p, n, light, steps=11):
    """Share (N,) in 0..1 of the softbox that a surface point sees: a soft shadow."""
    share, t = np.ones(p.shape[1]), np.full(p.shape[1], 0.05)
    for _ in range(steps):
        d = distance(p + n * 0.02 + light * t)
        share = np.minimum(share, 0.5 + 2.6 * d / t)
        t += np.clip(d, 0.06, 0.6)
    return step(0, 1, share)


def studio(r, pose, rough):
    """Light (2, N) that comes from directions r (3, N): a softbox and a strip; these, the white table and a dim room."""

    def softbox(towards, width, height):
        side = unit(np.cross(pose.up, towards, axis=0))
        ahead = np.maximum(dot(r, towards), 1e-3)
        a, b = np.abs(dot(r, side)) / ahead, np.abs(dot(r, np.cross(towards, side, axis=0))) / ahead
        blur = rough + 0.02
        return (
            step(width + blur, width - blur, a)
            * step(height + blur, height - blur, b)
            * (ahead > 0.01)
        )

    right = unit(np.cross(pose.up, pose.eye, axis=0))
    strip = unit(right * 0.9 + pose.eye * 0.35 + pose.up * 0.35)
    height = dot(r, pose.up)
    lamps = softbox(pose.light, 0.30, 0.36) * 12 / (1 + 16 * rough) + softbox(
        strip, 0.12, 0.6
    ) * 1.6 / (1 + 6 * rough)
    return np.stack(
        [lamps, lamps + 0.55 * step(0.05, -0.25, height) + 0.22 + 0.3 * step(0.2, 1, height)]
    )


def ambience(distance, p, n, light, pixel):
    """Openness and softbox share (N,) of points; both are soft, so one point speaks for its pixel (N,)."""
    _, one, back = np.unique(pixel, return_index=True, return_inverse=True)
    p, n = p[:, one], n[:, one]
    lit, faces = np.zeros(one.size), np.flatnonzero(dot(n, light) > -0.36)
    lit[faces] = sunlit(distance, p[:, faces], n[:, faces], light)
    return openness(distance, p, n)[back], lit[back]


def shade(parts, scene, pose, p, view, pixel):
    """Linear colours (3, N) of the points p (3, N) on the object's surface, seen along `view` (3, N).

    And for each the number (N,) of the part that it lies on, and the light (N,) of the lamps that it reflects."""
    nearest = np.argmin([part.distance(p) for part in parts], axis=0)
    albedo, smooth, n, gloss, rough = *np.zeros((3, *p.shape)), *np.zeros((2, p.shape[1]))
    for i, part in enumerate(parts):
        at = np.flatnonzero(nearest == i)
        if at.size:
            q = p[:, at]
            albedo[:, at], gloss[at], rough[at] = part.paint(q), part.gloss, part.rough
            smooth[:, at] = unit(slope(part.distance, q))
            n[:, at] = unit(smooth[:, at] - slope(part.bump, q)) if part.bump else smooth[:, at]
    is_open, lit = ambience(scene, p, smooth, pose.light, pixel)
    wrap = np.array([[0.34], [0.22], [0.16]])  # light seeps into flesh, red the farthest
    key = np.clip((dot(n, pose.light) + wrap) / (1 + wrap), 0, None) ** 1.2 * lit
    front = np.clip(0.5 + 0.5 * dot(n, pose.eye), 0, None)
    sky = mix(0.62, 0.5, 0.5 + 0.5 * dot(n, pose.up))  # the table is brighter than the room
    bounce = is_open ** mix(1.0, 0.55, albedo)  # bright flesh lights its own hollows
    facing = dot(view, n)
    fresnel = 0.04 + 0.5 * np.clip(1 + facing, 0, 1) ** 5
    lamps, shine = (
        gloss * fresnel * studio(view - 2 * facing * n, pose, rough) * is_open * (0.35 + 0.65 * lit)
    )
    return albedo * (0.82 * key + (0.30 * sky + 0.13 * front) * bounce) + shine, nearest, lamps


def photograph(parts, pose, exposure=1.0, tint=(1, 1, 1), fill=0.9, size=SIZE):
    """Image uint8 (size, size, 3) of an object on white, and its parts (size, size): for each pixel one of NAMES.

    Ground, with the shadow, is what fewer than half of a pixel's rays leave; else the part that most of them meet; and
    skin that reflects SHINE of the lamps, on average over all rays, is highlight."""
    distance = join(parts)
    floor = ground_height(distance, pose.up)

    def scene(p):
        return np.minimum(distance(p), dot(p, pose.up) - floor)

    eye, near, far = pose.eye * EYE, EYE - 3.3, EYE + 3.3
    square = frame_object(distance, pose, fill)
    pixel = np.kron(np.arange(size * size).reshape(size, size), np.ones((RAYS, RAYS), int)).ravel()
    cone = square[2] / size * 2 * EYE  # a ray as wide as a pixel goes first, then nine
    near = trace(distance, eye, camera_rays(pose, *grid(*square, size)), near, far, 60, cone)[pixel]
    view = camera_rays(pose, *grid(*square, size * RAYS))
    reach = trace(distance, eye, view, near, far)

    colour = np.ones_like(view)  # the white of the table and the wall
    solid = np.isfinite(reach)
    v = view[:, solid]
    lit, met, lamps = shade(parts, scene, pose, eye + v * reach[solid], v, pixel[solid])
    lit = lit * exposure * np.array(tint)[:, None]
    colour[:, solid] = np.where(
        lit > 0.7, 0.7 + 0.3 * np.tanh((lit - 0.7) / 0.3), lit
    )  # film shoulder

    down = dot(view, pose.up)
    table = np.flatnonzero(~solid & (down < -0.02))
    p = eye + view[:, table] * ((floor - dot(eye, pose.up)) / down[table])
    table, p = table[by := dot(p, p) < 9], p[:, by]
    is_open, lit = ambience(
        distance, p, np.broadcast_to(pose.up, p.shape), pose.light, pixel[table]
    )
    dark = (0.40 * (1 - lit) + 0.6 * (1 - is_open)) * step(3, 1.4, np.sqrt(dot(p, p)))
    colour[:, table] = 1 - np.clip(dark - 0.015, 0, 0.9) * np.array([[0.94], [0.97], [1.0]])

    def average(a):
        return a.reshape(-1, size, RAYS, size, RAYS).mean((2, 4))

    def counted(numbers):
        return np.bincount(pixel[solid], numbers, size * size).reshape(size, size)

    number = np.array([NAMES.index(part.name) for part in parts])[met]
    shown = 1 + np.argmax([counted(number == k) for k in (1, 2, 3)], axis=0)
    shown[(shown == 1) & (counted(lamps) >= SHINE * RAYS**2)] = NAMES.index("highlight")
    shown[average(solid)[0] < 0.5] = 0
    c = np.clip(average(colour), 0, 1)
    c = np.where(c > 0.0031308, 1.055 * c ** (1 / 2.4) - 0.055, 12.92 * c)
    return np.rint(c * 255).astype(np.uint8).transpose(1, 2, 0), shown.astype(np.uint8)
