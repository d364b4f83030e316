// A small analysis: two Ants and a Bee are right, an Ant is taken for a Bee, a Bee twice for an Ant, and
// one image has no label.

/** @import { Index, Shown } from "../../camkit/atlas/view/types.js" */

/** @type {Index} */
export const index = {
  panels: ["summary", "pairs", "classes", "review", "near", "features"],
  classNames: ["Ant", "Bee", "Cat"],
  cells: [1, 2],
  bias: [0.5, -0.25, 0],
  additive: true,
  multiLabel: false,
  names: ["a/0", "a/1", "a/2", "b/3", "b/4", "b/5", "x/6"],
  paths: ["/a/0", "/a/1", "/a/2", "/b/3", "/b/4", "/b/5", "/x/6"],
  labels: [0, 0, 0, 1, 1, 1, -1],
  predicted: [0, 0, 1, 1, 0, 0, 2],
  confidence: [0.9, 0.6, 0.8, 0.7, 0.5, 0.95, 0.4],
  margin: [2, 0.5, -1, 1, -0.25, -3, null],
  suspicion: [0, 0, 0, 0, 0, 0, 0],
  verdicts: [],
  others: [],
  metadata: [],
  nearTitle: "Nearest pictures",
  palette: { evidence: [], signed: [], classes: [] },
  clusters: null,
  points: null,
  id: "sample",
  open: false,
};

/**
 * Return image 2, an Ant taken for a Bee, with the maps of some classes.
 *
 * @param {number[]} classes
 * @returns {Shown}
 */
export function errorDetail(classes = [0, 1, 2]) {
  const maps = [
    [1, 2],
    [3, -1],
    [0, 0],
  ];
  const about = {
    name: "a/2",
    path: "/a/2",
    split: "",
    label: 0,
    predicted: 1,
    confidence: 0.8,
    high: 3,
    margin: -1,
  };
  return {
    about,
    near: [],
    packed: new Uint8Array(),
    verdicts: [],
    classes,
    logits: Float32Array.from(classes, (c) => [1, 2, -0.5][c]),
    probs: Float32Array.from(classes, (c) => [0.25, 0.5, 0.125][c]),
    maps: classes.map((c) => Float32Array.from(maps[c])),
  };
}
