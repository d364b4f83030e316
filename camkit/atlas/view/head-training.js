// A new head, trained on the averaged features (GAP) of a few pictures: softmax regression.

/** @import { Head } from "./types.js" */
import { probabilities, scoresOf } from "./equation.js";

// Steps of the gradient descent, and the weight of Σ W².
const DESCENT_STEPS = 400;
const DECAY = 1e-3;

// The share of the mean variance that is added to the variance of each channel, so that channels
// that hardly differ between a few pictures are not taken for signs of a class.
const COMMON_VARIANCE = 0.1;

/**
 * Weights, K × C, and biases, C, of a softmax layer.
 *
 * @typedef {{weights: Float64Array, biases: Float64Array}} Softmax
 */

/**
 * Return the gradient of the mean cross-entropy of rows (N × K) with respect to weights and biases:
 * Σ row_k (p_c − [c is the label]) / N, and the same without row_k.
 *
 * @param {Float64Array[]} rows
 * @param {number[]} labels
 * @param {Softmax} softmax
 * @returns {Softmax}
 */
export function gradientOf(rows, labels, softmax) {
  const weights = new Float64Array(softmax.weights.length);
  const biases = new Float64Array(softmax.biases.length);
  const head = { kernel: softmax.weights, bias: softmax.biases };
  rows.forEach((row, n) => {
    const excess = probabilities(scoresOf(row, head), "softmax");
    excess[labels[n]] -= 1;
    excess.forEach((value, c) => {
      const share = value / rows.length;
      biases[c] += share;
      for (let k = 0; k < row.length; k++) weights[k * biases.length + c] += share * row[k];
    });
  });
  return { weights, biases };
}

/**
 * Return the mean of each column of rows, and by what its differences from the mean are divided: its
 * standard deviation, with a share of the mean variance, times √K.
 *
 * @param {Float64Array[]} rows
 */
function standardOf(rows) {
  const channels = rows[0].length;
  const mean = new Float64Array(channels);
  const variance = new Float64Array(channels);
  for (const row of rows) {
    row.forEach((value, k) => {
      mean[k] += value / rows.length;
    });
  }
  for (const row of rows) {
    row.forEach((value, k) => {
      variance[k] += (value - mean[k]) ** 2 / rows.length;
    });
  }
  const common = (COMMON_VARIANCE * variance.reduce((a, b) => a + b, 0)) / channels;
  const spread = variance.map((value) => Math.sqrt((value + common) * channels) || 1);
  return { mean, spread };
}

/**
 * Return a head that tells classes apart by averaged features. It is found by gradient descent on the
 * mean cross-entropy over all pictures, plus DECAY/2 · Σ W², in standardised features, from W = 0; so
 * the same pictures always give the same head.
 *
 * @param {Float64Array[]} features N × K, one row for each picture
 * @param {number[]} labels the class of each picture, 0 … C − 1
 * @param {number} classes C
 * @returns {Head}
 */
export function trainHead(features, labels, classes) {
  const { mean, spread } = standardOf(features);
  const rows = features.map((row) => row.map((value, k) => (value - mean[k]) / spread[k]));
  const weights = new Float64Array(mean.length * classes);
  const biases = new Float64Array(classes);
  for (let step = 0; step < DESCENT_STEPS; step++) {
    // The rows have a mean square of 1 at most, so a step of 1 is below 2 divided by the curvature.
    const gradient = gradientOf(rows, labels, { weights, biases });
    gradient.weights.forEach((slope, i) => {
      weights[i] -= slope + DECAY * weights[i];
    });
    gradient.biases.forEach((slope, c) => {
      biases[c] -= slope;
    });
  }
  return folded({ weights, biases }, mean, spread);
}

/**
 * Return the head on features as they are: (g − mean) / spread · W + b = g · kernel + bias.
 *
 * @param {Softmax} softmax
 * @param {Float64Array} mean
 * @param {Float64Array} spread
 * @returns {Head}
 */
function folded({ weights, biases }, mean, spread) {
  const classes = biases.length;
  const kernel = weights.map((weight, i) => weight / spread[Math.floor(i / classes)]);
  const bias = biases.slice();
  kernel.forEach((value, i) => {
    bias[i % classes] -= mean[Math.floor(i / classes)] * value;
  });
  return { kernel: Float32Array.from(kernel), bias: Float32Array.from(bias) };
}
