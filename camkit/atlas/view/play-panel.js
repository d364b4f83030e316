// The panel in which the model runs: a picture, what is done to it, and the maps of all classes.

/** @import { EngineFiles, Example, Photograph, PlayModel } from "./types.js" */
import { MOST } from "./class-maps.js";
import { button, field, make, pictureInput, section, uniqueId } from "./dom.js";
import { Engine } from "./engine.js";
import { HeadView } from "./head-view.js";
import { Camera, fetchPhotograph, readPhotograph, reasonOfRefusal } from "./photograph.js";
import { resize, toGray } from "./resample.js";
import { Scene } from "./scene.js";
import { MOVE, PAINT, Stage } from "./stage.js";
import { TeachPanel } from "./teach-panel.js";
import { messageOf } from "./words.js";

// The strongest noise, in grey levels (standard deviation).
const MOST_NOISE = 100;

export class PlayPanel {
  /**
   * @param {PlayModel} model
   * @param {() => Promise<EngineFiles>} files
   * @param {Example[]} examples pictures to begin with, which are the objects as well
   */
  constructor(model, files, examples) {
    this.model = model;
    this.files = files;
    this.examples = examples;
    this.id = uniqueId();
    const [height, width] = model.inputShape;
    this.scene = new Scene([height, width]);
    this.engine = new Engine(model, files);
    /** @type {Promise<void> | null} */
    this.starting = null;
    this.isRunning = false;
    this.isOutdated = false;
    this.stage = new Stage(this.scene, () => this.update());
    this.views = model.heads.map((head) => new HeadView(model, head, () => this.showClass()));
    /** The one whose classes are listed. @type {HeadView} */
    this.listed = this.views[0];
    this.status = make("p", { role: "status", className: "status" });
    this.speed = make("span");
    const say = (/** @type {string} */ text) => this.say(text);
    this.camera = new Camera((photograph) => this.show(photograph, "your photograph"), say);
    this.noise = this.slider(0, MOST_NOISE, 1, 0, (value) => {
      this.scene.deviation = value;
      this.update();
    });
    this.objects = make("select", { onchange: () => this.chooseObject() });
    // Several models are there to be compared.
    this.teaching = this.views.length > 1 ? null : new TeachPanel(this, () => this.teach());
    this.tools = this.makeTools();
    this.element = this.makeElement();
    this.listen();
  }

  /** @param {string} text */
  say(text) {
    this.status.textContent = text;
  }

  // The elements --------------------------------------------------------------------------------

  makeElement() {
    const picture = make("figure", {}, this.stage.element, make("figcaption", {}, this.caption()));
    const maps = this.views.map(({ element }) => element);
    const figures = make("div", { className: "pair" }, picture, ...maps);
    figures.style.setProperty("--figures", String(1 + maps.length));
    const shown = section("now", "The picture and its map", figures, this.maps.bar.element);
    shown.append(this.status, this.makeSources());
    const changes = section("changes", "Changes of the picture", this.makeControls());
    const classes = section("all-classes", "The maps of all classes", ...this.makeLists());
    if (this.teaching) classes.append(this.teaching.element);
    const columns = make("div", { className: "play-columns" }, shown, changes, classes);
    return make("div", { className: "play" }, columns, this.makeFooter());
  }

  /** The maps that are listed. */
  get maps() {
    return this.listed.maps;
  }

  makeLists() {
    const lists = this.views.map(({ name, maps }) => {
      const search = field(uniqueId(), "Search for a class", maps.search);
      search.hidden = maps.classNames.length <= MOST;
      return section("listed", name || "The model", search, maps.list);
    });
    const heading = make("h2", {}, "The map of each class");
    if (lists.length === 1) return [heading, ...lists];
    const options = this.views.map(({ name }, k) => make("option", { value: k }, name));
    const onchange = () => {
      this.listed = this.views[Number(choice.value)];
      lists.forEach((list, k) => {
        list.hidden = this.views[k] !== this.listed;
      });
    };
    const choice = make("select", { onchange }, ...options);
    onchange();
    return [heading, field(this.id, "Classes of the model", choice), ...lists];
  }

  caption() {
    const [height, width, channels] = this.model.inputShape;
    const colours = channels === 1 ? "gray" : "RGB";
    return `As the model reads it: ${height} × ${width} pixels, ${colours}. Drag on it to change it.`;
  }

