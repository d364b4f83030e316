// The data of a page on disk: an index that is loaded with it, and files that are read when needed.

/** @import { Answer, Change, Detail, Index, PathVerdict, Source, Verdict } from "./types.js" */
import { download, loadScript } from "./dom.js";
import { engineFiles } from "./engine.js";
import { decodeBase64 } from "./packed.js";
import { fileAddress } from "./paths.js";
import { VerdictStore } from "./verdict-store.js";
import { pictureOf } from "./words.js";

/**
 * The data that page.py has written. The details of `index.chunk` images are in one file, which adds
 * itself to `chunks`; `pictures` are addresses.
 *
 * @typedef {Omit<Detail, "packed" | "before" | "verdicts">} PlainDetail
 * @typedef {PlainDetail & {packed: string, before?: string}} StoredDetail
 * @typedef {Record<number, StoredDetail[]>} Chunks
 * @typedef {{index: Index, chunks: Chunks, pictures: string[], readable: Record<number, string[]>}} PageData
 */

/** @implements {Source} */
class PageSource {
  /** @param {PageData} data */
  constructor({ index, chunks, pictures, readable }) {
    this.chunks = chunks;
    this.readable = readable;
    this.pictures = pictures;
    this.chunkSize = index.chunk ?? pictures.length;
    this.store = new VerdictStore(index);
    const unmatched = [...(index.unmatched ?? []), ...this.store.kept()];
    this.index = { ...index, verdicts: this.store.all(), unmatched };
    this.conflicts = this.store.conflicts();
    index.others.push(...this.store.unlisted());
    /** @type {Map<string, Promise<unknown>>} */
    this.scripts = new Map();
  }

  /** @param {number} i */
  async detail(i) {
    const chunk = Math.floor(i / this.chunkSize);
    if (!this.chunks[chunk]) await this.load(chunk);
    const detail = this.chunks[chunk][i - chunk * this.chunkSize];
    const packed = decodeBase64(detail.packed);
    const before = detail.before === undefined ? undefined : decodeBase64(detail.before);
    return { ...detail, packed, before, verdicts: this.store.of(i) };
  }

  /**
   * Load a data file, once. A page on disk may not read files, but may run scripts, so data are
   * scripts.
   *
   * @param {number} chunk
   * @param {string} [prefix] of the file's name
   */
  load(chunk, prefix = "") {
    const src = `data/${prefix}${String(chunk).padStart(5, "0")}.js`;
    const script = this.scripts.get(src) ?? loadScript(src);
    this.scripts.set(src, script);
    return script;
  }

  /** @param {number} i */
  async picture(i) {
    return this.pictures[i];
  }

  /**
   * Return the address of a picture as data. A page on disk may show the pixels of a file, but not
   * read them.
   *
   * @param {number} i
   */
  async readablePicture(i) {
    const address = this.pictures[i];
    if (address.startsWith("data:")) return address;
    const chunk = Math.floor(i / this.chunkSize);
    if (!this.readable[chunk]) await this.load(chunk, "pictures-");
    return this.readable[chunk][i - chunk * this.chunkSize];
  }

  async play() {
    const page = /** @type {any} */ (window);
    if (!page.camkitPlay) await loadScript("data/play.js");
    return { model: page.camkitPlay, engine: await engineFiles() };
  }

  /**
   * Return the address of the file itself, if this page lies on a disk beside its pictures. A server
   * has only what was copied into the page, and a page in one file may lie on another machine.
   *
   * @param {number} i
   */
  async fullPicture(i) {
    const address = this.pictures[i];
    if (address.startsWith("data:")) {
      // A window opens no address that has the data itself.
      const data = await fetch(address);
      return URL.createObjectURL(await data.blob());
    }
    const original = fileAddress(pictureOf(this.index, i).path ?? "");
    return original && location.protocol === "file:" ? original : address;
  }

  /**
   * @param {Change[]} changes
   * @returns {Promise<Answer[]>}
   */
  async save(changes) {
    return changes.map((change) => this.store.saveOrTell(change));
  }

  /**
   * @param {number[]} numbers
   * @param {string} from
   * @param {string} to
   */
  async rename(numbers, from, to) {
    return numbers.filter((i) => this.store.rename(i, from, to));
  }

  /** @param {PathVerdict[]} rows */
  keep(rows) {
    this.store.keep(rows);
  }

  /** @param {(i: number, rows: Verdict[]) => void} listener */
  changed(listener) {
    addEventListener("storage", ({ key }) => {
      const i = this.store.imageOf(key);
      if (i !== null) listener(i, this.store.of(i));
    });
  }

  /** @param {string} text */
  exported(text) {
    // By the mark at the beginning, spreadsheets know the text as UTF-8.
    download(["\ufeff", text], "text/csv", "verdicts.csv");
  }
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
