// The reliability diagram.

/** @import { Bin } from "./types.js" */
import { svg, svgText } from "./dom.js";

// The side of the diagram in its own units.
const SIDE = 200;

/**
 * Return a bar as high as the accuracy of its images.
 *
 * @param {Bin} bin
 */
function accuracyBar({ low, high, accuracy }) {
  return svg("rect", {
    class: "bar",
    x: SIDE * low + 1,
    y: SIDE * (1 - accuracy),
    width: Math.max(SIDE * (high - low) - 2, 1),
    height: SIDE * accuracy,
  });
}

/**
 * Return the diagram as SVG, with a bar for each bin of confidence. The bars of a calibrated model
 * end on the diagonal.
 *
 * @param {Bin[]} bins
 */
export function reliability(bins) {
  const diagram = svg("svg", {
    viewBox: "-34 -6 246 240",
    role: "img",
    class: "reliability",
    "aria-label":
      "Reliability diagram: share of correct predictions over confidence; the table beside it has the numbers",
  });
  diagram.append(...bins.map(accuracyBar));
  diagram.append(svg("path", { class: "axis", d: `M0 0V${SIDE}H${SIDE}` }));
  diagram.append(svg("path", { class: "ideal", d: `M0 ${SIDE}L${SIDE} 0` }));
  for (const share of [0, 0.5, 1]) {
    diagram.append(svgText(100 * share, SIDE * share, SIDE + 15, "middle"));
    diagram.append(svgText(100 * share, -5, SIDE * (1 - share) + 4, "end"));
  }
  diagram.append(svgText("confidence, %", SIDE / 2, SIDE + 30, "middle"));
  return diagram;
}
