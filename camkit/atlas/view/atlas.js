// The error atlas: groups of pictures, maps of any class, the map of GAP features, neighbours, verdicts. One module for
// notebooks (anywidget calls `render`) and for pages (which call `mount(root, fromPage())`).
//
// A source gives what is known; record.py says what `index` and a packed detail hold.
//   index                       what is known of all pictures
//   detail(i)                   a promise of what belongs to picture i: {about, packed, near, verdicts}
//   picture(i)                  a promise of its address
//   keep(i, row, seen)          stores a verdict; a promise of {kept, row}: where another stood than `seen`, that one

// --- Mathematics, as camkit.upsample and camkit.overlay have it

/** For each of `size` pixels the two of n cells between which it lies, and the share of the second (half-pixel). */
export function interpolation(n, size) {
  return Array.from({ length: size }, (_, i) => {
    const position = Math.min(Math.max((i + 0.5) * n / size - 0.5, 0), n - 1);
    const low = Math.min(Math.floor(position), Math.max(n - 2, 0));
    return [low, Math.min(low + 1, n - 1), position - low];
  });
}

/** A map (h × w numbers) enlarged to height × width. */
export function upsample(cells, [h, w], height, width) {
  const rows = interpolation(h, height), columns = interpolation(w, width), out = new Float32Array(height * width);
  rows.forEach(([top, bottom, down], y) => columns.forEach(([left, right, across], x) => {
    const upper = cells[top * w + left] * (1 - across) + cells[top * w + right] * across;
    const lower = cells[bottom * w + left] * (1 - across) + cells[bottom * w + right] * across;
    out[y * width + x] = upper * (1 - down) + lower * down;
  }));
  return out;
}

/** The colours of values, from `low` to `high`, as opaque RGBA bytes; a palette has 256, picked as matplotlib does. */
export function colours(values, low, high, palette) {
  const span = high > low ? high - low : 1, out = new Uint8ClampedArray(4 * values.length);
  values.forEach((value, i) => {
    const share = Math.min(Math.max((value - low) / span, 0), 1);
    out.set(palette[Math.min(Math.floor(share * 256), 255)], 4 * i);
    out[4 * i + 3] = 255;
  });
  return out;
}

/** What record.pack has packed: {classes, logits, probs, maps}, maps as Float32Array of h × w cells each. */
export function unpack(bytes, [h, w]) {
  const size = h * w, count = bytes.byteLength / (20 + size), view = new DataView(bytes.buffer, bytes.byteOffset);
  const column = k => Float32Array.from({ length: count }, (_, m) => view.getFloat32(4 * (k * count + m), true));
  const classes = Array.from({ length: count }, (_, m) => view.getUint32(16 * count + 4 * m, true));
  const [low, step, logits, probs] = [0, 1, 2, 3].map(column);
  const maps = classes.map((_, m) => Float32Array.from(
    bytes.subarray(20 * count + m * size, 20 * count + (m + 1) * size), cell => low[m] + step[m] * cell));
  return { classes, logits, probs, maps };
}

// --- Groups of pictures: pure functions of the index

/** [{title, part, members, true, predicted}]: all, errors, confused pairs (most frequent first), classes, clusters. */
export function groups(index) {
  const { labels, predicted, classNames: names } = index, every = labels.map((_, i) => i);
  const wrong = every.filter(i => labels[i] >= 0 && labels[i] !== predicted[i]);
  const grouped = (key, of = every) => {
    const found = new Map();
    for (const i of of) if (key(i) >= 0) (found.get(key(i)) ?? found.set(key(i), []).get(key(i))).push(i);
    return [...found].sort((a, b) => a[0] - b[0]);
  };
  const pairs = grouped(i => labels[i] * names.length + predicted[i], wrong).sort((a, b) => b[1].length - a[1].length);
  return [
    { part: "Pictures", title: "all pictures", members: every },
    ...(wrong.length ? [{ part: "Pictures", title: "all errors", members: wrong }] : []),
    ...pairs.map(([k, members]) => {
      const [t, p] = [Math.floor(k / names.length), k % names.length];
      return { part: "Confused pairs", title: `${names[t]} taken for ${names[p]}`, members, true: t, predicted: p };
    }),
    ...grouped(i => labels[i]).map(([c, members]) => ({ part: "True class", title: names[c], members })),
    ...grouped(i => predicted[i]).map(([c, members]) => (
      { part: "Predicted class", title: `predicted ${names[c]}`, members })),
    ...(index.clusters ? grouped(i => index.clusters[i]).map(([k, members]) => (
      { part: "Clusters", title: `cluster ${k + 1}: ${mostly(index, members)}`, members })) : []),
  ];
}

function mostly({ predicted, classNames }, members) {
  const counts = new Map();
  members.forEach(i => counts.set(predicted[i], (counts.get(predicted[i]) ?? 0) + 1));
  return [...counts].sort((a, b) => b[1] - a[1]).slice(0, 2).map(([c]) => classNames[c]).join(", ");
}

/** The members in an order: "confidence" (highest first; "doubt": lowest), "margin" (lowest), "suspicion" (highest). */
export function ordered(index, members, by) {
  if (by === "file") return members;
  const sign = by === "margin" || by === "doubt" ? 1 : -1, values = index[by === "doubt" ? "confidence" : by];
  return [...members].sort((a, b) => sign * ((values[a] ?? Infinity) - (values[b] ?? Infinity)) || a - b);
}

