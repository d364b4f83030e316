// The part of the atlas in which the picture under review is changed, and the model asked again.

/** @import { Source } from "./types.js" */
import { button, make, section } from "./dom.js";
import { PlayPanel } from "./play-panel.js";
import { messageOf } from "./words.js";

export class TryIt {
  /** @param {Source} source */
  constructor(source) {
    this.source = source;
    /** @type {PlayPanel | null} */
    this.panel = null;
    /** @type {ReturnType<Source["play"]> | null} */
    this.starting = null;
    this.picture = { i: -1, name: "" };
    // The picture that the panel shows.
    this.shown = -1;
    this.content = make("div");
    const back = button("Back to the picture under review", () => this.back());
    this.tools = make("div", { className: "sources" }, back);
    const summary = make("summary", {}, "Try it: change the picture and ask the model again");
    this.details = make("details", { ontoggle: () => this.update() }, summary, this.content);
    this.element = section("try-it", "Try it", this.details);
    const refusal = source.index.play?.refusal;
    if (refusal) this.element.replaceChildren(this.note(refusal));
  }

  /** @param {string} reason */
  note(reason) {
    return make("p", { className: "note" }, `The model does not run in this page: ${reason}`);
  }

  /**
   * Note which picture is under review, and show it if this part is unfolded.
   *
   * @param {number} i
   * @param {string} name
   */
  show(i, name) {
    this.picture = { i, name };
    this.update();
  }

  async update() {
    const { i, name } = this.picture;
    if (!this.details.open || i < 0 || this.shown === i) return;
    this.shown = i;
    try {
      const panel = await this.start();
      const src = await this.source.readablePicture(i);
      if (this.picture.i === i) await panel.openExample({ name, src });
    } catch (error) {
      this.content.replaceChildren(this.note(messageOf(error)));
    }
  }

  /** Show the picture under review again, after another file was chosen. */
  back() {
    this.shown = -1;
    this.update();
  }

  /** Return the panel, whose model is loaded when it is first needed. */
  async start() {
    if (!this.panel) {
      this.starting ??= this.source.play();
      const { model, engine } = await this.starting;
      this.panel ??= new PlayPanel(model, async () => engine, []);
      this.panel.element.prepend(this.tools);
      this.content.replaceChildren(this.panel.element);
    }
    return this.panel;
  }

  close() {
    this.panel?.close();
  }
}
