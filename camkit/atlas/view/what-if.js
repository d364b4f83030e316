// What would change the answer: pure functions. The formulas are those of camkit.strike,
// camkit.flip_set, camkit.localize.boxes and camkit.localize.iou.

/** @import { Index, Mean, Remaining, Shown } from "./types.js" */
import { probabilities } from "./equation.js";
import { upsample } from "./maps.js";
import { percent, signed } from "./words.js";

/**
 * Return the sum of some cells of a map.
 *
 * @param {ArrayLike<number>} map
 * @param {Iterable<number>} cells
 */
function sumOf(map, cells) {
  let sum = 0;
  for (const cell of cells) sum += map[cell];
  return sum;
}

/**
 * Return what striking cells out adds to the mean of a map: they contribute nothing, or the mean is
 * taken over the cells that are left.
 *
 * @param {ArrayLike<number>} map
 * @param {Set<number>} struck
 * @param {Mean} mean
 */
function changeOfMean(map, struck, mean) {
  const sum = sumOf(map, struck);
  if (mean === "all") return -sum / map.length;
  const total = sumOf(
    map,
    Array.from(map, (_, cell) => cell),
  );
  return (total - sum) / (map.length - struck.size) - total / map.length;
}

/**
 * Return the logits of the stored classes without some cells.
 *
 * @param {Pick<Shown, "logits" | "maps">} detail
 * @param {Set<number>} struck not all of the cells, if the mean is that of the remaining ones
 * @param {Mean} mean
 */
export function logitsWithout({ logits, maps }, struck, mean) {
  return maps.map((map, m) => logits[m] + changeOfMean(map, struck, mean));
}

/**
 * Return the fewest cells without which a lead falls below zero, or null if no number is enough: the
 * cells that add most to it, one after the other.
 *
 * @param {ArrayLike<number>} difference what each cell adds to the lead
 * @param {number} lead
 * @param {Mean} mean
 * @returns {number[] | null}
 */
export function fewestCells(difference, lead, mean) {
  const count = difference.length;
  const order = Array.from(difference, (_, cell) => cell);
  order.sort((a, b) => difference[b] - difference[a] || a - b);
  const total = sumOf(difference, order);
  let sum = 0;
  for (const [position, cell] of order.entries()) {
    sum += difference[cell];
    const left = count - position - 1;
    if (mean === "remaining" && !left) return null;
    const change = mean === "all" ? -sum / count : (total - sum) / left - total / count;
    if (lead + change < 0) return order.slice(0, position + 1);
  }
  return null;
}

/**
 * Return the position of the highest logit.
 *
 * @param {ArrayLike<number>} logits
 */
export function highestOf(logits) {
  let highest = 0;
  for (let m = 1; m < logits.length; m++) if (logits[m] > logits[highest]) highest = m;
  return highest;
}

/**
 * Return the fewest cells without which another class outscores the one with the highest logit, or
 * null if there are none.
 *
 * @param {Pick<Shown, "classes" | "logits" | "maps">} detail
 * @param {number | null} target the class that is to outscore it; null for that of the fewest cells
 * @param {Mean} mean
 */
export function flipSet({ classes, logits, maps }, target, mean) {
  const answer = highestOf(logits);
  const rivals = classes.map((_, m) => m).filter((m) => m !== answer);
  const chosen = target === null ? rivals : rivals.filter((m) => classes[m] === target);
  // Of classes that take equally many cells, the one that was closest comes first.
  chosen.sort((a, b) => logits[b] - logits[a] || a - b);
  /** @type {number[] | null} */
  let fewest = null;
  for (const m of chosen) {
    const difference = maps[answer].map((value, cell) => value - maps[m][cell]);
    const cells = fewestCells(difference, logits[answer] - logits[m], mean);
    if (cells && (!fewest || cells.length < fewest.length)) fewest = cells;
  }
  return fewest;
}

/**
 * Return the logit from which on a label is predicted.
 *
 * @param {Pick<Index, "thresholds">} index
 * @param {number} c
 */
export function thresholdOf({ thresholds }, c) {
  const probability = thresholds?.[c] ?? 0.5;
  return Math.log(probability / (1 - probability));
}

