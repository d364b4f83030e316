// Entry of a page inside a frame, which gets the height of its content.

import { mount } from "./mount.js";
import { fromPage } from "./page-source.js";

mount(/** @type {HTMLElement} */ (document.getElementById("atlas")), fromPage());

const frame = /** @type {HTMLElement} */ (window.frameElement);
const content = document.documentElement;
new ResizeObserver(() => {
  frame.style.height = `${content.offsetHeight}px`;
}).observe(content);
