// An answer over HTTP: the response of the POST that asks for it, or of GET …/events.

import { createSseParser } from "../sse.js";

const parse = (data) => {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
};

/** See `transports/choice.js` for what a transport promises. */
export function createSseTransport({ api }) {
  const request = ({ submit, generationId, cursor, signal }) => {
    const headers = { accept: "text/event-stream" };
    if (!generationId) {
      headers["idempotency-key"] = submit.key;
      return api.open(submit.path, { method: "POST", body: submit.body, headers, signal });
    }
    if (cursor) headers["last-event-id"] = cursor;
    return api.open(`/generations/${generationId}/events`, { headers, signal });
  };

  async function read(asked) {
    const { onAlive, onAccepted, onEvent } = asked;
    const response = await request(asked);
    onAccepted(response.headers.get("x-generation-id"));
    if (response.status === 204) return "gone";
    if (!(response.headers.get("content-type") ?? "").includes("text/event-stream")) {
      onAccepted((await response.json()).generationId);
      return "cut";
    }
    const parser = createSseParser();
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return "cut";
      onAlive();
      for (const { event, data, id } of parser.push(value)) {
        const parsed = parse(data);
        if (!parsed) continue;
        if (event === "started") onAccepted(parsed.generationId);
        onEvent({ type: event, id, data: parsed });
      }
    }
  }

  return { name: "sse", read };
}
