// Photographs: from files, the clipboard and the camera to bytes.

/** @import { Photograph } from "./types.js" */
import { contextOf, make } from "./dom.js";

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

/**
 * Return a picture in a file, upright, with its pixels as they are stored.
 *
 * @param {Blob} file
 * @param {string} [behind] the colour behind what is transparent
 */
export async function readPhotograph(file, behind = "white") {
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" });
  return drawn(bitmap, bitmap.height, bitmap.width, behind);
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
    const take = () => this.take();
    const close = () => this.close();
    const buttons = make("div", { className: "tools" });
    buttons.append(make("button", { type: "button", onclick: take }, "Take the photograph"));
    buttons.append(make("button", { type: "button", onclick: close }, "Close the camera"));
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
