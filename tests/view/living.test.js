import assert from "node:assert/strict";
import { test } from "node:test";
import { limitsOf, pathOf } from "../../camkit/atlas/view/curves.js";
import { greyPixels } from "../../camkit/atlas/view/deletion-view.js";
import { correlation, meanOf, splitMaps, sumLine } from "../../camkit/atlas/view/partial-sums.js";

test("maps correlate with themselves and against their opposites; constant ones do not", () => {
  assert.equal(meanOf([1, 2, 6]), 3);
  assert.equal(correlation([1, 2, 6], [1, 2, 6]), 1);
  assert.equal(correlation([1, 2, 6], [-2, -4, -12]), -1);
  assert.equal(correlation([1, 2, 6], [5, 5, 5]), 0);
  // Deviations −1 0 1 and 0 −1 1: 1 / 2.
  assert.ok(Math.abs(correlation([1, 2, 3], [4, 3, 5]) - 0.5) < 1e-12);
});

test("one array holds the maps one after the other", () => {
  const [first, second] = splitMaps(Float32Array.of(1, 2, 3, 4), 2);
  assert.deepEqual([...first, ...second], [1, 2, 3, 4]);
  assert.equal(first.length, 2);
});

test("a sum is told by its mean, the score that it gives, and its likeness to the whole map", () => {
  const line = sumLine([1, 3], [3, 5], -1);
  const score = "mean +2.00, bias −1.00, score +1.00 (with all channels +3.00)";
  assert.equal(line, `${score}; correlation with the whole map 1.000.`);
});

test("a curve goes from left to right, the highest value at the top", () => {
  assert.equal(pathOf([0, 1], 3, [0, 1]), "M0.0 130.0L180.0 0.0");
  assert.equal(pathOf([0.5], 1, [0, 1]), "M0.0 65.0");
  assert.deepEqual(limitsOf([[0.2, 1.5], [-0.5]]), [-0.5, 1.5]);
  assert.deepEqual(limitsOf([[0.2]]), [0, 1]);
});

test("pixels are grey from the step on with which they go", () => {
  const bytes = greyPixels(Uint8Array.of(1, 2, 3), 2, [124, 116, 104]);
  assert.deepEqual([...bytes], [124, 116, 104, 255, 124, 116, 104, 255, 0, 0, 0, 0]);
});
