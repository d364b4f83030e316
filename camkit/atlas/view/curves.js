// Curves over the positions of a slider, drawn up to where it stands.

import { make, svg, svgText } from "./dom.js";

// The size of the diagram in its own units.
const CURVES_WIDTH = 360;
const CURVES_HEIGHT = 130;

/**
 * Return the d of an SVG path through values, from the left edge at the first of `count` positions
 * to the right one at the last; `high` is at the top, `low` at the bottom.
 *
 * @param {ArrayLike<number>} values
 * @param {number} count
 * @param {[number, number]} limits
 */
export function pathOf(values, count, [low, high]) {
  const points = Array.from(values, (value, position) => {
    const x = (CURVES_WIDTH * position) / Math.max(count - 1, 1);
    const y = CURVES_HEIGHT * (1 - (value - low) / (high - low));
    return `${x.toFixed(1)} ${y.toFixed(1)}`;
  });
  return `M${points.join("L")}`;
}

/**
 * Return limits that hold all values, and 0 and 1.
 *
 * @param {ArrayLike<number>[]} curves
 * @returns {[number, number]}
 */
export function limitsOf(curves) {
  const values = curves.flatMap((curve) => Array.from(curve));
  return [Math.min(0, ...values), Math.max(1, ...values)];
}

export class Curves {
  /**
   * @param {string} name what the diagram shows, for readers who do not see it
   * @param {Record<string, ArrayLike<number>>} curves the values of each curve by its name
   * @param {string[]} marks texts under the left edge, the middle and the right edge
   * @param {string} across what the positions are
   */
  constructor(name, curves, marks, across) {
    this.values = Object.values(curves);
    this.count = this.values[0].length;
    this.limits = limitsOf(this.values);
    const viewBox = `-30 -8 ${CURVES_WIDTH + 42} ${CURVES_HEIGHT + 44}`;
    this.diagram = svg("svg", { viewBox, role: "img", class: "curves", "aria-label": name });
    this.drawAxes(marks, across);
    this.lines = this.values.map((_, n) => svg("path", { class: `curve curve-${n}`, d: "" }));
    this.dots = this.values.map((_, n) => svg("circle", { class: `dot curve-${n}`, r: 4 }));
    this.diagram.append(...this.lines, ...this.dots);
    this.readings = this.values.map(() => make("strong"));
    const items = Object.keys(curves).map((curve, n) => {
      const swatch = svg("svg", { viewBox: "0 0 28 8", class: "sample", "aria-hidden": "true" });
      swatch.append(svg("path", { class: `curve curve-${n}`, d: "M0 4H28" }));
      return make("li", {}, swatch, `${curve} `, this.readings[n]);
    });
    const list = make("ul", { className: "plain readings" }, ...items);
    this.element = make("div", { className: "diagram" }, this.diagram, list);
  }

  /**
   * @param {string[]} marks
   * @param {string} across
   */
  drawAxes(marks, across) {
    const [low, high] = this.limits;
    const heightOf = (/** @type {number} */ value) =>
      (CURVES_HEIGHT * (high - value)) / (high - low);
    for (const value of [0, 0.5, 1]) {
      const y = heightOf(value);
      this.diagram.append(svg("path", { class: "grid", d: `M0 ${y}H${CURVES_WIDTH}` }));
      this.diagram.append(svgText(value, -6, y + 4, "end"));
    }
    const places = [0, CURVES_WIDTH / 2, CURVES_WIDTH];
    places.forEach((x, n) => {
      this.diagram.append(svgText(marks[n], x, CURVES_HEIGHT + 15, "middle"));
    });
    this.diagram.append(svgText(across, CURVES_WIDTH / 2, CURVES_HEIGHT + 32, "middle"));
  }

  /**
   * Draw all curves up to a position.
   *
   * @param {number} position
   */
  draw(position) {
    const [low, high] = this.limits;
    this.values.forEach((curve, n) => {
      const drawn = Array.from(curve).slice(0, position + 1);
      this.lines[n].setAttribute("d", pathOf(drawn, this.count, this.limits));
      const x = (CURVES_WIDTH * position) / Math.max(this.count - 1, 1);
      const y = (CURVES_HEIGHT * (high - curve[position])) / (high - low);
      this.dots[n].setAttribute("cx", x.toFixed(1));
      this.dots[n].setAttribute("cy", y.toFixed(1));
      this.readings[n].textContent = curve[position].toFixed(2);
    });
  }
}
