import assert from "node:assert/strict";
import { test } from "node:test";
import {
  nearestPoints,
  nextPoint,
  pointAt,
  pointsInside,
  project,
} from "../../camkit/atlas/view/geometry.js";

/** @type {[number, number][]} */
const square = [
  [0, 0],
  [2, 0],
  [2, 2],
  [0, 2],
];

/** @type {([number, number] | null)[]} */
const points = [[1, 1], [3, 1], null, [1.5, 1.9], [1, -5]];

test("points inside a polygon", () => {
  assert.deepEqual(pointsInside(points, square), [0, 3]);
});

test("the notch of a polygon is outside", () => {
  /** @type {[number, number][]} */
  const notched = [
    [0, 0],
    [4, 0],
    [4, 4],
    [2, 1],
    [0, 4],
  ];
  const inside = pointsInside(
    [
      [2, 2],
      [1, 2],
      [3, 2],
      [2, 0.5],
    ],
    notched,
  );
  assert.deepEqual(inside, [1, 2, 3]);
});

test("the middle of the map lies in the middle of the canvas, at any zoom", () => {
  const size = /** @type {[number, number]} */ ([300, 116]);
  assert.deepEqual(project([0.5, 0.5], { zoom: 1, x: 0.5, y: 0.5 }, size), [150, 58]);
  assert.deepEqual(project([0.2, 0.7], { zoom: 8, x: 0.2, y: 0.7 }, size), [150, 58]);
  assert.deepEqual(project([1, 0], { zoom: 1, x: 0.5, y: 0.5 }, size), [200, 8]);
});

test("the nearest points come first, and images without a point never", () => {
  assert.deepEqual(nearestPoints(points, [1, 1.2], 3), [0, 3, 1]);
  assert.deepEqual(nearestPoints(points, [1, 1.2], 30), [0, 3, 1, 4]);
});

test("a point is taken within the radius alone", () => {
  assert.equal(pointAt(points, [1.2, 1], 0.5), 0);
  assert.equal(pointAt(points, [10, 10], 0.5), null);
  assert.equal(pointAt([null], [0, 0], 5), null);
});

test("an arrow goes to the nearest point within 45° of its direction", () => {
  assert.equal(nextPoint(points, [1, 1], [1, 0]), 1);
  assert.equal(nextPoint(points, [1, 1], [0, 1]), 3);
  assert.equal(nextPoint(points, [1, 1], [0, -1]), 4);
  assert.equal(nextPoint(points, [1, 1], [-1, 0]), null);
});
