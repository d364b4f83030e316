import assert from "node:assert/strict";
import { test } from "node:test";
import { csv } from "../../camkit/atlas/view/csv.js";

test("quotes, separators and line ends are quoted (RFC 4180)", () => {
  assert.equal(csv([["a", 'say "x", y', "line\nbreak"]]), 'a,"say ""x"", y","line\nbreak"\n');
});

test("what a spreadsheet would run as a formula becomes text", () => {
  assert.equal(csv([["=1+1", "+1", "-1", "@a", "\tb"]]), "'=1+1,'+1,'-1,'@a,'\tb\n");
  assert.equal(csv([["'=1"], ["'quoted"]]), "''=1\n'quoted\n");
});

test("nothing is an empty cell", () => {
  assert.equal(csv([[null, undefined, "", 0]]), ",,,0\n");
});
