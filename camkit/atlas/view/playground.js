// Entry of a playground: a page with a model and examples.

import { PlayPanel } from "./play-panel.js";

const { model, examples } = /** @type {any} */ (window).camkitPlayground;
const root = /** @type {HTMLElement} */ (document.getElementById("atlas"));
root.classList.add("camkit-atlas");
const panel = new PlayPanel(model, examples);
root.append(panel.element);
if (examples.length) panel.openExample(examples[0]);
