// Groups of images and their order: pure functions of the index.

/** @import { Group, Index } from "./types.js" */
/** @import { VerdictTable } from "./verdicts.js" */
import { changeGroups } from "./comparison.js";
import { groupsOfSets, INVENTED, invented, MISSED, missed } from "./label-sets.js";
import { VERDICTS } from "./verdicts.js";

/**
 * Return whether image i has a label and another class is predicted or, where images have several
 * labels, whether one of them was missed or invented.
 *
 * @param {Pick<Index, "labels" | "predicted" | "labelSets">} index
 * @param {number} i
 */
export function isError({ labels, predicted, labelSets }, i) {
  if (labelSets) return missed(labelSets[i]).length + invented(labelSets[i]).length > 0;
  return labels[i] >= 0 && labels[i] !== predicted[i];
}

/**
 * Return [key, members with this key], keys in ascending order. Members with a key below 0 are left
 * out.
 *
 * @param {number[]} members
 * @param {(i: number) => number} keyOf
 * @returns {[number, number[]][]}
 */
function groupBy(members, keyOf) {
  /** @type {Map<number, number[]>} */
  const groups = new Map();
  for (const i of members) {
    const key = keyOf(i);
    if (key < 0) continue;
    const group = groups.get(key) ?? [];
    group.push(i);
    groups.set(key, group);
  }
  return [...groups].sort(([a], [b]) => a - b);
}

/**
 * Return the confused pairs, the most frequent first.
 *
 * @param {Index} index
 * @param {number[]} errors
 * @returns {Group[]}
 */
function confusedPairs({ labels, predicted, classNames }, errors) {
  const count = classNames.length;
  const pairs = groupBy(errors, (i) => labels[i] * count + predicted[i]);
  pairs.sort(([, a], [, b]) => b.length - a.length);
  return pairs.map(([key, members]) => {
    const trueClass = Math.floor(key / count);
    const predictedClass = key % count;
    const title = `${classNames[trueClass]} taken for ${classNames[predictedClass]}`;
    const part = "Confused pairs";
    return { part, title, members, true: trueClass, predicted: predictedClass };
  });
}

/**
 * Return the names of the two classes that are predicted most often for the members; if classes are
 * equally frequent, the one that occurs first among the members comes first.
 *
 * @param {Index} index
 * @param {number[]} members
 */
function commonClasses({ predicted, classNames }, members) {
  const byClass = groupBy(members, (i) => predicted[i]);
  byClass.sort(([, a], [, b]) => b.length - a.length || a[0] - b[0]);
  const names = byClass.slice(0, 2).map(([c]) => classNames[c]);
  return names.join(", ");
}

/**
 * Return the groups of images with one label each: confused pairs, true and predicted classes.
 *
 * @param {Index} index
 * @param {number[]} every
 * @param {number[]} errors
 * @returns {Group[]}
 */
function groupsOfClasses(index, every, errors) {
  const { labels, predicted, classNames } = index;
  const all = confusedPairs(index, errors);
  for (const [c, members] of groupBy(every, (i) => labels[i])) {
    all.push({ part: "True class", title: classNames[c], members });
  }
  for (const [c, members] of groupBy(every, (i) => predicted[i])) {
    all.push({ part: "Predicted class", title: `predicted ${classNames[c]}`, members });
  }
  return all;
}

/**
 * Return all groups, part by part: all images, all errors, confused pairs, true classes, predicted
 * classes and, where there are no labels, clusters.
 *
 * @param {Index} index
 * @returns {Group[]}
 */
export function groups(index) {
  const { labels, labelSets, clusters } = index;
  const every = labels.map((_, i) => i);
  const errors = every.filter((i) => isError(index, i));

  /** @type {Group[]} */
  const all = [{ part: "Pictures", title: "all pictures", members: every }];
  if (errors.length) all.push({ part: "Pictures", title: "all errors", members: errors });
  all.push(...changeGroups(index));
  const parts = labelSets ? groupsOfSets(index, labelSets) : groupsOfClasses(index, every, errors);
  all.push(...parts);
  if (clusters) {
    for (const [k, members] of groupBy(every, (i) => clusters[i])) {
      const title = `cluster ${k + 1}: ${commonClasses(index, members)}`;
      all.push({ part: "Clusters", title, members });
    }
  }
  for (const { name, images } of index.summary?.slices ?? []) {
    all.push({ part: SLICES, title: name, members: images });
  }
  all.push(...faultGroups(index));
  return all;
}

