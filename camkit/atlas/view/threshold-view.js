// A living view: a threshold, what remains of a map above it, and the box of the largest part.

/** @import { Palette, Remaining } from "./types.js" */
import { Curves } from "./curves.js";
import { contextOf, make, putPixels } from "./dom.js";
import { LivingView, loadImage } from "./living.js";
import { colours, translucent } from "./maps.js";
import { decodeFloats } from "./packed.js";
import { intersectionOverUnion, remainingOf } from "./what-if.js";

// The thresholds are 0, 1/100, … 1.
const THRESHOLDS = 100;

// Where the slider stands at first.
const FIRST = 20;

// The opacity of what reaches the threshold, 0..255.
const KEPT_OPACITY = 166;

// The colours of the boxes; the true one is dashed.
const FOUND = "cyan";
const TRUE = "lime";
const DASHES = [14, 8];

// The least width of a canvas in pixels, so that lines are thin.
const LEAST_WIDTH = 400;

/**
 * What living.py gives: the cells of a map (float32 in base64), the size of the picture in pixels,
 * and the true box [x0, y0, x1, y1].
 *
 * @typedef {{name: string, picture: string, cells: [number, number], map: string,
 *   size: [number, number], box: [number, number, number, number], palette: Palette}} ThresholdData
 */

export class ThresholdView extends LivingView {
  /** @param {ThresholdData} data */
  constructor(data) {
    super(`The box of ${data.name} at a threshold`, "Threshold τ", THRESHOLDS, FIRST);
    this.data = data;
    this.map = decodeFloats(data.map);
    const boxes = Array.from({ length: THRESHOLDS + 1 }, (_, position) => this.at(position).box);
    this.overlaps = boxes.map((box) => intersectionOverUnion(box, data.box));
    const { pixels, value: low } = this.at(0);
    const { value: high } = this.at(THRESHOLDS);
    this.heat = colours(pixels, low, high, data.palette);
    const faint = translucent(pixels, low, high, data.palette);
    this.plain = this.addFigure(`${data.name} and its true box`);
    this.whole = this.addFigure("the whole map, over the picture in grey");
    const caption = "where it reaches τ, the box of the largest part, the true box dashed";
    this.kept = this.addFigure(caption);
    this.figures.classList.add("last-large");
    const name = "IoU of the box with the true box over the threshold: the line above tells it";
    const curves = { "IoU of the box with the true box": this.overlaps };
    this.curves = new Curves(name, curves, ["0", "0.5", "1"], "threshold τ");
    this.element.append(this.curves.element);
    /** @type {HTMLImageElement | null} */
    this.image = null;
    this.ready = loadImage(data.picture).then((image) => {
      this.image = image;
      this.paintBox(this.paintPicture(this.plain.canvas, image, "none"), data.box, TRUE, DASHES);
      this.paintHeat(this.whole.canvas, image, faint);
      this.show();
    });
    this.show();
  }

  /**
   * Return what remains of the map above the threshold of a position.
   *
   * @param {number} position
   */
  at(position) {
    const { cells, size } = this.data;
    return remainingOf(this.map, cells, size[0], size[1], position / THRESHOLDS);
  }

  /** @param {number} position */
  draw(position) {
    const remaining = this.at(position);
    const { box, area } = remaining;
    const iou = this.overlaps[position];
    const threshold = (position / THRESHOLDS).toFixed(2);
    const found = iou >= 0.5 ? "found" : "not found";
    const [x0, y0, x1, y1] = box;
    const extent = `x ${x0} to ${x1}, y ${y0} to ${y1}`;
    const share = `${Math.round(100 * area)} % of the pixels remain`;
    this.say(
      `τ = ${threshold}`,
      `box ${extent}; IoU ${iou.toFixed(2)}, ${found} at 0.5; ${share}.`,
    );
    this.kept.canvas.ariaLabel = `What reaches the threshold ${threshold}, with a box of an IoU of ${iou.toFixed(2)} with the true box`;
    this.curves.draw(position);
    if (this.image) this.paint(this.image, remaining);
  }

  /**
   * @param {HTMLImageElement} image
   * @param {Remaining} remaining
   */
  paint(image, { box, mask }) {
    const heat = this.heat.slice();
    mask.forEach((isKept, pixel) => {
      heat[4 * pixel + 3] = isKept ? KEPT_OPACITY : 0;
    });
    const context = this.paintHeat(this.kept.canvas, image, heat);
    this.paintBox(context, box, FOUND, []);
    this.paintBox(context, this.data.box, TRUE, DASHES);
  }

  /** How many pixels of a canvas a pixel of the picture has. */
  get scale() {
    return Math.max(1, Math.ceil(LEAST_WIDTH / this.data.size[1]));
  }

  /**
   * Paint the picture and return the context.
   *
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLImageElement} image
   * @param {string} filter
   */
  paintPicture(canvas, image, filter) {
    const [height, width] = this.data.size;
    Object.assign(canvas, { width: this.scale * width, height: this.scale * height });
    const context = contextOf(canvas);
    context.imageSmoothingEnabled = false;
    context.filter = filter;
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    context.filter = "none";
    return context;
  }

  /**
   * Paint a map over the picture in grey, so that all colours are the map's, and return the context.
   *
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLImageElement} image
   * @param {Uint8ClampedArray<ArrayBuffer>} bytes
   */
  paintHeat(canvas, image, bytes) {
    const [height, width] = this.data.size;
    const context = this.paintPicture(canvas, image, "grayscale(1)");
    const heat = make("canvas");
    putPixels(heat, bytes, height, width);
    context.drawImage(heat, 0, 0, canvas.width, canvas.height);
    return context;
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {[number, number, number, number]} box
   * @param {string} colour
   * @param {number[]} dashes
   */
  paintBox(context, [x0, y0, x1, y1], colour, dashes) {
    const corners = [x0, y0, x1 - x0, y1 - y0].map((value) => this.scale * value);
    const [x, y, width, height] = corners;
    for (const [line, stroke] of /** @type {[number, string][]} */ ([
      [8, "black"],
      [4, colour],
    ])) {
      context.setLineDash(stroke === "black" ? [] : dashes);
      context.lineWidth = line;
      context.strokeStyle = stroke;
      context.strokeRect(x, y, width, height);
    }
  }
}
