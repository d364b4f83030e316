// The atlas as a whole.

/** @import { About, Comparison, Group, Other, Selection, Shown, Source } from "./types.js" */
import { Browser } from "./browser.js";
import { ClassList } from "./class-list.js";
import { BEFORE_AND_AFTER } from "./comparison.js";
import { comparisonPanel, PairFigures } from "./comparison-panel.js";
import { field, make, section, showPicture, uniqueId } from "./dom.js";
import { FeatureMap } from "./feature-map.js";
import { Figures } from "./figures.js";
import { FileLine } from "./file-line.js";
import { groups, homeOf, isError, remarkOnFault } from "./groups.js";
import { ImportPanel } from "./import-panel.js";
import { statusLine } from "./layers.js";
import { legend } from "./legend.js";
import { Neighbours } from "./neighbours.js";
import { overview } from "./overview.js";
import { unpack } from "./packed.js";
import { Review } from "./review.js";
import { TryIt } from "./try-it.js";
import { VerdictTable } from "./verdicts.js";
import { WhatIfPanel } from "./what-if-panel.js";
import { describe, messageOf } from "./words.js";

/** An atlas inside an element. */
class Atlas {
  /**
   * @param {HTMLElement} root
   * @param {Source} source
   */
  constructor(root, source) {
    this.root = root;
    this.source = source;
    this.index = source.index;
    this.id = uniqueId();
    /** @type {Selection} */
    this.selection = {
      group: null,
      current: null,
      seen: null,
      detail: null,
      image: null,
      shown: null,
    };
    this.closed = new AbortController();

    const { index } = this;
    this.all = groups(index);
    const table = this.has("review") ? new VerdictTable(index.verdicts, index.unmatched) : null;
    this.browser = new Browser(this.id, this.all, source, table, {
      choose: (i) => this.choose(i),
      showGroup: (group) => this.showGroup(group),
      selected: () => this.review?.showScope(),
    });
    this.figures = new Figures(index);
    this.both = index.comparison ? new PairFigures(index, index.comparison) : null;
    this.tryIt = index.play ? new TryIt(source) : null;
    this.status = make("p", { role: "status", className: "status" });
    this.file = new FileLine(this.id, source);
    this.shown = this.makeShown();
    this.classes = new ClassList(index, this.selection, () => this.draw());
    this.whatIf = this.has("what-if") ? new WhatIfPanel(this.id, index, this.selection) : null;
    this.neighbours = new Neighbours(index, source, (i) => this.goToNeighbour(i));
    this.review = table && this.makeReview(table);
    this.imports = table && new ImportPanel(source, table);
    this.hovered = make("div", { className: "hovered" }, make("img", { alt: "" }), make("span"));
    this.features = this.makeFeatureMap();
    this.summary = this.has("summary") ? this.makeSummary() : null;
  }

  /** @param {string} panel */
  has(panel) {
    return this.index.panels.includes(panel);
  }

  /** The numbers of the misclassified images. */
  get errors() {
    const numbers = this.index.labels.map((_, i) => i);
    return numbers.filter((i) => isError(this.index, i));
  }

  makeShown() {
    const { figures } = this;
    const both = this.both ? [this.both.element] : [];
    const content = [figures.element, figures.bars, this.status, ...both, this.file.element];
    const element = section("shown", "Picture and maps", ...content);
    // It takes the focus after a click in the summary.
    element.tabIndex = -1;
    return element;
  }

  /** @param {VerdictTable} table */
  makeReview(table) {
    const { tiles } = this.browser;
    return new Review(this.id, this.source, this.selection, table, this.errors, {
      targets: () => tiles.selection,
      leave: () => this.leaveForm(),
      next: () => {
        const hasNext = tiles.selected + 1 < tiles.members.length;
        if (hasNext) tiles.step(1);
        return hasNext;
      },
    });
  }

  makeFeatureMap() {
    const { points } = this.index;
    if (!this.has("features") || !points) return null;
    return new FeatureMap(this.index, points, {
      choose: (i) => this.goTo(i),
      gather: (members, title) => this.showGroup({ title, members }),
      hover: (i) => this.hover(i),
    });
  }

  makeSummary() {
    const content = overview(this.index, this.all, this.source, {
      choose: (i, group) => this.revealGroup(group, i),
      showGroup: (group) => this.revealGroup(group),
    });
    const properties = { className: "summary", open: this.index.open };
    return make("details", properties, make("summary", {}, "Summary"), ...content);
  }

  /** Return the button that leads past the summary. */
  skip() {
    const properties = { type: "button", className: "link skip", onclick: () => this.reveal() };
    return make("button", properties, "To the pictures");
  }

  /** @param {Comparison} comparison */
  makeComparison(comparison) {
    const changes = this.all.filter(({ part }) => part === BEFORE_AND_AFTER);
    return comparisonPanel(this.index, comparison, changes, (group) => this.revealGroup(group));
  }

