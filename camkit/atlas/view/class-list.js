// The list of classes, from which the user chooses one to see its map.

/** @import { Index, Selection } from "./types.js" */
import { make } from "./dom.js";
import { classLine } from "./layers.js";

export class ClassList {
  /**
   * @param {Index} index
   * @param {Selection} selection its `shown` is the class that is chosen here
   * @param {() => void} redraw is called when another class has been chosen
   */
  constructor(index, selection, redraw) {
    this.index = index;
    this.selection = selection;
    this.redraw = redraw;
    const filter = () => this.show();
    this.search = make("input", { type: "search", autocomplete: "off", oninput: filter });
    this.list = make("select", { size: 7, onchange: () => this.choose(Number(this.list.value)) });
  }

  /** @param {number} c */
  choose(c) {
    this.selection.shown = c;
    this.redraw();
  }

  /**
   * List the classes whose names match the search, highest logit first; choose the first of them if
   * the chosen class is not listed.
   */
  show() {
    const { detail, shown } = this.selection;
    if (!detail) return;
    const matching = this.matching();
    const options = matching.map((m) => {
      const c = detail.classes[m];
      return make("option", { value: c, selected: c === shown }, classLine(this.index, detail, m));
    });
    this.list.replaceChildren(...options);
    this.addRemark(detail.classes.length);

    const isListed = matching.some((m) => detail.classes[m] === shown);
    if (this.search.value.trim() && matching.length && !isListed) {
      this.choose(detail.classes[matching[0]]);
    }
  }

  matching() {
    const { detail } = this.selection;
    if (!detail) return [];
    const { classes, logits } = detail;
    const wanted = this.search.value.trim().toLowerCase();
    const numbers = classes.map((_, m) => m);
    const matching = numbers.filter((m) => {
      const name = this.index.classNames[classes[m]];
      return name.toLowerCase().includes(wanted);
    });
    return matching.sort((a, b) => logits[b] - logits[a]);
  }

  /** @param {number} count of the classes that have a map */
  addRemark(count) {
    const total = this.index.classNames.length;
    if (count === total) return;
    const text = `(${count} of ${total} classes are stored for this picture)`;
    this.list.append(make("option", { disabled: true }, text));
  }
}