/** The points [[x, y] or null] inside a closed polygon, by the parity of crossings. */
export function inside(points, polygon) {
  return points.flatMap((point, i) => {
    if (!point) return [];
    const [x, y] = point;
    let odd = false;
    for (let a = 0, b = polygon.length - 1; a < polygon.length; b = a++) {
      const [xa, ya] = polygon[a], [xb, yb] = polygon[b];
      if ((ya > y) !== (yb > y) && x < (xb - xa) * (y - ya) / (yb - ya) + xa) odd = !odd;
    }
    return odd ? [i] : [];
  });
}

/** Rows as RFC 4180 has them; what a spreadsheet would run as a formula becomes text, as verdicts.py has it. */
export function csv(rows) {
  const cell = value => {
    const text = String(value ?? "").replace(/^'*[=+\-@\t\r]/, "'$&");
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map(row => row.map(cell).join(",") + "\n").join("");
}

// --- Parts of the view: plain elements, every control named

export const VERDICTS = ["not reviewed", "label wrong", "ambiguous", "background", "resolution", "other"];
const ORDERS = { confidence: "most confident first", doubt: "least confident first", margin: "lowest margin first",
                 suspicion: "most suspect label first", file: "by file" };
const percent = value => `${(100 * value).toFixed(1)} %`;
const signed = value => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(2);
let mounted = 0;                                              // ids stay unique where a notebook shows several

/** An element; `on…` are listeners, the rest properties or attributes. Text is always text, never markup. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Shows picture i in an image, once its address is known. */
const load = (image, source, i) => source.picture(i).then(address => { image.src = address; });

/** The tiles of many pictures, of which only those in sight exist; arrows, Home and End move. */
function tiles(name, source, describe, choose) {
  const TILE = 76, id = `camkit-${++mounted}`;
  const space = make("div", { role: "presentation" });
  const box = make("div", { className: "tiles", role: "listbox", tabIndex: 0, ariaLabel: name }, space);
  let members = [], at = -1;
  const across = () => Math.max(1, Math.floor(box.clientWidth / TILE));

  function draw() {
    const columns = across(), first = Math.max(0, Math.floor(box.scrollTop / TILE) - 1) * columns;
    const last = Math.min(members.length, first + (Math.ceil(box.clientHeight / TILE) + 3) * columns);
    space.style.height = `${Math.ceil(members.length / columns) * TILE}px`;
    const wanted = new Set(members.slice(first, last).map((i, k) => `${first + k}:${i}:${columns}`));
    const there = new Map([...space.children].map(child => [child.dataset.key, child]));
    there.forEach((child, key) => wanted.has(key) || child.remove());
    for (let k = first; k < last; k++) {
      const i = members[k], key = `${k}:${i}:${columns}`;
      const tile = there.get(key) ?? tileOf(i, k, key, columns);
      tile.ariaSelected = String(k === at);
    }
    box.setAttribute("aria-activedescendant", at >= first && at < last ? `${id}-${at}` : "");
  }

  function tileOf(i, k, key, columns) {
    const said = describe(i), image = make("img", { alt: "" });
    const tile = make("div", { role: "option", id: `${id}-${k}`, title: said, ariaLabel: said,
      className: "tile", ariaSetSize: members.length, ariaPosInSet: k + 1, onclick: () => go(k) }, image);
    tile.dataset.key = key;
    Object.assign(tile.style, { left: `${k % columns * TILE}px`, top: `${Math.floor(k / columns) * TILE}px` });
    load(image, source, i);
    space.append(tile);
    return tile;
  }

  function go(k) {
    at = Math.min(Math.max(k, 0), members.length - 1);
    const row = Math.floor(at / across()) * TILE;
    if (row < box.scrollTop) box.scrollTop = row;
    if (row + TILE > box.scrollTop + box.clientHeight) box.scrollTop = row + TILE - box.clientHeight;
    draw();
    if (at >= 0) choose(members[at]);
  }

  box.addEventListener("scroll", draw);
  box.addEventListener("keydown", event => {
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across(), ArrowUp: -across(),
                    Home: -members.length, End: members.length };
    if (!(event.key in steps)) return;
    event.preventDefault();
    event.stopPropagation();
    go(at + steps[event.key]);
  });
  const observer = new ResizeObserver(draw);
  observer.observe(box);
  return { box, step: by => go(at + by), close: () => observer.disconnect(),
           show(list) { members = list; at = list.length ? 0 : -1; box.scrollTop = 0; draw(); } };
}

/** A canvas that takes part by keyboard, drawn at the screen's own resolution: `paint(context, width, height)`. */
function board(name, className, paint) {
  const canvas = make("canvas", { className, tabIndex: 0, role: "application", ariaLabel: name });
  const redraw = () => {
    const ratio = window.devicePixelRatio || 1, { clientWidth: width, clientHeight: height } = canvas;
    if (!width || !height) return;
    Object.assign(canvas, { width: width * ratio, height: height * ratio });
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    paint(context, width, height);
  };
  const observer = new ResizeObserver(redraw), night = matchMedia("(prefers-color-scheme: dark)");
  observer.observe(canvas);
  night.addEventListener("change", redraw);
  const place = event => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const ink = name => {
    canvas.style.color = `var(${name})`;
    return getComputedStyle(canvas).color;
  };
  return { canvas, redraw, place, ink,
           close() { observer.disconnect(); night.removeEventListener("change", redraw); } };
}

/** The confusion matrix: true classes in rows; colour shows errors only, as camkit.plots.confusion has it. */
function matrix(index, all, choose, tell) {
  const n = index.classNames.length, cells = new Map();
  all.filter(group => group.true !== undefined).forEach(group => cells.set(group.true * n + group.predicted, group));
  const present = [...new Set([...index.labels.filter(c => c >= 0), ...index.predicted])].sort((a, b) => a - b);
  const top = Math.max(1, ...[...cells.values()].map(group => group.members.length));
  const right = present.map(() => 0), at = [0, 0];
  index.labels.forEach((c, i) => { if (c >= 0 && c === index.predicted[i]) right[present.indexOf(c)]++; });
  const cell = (row, column) => cells.get(present[row] * n + present[column]);

  const help = "Confusion matrix: arrow keys move, Enter shows the pictures";
  const drawn = board(help, "matrix", (context, width, height) => {
    const side = Math.min(width, height) / present.length;
    const [ink, wrong, accent] = ["--ink", "--wrong", "--accent"].map(drawn.ink);
    context.clearRect(0, 0, width, height);
    present.forEach((_, row) => present.forEach((_, column) => {
      const count = row === column ? right[row] : cell(row, column)?.members.length ?? 0;
      context.globalAlpha = row === column ? 0.15 : count ? 0.25 + 0.75 * count / top : 0.06;
      context.fillStyle = row === column || !count ? ink : wrong;
      context.fillRect(column * side, row * side, Math.max(side - 1, side * 0.9), Math.max(side - 1, side * 0.9));
      context.globalAlpha = 1;
      if (side < 22 || !count) return;
      context.fillStyle = ink;
      context.font = "11px system-ui";
      context.textAlign = "center";
      context.fillText(count, (column + 0.5) * side, (row + 0.5) * side + 4);
    }));
    context.strokeStyle = accent;
    context.lineWidth = 2;
    context.strokeRect(at[1] * side + 1, at[0] * side + 1, side - 2, side - 2);
  });
  const say = () => tell(`true ${index.classNames[present[at[0]]]}, predicted ${index.classNames[present[at[1]]]}: ` +
    `${at[0] === at[1] ? right[at[0]] : cell(...at)?.members.length ?? 0} pictures`);
  const pick = () => {
    const [t, p] = at.map(k => present[k]);
    if (t !== p && cell(...at)) choose(cell(...at));
    if (t !== p || !right[at[0]]) return;
    const members = index.labels.flatMap((c, i) => c === t && index.predicted[i] === t ? [i] : []);
    choose({ title: `${index.classNames[t]}, rightly named`, members });
  };
  drawn.canvas.addEventListener("keydown", event => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (!step && event.key !== "Enter") return;
    event.preventDefault();
    event.stopPropagation();
    if (step) [0, 1].forEach(k => { at[k] = Math.min(Math.max(at[k] + step[k], 0), present.length - 1); });
    else pick();
    drawn.redraw();
    say();
  });
  drawn.canvas.addEventListener("pointermove", event => point(event));
  drawn.canvas.addEventListener("click", event => { if (point(event)) pick(); });
  function point(event) {
    const { clientWidth, clientHeight } = drawn.canvas, side = Math.min(clientWidth, clientHeight) / present.length;
    const [column, row] = drawn.place(event).map(value => Math.floor(value / side));
    if (row >= present.length || column >= present.length || row < 0 || column < 0) return false;
    [at[0], at[1]] = [row, column];
    drawn.redraw();
    say();
    return true;
  }
  return drawn;
}

