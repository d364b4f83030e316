// What if? A brush strikes cells out of the maps of the chosen image, and all scores follow.

/** @import { Index, Mean, Point, Remaining, Selection, Shown } from "./types.js" */
import { ARROWS, Board } from "./board.js";
import { button, field, make, putPixels } from "./dom.js";
import { translucent } from "./maps.js";
import {
  countOfCells,
  flipSet,
  highestOf,
  labelFlipSet,
  ranking,
  readout,
  remainingLine,
  remainingOf,
  remarkOnClasses,
  thresholdOf,
} from "./what-if.js";
import { percent, signed } from "./words.js";

const BRUSH_HELP =
  "Cells of the map: drag to strike them out, or move with the arrow keys and press Space; U undoes";

const NOT_ADDITIVE =
  "These maps are not class maps of CAM: they do not add up to the scores, so that no cell can be " +
  "struck out exactly. If the model has a GAP → Dense head, an analysis without a method of its " +
  "own, camkit.analyze(model, images), has maps that do.";

// The map of the predicted class minus that of the true one, among the maps to choose from.
const DIFFERENCE = "difference";

// Classes in the table of scores, besides the true and the predicted one.
const MOST_SCORES = 6;

// The colour, and the opacity, of what is below the threshold.
const GREY = 128;

// Distance in cells between the points of a stroke, so that it leaves none out.
const STROKE_STEP = 0.25;

export class WhatIfPanel {
  /**
   * @param {string} atlasId
   * @param {Index} index
   * @param {Selection} selection
   */
  constructor(atlasId, index, selection) {
    this.index = index;
    this.selection = selection;
    /** @type {Set<number>} */
    this.struck = new Set();
    /** @type {Set<number>[]} What was struck out before each change. */
    this.past = [];
    /** @type {[number, number]} Row and column of the cell of the keyboard. */
    this.cursor = [0, 0];
    /** @type {{strikes: boolean, last: [number, number]} | null} A stroke of the brush. */
    this.stroke = null;
    /** @type {{heat: HTMLCanvasElement, remaining: Remaining} | null} The map as it is drawn. */
    this.drawn = null;

    this.board = new Board(BRUSH_HELP, "brush", (context, width, height) =>
      this.paint(context, width, height),
    );
    const onchange = () => {
      this.drawMap();
      this.fillButtons();
      this.followCell();
    };
    this.map = make("select", { onchange });
    const range = { type: "range", min: 0, max: 100, step: 1, value: 0 };
    this.threshold = make("input", { ...range, oninput: () => this.drawMap() });
    this.means = this.makeMeans(atlasId);
    this.flips = make("div", { className: "flips" });
    const undo = button("Undo", () => this.undo());
    const reset = button("Reset", () => this.change(new Set()));
    this.buttons = make("div", {}, this.flips, make("div", { className: "choices" }, undo, reset));
    this.text = make("p", { role: "status", className: "readout" });
    this.remark = make("p", { className: "note" });
    this.kept = make("p", { role: "status", className: "note" });
    this.cell = make("p", { role: "status", className: "note" });
    this.scores = make("tbody");
    this.content = make("div", { className: "what-if" }, ...this.parts(atlasId));
    const title = make("summary", {}, "What if? Strike cells out of the map");
    const ontoggle = () => this.show();
    this.element = make("details", { className: "what-if", ontoggle }, title, this.content);
    if (index.additive) this.listen();
    else this.content.replaceChildren(make("p", {}, NOT_ADDITIVE));
  }

  /** @param {string} atlasId */
  parts(atlasId) {
    const brush = make("div", {}, field(atlasId, "Map under the brush", this.map));
    brush.append(this.board.canvas, this.cell);
    brush.append(field(atlasId, "Threshold of the map, in per cent of its range", this.threshold));
    brush.append(this.kept);
    const heads = ["Class", "probability", "was", "logit", "was"];
    const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
    const table = make("table", {}, make("thead", {}, head), this.scores);
    const answer = make("div", {}, this.text, this.buttons, this.means, table, this.remark);
    return [brush, answer];
  }

  /** @param {string} atlasId */
  makeMeans(atlasId) {
    const texts = {
      all: `Struck cells contribute nothing: the sum over the others is divided by all ${this.count} cells.`,
      remaining: "The mean is taken over the cells that are left, as if the map ended there.",
    };
    const choices = Object.entries(texts).map(([value, text]) => {
      const properties = { type: "radio", name: `${atlasId}-mean`, value };
      const radio = make("input", { ...properties, checked: value === "all" });
      radio.addEventListener("change", () => {
        this.fillButtons();
        this.update();
      });
      return make("label", { className: "check" }, radio, text);
    });
    const legend = make("legend", {}, "What striking out means");
    return make("fieldset", {}, legend, ...choices);
  }

