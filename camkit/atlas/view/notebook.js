// Entry of a notebook: anywidget calls `render` and, at the end, the function that it returns.

/** @import { WidgetModel } from "./kernel-source.js" */
import { fromKernel } from "./kernel-source.js";
import { mount } from "./mount.js";

/** @param {{model: WidgetModel, el: HTMLElement}} widget */
function render({ model, el }) {
  return mount(el, fromKernel(model));
}

export default { render };
