// The left column: the groups of images, the confusion matrix, the tiles of the chosen group.

/** @import { Group, Source } from "./types.js" */
/** @import { VerdictTable } from "./verdicts.js" */
import { Confusion } from "./confusion.js";
import { button, field, make, section } from "./dom.js";
import { FilterPanel } from "./filter-panel.js";
import { filtered } from "./filters.js";
import {
  isError,
  ORDERS,
  ordered,
  orderedByVerdict,
  possibleOrders,
  remarkOnFault,
} from "./groups.js";
import { INVENTED, MISSED } from "./label-sets.js";
import { Matrix } from "./matrix.js";
import { Tiles } from "./tiles.js";
import { countOfPictures, describe } from "./words.js";

/** The list of the groups, each part under its name. */
class GroupList {
  /**
   * @param {Group[]} all
   * @param {(group: Group) => void} showGroup
   */
  constructor(all, showGroup) {
    const onchange = () => showGroup(all[Number(this.element.value)]);
    this.element = make("select", { size: 9, onchange });
    /** @type {Map<Group, HTMLOptionElement>} */
    this.options = new Map();
    /** @type {Map<string | undefined, HTMLOptGroupElement>} */
    const parts = new Map();
    all.forEach((group, position) => {
      const part = parts.get(group.part) ?? make("optgroup", { label: group.part });
      parts.set(group.part, part);
      const option = make("option", { value: position });
      this.options.set(group, option);
      part.append(option);
      this.write(group);
    });
    this.element.append(...parts.values());
  }

  /**
   * Write the number of images of a group into the list.
   *
   * @param {Group} group
   */
  write(group) {
    const option = this.options.get(group);
    if (option) option.textContent = `${group.title} (${group.members.length})`;
  }

  /** @param {Group} group */
  show(group) {
    this.element.value = this.options.get(group)?.value ?? "";
  }
}

export class Browser {
  /**
   * @param {string} atlasId
   * @param {Group[]} all
   * @param {Source} source
   * @param {VerdictTable | null} table
   * @param {object} listeners
   * @param {(i: number) => void} listeners.choose
   * @param {(group: Group) => void} listeners.showGroup
   * @param {() => void} listeners.selected
   */
  constructor(atlasId, all, source, table, { choose, showGroup, selected }) {
    const { index } = source;
    this.atlasId = atlasId;
    this.index = index;
    this.table = table;
    this.all = table ? [...all, ...this.makeReviewGroups(table)] : all;
    /** @type {Group} */
    this.group = all[0];
    this.list = new GroupList(this.all, showGroup);
    const again = () => showGroup(this.group);
    const orders = possibleOrders(index).map((order) => {
      const name = ORDERS[/** @type {keyof typeof ORDERS} */ (order)];
      return make("option", { value: order }, name);
    });
    this.order = make("select", { onchange: again }, ...orders);
    // Without labels there are no errors, so the least confident predictions come first.
    this.order.value = index.clusters ? "doubt" : "confidence";
    this.filter = new FilterPanel(index, atlasId, again);
    this.heading = make("h2", { className: "group" });
    this.tiles = new Tiles("Pictures of the group", source, {
      describeImage: (i) => {
        const remark = remarkOnFault(this.group, i);
        return remark ? `${describe(index, i)}. ${remark}` : describe(index, i);
      },
      isCompared: (i) => Boolean(this.group.reasons) && !this.group.reasons?.has(i),
      mark: (i) => table?.mark(i) ?? "",
      choose,
      marked: () => {
        this.showSelection();
        selected();
      },
    });
    this.selectionText = make("span", { role: "status", className: "note" });
    this.adding = make("button", { type: "button", ariaPressed: "false" }, "Select several");
    this.adding.addEventListener("click", () => this.setAdding(!this.tiles.adding));
    table?.listeners.push(() => this.onVerdicts());

    const hasErrors = all.some((group) => group.true !== undefined);
    const hasMatrix = index.panels.includes("pairs") && hasErrors;
    this.cell = make(
      "p",
      { role: "status", className: "note" },
      index.labelSets
        ? "Missed labels in rows, invented ones in columns; found ones on the diagonal."
        : "True classes in rows, predicted ones in columns.",
    );
    this.matrix = hasMatrix ? this.makeMatrix(showGroup) : null;
  }

