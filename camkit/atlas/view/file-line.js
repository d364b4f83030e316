// The file of the image that is shown: its path to copy, and the way to its full size.

/** @import { Source } from "./types.js" */
import { button, field, make } from "./dom.js";
import { messageOf } from "./words.js";

export class FileLine {
  /**
   * @param {string} atlasId
   * @param {Source} source
   */
  constructor(atlasId, source) {
    this.source = source;
    /** @type {number | null} */
    this.i = null;
    this.path = make("input", { type: "text", readOnly: true });
    this.note = make("span", { role: "status", className: "note" });
    const copy = button("Copy path", () => this.copy());
    const open = button("Open full size", () => this.open());
    const line = field(atlasId, "File", this.path);
    this.element = make("div", { className: "file" }, line, copy, open, this.note);
  }

  /**
   * @param {number} i
   * @param {string} path
   */
  show(i, path) {
    this.i = i;
    this.path.value = path;
    this.note.textContent = "";
  }

  async copy() {
    this.path.select();
    try {
      await navigator.clipboard.writeText(this.path.value);
      this.note.textContent = "Copied.";
    } catch {
      // Without a clipboard the path is selected, so that Ctrl+C copies it.
      this.note.textContent = "Press Ctrl+C to copy the path.";
    }
  }

  async open() {
    if (this.i === null) return;
    try {
      const address = await this.source.fullPicture(this.i);
      window.open(address, "_blank", "noopener");
    } catch (error) {
      this.note.textContent = `The picture cannot be opened: ${messageOf(error)}`;
    }
  }
}
