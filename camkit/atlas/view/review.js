// The form for verdicts.

/** @import { Entry, Selection, Source, Verdict } from "./types.js" */
import { make } from "./dom.js";
import { NOT_REVIEWED, VERDICTS, VerdictTable } from "./verdicts.js";

export class Review {
  /**
   * @param {Source} source
   * @param {Selection} selection
   * @param {number[]} errors the images that have to be reviewed
   */
  constructor(source, selection, errors) {
    this.source = source;
    this.selection = selection;
    this.errors = errors;
    this.table = new VerdictTable(source.index.verdicts);
    /** @type {Verdict | null} The verdict that the reviewer has been shown. */
    this.stored = null;

    const save = () => this.save();
    const options = VERDICTS.map((text, key) => make("option", { value: text }, `${key} ${text}`));
    this.verdict = make("select", { onchange: save }, ...options);
    this.comment = make("textarea", { rows: 2, onchange: save });
    const recall = () => this.recall();
    this.reviewer = make("input", { type: "text", autocomplete: "name", onchange: recall });
    this.others = make("ul", { className: "plain others" });
    this.note = make("p", { role: "status", className: "note" });
    source.changed?.((row) => this.onChangeElsewhere(row));
  }

  /** @param {Verdict} row */
  onChangeElsewhere(row) {
    this.table.set(row);
    if (row.i === this.selection.current) this.recall();
  }

  /**
   * Fill the form for the image that was just chosen.
   *
   * @param {Verdict[]} verdicts on this image
   */
  show(verdicts) {
    for (const row of verdicts) this.table.set(row);
    this.recall();
  }

  /** Fill the form with this reviewer's verdict, and list the verdicts of others. */
  recall() {
    const i = this.selection.current;
    if (i === null) return;
    const reviewer = this.reviewer.value;
    this.stored = this.table.get(i, reviewer);
    const verdict = this.stored?.verdict ?? NOT_REVIEWED;
    this.addOption(verdict);
    this.verdict.value = verdict;
    this.comment.value = this.stored?.comment ?? "";

    // Images of the reference are not reviewed.
    const isReference = i >= this.source.index.labels.length;
    this.verdict.disabled = isReference;
    this.comment.disabled = isReference;

    const items = this.table.ofOthers(i, reviewer).map((row) => {
      const text = [row.verdict, row.comment].filter(Boolean).join(", ");
      return make("li", {}, `${row.reviewer || "without a name"}: ${text}`);
    });
    this.others.replaceChildren(...items);
    this.report("");
  }

  /**
   * Add a verdict to the list if it is missing: a file edited by hand may hold any text.
   *
   * @param {string} verdict
   */
  addOption(verdict) {
    const options = [...this.verdict.options];
    if (options.some((option) => option.value === verdict)) return;
    this.verdict.append(make("option", { value: verdict }, verdict));
  }

  /** @param {string} text */
  report(text) {
    this.note.textContent = `${text} ${this.table.progress(this.errors)}`.trim();
  }

  /**
   * Store the verdict that belongs to a key.
   *
   * @param {number} key
   */
  press(key) {
    if (this.verdict.disabled) return;
    this.verdict.value = VERDICTS[key];
    this.save();
  }

  async save() {
    const { current, seen } = this.selection;
    // An image that is not yet on the screen gets no verdict.
    if (current === null || current !== seen) return;
    const entry = {
      verdict: this.verdict.value,
      comment: this.comment.value,
      reviewer: this.reviewer.value,
    };
    try {
      const { saved, row } = await this.source.save(current, entry, this.stored);
      this.onAnswer(current, saved, row, entry);
    } catch (error) {
      this.report(`Not saved: ${messageOf(error)}`);
    }
  }

  /**
   * @param {number} i
   * @param {boolean} saved
   * @param {Entry} row what is stored now
   * @param {Entry} entry what was to be stored
   */
  onAnswer(i, saved, row, entry) {
    this.table.set({ ...row, i, reviewer: entry.reviewer });
    if (this.selection.current !== i) return;
    this.recall();
    const elsewhere = `changed elsewhere in the meantime to “${row.verdict}”. Choose again to replace it.`;
    this.report(saved ? `Saved: ${row.verdict}.` : `Not saved: ${elsewhere}`);
  }
}

/** @param {unknown} error */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}
