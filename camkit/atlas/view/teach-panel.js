// Classes of one's own: pictures are put into them, and a new head is trained on their features.

/** @import { EngineFiles, Head, Photograph } from "./types.js" */
import {
  button,
  download,
  field,
  make,
  pictureInput,
  putPixels,
  section,
  uniqueId,
} from "./dom.js";
import { Helper } from "./engine.js";
import { gapOf } from "./equation.js";
import { readPhotograph, reasonOfRefusal } from "./photograph.js";
import { opaque } from "./stage.js";
import { countOfPictures, messageOf } from "./words.js";

const HELP =
  "Name two classes or more, and put some pictures into each. A new head is trained at once, here " +
  "in the page; the maps and scores above are then those of your classes.";

/**
 * What the panel around it knows: the picture that is shown, and the model.
 *
 * @typedef {object} Host
 * @property {{inputShape: [number, number, number], featureShape: [number, number, number]}} model
 * @property {Uint8ClampedArray | undefined} rgb
 * @property {() => Promise<EngineFiles>} files
 * @property {(photograph: Photograph) => Uint8ClampedArray} stretched
 * @property {(rgb: Uint8ClampedArray) => Promise<Float32Array>} featuresOf
 */

/**
 * A head that was trained, and the classes in its order.
 *
 * @typedef {{head: Head, classes: OwnClass[]}} Taught
 */

/** A class: its name, and its pictures with their averaged features. */
class OwnClass {
  /**
   * @param {TeachPanel} panel
   * @param {string} name
   */
  constructor(panel, name) {
    this.panel = panel;
    /** @type {{gap: Float64Array, thumbnail: HTMLElement}[]} */
    this.pictures = [];
    this.name = make("input", { value: name, oninput: () => panel.rename() });
    this.count = make("span", { className: "help" });
    this.thumbnails = make("div", { className: "thumbnails" });
    const onfiles = (/** @type {File[]} */ files) => panel.addFiles(this, files);
    const input = pictureInput(`Pictures for ${name}`, true, onfiles);
    const buttons = make("div", { className: "tools" });
    buttons.append(button("Add the picture shown", () => panel.addShown(this)));
    buttons.append(
      button("Add files", () => input.click()),
      input,
    );
    buttons.append(button("Remove", () => panel.remove(this)));
    const label = field(panel.id, `Name of ${name}`, this.name);
    this.element = section("own-class", name, label, buttons, this.count, this.thumbnails);
    this.tell();
  }

  tell() {
    this.count.textContent = this.pictures.length
      ? `${countOfPictures(this.pictures.length)}; choose one to take it out`
      : "no picture yet";
  }

  /**
   * @param {Uint8ClampedArray} rgb
   * @param {Float64Array} gap
   */
  add(rgb, gap) {
    const [height, width] = this.panel.host.model.inputShape;
    const canvas = make("canvas");
    putPixels(canvas, opaque(rgb), height, width);
    const thumbnail = make("button", { type: "button", onclick: () => this.takeOut(picture) });
    thumbnail.ariaLabel = `Take picture ${this.pictures.length + 1} out`;
    thumbnail.append(canvas);
    const picture = { gap, thumbnail };
    this.pictures.push(picture);
    this.thumbnails.append(thumbnail);
    this.tell();
  }

  /** @param {{gap: Float64Array, thumbnail: HTMLElement}} picture */
  takeOut(picture) {
    this.pictures = this.pictures.filter((other) => other !== picture);
    picture.thumbnail.remove();
    this.tell();
    this.panel.train();
  }
}

export class TeachPanel {
  /**
   * @param {Host} host
   * @param {() => void} onchange
   */
  constructor(host, onchange) {
    this.host = host;
    this.onchange = onchange;
    this.id = uniqueId();
    /** @type {OwnClass[]} */
    this.classes = [];
    this.made = 0;
    /** The head that was trained, and the classes in its order. @type {Taught | null} */
    this.taught = null;
    /** The worker that trains a head at present. @type {Helper | null} */
    this.trainer = null;
    this.list = make("div", { className: "own-classes" });
    this.note = make("p", { className: "note", ariaLive: "polite" });
    this.download = button("Download the head", () => this.save());
    const tools = make("div", { className: "tools" });
    tools.append(
      button("Add a class", () => this.addClass()),
      this.download,
    );
    tools.append(button("Back to the classes of the model", () => this.close()));
    const help = make("p", { className: "help" }, HELP);
    const heading = make("h2", {}, "Classes of your own");
    this.content = make("div", { hidden: true }, heading, help, this.list, tools, this.note);
    this.opener = button("Teach it classes of your own", () => this.open());
    this.element = section("teach", "Classes of your own", this.opener, this.content);
  }

