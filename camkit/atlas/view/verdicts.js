// The verdicts of reviewers: pure functions.

/** @import { Conflict, Entry, EntryField, Index, PathVerdict, Verdict } from "./types.js" */
import { csv, parseCsv } from "./csv.js";
import { SEPARATOR } from "./label-sets.js";
import { countOfPictures, pictureOf } from "./words.js";

export const NOT_REVIEWED = "not reviewed";

/** The verdicts that a reviewer may choose; the key of each is its position. */
export const VERDICTS = [
  NOT_REVIEWED,
  "label wrong",
  "ambiguous",
  "background",
  "resolution",
  "other",
  "remove",
];

/** What a reviewer enters, before that. */
export const BLANK = Object.freeze({ verdict: NOT_REVIEWED, comment: "", correctLabel: "" });

export const FIELDS = /** @type {EntryField[]} */ (Object.keys(BLANK));

// The columns of a CSV file, as in verdicts.py; the first four are needed.
const COLUMNS = ["path", "true", "predicted", "verdict", "comment", "reviewer", "correct_label"];
const NEEDED = COLUMNS.slice(0, 4);

/** The verdicts of all reviewers. Listeners are called with the images whose verdicts change. */
export class VerdictTable {
  /**
   * @param {Verdict[]} rows
   * @param {PathVerdict[]} [unmatched] verdicts on images that are not here
   */
  constructor(rows, unmatched = []) {
    /** @type {Map<number, Map<string, Verdict>>} by image and reviewer */
    this.byImage = new Map();
    this.unmatched = lastOfEach(unmatched);
    /** @type {((numbers: number[]) => void)[]} */
    this.listeners = [];
    this.add(rows);
  }

  /** @param {Verdict[]} rows */
  add(rows) {
    for (const row of rows) {
      const ofImage = this.byImage.get(row.i) ?? new Map();
      ofImage.set(row.reviewer, row);
      this.byImage.set(row.i, ofImage);
    }
    this.tell(rows.map(({ i }) => i));
  }

  /**
   * Replace all verdicts on image i.
   *
   * @param {number} i
   * @param {Verdict[]} rows
   */
  replace(i, rows) {
    this.byImage.set(i, new Map(rows.map((row) => [row.reviewer, row])));
    this.tell([i]);
  }

  /**
   * Give the verdicts of one reviewer on images to another.
   *
   * @param {number[]} numbers
   * @param {string} from
   * @param {string} to
   */
  rename(numbers, from, to) {
    for (const i of numbers) {
      const ofImage = this.byImage.get(i);
      const row = ofImage?.get(from);
      if (!ofImage || !row) continue;
      ofImage.delete(from);
      ofImage.set(to, { ...row, reviewer: to });
    }
    this.tell(numbers);
  }

  /** @param {number[]} numbers */
  tell(numbers) {
    if (!numbers.length) return;
    for (const listener of this.listeners) listener(numbers);
  }

  /** All verdicts, in the order of the images. */
  get rows() {
    const byImage = [...this.byImage].sort(([a], [b]) => a - b);
    return byImage.flatMap(([, ofImage]) => [...ofImage.values()]);
  }

  /**
   * @param {number} i
   * @param {string} reviewer
   */
  get(i, reviewer) {
    return this.byImage.get(i)?.get(reviewer) ?? null;
  }

  /**
   * Return what reviewers have said on image i.
   *
   * @param {number} i
   */
  of(i) {
    return [...(this.byImage.get(i)?.values() ?? [])].filter(isGiven);
  }

  /**
   * Return the verdicts on image i of all reviewers except one.
   *
   * @param {number} i
   * @param {string} reviewer
   */
  ofOthers(i, reviewer) {
    return this.of(i).filter((row) => row.reviewer !== reviewer);
  }

  /** @param {number} i */
  isReviewed(i) {
    return this.of(i).length > 0;
  }

  /** Return the numbers of the images that somebody has reviewed, in order. */
  reviewed() {
    const numbers = [...this.byImage.keys()].filter((i) => this.isReviewed(i));
    return numbers.sort((a, b) => a - b);
  }

  /**
   * Return a sentence on the progress: among the errors or, if there are none, among all images.
   *
   * @param {number[]} errors
   */
  progress(errors) {
    if (!errors.length) return `${countOfPictures(this.reviewed().length)} reviewed.`;
    const done = errors.filter((i) => this.isReviewed(i));
    return `${done.length} of ${errors.length} errors reviewed.`;
  }

  /**
   * Return what a tile says of the reviews of image i: the verdict, or that there are several; "" if
   * there is none.
   *
   * @param {number} i
   */
  mark(i) {
    const said = this.of(i).map((row) => {
      if (row.verdict !== NOT_REVIEWED) return row.verdict;
      return row.correctLabel ? "correct label" : "comment";
    });
    const different = [...new Set(said)];
    return different.length > 1 ? `${different.length} opinions` : (different[0] ?? "");
  }

