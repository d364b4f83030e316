// Photographs: from files, the clipboard and the camera to bytes.

/** @import { Photograph } from "./types.js" */
import { button, contextOf, make } from "./dom.js";

/**
 * Return the bytes, RGBA, of what a browser can draw. What is transparent is laid on white, as
 * camkit reads files.
 *
 * @param {ImageBitmap | HTMLVideoElement} source
 * @param {number} height
 * @param {number} width
 * @param {string} [behind] the colour behind it
 * @returns {Photograph}
 */
function drawn(source, height, width, behind) {
  const canvas = make("canvas", { height, width });
  const context = contextOf(canvas, { willReadFrequently: true });
  if (behind) {
    context.fillStyle = behind;
    context.fillRect(0, 0, width, height);
  }
  context.drawImage(source, 0, 0);
  return { bytes: context.getImageData(0, 0, width, height).data, height, width };
}

/** A file that browsers show otherwise than camkit reads it; the message says why. */
class MisreadFile extends Error {}

/**
 * Return why the file of a picture was refused, to be read after its name.
 *
 * @param {unknown} error what `readPhotograph` has thrown
 */
export function reasonOfRefusal(error) {
  if (error instanceof MisreadFile) return error.message;
  return "is not a picture that this browser can read: save it as JPEG or PNG";
}

/**
 * Return why browsers show the file with these bytes otherwise than camkit reads it, "" if they do
 * not.
 *
 * @param {ArrayBuffer} content
 */
export function reasonOfMisreading(content) {
  const data = new DataView(content);
  const tag = (/** @type {number} */ at) =>
    at + 4 <= data.byteLength ? String.fromCharCode(...new Uint8Array(content, at, 4)) : "";
  if (tag(0) === "\x89PNG" && data.byteLength > 25) {
    const [depth, kind] = [data.getUint8(24), data.getUint8(25)];
    if (depth === 16 && kind === 0)
      return "is gray of 16 bits, of which browsers show 8 only: save it with 8 bits, or use camkit.CAM";
  }
  if (tag(0) !== "RIFF" || tag(8) !== "WEBP") return "";
  for (let at = 12; tag(at); ) {
    if (at + 8 > data.byteLength) return "";
    const length = data.getUint32(at + 4, true);
    if (tag(at) === "EXIF" && isTurned(content.slice(at + 8, at + 8 + length)))
      return "is turned by its EXIF orientation, which browsers do not read in WebP: save it as JPEG or PNG";
    at += 8 + length + (length % 2);
  }
  return "";
}

/**
 * Return whether EXIF data has an orientation other than upright.
 *
 * @param {ArrayBuffer} exif
 */
function isTurned(exif) {
  const bytes = new Uint8Array(exif);
  const start = String.fromCharCode(...bytes.subarray(0, 4)) === "Exif" ? 6 : 0;
  if (bytes.length < start + 8) return false;
  const data = new DataView(exif, start);
  const isLittle = data.getUint8(0) === 0x49;
  const table = data.getUint32(4, isLittle);
  if (table + 2 > data.byteLength) return false;
  const count = data.getUint16(table, isLittle);
  for (let at = table + 2; at < table + 2 + 12 * count; at += 12) {
    if (at + 12 > data.byteLength) return false;
    if (data.getUint16(at, isLittle) === 0x0112) return data.getUint16(at + 8, isLittle) > 1;
  }
  return false;
}

/**
 * Return a picture in a file, upright, with its pixels as they are stored.
 *
 * Throws a MisreadFile if a browser shows it otherwise than camkit reads it.
 *
 * @param {Blob} file
 */
export async function readPhotograph(file) {
  const reason = reasonOfMisreading(await file.arrayBuffer());
  if (reason) throw new MisreadFile(reason);
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  return drawn(bitmap, bitmap.height, bitmap.width, "white");
}

/**
 * Return a picture at an address that has the data itself.
 *
 * @param {string} address
 */
export async function fetchPhotograph(address) {
  const response = await fetch(address);
  return readPhotograph(await response.blob());
}

/** The camera: a live picture, and a button that takes a photograph. */
export class Camera {
  /**
   * @param {(photograph: Photograph) => void} onphotograph
   * @param {(text: string) => void} say
   */
  constructor(onphotograph, say) {
    this.onphotograph = onphotograph;
    this.say = say;
    /** @type {MediaStream | null} */
    this.stream = null;
    this.video = make("video", { muted: true, ariaLabel: "The camera, live" });
    this.video.setAttribute("playsinline", "");
    const buttons = make("div", { className: "tools" });
    buttons.append(button("Take the photograph", () => this.take()));
    buttons.append(button("Close the camera", () => this.close()));
    this.element = make("div", { className: "camera", hidden: true }, this.video, buttons);
  }

  async open() {
    try {
      const wanted = { video: { facingMode: "environment" } };
      this.stream = await navigator.mediaDevices.getUserMedia(wanted);
    } catch (error) {
      const reason = error instanceof Error ? error.message || error.name : String(error);
      this.say(`The camera cannot be used (${reason}): choose a file instead.`);
      return;
    }
    this.video.srcObject = this.stream;
    this.element.hidden = false;
    await this.video.play();
  }

  take() {
    const { videoHeight, videoWidth } = this.video;
    if (!videoHeight) return;
    const photograph = drawn(this.video, videoHeight, videoWidth);
    this.close();
    this.onphotograph(photograph);
  }

  close() {
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.element.hidden = true;
  }
}