/**
 * Return the fewest cells without which a label comes to the other side of its threshold.
 *
 * @param {Pick<Shown, "logits" | "maps">} detail
 * @param {number} m the position of the label among the stored ones
 * @param {number} threshold the logit from which on it is predicted
 * @param {Mean} mean
 */
export function labelFlipSet({ logits, maps }, m, threshold, mean) {
  const sign = logits[m] >= threshold ? 1 : -1;
  const difference = maps[m].map((value) => sign * value);
  return fewestCells(difference, sign * (logits[m] - threshold), mean);
}

/**
 * Return the box [x0, y0, x1, y1], ends exclusive, of the largest connected part of a mask; pixels
 * that touch at a corner are connected. Of equally large parts it is the upper one, then the left
 * one. Some pixel is in the mask.
 *
 * @param {Uint8Array} mask
 * @param {number} height
 * @param {number} width
 */
export function boxOf(mask, height, width) {
  const seen = new Uint8Array(mask.length);
  const parts = [];
  for (let start = 0; start < mask.length; start++) {
    if (mask[start] && !seen[start]) parts.push(partAt(mask, height, width, start, seen));
  }
  parts.sort((a, b) => b.size - a.size || a.box[1] - b.box[1] || a.box[0] - b.box[0]);
  return parts[0].box;
}

/**
 * Return the size and the box of the part of a mask that holds a pixel, and mark it as seen.
 *
 * @param {Uint8Array} mask
 * @param {number} height
 * @param {number} width
 * @param {number} start
 * @param {Uint8Array} seen
 */
function partAt(mask, height, width, start, seen) {
  /** @type {[number, number, number, number]} */
  const box = [width, height, 0, 0];
  const waiting = [start];
  seen[start] = 1;
  let size = 0;
  for (let pixel = waiting.pop(); pixel !== undefined; pixel = waiting.pop()) {
    const x = pixel % width;
    const y = Math.floor(pixel / width);
    size += 1;
    box[0] = Math.min(box[0], x);
    box[1] = Math.min(box[1], y);
    box[2] = Math.max(box[2], x + 1);
    box[3] = Math.max(box[3], y + 1);
    for (let below = Math.max(y - 1, 0); below <= Math.min(y + 1, height - 1); below++) {
      for (let right = Math.max(x - 1, 0); right <= Math.min(x + 1, width - 1); right++) {
        const other = below * width + right;
        if (!mask[other] || seen[other]) continue;
        seen[other] = 1;
        waiting.push(other);
      }
    }
  }
  return { size, box };
}

/**
 * Return the area that two boxes [x0, y0, x1, y1] share, divided by the area that they cover
 * together.
 *
 * @param {number[]} box
 * @param {number[]} other
 */
export function intersectionOverUnion(box, other) {
  const areaOf = (/** @type {number[]} */ [x0, y0, x1, y1]) =>
    Math.max(x1 - x0, 0) * Math.max(y1 - y0, 0);
  const corner = [0, 1].map((axis) => Math.max(box[axis], other[axis]));
  const opposite = [2, 3].map((axis) => Math.min(box[axis], other[axis]));
  const common = areaOf([...corner, ...opposite]);
  return common / (areaOf(box) + areaOf(other) - common);
}

/**
 * Return what remains of a map above a threshold, a share of its range, after it was enlarged to an
 * image: a mask, the shares of the area and of the evidence (the positive values), and the box.
 *
 * @param {ArrayLike<number>} cells
 * @param {[number, number]} shape height and width of the map in cells
 * @param {number} height of the image in pixels
 * @param {number} width
 * @param {number} threshold 0..1
 * @returns {Remaining}
 */
export function remainingOf(cells, shape, height, width, threshold) {
  const pixels = upsample(cells, shape, height, width);
  let low = Infinity;
  let high = -Infinity;
  for (const value of pixels) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const span = high > low ? high - low : 1;
  const mask = Uint8Array.from(pixels, (value) => Number((value - low) / span >= threshold));
  let area = 0;
  let evidence = 0;
  let all = 0;
  pixels.forEach((value, pixel) => {
    area += mask[pixel];
    all += Math.max(value, 0);
    evidence += mask[pixel] * Math.max(value, 0);
  });
  return {
    pixels,
    mask,
    value: low + threshold * span,
    area: area / pixels.length,
    evidence: all > 0 ? evidence / all : null,
    box: boxOf(mask, height, width),
  };
}

