// Files that browsers show otherwise than camkit reads them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { reasonOfMisreading } from "../../camkit/atlas/view/photograph.js";

/** @param {(string | number[])[]} parts */
function bytesOf(...parts) {
  const bytes = parts.flatMap((part) =>
    typeof part === "string" ? Array.from(part, (c) => c.charCodeAt(0)) : part,
  );
  return new Uint8Array(bytes).buffer;
}

/**
 * The beginning of a PNG file of 1 × 1 pixel.
 *
 * @param {number} depth
 * @param {number} kind
 */
function png(depth, kind) {
  const size = [0, 0, 0, 1, 0, 0, 0, 1];
  return bytesOf("\x89PNG\r\n\x1a\n", [0, 0, 0, 13], "IHDR", size, [depth, kind, 0, 0, 0]);
}

/**
 * A WebP file with an orientation, after a chunk of odd length.
 *
 * @param {number} orientation
 * @param {string} [beginning]
 */
function webp(orientation, beginning = "") {
  const entry = [0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0];
  const exif = [0x2a, 0, 8, 0, 0, 0, 1, 0, ...entry];
  const length = beginning.length + 2 + exif.length;
  const chunk = [length, 0, 0, 0];
  return bytesOf("RIFF....WEBPVP8 ", [1, 0, 0, 0, 7, 0], "EXIF", chunk, beginning, "II", exif);
}

test("gray of 16 bits is told, since browsers give 8", () => {
  assert.match(reasonOfMisreading(png(16, 0)), /^is gray of 16 bits, of which/);
  for (const [depth, kind] of [
    [8, 0],
    [8, 2],
    [16, 2],
  ]) {
    assert.equal(reasonOfMisreading(png(depth, kind)), "");
  }
});

test("a WebP file that EXIF turns is told, and no other", () => {
  assert.match(reasonOfMisreading(webp(6)), /^is turned by its EXIF orientation/);
  assert.match(reasonOfMisreading(webp(3, "Exif\0\0")), /^is turned/);
  assert.equal(reasonOfMisreading(webp(1)), "");
  assert.equal(reasonOfMisreading(webp(6).slice(0, 40)), "");
  assert.equal(reasonOfMisreading(bytesOf("RIFF....WEBP")), "");
  assert.equal(reasonOfMisreading(bytesOf("x")), "");
});
