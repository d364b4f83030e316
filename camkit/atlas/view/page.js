// Entry of a page on disk.

import { mount } from "./mount.js";
import { fromPage } from "./page-source.js";

mount(/** @type {HTMLElement} */ (document.getElementById("atlas")), fromPage());
