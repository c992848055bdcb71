// The HTTP API of this service: one fetch wrapper, one error type.

/** A refusal with a code, or `code: "network"` and status 0 when no answer came at all. */
export class ApiError extends Error {
  constructor({ code, message, retryAfter = null, status = 0, detail = null }) {
    super(message);
    this.name = "ApiError";
    this.code = code;
    this.retryAfter = retryAfter;
    this.status = status;
    this.detail = detail;
  }
}

const STATUSES = {
  401: ["unauthenticated"],
  402: ["budget_exhausted"],
  403: ["forbidden", "csrf_failed", "foreign_origin", "suspended", "model_not_in_plan"],
  404: ["not_found", "conversation_not_found", "generation_not_found", "message_not_found",
    "warning_not_found"],
  409: ["conflict", "generation_active", "idempotency_mismatch", "memory_changed",
    "nothing_to_correct", "too_many_streams", "not_suspended", "already_appealed"],
  413: ["too_large", "message_too_long", "memory_too_long", "context_overflow"],
  422: ["message_refused"],
  429: ["rate_limited"],
  500: ["internal_error"],
  503: ["unavailable", "busy", "content_unavailable", "search_unavailable", "worker_lost"],
};
const STATUS_OF = new Map(
  Object.entries(STATUSES).flatMap(([status, codes]) => codes.map((code) => [code, Number(status)])),
);

/** The status that HTTP gives a refusal of this code; frames of a WebSocket carry none. */
export const statusOf = (code) => STATUS_OF.get(code) ?? 400;

const GENERIC = "Something went wrong on our side. Please try again.";

async function toError(response) {
  const retryHeader = Number(response.headers.get("retry-after"));
  const retryAfter = Number.isFinite(retryHeader) && retryHeader > 0 ? retryHeader : null;
  let error = {};
  try {
    error = (await response.json()).error ?? {};
  } catch {
    // A proxy's HTML page: the status is all there is.
  }
  return new ApiError({
    code: error.code ?? `http_${response.status}`,
    message: error.message ?? GENERIC,
    retryAfter: error.retryAfter ?? retryAfter,
    status: response.status,
    detail: error.detail ?? null,
  });
}

/**
 * @param {{base: string, csrfToken: string, fetch?: typeof globalThis.fetch}} options
 */
export function createApi({ base, csrfToken, fetch = globalThis.fetch.bind(globalThis) }) {
  /**
   * A raw response with a good status; anything else raises ApiError.
   * @returns {Promise<Response>}
   */
  async function open(path, { method = "GET", body, headers = {}, signal } = {}) {
    const sent = { accept: "application/json", ...headers };
    if (body !== undefined) sent["content-type"] = "application/json";
    if (method !== "GET") sent["x-csrftoken"] = csrfToken;
    let response;
    try {
      response = await fetch(base + path, {
        method,
        signal,
        headers: sent,
        body: body === undefined ? undefined : JSON.stringify(body),
        credentials: "same-origin",
        cache: "no-store",
      });
    } catch (cause) {
      if (signal?.aborted) throw cause;
      throw new ApiError({ code: "network", message: "The connection was lost." });
    }
    if (!response.ok) throw await toError(response);
    return response;
  }

  async function json(path, options) {
    const response = await open(path, options);
    return response.status === 204 ? null : response.json();
  }

  return {
    open,
    get: (path, options) => json(path, options),
    post: (path, body = {}, options = {}) => json(path, { ...options, method: "POST", body }),
    patch: (path, body) => json(path, { method: "PATCH", body }),
    put: (path, body) => json(path, { method: "PUT", body }),
    delete: (path) => json(path, { method: "DELETE" }),
  };
}
