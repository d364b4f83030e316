// The form for verdicts.

/** @import { Answer, Change, EntryField, Index, Selection, Source, Verdict } from "./types.js" */
/** @import { VerdictTable } from "./verdicts.js" */
import { field, make, section } from "./dom.js";
import { SEPARATOR } from "./label-sets.js";
import { recall, rememberSetting } from "./remembered.js";
import { BLANK, isGiven, NOT_REVIEWED, VERDICTS, wordsOf } from "./verdicts.js";
import { countOfPictures, messageOf, pictureOf } from "./words.js";

// What the browser remembers of the form.
const SETTINGS = "camkit-review";

// The verdict that belongs to a correct label.
const LABEL_WRONG = VERDICTS[1];

export class Review {
  /**
   * @param {string} atlasId
   * @param {Source} source
   * @param {Selection} selection
   * @param {VerdictTable} table
   * @param {number[]} errors the images that have to be reviewed
   * @param {object} listeners
   * @param {() => number[]} listeners.targets returns the images that a verdict is given on
   * @param {() => boolean} listeners.next shows the next image; returns whether there is one
   */
  constructor(atlasId, source, selection, table, errors, { targets, next }) {
    this.source = source;
    this.selection = selection;
    this.table = table;
    this.errors = errors;
    this.targets = targets;
    this.next = next;
    /** @type {Verdict | null} The verdict that the reviewer has been shown. */
    this.stored = null;
    this.saving = Promise.resolve();
    // What was said last; it stays when the next image comes by itself.
    this.said = "";

    const settings = recall(SETTINGS) ?? {};
    const save = (/** @type {EntryField} */ name) => () => this.change(name);
    const options = VERDICTS.map((text, key) => make("option", { value: text }, `${key} ${text}`));
    const names = source.index.classNames.map((value) => make("option", { value }));
    const list = make("datalist", { id: `${atlasId}-class-names` }, ...names);
    this.verdict = make("select", { onchange: save("verdict") }, ...options);
    this.comment = make("textarea", { rows: 2, onchange: save("comment") });
    this.correctLabel = make("input", { autocomplete: "off", onchange: save("correctLabel") });
    this.correctLabel.setAttribute("list", list.id);
    const rename = () => this.onName();
    this.suggestions = suggestionsOf(source.index);
    this.suggested = make("button", { type: "button", onclick: () => this.takeSuggestion() });
    this.reviewer = make("input", { type: "text", autocomplete: "name", onchange: rename });
    this.reviewer.value = settings.reviewer ?? "";
    // The name that the verdicts of this reviewer stand under.
    this.name = this.reviewer.value;
    const remember = () => this.remember();
    this.advance = make("input", { type: "checkbox", onchange: remember });
    this.advance.checked = Boolean(settings.advance);
    this.scope = make("p", { className: "note scope" });
    this.others = make("ul", { className: "plain others" });
    this.note = make("p", { role: "status", className: "note" });

    const several = source.index.labelSets;
    const advance = make(
      "label",
      { className: "check" },
      this.advance,
      "Then go to the next picture",
    );
    this.element = section(
      "review",
      "Review",
      this.scope,
      field(atlasId, "Verdict (0 to 6)", this.verdict),
      advance,
      field(
        atlasId,
        several ? "Correct labels, with | between" : "Correct label",
        this.correctLabel,
      ),
      list,
      this.suggested,
      field(atlasId, "Comment", this.comment),
      field(atlasId, "Reviewer", this.reviewer),
      this.others,
      this.note,
    );
    source.changed?.((row) => this.onChangeElsewhere(row));
    table.listeners.push((numbers) => this.onVerdicts(numbers));
  }

  remember() {
    rememberSetting(SETTINGS, { advance: this.advance.checked, reviewer: this.name });
  }

  /** @param {Verdict} row */
  onChangeElsewhere(row) {
    this.table.add([row]);
  }

  /** @param {number[]} numbers the images whose verdicts have changed */
  onVerdicts(numbers) {
    if (this.selection.current !== null && numbers.includes(this.selection.current)) this.recall();
  }