  makeSources() {
    const input = pictureInput("Choose a picture", false, ([file]) => {
      if (file) this.open(file, file.name);
    });
    const choose = button("Choose a picture", () => input.click());
    const camera = button("Use the camera", () => this.camera.open());
    const tools = make("div", { className: "sources" }, choose, input, camera);
    tools.append(make("span", { className: "help" }, "or drop a picture here, or paste one."));
    const hidden = !this.examples.length;
    const examples = make("div", { className: "examples", role: "group", hidden });
    examples.ariaLabel = "Examples";
    for (const example of this.examples) {
      const image = make("img", { src: example.src, alt: example.name });
      const onclick = () => this.openExample(example);
      examples.append(make("button", { type: "button", title: example.name, onclick }, image));
    }
    return section("from", "Pictures", tools, this.camera.element, examples);
  }

  makeTools() {
    const name = `${this.id}-tool`;
    /** @type {[string, string][]} */
    const tools = [
      [PAINT, "Paint out"],
      [MOVE, "Move the object"],
    ];
    return tools.map(([tool, text]) => {
      const id = `${name}-${tool}`;
      const checked = tool === PAINT;
      const input = make("input", { type: "radio", name, id, value: tool, checked });
      input.addEventListener("change", () => this.stage.choose(tool));
      return {
        tool,
        input,
        element: make("span", {}, input, make("label", { htmlFor: id }, text)),
      };
    });
  }

  makeControls() {
    const radios = this.tools.map(({ element }) => element);
    const tools = make("fieldset", {}, make("legend", {}, "Dragging on the picture"), ...radios);
    const brush = this.slider(0.02, 0.3, 0.01, this.stage.radius, (value) => {
      this.stage.radius = value;
      this.stage.showRing();
    });
    const size = this.slider(0.1, 1, 0.05, this.scene.objectSize, (value) => {
      this.scene.objectSize = value;
      this.scene.resizeObject();
      this.update();
    });
    this.objects.append(make("option", { value: "" }, "none"));
    this.examples.forEach(({ name }, i) => {
      this.objects.append(make("option", { value: String(i) }, name));
    });
    const undo = button("Undo the stroke", () => this.undo());
    const reset = button("Picture as it was", () => this.reset());
    const controls = make("div", { className: "controls" });
    if (this.examples.length) {
      controls.append(
        tools,
        field(this.id, "Object over the picture", this.objects),
        field(this.id, "Size of the object", size),
      );
    }
    controls.append(
      field(this.id, "Brush", brush),
      field(this.id, "Noise", this.noise),
      make("div", { className: "tools" }, undo, reset),
    );
    return controls;
  }

  /**
   * @param {number} min
   * @param {number} max
   * @param {number} step
   * @param {number} value
   * @param {(value: number) => void} onvalue
   */
  slider(min, max, step, value, onvalue) {
    const input = make("input", { type: "range" });
    // The value is clipped to the limits, so they come first.
    Object.assign(input, { min, max, step, value });
    input.addEventListener("input", () => onvalue(input.valueAsNumber));
    return input;
  }

  makeFooter() {
    const size = (this.model.size / 1e6).toFixed(1);
    const text = `The model runs in this page (${size} MB with its engine); nothing leaves this computer. `;
    return make("p", { className: "help" }, text, this.speed);
  }

  // What is done to the picture -----------------------------------------------------------------

  listen() {
    const { element } = this;
    element.addEventListener("dragover", (event) => {
      event.preventDefault();
      element.classList.add("dropping");
    });
    element.addEventListener("dragleave", () => element.classList.remove("dropping"));
    element.addEventListener("drop", (event) => {
      event.preventDefault();
      element.classList.remove("dropping");
      this.openFirst(event.dataTransfer);
    });
    this.closed = new AbortController();
    const { signal } = this.closed;
    addEventListener("paste", (event) => this.openFirst(event.clipboardData), { signal });
  }

  /** @param {DataTransfer | null} data */
  openFirst(data) {
    const file = Array.from(data?.files ?? []).find(({ type }) => type.startsWith("image/"));
    if (file) this.open(file, file.name);
    else if (data?.files.length) this.say(`${data.files[0].name} is not a picture.`);
  }

  /**
   * Show a picture in a file.
   *
   * @param {Blob} file
   * @param {string} name
   */
  async open(file, name) {
    try {
      this.show(await readPhotograph(file), name);
    } catch (error) {
      this.say(`${name} ${reasonOfRefusal(error)}.`);
    }
  }