/** The map of GAP features: wheel, + and − zoom; a drag is a lasso, with Shift it moves; arrows go to the next point. */
function scatter(index, choose, gather, hover) {
  const points = index.points, view = { zoom: 1, x: 0.5, y: 0.5 };
  const every = points.flatMap((point, i) => point ? [i] : []);
  let order = every, inGroup = null, current = null, path = null, from = null;
  const place = ([x, y], width, height) => {
    const side = view.zoom * (Math.min(width, height) - 16);
    return [width / 2 + (x - view.x) * side, height / 2 + (y - view.y) * side];
  };
  const drawn = board("Map of GAP features: arrows go to the next point, L takes the 30 nearest, + and − zoom",
    "features", (context, width, height) => {
      context.clearRect(0, 0, width, height);
      const size = points.length > 3000 ? 3 : 6, [wrong, accent] = ["--wrong", "--accent"].map(drawn.ink);
      for (const i of order) {
        const [x, y] = place(points[i], width, height), c = index.labels[i] >= 0 ? index.labels[i] : index.predicted[i];
        context.globalAlpha = inGroup && !inGroup.has(i) ? 0.25 : 1;
        context.fillStyle = `rgb(${index.palette.classes[c % index.palette.classes.length]})`;
        context.fillRect(x - size / 2, y - size / 2, size, size);
        if (index.labels[i] >= 0 && index.labels[i] !== index.predicted[i]) {
          context.strokeStyle = wrong;
          context.lineWidth = 1.5;
          context.strokeRect(x - size / 2 - 1, y - size / 2 - 1, size + 2, size + 2);
        }
      }
      context.globalAlpha = 1;
      context.strokeStyle = accent;
      context.lineWidth = 2.5;
      if (current !== null && points[current]) {
        context.beginPath();
        context.arc(...place(points[current], width, height), 10, 0, 7);
        context.stroke();
      }
      if (path) {
        context.beginPath();
        path.forEach(([x, y], k) => k ? context.lineTo(x, y) : context.moveTo(x, y));
        context.stroke();
      }
    });
  const { canvas } = drawn, size = () => [canvas.clientWidth, canvas.clientHeight];
  const distances = ([x, y]) => points.map((point, i) => {
    if (!point) return [Infinity, i];
    const [a, b] = place(point, ...size());
    return [(a - x) ** 2 + (b - y) ** 2, i];
  });
  const nearest = (at, within = 400) => {
    const [distance, i] = distances(at).reduce((best, one) => one[0] < best[0] ? one : best, [Infinity, null]);
    return distance <= within ? i : null;
  };
  function zoom(factor) {
    view.zoom = Math.min(Math.max(view.zoom * factor, 1), 60);
    if (current !== null && points[current] && factor > 1) [view.x, view.y] = points[current];
    if (view.zoom === 1) [view.x, view.y] = [0.5, 0.5];
    drawn.redraw();
  }
  canvas.addEventListener("wheel", event => {
    if (canvas.getRootNode().activeElement !== canvas) return;                  // else the page scrolls
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.25 : 0.8);
  }, { passive: false });
  canvas.addEventListener("pointerdown", event => {
    canvas.setPointerCapture(event.pointerId);
    from = drawn.place(event);
    path = event.shiftKey ? null : [from];
  });
  canvas.addEventListener("pointermove", event => {
    const at = drawn.place(event);
    if (!from) return hover(nearest(at));
    if (path) path.push(at);
    else {
      const side = view.zoom * (Math.min(...size()) - 16);
      [view.x, view.y] = [view.x - (at[0] - from[0]) / side, view.y - (at[1] - from[1]) / side];
      from = at;
    }
    drawn.redraw();
  });
  canvas.addEventListener("pointerup", event => {
    const at = drawn.place(event), polygon = path;
    from = path = null;
    const reach = polygon ? Math.max(...polygon.map(([x, y]) => Math.hypot(x - polygon[0][0], y - polygon[0][1]))) : 0;
    drawn.redraw();
    if (reach > 8) {
      const found = inside(points.map(point => point && place(point, ...size())), polygon);
      if (found.length) gather(found, "inside the lasso");
    } else if (polygon) {
      const i = nearest(at);
      if (i !== null) choose(i);
    }
  });
  canvas.addEventListener("pointerleave", () => hover(null));
  canvas.addEventListener("keydown", event => {
    const along = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
    const key = event.key.toLowerCase();
    if (!along && !["+", "=", "-", "l", "enter"].includes(key)) return;
    event.preventDefault();
    event.stopPropagation();
    const known = current !== null && points[current];
    const start = known ? place(points[current], ...size()) : size().map(value => value / 2);
    if (along) {                                              // the nearest within 45° of the arrow's direction
      const next = distances(start).filter(([distance, i]) => {
        if (i === current || distance === Infinity || distance < 1e-6) return false;
        const [x, y] = place(points[i], ...size());
        return (x - start[0]) * along[0] + (y - start[1]) * along[1] >= Math.sqrt(distance / 2);
      }).reduce((best, one) => one[0] < best[0] ? one : best, [Infinity, null])[1];
      if (next !== null) choose(next);
    } else if (key === "l") {
      const near = distances(start).filter(([distance]) => distance < Infinity).sort((a, b) => a[0] - b[0]);
      gather(near.slice(0, 30).map(([, i]) => i), "nearest in the map");
    } else if (key === "enter") {
      if (current !== null) choose(current);
    } else zoom(key === "-" ? 0.8 : 1.25);
  });
  /** Brings a group to the front, and rings picture i. */
  function show(members, i) {
    inGroup = new Set(members);
    order = [...every].sort((a, b) => inGroup.has(a) - inGroup.has(b));
    current = i;
    drawn.redraw();
  }
  return { ...drawn, zoom, show };
}

