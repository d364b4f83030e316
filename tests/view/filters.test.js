import assert from "node:assert/strict";
import { test } from "node:test";
import { filtered, isFiltering, NO_FILTER } from "../../camkit/atlas/view/filters.js";
import { VerdictTable } from "../../camkit/atlas/view/verdicts.js";
import { index } from "./sample.js";

const entry = { verdict: "label wrong", comment: "", correctLabel: "", reviewer: "Kim" };
const table = new VerdictTable([
  { ...entry, i: 2 },
  { ...entry, i: 4, verdict: "not reviewed", comment: "later" },
]);
const metadata = [
  { name: "camera", values: ["", "A", "B"], codes: [1, 1, 2, 2, 1, 2, 0] },
  { name: "year", numbers: [2019, 2020, 2021, 2022, 2023, 2024, null] },
];

/** @param {Partial<typeof NO_FILTER>} filter */
function shown(filter) {
  const members = [0, 1, 2, 3, 4, 5, 6];
  return filtered({ ...index, metadata }, table, members, { ...NO_FILTER, ...filter });
}

test("nothing asked for lets everything through", () => {
  assert.ok(!isFiltering(NO_FILTER));
  assert.ok(!isFiltering({ ...NO_FILTER, column: "camera" }));
  assert.deepEqual(shown({}), [0, 1, 2, 3, 4, 5, 6]);
});

test("by verdict; a comment alone is a review", () => {
  assert.deepEqual(shown({ verdict: "not reviewed" }), [0, 1, 3, 5, 6]);
  assert.deepEqual(shown({ verdict: "reviewed" }), [2, 4]);
  assert.deepEqual(shown({ verdict: "label wrong" }), [2]);
});

test("by confidence and path, together", () => {
  assert.deepEqual(shown({ lowest: "70", highest: "90" }), [0, 2, 3]);
  assert.deepEqual(shown({ lowest: "70", file: "/A" }), [0, 2]);
  assert.deepEqual(shown({ lowest: "what" }), [0, 1, 2, 3, 4, 5, 6]);
});

test("by metadata, chosen values and ranges of numbers", () => {
  assert.deepEqual(shown({ column: "camera", value: "A" }), [0, 1, 4]);
  assert.deepEqual(shown({ column: "year", from: "2022" }), [3, 4, 5]);
  assert.deepEqual(shown({ column: "year", to: "2020" }), [0, 1]);
});

test("a column of many different texts is searched", () => {
  const values = Array.from({ length: 300 }, (_, k) => `Street ${k}`);
  const streets = [{ name: "street", values, codes: [0, 10, 101, 3, 4, 5, 6] }];
  const filter = { ...NO_FILTER, column: "street", value: "street 10" };
  assert.deepEqual(filtered({ ...index, metadata: streets }, table, [0, 1, 2], filter), [1, 2]);
});

test("by the number of cells that flip an image; one that none flip has no number", () => {
  const flips = { ...index, flipCells: [5, 1, 3, null, 2, 9, null] };
  const every = [0, 1, 2, 3, 4, 5, 6];
  assert.deepEqual(filtered(flips, null, every, { ...NO_FILTER, most: "3" }), [1, 2, 4]);
  assert.deepEqual(filtered(flips, null, every, { ...NO_FILTER, fewest: "3" }), [0, 2, 5]);
});
