// The equation of class activation mapping: M = F · W, mean(M) + b = logit.

/** @import { Head } from "./types.js" */

/**
 * Return the mean of each channel of features (cells × K).
 *
 * @param {Float32Array} features
 * @param {number} channels
 */
export function gapOf(features, channels) {
  const gap = new Float64Array(channels);
  for (let i = 0; i < features.length; i++) gap[i % channels] += features[i];
  return gap.map((sum) => (sum * channels) / features.length);
}

/**
 * Return the map of class c: one value for each cell.
 *
 * @param {Float32Array} features
 * @param {Head} head
 * @param {number} c
 */
export function classMap(features, { kernel, bias }, c) {
  const classes = bias.length;
  const channels = kernel.length / classes;
  const map = new Float32Array(features.length / channels);
  for (let cell = 0; cell < map.length; cell++) {
    let sum = 0;
    for (let k = 0; k < channels; k++) {
      sum += features[cell * channels + k] * kernel[k * classes + c];
    }
    map[cell] = sum;
  }
  return map;
}

/**
 * Return the logit of each class: mean(M_c) + b_c, which is gap · W_c + b_c.
 *
 * @param {Float32Array} features
 * @param {Head} head
 */
export function logitsOf(features, head) {
  return scoresOf(gapOf(features, head.kernel.length / head.bias.length), head);
}

/**
 * Return the logit of each class: gap · W_c + b_c.
 *
 * @param {Float64Array} gap
 * @param {{kernel: ArrayLike<number>, bias: ArrayLike<number>}} head
 */
export function scoresOf(gap, { kernel, bias }) {
  const classes = bias.length;
  const logits = Float64Array.from(bias);
  gap.forEach((mean, k) => {
    for (let c = 0; c < classes; c++) logits[c] += mean * kernel[k * classes + c];
  });
  return logits;
}

/**
 * Return the probabilities of logits. Those of a model that ends in logits are by softmax.
 *
 * @param {Float64Array} logits
 * @param {string} activation
 */
export function probabilities(logits, activation) {
  if (activation === "sigmoid") return logits.map((logit) => 1 / (1 + Math.exp(-logit)));
  const highest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - highest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}
