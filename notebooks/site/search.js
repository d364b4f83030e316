// The search page: all words must be found in a section; headings count more than text, beginnings of words more than ends.

const sections = SECTIONS;
const box = document.querySelector("[name=q]");
const list = document.getElementById("results"), told = document.querySelector("[role=status]");
const folded = sections.map(fields => fields.map(field => field.toLowerCase()));

function worth([, heading, title, text], words) {
  let sum = 0;
  for (const word of words) {
    const found = [[heading, 12], [title, 3], [text, 1]].reduce((best, [field, weight]) => {
      const begins = field.split(/[^\p{L}\p{N}]+/u).some(one => one.startsWith(word)) || ` ${field} `.includes(` ${word} `);
      return best + (field === word ? 4 : begins ? 2 : field.includes(word) ? 1 : 0) * weight;
    }, 0);
    if (!found) return 0;
    sum += found;
  }
  return sum;
}

function search() {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = words.length ? folded.map((fields, n) => [worth(fields, words), n]).filter(([value]) => value) : [];
  found.sort((one, other) => other[0] - one[0] || one[1] - other[1]);
  if (words.length) told.textContent = found.length === 1 ? "1 section" : `${found.length} sections`;
  list.replaceChildren(...found.slice(0, 50).map(([, n]) => {
    const [address, heading, title, text] = sections[n];
    const at = Math.max(0, folded[n][3].indexOf(words[0]) - 60);
    const item = document.createElement("li"), link = document.createElement("a"), from = document.createElement("small");
    link.href = address;
    link.textContent = heading;
    from.textContent = heading === title ? "" : ` ${title}`;
    const line = document.createElement("p");
    line.textContent = `${at ? "… " : ""}${text.slice(at, at + 180)}${text.length > at + 180 ? " …" : ""}`;
    item.append(link, from, line);
    return item;
  }));
}

box.value = new URLSearchParams(location.search).get("q") ?? "";
box.addEventListener("input", search);
box.focus();
search();
