// The picture that the model reads: a photograph, what is painted out, an object over it, noise.

/** @import { Photograph } from "./types.js" */
import { resize } from "./resample.js";

// The opaque background of an object is at most this far from the colour of its top left pixel.
const TOLERANCE = 28;

// How many strokes can be taken back.
const STROKES = 100;

/**
 * Return `count` numbers with mean 0 and standard deviation 1, always the same ones.
 *
 * @param {number} count
 */
function gaussian(count) {
  let state = 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return ((state >>> 8) + 0.5) / 2 ** 24;
  };
  return Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

/**
 * Return the mean colour of a picture, bytes of RGB.
 *
 * @param {Uint8ClampedArray} bytes
 */
function meanColour(bytes) {
  const sums = [0, 0, 0];
  for (let i = 0; i < bytes.length; i++) sums[i % 3] += bytes[i];
  return sums.map((sum) => Math.round((3 * sum) / bytes.length));
}

/**
 * Return the opacity (0 or 255) of each pixel of a picture, bytes of RGBA: what has the colour of
 * the top left pixel and is connected to the border is transparent.
 *
 * @param {Uint8ClampedArray} bytes
 * @param {[number, number]} shape height and width
 */
function opacityOf(bytes, [height, width]) {
  const opacity = new Uint8ClampedArray(height * width).fill(255);
  const corner = bytes.slice(0, 3);
  /** @param {number} i */
  const isBackground = (i) =>
    bytes[4 * i + 3] < 128 ||
    [0, 1, 2].every((k) => Math.abs(bytes[4 * i + k] - corner[k]) <= TOLERANCE);
  /** @type {number[]} */
  const pending = [];
  /** @param {number} i */
  const visit = (i) => {
    if (opacity[i] === 0 || !isBackground(i)) return;
    opacity[i] = 0;
    pending.push(i);
  };
  for (let x = 0; x < width; x++) {
    visit(x);
    visit((height - 1) * width + x);
  }
  for (let y = 0; y < height; y++) {
    visit(y * width);
    visit(y * width + width - 1);
  }
  while (pending.length) {
    const i = /** @type {number} */ (pending.pop());
    const x = i % width;
    if (x > 0) visit(i - 1);
    if (x < width - 1) visit(i + 1);
    if (i >= width) visit(i - width);
    if (i < (height - 1) * width) visit(i + width);
  }
  return opacity;
}

/**
 * Return a picture whose background is transparent. Colours are multiplied by their opacity, so that
 * they have none of the background at the edge when the picture is resized.
 *
 * @param {Photograph} photograph
 * @returns {Photograph}
 */
function withoutBackground({ bytes, height, width }) {
  const opacity = opacityOf(bytes, [height, width]);
  const colours = bytes.slice();
  for (let i = 0; i < opacity.length; i++) {
    if (!opacity[i]) colours.fill(0, 4 * i, 4 * i + 3);
    colours[4 * i + 3] = opacity[i];
  }
  return { bytes: colours, height, width };
}

/** A picture of the size that the model reads, bytes of RGB, and what was done to it. */
export class Scene {
  /**
   * @param {[number, number]} size height and width
   */
  constructor([height, width]) {
    this.height = height;
    this.width = width;
    this.aspect = width / height;
    /** @type {Uint8ClampedArray} */
    this.background = new Uint8ClampedArray(3 * height * width);
    this.noise = gaussian(3 * height * width);
    this.mean = [0, 0, 0];
    /** @type {Uint8Array} */
    this.painted = new Uint8Array(height * width);
    /** @type {Uint8Array[]} */
    this.strokes = [];
    /** @type {Photograph | null} */
    this.cutout = null;
    /** The cutout at its present size. @type {Photograph | null} */
    this.object = null;
    this.objectSize = 0.5;
    this.position = [width / 2, height / 2];
    this.deviation = 0;
  }

  /** Take back everything but the picture and the chosen object. */
  reset() {
    this.painted = new Uint8Array(this.height * this.width);
    this.strokes = [];
    this.position = [this.width / 2, this.height / 2];
    this.deviation = 0;
  }

  /**
   * Show another picture, of the size that the model reads.
   *
   * @param {Uint8ClampedArray} background bytes of RGB
   * @param {number} aspect width by height of the original
   */
  show(background, aspect) {
    this.background = background;
    this.aspect = aspect;
    this.mean = meanColour(background);
    this.reset();
  }

  beginStroke() {
    this.strokes.push(this.painted.slice());
    if (this.strokes.length > STROKES) this.strokes.shift();
  }

  /** Take back the last stroke. Returns whether there was one. */
  undo() {
    const last = this.strokes.pop();
    if (last) this.painted = last;
    return last !== undefined;
  }

  /**
   * Paint a disc, round in the photograph as it is shown, in the mean colour of the picture.
   *
   * @param {number} x
   * @param {number} y
   * @param {number} radius as a share of the picture's height
   */
  paint(x, y, radius) {
    const down = radius * this.height;
    const across = (radius * this.width) / this.aspect;
    for (let row = 0; row < this.height; row++) {
      for (let column = 0; column < this.width; column++) {
        const distance = ((column + 0.5 - x) / across) ** 2 + ((row + 0.5 - y) / down) ** 2;
        if (distance <= 1) this.painted[row * this.width + column] = 1;
      }
    }
  }

  /**
   * Lay an object over the picture, without its background.
   *
   * @param {Photograph | null} photograph null for no object
   */
  choose(photograph) {
    this.cutout = photograph && withoutBackground(photograph);
    this.resizeObject();
  }

  /** Bring the object to its present size. */
  resizeObject() {
    if (!this.cutout) {
      this.object = null;
      return;
    }
    const { bytes, height, width } = this.cutout;
    const newHeight = Math.max(Math.round(this.objectSize * this.height), 1);
    const share = (this.objectSize * this.width * width) / height / this.aspect;
    const newWidth = Math.max(Math.round(share), 1);
    const small = resize(bytes, [height, width, 4], [newHeight, newWidth]);
    this.object = { bytes: small, height: newHeight, width: newWidth };
  }

  /** Return the picture, bytes of RGB. */
  compose() {
    const result = this.background.slice();
    this.painted.forEach((isPainted, i) => {
      if (isPainted) result.set(this.mean, 3 * i);
    });
    if (this.object) this.lay(this.object, result);
    if (this.deviation > 0) {
      for (let i = 0; i < result.length; i++) result[i] += this.deviation * this.noise[i];
    }
    return result;
  }

  /**
   * Lay an object, whose colours are multiplied by its opacity, over a picture.
   *
   * @param {Photograph} object
   * @param {Uint8ClampedArray} result
   */
  lay({ bytes, height, width }, result) {
    const [x, y] = this.position;
    const left = Math.round(x - width / 2);
    const top = Math.round(y - height / 2);
    for (let row = Math.max(0, -top); row < Math.min(height, this.height - top); row++) {
      for (let column = Math.max(0, -left); column < Math.min(width, this.width - left); column++) {
        const from = 4 * (row * width + column);
        const to = 3 * ((top + row) * this.width + left + column);
        const behind = 1 - bytes[from + 3] / 255;
        for (let k = 0; k < 3; k++) result[to + k] = bytes[from + k] + behind * result[to + k];
      }
    }
  }
}
