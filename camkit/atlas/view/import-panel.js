// Verdicts that come from files: of a colleague, or of the page itself.

/** @import { Conflict, Index, PathVerdict, Source, Verdict } from "./types.js" */
/** @import { VerdictTable } from "./verdicts.js" */
import { decodeText } from "./csv.js";
import { button, make, section } from "./dom.js";
import { PathMatcher } from "./paths.js";
import { lastOfEach, verdictsOfCsv, wordsOf } from "./verdicts.js";
import { messageOf, pictureOf } from "./words.js";

// The number of conflicts and of unknown paths that are listed.
const LISTED = 8;

export class ImportPanel {
  /**
   * @param {Source} source
   * @param {VerdictTable} table
   */
  constructor(source, table) {
    this.source = source;
    this.table = table;
    const onchange = () => this.onFile();
    this.file = make("input", {
      type: "file",
      accept: ".csv,.txt,text/csv",
      hidden: true,
      onchange,
    });
    this.note = make("p", { role: "status", className: "note" });
    this.details = make("div");
    const buttons = make("div", { className: "choices" });
    if (source.exported) {
      buttons.append(button("Save verdicts as CSV", () => this.save()));
    }
    buttons.append(
      button("Read verdicts from CSV", () => this.file.click()),
      this.file,
    );
    this.element = section("files", "Files of reviews", buttons, this.note, this.details);
    this.tellAtOnce();
  }

  save() {
    this.source.exported?.(this.table.toCsv(this.source.index));
  }

  /** Say at once what of the page's verdicts is not shown. */
  tellAtOnce() {
    const { unmatched } = this.table;
    const conflicts = this.source.conflicts ?? [];
    if (!unmatched.length && !conflicts.length) return;
    this.tell(["From the file of this atlas:"], conflicts, unmatched);
  }

  async onFile() {
    const file = this.file.files?.[0];
    if (!file) return;
    try {
      const bytes = new Uint8Array(await file.arrayBuffer());
      await this.take(file.name, verdictsOfCsv(decodeText(bytes)));
    } catch (error) {
      this.details.replaceChildren();
      this.note.textContent = `${file.name} was not read: ${messageOf(error)}.`;
    }
    // The same file may be chosen again.
    this.file.value = "";
  }

  /**
   * Take over the verdicts of a file that are new; tell the others.
   *
   * @param {string} name
   * @param {PathVerdict[]} rows
   */
  async take(name, rows) {
    const { matched, unmatched } = match(this.source.index, rows);
    const { added, conflicts, same } = this.table.compare(matched);
    const changes = added.map((row) => {
      const seen = this.table.get(row.i, row.reviewer);
      return { i: row.i, entry: row, seen, imported: true };
    });
    const answers = changes.length ? await this.source.save(changes) : [];
    const saved = answers.filter((answer) => answer.saved).map(({ row }) => row);
    this.table.add(saved);
    const refused = answers.length - saved.length;
    const error = answers.find((answer) => answer.error)?.error;
    if (this.source.keep && unmatched.length) {
      this.table.unmatched = lastOfEach([...this.table.unmatched, ...unmatched]);
      this.source.keep(unmatched);
    }
    const texts = [`${name}: taken over ${saved.length} of ${countOfVerdicts(rows.length)}.`];
    if (same) texts.push(`Here already: ${countOfVerdicts(same)}.`);
    if (refused) {
      const why = error ?? "changed elsewhere in the meantime; read the file again";
      texts.push(`Not saved: ${countOfVerdicts(refused)} (${why}).`);
    }
    this.tell(texts, conflicts, unmatched);
  }

  /**
   * @param {string[]} texts
   * @param {Conflict[]} conflicts
   * @param {PathVerdict[]} unmatched
   */
  tell(texts, conflicts, unmatched) {
    const parts = [...texts];
    if (conflicts.length) {
      const count = countOfVerdicts(conflicts.length);
      parts.push(`Other than here, by the same reviewer: ${count}; those here stay for now.`);
    }
    if (unmatched.length) {
      const count = countOfVerdicts(unmatched.length);
      const where = this.source.keep ? "kept for the CSV file only" : "they stay in that file";
      parts.push(
        `On pictures that are not here, or not certain by their path: ${count}, ${where}.`,
      );
    }
    this.note.textContent = parts.join(" ");
    this.details.replaceChildren();
    if (conflicts.length) this.details.append(...this.conflictParts(conflicts));
    if (unmatched.length) this.details.append(listOf(unmatched.map(({ path }) => path)));
  }

  /** @param {Conflict[]} conflicts */
  conflictParts(conflicts) {
    const { index } = this.source;
    const lines = conflicts.map(({ here, there }) => {
      const who = here.reviewer || "without a name";
      const { name } = pictureOf(index, here.i);
      return `${name}, ${who}: here “${wordsOf(here)}”, in the file “${wordsOf(there)}”`;
    });
    const choices = make(
      "div",
      { className: "choices" },
      button("Keep those here", () => this.settle(conflicts, "here")),
      button("Take those of the file", () => this.settle(conflicts, "there")),
    );
    return [listOf(lines), choices];
  }

  /**
   * Store one side of conflicts.
   *
   * @param {Conflict[]} conflicts
   * @param {"here" | "there"} side
   */
  async settle(conflicts, side) {
    const changes = conflicts.map((conflict) => {
      const imported = side === "there";
      return { i: conflict.here.i, entry: conflict[side], seen: conflict.here, imported };
    });
    try {
      const answers = await this.source.save(changes);
      this.table.add(answers.map(({ row }) => row));
      const saved = answers.filter((answer) => answer.saved);
      const done = side === "here" ? "Kept as they are here" : "Taken from the file";
      this.tell([`${done}: ${countOfVerdicts(saved.length)}.`], [], []);
    } catch (error) {
      this.note.textContent = `Not saved: ${messageOf(error)}`;
    }
  }
}

/**
 * Return the verdicts on images of the atlas, and the others.
 *
 * @param {Index} index
 * @param {PathVerdict[]} rows
 */
function match(index, rows) {
  /** @type {[number, string][]} */
  const images = index.paths.map((path, i) => [i, path]);
  for (const { i, path } of index.others) {
    if (path) images.push([i, path]);
  }
  const matcher = new PathMatcher(images);
  /** @type {Verdict[]} */
  const matched = [];
  /** @type {PathVerdict[]} */
  const unmatched = [];
  for (const row of rows) {
    const i = matcher.find(row.path);
    if (i === null) unmatched.push(row);
    else matched.push({ ...row, i });
  }
  return { matched, unmatched };
}

/** @param {string[]} lines */
function listOf(lines) {
  const items = lines.slice(0, LISTED).map((line) => make("li", {}, line));
  if (lines.length > LISTED) items.push(make("li", {}, `and ${lines.length - LISTED} more`));
  return make("ul", { className: "plain told" }, ...items);
}

/** @param {number} count */
function countOfVerdicts(count) {
  return `${count} ${count === 1 ? "verdict" : "verdicts"}`;
}