  /** Put the parts into the page and show the first group. */
  open() {
    const { root } = this;
    root.classList.add("camkit-atlas");
    // JupyterLab handles no shortcuts inside such an element.
    root.dataset.lmSuppressShortcuts = "true";
    root.replaceChildren();
    const { comparison } = this.index;
    if (comparison || this.summary) root.append(this.skip());
    if (comparison) root.append(this.makeComparison(comparison));
    if (this.summary) root.append(this.summary);
    const columns = make("div", { className: "columns" });
    columns.append(this.browser.element(this.help()), this.mainColumn());
    root.append(columns);
    const { signal } = this.closed;
    root.addEventListener("keydown", (event) => this.onKey(event), { signal });
    addEventListener("pagehide", () => this.review?.storeTyped(), { signal });
    this.hover(null);
    this.showGroup(this.browser.firstGroup());
  }

  close() {
    this.closed.abort();
    this.browser.close();
    this.features?.close();
    this.whatIf?.close();
    this.tryIt?.close();
    this.root.replaceChildren();
  }

  help() {
    const keys = ["← → other picture"];
    if (this.has("classes")) keys.push("/ search for a class");
    if (this.has("review")) {
      keys.push("0 to 6 verdict", "among the tiles Shift, Space or Ctrl+A for several");
    }
    return make("p", { className: "help keys" }, `Keys: ${keys.join(", ")}.`);
  }

  mainColumn() {
    const panels = make("div", { className: "panels" });
    if (this.has("classes")) panels.append(this.classesPanel());
    if (this.review && this.imports) {
      panels.append(make("div", {}, this.review.element, this.imports.element));
    }
    if (this.has("near")) {
      const heading = make("h2", {}, this.index.nearTitle);
      panels.append(section("nearest", "Nearest pictures", heading, this.neighbours.element));
    }
    if (this.features) panels.append(this.featuresPanel(this.features));
    const whatIf = this.whatIf ? [this.whatIf.element] : [];
    const tryIt = this.tryIt ? [this.tryIt.element] : [];
    return make("div", { className: "main" }, this.shown, ...whatIf, ...tryIt, panels);
  }

  classesPanel() {
    const { search, list } = this.classes;
    const sum = this.index.bias ? "mean, bias = logit" : "logit";
    const searchField = field(this.id, "Search for a class (/)", search);
    const listField = field(this.id, `Map of class · probability · ${sum}`, list);
    return section("classes", "Classes", searchField, listField);
  }

  /** @param {FeatureMap} features */
  featuresPanel(features) {
    const frames = this.errors.length ? "; a red frame marks an error" : "";
    const text = `Drag for a lasso, Shift and drag to move${frames}.`;
    const tools = make("div", { className: "tools" });
    tools.append(toolButton("+", "Zoom in", () => features.zoom(1.5)));
    tools.append(toolButton("−", "Zoom out", () => features.zoom(1 / 1.5)));
    tools.append(make("span", { className: "help" }, text));
    const heading = make("h2", {}, "Map of GAP features (t-SNE)");
    const cloud = make("div", { className: "cloud" }, features.canvas, this.hovered);
    return section("features", "Features", heading, tools, cloud, legend(this.index));
  }

  /**
   * Show the image under the pointer on the map of features.
   *
   * @param {number | null} i
   */
  hover(i) {
    this.hovered.style.visibility = i === null ? "hidden" : "visible";
    if (i === null) return;
    const [image, text] = this.hovered.children;
    text.textContent = describe(this.index, i);
    showPicture(/** @type {HTMLImageElement} */ (image), this.source, i);
  }

  /**
   * Show a group, from the first image on or from image i.
   *
   * @param {Group} group
   * @param {number} [i]
   */
  showGroup(group, i) {
    this.selection.group = group;
    this.browser.show(group, i);
  }

  /**
   * Show a group, and bring it into view, after a choice elsewhere.
   *
   * @param {Group} group
   * @param {number} [i]
   */
  revealGroup(group, i) {
    this.showGroup(group, i);
    this.reveal();
  }

  /**
   * Show image i in the group that is shown, if it is there, or else in another one.
   *
   * @param {number} i
   * @param {Group} [group]
   */
  goTo(i, group) {
    const { tiles } = this.browser;
    const position = tiles.members.indexOf(i);
    if (position >= 0) tiles.select(position);
    else this.showGroup(group ?? homeOf(this.all, i) ?? this.all[0], i);
  }

  /**
   * Show a neighbour, with the others, of the image that is shown.
   *
   * @param {number} i
   */
  goToNeighbour(i) {
    const { detail, seen } = this.selection;
    if (!detail || seen === null) return;
    for (const { likeness, ...neighbour } of detail.near) this.learn(neighbour);
    const members = [seen, ...detail.near.map((neighbour) => neighbour.i)];
    const title = `${detail.about.name} and its nearest pictures`;
    this.goTo(i, { title, members, inOrder: true });
  }

