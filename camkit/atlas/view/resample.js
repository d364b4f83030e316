// Pictures resized as Pillow resizes them (bilinear, antialiased), bit for bit.

// Weights are integers of this many bits after the point.
const BITS = 22;

/**
 * Return for each of `size` pixels the first of the `count` pixels that it averages, and their
 * weights. Where a picture shrinks, the triangle of the weights is as much wider.
 *
 * @param {number} count
 * @param {number} size
 * @returns {[number, Int32Array][]}
 */
function weightsOf(count, size) {
  const scale = count / size;
  const support = Math.max(scale, 1);
  return Array.from({ length: size }, (_, pixel) => {
    const centre = (pixel + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support + 0.5), count);
    const weights = Array.from({ length: end - first }, (_, k) =>
      Math.max(1 - Math.abs((first + k - centre + 0.5) * (1 / support)), 0),
    );
    const sum = weights.reduce((a, b) => a + b, 0);
    const whole = weights.map((weight) => Math.trunc((weight / sum) * 2 ** BITS + 0.5));
    return [first, Int32Array.from(whole)];
  });
}

/**
 * Return the bytes of a picture resized along one axis.
 *
 * @param {Uint8Array | Uint8ClampedArray} bytes
 * @param {[number, number, number]} strides lines, the length of a line, and bytes of a pixel
 * @param {number} size the new length
 * @param {boolean} across whether the lines are rows, else they are columns
 */
function resizeLines(bytes, [lines, length, channels], size, across) {
  const result = new Uint8ClampedArray(lines * size * channels);
  const step = across ? channels : lines * channels;
  const nextLine = across ? length * channels : channels;
  const nextResult = across ? size * channels : channels;
  weightsOf(length, size).forEach(([first, weights], pixel) => {
    for (let line = 0; line < lines; line++) {
      for (let channel = 0; channel < channels; channel++) {
        let sum = 2 ** (BITS - 1);
        let position = line * nextLine + first * step + channel;
        for (let k = 0; k < weights.length; k++) {
          sum += bytes[position] * weights[k];
          position += step;
        }
        result[line * nextResult + pixel * step + channel] = sum >> BITS;
      }
    }
  });
  return result;
}

/**
 * Return a picture, bytes of height × width × channels, in another size.
 *
 * @param {Uint8Array | Uint8ClampedArray} bytes
 * @param {[number, number, number]} shape height, width and channels
 * @param {[number, number]} size height and width
 */
export function resize(bytes, [height, width, channels], [newHeight, newWidth]) {
  let result = new Uint8ClampedArray(bytes);
  if (newWidth !== width) {
    result = resizeLines(result, [height, width, channels], newWidth, true);
  }
  if (newHeight !== height) {
    result = resizeLines(result, [newWidth, height, channels], newHeight, false);
  }
  return result;
}

/**
 * Return the gray of each pixel, bytes of RGBA, three times, as Pillow computes it.
 *
 * @param {Uint8ClampedArray} bytes
 */
export function toGray(bytes) {
  const result = new Uint8ClampedArray(bytes);
  for (let i = 0; i < bytes.length; i += 4) {
    const sum = 19595 * bytes[i] + 38470 * bytes[i + 1] + 7471 * bytes[i + 2];
    result.fill((sum + 0x8000) >> 16, i, i + 3);
  }
  return result;
}
