// The search of the site: below the box of every page, and as a page of its own. All words must occur in
// a section; headings count more than text, and the beginning of a word more than its middle.

/** A section of a page: address, heading, title of the page, text. */
/** @typedef {[string, string, string, string]} Section */

// How much a word counts in the heading, the title and the text.
const WEIGHTS = [12, 3, 1];

// Sections that are shown, and characters of their text.
const SHOWN = 50;
const EXCERPT = 180;
const BEFORE_MATCH = 60;

/**
 * Return how well a word matches a field, both in lower case: 4 if it is the whole field, 2 at the
 * beginning of a word, 1 inside one, else 0.
 *
 * @param {string} field
 * @param {string} word
 */
export function fieldScore(field, word) {
  if (field === word) return 4;
  const words = field.split(/[^\p{L}\p{N}]+/u);
  const begins = words.some((fieldWord) => fieldWord.startsWith(word));
  if (begins || ` ${field} `.includes(` ${word} `)) return 2;
  return field.includes(word) ? 1 : 0;
}

/**
 * Return how well the words match a section in lower case; 0 if one of them does not occur.
 *
 * @param {Section} section
 * @param {string[]} words
 */
export function sectionScore(section, words) {
  const fields = section.slice(1);
  let score = 0;
  for (const word of words) {
    const scores = fields.map((field, k) => fieldScore(field, word) * WEIGHTS[k]);
    const sum = scores.reduce((total, value) => total + value, 0);
    if (!sum) return 0;
    score += sum;
  }
  return score;
}

/**
 * Return the words of a query in lower case.
 *
 * @param {string} query
 */
export function wordsOf(query) {
  return query.toLowerCase().split(/\s+/).filter(Boolean);
}

/**
 * Return the numbers of the sections that match, best first.
 *
 * @param {Section[]} folded sections in lower case
 * @param {string[]} words
 */
export function matches(folded, words) {
  if (!words.length) return [];
  const scored = folded.map((section, n) => ({ n, score: sectionScore(section, words) }));
  const matching = scored.filter(({ score }) => score > 0);
  matching.sort((a, b) => b.score - a.score || a.n - b.n);
  return matching.map(({ n }) => n);
}

/**
 * Return a piece of a text around the first word, with dots where it was cut.
 *
 * @param {string} text
 * @param {string} word in lower case
 */
export function excerpt(text, word) {
  const start = Math.max(0, text.toLowerCase().indexOf(word) - BEFORE_MATCH);
  const end = start + EXCERPT;
  const before = start ? "… " : "";
  const after = text.length > end ? " …" : "";
  return before + text.slice(start, end) + after;
}

/**
 * Return the list item of a section.
 *
 * @param {Section} section
 * @param {string[]} words
 */
function resultItem([address, heading, title, text], words) {
  const link = document.createElement("a");
  link.href = address;
  link.textContent = heading;
  const page = document.createElement("small");
  page.textContent = heading === title ? "" : ` ${title}`;
  const line = document.createElement("p");
  line.textContent = excerpt(text, words[0]);
  const item = document.createElement("li");
  item.append(link, page, line);
  return item;
}

/**
 * Search in the sections whenever something is typed, and at once for what stands in the box and for
 * `?q=` of the address.
 *
 * @param {Section[]} sections
 */
export function startSearch(sections) {
  const box = /** @type {HTMLInputElement} */ (document.querySelector("[name=q]"));
  const form = /** @type {HTMLFormElement} */ (box.form);
  const found = /** @type {HTMLElement} */ (document.querySelector(".found"));
  const list = /** @type {HTMLElement} */ (found.querySelector("ol"));
  const status = /** @type {HTMLElement} */ (found.querySelector("[role=status]"));
  const isBelowBox = form.contains(found);
  const folded = sections.map(lowerCase);

  function search() {
    const words = wordsOf(box.value);
    const numbers = matches(folded, words);
    if (words.length) {
      status.textContent = numbers.length === 1 ? "1 section" : `${numbers.length} sections`;
    }
    const items = numbers.slice(0, SHOWN).map((n) => resultItem(sections[n], words));
    list.replaceChildren(...items);
    found.hidden = isBelowBox && !words.length;
  }

  box.value ||= new URLSearchParams(location.search).get("q") ?? "";
  box.addEventListener("input", search);
  if (isBelowBox) closeOutside(form, box, found, search);
  else box.focus();
  search();
}

/**
 * Hide what was found below a box when the reader turns to something else or presses Escape, and show
 * it again in the box.
 *
 * @param {HTMLFormElement} form around the box and what was found
 * @param {HTMLInputElement} box
 * @param {HTMLElement} found
 * @param {() => void} search
 */
function closeOutside(form, box, found, search) {
  const hide = () => {
    found.hidden = true;
  };
  for (const kind of ["focusin", "pointerdown"]) {
    document.addEventListener(kind, ({ target }) => {
      if (!form.contains(/** @type {Node} */ (target))) hide();
    });
  }
  form.addEventListener("keydown", ({ key }) => {
    if (key === "Escape") hide();
  });
  // A result may lead to a section of this page.
  found.addEventListener("click", ({ target }) => {
    if (/** @type {Element} */ (target).closest("a")) hide();
  });
  box.addEventListener("focus", search);
}

/** @param {Section} section */
function lowerCase(section) {
  const fields = section.map((field) => field.toLowerCase());
  return /** @type {Section} */ (fields);
}
