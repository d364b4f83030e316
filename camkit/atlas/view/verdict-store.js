// The verdicts that a browser keeps, by image, so that a page that is written again finds them.

/** @import { Answer, Change, Conflict, Entry, Index, Other, PathVerdict, Verdict } from "./types.js" */
import { recall, rememberedKeys } from "./remembered.js";
import { BLANK, FIELDS, lastOfEach, namesOf, saySame } from "./verdicts.js";
import { messageOf } from "./words.js";

const KEY = "camkit-verdicts ";

/**
 * A verdict as it is kept. `before` is what the page itself has had when the verdict was given;
 * `imported` ones come from a file, and are not of whoever sits here.
 *
 * @typedef {PathVerdict & {before: Entry | null, imported?: boolean}} KeptVerdict
 */

export class VerdictStore {
  /** @param {Index} index */
  constructor(index) {
    this.index = index;
    this.imageKeys = index.keys ?? [];
    /** @type {Map<number, string>} The keys of the images that have verdicts. */
    this.found = new Map();
    /** @type {Map<string, Verdict>} The verdicts that the page was written with. */
    this.written = new Map();
    for (const row of index.verdicts) this.written.set(`${row.i} ${row.reviewer}`, row);
    this.unmatchedKey = `camkit-unmatched ${index.id}`;
    this.findKeys();
    this.takeOver();
  }

  /**
   * Find the images that the browser's keys are of: by content and name or, where one image has this
   * content, by that alone.
   */
  findKeys() {
    const keys = rememberedKeys(KEY);
    if (!keys.length) return;
    const byKey = new Map(this.imageKeys.map((key, i) => [key, i]));
    /** @type {Map<string, number | null>} */
    const byContent = new Map();
    this.imageKeys.forEach((key, i) => {
      const content = contentOf(key);
      byContent.set(content, byContent.has(content) ? null : i);
    });
    /** @type {string[]} */
    const others = [];
    for (const key of keys) {
      const i = byKey.get(key.slice(KEY.length));
      if (i === undefined) others.push(key);
      else this.found.set(i, key);
    }
    for (const key of others) {
      const i = byContent.get(contentOf(key.slice(KEY.length))) ?? null;
      if (i !== null && !this.found.has(i)) this.found.set(i, key);
    }
  }

  /** Take over the verdicts that pages of camkit 1.0 have kept by the numbers of the images. */
  takeOver() {
    const old = `camkit-atlas ${this.index.id}`;
    /** @type {Verdict[]} */
    const rows = recall(old) ?? [];
    try {
      for (const { i, verdict, comment, reviewer } of rows) {
        const row = { ...namesOf(this.index, i), verdict, comment, reviewer, correctLabel: "" };
        this.write(i, [...this.read(i), { ...row, before: null }]);
      }
      if (rows.length) localStorage.removeItem(old);
    } catch {
      // Where there is no more room, the old ones stay.
    }
  }

  /** @param {number} i */
  keyOf(i) {
    return this.found.get(i) ?? KEY + this.imageKeys[i];
  }

  /**
   * @param {number} i
   * @returns {KeptVerdict[]}
   */
  read(i) {
    return recall(this.keyOf(i)) ?? [];
  }

  /**
   * @param {number} i
   * @param {KeptVerdict[]} rows
   */
  write(i, rows) {
    const key = this.keyOf(i);
    localStorage.setItem(key, JSON.stringify(rows));
    this.found.set(i, key);
  }

  /**
   * Return the verdicts on image i: those kept, and those that only the page has.
   *
   * @param {number} i
   * @returns {Verdict[]}
   */
  of(i) {
    const kept = this.read(i).map((row) => shownAs(row, i));
    const written = [...this.written.values()].filter((row) => row.i === i);
    const isKept = (/** @type {Verdict} */ row) =>
      kept.some((own) => own.reviewer === row.reviewer);
    return [...written.filter((row) => !isKept(row)), ...kept];
  }

  /** Return the verdicts on all images. */
  all() {
    /** @type {Map<string, Verdict>} */
    const rows = new Map(this.written);
    for (const i of this.found.keys()) {
      for (const row of this.read(i)) rows.set(`${i} ${row.reviewer}`, shownAs(row, i));
    }
    return [...rows.values()];
  }

