// Entry of a page on disk.

import { mount } from "./mount.js";
import { fromPage } from "./page-source.js";

const root = /** @type {HTMLElement} */ (document.getElementById("atlas"));
mount(root, fromPage());

// Where nothing has the focus, as on a page that was just opened, keys are those of the atlas.
document.addEventListener("keydown", (event) => {
  if (event.target !== document.body) return;
  if (!root.dispatchEvent(new KeyboardEvent("keydown", event))) event.preventDefault();
});
