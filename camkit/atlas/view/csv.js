// Tables as text.

// A spreadsheet would run a cell that begins like this as a formula; verdicts.py has the same
// expression.
const FORMULA = /^'*[=+\-@\t\r]/;

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
