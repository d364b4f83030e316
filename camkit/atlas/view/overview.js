// The summary: accuracy, the most confused pairs, and folded: reliability, all classes, the faults in
// the data.

/** @import { ClassRow, Bin, Fault, FaultKind, Group, Index, Slice, Source } from "./types.js" */
import { button, make, section, showPicture } from "./dom.js";
import { SLICES, titleOfFaults } from "./groups.js";
import { INVENTED, MISSED, mostFrequentFirst } from "./label-sets.js";
import { reliability } from "./reliability.js";
import { percent, pictureOf, withSplit } from "./words.js";

// The number of confused pairs that the summary lists.
const LISTED_PAIRS = 8;

// From this width on, the cards of the first row are unfolded at first, as in atlas.css.
const WIDE = "(min-width: 46rem)";

/**
 * Return a part of the summary that is folded at first.
 *
 * @param {string} heading
 * @param {...Node} content
 */
function card(heading, ...content) {
  return make("details", { className: "card" }, make("summary", {}, heading), ...content);
}

/**
 * Return a part of the summary that is unfolded at first where there is room.
 *
 * @param {string} heading
 * @param {Node} content
 */
export function wideCard(heading, content) {
  const element = card(heading, content);
  element.open = matchMedia(WIDE).matches;
  return element;
}

/**
 * Return a table that scrolls within its card.
 *
 * @param {string} name
 * @param {string[]} heads
 * @param {(string | Node)[][]} rows
 */
export function scrollingTable(name, heads, rows) {
  const headCells = heads.map((text) => make("th", { scope: "col" }, text));
  const head = make("thead", {}, make("tr", {}, ...headCells));
  const body = make("tbody");
  for (const row of rows) {
    const cells = row.map((text) => make("td", {}, text));
    const line = make("tr", {}, ...cells);
    // A click anywhere in a row counts; its button is for the keyboard.
    const choice = line.querySelector("button");
    line.addEventListener("click", ({ target }) => {
      if (target !== choice) choice?.click();
    });
    body.append(line);
  }
  const properties = { className: "scroll", tabIndex: 0, role: "region", ariaLabel: name };
  return make("div", properties, make("table", {}, head, body));
}

/**
 * @param {string} heading
 * @param {Group[]} pairs
 * @param {(group: Group) => void} showGroup
 */
function pairsCard(heading, pairs, showGroup) {
  const list = make("ul", { className: "plain pairs" });
  for (const group of pairs) {
    const text = `${group.title} (${group.members.length})`;
    const choice = button(text, () => showGroup(group));
    list.append(make("li", {}, choice));
  }
  return wideCard(heading, list);
}

/**
 * @param {Slice[]} slices
 * @param {Group[]} groups of the slices, in the same order
 * @param {(group: Group) => void} showGroup
 */
function slicesCard(slices, groups, showGroup) {
  const list = make("ul", { className: "plain faults" });
  slices.forEach(({ name, size, errors, share, rest, p }, k) => {
    const counts = `${errors} of ${size} are wrong, ${percent(share)}; of the rest ${percent(rest)}`;
    const chance = p < 0.001 ? "p < 0.001" : `p = ${p.toFixed(3)}`;
    const text = make("span", {}, make("b", {}, name), ` ${counts} (${chance})`);
    const properties = { type: "button", onclick: () => showGroup(groups[k]) };
    list.append(make("li", {}, make("button", properties, text)));
  });
  const meaning = "Parts of the set on which the model errs more than chance explains.";
  return card(`Slices with more errors (${slices.length})`, make("p", {}, meaning), list);
}

/** @param {Bin[]} bins */
function reliabilityCard(bins) {
  const rows = bins.map((bin) => [
    `${percent(bin.low)} to ${percent(bin.high)}`,
    String(bin.n),
    percent(bin.accuracy),
  ]);
  const table = scrollingTable("Reliability", ["confidence", "pictures", "of them correct"], rows);
  return card("Confidence and accuracy", reliability(bins), table);
}

/** @param {number | null} share */
function percentOrDash(share) {
  return share === null ? "–" : percent(share);
}

/**
 * Return the table of the classes; the name of a class shows its images.
 *
 * @param {ClassRow[]} classes
 * @param {Index} index
 * @param {Group[]} all
 * @param {(group: Group) => void} showGroup
 */
