import assert from "node:assert/strict";
import { test } from "node:test";
import { saySame, VerdictTable } from "../../camkit/atlas/view/verdicts.js";
import { index } from "./sample.js";

const kim = { i: 2, verdict: "label wrong", comment: "a bee", reviewer: "Kim" };
const lee = { i: 2, verdict: "ambiguous", comment: "", reviewer: "Lee" };
const open = { i: 4, verdict: "not reviewed", comment: "later", reviewer: "Kim" };

test("each reviewer has one verdict on an image: the last", () => {
  const table = new VerdictTable([kim, lee]);
  table.set({ ...kim, verdict: "other" });
  assert.equal(table.get(2, "Kim")?.verdict, "other");
  assert.deepEqual(table.ofOthers(2, "Kim"), [lee]);
  assert.equal(table.get(4, "Kim"), null);
});

test("progress counts images, not verdicts, and comments alone not at all", () => {
  const table = new VerdictTable([kim, lee, open]);
  assert.equal(table.progress([2, 4, 5]), "1 of 3 errors reviewed.");
  assert.equal(table.progress([]), "1 picture reviewed.");
});

test("the table as CSV", () => {
  const table = new VerdictTable([kim, { ...lee, i: 6, comment: "=1" }]);
  assert.equal(
    table.toCsv(index),
    "path,true,predicted,verdict,comment,reviewer\n" +
      "/a/2,Ant,Bee,label wrong,a bee,Kim\n" +
      "/x/6,,Cat,ambiguous,'=1,Lee\n",
  );
});

test("no verdict says the same as not reviewed, without a comment", () => {
  assert.ok(saySame(null, { verdict: "not reviewed", comment: "", reviewer: "Kim" }));
  assert.ok(saySame(kim, { ...kim, reviewer: "Lee" }));
  assert.ok(!saySame(null, open));
  assert.ok(!saySame(kim, lee));
});
