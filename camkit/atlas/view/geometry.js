// Points of the map of features on the screen; null where an image has no point.

/** @import { Point, View } from "./types.js" */

// Pixels between the outermost points and the border.
const BORDER = 8;

/**
 * Return the number of screen pixels in one unit of the map.
 *
 * @param {View} view
 * @param {[number, number]} size width and height of the canvas
 */
export function scaleOf(view, [width, height]) {
  return view.zoom * (Math.min(width, height) - 2 * BORDER);
}

/**
 * Return the position of a point of the map (0..1) on a canvas.
 *
 * @param {Point} point
 * @param {View} view
 * @param {[number, number]} size
 * @returns {Point}
 */
export function project([x, y], view, size) {
  const scale = scaleOf(view, size);
  const [width, height] = size;
  return [width / 2 + (x - view.x) * scale, height / 2 + (y - view.y) * scale];
}

/**
 * Return the numbers of the points inside a closed polygon. A ray from such a point crosses the sides
 * of the polygon an odd number of times.
 *
 * @param {(Point | null)[]} points
 * @param {Point[]} polygon
 */
export function pointsInside(points, polygon) {
  /** @type {number[]} */
  const inside = [];
  points.forEach((point, i) => {
    if (point && crossings(point, polygon) % 2) inside.push(i);
  });
  return inside;
}

/**
 * Return how many sides of the polygon lie to the right of a point, at its height.
 *
 * @param {Point} point
 * @param {Point[]} polygon
 */
function crossings([x, y], polygon) {
  let count = 0;
  polygon.forEach(([xa, ya], corner) => {
    const [xb, yb] = polygon.at(corner - 1) ?? [xa, ya];
    if (ya > y === yb > y) return;
    const crossing = ((xb - xa) * (y - ya)) / (yb - ya) + xa;
    if (x < crossing) count += 1;
  });
  return count;
}

/**
 * Return [squared distance to `from`, number] of each point.
 *
 * @param {(Point | null)[]} points
 * @param {Point} from
 * @returns {[number, number][]}
 */
function squaredDistances(points, [x, y]) {
  /** @type {[number, number][]} */
  const distances = [];
  points.forEach((point, i) => {
    if (!point) return;
    distances.push([(point[0] - x) ** 2 + (point[1] - y) ** 2, i]);
  });
  return distances;
}

/**
 * Return the numbers of the `count` points that are nearest to `from`, nearest first.
 *
 * @param {(Point | null)[]} points
 * @param {Point} from
 * @param {number} count
 */
export function nearestPoints(points, from, count) {
  const distances = squaredDistances(points, from).sort(([a], [b]) => a - b);
  return distances.slice(0, count).map(([, i]) => i);
}

/**
 * Return the number of the point nearest to `from`, or null if none is within `radius` pixels.
 *
 * @param {(Point | null)[]} points
 * @param {Point} from
 * @param {number} radius
 */
export function pointAt(points, from, radius) {
  const within = squaredDistances(points, from).filter(([distance]) => distance <= radius ** 2);
  return lowest(within);
}

/**
 * Return the number of the nearest point within 45° of a direction, or null if there is none.
 *
 * @param {(Point | null)[]} points
 * @param {Point} from
 * @param {Point} direction a unit vector
 */
export function nextPoint(points, from, direction) {
  const ahead = squaredDistances(points, from).filter(([distance, i]) => {
    const point = points[i];
    if (!point || distance < 1e-6) return false;
    const along = (point[0] - from[0]) * direction[0] + (point[1] - from[1]) * direction[1];
    return along >= Math.sqrt(distance / 2);
  });
  return lowest(ahead);
}

/**
 * Return the number that belongs to the lowest distance, or null if there is none.
 *
 * @param {[number, number][]} distances
 */
function lowest(distances) {
  let best = Number.POSITIVE_INFINITY;
  let number = null;
  for (const [distance, i] of distances) {
    if (distance >= best) continue;
    best = distance;
    number = i;
  }
  return number;
}
