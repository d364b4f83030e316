/** The types that the modules of the view share. The index and the details are written by record.py. */

export type Point = [number, number];

/** 256 colours (20 for the classes) as [red, green, blue], 0..255. */
export type Palette = number[][];

/** The verdict of one reviewer on image `i`. */
export interface Verdict {
  i: number;
  verdict: string;
  comment: string;
  reviewer: string;
}

/** What a reviewer has entered, without the image that it is about. */
export type Entry = Omit<Verdict, "i">;

export interface Fault {
  i: number;
  other: number | null;
  name: string;
  reason: string;
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
}

export interface Summary {
  lines?: string[];
  bins?: Bin[] | null;
  classes?: ClassRow[] | null;
  faults: FaultKind[];
}

/** The data of all images, there before one is chosen. Classes are numbers; -1 is "no label". */
export interface Index {
  panels: string[];
  classNames: string[];
  /** Height and width of a class map in cells. */
  cells: [number, number];
  bias: number[] | null;
  names: string[];
  paths: string[];
  labels: number[];
  predicted: number[];
  confidence: number[];
  margin: (number | null)[];
  suspicion?: number[];
  verdicts: Verdict[];
  nearTitle: string;
  palette: { evidence: Palette; signed: Palette; classes: Palette };
  clusters: number[] | null;
  points: (Point | null)[] | null;
  summary?: Summary;
  id: string;
  /** Whether the summary is unfolded at first. */
  open: boolean;
  /** The number of images in one data file of a page. */
  chunk?: number;
}

/** A group of images to look through. `true` and `predicted` are set for confused pairs only. */
export interface Group {
  title: string;
  members: number[];
  part?: string;
  true?: number;
  predicted?: number;
}

export interface About {
  name: string;
  label: number;
  predicted: number;
  confidence: number;
  /** The highest value of all maps of the image: the upper limit of its colours. */
  high: number;
  margin: number | null;
}

export interface Neighbour {
  i: number;
  likeness: number;
  label: number;
  name: string;
}

/** The details of one image; `packed` are the bytes of `pack` in _encoding.py. */
export interface Detail {
  about: About;
  near: Neighbour[];
  packed: Uint8Array;
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
  /**
   * Store a verdict on image i. `seen` is the verdict that the reviewer saw (null: none). If another one
   * has been stored since, nothing is written, and that one is returned with saved: false.
   */
  save(i: number, entry: Entry, seen: Verdict | null): Promise<{ saved: boolean; row: Verdict }>;
  /** Call `listener` for verdicts that another window has stored. */
  changed?(listener: (row: Verdict) => void): void;
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
  name: "picture" | "truth" | "answer" | "difference" | "chosen";
  caption: string;
  cells: Float32Array | null;
  low: number;
  high: number;
  palette: Palette;
  alone: boolean;
}

/** The map of features on the screen: how far it is enlarged, and which point is in the middle. */
export interface View {
  zoom: number;
  x: number;
  y: number;
}