/** A picture of a map: over the picture where one is given, else alone; its canvas has the picture's own pixels. */
function paintMap(canvas, image, cells, shape, low, high, palette, alone) {
  Object.assign(canvas, { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d"), { width, height } = canvas;
  if (!alone) context.drawImage(image, 0, 0);
  if (!cells) return;
  const layer = make("canvas", { width, height });
  const bytes = colours(upsample(cells, shape, height, width), low, high, palette);
  layer.getContext("2d").putImageData(new ImageData(bytes, width, height), 0, 0);
  context.globalAlpha = alone ? 1 : 0.5;                      // a file's pixels may be shown here, but not be read
  context.drawImage(layer, 0, 0);
}

/** What a manager reads: accuracy, reliability, the worst pairs, every class, the faults in the data. */
function overview(index, all, source, choose, gather) {
  const { summary } = index, names = index.classNames, parts = [];
  const card = (heading, ...content) => parts.push(
    make("section", { className: "card", ariaLabel: heading }, make("h3", {}, heading), ...content));
  const table = (name, heads, rows) => make("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: name },
    make("table", {}, make("thead", {}, make("tr", {}, ...heads.map(text => make("th", { scope: "col" }, text)))),
      make("tbody", {}, ...rows.map(row => make("tr", {}, ...row.map(value => make("td", {}, value)))))));
  card("Result", ...summary.lines.map((line, k) => make("p", { className: k ? "" : "large" }, line)));
  const pairs = all.filter(group => group.part === "Confused pairs").slice(0, 8);
  if (pairs.length) card("Most confused", make("ul", { className: "plain" }, ...pairs.map(group => make("li", {},
    make("button", { type: "button", onclick: () => gather(group) }, `${group.title} (${group.members.length})`)))));
  if (summary.bins) card("How far its confidence can be trusted", reliability(summary.bins),
    table("Reliability", ["confidence", "pictures", "of them right"],
      summary.bins.map(bin => [`${percent(bin.low)} to ${percent(bin.high)}`, String(bin.n), percent(bin.accuracy)])));
  if (summary.classes) card("Every class, least recall first", table("Precision and recall",
    ["class", "pictures", "recall", "precision"], summary.classes.map(row => [names[row.class], String(row.n),
      row.recall === null ? "–" : percent(row.recall), row.precision === null ? "–" : percent(row.precision)])));
  for (const { kind, count, rows, meaning } of summary.faults ?? [])
    card(`Data: ${kind} (${count})`, make("p", {}, meaning), make("ul", { className: "plain faults" }, ...rows.map(row => {
      const shots = [row.i, row.other].filter(i => i !== null).map(i => {
        const image = make("img", { alt: "", width: 48, height: 48 });
        new IntersectionObserver((seen, observer) => {
          if (!seen.some(entry => entry.isIntersecting)) return;
          observer.disconnect();
          load(image, source, i);
        }).observe(image);
        return image;
      });
      return make("li", {}, make("button", { type: "button", onclick: () => choose(row.i) }, ...shots,
        make("span", {}, make("b", {}, row.name), ` ${row.reason}`)));
    })), ...(count > rows.length ? [make("p", {}, `The first ${rows.length} of ${count}.`)] : []));
  return make("div", { className: "overview" }, ...parts);
}

/** The reliability diagram as SVG: a bar a bin, as high as its accuracy, over the diagonal where it should end. */
function reliability(bins) {
  const svg = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
    return element;
  };
  const picture = svg("svg", { viewBox: "-34 -6 246 240", role: "img", class: "reliability",
    "aria-label": "Reliability diagram: share of right answers over confidence; the table beside it has the numbers" });
  bins.forEach(({ low, high, accuracy }) => picture.append(svg("rect", { class: "bar", x: 200 * low + 1,
    y: 200 * (1 - accuracy), width: Math.max(200 * (high - low) - 2, 1), height: 200 * accuracy })));
  picture.append(svg("path", { class: "axis", d: "M0 0V200H200" }), svg("path", { class: "ideal", d: "M0 200L200 0" }));
  const write = (text, x, y, anchor) => {
    picture.append(svg("text", { x, y, "text-anchor": anchor }));
    picture.lastChild.textContent = text;
  };
  for (const share of [0, 0.5, 1]) {
    write(100 * share, 200 * share, 215, "middle");
    write(100 * share, -5, 204 - 200 * share, "end");
  }
  write("confidence, %", 100, 230, "middle");
  return picture;
}

// --- The whole

/** Shows an atlas inside `root`; gives back a function that removes it. */
export function mount(root, source) {
  const { index } = source, names = index.classNames, shape = index.cells;
  const all = groups(index), id = `camkit-${++mounted}`;
  const has = panel => index.panels.includes(panel);
  const state = { group: null, current: null, seen: null, shown: null, detail: null, stored: null };
  const rows = new Map(index.verdicts.map(row => [`${row.i} ${row.reviewer}`, row]));
  const later = new AbortController(), closing = [() => later.abort()];
  const named = (text, control) => {
    control.id = `${id}-${text.replaceAll(/\W+/g, "-").toLowerCase()}`;
    return make("div", { className: "field" }, make("label", { htmlFor: control.id }, text), control);
  };
  const labelOf = c => c >= 0 ? names[c] : "no label";
  const truth = c => c >= 0 ? `true ${names[c]}` : "no label";
  const said = i => `${index.names[i]}: ${truth(index.labels[i])}, ` +
    `predicted ${names[index.predicted[i]]} (${percent(index.confidence[i])})`;

  const status = make("p", { role: "status", className: "told" });
  const note = make("p", { role: "status", className: "note" });
  const list = make("select", { size: 9, onchange: () => showGroup(all[list.value]) });
  for (const part of new Set(all.map(group => group.part)))
    list.append(make("optgroup", { label: part }, ...all.flatMap((group, k) => group.part === part
      ? [make("option", { value: k }, `${group.title} (${group.members.length})`)] : [])));
  const orders = Object.keys(ORDERS).filter(by => ["doubt", "file"].includes(by) || index[by]?.some(value => value));
  const order = make("select", { onchange: () => showGroup(state.group) },
    ...orders.map(by => make("option", { value: by }, ORDERS[by])));
  const shots = tiles("Pictures of the group", source, said, choose);
  closing.push(shots.close);
  const heading = make("h3", { className: "group" });

  const search = make("input", { type: "search", autocomplete: "off", oninput: drawClasses });
  const classes = make("select", { size: 7, onchange: () => { state.shown = Number(classes.value); draw(); } });
  const figure = name => make("figure", { className: name }, make("canvas", { role: "img" }), make("figcaption"));
  const kinds = ["picture", "truth", "answer", "difference", "chosen"];
  const figures = Object.fromEntries(kinds.map(name => [name, figure(name)]));
  const bar = name => make("div", { className: `bar ${name}` }, make("span"),
    make("canvas", { width: 256, height: 1, role: "presentation" }), make("span"), make("em"));
  const bars = { evidence: bar("evidence"), signed: bar("signed") };
  for (const name of ["evidence", "signed"])
    bars[name].children[1].getContext("2d").putImageData(new ImageData(colours(
      Float32Array.from({ length: 256 }, (_, k) => k / 255), 0, 1, index.palette[name]), 256, 1), 0, 0);
  const near = make("ul", { className: "plain near" });

  const verdict = make("select", { onchange: keep },
    ...VERDICTS.map((text, k) => make("option", { value: text }, `${k} ${text}`)));
  const comment = make("textarea", { rows: 2, onchange: keep });
  const reviewer = make("input", { type: "text", autocomplete: "name", onchange: recall });
  const others = make("ul", { className: "plain others" });

  const hovered = make("div", { className: "hovered" }, make("img", { alt: "" }), make("span"));
  const lassoed = (members, title) => showGroup({ title, members });
  const cloud = has("features") && index.points ? scatter(index, i => choose(i), lassoed, hover) : null;
  if (cloud) closing.push(cloud.close);
  const wrongs = all.find(group => group.title === "all errors")?.members ?? [];
  const where = make("p", { role: "status", className: "note" }, "True classes in rows, predicted ones in columns.");
  const tell = text => { where.textContent = text; };
  const square = has("pairs") && wrongs.length ? matrix(index, all, showGroup, tell) : null;
  if (square) closing.push(square.close);

  const section = (className, ariaLabel, wanted, ...content) => wanted
    ? [make("section", { className, ariaLabel }, ...content)] : [];
  const tool = (text, name, onclick) => make("button", { type: "button", ariaLabel: name, title: name, onclick }, text);
  const keys = { "← → other picture": true, "/ search a class": has("classes"), "0 to 5 verdict": has("review") };
  const help = make("p", { className: "help" }, `Keys: ${Object.keys(keys).filter(key => keys[key]).join(", ")}.`);
  const sum = `${index.bias ? "mean, bias = " : ""}logit`;
  root.classList.add("camkit-atlas");
  root.dataset.lmSuppressShortcuts = "true";                  // for JupyterLab
  root.replaceChildren(
    ...(has("summary") ? [make("details", { className: "summary", open: index.open }, make("summary", {}, "Summary"),
      overview(index, all, source, choose, showGroup))] : []),
    make("div", { className: "columns" },
      make("section", { className: "browse", ariaLabel: "Groups of pictures" }, named("Pictures of", list),
        ...(square ? [make("details", {}, make("summary", {}, "Confusion matrix"), square.canvas, where)] : []),
        named("Order", order), heading, shots.box, help),
      make("div", { className: "main" },
        make("section", { className: "shown", ariaLabel: "Picture and maps" },
          make("div", { className: "figures" }, ...Object.values(figures)),
          make("div", { className: "bars" }, bars.evidence, bars.signed), status),
        make("div", { className: "panels" },
          ...section("classes", "Classes", has("classes"), named("Search a class (/)", search),
            named(`Map of class · probability · ${sum}`, classes)),
          ...section("review", "Review", has("review"), named("Verdict (0 to 5)", verdict), named("Comment", comment),
            named("Reviewer", reviewer), others, note, ...(source.exported ? [
              make("button", { type: "button", onclick: () => source.exported(table()) }, "Save verdicts as CSV")] : [])),
          ...section("nearest", "Nearest pictures", has("near"), make("h3", {}, index.nearTitle), near),
          ...section("features", "Features", cloud, make("h3", {}, "Map of GAP features (t-SNE)"),
            make("div", { className: "tools" }, tool("+", "Zoom in", () => cloud.zoom(1.5)),
              tool("−", "Zoom out", () => cloud.zoom(1 / 1.5)), make("span", { className: "help" },
                `Drag for a lasso, Shift and drag to move${wrongs.length ? "; a red frame marks an error" : ""}.`)),
            make("div", { className: "cloud" }, cloud?.canvas ?? "", hovered))))));

  function hover(i) {
    hovered.style.visibility = i === null ? "hidden" : "visible";
    if (i === null) return;
    hovered.children[1].textContent = said(i);
    load(hovered.children[0], source, i);
  }

  function showGroup(group) {
    state.group = group;
    const known = all.indexOf(group);
    list.value = known >= 0 ? String(known) : "";
    const members = ordered(index, group.members, order.value);
    heading.textContent = `${group.title}: ${members.length} ${members.length === 1 ? "picture" : "pictures"}`;
    shots.show(members);
    if (members.length) choose(members[0]);
  }

  async function choose(i) {
    state.current = i;
    try {
      const [detail, address] = await Promise.all([source.detail(i), source.picture(i)]);
      const image = new Image();
      image.src = address;
      await image.decode();
      if (state.current !== i) return;                        // another was chosen in the meantime
      Object.assign(state, { detail: { ...detail, ...unpack(detail.packed, shape) }, image, seen: i });
    } catch (error) {
      if (state.current === i) status.textContent = `This picture cannot be shown: ${error.message ?? error}`;
      return;
    }
    const { about, classes: kept } = state.detail;
    if (has("pairs") || !kept.includes(state.shown)) state.shown = about.predicted;      // else the class stays
    for (const row of state.detail.verdicts) rows.set(`${i} ${row.reviewer}`, row);
    note.textContent = "";
    cloud?.show(state.group.members, i);
    drawClasses();
    drawNear();
    recall();
    draw();
  }

  function drawClasses() {
    if (!state.detail) return;
    const asked = search.value.trim().toLowerCase(), { classes: kept, logits, probs } = state.detail;
    const parts = m => index.bias ? `${signed(logits[m] - index.bias[kept[m]])} ${signed(index.bias[kept[m]])} = ` : "";
    const found = kept.map((_, m) => m).filter(m => names[kept[m]].toLowerCase().includes(asked))
      .sort((a, b) => logits[b] - logits[a]);
    classes.replaceChildren(...found.map(m => make("option", { value: kept[m], selected: kept[m] === state.shown },
      `${names[kept[m]]} · ${percent(probs[m])} · ${parts(m)}${signed(logits[m])}`)));
    if (kept.length < names.length) classes.append(make("option", { disabled: true },
      `(${kept.length} of ${names.length} classes are kept for this picture)`));
    if (asked && found.length && !found.some(m => kept[m] === state.shown)) { state.shown = kept[found[0]]; draw(); }
  }

  function drawNear() {
    near.replaceChildren(...state.detail.near.map(one => {
      const image = make("img", { alt: "", width: 64, height: 64 });
      load(image, source, one.i);
      return make("li", {}, make("button", { type: "button", title: one.name, onclick: () => choose(one.i) }, image,
        make("span", {}, labelOf(one.label), make("br"), `likeness ${one.likeness.toFixed(3)}`)));
    }));
  }

  function draw() {
    const { about, classes: kept, maps, logits, probs } = state.detail, { image } = state;
    const of = c => maps[kept.indexOf(c)], high = Math.max(about.high, 1e-6);
    const isWrong = about.label >= 0 && about.label !== about.predicted;
    const t = isWrong ? of(about.label) : null, p = of(about.predicted);
    const difference = t && p ? p.map((value, k) => value - t[k]) : null;
    const reach = difference ? Math.max(1e-6, ...difference.map(Math.abs)) : 1, name = about.name;
    const paint = (which, wanted, text, cells, low, top, palette, alone) => {
      figures[which].hidden = !wanted;
      if (!wanted) return;
      const [canvas, caption] = figures[which].children;
      canvas.ariaLabel = `${text}, ${name}`;
      caption.textContent = text;
      paintMap(canvas, image, cells, shape, low, top, palette, alone);
    };
    const { evidence, signed: both } = index.palette;
    paint("picture", true, about.label >= 0 ? `true: ${labelOf(about.label)}` : "picture", null);
    paint("truth", t && has("pairs"), `true class: ${labelOf(about.label)}`, t, 0, high, evidence);
    paint("answer", p && has("pairs"), `predicted: ${names[about.predicted]}`, p, 0, high, evidence);
    paint("difference", difference && has("pairs"), "predicted minus true", difference, -reach, reach, both, true);
    const other = ![t && about.label, about.predicted].includes(state.shown);
    const wanted = !has("pairs") || (has("classes") && other);
    paint("chosen", wanted, `map of ${names[state.shown]}`, of(state.shown), 0, high, evidence);
    const shown = Object.values(figures).filter(figure => !figure.hidden);
    shown[0].parentElement.style.setProperty("--shown", shown.length);
    const ends = (bar, ...texts) => bar.querySelectorAll("span, em").forEach((end, k) => { end.textContent = texts[k]; });
    ends(bars.evidence, "0", high.toFixed(2), "evidence for a class");
    ends(bars.signed, signed(-reach), signed(reach), "difference");
    bars.signed.hidden = figures.difference.hidden;
    const m = kept.indexOf(state.shown), c = state.shown;
    const mean = index.bias && `mean ${signed(logits[m] - index.bias[c])}, with the bias ${signed(index.bias[c])} the `;
    status.textContent = `${name}: ${truth(about.label)}, ` +
      `predicted ${names[about.predicted]} (${percent(about.confidence)})` +
      (isWrong && about.margin !== null ? `, ahead by ${(-about.margin).toFixed(2)} in the logit` : "") +
      `. Map of ${names[c]}: ${mean ?? ""}logit ${signed(logits[m])}, probability ${percent(probs[m])}.`;
  }

  function recall() {
    if (!has("review") || state.current === null) return;
    const mine = rows.get(`${state.current} ${reviewer.value}`);
    state.stored = mine ?? null;
    if (mine && !VERDICTS.includes(mine.verdict) && ![...verdict.options].some(option => option.value === mine.verdict))
      verdict.append(make("option", { value: mine.verdict }, mine.verdict));
    verdict.value = mine?.verdict ?? VERDICTS[0];
    comment.value = mine?.comment ?? "";
    verdict.disabled = comment.disabled = state.current >= index.labels.length;      // neighbours are not under review
    const theirs = [...rows.values()].filter(row => row.i === state.current && row.reviewer !== reviewer.value);
    others.replaceChildren(...theirs.map(row => make("li", {},
      `${row.reviewer || "without a name"}: ${[row.verdict, row.comment].filter(Boolean).join(", ")}`)));
    count();
  }

  function count(text = "") {
    const done = new Set([...rows.values()].filter(row => row.verdict !== VERDICTS[0]).map(row => row.i));
    const number = wrongs.filter(i => done.has(i)).length;
    const reviewed = wrongs.length ? `${number} of ${wrongs.length} errors reviewed.` : `${done.size} pictures reviewed.`;
    note.textContent = `${text} ${reviewed}`.trim();
  }

  async function keep() {
    if (state.seen !== state.current) return;                 // no verdict on what is not yet to be seen
    const i = state.current, asked = { verdict: verdict.value, comment: comment.value, reviewer: reviewer.value };
    const result = await source.keep(i, asked, state.stored).catch(error => ({ error }));
    if (result.error) return count(`Not kept: ${result.error.message ?? result.error}`);
    rows.set(`${i} ${asked.reviewer}`, { i, ...result.row });
    if (state.current !== i) return;
    recall();
    count(result.kept ? `Kept: ${result.row.verdict}.` :
      `Not kept: changed elsewhere in the meantime to “${result.row.verdict}”. Choose again to replace it.`);
  }

  function table() {
    const label = i => index.labels[i] >= 0 ? names[index.labels[i]] : "";
    return csv([["path", "true", "predicted", "verdict", "comment", "reviewer"], ...[...rows.values()].map(row => [
      index.paths[row.i], label(row.i), names[index.predicted[row.i]], row.verdict, row.comment, row.reviewer])]);
  }

  root.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    event.stopPropagation();                                  // JupyterLab's own keys rest while focus is in here
    if (event.target.closest("input, textarea")) return;
    if (event.key === "/" && has("classes")) { event.preventDefault(); search.focus(); }
    if (event.target.closest("select")) return;
    if (has("review") && /^[0-5]$/.test(event.key) && !verdict.disabled) {
      verdict.value = VERDICTS[event.key];
      keep();
    }
    if (event.key === "ArrowRight") shots.step(1);
    if (event.key === "ArrowLeft") shots.step(-1);
  }, { signal: later.signal });
  source.changed?.(row => { rows.set(`${row.i} ${row.reviewer}`, row); if (row.i === state.current) recall(); });

  hover(null);
  const start = has("pairs") ? "Confused pairs" : index.clusters ? "Clusters" : "True class";
  order.value = index.clusters ? "doubt" : "confidence";      // without labels, doubt is all there is to go by
  showGroup(all.find(group => group.part === start) ?? all[0]);
  return () => { closing.forEach(close => close()); root.replaceChildren(); };
}

