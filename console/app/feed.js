// @ts-check
/** Follows the events of the service while the page is visible, and passes them to the screens. */
import { get, Problem } from "./api.js";
import { now } from "./clock.js";
import { session } from "./session.js";
import { Signal } from "./signal.js";

const PERIOD_MS = 2_000;
const LONGEST_PAUSE_MS = 15_000;
const PAGE = 1_000;
const MOST_WAITS = 3; // After so many refusals in a row, the page says that it is not current.

/**
 * @typedef {object} FeedEvent
 * @property {string} type
 * @property {string} subject
 * @property {string | null} cabinet_id
 * @property {string} at
 * @property {any} resource
 */

/**
 * @typedef {object} Connection
 * @property {"connecting" | "live" | "lost"} state
 * @property {number | null} lostAt when the last answer came; the service's clock
 * @property {Problem | null} problem
 */

/** @type {Connection} */
const CONNECTING = { state: "connecting", lostAt: null, problem: null };
export const connection = new Signal(CONNECTING);

/** Events in their order; null: some may be missing, so everything must be read again. */
export const events = new Signal(/** @type {FeedEvent[] | null} */ ([]));

/** @type {string | null} */
let cursor = null;
/** @type {number | null} */
let lastAnswer = null;
let failures = 0;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
let isRunning = false;

/** Begin to follow. Call it once. */
export function follow() {
  document.addEventListener("visibilitychange", () => schedule(0));
  window.addEventListener("online", () => schedule(0));
  let followed = session.value.key;
  session.listen(({ key }) => {
    if (key === followed) {
      return; // Only its name and scope became known.
    }
    followed = key;
    cursor = null;
    lastAnswer = null;
    failures = 0;
    connection.set(CONNECTING);
    schedule(key ? 0 : null);
  });
  schedule(0);
}

/** @param {number | null} pause in milliseconds; null: not until called again */
function schedule(pause) {
  clearTimeout(timer);
  if (pause !== null && session.value.key && document.visibilityState === "visible") {
    timer = setTimeout(read, pause);
  }
}

async function read() {
  if (isRunning) {
    return;
  }
  isRunning = true;
  const { key } = session.value;
  let pause = PERIOD_MS;
  try {
    const page = await get("/v1/events", { after: cursor, limit: PAGE });
    if (session.value.key === key) {
      pause = receive(page);
    }
  } catch (error) {
    if (session.value.key === key) {
      pause = fail(/** @type {Problem} */ (error));
    }
  } finally {
    isRunning = false;
    schedule(pause);
  }
}

/**
 * @param {{events: FeedEvent[], cursor: string}} page
 * @returns {number} the pause until the next request
 */
function receive(page) {
  const { state } = connection.value;
  // The screens read what they show after the session's first answer: until then nothing is missing.
  const hasGap = state === "lost" || (state === "live" && cursor === null);
  cursor = page.cursor;
  lastAnswer = now();
  failures = 0;
  if (state !== "live") {
    connection.set({ state: "live", lostAt: null, problem: null });
  }
  if (hasGap) {
    events.set(null);
  } else if (page.events.length > 0) {
    events.set(page.events);
  }
  return page.events.length === PAGE ? 0 : PERIOD_MS;
}

/**
 * @param {Problem} problem
 * @returns {number}
 */
function fail(problem) {
  if (problem.code === "cursor_expired") {
    cursor = null; // Events are missing: begin with now, and read everything again.
    return 0;
  }
  failures += 1;
  if (problem.waitMs !== null && failures < MOST_WAITS) {
    return problem.waitMs; // The cursor stays: no event will be missing.
  }
  connection.set({ state: "lost", lostAt: lastAnswer, problem });
  return Math.max(problem.waitMs ?? 0, Math.min(PERIOD_MS * failures, LONGEST_PAUSE_MS));
}
