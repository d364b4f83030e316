// A living view: the sum of channels grows to the class map, the largest contribution first.

/** @import { Palette } from "./types.js" */
import { Curves } from "./curves.js";
import { putPixels } from "./dom.js";
import { ColourBar } from "./figures.js";
import { drawImageOn, LivingView, loadImage } from "./living.js";
import { colours, SMALLEST_REACH, upsample } from "./maps.js";
import { decodeFloats } from "./packed.js";
import { correlation, meanOf, splitMaps, sumLine } from "./partial-sums.js";
import { signed } from "./words.js";

// Pixels along a side of a map.
const MAP_SIDE = 260;

/**
 * What living.py gives: `sums` (float32 in base64) are the maps of the first counts[0], counts[1], …
 * channels, the last one is the class map.
 *
 * @typedef {{name: string, picture: string, cells: [number, number], counts: number[], sums: string,
 *   bias: number, palette: Palette}} SumData
 */

/**
 * Return the limit of the colours of a map.
 *
 * @param {Float32Array} map
 */
function reachOf(map) {
  return Math.max(SMALLEST_REACH, ...map.map(Math.abs));
}

export class SumView extends LivingView {
  /** @param {SumData} data */
  constructor(data) {
    const last = data.counts.length - 1;
    super(`The map of ${data.name} as a growing sum`, "Channels in the sum", last, 0);
    this.data = data;
    this.sums = splitMaps(decodeFloats(data.sums), data.counts.length);
    this.whole = this.sums[last];
    this.reach = Math.max(...this.sums.map(reachOf));
    this.picture = this.addFigure(data.name);
    this.added = this.addFigure("the channel that was added last");
    this.sum = this.addFigure("the sum");
    this.bar = new ColourBar("signed", "the sum: against and for the class", data.palette);
    this.bar.setLimits(signed(-this.reach), signed(this.reach));
    this.curves = this.makeCurves();
    this.element.append(this.bar.element, this.curves.element);
    this.ready = loadImage(data.picture).then((image) => drawImageOn(this.picture.canvas, image));
    this.show();
  }

  makeCurves() {
    const { counts } = this.data;
    const mean = meanOf(this.whole);
    const curves = {
      "shape: correlation with the whole map": this.sums.map((sum) => correlation(sum, this.whole)),
      "size: mean, as a share of the whole map's": this.sums.map((sum) => meanOf(sum) / mean),
    };
    const middle = counts[Math.round((counts.length - 1) / 2)];
    const marks = [counts[0], middle, counts.length > 1 ? counts[counts.length - 1] : ""];
    const name = "Shape and size of the sum over the number of channels: the line above tells both";
    return new Curves(name, curves, marks.map(String), "channels in the sum");
  }

  /** @param {number} position */
  draw(position) {
    const { counts, bias } = this.data;
    const count = counts[position];
    const before = position ? counts[position - 1] : 0;
    const sum = this.sums[position];
    const last = position ? this.sums[position - 1] : null;
    const added = last ? sum.map((value, cell) => value - last[cell]) : sum;
    this.paint(this.sum.canvas, sum, this.reach);
    this.paint(this.added.canvas, added, reachOf(added));
    const channels = count === 1 ? "1 channel" : `${count} channels`;
    const which = count - before === 1 ? `number ${count}` : `numbers ${before + 1} to ${count}`;
    this.sum.text.textContent = `the sum of ${channels}`;
    this.added.text.textContent = `added last, in its own colours: ${which} in the order, ${signed(meanOf(added))} to the score`;
    this.sum.canvas.ariaLabel = this.sum.text.textContent;
    this.added.canvas.ariaLabel = this.added.text.textContent;
    this.curves.draw(position);
    this.say(`${channels} of ${counts[counts.length - 1]}`, sumLine(sum, this.whole, bias));
  }

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Float32Array} map
   * @param {number} reach
   */
  paint(canvas, map, reach) {
    const { cells, palette } = this.data;
    const values = upsample(map, cells, MAP_SIDE, MAP_SIDE);
    putPixels(canvas, colours(values, -reach, reach, palette), MAP_SIDE, MAP_SIDE);
  }
}
