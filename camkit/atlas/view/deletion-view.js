// A living view: pixels go, the highest of a map first, and the probability of the class follows.

import { Curves } from "./curves.js";
import { contextOf, make, putPixels } from "./dom.js";
import { drawImageOn, LivingView, loadImage } from "./living.js";
import { decodeBase64 } from "./packed.js";

/**
 * What living.py gives: of each map by its name the probability after each step, and the step with
 * which each pixel goes (uint8 in base64).
 *
 * @typedef {{name: string, picture: string, size: [number, number], steps: number,
 *   grey: [number, number, number], maps: {name: string, curve: number[], goes: string}[]}} DeletionData
 */

/**
 * Return RGBA bytes of the pixels that have gone after a step; the others are transparent.
 *
 * @param {Uint8Array} goes the step with which each pixel goes
 * @param {number} step
 * @param {[number, number, number]} grey
 */
export function greyPixels(goes, step, grey) {
  const bytes = new Uint8ClampedArray(4 * goes.length);
  goes.forEach((last, pixel) => {
    if (last <= step) bytes.set([...grey, 255], 4 * pixel);
  });
  return bytes;
}

export class DeletionView extends LivingView {
  /** @param {DeletionData} data */
  constructor(data) {
    const title = `Deletion of pixels from a picture of ${data.name}, by several maps`;
    super(title, "Pixels painted grey, those highest in the map first", data.steps, 0);
    this.data = data;
    this.parts = data.maps.map(({ name, goes }) => ({
      goes: decodeBase64(goes),
      ...this.addFigure(`by ${name}`),
    }));
    const curves = Object.fromEntries(data.maps.map(({ name, curve }) => [name, curve]));
    const diagram = `Probability of ${data.name} over the share of grey pixels: the line above tells it`;
    this.curves = new Curves(diagram, curves, ["0 %", "50 %", "100 %"], "pixels painted grey");
    this.element.append(this.curves.element);
    /** @type {HTMLImageElement | null} */
    this.image = null;
    this.ready = loadImage(data.picture).then((image) => {
      this.image = image;
      this.show();
    });
    this.show();
  }

  /** @param {number} step */
  draw(step) {
    const { grey, maps, name, steps } = this.data;
    const share = `${Math.round((100 * step) / steps)} % grey`;
    const texts = maps.map((map) => `${map.curve[step].toFixed(2)} by ${map.name}`);
    this.say(share, `probability of ${name} ${texts.join(", ")}.`);
    this.curves.draw(step);
    this.parts.forEach(({ canvas, text, goes }, n) => {
      const map = maps[n];
      text.textContent = `by ${map.name}: ${map.curve[step].toFixed(2)}`;
      canvas.ariaLabel = `The picture, ${share}, the highest pixels of ${map.name} first`;
      if (this.image) this.paint(canvas, this.image, greyPixels(goes, step, grey));
    });
  }

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {HTMLImageElement} image
   * @param {Uint8ClampedArray<ArrayBuffer>} bytes
   */
  paint(canvas, image, bytes) {
    const [height, width] = this.data.size;
    drawImageOn(canvas, image);
    const gone = make("canvas");
    putPixels(gone, bytes, height, width);
    contextOf(canvas).drawImage(gone, 0, 0);
  }
}