/**
 * Return what remains above a threshold, in words.
 *
 * @param {Remaining} remaining
 * @param {number} threshold
 * @param {number} height
 * @param {number} width
 */
export function remainingLine({ value, area, evidence, box }, threshold, height, width) {
  const limit = `At ${Math.round(100 * threshold)} % of its range and above (${signed(value)})`;
  const shares =
    evidence === null
      ? `${percent(area)} of the area remain; the map has no evidence`
      : `${percent(area)} of the area and ${percent(evidence)} of the evidence remain`;
  const [x0, y0, x1, y1] = box;
  const extent = `x ${x0} to ${x1}, y ${y0} to ${y1} of ${width} × ${height} pixels`;
  return `${limit}, ${shares}. Box of the largest part: ${extent}.`;
}

/** @param {number} count */
export function countOfCells(count) {
  return `${count} ${count === 1 ? "cell" : "cells"}`;
}

/**
 * Return the stored classes as they are ranked without some cells: their probabilities and logits
 * before and after.
 *
 * @param {Index} index
 * @param {Shown} detail
 * @param {Set<number>} struck
 * @param {Mean} mean
 */
export function ranking({ multiLabel }, detail, struck, mean) {
  const before = Float64Array.from(detail.logits);
  const after = Float64Array.from(logitsWithout(detail, struck, mean));
  // A softmax is over the classes that are stored.
  const activation = multiLabel ? "sigmoid" : "softmax";
  const probabilityBefore = probabilities(before, activation);
  const probabilityAfter = probabilities(after, activation);
  const rows = detail.classes.map((c, m) => ({
    c,
    before: before[m],
    after: after[m],
    was: probabilityBefore[m],
    now: probabilityAfter[m],
  }));
  return rows.sort((a, b) => b.after - a.after || a.c - b.c);
}

/** @typedef {ReturnType<typeof ranking>[number]} Ranked */

/**
 * Return which labels come to the other side of their thresholds, in words.
 *
 * @param {Index} index
 * @param {Ranked[]} rows
 */
function changedLabels(index, rows) {
  const texts = rows.flatMap(({ c, before, after, was, now }) => {
    const threshold = thresholdOf(index, c);
    if (before >= threshold === after >= threshold) return [];
    const verb = after >= threshold ? "is predicted" : "is not predicted any more";
    return [`${index.classNames[c]} ${verb} (${percent(now)}, was ${percent(was)})`];
  });
  return texts.length ? texts.join("; ") : "every label stays as it was";
}

/**
 * Return what the answer is without the struck cells, in words.
 *
 * @param {Index} index
 * @param {Shown} detail
 * @param {number} count of the struck cells
 * @param {Ranked[]} rows
 */
export function readout(index, detail, count, rows) {
  const { classNames, cells } = index;
  if (!count) return "No cell is struck out.";
  const these = count === 1 ? "this cell" : `these ${countOfCells(count)}`;
  const lead = `Without ${these} (${percent(count / (cells[0] * cells[1]))} of the map): `;
  if (detail.about.sets) return `${lead}${changedLabels(index, rows)}.`;
  const [first] = rows;
  const answer = detail.classes[highestOf(detail.logits)];
  const now = percent(first.now);
  const row = rows.find(({ c }) => c === answer) ?? first;
  const was = percent(row.was);
  if (first.c === answer) return `${lead}still ${classNames[answer]}, ${now}, was ${was}.`;
  return `${lead}${classNames[first.c]} ${now}, was ${classNames[answer]} ${was}.`;
}

/**
 * Return a remark on classes that are not stored for an image, in words; "" if all are.
 *
 * @param {Index} index
 * @param {Shown} detail
 */
export function remarkOnClasses({ classNames, multiLabel }, { classes, probs }) {
  if (classes.length === classNames.length) return "";
  const stored = `${classes.length} of ${classNames.length} classes are stored for this picture`;
  const compared = `${stored}; the others are not compared`;
  if (multiLabel) return `${compared}.`;
  const sum = probs.reduce((a, b) => a + b, 0);
  return `${compared}, and percentages are shares among these, which had ${percent(sum)} of the probability.`;
}
