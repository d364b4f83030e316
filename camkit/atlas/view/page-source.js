// The data of a page on disk: an index that is loaded with it, and files that are read when needed.

/** @import { Detail, Entry, Index, Source, Verdict } from "./types.js" */
import { make } from "./dom.js";
import { decodeBase64 } from "./packed.js";
import { saySame } from "./verdicts.js";

/**
 * The data that page.py has written. The details of `index.chunk` images are in one file, which adds
 * itself to `chunks`; `pictures` are addresses.
 *
 * @typedef {Omit<Detail, "packed" | "verdicts"> & {packed: string}} StoredDetail
 * @typedef {{index: Index, chunks: Record<number, StoredDetail[]>, pictures: string[]}} PageData
 */

/** @implements {Source} */
class PageSource {
  /** @param {PageData} data */
  constructor({ index, chunks, pictures }) {
    this.chunks = chunks;
    this.pictures = pictures;
    this.chunkSize = index.chunk ?? pictures.length;
    this.key = `camkit-atlas ${index.id}`;
    this.index = { ...index, verdicts: [...index.verdicts, ...this.stored()] };
    /** @type {Map<string, Promise<unknown>>} */
    this.scripts = new Map();
  }

  /**
   * Return the verdicts that this browser has stored for the atlas.
   *
   * @returns {Verdict[]}
   */
  stored() {
    try {
      return JSON.parse(localStorage.getItem(this.key) ?? "[]");
    } catch {
      return [];
    }
  }

  /** @param {number} i */
  async detail(i) {
    const chunk = Math.floor(i / this.chunkSize);
    if (!this.chunks[chunk]) await this.readChunk(chunk);
    const detail = this.chunks[chunk][i - chunk * this.chunkSize];
    const verdicts = this.stored().filter((row) => row.i === i);
    return { ...detail, packed: decodeBase64(detail.packed), verdicts };
  }

  /**
   * Load a data file. A page on disk may not read files, but may run scripts, so data are scripts.
   *
   * @param {number} chunk
   */
  readChunk(chunk) {
    const src = `data/${String(chunk).padStart(5, "0")}.js`;
    const script = this.scripts.get(src) ?? loadScript(src);
    this.scripts.set(src, script);
    return script;
  }

  /** @param {number} i */
  async picture(i) {
    return this.pictures[i];
  }

  /**
   * @param {number} i
   * @param {Entry} entry
   * @param {Verdict | null} seen
   */
  async save(i, entry, seen) {
    const rows = this.stored();
    const row = { i, ...entry };
    const stored = rows.find((other) => isSameReview(other, row));
    if (stored && !saySame(stored, seen)) return { saved: false, row: stored };
    const others = rows.filter((other) => !isSameReview(other, row));
    localStorage.setItem(this.key, JSON.stringify([...others, row]));
    return { saved: true, row };
  }

  /** @param {(row: Verdict) => void} listener */
  changed(listener) {
    addEventListener("storage", (event) => {
      if (event.key === this.key) this.stored().forEach(listener);
    });
  }

  /** @param {string} text */
  exported(text) {
    const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    make("a", { href: address, download: "verdicts.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }
}

/**
 * Return whether two verdicts are on the same image and by the same reviewer.
 *
 * @param {Verdict} first
 * @param {Verdict} second
 */
function isSameReview(first, second) {
  return first.i === second.i && first.reviewer === second.reviewer;
}

/** @param {string} src */
function loadScript(src) {
  return new Promise((resolve, reject) => {
    const onerror = () => reject(new Error(`${src} is missing`));
    document.head.append(make("script", { src, onload: resolve, onerror }));
  });
}

/**
 * Return the data of this page.
 *
 * @returns {Source}
 */
export function fromPage() {
  const data = /** @type {any} */ (window).camkitAtlas;
  return new PageSource(data);
}
