import assert from "node:assert/strict";
import { test } from "node:test";
import { fileAddress, PathMatcher } from "../../camkit/atlas/view/paths.js";

test("a path of another machine is matched by the ending that one image has", () => {
  const paths = [
    "Test/A/1.jpg",
    "Test/B/1.jpg",
    "More/A/1.jpg",
    "More/B/1.jpg",
    "Test/Äpfel/2.jpg",
  ];
  const matcher = new PathMatcher(paths.map((path, i) => [i, `/data/${path}`]));
  assert.equal(matcher.find("/data/More/A/1.jpg"), 2);
  assert.equal(matcher.find("/disk/kim/fruit/More/A/1.jpg"), 2);
  assert.equal(matcher.find("D:\\fruit\\Test\\B\\1.jpg"), 1);
  assert.equal(matcher.find("./A\u0308pfel/2.jpg"), 4);
  assert.equal(matcher.find("2.jpg"), 4);
  assert.equal(matcher.find("A/1.jpg"), null);
  assert.equal(matcher.find("/disk/kim/2.jpg"), null);
  assert.equal(matcher.find("/disk/kim/Training/Äpfel/2.jpg"), null);
});

test("the address of a file", () => {
  assert.equal(fileAddress("/data/a b/50%#?.jpg"), "file:///data/a%20b/50%25%23%3F.jpg");
  assert.equal(fileAddress("C:\\fruit\\苹果.jpg"), "file:///C:/fruit/%E8%8B%B9%E6%9E%9C.jpg");
  assert.equal(
    fileAddress("/data/Fr\udce4ulein 😀.png"),
    "file:///data/Fr%E4ulein%20%F0%9F%98%80.png",
  );
  assert.equal(fileAddress("Apple/1.jpg"), null);
  assert.equal(fileAddress("s3://bucket/1.jpg"), null);
});
