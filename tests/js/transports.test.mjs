import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { statusOf } from "../../static/js/api.js";
import { listenForNotices } from "../../static/js/notices.js";
import { applyEvent, emptyAnswer } from "../../static/js/reducer.js";
import { followAnswer } from "../../static/js/stream.js";
import { createChoice } from "../../static/js/transports/choice.js";
import { createLookTransport } from "../../static/js/transports/look.js";
import { createSocketTransport } from "../../static/js/transports/socket.js";

const FRAMES = [
  { type: "started", id: "1-1", generationId: "g1", messageId: "m1" },
  { type: "delta", id: "1-2", generationId: "g1", text: "One " },
  { type: "delta", id: "1-3", generationId: "g1", text: "two" },
  { type: "done", id: "1-4", generationId: "g1", stopReason: "end_turn" },
];

const waker = (more) => ({
  slept: [], listen: () => () => {}, isOffline: () => false, isHidden: () => false,
  async sleep(ms) { this.slept.push(ms); }, ...more,
});

/** A WebSocket class whose sockets do what `script` says: one function per socket. */
function scriptedSockets(script) {
  const sockets = [];
  class Scripted extends EventTarget {
    constructor() {
      super();
      this.readyState = 0;
      this.sent = [];
      sockets.push(this);
      const act = script[Math.min(sockets.length, script.length) - 1];
      setImmediate(() => act(this));
    }
    open() {
      this.readyState = 1;
      this.dispatchEvent(new Event("open"));
    }
    say(...frames) {
      for (const frame of frames) this.dispatchEvent(Object.assign(new Event("message"), { data: JSON.stringify(frame) }));
    }
    end(code) {
      this.readyState = 3;
      this.dispatchEvent(Object.assign(new Event("close"), { code }));
    }
    send(text) { this.sent.push(JSON.parse(text)); }
    close() { if (this.readyState < 2) this.readyState = 2; }
  }
  return { WebSocket: Scripted, sockets };
}

const plays = (...frames) => (socket) => {
  socket.open();
  socket.say({ type: "pong" }, ...frames);
};
const resumes = (socket) => {
  socket.open();
  const { after } = socket.sent[0];
  socket.say({ type: "pong" }, ...FRAMES.slice(FRAMES.findIndex((one) => one.id === after) + 1));
};

const SUBMIT = { path: "/messages", body: { content: "hi" }, key: "k1",
  frame: { type: "send", conversationId: "c1", content: "hi" } };
const silent = { name: "sse", read: ({ signal }) =>
  new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted")))) };

async function follow(transports, options = {}) {
  let answer = emptyAnswer();
  const lines = [];
  const accepted = [];
  const end = await followAnswer({
    transports, waker: waker(), random: () => 0.5, generationId: "g1",
    onEvent: (event) => { answer = applyEvent(answer, event); },
    onLine: (line) => lines.push(line),
    onAccepted: (id) => accepted.push(id),
    ...options,
  });
  return { end, answer, lines, accepted };
}

test("a stream that says nothing is resumed over a WebSocket, after the last event", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const { WebSocket, sockets } = scriptedSockets([resumes]);
  const following = follow(createChoice([silent, createSocketTransport({ url: "ws://x", WebSocket })]), { cursor: "1-2" });
  await new Promise((resolve) => setImmediate(resolve));
  context.mock.timers.tick(5_001);
  const { answer, lines } = await following;
  assert.deepEqual(sockets[0].sent[0], { type: "resume", generationId: "g1", after: "1-2" });
  assert.equal(answer.text, "two");
  assert.deepEqual(lines.at(-1), { state: "open", via: "socket", again: true, moved: true });
});

test("a socket cut twice gives way to the other transport, and nothing is read twice", async () => {
  const cuts = (socket) => {
    resumes(socket);
    socket.end(1006);
  };
  const half = (socket) => {
    socket.open();
    socket.say({ type: "pong" }, FRAMES[0], FRAMES[1]);
    socket.end(1006);
  };
  const { WebSocket } = scriptedSockets([half, (socket) => socket.end(1006), cuts]);
  const asked = [];
  const sse = { name: "sse", async read({ cursor, onAlive, onEvent }) {
    asked.push(cursor);
    onAlive();
    for (const { type, id, ...data } of FRAMES.slice(2)) onEvent({ type, id, data });
    return "cut";
  } };
  const { answer, end } = await follow(createChoice([createSocketTransport({ url: "ws://x", WebSocket }), sse]));
  assert.equal(end, "ended");
  assert.deepEqual(asked, ["1-2"]);
  assert.equal(answer.text, "One two");
});

