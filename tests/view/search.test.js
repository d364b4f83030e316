import assert from "node:assert/strict";
import { test } from "node:test";
import {
  excerpt,
  fieldScore,
  matches,
  sectionScore,
  wordsOf,
} from "../../notebooks/site/search.js";

/** @type {[string, string, string, string][]} */
const sections = [
  ["1.html#a", "the gap equation", "gap", "mean of features"],
  ["2.html#b", "bias", "class maps", "the gap and the bias"],
  ["3.html#c", "overlay", "figures", "unbiased colours"],
];

test("a whole field counts more than the beginning of a word, and this more than its middle", () => {
  assert.equal(fieldScore("bias", "bias"), 4);
  assert.equal(fieldScore("the bias of it", "bi"), 2);
  assert.equal(fieldScore("unbiased", "bias"), 1);
  assert.equal(fieldScore("weights", "bias"), 0);
});

test("words of Chinese are found, too", () => {
  assert.equal(fieldScore("准确率", "准确"), 2);
});

test("all words must occur", () => {
  assert.equal(sectionScore(sections[0], ["gap", "bias"]), 0);
  assert.ok(sectionScore(sections[1], ["gap", "bias"]) > 0);
});

test("headings come before text, the best first", () => {
  assert.deepEqual(matches(sections, ["bias"]), [1, 2]);
  assert.deepEqual(matches(sections, ["gap"]), [0, 1]);
  assert.deepEqual(matches(sections, []), []);
});

test("a query in words", () => {
  assert.deepEqual(wordsOf("  GAP  Equation "), ["gap", "equation"]);
});

test("an excerpt has the first word in it, and dots where it was cut", () => {
  const text = `${"a ".repeat(100)}Bias ${"b ".repeat(100)}`;
  const piece = excerpt(text, "bias");
  assert.ok(piece.startsWith("… ") && piece.endsWith(" …") && piece.includes("Bias"));
  assert.equal(excerpt("short", "bias"), "short");
});
