import assert from "node:assert/strict";
import { test } from "node:test";
import { csv, decodeText, parseCsv } from "../../camkit/atlas/view/csv.js";

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

test("tables of spreadsheets and editors are read: separators, ends of lines, quotes", () => {
  for (const separator of [",", ";", "\t"]) {
    for (const end of ["\n", "\r\n"]) {
      const lines = [
        ["path", "comment"],
        ["a", '"x, y; ""z""\nand\tmore"'],
        ["'=1", ""],
        ["", ""],
        ["short"],
      ];
      const text = lines.map((line) => line.join(separator)).join(end);
      const { columns, rows } = parseCsv(text);
      assert.deepEqual(columns, ["path", "comment"]);
      assert.deepEqual(rows, [
        { path: "a", comment: 'x, y; "z"\nand\tmore' },
        { path: "=1", comment: "" },
        { path: "short", comment: "" },
      ]);
      assert.deepEqual(parseCsv(text + end).rows, rows);
    }
  }
  assert.deepEqual(parseCsv(""), { columns: [], rows: [] });
});

test("what is written is read again", () => {
  const cells = ["=1+1", "'=1", "'quoted", 'say "x", y', "line\nbreak", "", "中文 😀"];
  const { rows } = parseCsv(csv([["a", "b", "c", "d", "e", "f", "g"], cells]));
  assert.deepEqual(Object.values(rows[0]), cells);
});

test("a quote that is not closed is an error", () => {
  assert.throws(() => parseCsv('path,comment\na,"b\n'), /a quote is not closed/);
});

test("the encodings of spreadsheets", () => {
  const utf8 = new TextEncoder().encode("\ufeffgrün");
  assert.equal(decodeText(utf8), "grün");
  assert.equal(decodeText(Uint8Array.of(0xff, 0xfe, 0xfc, 0)), "ü");
  assert.equal(decodeText(Uint8Array.of(0xfe, 0xff, 0, 0xfc)), "ü");
  assert.equal(decodeText(Uint8Array.of(0x67, 0xfc)), "gü");
});
