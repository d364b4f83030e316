import assert from "node:assert/strict";
import { test } from "node:test";
import { classLine, layersOf, remarkOn, statusLine } from "../../camkit/atlas/view/layers.js";
import { errorDetail, index } from "./sample.js";

const [ANT, BEE, CAT] = [0, 1, 2];

/**
 * @param {import("../../camkit/atlas/view/types.js").Shown} detail
 * @param {number} shown
 */
function namesOf(detail, shown, of = index) {
  return layersOf(of, detail, shown).map((layer) => layer.name);
}

/** Return an Ant that is classified as one. */
function correctDetail() {
  const detail = errorDetail();
  const about = { ...detail.about, predicted: ANT, margin: 1 };
  return { ...detail, about };
}

test("an error has both maps and their difference, on a scale around zero", () => {
  const layers = layersOf(index, errorDetail(), BEE);
  assert.deepEqual(
    layers.map((layer) => layer.name),
    ["picture", "truth", "answer", "difference"],
  );
  const difference = layers[3];
  assert.deepEqual([...(difference.cells ?? [])], [2, -3]);
  assert.deepEqual([difference.low, difference.high, difference.alone], [-3, 3, true]);
});

test("evidence goes from zero to the highest value of all maps of the image", () => {
  const [, truth, answer] = layersOf(index, errorDetail(), BEE);
  assert.deepEqual([truth.low, truth.high, truth.caption], [0, 3, "true class: Ant"]);
  assert.deepEqual([answer.low, answer.high, answer.caption], [0, 3, "predicted: Bee"]);
});

test("another class gets a figure of its own", () => {
  assert.deepEqual(namesOf(errorDetail(), CAT).at(-1), "chosen");
  assert.deepEqual(namesOf(errorDetail(), ANT).at(-1), "difference");
});

test("an image that is classified correctly has the map of its class alone", () => {
  assert.deepEqual(namesOf(correctDetail(), ANT), ["picture", "answer"]);
  assert.deepEqual(namesOf(correctDetail(), BEE), ["picture", "answer", "chosen"]);
});

test("without the map of the true class there is no difference", () => {
  assert.deepEqual(namesOf(errorDetail([BEE, CAT]), BEE), ["picture", "answer"]);
});

test("without pairs the chosen class is the only map", () => {
  const classes = { ...index, panels: ["classes"] };
  assert.deepEqual(namesOf(errorDetail(), BEE, classes), ["picture", "chosen"]);
});

test("a map of zeros has a range", () => {
  const detail = errorDetail();
  const flat = { ...detail, about: { ...detail.about, high: 0 } };
  assert.ok(layersOf(index, flat, BEE)[1].high > 0);
});

test("the line of a class: mean plus bias is the logit", () => {
  assert.equal(classLine(index, errorDetail(), 0), "Ant · 25.0 % · +0.50 +0.50 = +1.00");
  const method = { ...index, bias: null };
  assert.equal(classLine(method, errorDetail(), 0), "Ant · 25.0 % · +1.00");
});

test("the line under the figures", () => {
  assert.equal(
    statusLine(index, errorDetail(), BEE),
    "a/2: true Ant, predicted Bee (80.0 %), ahead by 1.00 in the logit. " +
      "Map of Bee: mean +2.25, with the bias −0.25 the logit +2.00, probability 50.0 %.",
  );
  assert.equal(
    statusLine({ ...index, bias: null }, correctDetail(), ANT),
    "a/2: true Ant, predicted Ant (80.0 %). Map of Ant: logit +1.00, probability 25.0 %.",
  );
});

test("a map without a positive value is remarked on, in words", () => {
  const remarks = layersOf(index, errorDetail(), CAT).map(remarkOn);
  const none = "no evidence anywhere: the highest value is +0.00";
  assert.deepEqual(remarks, ["", "", "", "", none]);
  const [, , layer] = layersOf(index, errorDetail(), CAT);
  const negative = { ...layer, cells: Float32Array.of(-2, -0.5) };
  assert.equal(remarkOn(negative), "no evidence anywhere: the highest value is −0.50");
});
