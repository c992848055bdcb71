// The last resort where no stream comes through: plain requests, and the answer when it is whole.

/** See `transports/choice.js` for what a transport promises. One look, and the streams are tried again. */
export function createLookTransport({ api }) {
  async function read({ submit, generationId, conversationId, signal, onAccepted }) {
    if (!generationId) {
      const headers = { "idempotency-key": submit.key };
      const response = await api.open(submit.path, { method: "POST", body: submit.body, headers, signal });
      onAccepted((await response.json()).generationId);
      return "cut";
    }
    const response = await api.open(`/conversations/${conversationId}?limit=1`, { signal });
    const { activeGeneration } = await response.json();
    return activeGeneration?.generationId === generationId ? "cut" : "gone";
  }

  return { name: "look", isLastResort: true, read };
}
