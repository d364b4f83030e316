// The comparison with another model: pure functions.

/** @import { Comparison, Group, Index, Layer, Maps, Shown } from "./types.js" */
import { labelNames, setsOf } from "./label-sets.js";
import { SMALLEST_REACH } from "./maps.js";
import { percent, signed } from "./words.js";

/** The part of the groups of images by what became of them. */
export const BEFORE_AND_AFTER = "Before and after";

/**
 * Return the images of each change.
 *
 * @param {Index} index
 * @returns {Group[]}
 */
export function changeGroups({ comparison }) {
  const changes = comparison?.changes ?? [];
  return changes.map(({ name, images }) => {
    return { part: BEFORE_AND_AFTER, title: name, members: images };
  });
}

/**
 * Return the images with the label c that were mended or broken.
 *
 * @param {Index} index
 * @param {Comparison} comparison
 * @param {number} c
 * @returns {Group}
 */
export function changesOfClass(index, { changes, classNames }, c) {
  /** @param {number} i */
  const hasLabel = (i) => setsOf(index, i).true.includes(c);
  const decided = changes.filter(({ name }) => name === "mended" || name === "broken");
  const members = decided.flatMap(({ images }) => images).filter(hasLabel);
  return { title: `${classNames[c]}, mended or broken`, members: members.sort((a, b) => a - b) };
}

/**
 * Return what became of image i, such as "mended"; "" if the analysis before lacks it.
 *
 * @param {Comparison} comparison
 * @param {number} i
 */
export function changeOf({ changes }, i) {
  return changes.find(({ images }) => images.includes(i))?.name ?? "";
}

/**
 * Return the answers to image i before and after, and what became of it, as a sentence.
 *
 * @param {Index} index
 * @param {Comparison} comparison
 * @param {number} i
 */
export function answersLine(index, comparison, i) {
  const { classNames, predicted, confidence, predictedSets } = comparison;
  const change = changeOf(comparison, i);
  if (!change) return "The analysis before does not hold this picture.";
  const sets = index.labelSets;
  if (sets && predictedSets) {
    const before = labelNames({ classNames }, predictedSets[i]);
    return `Before: ${before}. After: ${labelNames({ classNames }, sets[i].predicted)}. So: ${change}.`;
  }
  const before = `${classNames[predicted[i]]} (${percent(confidence[i])})`;
  const after = `${classNames[index.predicted[i]]} (${percent(index.confidence[i])})`;
  return `Before: ${before}. After: ${after}. So: ${change}.`;
}

/**
 * Return the classes whose maps are shown side by side: the answer before, the answer after, and the
 * one that is chosen.
 *
 * @param {Index} index
 * @param {Comparison} comparison
 * @param {number} i
 * @param {number} shown the chosen class
 */
export function comparedClasses(index, { predicted }, i, shown) {
  const answers = index.labelSets ? [] : [predicted[i], index.predicted[i]];
  return [...new Set([...answers, shown])];
}

/**
 * Return the maps of classes by both models, before and after by turns, all with the same limits.
 * A model that lacks a class, or whose map of it is not stored, has a caption that says so.
 *
 * @param {Index} index
 * @param {Comparison} comparison
 * @param {Shown} after
 * @param {Maps} before
 * @param {number[]} classes
 * @returns {Layer[]}
 */
export function layersOfBoth({ palette }, { classNames }, after, before, classes) {
  const sides = { before, after };
  const drawn = classes.flatMap((c) =>
    Object.entries(sides).map(([name, maps]) => {
      const m = maps.classes.indexOf(c);
      if (m < 0) return { name, caption: `${name}: no map of ${classNames[c]}`, cells: null };
      const probability = percent(maps.probs[m]);
      const caption = `${name}: ${classNames[c]}, ${probability}, logit ${signed(maps.logits[m])}`;
      return { name, caption, cells: maps.maps[m] };
    }),
  );
  const highest = drawn.map(({ cells }) => (cells ? Math.max(...cells) : 0));
  const high = Math.max(SMALLEST_REACH, ...highest);
  const colours = { low: 0, high, palette: palette.evidence, alone: false };
  return drawn.map((layer) => ({ ...layer, ...colours }));
}
