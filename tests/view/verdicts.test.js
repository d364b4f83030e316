import assert from "node:assert/strict";
import { test } from "node:test";
import { saySame, VerdictTable, verdictsOfCsv, wordsOf } from "../../camkit/atlas/view/verdicts.js";
import { index } from "./sample.js";

const kim = {
  i: 2,
  verdict: "label wrong",
  comment: "a bee",
  correctLabel: "Bee",
  reviewer: "Kim",
};
const lee = { i: 2, verdict: "ambiguous", comment: "", correctLabel: "", reviewer: "Lee" };
const open = { ...lee, i: 4, verdict: "not reviewed", reviewer: "Kim" };
const remark = { ...open, comment: "later" };

test("each reviewer has one verdict on an image: the last", () => {
  const table = new VerdictTable([kim, lee]);
  table.add([{ ...kim, verdict: "other" }]);
  assert.equal(table.get(2, "Kim")?.verdict, "other");
  assert.deepEqual(table.ofOthers(2, "Kim"), [lee]);
  assert.equal(table.get(4, "Kim"), null);
});

test("progress counts images, not verdicts; a comment alone counts, an empty form does not", () => {
  const table = new VerdictTable([kim, lee, open]);
  assert.equal(table.progress([2, 4, 5]), "1 of 3 errors reviewed.");
  assert.equal(table.progress([]), "1 picture reviewed.");
  table.add([remark]);
  assert.equal(table.progress([2, 4, 5]), "2 of 3 errors reviewed.");
  assert.deepEqual(table.reviewed(), [2, 4]);
});

test("a tile says the verdict, that there are several, or that there is only a comment", () => {
  const table = new VerdictTable([kim, remark]);
  assert.equal(table.mark(2), "label wrong");
  assert.equal(table.mark(3), "");
  assert.equal(table.mark(4), "comment");
  table.add([lee, { ...open, comment: "", correctLabel: "Wasp" }]);
  assert.equal(table.mark(2), "2 opinions");
  assert.equal(table.mark(4), "correct label");
});

test("verdicts move to another name, and listeners hear of each change", () => {
  const table = new VerdictTable([{ ...lee, reviewer: "" }]);
  /** @type {number[]} */
  const heard = [];
  table.listeners.push((numbers) => heard.push(...numbers));
  table.rename([2, 3], "", "Kim");
  assert.equal(table.get(2, ""), null);
  assert.deepEqual(table.get(2, "Kim"), { ...lee, reviewer: "Kim" });
  table.add([kim]);
  assert.deepEqual(heard, [2, 3, 2]);
});

test("of the verdicts in a file, new ones are told from those that differ", () => {
  const table = new VerdictTable([kim, open]);
  const differs = { ...kim, verdict: "other" };
  const rows = [lee, differs, remark, { ...open, i: 5 }, { ...kim, reviewer: "Ann" }];
  const { added, conflicts, same } = table.compare([...rows, { ...kim, i: 2, reviewer: "Ann" }]);
  assert.equal(same, 0);
  assert.deepEqual(table.compare([kim, open]), { added: [], conflicts: [], same: 1 });
  assert.deepEqual(added, [lee, remark, { ...kim, reviewer: "Ann" }]);
  assert.deepEqual(conflicts, [{ here: kim, there: differs }]);
});

test("the table as CSV, with verdicts on images that are not here", () => {
  const away = { ...lee, path: "/z/9", true: "Cat", predicted: "Ant" };
  const table = new VerdictTable([kim, { ...lee, i: 6, comment: "=1" }], [away, { ...away }]);
  const text =
    "path,true,predicted,verdict,comment,reviewer,correct_label\n" +
    "/a/2,Ant,Bee,label wrong,a bee,Kim,Bee\n" +
    "/x/6,,Cat,ambiguous,'=1,Lee,\n" +
    "/z/9,Cat,Ant,ambiguous,,Lee,\n";
  assert.equal(table.toCsv(index), text);
  const [first, second] = verdictsOfCsv(text);
  const { i, ...entered } = kim;
  assert.deepEqual(first, { ...entered, path: "/a/2", true: "Ant", predicted: "Bee" });
  assert.equal(second.comment, "=1");
});

test("a verdict on an image of the reference has its path and classes", () => {
  const other = { i: 7, name: "t/7", path: "/t/7", label: 1, predicted: 0 };
  const table = new VerdictTable([{ ...lee, i: 7 }]);
  const [, row] = table.toCsv({ ...index, others: [other] }).split("\n");
  assert.equal(row, "/t/7,Bee,Ant,ambiguous,,Lee,");
});

test("a table without the columns of verdicts is refused by their names", () => {
  assert.throws(
    () => verdictsOfCsv("path;true\n/a;Ant\n"),
    /also has the columns predicted, verdict/,
  );
  const [row] = verdictsOfCsv("path,true,predicted,verdict\n/a,Ant,Bee,\n");
  assert.equal(wordsOf(row), "not reviewed");
  const [other] = verdictsOfCsv("Path;True;PREDICTED;Verdict\n/a;Ant;Bee;Label Wrong\n");
  assert.deepEqual([other.path, other.verdict], ["/a", "label wrong"]);
});

test("no verdict says the same as not reviewed, without a comment", () => {
  assert.ok(saySame(null, { verdict: "not reviewed", comment: "", reviewer: "Kim" }));
  assert.ok(saySame(kim, { ...kim, reviewer: "Lee" }));
  assert.ok(!saySame(null, remark));
  assert.ok(!saySame(kim, { ...kim, correctLabel: "" }));
  assert.ok(!saySame(kim, lee));
});
