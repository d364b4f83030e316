// The form for verdicts.

/** @import { Answer, Change, EntryField, Index, Selection, Source, Verdict } from "./types.js" */
/** @import { VerdictTable } from "./verdicts.js" */
import { field, make, section } from "./dom.js";
import { SEPARATOR } from "./label-sets.js";
import { recall, rememberSetting } from "./remembered.js";
import { BLANK, isGiven, NOT_REVIEWED, namesOf, VERDICTS, wordsOf } from "./verdicts.js";
import { countOfPictures, labelName, messageOf, pictureOf } from "./words.js";

// What the browser remembers of the form.
const SETTINGS = "camkit-review";

// The verdict that belongs to a correct label.
const LABEL_WRONG = VERDICTS[1];

// What verdicts mean to `apply` of review.py.
const MEANING =
  "“label wrong” gives a picture its correct label or, without one, the predicted class; " +
  "“ambiguous” and “remove” take it out. Other verdicts change nothing.";

// A comment is stored when nothing has been typed for so many milliseconds.
const PAUSE = 800;

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
   * @param {() => void} listeners.leave takes the focus out of the form
   */
  constructor(atlasId, source, selection, table, errors, { targets, next, leave }) {
    this.source = source;
    this.selection = selection;
    this.table = table;
    this.errors = errors;
    this.targets = targets;
    this.next = next;
    this.leave = leave;
    /** @type {Verdict | null} The verdict that the reviewer has been shown. */
    this.stored = null;
    /** @type {number | null} The image that the form is filled for. */
    this.filledFor = null;
    this.saving = Promise.resolve();
    /** @type {Change[]} The changes that take back what was stored last. */
    this.before = [];
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    // Whether keys go through the list of verdicts; the next picture waits for Enter then.
    this.isWalking = false;
    // What was said last; it stays when the next image comes by itself.
    this.said = "";

    const settings = recall(SETTINGS) ?? {};
    const save = (/** @type {EntryField} */ name) => () => this.change(name);
    const options = VERDICTS.map((text, key) => make("option", { value: text }, `${key} ${text}`));
    const names = source.index.classNames.map((value) => make("option", { value }));
    const list = make("datalist", { id: `${atlasId}-class-names` }, ...names);
    this.verdict = make("select", { onchange: save("verdict") }, ...options);
    this.verdict.addEventListener("keydown", (event) => this.onVerdictKey(event));
    this.verdict.addEventListener("pointerdown", () => {
      this.isWalking = false;
    });
    const oninput = () => this.onComment();
    this.comment = make("textarea", { rows: 2, onchange: save("comment"), oninput });
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
    const undo = { type: "button", hidden: true, onclick: () => this.undo() };
    this.undoButton = make("button", undo, "Undo");

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
      this.undoButton,
      make("p", { className: "help" }, MEANING),
    );
    source.changed?.((i, rows) => table.replace(i, rows));
    table.listeners.push((numbers) => this.onVerdicts(numbers));
  }

  remember() {
    rememberSetting(SETTINGS, { advance: this.advance.checked, reviewer: this.name });
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
    // What is being typed stays as it is while it is stored.
    const isTyped = this.filledFor === i && this.comment.matches(":focus");
    if (!isTyped) this.comment.value = comment;
    this.correctLabel.value = correctLabel;
    this.filledFor = i;

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
    // The button is hidden now, and the next key may be a verdict.
    this.leave();
  }

  /**
   * Note whether a key goes through the closed list, which a space and Alt open; Enter commits.
   *
   * @param {KeyboardEvent} event
   */
  onVerdictKey(event) {
    if (event.key !== "Enter") {
      this.isWalking = event.key !== " " && !event.altKey;
    } else if (this.isWalking) {
      event.preventDefault();
      this.isWalking = false;
      this.change("verdict");
    }
  }

  /** Store a comment soon; one on several images when it is finished. */
  onComment() {
    clearTimeout(this.timer);
    if (this.targets().length > 1) return;
    this.timer = setTimeout(() => this.storeTyped(["comment"]), PAUSE);
  }

  /**
   * Store what has been typed and not been stored.
   *
   * @param {("comment" | "correctLabel")[]} [names] the fields
   */
  storeTyped(names = ["comment", "correctLabel"]) {
    for (const name of names) {
      if (this.entered(name) !== (this.stored?.[name] ?? "")) this.change(name);
    }
  }

  forgetBefore() {
    this.before = [];
    this.undoButton.hidden = true;
  }

  /** Take back what was stored last. */
  async undo() {
    await this.saving;
    const changes = this.before;
    this.forgetBefore();
    this.leave();
    try {
      const answers = await this.source.save(changes);
      this.table.add(answers.map(({ row }) => ({ ...row, own: true })));
      const left = answers.filter(({ saved }) => !saved).length;
      const kept = left ? ` ${countOfPictures(left)} changed elsewhere in the meantime.` : "";
      this.report(`Taken back for ${countOfPictures(answers.length - left)}.${kept}`);
    } catch (error) {
      this.report(`Not taken back: ${messageOf(error)}`);
    }
  }

  /** Say which images the form is for; a suggestion is for the one that is shown. */
  showScope() {
    const count = this.targets().length;
    const isOne = count === 1;
    this.scope.hidden = isOne;
    this.scope.textContent = count
      ? `What you enter now is for all ${countOfPictures(count)} selected.`
      : "No picture is listed, so there is none to review.";
    for (const control of [this.verdict, this.correctLabel, this.comment]) {
      control.disabled = !count;
    }
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
    if (!this.targets().length) return;
    this.isWalking = false;
    this.verdict.value = VERDICTS[key];
    this.change("verdict");
  }

  /**
   * Store a field of the form for the selected images; their other fields stay as they are.
   *
   * @param {EntryField} name
   */
  async change(name) {
    clearTimeout(this.timer);
    const { current, seen } = this.selection;
    const targets = this.targets();
    // An image that is not yet on the screen, or not listed, gets no verdict.
    if (current === null || current !== seen || !targets.length) return;
    const value = this.entered(name);
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
      this.rememberBefore(changes, answers);
      this.onAnswers(current, name, answers, replaced.length);
    } catch (error) {
      this.report(`Not saved: ${messageOf(error)}`);
    }
  }

  /**
   * Keep what takes changes back.
   *
   * @param {Change[]} changes
   * @param {Answer[]} answers
   */
  rememberBefore(changes, answers) {
    const saved = changes.filter((_, k) => answers[k].saved);
    this.before = saved.map(({ i, entry, seen }) => {
      return { i, entry: { ...BLANK, ...seen, reviewer: entry.reviewer }, seen: entry };
    });
    this.undoButton.hidden = !saved.length;
  }

  /**
   * Return the content of a field.
   *
   * @param {EntryField} name
   */
  entered(name) {
    return name === "correctLabel" ? this.className() : this[name].value;
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
    // Who takes the verdict back takes the label back that belongs to it.
    if (name === "verdict" && !isJudged) entry.correctLabel = "";
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
    const stays = !this.advance.checked || this.isWalking;
    if (stays || !isSaved || !isVerdict || answers.length > 1) return;
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
    const remark = this.remarkOnLabels(answers, name);
    if (answers.length === 1) return `Saved: ${value}.${remark}`;
    const before = replaced ? ` ${replaced} of them had another one.` : "";
    const entered = name === "correctLabel" ? this.newClass(row.correctLabel) : "";
    const saved = entered || row[name] || "empty";
    return `Saved for ${countOfPictures(answers.length)}: ${saved}.${before}${remark}`;
  }

  /**
   * Return a sentence on pictures whose new label is the one that they have, or "".
   *
   * @param {Answer[]} answers
   * @param {EntryField} name
   */
  remarkOnLabels(answers, name) {
    if (name === "comment") return "";
    const unchanged = answers.filter(({ row }) => {
      const { true: label, predicted } = namesOf(this.source.index, row.i);
      return row.verdict === LABEL_WRONG && label === (row.correctLabel || predicted);
    });
    if (!unchanged.length) return "";
    const which = answers.length > 1 ? `${unchanged.length} of them have` : "It has";
    return ` ${which} the new label already: enter the correct one.`;
  }

  /**
   * Return a remark on a correct label that is no class of the set, or "".
   *
   * @param {string} label
   */
  newClass(label) {
    const { classNames } = this.source.index;
    const known = [...classNames, labelName({ classNames }, -1)];
    const isNew = this.namesIn(label).some((name) => !known.includes(name));
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
    this.forgetBefore();
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
