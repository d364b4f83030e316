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
 * Home and End move the selection.
 */
export class Tiles {
  /**
   * @param {string} name
   * @param {Source} source
   * @param {(i: number) => string} describeImage
   * @param {(i: number) => void} choose
   */
  constructor(name, source, describeImage, choose) {
    this.source = source;
    this.describeImage = describeImage;
    this.choose = choose;
    this.id = uniqueId();
    /** @type {number[]} */
    this.members = [];
    this.selected = -1;

    const properties = { className: "tiles", role: "listbox", tabIndex: 0, ariaLabel: name };
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

  /** @param {number[]} members */
  show(members) {
    this.members = members;
    this.selected = members.length ? 0 : -1;
    this.box.scrollTop = 0;
    this.draw();
  }

  draw() {
    const { columns, members, selected } = this;
    const { first, end } = positionsInSight(this.box, columns, members.length);
    this.space.style.height = `${Math.ceil(members.length / columns) * TILE}px`;

    const present = this.removeOthers(first, end);
    for (let position = first; position < end; position++) {
      const tile = present.get(this.keyOf(position)) ?? this.makeTile(position);
      tile.ariaSelected = String(position === selected);
    }
    const inSight = selected >= first && selected < end;
    this.box.setAttribute("aria-activedescendant", inSight ? `${this.id}-${selected}` : "");
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
    const text = this.describeImage(i);
    const image = make("img", { alt: "" });
    const properties = {
      role: "option",
      id: `${this.id}-${position}`,
      className: "tile",
      title: text,
      ariaLabel: text,
      ariaSetSize: this.members.length,
      ariaPosInSet: position + 1,
      onclick: () => this.select(position),
    };
    const tile = make("div", properties, image);
    tile.dataset.key = this.keyOf(position);
    tile.style.left = `${(position % this.columns) * TILE}px`;
    tile.style.top = `${Math.floor(position / this.columns) * TILE}px`;
    showPicture(image, this.source, i);
    this.space.append(tile);
    return tile;
  }

  /** @param {number} steps */
  step(steps) {
    this.select(this.selected + steps);
  }

  /** @param {number} position */
  select(position) {
    this.selected = Math.min(Math.max(position, 0), this.members.length - 1);
    this.scrollTo(Math.floor(this.selected / this.columns) * TILE);
    this.draw();
    if (this.selected >= 0) this.choose(this.members[this.selected]);
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
    if (!(event.key in steps)) return;
    event.preventDefault();
    event.stopPropagation();
    this.step(steps[event.key]);
  }
}