// --- Sources

/** Bytes written as base64. */
function bytesOf(text) {
  return Uint8Array.from(atob(text), character => character.charCodeAt(0));
}

/** A page: the index lies in `window.camkitAtlas`, details in scripts that are read when they are needed. */
export function fromPage(atlas = window.camkitAtlas) {
  const { index, chunks, pictures } = atlas, reading = new Map(), key = `camkit-atlas ${index.id}`;
  const stored = () => { try { return JSON.parse(localStorage.getItem(key)) ?? []; } catch { return []; } };
  const content = row => JSON.stringify([row?.verdict ?? VERDICTS[0], row?.comment ?? ""]);
  index.verdicts = [...index.verdicts, ...stored()];
  const read = k => {
    const src = `data/${String(k).padStart(5, "0")}.js`;
    if (!reading.has(k)) reading.set(k, new Promise((resolve, reject) => document.head.append(make("script", {
      src, onload: resolve, onerror: () => reject(new Error(`${src} is missing`)) }))));
    return reading.get(k);
  };
  return {
    index,
    async detail(i) {
      const k = Math.floor(i / index.chunk);
      if (!chunks[k]) await read(k);
      const found = chunks[k][i - k * index.chunk];
      return { ...found, packed: bytesOf(found.packed), verdicts: stored().filter(row => row.i === i) };
    },
    picture: async i => pictures[i],
    async keep(i, row, seen) {
      const others = stored().filter(one => one.i !== i || one.reviewer !== row.reviewer);
      const there = stored().find(one => one.i === i && one.reviewer === row.reviewer);
      if (there && content(there) !== content(seen)) return { kept: false, row: there };
      localStorage.setItem(key, JSON.stringify([...others, { i, ...row }]));
      return { kept: true, row: { i, ...row } };
    },
    changed: tell => addEventListener("storage", event => { if (event.key === key) stored().forEach(tell); }),
    exported(text) {
      const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
      make("a", { href: address, download: "verdicts.csv" }).click();
      setTimeout(() => URL.revokeObjectURL(address), 1000);
    },
  };
}

