// The paths of images: how other machines write them, and their addresses.

// The folders of splits; folders.py has the same names.
/** @type {Record<string, string>} */
const SPLIT_NAMES = {
  training: "training",
  train: "training",
  test: "test",
  validation: "validation",
  valid: "validation",
  val: "validation",
};

/**
 * Return the parts of a path of any system, with letters composed as most systems do.
 *
 * @param {string} path
 */
function partsOf(path) {
  const parts = path.normalize("NFC").replaceAll("\\", "/").split("/");
  return parts.filter((part) => part && part !== ".");
}

/** @param {string[]} parts */
function splitOf(parts) {
  return SPLIT_NAMES[parts.at(-3)?.toLowerCase() ?? ""];
}

/**
 * Return how many parts two paths have in common at their ends.
 *
 * @param {string[]} parts
 * @param {string[]} others
 */
function commonEnding(parts, others) {
  let length = 0;
  while (length < parts.length && parts.at(-1 - length) === others.at(-1 - length)) length += 1;
  return length;
}

/** Finds images by paths of another time or machine, as PathMatcher of verdicts.py does. */
export class PathMatcher {
  /** @param {[number, string][]} images numbers and paths */
  constructor(images) {
    /** @type {Map<string, number | null>} */
    this.found = new Map();
    /** @type {Map<string, {i: number, parts: string[]}[]>} */
    this.byName = new Map();
    for (const [i, path] of images) {
      if (this.found.has(path)) continue;
      this.found.set(path, i);
      const parts = partsOf(path);
      const name = parts.at(-1) ?? "";
      const sameName = this.byName.get(name) ?? [];
      sameName.push({ i, parts });
      this.byName.set(name, sameName);
    }
  }

  /**
   * Return the number of the image that a path is of, or null if that is not certain.
   *
   * @param {string} path
   */
  find(path) {
    const known = this.found.get(path);
    if (known !== undefined) return known;
    const i = this.byEnding(partsOf(path));
    this.found.set(path, i);
    return i;
  }

  /** @param {string[]} parts */
  byEnding(parts) {
    const split = splitOf(parts);
    const needed = Math.min(2, parts.length);
    const candidates = (this.byName.get(parts.at(-1) ?? "") ?? [])
      .filter((image) => !split || !splitOf(image.parts) || splitOf(image.parts) === split)
      .map((image) => ({ i: image.i, length: commonEnding(parts, image.parts) }))
      .filter(({ length }) => length >= needed);
    const longest = Math.max(...candidates.map(({ length }) => length));
    const best = candidates.filter(({ length }) => length === longest);
    return best.length === 1 ? best[0].i : null;
  }
}

/**
 * Return the address of a file on this machine, or null unless its path is absolute.
 *
 * @param {string} path
 */
export function fileAddress(path) {
  const [drive] = path.match(/^[A-Za-z]:(?=[\\/])/) ?? [""];
  if (!drive && !path.startsWith("/")) return null;
  const folders = drive ? path.slice(drive.length).replaceAll("\\", "/") : path;
  const parts = folders.split("/").map((part) => Array.from(part, encoded).join(""));
  return `file://${drive && `/${drive}`}${parts.join("/")}`;
}

/**
 * Return a character as an address has it. Python writes a byte that is not UTF-8 as U+DC00 plus
 * this byte.
 *
 * @param {string} character
 */
function encoded(character) {
  const byte = character.charCodeAt(0) - 0xdc00;
  const isByte = character.length === 1 && byte >= 0x80 && byte <= 0xff;
  return isByte ? `%${byte.toString(16).toUpperCase()}` : encodeURIComponent(character);
}
