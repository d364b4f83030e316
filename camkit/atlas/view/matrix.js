// The confusion matrix as a canvas.

/** @import { Group } from "./types.js" */
/** @import { Confusion } from "./confusion.js" */
import { ARROWS, Board } from "./board.js";

const MATRIX_HELP = "Confusion matrix: arrow keys move, Enter shows the pictures";

// Cells smaller than this many pixels show no number.
const SIDE_FOR_NUMBERS = 22;

/**
 * The matrix with true classes in rows and predicted ones in columns. Colour shows errors only, as
 * in camkit.plots.confusion.
 */
export class Matrix {
  /**
   * @param {Confusion} confusion
   * @param {(group: Group) => void} showGroup
   * @param {(text: string) => void} report takes a description of the cell that is pointed at
   */
  constructor(confusion, showGroup, report) {
    this.confusion = confusion;
    this.showGroup = showGroup;
    this.report = report;
    this.row = 0;
    this.column = 0;
    this.board = new Board(MATRIX_HELP, "matrix", (context) => this.paint(context));
    this.canvas = this.board.canvas;
    this.canvas.addEventListener("keydown", (event) => this.onKey(event));
    this.canvas.addEventListener("pointermove", (event) => this.pointAtEvent(event));
    this.canvas.addEventListener("click", (event) => {
      if (this.pointAtEvent(event)) this.showCell();
    });
  }

  close() {
    this.board.close();
  }

  /** The side of a cell in pixels. */
  get side() {
    return Math.min(...this.board.size) / this.confusion.size;
  }

  /** @param {CanvasRenderingContext2D} context */
  paint(context) {
    const { size } = this.confusion;
    const { side } = this;
    const inks = { ink: this.board.colour("--ink"), wrong: this.board.colour("--wrong") };
    for (let row = 0; row < size; row++) {
      for (let column = 0; column < size; column++) this.paintCell(context, inks, row, column);
    }
    context.strokeStyle = this.board.colour("--accent");
    context.lineWidth = 2;
    context.strokeRect(this.column * side + 1, this.row * side + 1, side - 2, side - 2);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {{ink: string, wrong: string}} inks
   * @param {number} row
   * @param {number} column
   */
  paintCell(context, inks, row, column) {
    const { side } = this;
    const count = this.confusion.countAt(row, column);
    const isError = row !== column && count > 0;
    const filled = Math.max(side - 1, side * 0.9);
    context.globalAlpha = this.opacity(row, column, count);
    context.fillStyle = isError ? inks.wrong : inks.ink;
    context.fillRect(column * side, row * side, filled, filled);
    context.globalAlpha = 1;

    if (side < SIDE_FOR_NUMBERS || !count) return;
    context.fillStyle = inks.ink;
    context.font = "11px system-ui";
    context.textAlign = "center";
    context.fillText(String(count), (column + 0.5) * side, (row + 0.5) * side + 4);
  }

  /**
   * @param {number} row
   * @param {number} column
   * @param {number} count
   */
  opacity(row, column, count) {
    if (row === column) return 0.15;
    if (!count) return 0.06;
    return 0.25 + (0.75 * count) / this.confusion.highestCount;
  }

  /**
   * Go to a cell, within the matrix.
   *
   * @param {number} row
   * @param {number} column
   */
  moveTo(row, column) {
    const last = this.confusion.size - 1;
    this.row = Math.min(Math.max(row, 0), last);
    this.column = Math.min(Math.max(column, 0), last);
  }

  refresh() {
    this.board.redraw();
    this.report(this.confusion.describe(this.row, this.column));
  }

  showCell() {
    const group = this.confusion.groupAt(this.row, this.column);
    if (group) this.showGroup(group);
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const step = ARROWS[event.key];
    if (!step && event.key !== "Enter") return;
    event.preventDefault();
    event.stopPropagation();
    if (step) this.moveTo(this.row + step[1], this.column + step[0]);
    else this.showCell();
    this.refresh();
  }

  /**
   * Go to the cell under the pointer; return whether there is one.
   *
   * @param {MouseEvent} event
   */
  pointAtEvent(event) {
    const [x, y] = this.board.pointOf(event);
    const column = Math.floor(x / this.side);
    const row = Math.floor(y / this.side);
    const { size } = this.confusion;
    if (row < 0 || column < 0 || row >= size || column >= size) return false;
    this.moveTo(row, column);
    this.refresh();
    return true;
  }
}
