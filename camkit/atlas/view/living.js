// What the living views of the lessons share: figures that follow a slider.

import { contextOf, make } from "./dom.js";
import { Player } from "./player.js";

/** A view with a player, a line that says what is shown, and figures. */
export class LivingView {
  /**
   * @param {string} name
   * @param {string} slider what the slider moves
   * @param {number} last the last position of the slider
   * @param {number} start
   */
  constructor(name, slider, last, start) {
    this.player = new Player(slider, last, start, () => this.show());
    this.readout = make("p", { role: "status", className: "readout" });
    this.figures = make("div", { className: "living-figures" });
    const parts = [this.player.element, this.readout, this.figures];
    this.element = make("section", { className: "camkit-atlas living", ariaLabel: name }, ...parts);
  }

  /**
   * Add a figure, and return its canvas and its caption.
   *
   * @param {string} caption
   */
  addFigure(caption) {
    const canvas = make("canvas", { role: "img", ariaLabel: caption });
    const text = make("figcaption", {}, caption);
    this.figures.append(make("figure", {}, canvas, text));
    return { canvas, text };
  }

  /** Draw what belongs to the position of the slider. */
  show() {
    // A screen reader reads where the slider stops, and not all that passes by.
    this.readout.ariaLive = this.player.isPlaying ? "off" : "polite";
    this.draw(this.player.position);
  }

  /**
   * @param {string} text what the slider stands for
   * @param {string} sentence what follows from it
   */
  say(text, sentence) {
    this.player.slider.setAttribute("aria-valuetext", text);
    this.readout.textContent = `${text}: ${sentence}`;
  }

  /** @param {number} _position */
  draw(_position) {}
}

/**
 * Return an image, once it can be drawn.
 *
 * @param {string} src
 */
export async function loadImage(src) {
  const image = make("img", { src });
  await image.decode();
  return image;
}

/**
 * Draw an image on a canvas, which gets its size.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLImageElement} image
 */
export function drawImageOn(canvas, image) {
  Object.assign(canvas, { width: image.naturalWidth, height: image.naturalHeight });
  contextOf(canvas).drawImage(image, 0, 0);
}