/** The part of the groups of slices that err more than the rest. */
export const SLICES = "Slices with more errors";

/**
 * Return the title of the group of a kind of fault.
 *
 * @param {string} kind
 */
export function titleOfFaults(kind) {
  return `“${kind}” faults`;
}

/** The part of the groups of data faults. */
const DATA_FAULTS = "Data faults";

/**
 * Return the images of each kind of fault, each beside the one that it is compared with.
 *
 * @param {Index} index
 * @returns {Group[]}
 */
function faultGroups({ summary }) {
  return (summary?.faults ?? []).map(({ kind, rows }) => {
    const numbers = rows.flatMap(({ i, other }) => (other === null ? [i] : [i, other]));
    const reasons = new Map(rows.map(({ i, reason }) => [i, reason]));
    const title = titleOfFaults(kind);
    return { part: DATA_FAULTS, title, members: [...new Set(numbers)], inOrder: true, reasons };
  });
}

/**
 * Return why image i is in a group of faults, as a sentence; "" in other groups.
 *
 * @param {Group} group
 * @param {number} i
 */
export function remarkOnFault({ title, reasons }, i) {
  if (!reasons) return "";
  const reason = reasons.get(i);
  return `${title}: ${reason ?? "not suspected, shown to compare"}.`;
}

/**
 * Return the group that image i is shown in when it is chosen elsewhere: those of its confused pair,
 * its class, or the class that is predicted; for one of the reference, a kind of fault.
 *
 * @param {Group[]} all
 * @param {number} i
 * @returns {Group | undefined}
 */
export function homeOf(all, i) {
  const homes = all.filter((group) => group.members.includes(i));
  const parts = ["Confused pairs", MISSED, INVENTED, "True class", "Predicted class", DATA_FAULTS];
  const ranks = homes.map((group) => parts.indexOf(group.part ?? ""));
  const lowest = Math.min(...ranks.filter((rank) => rank >= 0));
  return homes[ranks.indexOf(lowest)];
}

/** The orders that a group can be shown in, and their names. */
export const ORDERS = {
  confidence: "most confident first",
  doubt: "least confident first",
  margin: "lowest margin first",
  flipCells: "fewest cells to flip first",
  suspicion: "most suspect label first",
  verdict: "by verdict",
  file: "by file",
};

/**
 * Return the orders that the index has values for.
 *
 * @param {Index} index
 */
export function possibleOrders(index) {
  const always = ["doubt", "verdict", "file"];
  return Object.keys(ORDERS).filter((order) => {
    const values = /** @type {Record<string, any>} */ (index)[order];
    return always.includes(order) || values?.some(Boolean);
  });
}

/**
 * Return the members by their verdicts, those without one last.
 *
 * @param {VerdictTable} table
 * @param {number[]} members
 */
export function orderedByVerdict(table, members) {
  /** @param {number} i */
  const rank = (i) => {
    const ranks = table.of(i).map(({ verdict }) => VERDICTS.indexOf(verdict));
    // A comment alone, and verdicts from a file that are not in the list, follow the others.
    return Math.min(
      table.isReviewed(i) ? VERDICTS.length : Infinity,
      ...ranks.filter((k) => k > 0),
    );
  };
  const ranked = members.map((i) => ({ i, rank: rank(i) }));
  ranked.sort((a, b) => (a.rank === b.rank ? a.i - b.i : a.rank - b.rank));
  return ranked.map(({ i }) => i);
}

/**
 * Return the members in one of ORDERS but that by verdicts. Images without a value come last if low values come first,
 * and first if high values do. Ties stay in the order of the files.
 *
 * @param {Index} index
 * @param {number[]} members
 * @param {string} order
 */
export function ordered(index, members, order) {
  if (order === "file") return members;
  const column = order === "doubt" ? "confidence" : order;
  const values = /** @type {Record<string, (number | null)[]>} */ (/** @type {unknown} */ (index))[
    column
  ];
  const sign = ["margin", "doubt", "flipCells"].includes(order) ? 1 : -1;
  /** @param {number} i */
  const rank = (i) => values[i] ?? Number.POSITIVE_INFINITY;
  return [...members].sort((a, b) => sign * (rank(a) - rank(b)) || a - b);
}
