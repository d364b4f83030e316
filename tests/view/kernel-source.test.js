import assert from "node:assert/strict";
import { test } from "node:test";
import { fromKernel } from "../../camkit/atlas/view/kernel-source.js";
import { index } from "./sample.js";

/**
 * Return the source of a kernel, and the messages that it is sent, which `answer` answers.
 *
 * @param {(message: any) => object} answer
 */
function kernelOf(answer) {
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
      listener({ number: message.number, ...answer(message) }, []);
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
