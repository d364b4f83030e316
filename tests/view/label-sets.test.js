import assert from "node:assert/strict";
import { test } from "node:test";
import { Confusion } from "../../camkit/atlas/view/confusion.js";
import { groups, homeOf, isError } from "../../camkit/atlas/view/groups.js";
import { labelNames, mostFrequentFirst } from "../../camkit/atlas/view/label-sets.js";
import { layersOf, statusLine } from "../../camkit/atlas/view/layers.js";
import { suggestionsOf } from "../../camkit/atlas/view/review.js";
import { VerdictTable } from "../../camkit/atlas/view/verdicts.js";
import { describe } from "../../camkit/atlas/view/words.js";
import { errorDetail, index as sample } from "./sample.js";

const [ANT, BEE, CAT] = [0, 1, 2];

/** Of four images Ant is missed twice, once with Bee invented; one has no label and none predicted. */
const labelSets = [
  { true: [ANT, CAT], predicted: [CAT] },
  { true: [ANT], predicted: [BEE] },
  { true: [BEE, CAT], predicted: [BEE, CAT] },
  { true: [], predicted: [] },
];

/** @type {import("../../camkit/atlas/view/types.js").Index} */
const index = { ...sample, labels: [-1, -1, -1, -1], predicted: [CAT, BEE, BEE, CAT], labelSets };

/** @param {import("../../camkit/atlas/view/types.js").LabelSets} sets */
function detailOf(sets) {
  const detail = errorDetail();
  return { ...detail, about: { ...detail.about, label: -1, sets } };
}

test("an image is an error if a label was missed or invented", () => {
  assert.deepEqual(
    labelSets.map((_, i) => isError(index, i)),
    [true, true, false, false],
  );
});

test("groups by missed and invented labels, the most frequent first", () => {
  const titles = groups(index).map(({ title, members }) => `${title}: ${members}`);
  assert.deepEqual(titles, [
    "all pictures: 0,1,2,3",
    "all errors: 0,1",
    "Ant missed: 0,1",
    "Bee invented: 1",
    "Ant missed, Bee invented: 1",
    "Ant: 0,1",
    "Bee: 2",
    "Cat: 0,2",
    "no label: 3",
    "predicted Bee: 1,2",
    "predicted Cat: 0,2",
  ]);
  assert.equal(homeOf(groups(index), 0)?.title, "Ant missed");
});

test("ties stay in their order", () => {
  const tied = [4, 7, 7].map((count, k) => ({ title: `${k}`, members: Array(count).fill(0) }));
  assert.deepEqual(
    mostFrequentFirst(tied).map(({ title }) => title),
    ["1", "2", "0"],
  );
});

test("the matrix has missed labels in rows, invented ones in columns, found ones on the diagonal", () => {
  const confusion = new Confusion(index, groups(index));
  assert.deepEqual(confusion.classes, [ANT, BEE, CAT]);
  assert.equal(confusion.describe(ANT, BEE), "Ant missed, Bee invented: 1 picture");
  assert.equal(confusion.countAt(CAT, CAT), 2);
  assert.equal(confusion.countAt(ANT, ANT), 0);
});

test("each label of an image has its map: missed, invented, found", () => {
  const layers = layersOf(index, detailOf({ true: [ANT, CAT], predicted: [BEE, CAT] }), CAT);
  assert.deepEqual(
    layers.map(({ caption }) => caption),
    ["true: Ant, Cat", "missed: Ant (25.0 %)", "invented: Bee (50.0 %)", "found: Cat (12.5 %)"],
  );
  assert.equal(new Set(layers.map(({ name }) => name)).size, layers.length);
});

test("another class gets a figure of its own, and so does an image without labels", () => {
  const names = (/** @type {import("../../camkit/atlas/view/types.js").Layer[]} */ layers) =>
    layers.map(({ caption }) => caption);
  const one = layersOf(index, detailOf({ true: [ANT], predicted: [ANT] }), CAT);
  assert.deepEqual(names(one), ["true: Ant", "found: Ant (25.0 %)", "map of Cat"]);
  const none = layersOf(index, detailOf({ true: [], predicted: [] }), BEE);
  assert.deepEqual(names(none), ["no label", "map of Bee"]);
});

test("all labels stand in the lines and in the table of verdicts", () => {
  assert.equal(labelNames(index, []), "no label");
  assert.equal(describe(index, 0), "a/0: true Ant, Cat, predicted Cat");
  assert.equal(describe(index, 3), "b/3: no label, predicted no label");
  const line = statusLine(index, detailOf(labelSets[0]), CAT);
  assert.ok(line.startsWith("a/2: true Ant, Cat, predicted Cat. Map of Cat: "), line);
  const verdict = { i: 0, verdict: "other", comment: "", correctLabel: "", reviewer: "Kim" };
  const csv = new VerdictTable([verdict]).toCsv(index);
  assert.ok(csv.includes("/a/0,Ant|Cat,Cat,other"), csv);
});

test("a suggested label joins those that an image has", () => {
  const row = { name: "", reason: "", other: null, split: "", otherSplit: "", suggestion: "Bee" };
  const rows = [
    { ...row, i: 0 },
    { ...row, i: 3 },
  ];
  const summary = { faults: [{ kind: "label", count: 2, meaning: "", rows }] };
  assert.deepEqual(
    [...suggestionsOf({ ...index, summary })],
    [
      [0, "Ant|Cat|Bee"],
      [3, "Bee"],
    ],
  );
  const one = { ...sample, summary };
  assert.equal(suggestionsOf(one).get(0), "Bee");
});
