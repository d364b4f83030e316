// The bytes of an image's maps, as `pack` in _encoding.py writes them.

/** @import { Maps } from "./types.js" */

// For each map: four float32 (lowest value, step, logit, probability) and one uint32 (the class).
const BYTES_BEFORE_CELLS = 20;

/**
 * Return the maps in the bytes of `pack`: first each column for all maps, then the cells.
 *
 * @param {Uint8Array} bytes
 * @param {[number, number]} shape height and width of a map in cells
 * @returns {Maps}
 */
export function unpack(bytes, [h, w]) {
  const size = h * w;
  const count = bytes.byteLength / (BYTES_BEFORE_CELLS + size);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  /** @param {number} column */
  const floats = (column) =>
    Float32Array.from({ length: count }, (_, m) => view.getFloat32(4 * (column * count + m), true));

  const low = floats(0);
  const step = floats(1);
  const logits = floats(2);
  const probs = floats(3);
  const classes = Array.from({ length: count }, (_, m) =>
    view.getUint32(4 * (4 * count + m), true),
  );

  const maps = classes.map((_, m) => {
    const start = BYTES_BEFORE_CELLS * count + m * size;
    const cells = bytes.subarray(start, start + size);
    return Float32Array.from(cells, (cell) => low[m] + step[m] * cell);
  });
  return { classes, logits, probs, maps };
}

/**
 * Return the bytes that a base64 text encodes.
 *
 * @param {string} text
 */
export function decodeBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/**
 * Return the float32 numbers that a base64 text encodes.
 *
 * @param {string} text
 */
export function decodeFloats(text) {
  return new Float32Array(decodeBase64(text).buffer);
}
