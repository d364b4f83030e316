// The comparison with another model on the page: what changed, and the maps of both side by side.

/** @import { Comparison, Group, Index, Maps, Shown } from "./types.js" */
import { answersLine, changesOfClass, comparedClasses, layersOfBoth } from "./comparison.js";
import { button, make, section } from "./dom.js";
import { ColourBar, paintLayer } from "./figures.js";
import { remarkOn } from "./layers.js";
import { scrollingTable, wideCard } from "./overview.js";
import { countOfPictures, percent } from "./words.js";

/**
 * Return what changed: in words, by kind of change, and class by class.
 *
 * @param {Index} index
 * @param {Comparison} comparison
 * @param {Group[]} changes the groups of the changes
 * @param {(group: Group) => void} showGroup
 */
export function comparisonPanel(index, comparison, changes, showGroup) {
  const lines = comparison.lines.map((line, k) => make("p", { className: k ? "" : "large" }, line));
  const list = make("ul", { className: "plain" });
  for (const group of changes) {
    const text = `${group.title}: ${countOfPictures(group.members.length)}`;
    const choice = button(text, () => showGroup(group));
    list.append(make("li", {}, choice));
  }
  const cards = [
    section("card", "Before and after", ...lines),
    section("card", "What became of the pictures", list),
  ];
  if (comparison.classes.length) cards.push(changedClassesCard(index, comparison, showGroup));
  const properties = { className: "comparison", open: true };
  const overview = make("div", { className: "overview" }, ...cards);
  return make("details", properties, make("summary", {}, "Comparison of two models"), overview);
}

/**
 * @param {Index} index
 * @param {Comparison} comparison
 * @param {(group: Group) => void} showGroup
 */
function changedClassesCard(index, comparison, showGroup) {
  const rows = comparison.classes.map((row) => {
    const group = changesOfClass(index, comparison, row.class);
    const onclick = () => showGroup(group);
    const name = comparison.classNames[row.class];
    const link = { type: "button", className: "link", onclick };
    const title = group.members.length ? make("button", link, name) : name;
    const numbers = [percent(row.before), percent(row.after), row.mended, row.broken];
    return [title, ...numbers.map(String)];
  });
  const heads = ["class", "before", "after", "mended", "broken"];
  const heading = "Recall of each class, most broken first";
  return wideCard(heading, scrollingTable(heading, heads, rows));
}

/** The maps of both models for the chosen image, with the same limits. */
export class PairFigures {
  /**
   * @param {Index} index
   * @param {Comparison} comparison
   */
  constructor(index, comparison) {
    this.index = index;
    this.comparison = comparison;
    this.line = make("p", { role: "status" });
    this.sides = make("div", { className: "sides" });
    this.bar = new ColourBar("evidence", "evidence, before and after", index.palette.evidence);
    const heading = make("h2", {}, "Before and after");
    const bars = make("div", { className: "bars" }, this.bar.element);
    this.element = section("both", "Maps before and after", heading, this.line, this.sides, bars);
  }

  /**
   * @param {Shown} after
   * @param {Maps | null} before
   * @param {HTMLImageElement} image
   * @param {number} i
   * @param {number} shown the chosen class
   */
  draw(after, before, image, i, shown) {
    const { index, comparison } = this;
    // The images of the reference are not compared.
    this.element.hidden = i >= index.labels.length;
    if (this.element.hidden) return;
    this.line.textContent = answersLine(index, comparison, i);
    this.bar.element.hidden = !before;
    this.sides.replaceChildren();
    if (!before) return;
    const classes = comparedClasses(index, comparison, i, shown);
    const layers = layersOfBoth(index, comparison, after, before, classes);
    for (const layer of layers) {
      const canvas = make("canvas", {
        role: "img",
        ariaLabel: `${layer.caption}, ${after.about.name}`,
      });
      const shape = layer.name === "before" ? comparison.cells : index.cells;
      paintLayer(canvas, image, layer, shape);
      const remark = remarkOn(layer);
      const caption = make("figcaption", {}, layer.caption);
      if (remark) caption.append(make("em", {}, remark));
      this.sides.append(make("figure", { className: layer.name }, canvas, caption));
    }
    this.bar.setLimits("0", layers[0].high.toFixed(2));
  }
}
