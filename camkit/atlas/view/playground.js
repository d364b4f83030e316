// Entry of a playground: a page with a model and examples.

import { engineFiles } from "./engine.js";
import { PlayPanel } from "./play-panel.js";

const { model, examples } = /** @type {any} */ (window).camkitPlayground;
const root = /** @type {HTMLElement} */ (document.getElementById("atlas"));
root.classList.add("camkit-atlas");

const panel = new PlayPanel(model, engineFiles, examples);
root.append(panel.element);
if (examples.length) panel.openExample(examples[0]);