function classesCard(classes, { classNames }, all, showGroup) {
  const byName = new Map(all.map((group) => [`${group.part} ${group.title}`, group]));
  const rows = classes.map((row) => {
    const name = classNames[row.class];
    const cells = [String(row.n), percentOrDash(row.recall), percentOrDash(row.precision)];
    if (row.averagePrecision !== undefined) cells.push(percentOrDash(row.averagePrecision));
    const group = byName.get(row.n ? `True class ${name}` : `Predicted class predicted ${name}`);
    const onclick = () => group && showGroup(group);
    return [make("button", { type: "button", className: "link", onclick }, name), ...cells];
  });
  const heads = ["class", "pictures", "recall", "precision"];
  if (classes.some((row) => row.averagePrecision !== undefined)) heads.push("AP");
  const table = scrollingTable("Precision and recall", heads, rows);
  return card("All classes, lowest recall first", table);
}

/**
 * Return a small picture of image i, which is loaded when it is scrolled into view.
 *
 * @param {Source} source
 * @param {number} i
 */
function lazyPicture(source, i) {
  const image = make("img", { alt: "", width: 48, height: 48 });
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    showPicture(image, source, i);
  });
  observer.observe(image);
  return image;
}

/**
 * Return a fault with a button for each of its images.
 *
 * @param {Fault} fault
 * @param {Index} index
 * @param {Source} source
 * @param {(i: number) => void} choose
 */
function faultItem(fault, index, source, choose) {
  const { i, other, name, reason, split, otherSplit } = fault;
  const text = make("span", {}, make("b", {}, withSplit(name, split)), ` ${reason}`);
  const onclick = () => choose(i);
  const first = make("button", { type: "button", onclick }, lazyPicture(source, i), text);
  if (other === null) return make("li", {}, first);
  const otherName = `Open ${withSplit(pictureOf(index, other).name, otherSplit)}`;
  const properties = {
    type: "button",
    className: "other",
    title: otherName,
    ariaLabel: otherName,
    onclick: () => choose(other),
  };
  return make("li", {}, first, make("button", properties, lazyPicture(source, other)));
}

/**
 * @param {FaultKind} faults
 * @param {Index} index
 * @param {Source} source
 * @param {(i: number) => void} choose
 */
function faultsCard({ kind, count, rows, meaning }, index, source, choose) {
  const items = rows.map((fault) => faultItem(fault, index, source, choose));
  const list = make("ul", { className: "plain faults" }, ...items);
  const element = card(`Data: ${kind} (${count})`, make("p", {}, meaning), list);
  if (count > rows.length) {
    element.append(make("p", {}, `The first ${rows.length} of ${count}.`));
  }
  return element;
}

/**
 * Return the two parts of the summary: what is seen at once, and what is folded.
 *
 * @param {Index} index
 * @param {Group[]} all
 * @param {Source} source
 * @param {object} listeners
 * @param {(i: number, group: Group) => void} listeners.choose shows an image of a group
 * @param {(group: Group) => void} listeners.showGroup
 */
export function overview(index, all, source, { choose, showGroup }) {
  const { lines = [], bins, classes, faults, slices = [] } = index.summary ?? { faults: [] };
  const paragraphs = lines.map((line, k) => make("p", { className: k ? "" : "large" }, line));
  const first = make("div", { className: "overview" });
  first.append(section("card", "Result", ...paragraphs));
  const more = make("div", { className: "overview more" });

  const parts = index.labelSets ? [MISSED, INVENTED] : ["Confused pairs"];
  const heading = index.labelSets ? "Most often missed or invented" : "Most confused";
  const pairs = mostFrequentFirst(all.filter(({ part = "" }) => parts.includes(part)));
  const listed = pairs.slice(0, LISTED_PAIRS);
  if (listed.length) first.append(pairsCard(heading, listed, showGroup));
  if (bins) more.append(reliabilityCard(bins));
  if (classes) more.append(classesCard(classes, index, all, showGroup));
  if (slices.length) {
    const ofSlices = all.filter(({ part }) => part === SLICES);
    more.append(slicesCard(slices, ofSlices, showGroup));
  }
  for (const kind of faults) {
    const title = titleOfFaults(kind.kind);
    const group = all.find((other) => other.title === title) ?? all[0];
    more.append(faultsCard(kind, index, source, (i) => choose(i, group)));
  }
  return [first, more];
}
