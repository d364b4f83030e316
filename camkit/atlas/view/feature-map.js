// The map of GAP features (t-SNE) as a canvas.

/** @import { Index, Point, View } from "./types.js" */
import { ARROWS, Board } from "./board.js";
import { nearestPoints, nextPoint, pointAt, pointsInside, project, scaleOf } from "./geometry.js";
import { isError } from "./groups.js";
import { classColour } from "./legend.js";

const FEATURE_MAP_HELP =
  "Map of GAP features: arrows go to the next point, L takes the 30 nearest, + and − zoom";

// Sides of the points in pixels; if there are many points, they are drawn smaller.
const MANY_POINTS = 3000;
const SMALL_POINT = 3;
const LARGE_POINT = 6;

const LARGEST_ZOOM = 60;

// Distances in pixels: from the pointer to a point that it selects, and of a drag that is still a
// click.
const CATCH_RADIUS = 20;
const CLICK_RADIUS = 8;

// The number of points that the key L gathers.
const GATHERED = 30;

/**
 * Wheel, + and − zoom; a drag is a lasso, and with Shift it moves the map; arrows go to the next point.
 */
export class FeatureMap {
  /**
   * @param {Index} index
   * @param {(Point | null)[]} points in 0..1
   * @param {object} listeners
   * @param {(i: number) => void} listeners.choose
   * @param {(members: number[], title: string) => void} listeners.gather
   * @param {(i: number | null) => void} listeners.hover
   */
  constructor(index, points, { choose, gather, hover }) {
    this.index = index;
    this.points = points;
    this.choose = choose;
    this.gather = gather;
    this.hover = hover;

    /** @type {View} */
    this.view = { zoom: 1, x: 0.5, y: 0.5 };
    this.every = points.flatMap((point, i) => (point ? [i] : []));
    this.drawn = this.every;
    /** @type {Set<number> | null} */
    this.group = null;
    /** @type {number | null} */
    this.current = null;
    /** @type {Point[] | null} The lasso while it is drawn. */
    this.lasso = null;
    /** @type {Point | null} The last position of a drag. */
    this.dragged = null;

    this.board = new Board(FEATURE_MAP_HELP, "features", (context) => this.paint(context));
    this.canvas = this.board.canvas;
    this.listen();
  }