test("a socket that says that it is over is not opened again", async () => {
  const { WebSocket, sockets } = scriptedSockets([plays({ type: "over", generationId: "g1" })]);
  const { end, answer } = await follow(createChoice([createSocketTransport({ url: "ws://x", WebSocket })]), { cursor: "1-4" });
  assert.equal(end, "gone");
  assert.equal(answer.text, "");
  assert.equal(sockets.length, 1);
});

test("a message whose POST hangs is sent over the socket under the same key", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const { WebSocket, sockets } = scriptedSockets([
    plays({ type: "accepted", generationId: "g1", messageId: "m1", clientId: "k1" }, ...FRAMES),
  ]);
  const following = follow(createChoice([silent, createSocketTransport({ url: "ws://x", WebSocket })]),
    { generationId: null, submit: SUBMIT });
  await new Promise((resolve) => setImmediate(resolve));
  context.mock.timers.tick(5_001);
  const { answer, accepted } = await following;
  assert.deepEqual(sockets[0].sent[0], { ...SUBMIT.frame, clientId: "k1" });
  assert.deepEqual(accepted, ["g1"]);
  assert.equal(answer.text, "One two");
});

test("where no stream comes through, plain requests send and look, and the streams are tried between", async () => {
  const broken = (name) => ({ name, read: async () => "cut" });
  const requests = [];
  const looks = [{ generationId: "g1" }, null];
  const api = { async open(path, { method = "GET", headers = {} } = {}) {
    requests.push([method, path, headers["idempotency-key"]]);
    return Response.json(method === "POST" ? { generationId: "g1" } : { activeGeneration: looks.shift() });
  } };
  const choice = createChoice([broken("sse"), broken("socket"), createLookTransport({ api })]);
  const { end, accepted, lines } = await follow(choice, { generationId: null, conversationId: "c1", submit: SUBMIT });
  assert.equal(end, "gone");
  assert.deepEqual(accepted, ["g1"]);
  const look = ["GET", "/conversations/c1?limit=1", undefined];
  assert.deepEqual(requests, [["POST", "/messages", "k1"], look, look]);
  assert.ok(!lines.some((line) => line.state === "open"));
  assert.equal(choice.current().name, "sse");
});

test("a refusal over the socket is the refusal that HTTP gives", async () => {
  const error = { code: "rate_limited", message: "Slow down.", retryAfter: 9 };
  const refused = scriptedSockets([plays({ type: "error", clientId: "k1", error })]);
  const transports = createChoice([createSocketTransport({ url: "ws://x", ...refused })]);
  await assert.rejects(follow(transports, { generationId: null, submit: SUBMIT }),
    { name: "ApiError", code: "rate_limited", status: 429, retryAfter: 9 });
  for (const [code, status] of [[4401, 401], [4403, 403]]) {
    const closed = scriptedSockets([(socket) => { socket.open(); socket.end(code); }]);
    await assert.rejects(follow(createChoice([createSocketTransport({ url: "ws://x", ...closed })])), { status });
  }
});

test("an answer that breaks off on an open socket is resumed when the server asks for it", async () => {
  const error = { code: "unavailable", message: "Not now.", retryAfter: 2 };
  const { WebSocket, sockets } = scriptedSockets([
    plays(FRAMES[0], FRAMES[1], { type: "error", generationId: "g1", error }), resumes,
  ]);
  const naps = waker();
  const { answer, end } = await follow(createChoice([createSocketTransport({ url: "ws://x", WebSocket })]), { waker: naps });
  assert.deepEqual([end, answer.text], ["ended", "One two"]);
  assert.deepEqual(naps.slept, [2_250]);
  assert.equal(sockets[1].sent[0].after, "1-2");
});

test("what comes after the end, or for another answer, is not read", async () => {
  const stranger = { ...FRAMES[1], generationId: "g2", text: "Not this. " };
  const { WebSocket } = scriptedSockets([plays(stranger, ...FRAMES, { ...FRAMES[1], id: "9-9" })]);
  const { answer } = await follow(createChoice([createSocketTransport({ url: "ws://x", WebSocket })]));
  assert.equal(answer.text, "One two");
});

