// The maps of all classes, the most probable first, and the map of one of them over the picture.

/** @import { Head, PlayModel } from "./types.js" */
import { make, putPixels } from "./dom.js";
import { classMap, logitsOf, probabilities } from "./equation.js";
import { ColourBar } from "./figures.js";
import { colours, overGray, SMALLEST_REACH, upsample } from "./maps.js";
import { toGray } from "./resample.js";
import { opaque } from "./stage.js";
import { percent, signed } from "./words.js";

// So many classes are shown at once.
export const MOST = 24;

// Pixels along the longer side of a small map.
const SMALL_SIDE = 78;

/** The answer of the model: logits, probabilities, and the classes by their probability. */
export class Answer {
  /**
   * @param {Float32Array} features
   * @param {Head} head
   * @param {string} activation
   */
  constructor(features, head, activation) {
    this.features = features;
    this.head = head;
    this.logits = logitsOf(features, head);
    this.probs = probabilities(this.logits, activation);
    const classes = Array.from(this.logits, (_, c) => c);
    this.ranking = classes.sort((a, b) => this.logits[b] - this.logits[a]);
    /** @type {Map<number, Float32Array>} */
    this.maps = new Map();
  }

  /** @param {number} c */
  mapOf(c) {
    let map = this.maps.get(c);
    if (!map) {
      map = classMap(this.features, this.head, c);
      this.maps.set(c, map);
    }
    return map;
  }

  /** @param {number} c */
  sum(c) {
    const bias = this.head.bias[c];
    return `mean ${signed(this.logits[c] - bias)}, bias ${signed(bias)}, score ${signed(this.logits[c])}`;
  }
}

export class ClassMaps {
  /**
   * @param {PlayModel} model
   * @param {string[]} classNames
   * @param {() => void} onchange
   */
  constructor(model, classNames, onchange) {
    this.model = model;
    this.classNames = classNames;
    this.onchange = onchange;
    /** @type {Answer | null} */
    this.answer = null;
    // The class whose map is shown large; null for the most probable one.
    /** @type {number | null} */
    this.chosen = null;
    this.reach = SMALLEST_REACH;
    this.search = make("input", { type: "search", oninput: () => this.draw() });
    this.slots = Array.from({ length: MOST }, () => this.makeSlot());
    this.list = make("ul", { className: "class-maps" }, ...this.slots.map(({ item }) => item));
    // Before there is a map, the canvas has its shape.
    const [height, width] = model.inputShape;
    this.canvas = make("canvas", {
      height,
      width,
      role: "img",
      ariaLabel: "The map, once the model has answered",
    });
    this.bar = new ColourBar(
      "signed",
      "against and for a class, limits of all classes",
      model.palette,
    );
  }

  makeSlot() {
    const canvas = make("canvas", { role: "presentation" });
    const name = make("strong");
    const share = make("span", { className: "share" });
    const sum = make("span", { className: "sum" });
    const words = make("span", { className: "words" }, name, share, sum);
    const button = make("button", { type: "button", onclick: () => this.choose(slot.c) });
    button.append(canvas, words);
    // It is empty until there is an answer.
    const item = make("li", { hidden: true }, button);
    const slot = { c: 0, canvas, name, share, sum, button, item };
    return slot;
  }

  /** @param {number} c */
  choose(c) {
    this.chosen = this.chosen === c ? null : c;
    this.onchange();
  }

  /** The class whose map is shown large. */
  get shown() {
    return this.chosen ?? this.answer?.ranking[0] ?? 0;
  }

  /**
   * Show other classes from the next answer on.
   *
   * @param {string[]} classNames
   */
  newClasses(classNames) {
    this.classNames = classNames;
    this.chosen = null;
    this.search.value = "";
    this.newPicture();
  }

  /** Set the limits of the colours anew with the next answer. */
  newPicture() {
    this.reach = SMALLEST_REACH;
  }

  /**
   * Take another answer, which is drawn from now on.
   *
   * @param {Answer} answer
   */
  take(answer) {
    this.answer = answer;
    const listed = new Set([...answer.ranking.slice(0, MOST), this.shown]);
    // While a picture is changed the limits stay, so that its maps can be compared.
    for (const c of listed) {
      for (const value of answer.mapOf(c)) this.reach = Math.max(this.reach, Math.abs(value));
    }
  }

  /** Draw the small maps of the classes that the search finds. */
  draw() {
    const { answer } = this;
    if (!answer) return;
    const wanted = this.search.value.trim().toLowerCase();
    const { classNames } = this;
    const found = answer.ranking.filter((c) => classNames[c].toLowerCase().includes(wanted));
    this.slots.forEach((slot, position) => {
      slot.item.hidden = position >= found.length;
      if (slot.item.hidden) return;
      slot.c = found[position];
      slot.name.textContent = classNames[slot.c];
      slot.share.textContent = percent(answer.probs[slot.c]);
      slot.sum.textContent = answer.sum(slot.c);
      slot.button.style.setProperty("--share", `${100 * answer.probs[slot.c]}%`);
      slot.button.setAttribute("aria-pressed", String(slot.c === this.shown));
      const values = this.enlarged(answer.mapOf(slot.c), SMALL_SIDE, SMALL_SIDE);
      const bytes = colours(values, -this.reach, this.reach, this.model.palette);
      putPixels(slot.canvas, bytes, SMALL_SIDE, SMALL_SIDE);
    });
    this.bar.setLimits(signed(-this.reach), signed(this.reach));
  }

  /**
   * Return a map, enlarged to height × width pixels.
   *
   * @param {Float32Array} map
   * @param {number} height
   * @param {number} width
   */
  enlarged(map, height, width) {
    const [h, w] = this.model.featureShape;
    return upsample(map, [h, w], height, width);
  }

  /**
   * Paint the map of the shown class over a picture, bytes of RGB.
   *
   * @param {Uint8ClampedArray} rgb
   * @param {number} aspect
   */
  paintOver(rgb, aspect) {
    if (!this.answer) return;
    const [height, width] = this.model.inputShape;
    const values = this.enlarged(this.answer.mapOf(this.shown), height, width);
    const gray = toGray(opaque(rgb));
    const bytes = overGray(gray, values, this.reach, this.model.palette);
    putPixels(this.canvas, bytes, height, width);
    this.canvas.style.aspectRatio = String(aspect);
    this.canvas.ariaLabel = `Map of ${this.classNames[this.shown]} over the picture`;
  }
}