/** A notebook: what the kernel knows comes by messages, each answered by its number. */
export function fromModel(model) {
  const waiting = new Map(), addresses = new Map();
  let number = 0;
  model.on("msg:custom", (message, buffers) => {
    const [resolve, reject] = waiting.get(message.number) ?? [];
    waiting.delete(message.number);
    if (message.error) reject?.(new Error(message.error)); else resolve?.([message, buffers]);
  });
  const ask = (kind, content) => new Promise((resolve, reject) => {
    waiting.set(++number, [resolve, reject]);
    model.send({ kind, number, ...content });
  });
  const bytes = buffer => new Uint8Array(buffer.buffer ?? buffer, buffer.byteOffset ?? 0, buffer.byteLength);
  return {
    index: JSON.parse(model.get("index")),
    detail: i => ask("detail", { i }).then(([message, [packed]]) => ({ ...message, packed: bytes(packed) })),
    picture(i) {
      if (!addresses.has(i)) addresses.set(i, ask("picture", { i }).then(([message, [file]]) =>
        URL.createObjectURL(new Blob([bytes(file)], { type: message.type }))));
      return addresses.get(i);
    },
    keep: (i, row, seen) => ask("keep", { i, row, seen }).then(([message]) => message),
  };
}

export default { render: ({ model, el }) => mount(el, fromModel(model)) };
