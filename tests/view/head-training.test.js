import assert from "node:assert/strict";
import { test } from "node:test";
import { logitsOf, probabilities } from "../../camkit/atlas/view/equation.js";
import { gradientOf, trainHead } from "../../camkit/atlas/view/head-training.js";
import { headAsJson } from "../../camkit/atlas/view/teach-panel.js";

const ROWS = [Float64Array.of(2, 0), Float64Array.of(0, 4)];

/** @param {Float64Array} row @param {import("../../camkit/atlas/view/types.js").Head} head */
function probabilitiesOfRow(row, head) {
  return probabilities(logitsOf(Float32Array.from(row), head), "softmax");
}

/** @param {ArrayLike<number>} numbers @param {number[]} expected */
function assertClose(numbers, expected) {
  assert.equal(numbers.length, expected.length);
  for (const [i, value] of expected.entries()) {
    assert.ok(Math.abs(numbers[i] - value) < 1e-12, `${numbers}`);
  }
}

test("the gradient is the excess of probability times the features", () => {
  // All probabilities are 1/2: the excess is −1/2 for a picture's own class and 1/2 for the other.
  const zero = { weights: new Float64Array(4), biases: new Float64Array(2) };
  const first = gradientOf(ROWS, [0, 1], zero);
  assertClose(first.weights, [-0.5, 0.5, 1, -1]);
  assertClose(first.biases, [0, 0]);
  // Logits of both pictures are ln 3 and 0, so probabilities are 3/4 and 1/4.
  const biased = { weights: new Float64Array(4), biases: Float64Array.of(Math.log(3), 0) };
  const second = gradientOf(ROWS, [0, 1], biased);
  assertClose(second.weights, [-0.25, 0.25, 1.5, -1.5]);
  assertClose(second.biases, [0.25, -0.25]);
});

test("points that a plane separates are told apart, and those in the middle are not", () => {
  const points = [
    [0, 10, 5],
    [1, 11, 5],
    [6, 10, 5],
    [5, 11, 5],
    [3, 0, 5],
    [3, 1, 5],
  ].map((point) => Float64Array.from(point));
  const labels = [0, 0, 1, 1, 2, 2];
  const head = trainHead(points, labels, 3);
  for (const [i, point] of points.entries()) {
    assert.ok(probabilitiesOfRow(point, head)[labels[i]] > 0.8);
  }
  // By the symmetry of the first two classes.
  const [left, right] = probabilitiesOfRow(Float64Array.of(3, 10.5, 5), head);
  assert.ok(Math.abs(left - right) < 1e-4);
  // A channel that never changes has no weight.
  assert.deepEqual(Array.from(head.kernel.subarray(6)), [0, 0, 0]);
});

test("the same pictures give the same head, on any scale of the features", () => {
  const head = trainHead(ROWS, [0, 1], 2);
  assert.deepEqual(trainHead(ROWS, [0, 1], 2), head);
  const scaled = ROWS.map((row) => row.map((value) => 8 * value));
  const other = trainHead(scaled, [0, 1], 2);
  assertClose(other.bias, Array.from(head.bias));
  assertClose(
    other.kernel,
    Array.from(head.kernel, (value) => value / 8),
  );
});

test("one picture in both classes is undecided", () => {
  const row = Float64Array.of(1, 2);
  const head = trainHead([row, row], [0, 1], 2);
  assert.deepEqual(Array.from(probabilitiesOfRow(row, head)), [0.5, 0.5]);
});

test("a head as JSON has a row of the kernel for each feature", () => {
  const head = { kernel: Float32Array.of(1, 2, 3, 4, 5, 6), bias: Float32Array.of(7, 8) };
  assert.deepEqual(JSON.parse(headAsJson(head, ["cup", "pen"])), {
    class_names: ["cup", "pen"],
    kernel: [
      [1, 2],
      [3, 4],
      [5, 6],
    ],
    bias: [7, 8],
  });
});
