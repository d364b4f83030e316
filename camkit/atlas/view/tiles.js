// The images of a group as tiles.

/** @import { Source } from "./types.js" */
import { make, showPicture, uniqueId } from "./dom.js";

// The side of a tile with its margin in pixels; atlas.css has the same number.
const TILE = 76;

// Rows of tiles that are created beyond those in view, so that scrolling shows no gaps.
const ROWS_ABOVE = 1;
const ROWS_BELOW = 3;

/**
 * Return the first position whose tile is created, and the one after the last.
 *
 * @param {{scrollTop: number, clientHeight: number}} box
 * @param {number} columns
 * @param {number} count of all tiles
 */
export function positionsInSight({ scrollTop, clientHeight }, columns, count) {
  const firstRow = Math.max(0, Math.floor(scrollTop / TILE) - ROWS_ABOVE);
  const rows = Math.ceil(clientHeight / TILE) + ROWS_BELOW;
  const first = firstRow * columns;
  return { first, end: Math.min(count, first + rows * columns) };
}

/**
 * A list box of tiles. Only those in sight exist as elements, so a group may have any size. Arrows,
 * Home and End move to another tile. Shift extends the selection, Space or a click with Ctrl adds to
 * it, arrows with Ctrl leave it; Ctrl+A selects all, Escape one.
 */