  /**
   * Return the groups of what has been reviewed, and of the errors that have not.
   *
   * @param {VerdictTable} table
   * @returns {Group[]}
   */
  makeReviewGroups(table) {
    const part = "Review";
    this.reviewed = { part, title: "reviewed", members: table.reviewed() };
    const { index } = this;
    const errors = index.labels.map((_, i) => i).filter((i) => isError(index, i));
    this.errors = errors;
    const left = errors.filter((i) => !table.isReviewed(i));
    this.left = { part, title: "errors not reviewed", members: left };
    return errors.length ? [this.left, this.reviewed] : [this.reviewed];
  }

  /** Count again after a verdict; the tiles that are shown stay until a group is chosen. */
  onVerdicts() {
    const { table, errors = [], left, reviewed } = this;
    if (!table || !left || !reviewed) return;
    reviewed.members = table.reviewed();
    left.members = errors.filter((i) => !table.isReviewed(i));
    this.list.write(reviewed);
    if (errors.length) this.list.write(left);
    this.tiles.refresh();
  }

  /** @param {boolean} adding whether a click adds to the selection */
  setAdding(adding) {
    this.tiles.adding = adding;
    this.adding.ariaPressed = String(adding);
    if (!adding) this.tiles.selectNone();
  }

  showSelection() {
    const count = this.tiles.several.size;
    this.selectionText.textContent = count ? `${countOfPictures(count)} selected.` : "";
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
   * @param {Node} help
   */
  element(help) {
    const list = field(this.atlasId, "Pictures of", this.list.element);
    const column = section("browse", "Groups of pictures", list);
    if (this.matrix) {
      const summary = make("summary", {}, "Confusion matrix");
      column.append(make("details", {}, summary, this.matrix.canvas, this.cell));
    }
    column.append(this.filter.element, field(this.atlasId, "Order", this.order));
    column.append(this.heading, this.tiles.box);
    if (this.table) {
      const all = button("Select all", () => this.tiles.selectAll());
      const tools = make("div", { className: "choices" }, all, this.adding);
      column.append(tools, this.selectionText);
    }
    column.append(help);
    return column;
  }

  /**
   * Show a group: one of the list, or the images of a lasso or of a cell of the matrix.
   *
   * @param {Group} group
   * @param {number} [i] the image that is chosen, in place of the first
   */
  show(group, i) {
    this.group = group;
    this.list.show(group);
    this.order.disabled = Boolean(group.inOrder);
    let members = this.filtered(group);
    if (i !== undefined && !members.includes(i)) {
      // An image that has been asked for is shown, whatever the filter.
      this.filter.clear();
      members = this.filtered(group);
    }
    const count = countOfPictures(group.members.length);
    const isPart = members.length < group.members.length;
    this.heading.textContent = `${group.title}: ${isPart ? `${members.length} of ` : ""}${count}`;
    this.tiles.show(this.ordered(group, members), i);
  }

  /** @param {Group} group */
  filtered(group) {
    return filtered(this.index, this.table, group.members, this.filter.filter);
  }

  /**
   * @param {Group} group
   * @param {number[]} members
   */
  ordered(group, members) {
    if (group.inOrder) return members;
    if (this.order.value === "verdict") {
      return this.table ? orderedByVerdict(this.table, members) : members;
    }
    return ordered(this.index, members, this.order.value);
  }

  /** Return the group that is shown first. */
  firstGroup() {
    const { clusters, panels } = this.index;
    let part = clusters ? "Clusters" : "True class";
    if (panels.includes("pairs")) part = "Confused pairs";
    const parts = [part, MISSED, INVENTED];
    const first = parts.map((name) => this.all.find((group) => group.part === name));
    return first.find(Boolean) ?? this.all[0];
  }
}
