// An incremental parser for text/event-stream, per the HTML standard section 9.2.6. Pure.

/**
 * @typedef {{event: string, data: string, id: string}} SseEvent
 */

/**
 * A parser fed with chunks cut anywhere, even inside a character or a CRLF.
 * @returns {{push: (chunk: string|Uint8Array) => SseEvent[]}}
 */
export function createSseParser() {
  const decoder = new TextDecoder("utf-8");
  let rest = "";
  let atStart = true;
  let skipLineFeed = false;
  let id = "";
  let event = "";
  let data = [];

  const takeLine = (line, out) => {
    if (line === "") {
      if (data.length) out.push({ event: event || "message", data: data.join("\n"), id });
      event = "";
      data = [];
      return;
    }
    if (line.startsWith(":")) return;
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "data") data.push(value);
    else if (field === "event") event = value;
    else if (field === "id" && !value.includes("\0")) id = value;
  };

  const push = (chunk) => {
    let text = typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true });
    if (!text) return [];
    if (atStart) {
      atStart = false;
      if (text.startsWith("\ufeff")) text = text.slice(1);
    }
    if (skipLineFeed && text) {
      skipLineFeed = false;
      if (text.startsWith("\n")) text = text.slice(1);
    }
    const out = [];
    const buffer = rest + text;
    const ending = /\r\n|\n|\r/g;
    // A line cannot end inside `rest`: it was searched when it came.
    ending.lastIndex = rest.length;
    let from = 0;
    for (let hit = ending.exec(buffer); hit; hit = ending.exec(buffer)) {
      takeLine(buffer.slice(from, hit.index), out);
      from = ending.lastIndex;
      // A carriage return at the very end may be half of a CRLF.
      if (hit[0] === "\r" && from === buffer.length) skipLineFeed = true;
    }
    rest = buffer.slice(from);
    return out;
  };

  return { push };
}