  /**
   * Return the verdicts of a file that are new, those that differ from the ones here, and how many
   * are here already. Rows in which nothing is entered are left out; of two on one image by one
   * reviewer, the last counts.
   *
   * @param {Verdict[]} rows
   * @returns {{added: Verdict[], conflicts: Conflict[], same: number}}
   */
  compare(rows) {
    const last = new Map(rows.filter(isGiven).map((row) => [`${row.i} ${row.reviewer}`, row]));
    const added = [];
    const conflicts = [];
    for (const there of last.values()) {
      const here = this.get(there.i, there.reviewer);
      if (!here || !isGiven(here)) added.push(there);
      else if (!saySame(here, there)) conflicts.push({ here, there });
    }
    return { added, conflicts, same: last.size - added.length - conflicts.length };
  }

  /**
   * Return the table as CSV, in the format of verdicts.py.
   *
   * @param {Index} index
   */
  toCsv(index) {
    // The classes are those that the reviewer saw, the path is that of today.
    const matched = this.rows.map((row) => {
      const { path, ...classes } = namesOf(index, row.i);
      return { path, ...classes, ...row, ...(path && { path }) };
    });
    const rows = [...matched, ...this.unmatched].map((row) => [
      row.path,
      row.true,
      row.predicted,
      row.verdict,
      row.comment,
      row.reviewer,
      row.correctLabel,
    ]);
    return csv([COLUMNS, ...rows]);
  }
}

/**
 * Return the path and the classes of image i as a CSV file has them.
 *
 * @param {Index} index
 * @param {number} i
 */
export function namesOf(index, i) {
  const { path = "", label, sets, predicted } = pictureOf(index, i);
  const joined = (/** @type {number[]} */ classes) =>
    classes.map((c) => index.classNames[c]).join(SEPARATOR);
  return {
    path,
    true: joined(sets?.true ?? (label >= 0 ? [label] : [])),
    predicted: joined(sets?.predicted ?? (predicted === undefined ? [] : [predicted])),
  };
}

/**
 * Return the verdicts in a CSV file.
 *
 * @param {string} text
 * @returns {PathVerdict[]}
 */
export function verdictsOfCsv(text) {
  const { columns, rows: cells } = parseCsv(text);
  // A column in the right spelling comes before one like it.
  const absent = COLUMNS.filter((name) => !columns.includes(name));
  const named = columns.map((name) => [name, spelledAs(name, absent)]);
  const missing = NEEDED.filter((name) => !named.some(([, known]) => known === name));
  if (missing.length) {
    throw new Error(`a table of verdicts also has the columns ${missing.join(", ")}`);
  }
  const rows = cells.map((row) => {
    const entries = named.map(([name, known]) => [known, row[name]]);
    return Object.fromEntries(entries);
  });
  return rows.map((row) => ({
    path: row.path,
    true: row.true,
    predicted: row.predicted,
    verdict: spelledAs(row.verdict, VERDICTS) || NOT_REVIEWED,
    comment: row.comment ?? "",
    reviewer: row.reviewer ?? "",
    correctLabel: row.correct_label ?? "",
  }));
}

/**
 * Return the one of the words that differs from a text in case alone, or else the text.
 *
 * @param {string} text
 * @param {string[]} words
 */
function spelledAs(text, words) {
  const plain = text.trim().toLowerCase();
  return words.find((word) => word.toLowerCase() === plain) ?? text;
}

/**
 * Return the last verdict of each reviewer on each path.
 *
 * @param {PathVerdict[]} rows
 */
export function lastOfEach(rows) {
  const last = new Map(rows.map((row) => [JSON.stringify([row.path, row.reviewer]), row]));
  return [...last.values()];
}

/**
 * Return whether a reviewer has entered something: a verdict, a comment or the correct label.
 *
 * @param {Partial<Entry>} entry
 */
export function isGiven(entry) {
  return FIELDS.some((field) => (entry[field] ?? BLANK[field]) !== BLANK[field]);
}

/**
 * Return whether two verdicts say the same; null is one in which nothing is entered.
 *
 * @param {Partial<Entry> | null} first
 * @param {Partial<Entry> | null} second
 */
export function saySame(first, second) {
  return FIELDS.every((field) => {
    return (first?.[field] ?? BLANK[field]) === (second?.[field] ?? BLANK[field]);
  });
}

/**
 * Return what has been entered in words.
 *
 * @param {Entry} entry
 */
export function wordsOf({ verdict, comment, correctLabel }) {
  return [verdict, correctLabel && `correct label ${correctLabel}`, comment]
    .filter(Boolean)
    .join(", ");
}