  /** @returns {Mean} */
  get mean() {
    const chosen = this.means.querySelector("input:checked");
    return chosen instanceof HTMLInputElement && chosen.value === "remaining" ? "remaining" : "all";
  }

  get count() {
    return this.index.cells[0] * this.index.cells[1];
  }

  listen() {
    const { canvas } = this.board;
    canvas.addEventListener("pointerdown", (event) => this.onPointerDown(event));
    canvas.addEventListener("pointermove", (event) => this.onPointerMove(event));
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, () => {
        this.stroke = null;
      });
    }
    canvas.addEventListener("keydown", (event) => this.onKey(event));
  }

  close() {
    this.board.close();
  }

  /** Show the chosen image, with nothing struck out; a closed panel draws nothing. */
  show() {
    const { detail, image } = this.selection;
    if (!detail || !image || !this.element.open || !this.index.additive) return;
    this.struck = new Set();
    this.past = [];
    this.cell.textContent = "";
    this.board.canvas.style.aspectRatio = `${image.naturalWidth} / ${image.naturalHeight}`;
    this.fillMaps(detail);
    this.fillButtons();
    this.drawMap();
    this.update();
  }

  /**
   * Return the class that an error should have, if its map is stored, else null.
   *
   * @param {Shown} detail
   */
  trueClassOf({ about, classes, logits }) {
    const { label, sets } = about;
    const isError = !sets && classes.includes(label) && classes[highestOf(logits)] !== label;
    return isError ? label : null;
  }

  /** @param {Shown} detail */
  fillMaps(detail) {
    const { classes, logits } = detail;
    const ranked = classes.map((_, m) => m).sort((a, b) => logits[b] - logits[a]);
    const options = ranked.map((m) =>
      make("option", { value: m }, this.index.classNames[classes[m]]),
    );
    if (this.trueClassOf(detail) !== null) {
      options.unshift(make("option", { value: DIFFERENCE }, "predicted minus true"));
    }
    this.map.replaceChildren(...options);
    this.map.value = options[0].value;
  }

  /**
   * Return the flip sets that are offered, each with its name.
   *
   * @param {Shown} detail
   */
  flipSets(detail) {
    const { classNames } = this.index;
    const { about, classes } = detail;
    if (about.sets) {
      const m = Number(this.map.value);
      const threshold = thresholdOf(this.index, classes[m]);
      const cells = labelFlipSet(detail, m, threshold, this.mean);
      return [{ name: `Flip set of ${classNames[classes[m]]}`, cells }];
    }
    const any = { name: "Flip set to any class", cells: flipSet(detail, null, this.mean) };
    const target = this.trueClassOf(detail);
    if (target === null) return [any];
    const cells = flipSet(detail, target, this.mean);
    return [{ name: `Flip set to ${classNames[target]}`, cells }, any];
  }

  fillButtons() {
    const { detail } = this.selection;
    if (!detail) return;
    const flips = this.flipSets(detail);
    const choices = flips.map(({ name, cells }) => {
      const size = cells ? countOfCells(cells.length) : "no number of cells is enough";
      const choice = button(`${name}: ${size}`, () => this.change(new Set(cells)));
      choice.disabled = !cells;
      return choice;
    });
    this.flips.replaceChildren(...choices);
    const remarks = [remarkOnClasses(this.index, detail), this.remarkOnFlip(flips[0].cells)];
    this.remark.textContent = remarks.filter(Boolean).join(" ");
  }

  /**
   * Return a remark where the flip set of the table has another size than the one that is offered.
   *
   * @param {number[] | null} cells
   */
  remarkOnFlip(cells) {
    const { seen, detail } = this.selection;
    const { flipCells } = this.index;
    const exact = flipCells?.[seen ?? -1];
    const isCompared = this.mean === "all" && exact !== undefined && !detail?.about.sets;
    if (!isCompared || exact === (cells?.length ?? null)) return "";
    const size = exact ? countOfCells(exact) : "no number of cells";
    return `The analysis, with the maps of all classes, which are not rounded to 8 bits there, has ${size} in this flip set.`;
  }

  /** The map under the brush, with the limits of its colours. */
  get chosenMap() {
    const { detail } = this.selection;
    if (!detail) return null;
    const { maps, logits, classes, about } = detail;
    const { evidence, signed: both } = this.index.palette;
    if (this.map.value !== DIFFERENCE) {
      const cells = maps[Number(this.map.value)];
      return { cells, low: 0, high: Math.max(about.high, Number.MIN_VALUE), palette: evidence };
    }
    const truth = maps[classes.indexOf(about.label)];
    const cells = maps[highestOf(logits)].map((value, cell) => value - truth[cell]);
    const reach = Math.max(...cells.map(Math.abs), Number.MIN_VALUE);
    return { cells, low: -reach, high: reach, palette: both };
  }

  /** Draw the map anew: what is below the threshold becomes grey. */
  drawMap() {
    const { image } = this.selection;
    const map = this.chosenMap;
    if (!image || !map) return;
    const { naturalWidth: width, naturalHeight: height } = image;
    const threshold = Number(this.threshold.value) / 100;
    const remaining = remainingOf(map.cells, this.index.cells, height, width, threshold);
    const bytes = translucent(remaining.pixels, map.low, map.high, map.palette);
    remaining.mask.forEach((isKept, pixel) => {
      if (!isKept) bytes.fill(GREY, 4 * pixel, 4 * pixel + 4);
    });
    const heat = make("canvas");
    putPixels(heat, bytes, height, width);
    this.drawn = { heat, remaining };
    this.kept.textContent = remainingLine(remaining, threshold, height, width);
    this.board.redraw();
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} width
   * @param {number} height
   */
  paint(context, width, height) {
    const { image } = this.selection;
    if (!image || !this.drawn) return;
    context.drawImage(image, 0, 0, width, height);
    if (this.map.value === DIFFERENCE) {
      // A photograph without colours: red and blue are those of the map.
      context.globalCompositeOperation = "saturation";
      context.fillStyle = "gray";
      context.fillRect(0, 0, width, height);
      context.globalCompositeOperation = "source-over";
    }
    context.drawImage(this.drawn.heat, 0, 0, width, height);
    for (const cell of this.struck) this.paintStruck(context, this.boxOfCell(cell));
    this.paintGrid(context, width, height);
    this.paintBox(context, width / image.naturalWidth, height / image.naturalHeight);
    this.paintCursor(context);
  }

  /**
   * Return the corner and the size of a cell on the canvas.
   *
   * @param {number} cell
   * @returns {[number, number, number, number]}
   */
  boxOfCell(cell) {
    const [h, w] = this.index.cells;
    const [width, height] = this.board.size;
    const x = ((cell % w) * width) / w;
    const y = (Math.floor(cell / w) * height) / h;
    return [x, y, width / w, height / h];
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {[number, number, number, number]} box
   */
  paintStruck(context, [x, y, width, height]) {
    context.fillStyle = this.board.colour("--background");
    context.fillRect(x, y, width, height);
    context.strokeStyle = this.board.colour("--faint");
    context.lineWidth = 1.5;
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + width, y + height);
    context.moveTo(x + width, y);
    context.lineTo(x, y + height);
    context.stroke();
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} width
   * @param {number} height
   */
  paintGrid(context, width, height) {
    const [h, w] = this.index.cells;
    context.strokeStyle = "rgba(255, 255, 255, 0.35)";
    context.lineWidth = 1;
    context.beginPath();
    for (let row = 1; row < h; row++) {
      context.moveTo(0, (row * height) / h);
      context.lineTo(width, (row * height) / h);
    }
    for (let column = 1; column < w; column++) {
      context.moveTo((column * width) / w, 0);
      context.lineTo((column * width) / w, height);
    }
    context.stroke();
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} across
   * @param {number} down
   */
  paintBox(context, across, down) {
    if (!this.drawn || this.threshold.value === "0") return;
    const [x0, y0, x1, y1] = this.drawn.remaining.box;
    context.strokeStyle = "white";
    context.lineWidth = 4;
    context.strokeRect(x0 * across, y0 * down, (x1 - x0) * across, (y1 - y0) * down);
    context.strokeStyle = "black";
    context.lineWidth = 2;
    context.strokeRect(x0 * across, y0 * down, (x1 - x0) * across, (y1 - y0) * down);
  }

  /** @param {CanvasRenderingContext2D} context */
  paintCursor(context) {
    const root = /** @type {Document | ShadowRoot} */ (this.board.canvas.getRootNode());
    if (root.activeElement !== this.board.canvas) return;
    const [x, y, width, height] = this.boxOfCell(this.cellAt(this.cursor));
    context.strokeStyle = this.board.colour("--accent");
    context.lineWidth = 3;
    context.strokeRect(x, y, width, height);
  }

  /** @param {[number, number]} position row and column */
  cellAt([row, column]) {
    return row * this.index.cells[1] + column;
  }

  /**
   * Return row and column of the cell at which an event happened.
   *
   * @param {PointerEvent} event
   * @returns {[number, number]}
   */
  positionOf(event) {
    const [h, w] = this.index.cells;
    const [x, y] = this.board.pointOf(event);
    const [width, height] = this.board.size;
    const row = Math.min(Math.max((y * h) / height, 0), h - STROKE_STEP);
    const column = Math.min(Math.max((x * w) / width, 0), w - STROKE_STEP);
    return [row, column];
  }

  /** @param {PointerEvent} event */
  onPointerDown(event) {
    if (event.button !== 0) return;
    this.board.canvas.setPointerCapture(event.pointerId);
    const position = this.positionOf(event);
    const cell = this.cellAt([Math.floor(position[0]), Math.floor(position[1])]);
    this.past.push(new Set(this.struck));
    this.stroke = { strikes: !this.struck.has(cell), last: position };
    this.brush(position);
  }

  /** @param {PointerEvent} event */
  onPointerMove(event) {
    if (this.stroke) this.brush(this.positionOf(event));
  }

  /**
   * Strike out, or put back, the cells from the last point of the stroke to another one.
   *
   * @param {[number, number]} position row and column, in fractions
   */
  brush([row, column]) {
    if (!this.stroke) return;
    const [lastRow, lastColumn] = this.stroke.last;
    const distance = Math.hypot(row - lastRow, column - lastColumn);
    const points = Math.ceil(distance / STROKE_STEP);
    for (let point = 0; point <= points; point++) {
      const share = points ? point / points : 1;
      const y = Math.floor(lastRow + share * (row - lastRow));
      const x = Math.floor(lastColumn + share * (column - lastColumn));
      this.cursor = [y, x];
      if (this.stroke.strikes) this.struck.add(this.cellAt(this.cursor));
      else this.struck.delete(this.cellAt(this.cursor));
    }
    this.stroke.last = [row, column];
    this.tellCell();
    this.update();
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = ARROWS[event.key];
    if (step) this.moveCursor(step);
    else if (event.key === " " || event.key === "Enter") this.toggle();
    else if (event.key.toLowerCase() === "u") this.undo();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {Point} step */
  moveCursor([right, down]) {
    const [h, w] = this.index.cells;
    const [row, column] = this.cursor;
    this.cursor = [
      Math.min(Math.max(row + down, 0), h - 1),
      Math.min(Math.max(column + right, 0), w - 1),
    ];
    this.tellCell();
    this.board.redraw();
  }

  /** Strike the cell of the keyboard out, or put it back. */
  toggle() {
    const cells = new Set(this.struck);
    const cell = this.cellAt(this.cursor);
    if (!cells.delete(cell)) cells.add(cell);
    this.change(cells);
    this.tellCell();
  }

  /** Say what is in the cell of the keyboard. */
  tellCell() {
    const map = this.chosenMap;
    if (!map) return;
    const [row, column] = this.cursor;
    const cell = this.cellAt(this.cursor);
    const state = this.struck.has(cell) ? "struck out" : "not struck out";
    const value = signed(map.cells[cell]);
    this.cell.textContent = `Row ${row + 1}, column ${column + 1}: ${value}, ${state}.`;
  }

  /** Say it anew, if it was said, since the map or the struck cells have changed. */
  followCell() {
    if (this.cell.textContent) this.tellCell();
  }

  /** @param {Set<number>} struck */
  change(struck) {
    this.past.push(this.struck);
    this.struck = struck;
    this.followCell();
    this.update();
  }

  undo() {
    const before = this.past.pop();
    if (!before) return;
    this.struck = before;
    this.followCell();
    this.update();
  }

  /** Show what follows from the struck cells. */
  update() {
    const { detail } = this.selection;
    if (!detail) return;
    this.board.redraw();
    if (this.mean === "remaining" && this.struck.size === this.count) {
      this.text.textContent = `All ${countOfCells(this.count)} are struck out, so that none is left to take the mean over: undo, or choose the other meaning.`;
      return;
    }
    const rows = ranking(this.index, detail, this.struck, this.mean);
    this.text.textContent = readout(this.index, detail, this.struck.size, rows);
    const { label, sets, predicted } = detail.about;
    const marked = [predicted, label, ...(sets?.true ?? []), ...(sets?.predicted ?? [])];
    const listed = rows.filter(({ c }, rank) => rank < MOST_SCORES || marked.includes(c));
    this.scores.replaceChildren(...listed.map((row) => this.scoreRow(row)));
  }

  /** @param {ReturnType<typeof ranking>[number]} row */
  scoreRow({ c, before, after, was, now }) {
    const texts = [percent(now), percent(was), signed(after), signed(before)];
    const name = make("th", { scope: "row" }, this.index.classNames[c]);
    return make("tr", {}, name, ...texts.map((text) => make("td", {}, text)));
  }
}
