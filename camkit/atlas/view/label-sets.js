// Images with several labels: which were missed, which were invented, and their groups. Pure functions.

/** @import { Group, Index, LabelSets } from "./types.js" */

/** Between the names of the labels of an image in a CSV file. */
export const SEPARATOR = "|";

export const MISSED = "Missed labels";
export const INVENTED = "Invented labels";

/**
 * Return the true and the predicted classes of image i, also where images have one label each.
 *
 * @param {Pick<Index, "labels" | "predicted" | "labelSets">} index
 * @param {number} i
 * @returns {LabelSets}
 */
export function setsOf({ labels, predicted, labelSets }, i) {
  if (labelSets) return labelSets[i];
  return { true: labels[i] >= 0 ? [labels[i]] : [], predicted: [predicted[i]] };
}

/**
 * Return the true labels that are not predicted.
 *
 * @param {LabelSets} sets
 */
export function missed(sets) {
  return sets.true.filter((c) => !sets.predicted.includes(c));
}

/**
 * Return the predicted labels that are not true.
 *
 * @param {LabelSets} sets
 */
export function invented(sets) {
  return sets.predicted.filter((c) => !sets.true.includes(c));
}

/**
 * Return the labels that are true and predicted.
 *
 * @param {LabelSets} sets
 */
export function found(sets) {
  return sets.true.filter((c) => sets.predicted.includes(c));
}

/**
 * Return names of classes, or "no label" for none.
 *
 * @param {Pick<Index, "classNames">} index
 * @param {number[]} classes
 */
export function labelNames({ classNames }, classes) {
  return classes.map((c) => classNames[c]).join(", ") || "no label";
}

/**
 * Return [key, numbers of the images that have it], for all keys of all images.
 *
 * @param {LabelSets[]} all
 * @param {(sets: LabelSets) => number[]} keysOf
 * @returns {[number, number[]][]}
 */
function membersByKey(all, keysOf) {
  /** @type {Map<number, number[]>} */
  const members = new Map();
  all.forEach((sets, i) => {
    for (const key of keysOf(sets)) {
      const images = members.get(key) ?? [];
      images.push(i);
      members.set(key, images);
    }
  });
  return [...members].sort(([a], [b]) => a - b);
}

/**
 * Return the groups of images with several labels: by missed and by invented labels, by pairs of a
 * missed and an invented one, the most frequent first, and by true and predicted labels.
 *
 * @param {Pick<Index, "classNames">} index
 * @param {LabelSets[]} all
 * @returns {Group[]}
 */
export function groupsOfSets({ classNames }, all) {
  const count = classNames.length;
  /**
   * @param {string} part
   * @param {(sets: LabelSets) => number[]} classesOf
   * @param {(name: string) => string} titleOf
   */
  const byLabel = (part, classesOf, titleOf) =>
    membersByKey(all, classesOf).map(([c, members]) => ({
      part,
      title: titleOf(classNames[c]),
      members,
    }));
  const pairs = membersByKey(all, (sets) =>
    missed(sets).flatMap((c) => invented(sets).map((other) => c * count + other)),
  ).map(([key, members]) => {
    const trueClass = Math.floor(key / count);
    const predictedClass = key % count;
    const title = `${classNames[trueClass]} missed, ${classNames[predictedClass]} invented`;
    return { part: "Confused pairs", title, members, true: trueClass, predicted: predictedClass };
  });
  const without = all.flatMap((sets, i) => (sets.true.length ? [] : [i]));
  const groups = [
    ...mostFrequentFirst(byLabel(MISSED, missed, (name) => `${name} missed`)),
    ...mostFrequentFirst(byLabel(INVENTED, invented, (name) => `${name} invented`)),
    ...mostFrequentFirst(pairs),
    ...byLabel(
      "True class",
      (sets) => sets.true,
      (name) => name,
    ),
  ];
  if (without.length) groups.push({ part: "True class", title: "no label", members: without });
  groups.push(
    ...byLabel(
      "Predicted class",
      (sets) => sets.predicted,
      (name) => `predicted ${name}`,
    ),
  );
  return groups;
}

/**
 * @template {Group} G
 * @param {G[]} groups
 */
export function mostFrequentFirst(groups) {
  return [...groups].sort((a, b) => b.members.length - a.members.length);
}