  /**
   * Note what is known of an image that is not of the analysis.
   *
   * @param {Other} other
   */
  learn(other) {
    const { labels, others } = this.index;
    if (other.i < labels.length) return;
    const position = others.findIndex(({ i }) => i === other.i);
    if (position < 0) others.push(other);
    else others[position] = { ...others[position], ...other };
  }

  /** Bring the image that is shown into view, after a choice elsewhere, and focus it. */
  reveal() {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.shown.scrollIntoView({ behavior: still ? "auto" : "smooth", block: "start" });
    this.shown.focus({ preventScroll: true });
  }

  /**
   * Show an image, unless another one is chosen before its data have arrived.
   *
   * @param {number} i
   */
  async choose(i) {
    const { selection } = this;
    selection.current = i;
    try {
      const [detail, image] = await Promise.all([this.source.detail(i), this.loadImage(i)]);
      if (selection.current !== i) return;
      selection.detail = { ...detail, ...unpack(detail.packed, this.index.cells) };
      selection.image = image;
      selection.seen = i;
    } catch (error) {
      if (selection.current !== i) return;
      this.status.textContent = `This picture cannot be shown: ${messageOf(error)}`;
      return;
    }
    this.showChosen(i);
  }

  /** @param {number} i */
  async loadImage(i) {
    const image = new Image();
    image.src = await this.source.picture(i);
    await image.decode();
    return image;
  }

  /** @param {number} i */
  showChosen(i) {
    const { detail, group, shown } = this.selection;
    if (!detail) return;
    // With the panel of pairs, each image starts with its predicted class. Without it, the chosen
    // class stays, if the image has a map of it.
    const staysShown = !this.has("pairs") && shown !== null && detail.classes.includes(shown);
    if (!staysShown) {
      const { predicted } = detail.about;
      const hasMap = detail.classes.includes(predicted);
      this.selection.shown = hasMap ? predicted : detail.classes[0];
    }
    if (group) this.features?.show(this.browser.tiles.members, i);
    if (i >= this.index.labels.length) this.learnOfReference(i, detail.about);
    this.file.show(i, detail.about.path);
    this.classes.show();
    this.neighbours.show(detail.near);
    this.review?.show(detail.verdicts);
    this.whatIf?.show();
    this.tryIt?.show(i, detail.about.name);
    this.draw();
  }

  /**
   * @param {number} i
   * @param {About} about
   */
  learnOfReference(i, { name, path, split, label, sets, predicted, confidence }) {
    this.learn({ i, name, path, split, label, sets, predicted, confidence });
    this.browser.tiles.refresh();
  }

  draw() {
    const { detail, image, shown } = this.selection;
    if (!detail || !image || shown === null) return;
    this.figures.draw(detail, image, shown);
    this.drawBoth(detail, image, shown);
    const { current, group } = this.selection;
    const remark = current === null || !group ? "" : remarkOnFault(group, current);
    this.status.textContent = `${statusLine(this.index, detail, shown)} ${remark}`.trim();
  }

  /**
   * Draw the maps of both models.
   *
   * @param {Shown} detail
   * @param {HTMLImageElement} image
   * @param {number} shown
   */
  drawBoth(detail, image, shown) {
    const { comparison } = this.index;
    const { seen } = this.selection;
    if (!comparison || seen === null) return;
    const before = detail.before ? unpack(detail.before, comparison.cells) : null;
    this.both?.draw(detail, before, image, seen, shown);
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    // Keep the key from the shortcuts of JupyterLab.
    event.stopPropagation();
    const target = /** @type {Element} */ (event.target);
    const { key } = event;
    if (target === this.classes.search && (key === "Enter" || key === "Escape")) this.leaveForm();
    if (isTyping(target)) return;
    if (key === "/" && this.has("classes")) {
      event.preventDefault();
      this.classes.search.focus();
    }
    if (this.review && /^[0-6]$/.test(key)) {
      // A list would take the digit for the beginning of an option.
      event.preventDefault();
      this.review.press(Number(key));
    }
    if (target.closest("select, input")) return;
    if (key === "ArrowRight") this.browser.tiles.step(1);
    if (key === "ArrowLeft") this.browser.tiles.step(-1);
  }

  /** Take the focus out of a field, so that keys are verdicts again. */
  leaveForm() {
    this.browser.tiles.box.focus({ preventScroll: true });
  }
}

/**
 * Return whether a key is a character here: in a field for text, and in the lists of the filter,
 * whose values may begin with digits.
 *
 * @param {Element} target
 */
function isTyping(target) {
  const texts = "input:not([type=checkbox], [readonly]), textarea, .filter select";
  return target.closest(texts) !== null;
}

/**
 * @param {string} text
 * @param {string} name
 * @param {() => void} onclick
 */
function toolButton(text, name, onclick) {
  return make("button", { type: "button", ariaLabel: name, title: name, onclick }, text);
}

/**
 * Show an atlas inside an element, and return a function that removes it.
 *
 * @param {HTMLElement} root
 * @param {Source} source
 */
export function mount(root, source) {
  const atlas = new Atlas(root, source);
  atlas.open();
  return () => atlas.close();
}
