// The verdicts of reviewers: pure functions.

/** @import { Entry, Index, Verdict } from "./types.js" */
import { csv } from "./csv.js";
import { countOfPictures } from "./words.js";

export const NOT_REVIEWED = "not reviewed";

/** The verdicts that a reviewer may choose; the key of each is its position. */
export const VERDICTS = [
  NOT_REVIEWED,
  "label wrong",
  "ambiguous",
  "background",
  "resolution",
  "other",
];

/** The verdicts of all reviewers. */
export class VerdictTable {
  /** @param {Verdict[]} rows */
  constructor(rows) {
    /** @type {Map<string, Verdict>} */
    this.rows = new Map();
    for (const row of rows) this.set(row);
  }

  /** @param {Verdict} row */
  set(row) {
    this.rows.set(`${row.i} ${row.reviewer}`, row);
  }

  /**
   * @param {number} i
   * @param {string} reviewer
   */
  get(i, reviewer) {
    return this.rows.get(`${i} ${reviewer}`) ?? null;
  }

  /**
   * Return the verdicts on image i of all reviewers except one.
   *
   * @param {number} i
   * @param {string} reviewer
   */
  ofOthers(i, reviewer) {
    const rows = [...this.rows.values()];
    return rows.filter((row) => row.i === i && row.reviewer !== reviewer);
  }

  /** Return the numbers of the images that somebody has reviewed. */
  reviewed() {
    const rows = [...this.rows.values()].filter((row) => row.verdict !== NOT_REVIEWED);
    return new Set(rows.map((row) => row.i));
  }

  /**
   * Return a sentence on the progress: among the errors or, if there are none, among all images.
   *
   * @param {number[]} errors
   */
  progress(errors) {
    const reviewed = this.reviewed();
    if (!errors.length) return `${countOfPictures(reviewed.size)} reviewed.`;
    const done = errors.filter((i) => reviewed.has(i));
    return `${done.length} of ${errors.length} errors reviewed.`;
  }

  /**
   * Return the table as CSV, in the format of verdicts.py.
   *
   * @param {Index} index
   */
  toCsv({ classNames, labels, paths, predicted }) {
    const heads = ["path", "true", "predicted", "verdict", "comment", "reviewer"];
    const rows = [...this.rows.values()].map(({ i, verdict, comment, reviewer }) => {
      const label = labels[i] >= 0 ? classNames[labels[i]] : "";
      return [paths[i], label, classNames[predicted[i]], verdict, comment, reviewer];
    });
    return csv([heads, ...rows]);
  }
}

/**
 * Return whether two verdicts say the same; null is "not reviewed" without a comment.
 *
 * @param {Entry | null} first
 * @param {Entry | null} second
 */
export function saySame(first, second) {
  const sameVerdict = (first?.verdict ?? NOT_REVIEWED) === (second?.verdict ?? NOT_REVIEWED);
  return sameVerdict && (first?.comment ?? "") === (second?.comment ?? "");
}
