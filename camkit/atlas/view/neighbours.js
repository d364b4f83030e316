// The most similar images.

/** @import { Index, Neighbour, Source } from "./types.js" */
import { make, showPicture } from "./dom.js";
import { labelNames } from "./label-sets.js";
import { labelName } from "./words.js";

export class Neighbours {
  /**
   * @param {Index} index
   * @param {Source} source
   * @param {(i: number) => void} choose
   */
  constructor(index, source, choose) {
    this.index = index;
    this.source = source;
    this.choose = choose;
    this.list = make("ul", { className: "plain near" });
    this.none = make("p", { className: "note" }, "None are stored for a picture of the reference.");
    this.element = make("div", {}, this.list, this.none);
  }

  /** @param {Neighbour[]} neighbours */
  show(neighbours) {
    const items = neighbours.map((neighbour) => this.makeItem(neighbour));
    this.list.replaceChildren(...items);
    this.list.hidden = !neighbours.length;
    this.none.hidden = neighbours.length > 0;
  }

  /** @param {Neighbour} neighbour */
  makeItem({ i, likeness, label, sets, name }) {
    const image = make("img", { alt: "", width: 64, height: 64 });
    showPicture(image, this.source, i);
    const score = `likeness ${likeness.toFixed(3)}`;
    const text = make(
      "span",
      {},
      sets ? labelNames(this.index, sets.true) : labelName(this.index, label),
      make("br"),
      score,
    );
    const properties = { type: "button", title: name, onclick: () => this.choose(i) };
    return make("li", {}, make("button", properties, image, text));
  }
}
