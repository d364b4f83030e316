// The sum of channels, each times its weight, that grows to a class map: pure functions.

import { signed } from "./words.js";

/** @param {ArrayLike<number>} values */
export function meanOf(values) {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum / values.length;
}

/**
 * Return the correlation of two maps; 0 where one of them is constant.
 *
 * @param {ArrayLike<number>} map
 * @param {ArrayLike<number>} other
 */
export function correlation(map, other) {
  const mean = meanOf(map);
  const otherMean = meanOf(other);
  let product = 0;
  let square = 0;
  let otherSquare = 0;
  for (let i = 0; i < map.length; i++) {
    product += (map[i] - mean) * (other[i] - otherMean);
    square += (map[i] - mean) ** 2;
    otherSquare += (other[i] - otherMean) ** 2;
  }
  return square && otherSquare ? product / Math.sqrt(square * otherSquare) : 0;
}

/**
 * Return the sums as maps, from one array of all of them.
 *
 * @param {Float32Array} values
 * @param {number} count
 */
export function splitMaps(values, count) {
  const size = values.length / count;
  return Array.from({ length: count }, (_, n) => values.subarray(n * size, (n + 1) * size));
}

/**
 * Return what a sum has of the whole map, in words.
 *
 * @param {ArrayLike<number>} sum
 * @param {ArrayLike<number>} whole
 * @param {number} bias
 */
export function sumLine(sum, whole, bias) {
  const mean = meanOf(sum);
  const score = `mean ${signed(mean)}, bias ${signed(bias)}, score ${signed(mean + bias)}`;
  const all = `with all channels ${signed(meanOf(whole) + bias)}`;
  return `${score} (${all}); correlation with the whole map ${correlation(sum, whole).toFixed(3)}.`;
}
