import assert from "node:assert/strict";
import { test } from "node:test";

import { ApiError } from "../../static/js/api.js";
import { applyEvent, emptyAnswer } from "../../static/js/reducer.js";
import { followAnswer } from "../../static/js/stream.js";
import { createChoice } from "../../static/js/transports/choice.js";
import { createSseTransport } from "../../static/js/transports/sse.js";

const frame = (id, type, data) => `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
const LOG = [
  ["1-1", "started", { generationId: "g1", messageId: "m1" }],
  ["1-2", "delta", { text: "One " }],
  ["1-3", "delta", { text: "two " }],
  ["2-1", "snapshot", { text: "One two " }],
  ["2-2", "delta", { text: "three" }],
  ["2-3", "done", { stopReason: "end_turn" }],
];
const WIRE = new TextEncoder().encode(LOG.map((entry) => frame(...entry)).join(""));
const after = (id) => {
  const at = LOG.findIndex((entry) => entry[0] === id);
  return new TextEncoder().encode(LOG.slice(at + 1).map((entry) => frame(...entry)).join(""));
};

const sse = (bytes, { error = false } = {}) =>
  new Response(new ReadableStream({
    start(controller) {
      if (bytes.length) controller.enqueue(bytes);
      if (error) controller.error(new TypeError("network error"));
      else controller.close();
    },
  }), { headers: { "content-type": "text/event-stream", "x-generation-id": "g1" } });

const waker = () => ({
  slept: [], listen: () => () => {}, isOffline: () => false, async sleep(ms) { this.slept.push(ms); },
});

/** Follow against a script: one function per request, each gives a Response or throws. */
async function follow(script, options = {}) {
  const requests = [];
  const api = {
    async open(path, request) {
      requests.push({ path, ...request });
      return script[Math.min(requests.length, script.length) - 1](request);
    },
  };
  let answer = emptyAnswer();
  const lines = [];
  const naps = waker();
  const end = await followAnswer({
    transports: createChoice([createSseTransport({ api })]), waker: naps, random: () => 1,
    submit: { path: "/messages", body: { content: "hi" }, key: "key-1" },
    onEvent: (event) => { answer = applyEvent(answer, event); },
    onLine: (line) => lines.push(line.state),
    ...options,
  });
  return { end, answer, requests, lines, slept: naps.slept };
}

test("sends once and reads to the end", async () => {
  const { end, answer, requests } = await follow([() => sse(WIRE)]);
  assert.equal(end, "ended");
  assert.equal(answer.text, "One two three");
  assert.equal(requests.length, 1);
  assert.equal(requests[0].headers["idempotency-key"], "key-1");
  assert.equal(requests[0].headers.accept, "text/event-stream");
});

test("resumes exactly, wherever the first stream was cut and however it ended", async () => {
  for (let cut = 0; cut < WIRE.length; cut += 1) {
    for (const error of [false, true]) {
      const { answer, requests } = await follow([
        () => sse(WIRE.slice(0, cut), { error }),
        ({ headers }) => sse(headers["last-event-id"] ? after(headers["last-event-id"]) : WIRE),
      ]);
      assert.equal(answer.text, "One two three", `cut at ${cut}`);
      assert.equal(requests.length, 2);
      assert.equal(requests[1].path, "/generations/g1/events");
      assert.notEqual(requests[1].method, "POST");
    }
  }
});

test("a stream that was cut is resumed after a wait drawn anew, also the first one", async () => {
  const cut = () => sse(WIRE.slice(0, 150));
  const rest = ({ headers }) => sse(after(headers["last-event-id"]));
  assert.deepEqual((await follow([cut, rest])).slept, [500]);
  assert.deepEqual((await follow([cut, rest], { random: () => 0.5 })).slept, [250]);
  assert.deepEqual((await follow([cut, cut, rest])).slept, [500, 500]);
});

test("repeats a POST that got no answer, under the same key", async () => {
  const lost = () => { throw new ApiError({ code: "network", message: "lost" }); };
  const gateway = () => { throw new ApiError({ code: "http_502", message: "bad gateway", status: 502 }); };
  const { answer, requests } = await follow([lost, gateway, () => sse(WIRE)]);
  assert.equal(answer.text, "One two three");
  assert.deepEqual(requests.map((one) => one.headers["idempotency-key"]), ["key-1", "key-1", "key-1"]);
});

test("a refusal is not repeated", async () => {
  const refuse = () => { throw new ApiError({ code: "rate_limited", message: "slow", status: 429, retryAfter: 3 }); };
  await assert.rejects(follow([refuse]), { code: "rate_limited" });
});

test("waits as long as the server asks while resuming", async () => {
  const busy = () => { throw new ApiError({ code: "saturated", message: "busy", status: 503, retryAfter: 7 }); };
  const { slept, answer } = await follow([busy, () => sse(WIRE)], { submit: null, generationId: "g1" });
  assert.equal(slept[0], 7500);
  assert.equal(answer.text, "One two three");
});

test("offers a message again that a busy server refused, as often as is polite", async () => {
  const busy = () => { throw new ApiError({ code: "unavailable", message: "busy", status: 503, retryAfter: 2 }); };
  const { answer, slept, requests } = await follow([busy, busy, () => sse(WIRE)]);
  assert.equal(answer.text, "One two three");
  assert.deepEqual(slept, [2500, 3000]);
  assert.deepEqual(new Set(requests.map((one) => one.headers["idempotency-key"])), new Set(["key-1"]));
  await assert.rejects(follow([busy]), { code: "unavailable" });
});

test("a server that stays away while resuming is not given up", async () => {
  const away = () => { throw new ApiError({ code: "http_503", message: "away", status: 503 }); };
  const { answer, slept } = await follow([...Array(20).fill(away), () => sse(WIRE)], { submit: null, generationId: "g1" });
  assert.equal(answer.text, "One two three");
  assert.equal(slept.length, 20);
  assert.equal(Math.max(...slept), 30_000);
});

test("begins again when the server does not know the cursor", async () => {
  const unknown = () => { throw new ApiError({ code: "invalid_cursor", message: "no", status: 400 }); };
  let restarts = 0;
  const { requests } = await follow([unknown, () => sse(WIRE)], {
    submit: null, generationId: "g1", cursor: "9-9", onRestart: () => { restarts += 1; },
  });
  assert.equal(restarts, 1);
  assert.equal(requests[1].headers["last-event-id"], undefined);
});

test("a missing generation is final", async () => {
  const gone = () => { throw new ApiError({ code: "not_found", message: "no", status: 404 }); };
  await assert.rejects(follow([gone], { submit: null, generationId: "g1" }), { status: 404 });
});

test("204 means that nothing more comes", async () => {
  const { end } = await follow([() => new Response(null, { status: 204 })], { submit: null, generationId: "g1" });
  assert.equal(end, "gone");
});

test("follows the generation when the POST is answered with JSON", async () => {
  const accepted = () => new Response('{"generationId":"g1"}', { status: 202, headers: { "content-type": "application/json" } });
  const { requests, answer, slept } = await follow([accepted, () => sse(WIRE)]);
  assert.equal(requests[1].path, "/generations/g1/events");
  assert.equal(answer.text, "One two three");
  assert.deepEqual(slept, []);
});

test("reconnects when the line goes dead without closing", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const silent = ({ signal }) =>
    new Response(new ReadableStream({
      start(controller) {
        controller.enqueue(WIRE.slice(0, 150));
        signal.addEventListener("abort", () => controller.error(new TypeError("aborted")));
      },
    }), { headers: { "content-type": "text/event-stream", "x-generation-id": "g1" } });
  const following = follow([silent, ({ headers }) => sse(after(headers["last-event-id"]))]);
  await new Promise((resolve) => setImmediate(resolve));
  context.mock.timers.tick(40_001);
  assert.equal((await following).answer.text, "One two three");
});

test("stops at once when it is no longer wanted", async () => {
  const abort = new AbortController();
  abort.abort();
  await assert.rejects(follow([() => sse(WIRE)], { signal: abort.signal }), { name: "AbortError" });
});
