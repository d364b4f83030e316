import assert from "node:assert/strict";
import { test } from "node:test";
import { positionsInSight } from "../../camkit/atlas/view/tiles.js";

test("of many tiles only those in sight are made, and some beyond", () => {
  const box = { scrollTop: 0, clientHeight: 304 };
  assert.deepEqual(positionsInSight(box, 4, 100_000), { first: 0, end: 28 });
  const scrolled = { scrollTop: 760, clientHeight: 304 };
  assert.deepEqual(positionsInSight(scrolled, 4, 100_000), { first: 36, end: 64 });
});

test("a small group is made as a whole", () => {
  assert.deepEqual(positionsInSight({ scrollTop: 0, clientHeight: 304 }, 4, 5), {
    first: 0,
    end: 5,
  });
});
