// The worker in which the model runs, or a head is trained, so that the page stays responsive.
//
// A page on disk may load neither modules nor files. So the worker gets the engine and the model as
// text, and imports the engine from an address that it makes itself.

/** @import { EngineFiles } from "./types.js" */
import { trainHead } from "./head-training.js";
import { decodeBase64 } from "./packed.js";

/** @type {any} the module of onnxruntime-web */
let ort = null;

/** @type {any} */
let session = null;

/**
 * Return the bytes of a text that is compressed by gzip and encoded in base64.
 *
 * @param {string} text
 */
async function expanded(text) {
  const bytes = decodeBase64(text);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/**
 * Load the engine and the model.
 *
 * @param {EngineFiles} files
 * @param {string} onnx
 */
async function start({ module, wasm }, onnx) {
  const code = new Blob([await expanded(module)], { type: "text/javascript" });
  ort = await import(URL.createObjectURL(code));
  ort.env.wasm.wasmBinary = await expanded(wasm);
  // Several threads would share memory, which a page on disk may not.
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const providers = { executionProviders: ["wasm"] };
  session = await ort.InferenceSession.create(await expanded(onnx), providers);
}

/**
 * Return the features of an image.
 *
 * @param {Float32Array} image
 * @param {number[]} shape
 */
async function run(image, shape) {
  const [input] = session.inputNames;
  const [output] = session.outputNames;
  const begin = performance.now();
  const results = await session.run({ [input]: new ort.Tensor("float32", image, [1, ...shape]) });
  return { features: results[output].data, milliseconds: performance.now() - begin };
}

/**
 * Return the answer to a message.
 *
 * @param {any} message
 */
async function answerTo({ files, onnx, image, shape, pictures }) {
  if (files) await start(files, onnx);
  if (image) return run(image, shape);
  if (pictures) return trainHead(pictures.features, pictures.labels, pictures.classes);
  return {};
}

addEventListener("message", async ({ data }) => {
  try {
    postMessage(await answerTo(data));
  } catch (error) {
    postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
});
