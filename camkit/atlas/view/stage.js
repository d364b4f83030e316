// The picture as the model reads it, where one paints and moves an object: pointer and keys.

/** @import { Scene } from "./scene.js" */
import { ARROWS } from "./board.js";
import { make, putPixels } from "./dom.js";

/** The tools: what the pointer and the arrow keys do. */
export const PAINT = "paint";
export const MOVE = "move";

// One step of the arrow keys, as a share of the picture's side.
const STEP = 1 / 25;

/**
 * Return opaque RGBA bytes of RGB bytes.
 *
 * @param {Uint8ClampedArray} rgb
 */
export function opaque(rgb) {
  const bytes = new Uint8ClampedArray((rgb.length / 3) * 4).fill(255);
  for (let i = 0; i < rgb.length / 3; i++) {
    bytes.set(rgb.subarray(3 * i, 3 * i + 3), 4 * i);
  }
  return bytes;
}

export class Stage {
  /**
   * @param {Scene} scene
   * @param {() => void} onchange
   */
  constructor(scene, onchange) {
    this.scene = scene;
    this.onchange = onchange;
    this.tool = PAINT;
    this.radius = 0.08;
    this.cursor = [scene.width / 2, scene.height / 2];
    this.isPressed = false;
    const { height, width } = scene;
    this.canvas = make("canvas", { height, width, tabIndex: 0, role: "application" });
    this.ring = make("span", { className: "ring", hidden: true });
    this.element = make("div", { className: "stage" }, this.canvas, this.ring);
    this.canvas.addEventListener("pointerdown", (event) => this.onPointer(event, true));
    this.canvas.addEventListener("pointermove", (event) => this.onPointer(event, false));
    this.canvas.addEventListener("pointerup", () => this.release());
    this.canvas.addEventListener("pointercancel", () => this.release());
    this.canvas.addEventListener("keydown", (event) => this.onKey(event));
    this.canvas.addEventListener("blur", () => this.showRing());
    this.canvas.addEventListener("focus", () => this.showRing());
    this.describe();
  }

  /** @param {string} tool */
  choose(tool) {
    this.tool = tool;
    this.describe();
    this.showRing();
  }

  describe() {
    const keys =
      this.tool === PAINT
        ? "Arrow keys move the brush, Space paints."
        : "Arrow keys move the object.";
    this.canvas.ariaLabel = `The picture as the model reads it. ${keys}`;
  }

  /** @param {Uint8ClampedArray} rgb */
  draw(rgb) {
    const { height, width, aspect } = this.scene;
    putPixels(this.canvas, opaque(rgb), height, width);
    this.canvas.style.aspectRatio = String(aspect);
    this.showRing();
  }

  /** Show where the brush is, while the picture has the focus. */
  showRing() {
    this.ring.hidden = this.tool !== PAINT || document.activeElement !== this.canvas;
    const { height, width, aspect } = this.scene;
    const [x, y] = this.cursor;
    this.ring.style.left = `${(100 * x) / width}%`;
    this.ring.style.top = `${(100 * y) / height}%`;
    this.ring.style.width = `${(200 * this.radius) / aspect}%`;
    this.ring.style.height = `${200 * this.radius}%`;
  }

  /**
   * @param {PointerEvent} event
   * @param {boolean} isFirst
   */
  onPointer(event, isFirst) {
    if (isFirst) {
      this.isPressed = true;
      this.canvas.setPointerCapture(event.pointerId);
      if (this.tool === PAINT) this.scene.beginStroke();
    }
    if (!this.isPressed) return;
    const box = this.canvas.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * this.scene.width;
    const y = ((event.clientY - box.top) / box.height) * this.scene.height;
    if (this.tool === PAINT) {
      this.paintTo(x, y, isFirst);
    } else {
      this.scene.position = [x, y];
      this.onchange();
    }
  }

  release() {
    this.isPressed = false;
  }

  /**
   * Paint a line of discs from the cursor to a point, or one disc there.
   *
   * @param {number} x
   * @param {number} y
   * @param {boolean} isFirst
   */
  paintTo(x, y, isFirst) {
    const [fromX, fromY] = isFirst ? [x, y] : this.cursor;
    const discs = Math.ceil(Math.hypot(x - fromX, y - fromY) / 2) || 1;
    for (let k = 1; k <= discs; k++) {
      const share = k / discs;
      const [toX, toY] = [fromX + share * (x - fromX), fromY + share * (y - fromY)];
      this.scene.paint(toX, toY, this.radius);
    }
    this.cursor = [x, y];
    this.onchange();
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const { height, width, position } = this.scene;
    if (event.key === " " && this.tool === PAINT) {
      this.scene.beginStroke();
      this.paintTo(this.cursor[0], this.cursor[1], true);
    } else if (event.key in ARROWS) {
      const [across, down] = ARROWS[event.key];
      const [x, y] = this.tool === PAINT ? this.cursor : position;
      const to = [
        Math.min(Math.max(x + across * STEP * width, 0), width),
        Math.min(Math.max(y + down * STEP * height, 0), height),
      ];
      if (this.tool === PAINT) {
        this.cursor = to;
        this.showRing();
      } else {
        this.scene.position = to;
        this.onchange();
      }
    } else {
      return;
    }
    // Keep the page from scrolling, and the keys from the atlas.
    event.preventDefault();
    event.stopPropagation();
  }
}
