import assert from "node:assert/strict";
import { test } from "node:test";
import { Confusion } from "../../camkit/atlas/view/confusion.js";
import { groups } from "../../camkit/atlas/view/groups.js";
import { index } from "./sample.js";

const confusion = new Confusion(index, groups(index));

test("the matrix has the classes that occur, as labels or predictions", () => {
  assert.deepEqual(confusion.classes, [0, 1, 2]);
  const labels = index.labels.slice(0, 6);
  const predicted = index.predicted.slice(0, 6);
  const withoutCat = { ...index, labels, predicted };
  assert.deepEqual(new Confusion(withoutCat, groups(withoutCat)).classes, [0, 1]);
});

test("counts are those of a confusion matrix", () => {
  const counts = [0, 1, 2].map((row) => [0, 1, 2].map((column) => confusion.countAt(row, column)));
  assert.deepEqual(counts, [
    [2, 1, 0],
    [2, 1, 0],
    [0, 0, 0],
  ]);
  assert.equal(confusion.highestCount, 2);
});

test("a cell on the diagonal holds the images that are classified correctly", () => {
  assert.deepEqual(confusion.groupAt(0, 0), {
    title: "Ant, correctly classified",
    members: [0, 1],
  });
  assert.equal(confusion.groupAt(2, 2), undefined);
  assert.equal(confusion.groupAt(0, 2), undefined);
});

test("a cell in words", () => {
  assert.equal(confusion.describe(1, 0), "true Bee, predicted Ant: 2 pictures");
});