  /**
   * Return the images of the reference that have verdicts here and are not listed by the page: what
   * the verdicts say of them.
   *
   * @returns {Other[]}
   */
  unlisted() {
    const { classNames, labels, others } = this.index;
    const listed = new Set(others.map(({ i }) => i));
    const numbers = [...this.found.keys()].filter((i) => i >= labels.length && !listed.has(i));
    return numbers.flatMap((i) => {
      const [row] = this.read(i);
      if (!row?.path) return [];
      const name = row.path.split(/[\\/]/).slice(-2).join("/");
      return [{ i, name, path: row.path, label: classNames.indexOf(row.true) }];
    });
  }

  /**
   * Return the verdicts that differ from those that the page was written with, unless the reviewer
   * gave them knowing these.
   *
   * @returns {Conflict[]}
   */
  conflicts() {
    /** @type {Conflict[]} */
    const conflicts = [];
    for (const i of this.found.keys()) {
      for (const { before, ...row } of this.read(i)) {
        const there = this.written.get(`${i} ${row.reviewer}`);
        if (!there || saySame(there, row) || (before && saySame(there, before))) continue;
        conflicts.push({ here: { ...row, i }, there });
      }
    }
    return conflicts;
  }

  /**
   * Store a verdict, unless another one than the reviewer saw is stored by now.
   *
   * @param {Change} change
   * @returns {Answer}
   */
  save({ i, entry, seen, imported = false }) {
    const rows = this.read(i);
    const kept = rows.find((row) => row.reviewer === entry.reviewer);
    const written = this.written.get(`${i} ${entry.reviewer}`) ?? null;
    const present = kept ?? written;
    if (present && !saySame(present, seen)) return { saved: false, row: { ...present, i } };

    const others = rows.filter((row) => row !== kept);
    const entered = Object.fromEntries(FIELDS.map((field) => [field, entry[field]]));
    const before = written && entryOf(written);
    const { reviewer } = entry;
    const { path, ...classes } = namesOf(this.index, i);
    // The page knows the paths of its analysis; storing them would cost much room.
    const ofReference = i >= this.index.labels.length && { path };
    const row = { ...ofReference, ...classes, ...entered, reviewer, before, imported };
    this.write(i, [...others, /** @type {KeptVerdict} */ (row)]);
    return { saved: true, row: { ...entry, i, own: !imported } };
  }

  /**
   * Store a verdict as `save` does, or return why the browser did not, such as for want of room.
   *
   * @param {Change} change
   * @returns {Answer}
   */
  saveOrTell(change) {
    try {
      return this.save(change);
    } catch (error) {
      const { i, entry, seen } = change;
      const row = { ...BLANK, ...seen, i, reviewer: entry.reviewer };
      return { saved: false, row, error: messageOf(error) };
    }
  }

  /**
   * Give a verdict of one reviewer to another; return whether this was done.
   *
   * @param {number} i
   * @param {string} from
   * @param {string} to
   */
  rename(i, from, to) {
    const rows = this.read(i);
    const row = rows.find(({ reviewer }) => reviewer === from);
    const isTaken = rows.some(({ reviewer }) => reviewer === to);
    if (!row || isTaken || this.written.has(`${i} ${to}`)) return false;
    this.write(i, [...rows.filter((other) => other !== row), { ...row, reviewer: to }]);
    return true;
  }

  /**
   * Return the image whose verdicts are stored under a key, or null.
   *
   * @param {string | null} key
   */
  imageOf(key) {
    if (!key?.startsWith(KEY)) return null;
    const known = [...this.found].find(([, other]) => other === key);
    const i = known ? known[0] : this.imageKeys.indexOf(key.slice(KEY.length));
    return i < 0 ? null : i;
  }

  /**
   * Keep verdicts on images that are not on this page.
   *
   * @param {PathVerdict[]} rows
   */
  keep(rows) {
    localStorage.setItem(this.unmatchedKey, JSON.stringify(lastOfEach([...this.kept(), ...rows])));
  }

  /** @returns {PathVerdict[]} */
  kept() {
    return recall(this.unmatchedKey) ?? [];
  }
}

/**
 * Return a verdict as the view has it.
 *
 * @param {KeptVerdict} row
 * @param {number} i
 * @returns {Verdict}
 */
function shownAs({ before, imported, ...row }, i) {
  return { ...row, i, own: !imported };
}

/** @param {string} key */
function contentOf(key) {
  return key.split(".")[0];
}

/**
 * @param {Entry} row
 * @returns {Entry}
 */
function entryOf({ verdict, comment, correctLabel, reviewer }) {
  return { verdict, comment, correctLabel, reviewer };
}
