import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { VerdictStore } from "../../camkit/atlas/view/verdict-store.js";
import { index } from "./sample.js";

const entry = { verdict: "label wrong", comment: "", correctLabel: "Bee", reviewer: "Kim" };
const keys = ["a.1", "b.2", "c.3", "d.4", "e.5", "f.6", "g.7"];

/** A browser's storage: its keys are properties, its methods are not listed among them. */
class FakeStorage {
  /** @param {string} key */
  getItem(key) {
    return /** @type {any} */ (this)[key] ?? null;
  }

  /**
   * @param {string} key
   * @param {string} value
   */
  setItem(key, value) {
    Object.assign(this, { [key]: value });
  }

  /** @param {string} key */
  removeItem(key) {
    Reflect.deleteProperty(this, key);
  }
}

beforeEach(() => {
  Object.defineProperty(globalThis, "localStorage", {
    value: new FakeStorage(),
    configurable: true,
  });
});

/** @param {Partial<typeof index>} [changes] */
function storeOf(changes) {
  return new VerdictStore({ ...index, keys, ...changes });
}

test("a verdict is found on a page of other images, by content and name", () => {
  assert.ok(storeOf().save({ i: 2, entry, seen: null }).saved);
  const [row] = storeOf({ id: "other", keys: ["x.9", "c.3"] }).all();
  assert.deepEqual(row, {
    ...entry,
    i: 1,
    true: "Ant",
    predicted: "Bee",
    own: true,
  });
});

test("a renamed image keeps its verdict; among copies only the one of that name does", () => {
  storeOf().save({ i: 2, entry, seen: null });
  assert.deepEqual(
    storeOf({ keys: ["x.9", "c.8"] })
      .all()
      .map(({ i }) => i),
    [1],
  );
  assert.deepEqual(
    storeOf({ keys: ["c.9", "c.3"] })
      .all()
      .map(({ i }) => i),
    [1],
  );
  assert.deepEqual(storeOf({ keys: ["c.9", "c.8"] }).all(), []);
});

test("what another window has stored is neither overwritten nor lost", () => {
  const [one, two] = [storeOf(), storeOf()];
  one.save({ i: 2, entry, seen: null });
  const other = { ...entry, verdict: "other" };
  const answer = two.save({ i: 2, entry: other, seen: null });
  assert.deepEqual([answer.saved, answer.row.verdict], [false, "label wrong"]);
  assert.ok(two.save({ i: 2, entry: other, seen: entry }).saved);
  assert.equal(one.imageOf("camkit-verdicts c.3"), 2);
  assert.deepEqual(
    one.of(2).map(({ verdict }) => verdict),
    ["other"],
  );
  assert.equal(one.imageOf("something else"), null);
});

test("a verdict of the page that the reviewer knew is replaced, another one is a conflict", () => {
  const written = { ...entry, i: 2 };
  const store = storeOf({ verdicts: [written] });
  const changed = { ...entry, verdict: "ambiguous" };
  assert.ok(!store.save({ i: 2, entry: changed, seen: null }).saved);
  assert.ok(store.save({ i: 2, entry: changed, seen: written }).saved);
  assert.deepEqual(storeOf({ verdicts: [written] }).conflicts(), []);
  const there = { ...written, verdict: "other" };
  const later = storeOf({ verdicts: [there] });
  const [conflict] = later.conflicts();
  assert.equal(conflict.here.verdict, "ambiguous");
  assert.equal(conflict.there, there);
  later.save({ i: 2, entry: conflict.here, seen: conflict.here });
  assert.deepEqual(storeOf({ verdicts: [there] }).conflicts(), []);
});

test("verdicts move to a name that has none of its own", () => {
  const store = storeOf();
  for (const i of [2, 3]) store.save({ i, entry: { ...entry, reviewer: "" }, seen: null });
  store.save({ i: 3, entry, seen: null });
  assert.ok(store.rename(2, "", "Kim"));
  assert.ok(!store.rename(3, "", "Kim"));
  assert.deepEqual(
    store.all().map(({ i, reviewer }) => [i, reviewer]),
    [
      [2, "Kim"],
      [3, ""],
      [3, "Kim"],
    ],
  );
});

test("verdicts of a page of camkit 1.0 are taken over", () => {
  const old = [{ i: 2, verdict: "ambiguous", comment: "green", reviewer: "Lee" }];
  localStorage.setItem("camkit-atlas sample", JSON.stringify(old));
  const [row] = storeOf().all();
  assert.equal(row.comment, "green");
  assert.equal(storeOf().all().length, 1);
  assert.equal(localStorage.getItem("camkit-atlas sample"), null);
});

test("a page that may store nothing shows what it was written with", () => {
  Reflect.deleteProperty(globalThis, "localStorage");
  const written = { ...entry, i: 2 };
  assert.deepEqual(storeOf({ verdicts: [written] }).all(), [written]);
});

test("verdicts from a file are not those of whoever sits here; the same ones are kept once", () => {
  const store = storeOf();
  store.save({ i: 2, entry: { ...entry, reviewer: "" }, seen: null, imported: true });
  store.save({ i: 3, entry: { ...entry, reviewer: "" }, seen: null });
  assert.deepEqual(
    storeOf()
      .all()
      .map(({ i, own }) => [i, own]),
    [
      [2, false],
      [3, true],
    ],
  );
  const away = { ...entry, path: "/z/9", true: "Cat", predicted: "Ant" };
  store.keep([away]);
  store.keep([
    { ...away, comment: "again" },
    { ...away, path: "/z/8" },
  ]);
  assert.equal(storeOf().kept().length, 2);
});

test("where the browser has no room, each answer says so and nothing is lost", () => {
  const store = storeOf();
  const ambiguous = { ...entry, verdict: "ambiguous" };
  store.save({ i: 2, entry: ambiguous, seen: null });
  localStorage.setItem = () => {
    throw new Error("no room");
  };
  const answer = store.saveOrTell({ i: 2, entry, seen: ambiguous });
  assert.deepEqual([answer.saved, answer.error], [false, "no room"]);
  assert.equal(answer.row.verdict, "ambiguous");
});

test("an image of the reference that only has a verdict here is known by that", () => {
  const other = { i: 7, name: "t/7", path: "/k/t/7", label: 1, predicted: 0 };
  const changes = { keys: [...keys, "h.8"], others: [other] };
  storeOf(changes).save({ i: 7, entry, seen: null });
  assert.deepEqual(storeOf(changes).unlisted(), []);
  const [known] = storeOf({ ...changes, others: [] }).unlisted();
  assert.deepEqual(known, { i: 7, name: "t/7", path: "/k/t/7", label: 1 });
});
