import assert from "node:assert/strict";
import { test } from "node:test";
import { fromKernel } from "../../camkit/atlas/view/kernel-source.js";
import { index } from "./sample.js";

/**
 * Return the source of a kernel, and the messages that it is sent, which `answer` answers.
 *
 * @param {(message: any) => object} answer
 * @param {ArrayBuffer[]} [buffers] what comes with each answer
 */
function kernelOf(answer, buffers = []) {
  /** @type {any[]} */
  const sent = [];
  /** @type {(message: any, buffers: any[]) => void} */
  let listener = () => {};
  const source = fromKernel({
    get: () => JSON.stringify(index),
    on: (_, heard) => {
      listener = heard;
    },
    send: (/** @type {any} */ message) => {
      sent.push(message);
      listener({ number: message.number, ...answer(message) }, buffers);
    },
  });
  return { source, sent };
}

test("verdicts are saved together, and renamed, by messages of the kernel", async () => {
  const entry = { verdict: "other", comment: "", correctLabel: "", reviewer: "Kim" };
  const { source, sent } = kernelOf(({ kind, changes, numbers }) =>
    kind === "save"
      ? {
          answers: changes.map((/** @type {any} */ { i }) => ({
            saved: true,
            row: { i, ...entry },
          })),
        }
      : { moved: numbers },
  );
  const changes = [2, 4].map((i) => ({ i, entry, seen: null }));
  const answers = await source.save(changes);
  assert.deepEqual(
    answers.map(({ row }) => row.i),
    [2, 4],
  );
  assert.deepEqual(await source.rename([2], "", "Kim"), [2]);
  assert.deepEqual(sent, [
    { kind: "save", number: 1, changes },
    { kind: "rename", number: 2, numbers: [2], old: "", new: "Kim" },
  ]);
});

test("an error of the kernel is an error here", async () => {
  const { source } = kernelOf(() => ({ error: "OSError: full" }));
  await assert.rejects(source.save([]), /OSError: full/);
});

test("the maps of a picture come with those of the model before, if there is one", async () => {
  const [after, before] = [new Uint8Array([1, 2]), new Uint8Array([3])];
  const both = kernelOf(() => ({ near: [] }), [after.buffer, before.buffer]);
  const detail = await both.source.detail(0);
  assert.deepEqual([detail.packed, detail.before], [after, before]);
  const alone = kernelOf(() => ({ near: [] }), [after.buffer]);
  assert.equal((await alone.source.detail(0)).before, undefined);
});
