// The colours of the map of features.

/** @import { Index } from "./types.js" */
import { make } from "./dom.js";

// With more classes the legend is folded at first.
const UNFOLDED = 12;

/**
 * Return the colour of image i: that of its class or, without a label, of the predicted class.
 *
 * @param {Index} index
 * @param {number} i
 */
export function classColour({ labels, predicted, palette }, i) {
  return colourOf(palette.classes, labels[i] >= 0 ? labels[i] : predicted[i]);
}

/**
 * @param {number[][]} palette
 * @param {number} c
 */
function colourOf(palette, c) {
  return `rgb(${palette[c % palette.length]})`;
}

/**
 * Return a list of the classes on the map with their colours.
 *
 * @param {Index} index
 */
export function legend(index) {
  const { classNames, labels, palette, predicted } = index;
  const coloured = labels.map((label, i) => (label >= 0 ? label : predicted[i]));
  const classes = [...new Set(coloured)].sort((a, b) => a - b);
  const items = classes.map((c) => {
    const swatch = make("span", { className: "swatch", role: "presentation" });
    swatch.style.background = colourOf(palette.classes, c);
    return make("li", {}, swatch, classNames[c]);
  });
  const hasLabels = labels.some((label) => label >= 0);
  const meaning = hasLabels ? "Colours: the true class" : "Colours: the predicted class";
  const repeated = classes.length > palette.classes.length;
  const remark = repeated ? `, ${palette.classes.length} colours in turn` : "";
  const list = make("ul", { className: "plain legend", tabIndex: 0, ariaLabel: meaning }, ...items);
  const properties = { open: classes.length <= UNFOLDED };
  return make("details", properties, make("summary", {}, meaning + remark), list);
}