  /**
   * Show a picture at an address that the page may read.
   *
   * @param {Example} example
   */
  async openExample({ name, src }) {
    this.show(await fetchPhotograph(src), name);
  }

  /**
   * Return the pixels of a photograph, bytes of RGB, stretched to the size that the model reads, as
   * camkit reads files.
   *
   * @param {Photograph} photograph
   */
  stretched({ bytes, height, width }) {
    const [modelHeight, modelWidth, channels] = this.model.inputShape;
    const source = channels === 1 ? toGray(bytes) : bytes;
    const rgba = resize(source, [height, width, 4], [modelHeight, modelWidth]);
    return rgba.filter((_, i) => i % 4 < 3);
  }

  /**
   * Show a photograph, stretched to the size that the model reads.
   *
   * @param {Photograph} photograph
   * @param {string} name
   */
  show(photograph, name) {
    this.scene.show(this.stretched(photograph), photograph.width / photograph.height);
    this.scene.resizeObject();
    this.name = name;
    this.noise.value = "0";
    for (const { maps } of this.views) maps.newPicture();
    this.update();
  }

  async chooseObject() {
    const { value } = this.objects;
    const tool = value === "" ? PAINT : MOVE;
    for (const { tool: of, input } of this.tools) input.checked = of === tool;
    this.stage.choose(tool);
    const photograph =
      value === "" ? null : await fetchPhotograph(this.examples[Number(value)].src);
    // Another one may have been chosen in the meantime.
    if (value !== this.objects.value) return;
    if (photograph && this.model.inputShape[2] === 1) {
      photograph.bytes = toGray(photograph.bytes);
    }
    this.scene.choose(photograph);
    this.update();
  }

  undo() {
    if (this.scene.undo()) this.update();
  }

  /** Take back everything but the picture. */
  reset() {
    this.scene.reset();
    this.noise.value = "0";
    this.objects.value = "";
    this.chooseObject();
  }

  // The answer ----------------------------------------------------------------------------------

  /** Draw the picture, and ask the model as soon as it is free. */
  update() {
    this.rgb = this.scene.compose();
    this.stage.draw(this.rgb);
    this.isOutdated = true;
    if (!this.isRunning) this.run();
  }

  async run() {
    this.isRunning = true;
    try {
      while (this.isOutdated) {
        this.isOutdated = false;
        this.features = await this.featuresOf(/** @type {Uint8ClampedArray} */ (this.rgb));
        this.answer();
      }
    } catch (error) {
      this.say(`The model does not run in this browser: ${messageOf(error)}`);
    } finally {
      this.isRunning = false;
    }
  }

  /**
   * Return the features of a picture, bytes of RGB of the size that the model reads.
   *
   * @param {Uint8ClampedArray} rgb
   */
  async featuresOf(rgb) {
    await this.start();
    const channels = this.model.inputShape[2];
    const image = channels === 1 ? rgb.filter((_, i) => i % 3 === 0) : rgb;
    const result = await this.engine.run(Float32Array.from(image));
    this.speed.textContent = `${Math.max(Math.round(result.milliseconds), 1)} ms a picture.`;
    return result.features;
  }

  /** Answer with the classes of the model, or with those that were taught. */
  teach() {
    const classNames = this.teaching?.taught ? this.teaching.classNames : null;
    this.maps.newClasses(classNames ?? this.model.heads[0].classNames);
    this.answer();
  }

  answer() {
    if (!this.features) return;
    for (const view of this.views) view.answer(this.features, this.teaching?.taught?.head);
    // What is compared has the same limits.
    const reach = Math.max(...this.views.map(({ maps }) => maps.reach));
    for (const { maps } of this.views) maps.reach = reach;
    this.showAnswer();
  }

  /** Show the map of the class that was chosen, by all models. */
  showClass() {
    for (const view of this.views) {
      if (view !== this.listed) view.follow(this.maps);
    }
    this.showAnswer();
  }

  /** Start the engine, once. */
  start() {
    if (!this.starting) {
      this.say("The model is starting …");
      this.starting = this.engine.start();
    }
    return this.starting;
  }

  showAnswer() {
    const { rgb } = this;
    if (!this.maps.answer || !rgb) return;
    const lines = this.views.map((view) => view.draw(rgb, this.scene.aspect));
    this.say(`${this.name}: ${lines.join(" ")}`);
  }

  close() {
    this.closed?.abort();
    this.camera.close();
    this.engine.close();
    this.teaching?.trainer?.close();
  }
}
