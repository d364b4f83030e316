// The model in the page: images in, features out. It runs in a worker, as the training of a head does.

/** @import { EngineFiles, PlayModel } from "./types.js" */
import { loadScript } from "./dom.js";

/**
 * Return the files of the engine, which are loaded when they are first needed.
 *
 * @returns {Promise<EngineFiles>}
 */
export async function engineFiles() {
  const page = /** @type {any} */ (window);
  if (!page.camkitEngine) await loadScript("data/engine.js");
  return page.camkitEngine;
}

/** A worker, which is asked one thing at a time. */
export class Helper {
  /** @param {EngineFiles} files */
  constructor(files) {
    const code = new Blob([files.worker], { type: "text/javascript" });
    this.worker = new Worker(URL.createObjectURL(code));
  }

  /**
   * Return what the worker answers.
   *
   * @param {object} message
   * @returns {Promise<any>}
   */
  ask(message) {
    const { worker } = this;
    return new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => {
        if (data.error) reject(new Error(data.error));
        else resolve(data);
      };
      worker.onerror = (event) => reject(new Error(event.message || "the worker cannot start"));
      worker.postMessage(message);
    });
  }

  close() {
    this.worker.terminate();
  }
}

/**
 * A worker with the engine and a model.
 *
 * @typedef {{features: Float32Array, milliseconds: number}} Result
 */
export class Engine {
  /**
   * @param {PlayModel} model
   * @param {() => Promise<EngineFiles>} files
   */
  constructor(model, files) {
    this.model = model;
    this.files = files;
    // Settles when the worker has answered all that it was asked.
    this.last = Promise.resolve();
    /** @type {Helper | null} */
    this.helper = null;
  }

  /** Start the worker and load the model. */
  async start() {
    const files = await this.files();
    this.helper = new Helper(files);
    await this.helper.ask({ files, onnx: this.model.onnx });
  }

  /**
   * Return the features of an image, float32 0..255 of the model's input shape.
   *
   * @param {Float32Array} image
   * @returns {Promise<Result>}
   */
  run(image) {
    const message = { image, shape: this.model.inputShape };
    const answer = this.last.then(() => /** @type {Helper} */ (this.helper).ask(message));
    this.last = answer.catch(() => {});
    return answer;
  }

  close() {
    this.helper?.close();
  }
}