  open() {
    if (!this.classes.length) {
      this.addClass();
      this.addClass();
    }
    this.opener.hidden = true;
    this.content.hidden = false;
    this.train();
  }

  /** Show the classes of the model again. Those of one's own are kept. */
  close() {
    this.opener.hidden = false;
    this.content.hidden = true;
    this.trainer?.close();
    this.show(null, "");
    this.opener.focus();
  }

  addClass() {
    this.made += 1;
    const added = new OwnClass(this, `class ${this.made}`);
    this.classes.push(added);
    this.list.append(added.element);
    this.train();
  }

  /** @param {OwnClass} removed */
  remove(removed) {
    this.classes = this.classes.filter((other) => other !== removed);
    removed.element.remove();
    this.train();
  }

  /** @param {OwnClass} to */
  async addShown(to) {
    const { rgb } = this.host;
    if (!rgb) {
      this.note.textContent = "No picture is shown yet: choose one first.";
      return;
    }
    await this.add(to, rgb);
    this.train();
  }

  /**
   * @param {OwnClass} to
   * @param {File[]} files
   */
  async addFiles(to, files) {
    const refused = [];
    for (const file of files) {
      try {
        await this.add(to, this.host.stretched(await readPhotograph(file)));
      } catch (error) {
        refused.push(`${file.name} ${reasonOfRefusal(error)}.`);
      }
    }
    this.train(refused.join(" "));
  }

  /**
   * @param {OwnClass} to
   * @param {Uint8ClampedArray} rgb
   */
  async add(to, rgb) {
    const features = await this.host.featuresOf(rgb);
    to.add(rgb, gapOf(features, this.host.model.featureShape[2]));
  }

  /**
   * Train a head on all pictures, as soon as two classes have some.
   *
   * @param {string} [remark] to be shown as well
   */
  async train(remark = "") {
    try {
      const files = await this.host.files();
      // What an earlier change has begun is of no use any more.
      this.trainer?.close();
      const classes = this.classes.filter(({ pictures }) => pictures.length);
      if (classes.length < 2) {
        this.show(null, `It learns as soon as two classes have a picture. ${remark}`);
        return;
      }
      const features = classes.flatMap(({ pictures }) => pictures.map(({ gap }) => gap));
      const labels = classes.flatMap(({ pictures }, c) => pictures.map(() => c));
      this.note.textContent = "It is learning …";
      this.trainer = new Helper(files);
      const pictures = { features, labels, classes: classes.length };
      const head = await this.trainer.ask({ pictures });
      this.trainer.close();
      const count = countOfPictures(features.length);
      this.show(
        { head, classes },
        `It has learnt ${classes.length} classes from ${count}. ${remark}`,
      );
    } catch (error) {
      this.show(null, `It cannot learn in this browser: ${messageOf(error)}`);
    }
  }

  /**
   * Take a head, or none, and say so.
   *
   * @param {Taught | null} taught
   * @param {string} text
   */
  show(taught, text) {
    this.taught = taught;
    this.download.disabled = !taught;
    this.note.textContent = text.trim();
    this.onchange();
  }

  rename() {
    if (this.taught) this.onchange();
  }

  /** The names of the classes that were taught, as they are now. */
  get classNames() {
    return this.taught?.classes.map(({ name }) => name.value) ?? [];
  }

  /** Offer the head as a file: the names, and the weights as a Dense layer of Keras has them. */
  save() {
    if (!this.taught) return;
    const text = headAsJson(this.taught.head, this.classNames);
    download([text], "application/json", "head.json");
  }
}

/**
 * Return a head as JSON: class_names, kernel (K × C) and bias (C).
 *
 * @param {Head} head
 * @param {string[]} classNames
 */
export function headAsJson(head, classNames) {
  const classes = classNames.length;
  const kernel = Array.from({ length: head.kernel.length / classes }, (_, k) =>
    Array.from(head.kernel.subarray(k * classes, (k + 1) * classes)),
  );
  return JSON.stringify({ class_names: classNames, kernel, bias: Array.from(head.bias) });
}
