// The left column: the groups of images, the confusion matrix, the tiles of the chosen group.

/** @import { Group, Index, Source } from "./types.js" */
import { Confusion } from "./confusion.js";
import { field, make, section } from "./dom.js";
import { ORDERS, ordered, possibleOrders } from "./groups.js";
import { Matrix } from "./matrix.js";
import { Tiles } from "./tiles.js";
import { countOfPictures, describe } from "./words.js";

/**
 * Return a list of the groups, each part under its name.
 *
 * @param {Group[]} all
 * @param {(group: Group) => void} showGroup
 */
function groupList(all, showGroup) {
  const onchange = () => showGroup(all[Number(list.value)]);
  const list = make("select", { size: 9, onchange });
  /** @type {Map<string | undefined, HTMLOptGroupElement>} */
  const parts = new Map();
  all.forEach((group, position) => {
    const part = parts.get(group.part) ?? make("optgroup", { label: group.part });
    parts.set(group.part, part);
    const text = `${group.title} (${group.members.length})`;
    part.append(make("option", { value: position }, text));
  });
  list.append(...parts.values());
  return list;
}

export class Browser {
  /**
   * @param {Index} index
   * @param {Group[]} all
   * @param {Source} source
   * @param {object} listeners
   * @param {(i: number) => void} listeners.choose
   * @param {(group: Group) => void} listeners.showGroup
   */
  constructor(index, all, source, { choose, showGroup }) {
    this.index = index;
    this.all = all;
    this.choose = choose;
    /** @type {Group} */
    this.group = all[0];
    this.list = groupList(all, showGroup);
    const orders = possibleOrders(index).map((order) => {
      const name = ORDERS[/** @type {keyof typeof ORDERS} */ (order)];
      return make("option", { value: order }, name);
    });
    this.order = make("select", { onchange: () => showGroup(this.group) }, ...orders);
    // Without labels there are no errors, so the least confident predictions come first.
    this.order.value = index.clusters ? "doubt" : "confidence";
    this.heading = make("h3", { className: "group" });
    this.tiles = new Tiles("Pictures of the group", source, (i) => describe(index, i), choose);

    const hasErrors = all.some((group) => group.true !== undefined);
    const hasMatrix = index.panels.includes("pairs") && hasErrors;
    this.cell = make(
      "p",
      { role: "status", className: "note" },
      "True classes in rows, predicted ones in columns.",
    );
    this.matrix = hasMatrix ? this.makeMatrix(showGroup) : null;
  }

  /** @param {(group: Group) => void} showGroup */
  makeMatrix(showGroup) {
    const confusion = new Confusion(this.index, this.all);
    return new Matrix(confusion, showGroup, (text) => {
      this.cell.textContent = text;
    });
  }

  close() {
    this.tiles.close();
    this.matrix?.close();
  }

  /**
   * Return the column.
   *
   * @param {string} atlasId
   * @param {Node} help
   */
  element(atlasId, help) {
    const column = section(
      "browse",
      "Groups of pictures",
      field(atlasId, "Pictures of", this.list),
    );
    if (this.matrix) {
      const summary = make("summary", {}, "Confusion matrix");
      column.append(make("details", {}, summary, this.matrix.canvas, this.cell));
    }
    column.append(field(atlasId, "Order", this.order), this.heading, this.tiles.box, help);
    return column;
  }

  /**
   * Show a group: one of the list, or the images of a lasso or of a cell of the matrix.
   *
   * @param {Group} group
   */
  show(group) {
    this.group = group;
    const position = this.all.indexOf(group);
    this.list.value = position >= 0 ? String(position) : "";
    const members = ordered(this.index, group.members, this.order.value);
    this.heading.textContent = `${group.title}: ${countOfPictures(members.length)}`;
    this.tiles.show(members);
    if (members.length) this.choose(members[0]);
  }

  /** Return the group that is shown first. */
  firstGroup() {
    const { clusters, panels } = this.index;
    let part = clusters ? "Clusters" : "True class";
    if (panels.includes("pairs")) part = "Confused pairs";
    return this.all.find((group) => group.part === part) ?? this.all[0];
  }
}