  /**
   * Fill the form for the image that was just chosen.
   *
   * @param {Verdict[]} verdicts on this image
   */
  show(verdicts) {
    this.table.add(verdicts);
    this.recall();
    this.report(this.said);
    this.said = "";
  }

  /** Fill the form with this reviewer's verdict, and list the verdicts of others. */
  recall() {
    const i = this.selection.current;
    if (i === null) return;
    const reviewer = this.reviewer.value;
    this.stored = this.table.get(i, reviewer);
    const { verdict, comment, correctLabel } = { ...BLANK, ...this.stored };
    this.addOption(verdict);
    this.verdict.value = verdict;
    this.comment.value = comment;
    this.correctLabel.value = correctLabel;

    const items = this.table.ofOthers(i, reviewer).map((row) => {
      return make("li", {}, `${row.reviewer || "without a name"}: ${wordsOf(row)}`);
    });
    this.others.replaceChildren(...items);
    this.report("");
    this.showScope();
  }

  takeSuggestion() {
    this.correctLabel.value = this.suggestions.get(this.selection.current ?? -1) ?? "";
    this.change("correctLabel");
    // The button is hidden now.
    this.correctLabel.focus();
  }

  /** Say which images the form is for; a suggestion is for the one that is shown. */
  showScope() {
    const count = this.targets().length;
    const isOne = count < 2;
    this.scope.hidden = isOne;
    this.scope.textContent = isOne
      ? ""
      : `What you enter now is for all ${countOfPictures(count)} selected.`;
    const suggestion = this.suggestions.get(this.selection.current ?? -1);
    const isTaken = suggestion === this.correctLabel.value;
    this.suggested.hidden = !suggestion || isTaken || !isOne;
    this.suggested.textContent = `Take the suggestion: ${suggestion}`;
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
    this.verdict.value = VERDICTS[key];
    this.change("verdict");
  }

  /**
   * Store a field of the form for the selected images; their other fields stay as they are.
   *
   * @param {EntryField} name
   */
  async change(name) {
    const { current, seen } = this.selection;
    // An image that is not yet on the screen gets no verdict.
    if (current === null || current !== seen) return;
    const value = name === "correctLabel" ? this.className() : this[name].value;
    const targets = this.targets();
    // One after the other, so that each begins with what the one before has stored.
    const before = this.saving;
    this.saving = before.then(() => this.save(current, targets, name, value));
    await this.saving;
  }

  /**
   * @param {number} current the image that is shown
   * @param {number[]} targets
   * @param {EntryField} name
   * @param {string} value
   */
  async save(current, targets, name, value) {
    const changes = targets.map((i) => this.changeOf(i, name, value));
    const replaced = changes.filter(({ seen: old }) => {
      return old && old[name] !== BLANK[name] && old[name] !== value;
    });
    try {
      const answers = await this.source.save(changes);
      this.onAnswers(current, name, answers, replaced.length);
    } catch (error) {
      this.report(`Not saved: ${messageOf(error)}`);
    }
  }

  /** Return the correct label as it is entered; classes of the set in the spelling of the set. */
  className() {
    const { classNames } = this.source.index;
    const names = this.namesIn(this.correctLabel.value).map((text) => {
      const same = (/** @type {string} */ name) => name.toLowerCase() === text.toLowerCase();
      return classNames.find(same) ?? text;
    });
    return names.join(SEPARATOR);
  }

  /**
   * Return the names in a text: of an image with several labels, all of them.
   *
   * @param {string} text
   */
  namesIn(text) {
    const names = this.source.index.labelSets ? text.split(SEPARATOR) : [text];
    return names.map((name) => name.trim()).filter(Boolean);
  }

  /**
   * @param {number} i
   * @param {EntryField} name
   * @param {string} value
   * @returns {Change}
   */
  changeOf(i, name, value) {
    const reviewer = this.reviewer.value;
    const seen = i === this.selection.current ? this.stored : this.table.get(i, reviewer);
    const { verdict, comment, correctLabel } = { ...BLANK, ...seen };
    const entry = { verdict, comment, correctLabel, reviewer, [name]: value };
    // Who says which label is right says that the given one is wrong.
    const isJudged = entry.verdict !== NOT_REVIEWED;
    if (name === "correctLabel" && value && !isJudged) entry.verdict = LABEL_WRONG;
    return { i, entry, seen };
  }

