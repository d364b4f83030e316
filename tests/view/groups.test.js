import assert from "node:assert/strict";
import { test } from "node:test";
import { groups, isError, ordered, possibleOrders } from "../../camkit/atlas/view/groups.js";
import { index } from "./sample.js";

/** @param {string} title */
function membersOf(title, of = index) {
  return groups(of).find((group) => group.title === title)?.members;
}

test("an image without a label is no error", () => {
  const errors = index.labels.map((_, i) => i).filter((i) => isError(index, i));
  assert.deepEqual(errors, [2, 4, 5]);
});

test("groups come part by part, confused pairs by their number", () => {
  const titles = groups(index).map((group) => group.title);
  assert.deepEqual(titles, [
    "all pictures",
    "all errors",
    "Bee taken for Ant",
    "Ant taken for Bee",
    "Ant",
    "Bee",
    "predicted Ant",
    "predicted Bee",
    "predicted Cat",
  ]);
});

test("a pair knows its classes and its images", () => {
  const pair = groups(index).find((group) => group.title === "Bee taken for Ant");
  assert.deepEqual(pair?.members, [4, 5]);
  assert.deepEqual([pair?.true, pair?.predicted], [1, 0]);
});

test("true classes leave out images without a label", () => {
  assert.deepEqual(membersOf("Bee"), [3, 4, 5]);
  assert.deepEqual(membersOf("predicted Cat"), [6]);
});

test("without errors there is no group of errors", () => {
  assert.equal(membersOf("all errors", { ...index, labels: index.predicted }), undefined);
});

test("clusters bear the names of their most frequent classes", () => {
  const clustered = { ...index, clusters: [0, 0, 0, 0, 1, 1, 1] };
  const titles = groups(clustered).filter((group) => group.part === "Clusters");
  assert.deepEqual(
    titles.map((group) => group.title),
    ["cluster 1: Ant, Bee", "cluster 2: Ant, Cat"],
  );
});

test("orders", () => {
  const members = [0, 1, 2, 3, 4, 5, 6];
  assert.deepEqual(ordered(index, members, "confidence"), [5, 0, 2, 3, 1, 4, 6]);
  assert.deepEqual(ordered(index, members, "doubt"), [6, 4, 1, 3, 2, 0, 5]);
  assert.deepEqual(ordered(index, members, "margin"), [5, 2, 4, 1, 3, 0, 6]);
  assert.deepEqual(ordered(index, members, "suspicion"), members);
  assert.deepEqual(ordered(index, [3, 1], "file"), [3, 1]);
});

test("only orders that tell images apart are offered", () => {
  assert.deepEqual(possibleOrders(index), ["confidence", "doubt", "margin", "file"]);
  const suspected = { ...index, suspicion: [0, 0, 0.9, 0, 0, 0, 0] };
  assert.ok(possibleOrders(suspected).includes("suspicion"));
});
