// Elements of the page.

/** @import { Source } from "./types.js" */

// A notebook may show several atlases, so ids are counted over all of them.
let ids = 0;

/** Return an id that no other element of the page has. */
export function uniqueId() {
  ids += 1;
  return `camkit-${ids}`;
}

/**
 * Return an element. `on…` properties are listeners, the others properties or attributes. Children
 * are nodes or text, and text is never read as markup.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) {
      element.addEventListener(name.slice(2), value);
    } else if (name in element) {
      Object.assign(element, { [name]: value });
    } else {
      element.setAttribute(name, value);
    }
  }
  element.append(...children);
  return element;
}

/**
 * Return an SVG element.
 *
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 */
export function svg(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) {
    element.setAttribute(name, String(value));
  }
  return element;
}

/**
 * Return a text of an SVG.
 *
 * @param {string | number} text
 * @param {number} x
 * @param {number} y
 * @param {string} anchor
 */
export function svgText(text, x, y, anchor) {
  const element = svg("text", { x, y, "text-anchor": anchor });
  element.textContent = String(text);
  return element;
}

/**
 * Return the context of a canvas to draw on.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {CanvasRenderingContext2DSettings} [settings]
 */
export function contextOf(canvas, settings) {
  return /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", settings));
}

/**
 * Put pixels on a canvas, which gets their size.
 *
 * @param {HTMLCanvasElement} canvas
 * @param {Uint8ClampedArray<ArrayBuffer>} bytes RGBA
 * @param {number} height
 * @param {number} width
 */
export function putPixels(canvas, bytes, height, width) {
  Object.assign(canvas, { height, width });
  contextOf(canvas).putImageData(new ImageData(bytes, width, height), 0, 0);
}

/**
 * Show image i in an img element as soon as its address is known.
 *
 * @param {HTMLImageElement} image
 * @param {Source} source
 * @param {number} i
 */
export async function showPicture(image, source, i) {
  image.src = await source.picture(i);
}

/**
 * Return a button with a text.
 *
 * @param {string} text
 * @param {() => void} onclick
 */
export function button(text, onclick) {
  return make("button", { type: "button", onclick }, text);
}

/**
 * Return a hidden control by which pictures are chosen; the same ones can be chosen again.
 *
 * @param {string} name
 * @param {boolean} multiple
 * @param {(files: File[]) => void} onfiles
 */
export function pictureInput(name, multiple, onfiles) {
  const input = make("input", { type: "file", accept: "image/*", multiple, hidden: true });
  input.ariaLabel = name;
  input.addEventListener("change", () => {
    onfiles(Array.from(input.files ?? []));
    input.value = "";
  });
  return input;
}

/**
 * Return a control under its label.
 *
 * @param {string} atlasId
 * @param {string} text
 * @param {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} control
 */
export function field(atlasId, text, control) {
  const name = text.replaceAll(/\W+/g, "-").toLowerCase();
  control.id = `${atlasId}-${name}`;
  const label = make("label", { htmlFor: control.id }, text);
  return make("div", { className: "field" }, label, control);
}

/**
 * Return a named section.
 *
 * @param {string} className
 * @param {string} name
 * @param {...(Node | string)} content
 */
export function section(className, name, ...content) {
  return make("section", { className, ariaLabel: name }, ...content);
}

/**
 * Offer a file that is made in the page.
 *
 * @param {BlobPart[]} parts
 * @param {string} type
 * @param {string} name
 */
export function download(parts, type, name) {
  const address = URL.createObjectURL(new Blob(parts, { type }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

/**
 * Run a script file. A page on disk may not read files, but may run scripts, so its data are scripts.
 *
 * @param {string} src
 */
export function loadScript(src) {
  return new Promise((resolve, reject) => {
    const onerror = () => reject(new Error(`${src} is missing`));
    document.head.append(make("script", { src, onload: resolve, onerror }));
  });
}
