// Tables as text.

// A spreadsheet would run a cell that begins like this as a formula; verdicts.py has the same
// expression.
const FORMULA = /^'*[=+\-@\t\r]/;

// What may stand between two cells.
const SEPARATORS = [",", ";", "\t"];

/** @param {unknown} value */
function csvCell(value) {
  const text = String(value ?? "");
  const harmless = FORMULA.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

/**
 * Return rows as CSV (RFC 4180). A cell that a spreadsheet would run as a formula gets an
 * apostrophe before it, as in verdicts.py.
 *
 * @param {unknown[][]} rows
 */
export function csv(rows) {
  const lines = rows.map((row) => `${row.map(csvCell).join(",")}\n`);
  return lines.join("");
}

/**
 * Return the text of a file that camkit, a spreadsheet or an editor has saved: UTF-8 or UTF-16, or
 * else the encoding of Windows.
 *
 * @param {Uint8Array} bytes
 */
export function decodeText(bytes) {
  const [first, second] = bytes;
  if (first === 0xff && second === 0xfe) return new TextDecoder("utf-16le").decode(bytes);
  if (first === 0xfe && second === 0xff) return new TextDecoder("utf-16be").decode(bytes);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("windows-1252").decode(bytes);
  }
}

/**
 * Return the rows of a table with commas, semicolons or tabs between its cells, each as an object by
 * the names in the first row. Rows without any cell are left out, and missing cells are empty.
 *
 * @param {string} text
 * @returns {{columns: string[], rows: Record<string, string>[]}}
 */
export function parseCsv(text) {
  const header = text.split(/\r?\n/, 1)[0];
  const counts = SEPARATORS.map((separator) => header.split(separator).length);
  const separator = SEPARATORS[counts.indexOf(Math.max(...counts))];
  const [columns = [], ...lines] = cellsOf(text, separator);
  const filled = lines.filter((cells) => cells.some(Boolean));
  const rows = filled.map((cells) => {
    const entries = columns.map((name, k) => [name, cells[k] ?? ""]);
    return Object.fromEntries(entries);
  });
  return { columns, rows };
}

/**
 * Return the cells of each row, without quotes and without the apostrophes before formulas.
 *
 * @param {string} text
 * @param {string} separator
 */
function cellsOf(text, separator) {
  // A cell is in quotes, which are doubled inside, or has neither separators nor ends of lines.
  const cell = new RegExp(
    `(?:"((?:[^"]|"")*)"|((?!")[^${separator}\\r\\n]*))(${separator}|\\r?\\n|$)`,
    "y",
  );
  /** @type {string[][]} */
  const rows = [[]];
  while (cell.lastIndex < text.length) {
    const found = cell.exec(text);
    if (!found) throw new Error("a quote is not closed, or text stands beside one");
    const [, quoted, plain, end] = found;
    const value = quoted === undefined ? plain : quoted.replaceAll('""', '"');
    rows[rows.length - 1].push(FORMULA.test(value) ? value.replace(/^'/, "") : value);
    if (end !== separator && cell.lastIndex < text.length) rows.push([]);
  }
  return rows;
}
