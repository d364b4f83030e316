import assert from "node:assert/strict";
import { test } from "node:test";
import { probabilities } from "../../camkit/atlas/view/equation.js";
import {
  boxOf,
  fewestCells,
  flipSet,
  intersectionOverUnion,
  labelFlipSet,
  logitsWithout,
  ranking,
  readout,
  remainingLine,
  remainingOf,
  remarkOnClasses,
  thresholdOf,
} from "../../camkit/atlas/view/what-if.js";
import { errorDetail, index } from "./sample.js";

// Image 2: maps Ant 1 2, Bee 3 −1, Cat 0 0; logits 1, 2, −0.5.
const [ANT, BEE, CAT] = [0, 1, 2];

test("struck cells contribute nothing, or the mean is taken over those that are left", () => {
  const struck = new Set([0]);
  assert.deepEqual(logitsWithout(errorDetail(), struck, "all"), [0.5, 0.5, -0.5]);
  assert.deepEqual(logitsWithout(errorDetail(), struck, "remaining"), [1.5, 0, -0.5]);
  assert.deepEqual(logitsWithout(errorDetail(), new Set(), "remaining"), [1, 2, -0.5]);
});

test("probabilities are a softmax, or a sigmoid for each label", () => {
  assert.deepEqual(probabilities(Float64Array.of(0, 0), "softmax"), Float64Array.of(0.5, 0.5));
  assert.deepEqual(probabilities(Float64Array.of(800, 0), "softmax"), Float64Array.of(1, 0));
  const [half, more] = probabilities(Float64Array.of(0, Math.log(3)), "sigmoid");
  assert.equal(half, 0.5);
  assert.ok(Math.abs(more - 0.75) < 1e-12);
});

test("the fewest cells are those that add most to the lead", () => {
  const difference = [-3, 8, 0, 3];
  // Without 8 the lead is 0, which is no flip yet.
  assert.deepEqual(fewestCells(difference, 2, "all"), [1, 3]);
  assert.deepEqual(fewestCells(difference, 1.5, "all"), [1]);
  // −3 and 0 are left: their mean is 3.5 lower than that of all.
  assert.equal(fewestCells(difference, 3, "all"), null);
  assert.deepEqual(fewestCells(difference, 3, "remaining"), [1, 3]);
  assert.equal(fewestCells([1], 1, "remaining"), null);
});

test("a flip set to a class, and to any", () => {
  const detail = { ...errorDetail(), logits: Float32Array.of(1, 2, 1.5) };
  // Bee minus Ant is 2 and −3, and leads by 1; Bee minus Cat is 3 and −1, and leads by 0.5.
  assert.equal(flipSet(detail, ANT, "all"), null);
  assert.deepEqual(flipSet(detail, CAT, "all"), [0]);
  assert.deepEqual(flipSet(detail, null, "all"), [0]);
  assert.deepEqual(flipSet(detail, ANT, "remaining"), [0]);
});

test("a flip set of a label", () => {
  // Bee, 2, comes below 1 without the first cell; Ant, 1, needs 2.
  assert.deepEqual(labelFlipSet(errorDetail(), BEE, 1, "all"), [0]);
  assert.equal(labelFlipSet(errorDetail(), ANT, 2, "all"), null);
  assert.equal(thresholdOf({ thresholds: null }, BEE), 0);
  assert.equal(thresholdOf({ thresholds: [0.5, 0.75, 0.5] }, BEE), Math.log(3));
});

test("the ranking and the readout", () => {
  const rows = ranking(index, errorDetail(), new Set([0]), "remaining");
  assert.deepEqual(
    rows.map(({ c, before, after }) => [c, before, after]),
    [
      [ANT, 1, 1.5],
      [BEE, 2, 0],
      [CAT, -0.5, -0.5],
    ],
  );
  // exp(1.5) / (exp(1.5) + 1 + exp(−0.5)), and exp(2) / (exp(1) + exp(2) + exp(−0.5)).
  assert.equal(
    readout(index, errorDetail(), 1, rows),
    "Without this cell (50.0 % of the map): Ant 73.6 %, was Bee 69.0 %.",
  );
  const none = ranking(index, errorDetail(), new Set(), "all");
  assert.equal(readout(index, errorDetail(), 0, none), "No cell is struck out.");
  const still = ranking(index, errorDetail(), new Set([1]), "all");
  assert.equal(
    readout(index, errorDetail(), 1, still),
    "Without this cell (50.0 % of the map): still Bee, 88.3 %, was 69.0 %.",
  );
});

test("the readout of several labels", () => {
  const detail = errorDetail();
  const several = {
    ...detail,
    about: { ...detail.about, sets: { true: [ANT], predicted: [ANT, BEE] } },
  };
  const labels = { ...index, multiLabel: true, thresholds: [0.5, 0.75, 0.5] };
  const rows = ranking(labels, several, new Set([0]), "all");
  assert.equal(
    readout(labels, several, 1, rows),
    "Without this cell (50.0 % of the map): Bee is not predicted any more (62.2 %, was 88.1 %).",
  );
  const same = ranking(labels, several, new Set([1]), "remaining");
  assert.match(readout(labels, several, 1, same), /every label stays as it was/);
});

test("classes that are not stored are told", () => {
  assert.equal(remarkOnClasses(index, errorDetail()), "");
  assert.equal(
    remarkOnClasses(index, errorDetail([ANT, BEE])),
    "2 of 3 classes are stored for this picture; the others are not compared, and percentages are " +
      "shares among these, which had 75.0 % of the probability.",
  );
});

test("the box is that of the largest part; corners touch", () => {
  const mask = Uint8Array.of(...[0, 0, 0, 1], ...[1, 0, 0, 0], ...[0, 1, 0, 0]);
  assert.deepEqual(boxOf(mask, 3, 4), [0, 1, 2, 3]);
  // Of equally large parts, the upper one.
  const equal = Uint8Array.of(...[0, 0, 0, 1], ...[1, 0, 0, 0]);
  assert.deepEqual(boxOf(equal, 2, 4), [3, 0, 4, 1]);
});

test("two boxes share an area, touch, or lie apart", () => {
  assert.equal(intersectionOverUnion([0, 0, 4, 4], [0, 0, 4, 4]), 1);
  assert.equal(intersectionOverUnion([0, 0, 4, 4], [2, 0, 6, 4]), 8 / 24);
  assert.equal(intersectionOverUnion([0, 0, 4, 4], [4, 0, 8, 4]), 0);
  assert.equal(intersectionOverUnion([0, 0, 1, 1], [5, 5, 6, 6]), 0);
});

test("what remains above a threshold", () => {
  const remaining = remainingOf([-2, 0, 2, 6], [1, 4], 1, 4, 0.5);
  assert.deepEqual([...remaining.mask], [0, 0, 1, 1]);
  assert.deepEqual([remaining.value, remaining.area, remaining.evidence], [2, 0.5, 1]);
  assert.equal(
    remainingLine(remaining, 0.5, 1, 4),
    "At 50 % of its range and above (+2.00), 50.0 % of the area and 100.0 % of the evidence remain. " +
      "Box of the largest part: x 2 to 4, y 0 to 1 of 4 × 1 pixels.",
  );
  const flat = remainingOf([-1, -1], [1, 2], 1, 2, 0);
  assert.deepEqual([flat.area, flat.evidence, flat.box], [1, null, [0, 0, 2, 1]]);
  assert.match(remainingLine(flat, 0, 1, 2), /the map has no evidence/);
});
