import assert from "node:assert/strict";
import { test } from "node:test";

import { createSseParser } from "../../static/js/sse.js";

const WIRE = [
  ": still here\n\n",
  "id: 1-1\nevent: started\ndata: {\"a\":1}\n\n",
  "id: 1-2\r\nevent: delta\r\ndata: {\"text\":\"čau 👋\"}\r\n\r\n",
  "data: one\rdata: two\r\r",
  "event: done\ndata\nid:1-3\n\n",
].join("");
const EXPECTED = [
  { event: "started", data: '{"a":1}', id: "1-1" },
  { event: "delta", data: '{"text":"čau 👋"}', id: "1-2" },
  { event: "message", data: "one\ntwo", id: "1-2" },
  { event: "done", data: "", id: "1-3" },
];
const bytes = new TextEncoder().encode(WIRE);

const parse = (chunks) => {
  const parser = createSseParser();
  return chunks.flatMap((chunk) => parser.push(chunk));
};

test("reads fields, comments, all line endings and several data lines", () => {
  assert.deepEqual(parse([WIRE]), EXPECTED);
});

test("gives the same events when the bytes are cut at every offset", () => {
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    assert.deepEqual(parse([bytes.slice(0, cut), bytes.slice(cut)]), EXPECTED, `cut at ${cut}`);
  }
});

test("gives the same events one byte at a time", () => {
  assert.deepEqual(parse(Array.from(bytes, (byte) => Uint8Array.of(byte))), EXPECTED);
});

test("drops an event that was cut off before its blank line", () => {
  assert.deepEqual(parse(["id: 1-1\nevent: delta\ndata: {}\n"]), []);
});

test("skips a byte order mark, and ids with a NUL", () => {
  assert.deepEqual(parse(["\ufeffid: 7\ndata: x\n\nid: 8\0\ndata: y\n\n"]), [
    { event: "message", data: "x", id: "7" },
    { event: "message", data: "y", id: "7" },
  ]);
});

test("takes one blank after the colon, not more", () => {
  assert.equal(parse(["data:  two\n\n"])[0].data, " two");
  assert.equal(parse(["data:none\n\n"])[0].data, "none");
});
