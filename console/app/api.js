// @ts-check
/** The only module that calls the API. It sends every request once, and never repeats a change. */
import { readDate } from "./clock.js";
import { session } from "./session.js";

const READ_TIMEOUT_MS = 15_000;
const CHANGE_TIMEOUT_MS = 90_000; // A command waits for its cabinet.
const TOO_MANY_REQUESTS = 429;
const LONGEST_WAIT_S = 60;

/** Why a request failed: a problem of the service, or none of its answers. */
export class Problem extends Error {
  /**
   * @param {number} status 0: the service could not be reached, or did not answer in time
   * @param {{code?: string, title?: string, detail?: string, [field: string]: any}} body
   * @param {string | null} [retryAfter] the header: seconds
   */
  constructor(status, body, retryAfter = null) {
    super(body.detail ?? body.title ?? body.code ?? String(status));
    this.status = status;
    // A limit of the platform has no code of ours.
    this.code = body.code ?? (status === TOO_MANY_REQUESTS ? "rate_limited" : "unknown");
    this.body = body;
    this.retryAfter = retryAfter;
  }

  /** How long to wait after too many requests, in milliseconds; null: this is another problem. */
  get waitMs() {
    if (this.status !== TOO_MANY_REQUESTS) {
      return null;
    }
    const seconds = Number(this.retryAfter ?? 1);
    return 1000 * Math.min(Math.max(Number.isNaN(seconds) ? 1 : seconds, 1), LONGEST_WAIT_S);
  }

  /** Whether the same request may succeed later. */
  get isOutage() {
    return this.status === 0 || this.status === TOO_MANY_REQUESTS || this.status >= 500;
  }
}

/**
 * Read a resource.
 * @param {string} path
 * @param {Record<string, string | number | boolean | null | undefined>} [query] null: left out
 * @returns {Promise<any>} the body
 * @throws {Problem}
 */
export function get(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return send("GET", text ? `${path}?${text}` : path, undefined, {}, READ_TIMEOUT_MS);
}

/**
 * Change something.
 * @param {"POST" | "PATCH" | "DELETE"} method
 * @param {string} path
 * @param {object} [body]
 * @param {string} [idempotencyKey] of a POST: with the same key the change is made once
 * @returns {Promise<any>} the body
 * @throws {Problem}
 */
export function change(method, path, body, idempotencyKey) {
  /** @type {Record<string, string>} */
  const headers = idempotencyKey ? { "Idempotency-Key": idempotencyKey } : {};
  return send(method, path, body, headers, CHANGE_TIMEOUT_MS);
}

/**
 * Return the key's name and scope.
 * @param {string} key
 * @returns {Promise<{caller: string, scope: "read" | "backend" | "operator"}>}
 * @throws {Problem}
 */
export function whose(key) {
  return request("GET", "/v1/me", key, undefined, {}, READ_TIMEOUT_MS);
}

/**
 * @param {string} method
 * @param {string} path
 * @param {object | undefined} body
 * @param {Record<string, string>} headers
 * @param {number} timeout
 */
async function send(method, path, body, headers, timeout) {
  const { key } = session.value;
  try {
    return await request(method, path, key, body, headers, timeout);
  } catch (error) {
    if (error instanceof Problem && (error.status === 401 || error.status === 403)) {
      await session.check(key, whose);
    }
    throw error;
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {string} key
 * @param {object | undefined} body
 * @param {Record<string, string>} headers
 * @param {number} timeout in milliseconds
 */
async function request(method, path, key, body, headers, timeout) {
  /** @type {Response} */
  let response;
  let text;
  try {
    response = await fetch(path, {
      method,
      headers: {
        Authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-cache", // The browser asks again, with the ETag of what it has.
      credentials: "omit",
      signal: AbortSignal.timeout(timeout),
    });
    text = await response.text();
  } catch (error) {
    const code = error instanceof DOMException && error.name === "TimeoutError";
    throw new Problem(0, { code: code ? "no_answer" : "not_reached" });
  }
  readDate(response);
  const parsed = parse(text);
  if (!response.ok) {
    const body = parsed && typeof parsed === "object" ? parsed : {};
    throw new Problem(response.status, body, response.headers.get("Retry-After"));
  }
  return parsed;
}

/**
 * @param {string} text
 * @returns {any} undefined if it is no JSON: then something between here and the service answered
 */
function parse(text) {
  try {
    return text ? JSON.parse(text) : null;
  } catch {
    return undefined;
  }
}
