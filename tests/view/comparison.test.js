import assert from "node:assert/strict";
import { test } from "node:test";
import {
  answersLine,
  changeGroups,
  changeOf,
  changesOfClass,
  comparedClasses,
  layersOfBoth,
} from "../../camkit/atlas/view/comparison.js";
import { groups } from "../../camkit/atlas/view/groups.js";
import { errorDetail, index } from "./sample.js";

/** @import { Comparison, Index, Maps } from "../../camkit/atlas/view/types.js" */

// Before, the model had no Cat but a Dog: images 1 and 2 were Dogs to it, image 6 was not there.
/** @type {Comparison} */
const comparison = {
  lines: ["+16.7 points", "50.0 % correct before, 66.7 % after"],
  changes: [
    { name: "both right", images: [0, 3] },
    { name: "mended", images: [1] },
    { name: "broken", images: [5] },
    { name: "both wrong, changed answer", images: [2, 4] },
  ],
  classNames: ["Ant", "Bee", "Cat", "Dog"],
  cells: [2, 1],
  predicted: [0, 3, 3, 1, 3, 1, -1],
  confidence: [0.5, 0.6, 0.7, 0.8, 0.9, 0.25, 0],
  predictedSets: null,
  classes: [],
};

/** @type {Index} */
const compared = { ...index, comparison };

/** @type {Maps} */
const before = {
  classes: [0, 1, 3],
  logits: Float32Array.from([1, -2, 3]),
  probs: Float32Array.from([0.125, 0.125, 0.75]),
  maps: [Float32Array.from([1, -5]), Float32Array.from([0, 0]), Float32Array.from([6, -1])],
};

test("each change is a group, after the errors and before the classes", () => {
  assert.deepEqual(
    changeGroups(compared).map(({ title, members }) => [title, members.length]),
    [
      ["both right", 2],
      ["mended", 1],
      ["broken", 1],
      ["both wrong, changed answer", 2],
    ],
  );
  const titles = groups(compared).map(({ title }) => title);
  assert.deepEqual(titles.slice(1, 4), ["all errors", "both right", "mended"]);
  assert.deepEqual(changeGroups(index), []);
});

test("of a class those that were mended or broken, in the order of the files", () => {
  assert.deepEqual(changesOfClass(compared, comparison, 0).members, [1]);
  const { title, members } = changesOfClass(compared, comparison, 1);
  assert.deepEqual([title, members], ["Bee, mended or broken", [5]]);
  assert.deepEqual(changesOfClass(compared, comparison, 3).members, []);
});

test("of several labels each counts", () => {
  const sets = index.labels.map((label) => ({ true: [label, 2], predicted: [2] }));
  const several = { ...compared, labels: index.labels.map(() => -1), labelSets: sets };
  assert.deepEqual(changesOfClass(several, comparison, 2).members, [1, 5]);
  const predictedSets = index.labels.map(() => [0, 3]);
  assert.equal(
    answersLine(several, { ...comparison, predictedSets }, 1),
    "Before: Ant, Dog. After: Cat. So: mended.",
  );
  assert.deepEqual(comparedClasses(several, comparison, 1, 2), [2]);
});

test("answers in words", () => {
  assert.equal(changeOf(comparison, 5), "broken");
  assert.equal(
    answersLine(compared, comparison, 5),
    "Before: Bee (25.0 %). After: Ant (95.0 %). So: broken.",
  );
  assert.equal(
    answersLine(compared, comparison, 6),
    "The analysis before does not hold this picture.",
  );
});

test("both answers are shown, and the chosen class unless it is one of them", () => {
  assert.deepEqual(comparedClasses(compared, comparison, 2, 0), [3, 1, 0]);
  assert.deepEqual(comparedClasses(compared, comparison, 0, 0), [0]);
});

test("the maps of both have the same limits, and what is missing is told", () => {
  const layers = layersOfBoth(compared, comparison, errorDetail(), before, [3, 1]);
  assert.deepEqual(
    layers.map(({ caption }) => caption),
    [
      "before: Dog, 75.0 %, logit +3.00",
      "after: no map of Dog",
      "before: Bee, 12.5 %, logit −2.00",
      "after: Bee, 50.0 %, logit +2.00",
    ],
  );
  assert.deepEqual([...new Set(layers.map(({ low, high }) => `${low} to ${high}`))], ["0 to 6"]);
  assert.deepEqual(
    layers.map(({ cells }) => cells && [...cells]),
    [[6, -1], null, [0, 0], [3, -1]],
  );
  assert.deepEqual(
    layers.map(({ name }) => name),
    ["before", "after", "before", "after"],
  );
});

test("maps without evidence have a range all the same", () => {
  const [layer] = layersOfBoth(compared, comparison, errorDetail([2]), before, [2]);
  assert.ok(layer.high > 0);
});
