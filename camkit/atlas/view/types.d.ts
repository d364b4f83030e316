/** The types that the modules of the view share. The index and the details are written by record.py. */

export type Point = [number, number];

/** 256 colours (20 for the classes) as [red, green, blue], 0..255. */
export type Palette = number[][];

/** What a reviewer has entered on an image. */
export interface Entry {
  verdict: string;
  comment: string;
  /** The class that the image should have: one of the set, or a new one. */
  correctLabel: string;
  reviewer: string;
}

export type EntryField = "verdict" | "comment" | "correctLabel";

/** The verdict of one reviewer on image `i`. `own` is one that was given in this browser. */
export interface Verdict extends Entry {
  i: number;
  own?: boolean;
}

/** A verdict by the path of its image, as a CSV file has it. */
export interface PathVerdict extends Entry {
  path: string;
  true: string;
  predicted: string;
}

/**
 * A verdict to store on image `i`; `seen` is the one that the reviewer saw (null: none). One that is
 * `imported` comes from a file.
 */
export interface Change {
  i: number;
  entry: Entry;
  seen: Entry | null;
  imported?: boolean;
}

/**
 * Whether a change was stored, and the verdict that is stored now. Without an `error`, a change is
 * not stored because another verdict has been.
 */
export interface Answer {
  saved: boolean;
  row: Verdict;
  error?: string;
}

/** Two verdicts of one reviewer on one image: the one shown here, and one from a file. */
export interface Conflict {
  here: Verdict;
  there: Verdict;
}

export interface Fault {
  i: number;
  other: number | null;
  name: string;
  reason: string;
  /** The splits of the two images in a word; "" if there is one set only. */
  split: string;
  otherSplit: string;
  /** The class that is suggested in place of the label; "" if there is none. */
  suggestion?: string;
}

export interface FaultKind {
  kind: string;
  count: number;
  meaning: string;
  rows: Fault[];
}

/** One bar of the reliability diagram: confidences from `low` to `high`. */
export interface Bin {
  low: number;
  high: number;
  n: number;
  confidence: number;
  accuracy: number;
}

export interface ClassRow {
  class: number;
  n: number;
  recall: number | null;
  precision: number | null;
  averagePrecision?: number | null;
}

/** A part of the images on which the model errs more than on the rest; `images` are its members. */
export interface Slice {
  name: string;
  size: number;
  errors: number;
  /** The share of errors in it, and in the rest. */
  share: number;
  rest: number;
  p: number;
  images: number[];
}

export interface Summary {
  lines?: string[];
  bins?: Bin[] | null;
  classes?: ClassRow[] | null;
  faults: FaultKind[];
  slices?: Slice[];
}

/** The true and the predicted labels of an image that may have several. */
export interface LabelSets {
  true: number[];
  predicted: number[];
}

/** What another model, the one before, had made of the same images; its classes have own numbers. */
export interface Comparison {
  /** What changed in words, the first to be set large. */
  lines: string[];
  changes: { name: string; images: number[] }[];
  /** The names of all classes: those of the index, then those that only the model before had. */
  classNames: string[];
  /** Height and width of a class map before in cells. */
  cells: [number, number];
  /** The classes that were predicted; -1 for images that were not analysed before. */
  predicted: number[];
  confidence: number[];
  /** Where images have several labels, those that were predicted. */
  predictedSets: number[][] | null;
  classes: {
    class: number;
    before: number;
    after: number;
    mended: number;
    broken: number;
  }[];
}

/** The data of all images, there before one is chosen. Classes are numbers; -1 is "no label". */
export interface Index {
  panels: string[];
  classNames: string[];
  /** Height and width of a class map in cells. */
  cells: [number, number];
  bias: number[] | null;
  /** Whether the class maps add up to the logits, so that cells can be struck out exactly. */
  additive: boolean;
  /** Whether each class has a sigmoid of its own. */
  multiLabel: boolean;
  /** The probabilities from which on labels are predicted, where images may have several; 0.5 if null. */
  thresholds?: number[] | null;
  names: string[];
  paths: string[];
  labels: number[];
  /** Where images have several labels, those of each; then `labels` are -1. */
  labelSets?: LabelSets[] | null;
  /** The most probable classes. */
  predicted: number[];
  confidence: number[];
  margin: (number | null)[];
  /** How few cells decide the prediction, see `Analysis.table`. */
  flipCells?: (number | null)[];
  suspicion?: number[];
  verdicts: Verdict[];
  /** Verdicts of a file on images that are not here. */
  unmatched?: PathVerdict[];
  /** Images of the reference that are listed or have verdicts. */
  others: Other[];
  metadata: Column[];
  nearTitle: string;
  palette: { evidence: Palette; signed: Palette; classes: Palette };
  clusters: number[] | null;
  points: (Point | null)[] | null;
  summary?: Summary;
  /** Whether the model runs in the page, or why it does not. */
  play?: { refusal?: string };
  comparison?: Comparison | null;
  id: string;
  /** Whether the summary is unfolded at first. */
  open: boolean;
  /** The number of images in one data file of a page. */
  chunk?: number;
  /** For each image of a page a digest of its content, a dot, and one of its name. */
  keys?: string[];
}

/** A column of metadata, by which images are filtered: numbers, or texts by their `codes`. */
export interface Column {
  name: string;
  numbers?: (number | null)[];
  values?: string[];
  codes?: number[];
}

