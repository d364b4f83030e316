// A slider with a button that moves it.

import { button, make } from "./dom.js";

// Milliseconds that it takes to play from the first position to the last one.
const DURATION = 9_000;

export class Player {
  /**
   * @param {string} name of the slider
   * @param {number} last the last position; the first one is 0
   * @param {number} start
   * @param {(position: number) => void} onmove
   */
  constructor(name, last, start, onmove) {
    this.last = last;
    this.onmove = onmove;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.timer = undefined;
    const range = { type: "range", min: 0, max: last, step: 1, value: start };
    this.slider = make("input", { ...range, oninput: () => this.take() });
    this.button = button("Play", () => this.toggle());
    const label = make("label", {}, name, this.slider);
    this.element = make("div", { className: "player" }, this.button, label);
    // In JupyterLab arrow keys would move to another cell, and the space bar would scroll.
    for (const control of [this.slider, this.button]) {
      control.setAttribute("data-lm-suppress-shortcuts", "true");
    }
    const still = matchMedia("(prefers-reduced-motion: reduce)");
    this.respect(still.matches);
    still.addEventListener("change", ({ matches }) => this.respect(matches));
  }

  get position() {
    return Number(this.slider.value);
  }

  get isPlaying() {
    return this.timer !== undefined;
  }

  /**
   * Leave only the slider to those who want no motion.
   *
   * @param {boolean} still
   */
  respect(still) {
    this.button.hidden = still;
    if (still) this.pause();
  }

  /** Follow the hand, which stops what is playing. */
  take() {
    this.pause();
    this.onmove(this.position);
  }

  toggle() {
    if (this.isPlaying) this.pause();
    else this.play();
    this.onmove(this.position);
  }

  play() {
    if (this.position === this.last) this.slider.value = "0";
    this.button.textContent = "Pause";
    this.timer = setInterval(() => this.advance(), DURATION / this.last);
  }

  pause() {
    clearInterval(this.timer);
    this.timer = undefined;
    this.button.textContent = "Play";
  }

  advance() {
    this.slider.value = String(this.position + 1);
    // A notebook may have replaced the view.
    if (this.position === this.last || !this.element.isConnected) this.pause();
    this.onmove(this.position);
  }
}
