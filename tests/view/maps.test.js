import assert from "node:assert/strict";
import { test } from "node:test";
import {
  colours,
  interpolation,
  overGray,
  translucent,
  upsample,
} from "../../camkit/atlas/view/maps.js";

test("pixels and cells have their centres at halves", () => {
  const [first, second, third, fourth] = interpolation(2, 4);
  assert.deepEqual(first, [0, 1, 0]);
  assert.deepEqual(second, [0, 1, 0.25]);
  assert.deepEqual(third, [0, 1, 0.75]);
  assert.deepEqual(fourth, [0, 1, 1]);
});

test("a single cell fills the whole image", () => {
  assert.deepEqual([...upsample([3], [1, 1], 2, 3)], [3, 3, 3, 3, 3, 3]);
});

test("a map of the size of the image stays as it is", () => {
  const cells = [1, 2, 3, 4, 5, 6];
  assert.deepEqual([...upsample(cells, [2, 3], 2, 3)], cells);
});

test("between cells values are blended", () => {
  assert.deepEqual([...upsample([0, 4, 8, 12], [2, 2], 1, 1)], [6]);
  assert.deepEqual([...upsample([0, 4], [1, 2], 1, 4)], [0, 1, 3, 4]);
});

test("limits take the end colours, as do values beyond them", () => {
  const palette = Array.from({ length: 256 }, (_, k) => [k, 0, 255 - k]);
  const bytes = colours([-1, 0, 0.5, 1, 2], 0, 1, palette);
  const reds = [0, 4, 8, 12, 16].map((i) => bytes[i]);
  const opacities = [3, 7, 11, 15, 19].map((i) => bytes[i]);
  assert.deepEqual(reds, [0, 0, 128, 255, 255]);
  assert.deepEqual(opacities, [255, 255, 255, 255, 255]);
});

test("limits that are equal do not divide by zero", () => {
  const palette = Array.from({ length: 256 }, (_, k) => [k, k, k]);
  assert.deepEqual([...colours([5, 5], 5, 5, palette)], [0, 0, 0, 255, 0, 0, 0, 255]);
});

test("over a photograph a map is opaque where it is strong, and white stays white at zero", () => {
  const palette = Array.from({ length: 256 }, (_, k) => [k, 0, 255 - k]);
  const gray = Uint8ClampedArray.of(255, 255, 255, 255, 0, 0, 0, 255, 55, 55, 55, 255);
  const bytes = [...overGray(gray, [0, 0.5, -2], 2, palette)];
  assert.deepEqual(bytes.slice(0, 4), [255, 255, 255, 255]);
  // Half of the strongest opacity, 0.85, over half of the darkness: 160 is the colour of 0.5.
  assert.deepEqual(bytes.slice(4, 8), [141, 73, 114, 255]);
  // The strongest: 0.85 of the first colour, 0.15 of 155.
  assert.deepEqual(bytes.slice(8, 12), [23, 23, 240, 255]);
});

test("the opacity over an image grows from the lowest value, or from zero", () => {
  const palette = Array.from({ length: 256 }, (_, k) => [k, k, k]);
  /** @param {[number[], number, number]} limited */
  const opacities = (...[values, low, high]) =>
    [...translucent(values, low, high, palette)].filter((_, i) => i % 4 === 3);
  assert.deepEqual(opacities([-1, 0, 5, 10, 99], 0, 10), [0, 0, 108, 217, 217]);
  assert.deepEqual(opacities([-10, 0, 5], -10, 10), [217, 0, 108]);
  assert.deepEqual(opacities([3, 3], 3, 3), [0, 0]);
});
