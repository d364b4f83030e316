// Class maps as camkit.upsample enlarges them and camkit.overlay colours them.

/** @import { Palette } from "./types.js" */

// The limits of a colour map are at least this far from zero, so that a map of zeros has a range.
export const SMALLEST_REACH = 1e-6;

/**
 * Return for each of `size` pixels the two of `count` cells between which it lies, and the weight of
 * the second. Pixels and cells have their centres at halves, as in camkit.upsample.
 *
 * @param {number} count
 * @param {number} size
 * @returns {[number, number, number][]}
 */
export function interpolation(count, size) {
  return Array.from({ length: size }, (_, pixel) => {
    const position = ((pixel + 0.5) * count) / size - 0.5;
    const clipped = Math.min(Math.max(position, 0), count - 1);
    const lower = Math.min(Math.floor(clipped), Math.max(count - 2, 0));
    const upper = Math.min(lower + 1, count - 1);
    return [lower, upper, clipped - lower];
  });
}

/**
 * Return a map of h × w cells enlarged to height × width pixels by bilinear interpolation.
 *
 * @param {ArrayLike<number>} cells
 * @param {[number, number]} shape
 * @param {number} height
 * @param {number} width
 */
export function upsample(cells, [h, w], height, width) {
  const rows = interpolation(h, height);
  const columns = interpolation(w, width);
  const pixels = new Float32Array(height * width);
  rows.forEach(([top, bottom, down], y) => {
    columns.forEach(([left, right, across], x) => {
      const upper = cells[top * w + left] * (1 - across) + cells[top * w + right] * across;
      const lower = cells[bottom * w + left] * (1 - across) + cells[bottom * w + right] * across;
      pixels[y * width + x] = upper * (1 - down) + lower * down;
    });
  });
  return pixels;
}

// How much darker than white the photograph under a map is, as a share of its own.
const DARKNESS = 0.5;

// The opacity of the strongest values over an image, as in camkit.overlay.
const OPACITY = 0.85;

/**
 * Return RGBA bytes of a signed map over a photograph, which is gray and light, so that all colours
 * are the map's. Its opacity grows with |value| up to half the limit: where the map is zero, white
 * stays white.
 *
 * @param {Uint8ClampedArray} gray the photograph, bytes of RGBA
 * @param {ArrayLike<number>} values
 * @param {number} reach the limit of the colours
 * @param {Palette} palette 256 colours
 */
export function overGray(gray, values, reach, palette) {
  const bytes = colours(values, -reach, reach, palette);
  for (let i = 0; i < bytes.length; i++) {
    if (i % 4 === 3) continue;
    const value = values[Math.floor(i / 4)];
    const opacity = OPACITY * Math.min((2 * Math.abs(value)) / reach, 1);
    const light = 255 - DARKNESS * (255 - gray[i]);
    bytes[i] = opacity * bytes[i] + (1 - opacity) * light;
  }
  return bytes;
}

/**
 * Return RGBA bytes of values to lay over an image, as camkit.overlay does it: the opacity grows with
 * the value, from none at `low`; with |value|, if the limits are symmetric.
 *
 * @param {ArrayLike<number>} values
 * @param {number} low
 * @param {number} high
 * @param {Palette} palette 256 colours
 */
export function translucent(values, low, high, palette) {
  const bytes = colours(values, low, high, palette);
  const isSigned = low < 0 && low === -high;
  const neutral = isSigned ? 0 : low;
  const reach = high > neutral ? high - neutral : 1;
  for (let i = 0; i < values.length; i++) {
    const distance = isSigned ? Math.abs(values[i]) : Math.max(values[i] - low, 0);
    bytes[4 * i + 3] = 255 * OPACITY * Math.min(distance / reach, 1);
  }
  return bytes;
}

/**
 * Return opaque RGBA bytes of values: `low` takes the first colour of the palette, `high` the last.
 * The index is rounded as matplotlib does it.
 *
 * @param {ArrayLike<number>} values
 * @param {number} low
 * @param {number} high
 * @param {Palette} palette 256 colours
 */
export function colours(values, low, high, palette) {
  const span = high > low ? high - low : 1;
  const bytes = new Uint8ClampedArray(4 * values.length);
  for (let i = 0; i < values.length; i++) {
    const share = Math.min(Math.max((values[i] - low) / span, 0), 1);
    const colour = palette[Math.min(Math.floor(share * 256), 255)];
    bytes.set(colour, 4 * i);
    bytes[4 * i + 3] = 255;
  }
  return bytes;
}
