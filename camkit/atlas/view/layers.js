// The figures of an image, and the text under them: pure functions.

/** @import { Index, LabelSets, Layer, Shown } from "./types.js" */
import { found, invented, labelNames, missed } from "./label-sets.js";
import { SMALLEST_REACH } from "./maps.js";
import { labelName, percent, signed, truth, withSplit } from "./words.js";

/** The names of the figures of the labels of an image that may have several: so many have one. */
export const LABELS = ["label-0", "label-1", "label-2", "label-3", "label-4", "label-5"];

/**
 * Return the map of class c, or null if the image has none.
 *
 * @param {Shown} detail
 * @param {number} c
 */
function mapOf({ classes, maps }, c) {
  return maps[classes.indexOf(c)] ?? null;
}

/**
 * Return the map of the predicted class minus that of the true class, or null unless the image is
 * misclassified and has both maps.
 *
 * @param {Shown} detail
 */
function differenceOf(detail) {
  const { label, predicted } = detail.about;
  const trueMap = mapOf(detail, label);
  if (label === predicted || !trueMap) return null;
  const predictedMap = mapOf(detail, predicted);
  return predictedMap?.map((value, cell) => value - trueMap[cell]) ?? null;
}

/**
 * Return the figures of the labels of an image: first those that were missed, then those that were
 * invented, then those that were found, each with its probability.
 *
 * @param {Index} index
 * @param {Shown} detail
 * @param {LabelSets} sets
 * @param {Omit<Layer, "name" | "caption" | "cells">} colours
 */
function layersOfLabels({ classNames }, detail, sets, colours) {
  const kinds = { missed: missed(sets), invented: invented(sets), found: found(sets) };
  const labels = Object.entries(kinds).flatMap(([kind, classes]) =>
    classes.map((c) => ({ kind, c, cells: mapOf(detail, c) })),
  );
  const drawn = labels.filter(({ cells }) => cells).slice(0, LABELS.length);
  return drawn.map(({ kind, c, cells }, position) => {
    const probability = percent(detail.probs[detail.classes.indexOf(c)]);
    const caption = `${kind}: ${classNames[c]} (${probability})`;
    return { c, layer: { name: LABELS[position], caption, cells, ...colours } };
  });
}

/**
 * Return the figures of an image that may have several labels: the image, its labels, and the map
 * of the chosen class, unless it is one of these.
 *
 * @param {Index} index
 * @param {Shown} detail
 * @param {LabelSets} sets
 * @param {number} shown the chosen class
 * @param {Omit<Layer, "name" | "caption" | "cells">} colours
 * @returns {Layer[]}
 */
function layersOfSets(index, detail, sets, shown, colours) {
  const caption = sets.true.length ? `true: ${labelNames(index, sets.true)}` : "no label";
  const labels = index.panels.includes("pairs") ? layersOfLabels(index, detail, sets, colours) : [];
  const layers = [
    { name: "picture", caption, cells: null, ...colours },
    ...labels.map(({ layer }) => layer),
  ];
  const isDrawn = labels.some(({ c }) => c === shown);
  if (!labels.length || (index.panels.includes("classes") && !isDrawn)) {
    const caption = `map of ${index.classNames[shown]}`;
    layers.push({ name: "chosen", caption, cells: mapOf(detail, shown), ...colours });
  }
  return layers;
}

/**
 * Return the figures of an image from left to right: the image; the map of the predicted class, for
 * an error after that of the true class and before their difference; and the map of the chosen
 * class, unless it is one of these.
 *
 * @param {Index} index
 * @param {Shown} detail
 * @param {number} shown the chosen class
 * @returns {Layer[]}
 */
export function layersOf(index, detail, shown) {
  const { panels, palette, classNames } = index;
  const { label, sets, predicted, high } = detail.about;
  const evidence = {
    low: 0,
    high: Math.max(high, SMALLEST_REACH),
    palette: palette.evidence,
    alone: false,
  };
  if (sets) return layersOfSets(index, detail, sets, shown, evidence);
  const withPairs = panels.includes("pairs");

  const caption = label >= 0 ? `true: ${classNames[label]}` : "picture";
  /** @type {Layer[]} */
  const layers = [{ name: "picture", caption, cells: null, ...evidence }];
  const isError = label >= 0 && label !== predicted;
  const trueMap = isError ? mapOf(detail, label) : null;
  if (withPairs && trueMap) {
    const caption = `true class: ${labelName(index, label)}`;
    layers.push({ name: "truth", caption, cells: trueMap, ...evidence });
  }
  const predictedMap = mapOf(detail, predicted);
  if (withPairs && predictedMap) {
    const caption = `predicted: ${classNames[predicted]}`;
    layers.push({ name: "answer", caption, cells: predictedMap, ...evidence });
  }
  const difference = differenceOf(detail);
  if (withPairs && difference) {
    const reach = Math.max(SMALLEST_REACH, ...difference.map(Math.abs));
    const colours = { low: -reach, high: reach, palette: palette.signed, alone: true };
    layers.push({
      name: "difference",
      caption: "predicted minus true",
      cells: difference,
      ...colours,
    });
  }
  const isDrawn = shown === predicted || (trueMap !== null && shown === label);
  if (!withPairs || (panels.includes("classes") && !isDrawn)) {
    const caption = `map of ${classNames[shown]}`;
    layers.push({ name: "chosen", caption, cells: mapOf(detail, shown), ...evidence });
  }
  return layers;
}

/**
 * Return a remark on a map that shows no evidence, since it has no positive value; "" for others.
 *
 * @param {Layer} layer
 */
export function remarkOn({ name, cells }) {
  if (!cells || name === "difference") return "";
  const highest = Math.max(...cells);
  return highest > 0 ? "" : `no evidence anywhere: the highest value is ${signed(highest)}`;
}

/**
 * Return the text of an option of the class list: the name of the class of map m, its probability,
 * and its logit as the mean of the map plus the bias.
 *
 * @param {Index} index
 * @param {Shown} detail
 * @param {number} m
 */
export function classLine({ bias, classNames }, { classes, logits, probs }, m) {
  const c = classes[m];
  const sum = bias ? `${signed(logits[m] - bias[c])} ${signed(bias[c])} = ` : "";
  return `${classNames[c]} · ${percent(probs[m])} · ${sum}${signed(logits[m])}`;
}

/**
 * Return the line under the figures: the true and the predicted class of the image, and how the
 * logit of the class `shown` is composed.
 *
 * @param {Index} index
 * @param {Shown} detail
 * @param {number} shown
 */
export function statusLine(index, detail, shown) {
  const { name, split, label, sets, predicted, confidence, margin } = detail.about;
  const { classNames, bias } = index;
  const isError = label >= 0 && label !== predicted;
  const lead = isError && margin !== null ? `, ahead by ${(-margin).toFixed(2)} in the logit` : "";
  const answer = sets
    ? `predicted ${labelNames(index, sets.predicted)}`
    : `predicted ${classNames[predicted]} (${percent(confidence)})${lead}`;

  const m = detail.classes.indexOf(shown);
  const logit = detail.logits[m];
  const mean =
    bias && `mean ${signed(logit - bias[shown])}, with the bias ${signed(bias[shown])} the `;
  const score = `${mean ?? ""}logit ${signed(logit)}, probability ${percent(detail.probs[m])}`;
  return `${withSplit(name, split)}: ${truth(index, label, sets)}, ${answer}. Map of ${classNames[shown]}: ${score}.`;
}
