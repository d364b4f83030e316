// The figures of the chosen image: its pixels and its maps, with the colour bars.

/** @import { Index, Layer, Shown } from "./types.js" */
import { contextOf, make, putPixels } from "./dom.js";
import { LABELS, layersOf, remarkOn } from "./layers.js";
import { colours, translucent, upsample } from "./maps.js";
import { signed } from "./words.js";

const FIGURES = ["picture", "truth", "answer", "difference", ...LABELS, "chosen"];

/**
 * Paint an image, or a map over it or alone; the canvas gets the pixels of the image.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLImageElement} image
 * @param {Layer} layer
 * @param {[number, number]} shape height and width of the map in cells
 */
export function paintLayer(canvas, image, layer, shape) {
  const { cells, low, high, palette, alone } = layer;
  const width = image.naturalWidth;
  const height = image.naturalHeight;
  canvas.width = width;
  canvas.height = height;
  const context = contextOf(canvas);
  if (!alone) context.drawImage(image, 0, 0);
  if (!cells) return;

  // A page on disk may show the pixels of an image, but not read them. So the canvas blends them.
  const heat = make("canvas");
  const paint = alone ? colours : translucent;
  putPixels(heat, paint(upsample(cells, shape, height, width), low, high, palette), height, width);
  context.drawImage(heat, 0, 0);
}

/** A colour bar with its limits and its meaning. */
export class ColourBar {
  /**
   * @param {string} name
   * @param {string} meaning
   * @param {number[][]} palette
   */
  constructor(name, meaning, palette) {
    const canvas = make("canvas", { role: "presentation" });
    this.low = make("span");
    this.high = make("span");
    const text = make("em", {}, meaning);
    this.element = make("div", { className: `bar ${name}` }, this.low, canvas, this.high, text);
    const values = Float32Array.from({ length: 256 }, (_, k) => k / 255);
    putPixels(canvas, colours(values, 0, 1, palette), 1, 256);
  }

  /**
   * @param {string} low
   * @param {string} high
   */
  setLimits(low, high) {
    this.low.textContent = low;
    this.high.textContent = high;
  }
}

export class Figures {
  /** @param {Index} index */
  constructor(index) {
    this.index = index;
    /** @type {Map<string, {figure: HTMLElement, canvas: HTMLCanvasElement, caption: HTMLElement}>} */
    this.parts = new Map();
    this.element = make("div", { className: "figures" });
    for (const name of FIGURES) {
      const canvas = make("canvas", { role: "img" });
      const caption = make("figcaption");
      const figure = make("figure", { className: name }, canvas, caption);
      this.parts.set(name, { figure, canvas, caption });
      this.element.append(figure);
    }
    const { evidence, signed } = index.palette;
    this.evidence = new ColourBar("evidence", "evidence for a class", evidence);
    this.difference = new ColourBar("signed", "difference", signed);
    const bars = [this.evidence.element, this.difference.element];
    this.bars = make("div", { className: "bars" }, ...bars);
  }

  /**
   * @param {Shown} detail
   * @param {HTMLImageElement} image
   * @param {number} shown the chosen class
   */
  draw(detail, image, shown) {
    const layers = layersOf(this.index, detail, shown);
    for (const { figure } of this.parts.values()) figure.hidden = true;
    for (const layer of layers) this.drawLayer(layer, image, detail.about.name);
    this.element.style.setProperty("--shown", String(layers.length));

    const [{ high }] = layers;
    this.evidence.setLimits("0", high.toFixed(2));
    const difference = layers.find(({ name }) => name === "difference");
    this.difference.element.hidden = !difference;
    if (difference) this.difference.setLimits(signed(difference.low), signed(difference.high));
  }

  /**
   * @param {Layer} layer
   * @param {HTMLImageElement} image
   * @param {string} imageName
   */
  drawLayer(layer, image, imageName) {
    const part = this.parts.get(layer.name);
    if (!part) return;
    part.figure.hidden = false;
    const remark = remarkOn(layer);
    const caption = [layer.caption, remark].filter(Boolean).join(" – ");
    part.canvas.ariaLabel = `${caption}, ${imageName}`;
    part.caption.replaceChildren(layer.caption, ...(remark ? [make("em", {}, remark)] : []));
    paintLayer(part.canvas, image, layer, this.index.cells);
  }
}
