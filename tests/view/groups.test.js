import assert from "node:assert/strict";
import { test } from "node:test";
import {
  groups,
  homeOf,
  isError,
  ordered,
  orderedByVerdict,
  possibleOrders,
  remarkOnFault,
} from "../../camkit/atlas/view/groups.js";
import { VerdictTable } from "../../camkit/atlas/view/verdicts.js";
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
  assert.deepEqual(possibleOrders(index), ["confidence", "doubt", "margin", "verdict", "file"]);
  const suspected = { ...index, suspicion: [0, 0, 0.9, 0, 0, 0, 0] };
  assert.ok(possibleOrders(suspected).includes("suspicion"));
});

test("by verdict: as in the list, then other words and comments, then those without", () => {
  const entry = { verdict: "other", comment: "", correctLabel: "", reviewer: "Kim" };
  const table = new VerdictTable([
    { ...entry, i: 5 },
    { ...entry, i: 3, verdict: "my own word" },
    { ...entry, i: 6, verdict: "label wrong" },
    { ...entry, i: 1, verdict: "not reviewed", comment: "later" },
  ]);
  assert.deepEqual(orderedByVerdict(table, [0, 1, 2, 3, 4, 5, 6]), [6, 5, 1, 3, 0, 2, 4]);
});

const faults = {
  kind: "copy",
  count: 2,
  meaning: "",
  rows: [
    { i: 7, other: 1, name: "t/7", reason: "a copy", split: "training", otherSplit: "test" },
    { i: 1, other: 7, name: "a/1", reason: "a copy, too", split: "test", otherSplit: "training" },
  ],
};

test("a kind of fault is a group in which pairs stay together", () => {
  const all = groups({ ...index, summary: { faults: [faults] } });
  const group = all.find(({ part }) => part === "Data faults");
  assert.deepEqual(group, {
    part: "Data faults",
    title: "“copy” faults",
    members: [7, 1],
    inOrder: true,
    reasons: new Map([
      [7, "a copy"],
      [1, "a copy, too"],
    ]),
  });
});

test("why a picture is in a group of faults is told, and which are there to compare", () => {
  const group = { title: "“label” faults", members: [1, 2], reasons: new Map([[1, "looks odd"]]) };
  assert.equal(remarkOnFault(group, 1), "“label” faults: looks odd.");
  assert.equal(remarkOnFault(group, 2), "“label” faults: not suspected, shown to compare.");
  assert.equal(remarkOnFault({ title: "all errors", members: [1] }, 1), "");
});

test("a slice is a group", () => {
  const slice = {
    name: "camera = A",
    size: 2,
    errors: 2,
    share: 1,
    rest: 0.25,
    p: 0.01,
    images: [2, 4],
  };
  const all = groups({ ...index, summary: { faults: [], slices: [slice] } });
  const group = all.find(({ part }) => part === "Slices with more errors");
  assert.equal(group?.title, "camera = A");
  assert.deepEqual(group?.members, [2, 4]);
});

test("an image is at home in its pair, its class, or its faults", () => {
  const all = groups({ ...index, summary: { faults: [faults] } });
  assert.equal(homeOf(all, 2)?.title, "Ant taken for Bee");
  assert.equal(homeOf(all, 0)?.title, "Ant");
  assert.equal(homeOf(all, 6)?.title, "predicted Cat");
  assert.equal(homeOf(all, 7)?.title, "“copy” faults");
  assert.equal(homeOf(all, 99), undefined);
});

test("fewest cells to flip first, and those that none flip last", () => {
  const flips = { ...index, flipCells: [5, 1, 3, null, 1, 9, 2] };
  assert.ok(possibleOrders(flips).includes("flipCells"));
  assert.ok(!possibleOrders(index).includes("flipCells"));
  assert.deepEqual(ordered(flips, [0, 1, 2, 3, 4, 5, 6], "flipCells"), [1, 4, 6, 2, 0, 5, 3]);
});
