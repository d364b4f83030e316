// Numbers and classes in words.

/** @import { Index } from "./types.js" */

/** @param {number} share */
export function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

/**
 * Return a number with its sign, which is a minus sign rather than a hyphen.
 *
 * @param {number} value
 */
export function signed(value) {
  const sign = value < 0 ? "−" : "+";
  return sign + Math.abs(value).toFixed(2);
}

/** @param {number} count */
export function countOfPictures(count) {
  return `${count} ${count === 1 ? "picture" : "pictures"}`;
}

/**
 * Return the name of a class, or "no label" for -1.
 *
 * @param {Pick<Index, "classNames">} index
 * @param {number} label
 */
export function labelName({ classNames }, label) {
  return label >= 0 ? classNames[label] : "no label";
}

/**
 * Return "true Apple", or "no label" for -1.
 *
 * @param {Pick<Index, "classNames">} index
 * @param {number} label
 */
export function truth({ classNames }, label) {
  return label >= 0 ? `true ${classNames[label]}` : "no label";
}

/**
 * Return one line on image i: its name, true and predicted class, and confidence.
 *
 * @param {Index} index
 * @param {number} i
 */
export function describe(index, i) {
  const predicted = index.classNames[index.predicted[i]];
  const confidence = percent(index.confidence[i]);
  return `${index.names[i]}: ${truth(index, index.labels[i])}, predicted ${predicted} (${confidence})`;
}
