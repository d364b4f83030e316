// The form of the filter.

/** @import { Index } from "./types.js" */
/** @import { Filter, FilterField } from "./filters.js" */
import { button, field, make } from "./dom.js";
import { isChosen, isFiltering, NO_FILTER, REVIEWED } from "./filters.js";
import { NOT_REVIEWED, VERDICTS } from "./verdicts.js";

export class FilterPanel {
  /**
   * @param {Index} index
   * @param {string} atlasId
   * @param {() => void} changed
   */
  constructor(index, atlasId, changed) {
    this.index = index;
    this.atlasId = atlasId;
    this.changed = changed;
    /** @type {Filter} */
    this.filter = { ...NO_FILTER };
    this.ofColumn = make("div");
    this.summary = make("summary", {}, "Filter");
    this.element = make("details", { className: "filter" }, this.summary);
    this.fill();
  }

  /** Ask for nothing. */
  clear() {
    this.filter = { ...NO_FILTER };
    this.fill();
  }

  fill() {
    const { index } = this;
    const fields = [
      this.select("Reviewed as", "verdict", [NOT_REVIEWED, REVIEWED, ...VERDICTS.slice(1)]),
      this.range("Confidence, %", "lowest", "highest"),
      field(this.atlasId, "Path has the text", this.input("file", "search")),
    ];
    if (index.flipCells?.some(Boolean)) {
      fields.push(this.range("Cells that flip it", "fewest", "most"));
    }
    if (index.metadata.length) {
      const names = index.metadata.map(({ name }) => name);
      fields.push(this.select("Metadata", "column", names), this.ofColumn);
    }
    const clear = button("Clear the filter", () => {
      this.clear();
      this.changed();
      this.summary.focus();
    });
    this.element.replaceChildren(this.summary, ...fields, clear);
    this.showColumn();
    this.showState();
  }

  /** Show the control that belongs to the column of metadata. */
  showColumn() {
    const { column } = this.filter;
    const chosen = this.index.metadata.find(({ name }) => name === column);
    if (!chosen) this.ofColumn.replaceChildren();
    else if (chosen.numbers)
      this.ofColumn.replaceChildren(this.range(`Value of ${column}`, "from", "to"));
    else if (isChosen(chosen)) {
      this.ofColumn.replaceChildren(
        this.select(`Value of ${column}`, "value", chosen.values ?? []),
      );
    } else {
      const search = field(
        this.atlasId,
        `Value of ${column} has the text`,
        this.input("value", "search"),
      );
      this.ofColumn.replaceChildren(search);
    }
  }

  showState() {
    this.summary.textContent = isFiltering(this.filter) ? "Filter (on)" : "Filter";
  }

  /**
   * @param {FilterField} name
   * @param {string} value
   */
  set(name, value) {
    this.filter[name] = value;
    if (name === "column") {
      Object.assign(this.filter, { value: "", from: "", to: "" });
      this.showColumn();
    }
    this.showState();
    this.changed();
  }

  /**
   * @param {string} label
   * @param {FilterField} name
   * @param {string[]} values
   */
  select(label, name, values) {
    const onchange = () => this.set(name, control.value);
    const options = values.map((value) => make("option", { value }, value || "(empty)"));
    const control = make("select", { onchange }, make("option", { value: "" }, "any"), ...options);
    control.value = this.filter[name];
    return field(this.atlasId, label, control);
  }

  /**
   * @param {FilterField} name
   * @param {string} type
   */
  input(name, type) {
    const onchange = () => this.set(name, control.value);
    const properties = { type, step: "any", autocomplete: "off", onchange };
    const control = make("input", { ...properties, value: this.filter[name] });
    return control;
  }

  /**
   * Return the fields for two limits.
   *
   * @param {string} label
   * @param {FilterField} low
   * @param {FilterField} high
   */
  range(label, low, high) {
    const from = field(this.atlasId, `${label}, from`, this.input(low, "number"));
    const to = field(this.atlasId, `${label}, to`, this.input(high, "number"));
    return make("div", { className: "range" }, from, to);
  }
}