  close() {
    this.board.close();
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.onPointerDown(event));
    canvas.addEventListener("pointermove", (event) => this.onPointerMove(event));
    canvas.addEventListener("pointerup", (event) => this.onPointerUp(event));
    canvas.addEventListener("pointerleave", () => this.hover(null));
    canvas.addEventListener("keydown", (event) => this.onKey(event));
  }

  /**
   * Bring a group to the front, and ring image i.
   *
   * @param {number[]} members
   * @param {number} i
   */
  show(members, i) {
    const group = new Set(members);
    const back = this.every.filter((j) => !group.has(j));
    const front = this.every.filter((j) => group.has(j));
    this.group = group;
    this.drawn = [...back, ...front];
    this.current = i;
    this.board.redraw();
  }

  /** The position of each point on the canvas. */
  get screenPoints() {
    const { size } = this.board;
    return this.points.map((point) => point && project(point, this.view, size));
  }

  get currentPoint() {
    return this.current === null ? null : (this.points[this.current] ?? null);
  }

  /** @param {CanvasRenderingContext2D} context */
  paint(context) {
    const wrong = this.board.colour("--wrong");
    const { screenPoints } = this;
    for (const i of this.drawn) {
      const point = screenPoints[i];
      if (point) this.paintPoint(context, i, point, wrong);
    }
    context.globalAlpha = 1;
    context.strokeStyle = this.board.colour("--accent");
    context.lineWidth = 2.5;
    this.paintRing(context);
    this.paintLasso(context);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} i
   * @param {Point} point the position of the image on the canvas
   * @param {string} wrong the colour of the frame around an error
   */
  paintPoint(context, i, [x, y], wrong) {
    const { index, group } = this;
    const side = this.points.length > MANY_POINTS ? SMALL_POINT : LARGE_POINT;
    context.globalAlpha = group && !group.has(i) ? 0.25 : 1;
    context.fillStyle = classColour(index, i);
    context.fillRect(x - side / 2, y - side / 2, side, side);
    if (isError(index, i)) {
      context.strokeStyle = wrong;
      context.lineWidth = 1.5;
      context.strokeRect(x - side / 2 - 1, y - side / 2 - 1, side + 2, side + 2);
    }
  }

  /** @param {CanvasRenderingContext2D} context */
  paintRing(context) {
    const point = this.currentPoint;
    if (!point) return;
    const [x, y] = project(point, this.view, this.board.size);
    context.beginPath();
    context.arc(x, y, 10, 0, 2 * Math.PI);
    context.stroke();
  }

  /** @param {CanvasRenderingContext2D} context */
  paintLasso(context) {
    if (!this.lasso) return;
    context.beginPath();
    for (const [x, y] of this.lasso) context.lineTo(x, y);
    context.stroke();
  }

  /** @param {number} factor */
  zoom(factor) {
    const { view } = this;
    view.zoom = Math.min(Math.max(view.zoom * factor, 1), LARGEST_ZOOM);
    if (this.currentPoint && factor > 1) [view.x, view.y] = this.currentPoint;
    if (view.zoom === 1) [view.x, view.y] = [0.5, 0.5];
    this.board.redraw();
  }

  /** @param {WheelEvent} event */
  onWheel(event) {
    // Without the focus the wheel scrolls the page.
    const root = /** @type {Document | ShadowRoot} */ (this.canvas.getRootNode());
    if (root.activeElement !== this.canvas) return;
    event.preventDefault();
    this.zoom(event.deltaY < 0 ? 1.25 : 0.8);
  }

  /** @param {PointerEvent} event */
  onPointerDown(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.dragged = this.board.pointOf(event);
    this.lasso = event.shiftKey ? null : [this.dragged];
  }

  /** @param {PointerEvent} event */
  onPointerMove(event) {
    const point = this.board.pointOf(event);
    if (!this.dragged) {
      this.hover(pointAt(this.screenPoints, point, CATCH_RADIUS));
      return;
    }
    if (this.lasso) this.lasso.push(point);
    else this.moveMap(this.dragged, point);
    this.board.redraw();
  }

  /**
   * @param {Point} from
   * @param {Point} to
   */
  moveMap(from, to) {
    const scale = scaleOf(this.view, this.board.size);
    this.view.x -= (to[0] - from[0]) / scale;
    this.view.y -= (to[1] - from[1]) / scale;
    this.dragged = to;
  }

  /** @param {PointerEvent} event */
  onPointerUp(event) {
    const { lasso } = this;
    this.dragged = null;
    this.lasso = null;
    this.board.redraw();
    if (!lasso) return;
    const [[x0, y0]] = lasso;
    const reach = Math.max(...lasso.map(([x, y]) => Math.hypot(x - x0, y - y0)));
    if (reach > CLICK_RADIUS) this.gatherInside(lasso);
    else this.chooseAt(this.board.pointOf(event));
  }

  /** @param {Point[]} lasso */
  gatherInside(lasso) {
    const members = pointsInside(this.screenPoints, lasso);
    if (members.length) this.gather(members, "inside the lasso");
  }

  /** @param {Point} point */
  chooseAt(point) {
    const i = pointAt(this.screenPoints, point, CATCH_RADIUS);
    if (i !== null) this.choose(i);
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const direction = ARROWS[event.key];
    const action = direction ? () => this.goTowards(direction) : this.keyAction(event.key);
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  /** @param {string} key */
  keyAction(key) {
    /** @type {Record<string, () => void>} */
    const actions = {
      "+": () => this.zoom(1.25),
      "=": () => this.zoom(1.25),
      "-": () => this.zoom(0.8),
      l: () => this.gatherNearest(),
      enter: () => this.chooseCurrent(),
    };
    return actions[key.toLowerCase()];
  }

  /** Where the arrows start from: the ringed point, or the middle. @returns {Point} */
  get start() {
    const { size } = this.board;
    if (this.currentPoint) return project(this.currentPoint, this.view, size);
    return [size[0] / 2, size[1] / 2];
  }

  /** @param {Point} direction */
  goTowards(direction) {
    const i = nextPoint(this.screenPoints, this.start, direction);
    if (i !== null) this.choose(i);
  }

  gatherNearest() {
    const members = nearestPoints(this.screenPoints, this.start, GATHERED);
    this.gather(members, "nearest in the map");
  }

  chooseCurrent() {
    if (this.current !== null) this.choose(this.current);
  }
}
