import assert from "node:assert/strict";
import { test } from "node:test";
import {
  countOfPictures,
  describe,
  labelName,
  percent,
  signed,
  truth,
} from "../../camkit/atlas/view/words.js";
import { index } from "./sample.js";

test("numbers", () => {
  assert.equal(percent(0.6666), "66.7 %");
  assert.equal(signed(1.5), "+1.50");
  assert.equal(signed(-1.5), "−1.50");
  assert.equal(signed(0), "+0.00");
  assert.equal(countOfPictures(1), "1 picture");
  assert.equal(countOfPictures(0), "0 pictures");
});

test("classes", () => {
  assert.equal(labelName(index, 1), "Bee");
  assert.equal(labelName(index, -1), "no label");
  assert.equal(truth(index, 1), "true Bee");
  assert.equal(truth(index, -1), "no label");
});

test("an image in one line", () => {
  assert.equal(describe(index, 2), "a/2: true Ant, predicted Bee (80.0 %)");
  assert.equal(describe(index, 6), "x/6: no label, predicted Cat (40.0 %)");
});

test("an image of the reference says its split, and no more than is known", () => {
  const known = { i: 7, name: "t/7", label: 1, split: "training", predicted: 0, confidence: 0.5 };
  const others = [known, { i: 8, name: "t/8", label: -1 }];
  const of = { ...index, others };
  assert.equal(describe(of, 7), "t/7 (training): true Bee, predicted Ant (50.0 %)");
  assert.equal(describe(of, 8), "t/8: no label");
});