  /**
   * @param {number} current the image that was shown
   * @param {EntryField} name
   * @param {Answer[]} answers
   * @param {number} replaced how many images had something else in this field
   */
  onAnswers(current, name, answers, replaced) {
    this.table.add(answers.map(({ row }) => ({ ...row, own: true })));
    if (this.selection.current !== current) return;
    const text = this.reportOf(answers, replaced, name);
    this.report(text);
    const isSaved = answers.every(({ saved }) => saved);
    const isVerdict = name === "verdict" && this.verdict.value !== NOT_REVIEWED;
    if (!this.advance.checked || !isSaved || !isVerdict || answers.length > 1) return;
    this.said = `${pictureOf(this.source.index, current).name}: ${text}`;
    if (this.next()) return;
    this.said = "";
    this.report(`${text} This was the last picture.`);
  }

  /**
   * Return what has been saved in words.
   *
   * @param {Answer[]} answers
   * @param {number} replaced
   * @param {EntryField} name
   */
  reportOf(answers, replaced, name) {
    const refused = answers.filter(({ saved }) => !saved);
    const [{ row }] = refused.length ? refused : answers;
    const words =
      isGiven(row) && row.verdict === NOT_REVIEWED ? wordsOf({ ...row, verdict: "" }) : row.verdict;
    const error = refused[0]?.error;
    if (error) return `Not saved for ${countOfPictures(refused.length)}: ${error}`;
    if (refused.length) {
      const where = answers.length > 1 ? ` for ${countOfPictures(refused.length)}` : "";
      const elsewhere = `changed elsewhere in the meantime to “${words}”`;
      return `Not saved${where}: ${elsewhere}. Choose again to replace it.`;
    }
    const value = name === "verdict" ? row.verdict : this.newClass(row.correctLabel) || words;
    if (answers.length === 1) return `Saved: ${value}.`;
    const before = replaced ? ` ${replaced} of them had another one.` : "";
    return `Saved for ${countOfPictures(answers.length)}: ${row[name] || "empty"}.${before}`;
  }

  /**
   * Return a remark on a correct label that is no class of the set, or "".
   *
   * @param {string} label
   */
  newClass(label) {
    const { classNames } = this.source.index;
    const isNew = this.namesIn(label).some((name) => !classNames.includes(name));
    return isNew ? `${label}, which is a new class` : "";
  }

  /** Give the verdicts that were given without a name to the name that has been typed. */
  async onName() {
    const from = this.name;
    const to = this.reviewer.value.trim();
    this.reviewer.value = to;
    this.name = to;
    this.remember();
    this.recall();
    if (from || !to) return;
    const mine = this.table.rows.filter((row) => row.own && row.reviewer === "");
    if (!mine.length) return;
    try {
      const moved = await this.source.rename(
        mine.map(({ i }) => i),
        "",
        to,
      );
      this.table.rename(moved, "", to);
      this.recall();
      const left = mine.length - moved.length;
      const kept = left ? ` ${to} has another verdict on ${countOfPictures(left)}.` : "";
      this.report(`The verdicts on ${countOfPictures(moved.length)} now belong to ${to}.${kept}`);
    } catch (error) {
      this.report(`The verdicts could not be moved to ${to}: ${messageOf(error)}`);
    }
  }
}

/**
 * Return the classes that are suggested in place of labels, by image. Where images have several
 * labels, the suggested one joins the others.
 *
 * @param {Index} index
 */
export function suggestionsOf(index) {
  /** @type {Map<number, string>} */
  const suggestions = new Map();
  for (const { rows } of index.summary?.faults ?? []) {
    for (const { i, suggestion } of rows) {
      if (!suggestion) continue;
      const labels = pictureOf(index, i).sets?.true ?? [];
      const names = labels.map((c) => index.classNames[c]);
      suggestions.set(i, [...names, suggestion].join(SEPARATOR));
    }
  }
  return suggestions;
}
