import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeBase64, unpack } from "../../camkit/atlas/view/packed.js";

/** Return what record.pack writes for two maps of 1 × 2 cells, after `offset` other bytes. */
function packedBytes(offset = 0) {
  const buffer = new ArrayBuffer(offset + 44);
  const view = new DataView(buffer, offset);
  const floats = [-1, 10, 0.5, 2, 1.5, -2, 0.25, 0.75];
  floats.forEach((value, k) => {
    view.setFloat32(4 * k, value, true);
  });
  view.setUint32(32, 5, true);
  view.setUint32(36, 300, true);
  const bytes = new Uint8Array(buffer, offset);
  bytes.set([0, 255, 1, 2], 40);
  return bytes;
}

test("a value is low + step · cell", () => {
  const { classes, logits, probs, maps } = unpack(packedBytes(), [1, 2]);
  assert.deepEqual(classes, [5, 300]);
  assert.deepEqual([...logits], [1.5, -2]);
  assert.deepEqual([...probs], [0.25, 0.75]);
  assert.deepEqual([...maps[0]], [-1, 126.5]);
  assert.deepEqual([...maps[1]], [12, 14]);
});

test("bytes may stand in the middle of a buffer, as a kernel sends them", () => {
  assert.deepEqual(unpack(packedBytes(8), [1, 2]), unpack(packedBytes(), [1, 2]));
});

test("base64 gives back any byte", () => {
  assert.deepEqual([...decodeBase64("AP+ACg==")], [0, 255, 128, 10]);
});
