// What one head makes of the features: its answer, and the map of a class over the picture.

/** @import { Head, PlayHead, PlayModel } from "./types.js" */
import { Answer, ClassMaps } from "./class-maps.js";
import { make } from "./dom.js";
import { decodeFloats } from "./packed.js";
import { percent } from "./words.js";

export class HeadView {
  /**
   * @param {PlayModel} model
   * @param {PlayHead} head
   * @param {() => void} onchange
   */
  constructor(model, { name, kernel, bias, activation, classNames }, onchange) {
    this.name = name;
    /** @type {Head} */
    this.own = { kernel: decodeFloats(kernel), bias: decodeFloats(bias) };
    this.activation = activation;
    this.maps = new ClassMaps(model, classNames, onchange);
    this.caption = make("figcaption");
    this.element = make("figure", {}, this.maps.canvas, this.caption);
  }

  /**
   * Answer by the own head, or by one that was taught.
   *
   * @param {Float32Array} features
   * @param {Head} [taught]
   */
  answer(features, taught) {
    const activation = taught ? "softmax" : this.activation;
    this.maps.take(new Answer(features, taught ?? this.own, activation));
  }

  /**
   * Draw the map of the class that is shown over a picture, bytes of RGB, and return what the model
   * says.
   *
   * @param {Uint8ClampedArray} rgb
   * @param {number} aspect
   */
  draw(rgb, aspect) {
    const { answer, shown, classNames } = this.maps;
    if (!answer) return "";
    this.maps.draw();
    this.maps.paintOver(rgb, aspect);
    const map = `Map of ${classNames[shown]}`;
    const [first] = answer.ranking;
    const says = `says ${classNames[first]}, ${percent(answer.probs[first])}`;
    if (this.name) {
      this.caption.replaceChildren(make("strong", {}, this.name), ` ${says}. ${map}`);
      return `“${this.name}” ${says}. ${map}: ${answer.sum(shown)}.`;
    }
    this.caption.textContent = map;
    return `the model ${says}. ${map}: ${answer.sum(shown)}.`;
  }

  /**
   * Show the map of the class that another model shows, if it was chosen and is here as well.
   *
   * @param {ClassMaps} other
   */
  follow({ chosen, classNames }) {
    const c = chosen === null ? -1 : this.maps.classNames.indexOf(classNames[chosen]);
    this.maps.chosen = c < 0 ? null : c;
  }
}