test("the statuses of codes are those of the documentation", () => {
  const page = readFileSync(new URL("../../docs/api.md", import.meta.url), "utf8");
  const rows = [...page.matchAll(/^\| `(\w+)` \| (\d+) \|/gm)];
  assert.ok(rows.length > 20);
  for (const [, code, status] of rows) {
    // Failures of a model arrive inside an event.
    if (/^(provider_|stream_|malformed_|empty_|answer_)/.test(code)) continue;
    if (status !== "405") assert.equal(statusOf(code), Number(status), code);
  }
});

test("the choice: silence counts twice, offline and steady connections do not, patience grows", () => {
  const choice = createChoice([{ name: "a" }, { name: "b" }]);
  assert.equal(choice.patienceMs(), 5_000);
  assert.equal(choice.broke({ silent: false }), false);
  assert.equal(choice.broke({ silent: false, lastedMs: 60_000 }), false);
  assert.equal(choice.current().name, "a");
  assert.equal(choice.broke({ silent: true }), true);
  assert.equal(choice.current().name, "b");
  choice.broke({ silent: true });
  assert.equal(choice.patienceMs(), 10_000);
  choice.isAlive();
  assert.equal(choice.patienceMs(), 5_000);
  assert.equal(createChoice([{ name: "only" }]).broke({ silent: true }), false);
});

async function notices(script, { rounds, ...more }) {
  const abort = new AbortController();
  const seen = { notices: [], gaps: [], refused: [] };
  const naps = waker({
    async sleep(ms) {
      this.slept.push(ms);
      if (this.slept.length >= rounds) abort.abort();
    },
    ...more,
  });
  await listenForNotices({
    url: "ws://x", waker: naps, signal: abort.signal, random: () => 1, ...scriptedSockets(script),
    onNotice: (frame) => seen.notices.push(frame.type),
    onGap: (gap) => seen.gaps.push(gap),
    onRefused: (code) => seen.refused.push(code),
  });
  return { ...seen, slept: naps.slept };
}

test("notices are handed over, and each new connection looks for what was missed", async () => {
  const works = (socket) => {
    plays({ type: "generation.started" }, { type: "ping" })(socket);
    socket.end(1001);
  };
  const seen = await notices([works], { rounds: 2 });
  assert.deepEqual(seen.notices, ["generation.started", "generation.started"]);
  assert.deepEqual(seen.gaps, [{ first: true }, { first: false }]);
});

test("where the server dropped notices, the page looks once for what was missed, not with all others", async () => {
  const works = (socket) => {
    plays({ type: "generation.started" }, { type: "notices.missed" }, { type: "notices.missed" },
      { type: "conversation.updated" })(socket);
    socket.end(1001);
  };
  const seen = await notices([works], { rounds: 3 });
  assert.deepEqual(seen.notices.slice(0, 2), ["generation.started", "conversation.updated"]);
  assert.deepEqual(seen.gaps.slice(0, 2), [{ first: true }, { first: false }]);
  assert.equal(seen.slept[0], 5_000);
});

test("without a socket the page looks for itself, at most every eleven seconds", async () => {
  const seen = await notices([(socket) => socket.end(1006)], { rounds: 9 });
  assert.equal(seen.gaps.length, 7);
  assert.deepEqual(seen.slept.slice(-3), [11_000, 11_000, 11_000]);
  assert.deepEqual((await notices([(socket) => socket.end(1006)], { rounds: 9, isHidden: () => true })).gaps, []);
});

test("a socket that is closed behind its opening is no connection", async () => {
  const seen = await notices([(socket) => { socket.open(); socket.end(1006); }], { rounds: 6 });
  assert.ok(seen.slept[4] > seen.slept[0]);
});

test("one who is signed out is told, and asked again a minute later", async () => {
  const seen = await notices([(socket) => { socket.open(); socket.end(4401); }], { rounds: 2 });
  assert.deepEqual(seen.refused, [4401, 4401]);
  assert.deepEqual(seen.slept, [60_000, 60_000]);
  assert.deepEqual(seen.gaps, []);
});
