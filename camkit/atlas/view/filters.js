// Which images of a group are shown: pure functions.

/** @import { Column, Index } from "./types.js" */
/** @import { VerdictTable } from "./verdicts.js" */
import { NOT_REVIEWED } from "./verdicts.js";
import { pictureOf } from "./words.js";

/**
 * What images must fulfil; an empty text asks for nothing. The confidences are percentages, and from
 * `fewest` to `most` cells flip the prediction. `value`
 * is a text of the column of metadata; of a column of numbers, there are the lowest and the highest.
 *
 * @typedef {"verdict" | "lowest" | "highest" | "fewest" | "most" | "file" | "column" | "value" | "from" | "to"} FilterField
 * @typedef {Record<FilterField, string>} Filter
 */

/** @type {Readonly<Filter>} */
export const NO_FILTER = Object.freeze({
  verdict: "",
  lowest: "",
  highest: "",
  fewest: "",
  most: "",
  file: "",
  column: "",
  value: "",
  from: "",
  to: "",
});

/** Every image that somebody has reviewed. */
export const REVIEWED = "reviewed";

/**
 * Return a number that has been entered, or another one if there is none.
 *
 * @param {string} text
 * @param {number} otherwise
 */
function numberOr(text, otherwise) {
  const number = text.trim() === "" ? Number.NaN : Number(text);
  return Number.isNaN(number) ? otherwise : number;
}

/**
 * Return whether a number lies within limits; one that is unknown does so if there are none.
 *
 * @param {number | null | undefined} value
 * @param {string} lowest
 * @param {string} highest
 */
function isWithin(value, lowest, highest) {
  const low = numberOr(lowest, Number.NEGATIVE_INFINITY);
  const high = numberOr(highest, Number.POSITIVE_INFINITY);
  if (value === null || value === undefined) return low === -Infinity && high === Infinity;
  return value >= low && value <= high;
}

/**
 * @param {VerdictTable | null} table
 * @param {number} i
 * @param {string} verdict
 */
function hasVerdict(table, i, verdict) {
  if (!verdict || !table) return true;
  if (verdict === REVIEWED) return table.isReviewed(i);
  if (verdict === NOT_REVIEWED) return !table.isReviewed(i);
  return table.of(i).some((row) => row.verdict === verdict);
}

/**
 * @param {Column | undefined} column
 * @param {number} i
 * @param {Filter} filter
 */
function hasMetadata(column, i, { value, from, to }) {
  if (!column) return true;
  if (column.numbers) return isWithin(column.numbers[i], from, to);
  if (!value) return true;
  const text = column.values?.[column.codes?.[i] ?? -1];
  if (text === undefined) return false;
  // Few values are chosen from a list, many are searched.
  return isChosen(column) ? text === value : text.toLowerCase().includes(value.toLowerCase());
}

// From this number of different values on, a text is searched for rather than chosen from a list.
const MANY_VALUES = 200;

/**
 * Return whether a text of the column is chosen from a list.
 *
 * @param {Column} column
 */
export function isChosen({ values }) {
  return values !== undefined && values.length < MANY_VALUES;
}

/**
 * Return the members that a filter lets through.
 *
 * @param {Index} index
 * @param {VerdictTable | null} table none without a review
 * @param {number[]} members
 * @param {Filter} filter
 */
export function filtered(index, table, members, filter) {
  if (!isFiltering(filter)) return members;
  const column = index.metadata.find(({ name }) => name === filter.column);
  const part = filter.file.trim().toLowerCase();
  return members.filter((i) => {
    const { name, path, confidence } = pictureOf(index, i);
    const share = confidence === undefined ? undefined : 100 * confidence;
    return (
      hasVerdict(table, i, filter.verdict) &&
      isWithin(share, filter.lowest, filter.highest) &&
      isWithin(index.flipCells?.[i], filter.fewest, filter.most) &&
      (path ?? name).toLowerCase().includes(part) &&
      hasMetadata(column, i, filter)
    );
  });
}

/**
 * Return whether a filter asks for something.
 *
 * @param {Filter} filter
 */
export function isFiltering(filter) {
  const { column, value, from, to, ...others } = filter;
  const ofColumn = column && [value, from, to].some((text) => text.trim());
  return Boolean(ofColumn) || Object.values(others).some((text) => text.trim());
}
