// A canvas that can be used by keyboard.

/** @import { Point } from "./types.js" */
import { contextOf, make } from "./dom.js";

/** @type {Record<string, Point>} The steps of the arrow keys, to the right and down. */
export const ARROWS = {
  ArrowRight: [1, 0],
  ArrowLeft: [-1, 0],
  ArrowDown: [0, 1],
  ArrowUp: [0, -1],
};

/** A canvas that is drawn at screen resolution, and redrawn when its size or colours change. */
export class Board {
  /**
   * @param {string} name
   * @param {string} className
   * @param {(context: CanvasRenderingContext2D, width: number, height: number) => void} paint
   */
  constructor(name, className, paint) {
    this.paint = paint;
    this.canvas = make("canvas", { className, tabIndex: 0, role: "application", ariaLabel: name });
    this.closed = new AbortController();
    this.observer = new ResizeObserver(() => this.redraw());
    this.observer.observe(this.canvas);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.redraw(), { signal: this.closed.signal });
  }

  close() {
    this.observer.disconnect();
    this.closed.abort();
  }

  /** Width and height in CSS pixels. @returns {[number, number]} */
  get size() {
    return [this.canvas.clientWidth, this.canvas.clientHeight];
  }

  redraw() {
    const [width, height] = this.size;
    if (!width || !height) return;
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    const context = contextOf(this.canvas);
    context.scale(ratio, ratio);
    context.clearRect(0, 0, width, height);
    this.paint(context, width, height);
  }

  /**
   * Return where on the canvas an event happened.
   *
   * @param {MouseEvent} event
   * @returns {Point}
   */
  pointOf(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /**
   * Return the current value of a colour of atlas.css, such as "--ink".
   *
   * @param {string} name
   */
  colour(name) {
    this.canvas.style.color = `var(${name})`;
    return getComputedStyle(this.canvas).color;
  }
}
