// The summary: accuracy, reliability, the most confused pairs, all classes, the faults in the data.

/** @import { ClassRow, Bin, Fault, FaultKind, Group, Index, Source } from "./types.js" */
import { make, section, showPicture } from "./dom.js";
import { reliability } from "./reliability.js";
import { percent } from "./words.js";

// The number of confused pairs that the summary lists.
const LISTED_PAIRS = 8;

/**
 * @param {string} heading
 * @param {...Node} content
 */
function card(heading, ...content) {
  return section("card", heading, make("h3", {}, heading), ...content);
}

/**
 * Return a table that scrolls within its card.
 *
 * @param {string} name
 * @param {string[]} heads
 * @param {string[][]} rows
 */
function scrollingTable(name, heads, rows) {
  const headCells = heads.map((text) => make("th", { scope: "col" }, text));
  const head = make("thead", {}, make("tr", {}, ...headCells));
  const body = make("tbody");
  for (const row of rows) {
    const cells = row.map((text) => make("td", {}, text));
    body.append(make("tr", {}, ...cells));
  }
  const properties = { className: "scroll", tabIndex: 0, role: "region", ariaLabel: name };
  return make("div", properties, make("table", {}, head, body));
}

/**
 * @param {Group[]} pairs
 * @param {(group: Group) => void} showGroup
 */
function pairsCard(pairs, showGroup) {
  const list = make("ul", { className: "plain" });
  for (const group of pairs) {
    const text = `${group.title} (${group.members.length})`;
    const button = make("button", { type: "button", onclick: () => showGroup(group) }, text);
    list.append(make("li", {}, button));
  }
  return card("Most confused", list);
}

/** @param {Bin[]} bins */
function reliabilityCard(bins) {
  const rows = bins.map((bin) => [
    `${percent(bin.low)} to ${percent(bin.high)}`,
    String(bin.n),
    percent(bin.accuracy),
  ]);
  const table = scrollingTable("Reliability", ["confidence", "pictures", "of them correct"], rows);
  return card("How far the confidence can be trusted", reliability(bins), table);
}

/** @param {number | null} share */
function percentOrDash(share) {
  return share === null ? "–" : percent(share);
}

/**
 * @param {ClassRow[]} classes
 * @param {string[]} classNames
 */
function classesCard(classes, classNames) {
  const rows = classes.map((row) => [
    classNames[row.class],
    String(row.n),
    percentOrDash(row.recall),
    percentOrDash(row.precision),
  ]);
  const heads = ["class", "pictures", "recall", "precision"];
  return card(
    "All classes, lowest recall first",
    scrollingTable("Precision and recall", heads, rows),
  );
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
 * @param {Fault} fault
 * @param {Source} source
 * @param {(i: number) => void} choose
 */
function faultItem(fault, source, choose) {
  const pictures = [lazyPicture(source, fault.i)];
  if (fault.other !== null) pictures.push(lazyPicture(source, fault.other));
  const text = make("span", {}, make("b", {}, fault.name), ` ${fault.reason}`);
  const properties = { type: "button", onclick: () => choose(fault.i) };
  return make("li", {}, make("button", properties, ...pictures, text));
}

/**
 * @param {FaultKind} faults
 * @param {Source} source
 * @param {(i: number) => void} choose
 */
function faultsCard({ kind, count, rows, meaning }, source, choose) {
  const items = rows.map((fault) => faultItem(fault, source, choose));
  const list = make("ul", { className: "plain faults" }, ...items);
  const element = card(`Data: ${kind} (${count})`, make("p", {}, meaning), list);
  if (count > rows.length) {
    element.append(make("p", {}, `The first ${rows.length} of ${count}.`));
  }
  return element;
}

/**
 * Return the summary.
 *
 * @param {Index} index
 * @param {Group[]} all
 * @param {Source} source
 * @param {object} listeners
 * @param {(i: number) => void} listeners.choose
 * @param {(group: Group) => void} listeners.showGroup
 */
export function overview(index, all, source, { choose, showGroup }) {
  const { lines = [], bins, classes, faults } = index.summary ?? { faults: [] };
  const element = make("div", { className: "overview" });
  const paragraphs = lines.map((line, k) => make("p", { className: k ? "" : "large" }, line));
  element.append(card("Result", ...paragraphs));

  const pairs = all.filter((group) => group.part === "Confused pairs").slice(0, LISTED_PAIRS);
  if (pairs.length) element.append(pairsCard(pairs, showGroup));
  if (bins) element.append(reliabilityCard(bins));
  if (classes) element.append(classesCard(classes, index.classNames));
  for (const kind of faults) element.append(faultsCard(kind, source, choose));
  return element;
}