export class Tiles {
  /**
   * @param {string} name
   * @param {Source} source
   * @param {object} listeners
   * @param {(i: number) => string} listeners.describeImage
   * @param {(i: number) => boolean} listeners.isCompared whether an image is there for comparison
   * @param {(i: number) => string} listeners.mark the verdict that a tile shows, or ""
   * @param {(i: number) => void} listeners.choose
   * @param {() => void} listeners.marked is called when several images have been selected
   */
  constructor(name, source, { describeImage, isCompared, mark, choose, marked }) {
    this.source = source;
    this.describeImage = describeImage;
    this.isCompared = isCompared;
    this.mark = mark;
    this.choose = choose;
    this.marked = marked;
    this.id = uniqueId();
    /** @type {number[]} */
    this.members = [];
    this.selected = -1;
    /** @type {Set<number>} The images that are selected together; none if it is only one. */
    this.several = new Set();
    // Where a range starts that Shift selects.
    this.anchor = 0;
    // Whether a click adds to the selection, as Ctrl does.
    this.adding = false;

    const properties = {
      className: "tiles",
      role: "listbox",
      tabIndex: 0,
      ariaLabel: name,
      ariaMultiSelectable: "true",
    };
    this.space = make("div", { role: "presentation" });
    this.box = make("div", properties, this.space);
    this.box.addEventListener("scroll", () => this.draw());
    this.box.addEventListener("keydown", (event) => this.onKey(event));
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.box);
  }

  close() {
    this.observer.disconnect();
  }

  get columns() {
    return Math.max(1, Math.floor(this.box.clientWidth / TILE));
  }

  /**
   * Show the tiles of a group; the one of image i is chosen, or else the first.
   *
   * @param {number[]} members
   * @param {number} [i]
   */
  show(members, i) {
    this.members = members;
    this.several.clear();
    this.box.scrollTop = 0;
    const position = i === undefined ? 0 : members.indexOf(i);
    this.select(Math.max(position, 0));
    // Tiles that stay where they are may be described otherwise in another group.
    this.refresh();
  }

  /** The images that a verdict is given on. */
  get selection() {
    if (this.several.size) return this.members.filter((i) => this.several.has(i));
    return this.selected >= 0 ? [this.members[this.selected]] : [];
  }

  draw() {
    const { columns, members, selected } = this;
    const { first, end } = positionsInSight(this.box, columns, members.length);
    this.space.style.height = `${Math.ceil(members.length / columns) * TILE}px`;

    const present = this.removeOthers(first, end);
    for (let position = first; position < end; position++) {
      const tile = present.get(this.keyOf(position)) ?? this.makeTile(position);
      const isCurrent = position === selected;
      const isSelected = this.several.size ? this.several.has(members[position]) : isCurrent;
      tile.ariaSelected = String(isSelected);
      tile.classList.toggle("current", isCurrent);
      tile.classList.toggle("compared", this.isCompared(members[position]));
    }
    const inSight = selected >= first && selected < end;
    this.box.setAttribute("aria-activedescendant", inSight ? `${this.id}-${selected}` : "");
  }

  /** Show the verdicts as they are now. */
  refresh() {
    for (const child of this.space.children) {
      const tile = /** @type {HTMLElement} */ (child);
      this.writeMark(tile, this.members[Number(tile.dataset.position)]);
    }
  }

  /**
   * Return the key of a tile, which is created again when its position, its image or the number of
   * columns changes.
   *
   * @param {number} position
   */
  keyOf(position) {
    return `${position}:${this.members[position]}:${this.columns}`;
  }

  /**
   * Remove the tiles that are not at these positions; return the others by their key.
   *
   * @param {number} first
   * @param {number} end
   */
  removeOthers(first, end) {
    const wanted = new Set();
    for (let position = first; position < end; position++) wanted.add(this.keyOf(position));

    /** @type {Map<string, HTMLElement>} */
    const present = new Map();
    for (const child of [...this.space.children]) {
      const tile = /** @type {HTMLElement} */ (child);
      const key = tile.dataset.key ?? "";
      if (wanted.has(key)) present.set(key, tile);
      else tile.remove();
    }
    return present;
  }

  /** @param {number} position */
  makeTile(position) {
    const i = this.members[position];
    const image = make("img", { alt: "" });
    const properties = {
      role: "option",
      id: `${this.id}-${position}`,
      className: "tile",
      ariaSetSize: this.members.length,
      ariaPosInSet: position + 1,
      onclick: (/** @type {MouseEvent} */ event) => this.onClick(event, position),
    };
    const tile = make("div", properties, image, make("span", { className: "mark" }));
    tile.dataset.key = this.keyOf(position);
    tile.dataset.position = String(position);
    tile.style.left = `${(position % this.columns) * TILE}px`;
    tile.style.top = `${Math.floor(position / this.columns) * TILE}px`;
    this.writeMark(tile, i);
    showPicture(image, this.source, i);
    this.space.append(tile);
    return tile;
  }

  /**
   * Write the verdict on image i on its tile, and into the text that is read aloud.
   *
   * @param {HTMLElement} tile
   * @param {number} i
   */
  writeMark(tile, i) {
    const mark = this.mark(i);
    const text = this.describeImage(i) + (mark && `; reviewed: ${mark}`);
    tile.title = text;
    tile.ariaLabel = text;
    const label = /** @type {HTMLElement} */ (tile.lastElementChild);
    label.textContent = mark && `✓ ${mark}`;
    label.hidden = !mark;
  }

  /**
   * @param {MouseEvent} event
   * @param {number} position
   */
  onClick(event, position) {
    if (event.shiftKey) this.extendTo(position);
    else if (event.ctrlKey || event.metaKey || this.adding) this.toggle(position);
    else this.select(position);
  }

  /** @param {number} steps */
  step(steps) {
    const position = this.selected + steps;
    if (this.adding) this.goTo(position);
    else this.select(position);
  }

  /**
   * Choose one image; no others stay selected.
   *
   * @param {number} position
   */
  select(position) {
    this.several.clear();
    this.anchor = this.goTo(position);
    this.marked();
  }

  /**
   * Add an image to the selection, or take it out.
   *
   * @param {number} position
   */
  toggle(position) {
    const i = this.members[position];
    if (i === undefined) return;
    if (!this.several.size) this.several.add(this.members[this.selected]);
    if (this.several.has(i) && this.several.size > 1) this.several.delete(i);
    else this.several.add(i);
    this.anchor = this.goTo(position);
    this.marked();
  }

  /**
   * Select the images from the one that was chosen last to another.
   *
   * @param {number} position
   */
  extendTo(position) {
    const last = this.goTo(position);
    const [from, to] = [this.anchor, last].sort((a, b) => a - b);
    this.several = new Set(this.members.slice(from, to + 1));
    this.draw();
    this.marked();
  }

  selectAll() {
    this.several = new Set(this.members);
    this.draw();
    this.marked();
  }

  selectNone() {
    this.several.clear();
    this.draw();
    this.marked();
  }

  /**
   * Show the image of a tile, and scroll the tile into view; return its position.
   *
   * @param {number} position
   */
  goTo(position) {
    this.selected = Math.min(Math.max(position, 0), this.members.length - 1);
    this.scrollTo(Math.floor(this.selected / this.columns) * TILE);
    this.draw();
    if (this.selected >= 0) this.choose(this.members[this.selected]);
    return Math.max(this.selected, 0);
  }

  /** @param {number} top of the row that must be seen */
  scrollTo(top) {
    const { box } = this;
    if (top < box.scrollTop) box.scrollTop = top;
    const hidden = top + TILE - (box.scrollTop + box.clientHeight);
    if (hidden > 0) box.scrollTop += hidden;
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    /** @type {Record<string, number>} */
    const steps = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: this.columns,
      ArrowUp: -this.columns,
      Home: -this.members.length,
      End: this.members.length,
    };
    const target = event.key in steps ? this.selected + steps[event.key] : null;
    const action = target === null ? this.keyAction(event) : () => this.moveTo(event, target);
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  /**
   * @param {KeyboardEvent} event
   * @param {number} position
   */
  moveTo(event, position) {
    if (event.shiftKey) this.extendTo(position);
    else if (event.ctrlKey || event.metaKey || this.adding) this.goTo(position);
    else this.select(position);
  }

  /**
   * Return what a key does besides moving.
   *
   * @param {KeyboardEvent} event
   * @returns {(() => void) | null}
   */
  keyAction({ key, ctrlKey, metaKey }) {
    if (key === " ") return () => this.toggle(this.selected);
    if (key === "Escape" && this.several.size) return () => this.selectNone();
    if (key.toLowerCase() === "a" && (ctrlKey || metaKey)) return () => this.selectAll();
    return null;
  }
}
