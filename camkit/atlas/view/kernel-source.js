// The data of a notebook: the kernel answers messages.

/** @import { Change, Source } from "./types.js" */

/**
 * The parts of anywidget's model that are used.
 *
 * @typedef {object} WidgetModel
 * @property {(name: string) => any} get
 * @property {(event: string, listener: (message: any, buffers: Buffer[]) => void) => void} on
 * @property {(message: object) => void} send
 */

/** @typedef {ArrayBuffer | DataView<ArrayBuffer>} Buffer */

/** @param {Buffer} buffer */
function bytesOf(buffer) {
  if (buffer instanceof ArrayBuffer) return new Uint8Array(buffer);
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/**
 * The data of the kernel. A message and its answer have the same number.
 *
 * @implements {Source}
 */
class KernelSource {
  /** @param {WidgetModel} model */
  constructor(model) {
    this.model = model;
    this.index = JSON.parse(model.get("index"));
    this.number = 0;
    /** @type {Map<number, {resolve: (answer: [any, Buffer[]]) => void, reject: (error: Error) => void}>} */
    this.waiting = new Map();
    /** @type {Map<number, Promise<string>>} */
    this.addresses = new Map();
    model.on("msg:custom", (message, buffers) => this.onAnswer(message, buffers));
  }

  /**
   * @param {any} message
   * @param {Buffer[]} buffers
   */
  onAnswer(message, buffers) {
    const question = this.waiting.get(message.number);
    this.waiting.delete(message.number);
    if (message.error) question?.reject(new Error(message.error));
    else question?.resolve([message, buffers]);
  }

  /**
   * Send a message that _widget.py answers, and return the answer with its buffers.
   *
   * @param {string} kind
   * @param {object} content
   * @returns {Promise<[any, Buffer[]]>}
   */
  ask(kind, content) {
    this.number += 1;
    const { number } = this;
    return new Promise((resolve, reject) => {
      this.waiting.set(number, { resolve, reject });
      this.model.send({ kind, number, ...content });
    });
  }

  /** @param {number} i */
  async detail(i) {
    const [message, [packed, before]] = await this.ask("detail", { i });
    return { ...message, packed: bytesOf(packed), before: before && bytesOf(before) };
  }

  /** @param {number} i */
  picture(i) {
    const address = this.addresses.get(i) ?? this.askPicture(i);
    this.addresses.set(i, address);
    return address;
  }

  /**
   * @param {number} i
   * @param {boolean} [full]
   */
  async askPicture(i, full = false) {
    const [message, [file]] = await this.ask("picture", { i, full });
    return URL.createObjectURL(new Blob([bytesOf(file)], { type: message.type }));
  }

  /** @param {number} i */
  readablePicture(i) {
    return this.picture(i);
  }

  async play() {
    const [message] = await this.ask("play", {});
    return message.play;
  }

  /** @param {number} i */
  fullPicture(i) {
    return this.askPicture(i, true);
  }

  /** @param {Change[]} changes */
  async save(changes) {
    const [message] = await this.ask("save", { changes });
    return message.answers;
  }

  /**
   * @param {number[]} numbers
   * @param {string} from
   * @param {string} to
   */
  async rename(numbers, from, to) {
    const [message] = await this.ask("rename", { numbers, old: from, new: to });
    return message.moved;
  }
}

/**
 * Return the data that the kernel behind a widget has.
 *
 * @param {WidgetModel} model
 * @returns {Source}
 */
export function fromKernel(model) {
  return new KernelSource(model);
}