/**
 * A group of images to look through. `true` and `predicted` are set for confused pairs only. The
 * images of a group with `inOrder` stay in the order of its members. In one of faults, those without
 * `reasons` are there for comparison.
 */
export interface Group {
  title: string;
  members: number[];
  part?: string;
  true?: number;
  predicted?: number;
  inOrder?: boolean;
  reasons?: Map<number, string>;
}

/** What a line on an image needs. */
export interface Picture {
  name: string;
  path: string;
  split: string;
  label: number;
  sets?: LabelSets;
  predicted: number;
  confidence: number;
}

/** An image that is not of the analysis; of a neighbour, only the name and the label are known. */
export type Other = Partial<Picture> & { i: number; name: string; label: number };

export interface About extends Picture {
  /** The highest value of all maps of the image: the upper limit of its colours. */
  high: number;
  margin: number | null;
}

export interface Neighbour {
  i: number;
  likeness: number;
  label: number;
  sets?: LabelSets;
  name: string;
}

/** The details of one image; `packed` are the bytes of `pack` in _encoding.py. */
export interface Detail {
  about: About;
  near: Neighbour[];
  packed: Uint8Array;
  /** The maps of the model before, with the numbers of the comparison's classes. */
  before?: Uint8Array;
  verdicts: Verdict[];
}

/** The class maps of one image: maps[m] belongs to class classes[m]. */
export interface Maps {
  classes: number[];
  logits: Float32Array;
  probs: Float32Array;
  maps: Float32Array[];
}

/** A chosen image as it is shown. */
export type Shown = Detail & Maps;

/** The source of the data of an atlas: the files of a page, or the kernel of a notebook. */
export interface Source {
  index: Index;
  detail(i: number): Promise<Detail>;
  /** The address of image i. */
  picture(i: number): Promise<string>;
  /** The address of image i as one whose pixels the page may read. */
  readablePicture(i: number): Promise<string>;
  /** The model and the engine, if the atlas has them. */
  play(): Promise<{ model: PlayModel; engine: EngineFiles }>;
  /** The address of image i at its full size. */
  fullPicture(i: number): Promise<string>;
  /**
   * Store verdicts. If another verdict than `seen` has been stored since, it stays, and it is returned
   * with saved: false.
   */
  save(changes: Change[]): Promise<Answer[]>;
  /** Give verdicts of one reviewer to another, unless he has his own; return the images. */
  rename(numbers: number[], from: string, to: string): Promise<number[]>;
  /** Keep verdicts on images that are not here for the CSV file. */
  keep?(rows: PathVerdict[]): void;
  /** Verdicts of the page that differ from those of this browser. */
  conflicts?: Conflict[];
  /** Call `listener` with all verdicts on an image when another window has changed them. */
  changed?(listener: (i: number, rows: Verdict[]) => void): void;
  /** Offer a text as a file for download. */
  exported?(text: string): void;
}

/** What the user is looking at; shared by the parts of one atlas. */
export interface Selection {
  group: Group | null;
  /** The image that was chosen last, and the one that is on the screen (`seen`). */
  current: number | null;
  seen: number | null;
  detail: Shown | null;
  image: HTMLImageElement | null;
  /** The class whose map is chosen. */
  shown: number | null;
}

/** One figure of an image: its pixels, or a class map over them (`alone`: without them). */
export interface Layer {
  /** One of FIGURES in figures.js. */
  name: string;
  caption: string;
  cells: Float32Array | null;
  low: number;
  high: number;
  palette: Palette;
  alone: boolean;
}

/** What a cell that is struck out leaves: nothing, or a mean over the remaining cells. */
export type Mean = "all" | "remaining";

/** What remains of a map above a threshold; `value` is the threshold in units of the map. */
export interface Remaining {
  pixels: Float32Array;
  mask: Uint8Array;
  value: number;
  area: number;
  /** Null if the map has no positive value. */
  evidence: number | null;
  box: [number, number, number, number];
}

/** The map of features on the screen: how far it is enlarged, and which point is in the middle. */
export interface View {
  zoom: number;
  x: number;
  y: number;
}

/** The head of a model: kernel W (K × C, row by row) and bias b (C). */
export interface Head {
  kernel: Float32Array;
  bias: Float32Array;
}

/** The engine as text: its worker, and its module and WebAssembly, gzip in base64. */
export interface EngineFiles {
  worker: string;
  module: string;
  wasm: string;
}

/** The head of a model that runs in the page. */
export interface PlayHead {
  /** The name of the model, "" if it is the only one. */
  name: string;
  /** float32 in base64, K × C and C. */
  kernel: string;
  bias: string;
  activation: string;
  classNames: string[];
}

/** A model that runs in the page, or several that share their features, as playground.py writes them. */
export interface PlayModel {
  /** The ONNX file of the features, gzip in base64. */
  onnx: string;
  inputShape: [number, number, number];
  featureShape: [number, number, number];
  heads: PlayHead[];
  palette: Palette;
  /** The bytes of the engine and of the model in the page. */
  size: number;
}

/** A picture that comes with the page; `src` is an address with the data itself. */
export interface Example {
  name: string;
  src: string;
}

/** A picture as bytes of RGBA. */
export interface Photograph {
  bytes: Uint8ClampedArray;
  height: number;
  width: number;
}
