// Numbers and classes in words.

/** @import { Index, LabelSets, Other, Picture } from "./types.js" */
import { labelNames } from "./label-sets.js";

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
 * Return "true Apple", or "no label" for -1; of an image with several labels, all of them.
 *
 * @param {Pick<Index, "classNames">} index
 * @param {number} label
 * @param {LabelSets} [sets]
 */
export function truth(index, label, sets) {
  if (sets?.true.length) return `true ${labelNames(index, sets.true)}`;
  return label >= 0 ? `true ${index.classNames[label]}` : "no label";
}

/**
 * Return what is known of image i, of the analysis or of the reference.
 *
 * @param {Index} index
 * @param {number} i
 * @returns {Picture | Other}
 */
export function pictureOf(index, i) {
  if (i >= index.labels.length) {
    const other = index.others.find((picture) => picture.i === i);
    return other ?? { i, name: `picture ${i}`, label: -1 };
  }
  return {
    name: index.names[i],
    path: index.paths[i],
    split: "",
    label: index.labels[i],
    sets: index.labelSets?.[i],
    predicted: index.predicted[i],
    confidence: index.confidence[i],
  };
}

/**
 * Return one line on image i: its split, if it is of the reference, its name, true and predicted
 * class, and confidence.
 *
 * @param {Index} index
 * @param {number} i
 */
export function describe(index, i) {
  const { split, name, label, sets, predicted, confidence } = pictureOf(index, i);
  const parts = [truth(index, label, sets)];
  if (sets) {
    parts.push(`predicted ${labelNames(index, sets.predicted)}`);
  } else if (predicted !== undefined && confidence !== undefined) {
    parts.push(`predicted ${labelName(index, predicted)} (${percent(confidence)})`);
  }
  return `${withSplit(name, split)}: ${parts.join(", ")}`;
}

/**
 * @param {string} name
 * @param {string} [split]
 */
export function withSplit(name, split) {
  return split ? `${name} (${split})` : name;
}

/** @param {unknown} error */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}
