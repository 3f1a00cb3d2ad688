// @ts-check
/** All cabinets in a compact form, kept up to date: what the map and the table of cabinets show. */
import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "./api.js";
import { connection, events } from "./feed.js";

const GATHER_MS = 500;
const REFRESH_MS = 60_000;
const MOST_IDS = 100;

/** Fewer ready accumulators than this: the cabinet is short. */
const SHORT_BELOW = 2;

/** @typedef {"ready" | "short" | "full" | "offline" | "alarm" | "inactive"} State */
/** @type {State[]} */
export const STATES = ["alarm", "offline", "short", "full", "ready", "inactive"];

/**
 * @typedef {object} CabinetRow
 * @property {string} cabinet_id
 * @property {number} lat
 * @property {number} lon
 * @property {boolean} active
 * @property {boolean} online
 * @property {number} alarms
 * @property {number} ready
 * @property {number} free
 * @property {number} faulty
 * @property {number} accumulators
 * @property {number} cells_total
 * @property {string | null} last_seen_at null while it is online
 * @property {string | null} firmware
 * @property {State} state
 */

/**
 * @typedef {object} Fleet
 * @property {CabinetRow[]} cabinets by id
 * @property {{cabinet: number, contractor: number, scooter: number, unknown: number}} places
 * @property {number} needsAPerson
 */

/**
 * @param {Omit<CabinetRow, "state">} row
 * @returns {State} the most urgent one
 */
function stateOf(row) {
  if (!row.active) {
    return "inactive";
  }
  if (row.alarms > 0) {
    return "alarm";
  }
  if (!row.online) {
    return "offline";
  }
  if (row.ready < SHORT_BELOW) {
    return "short";
  }
  return row.free === 0 ? "full" : "ready";
}

/**
 * @param {Record<string, any[]>} columns
 * @returns {CabinetRow[]}
 */
function rowsOf(columns) {
  const names = Object.keys(columns);
  return columns.cabinet_id.map((_, index) => {
    const row = /** @type {Omit<CabinetRow, "state">} */ (
      /** @type {unknown} */ (Object.fromEntries(names.map((name) => [name, columns[name][index]])))
    );
    return { ...row, state: stateOf(row) };
  });
}

/**
 * @param {Fleet | null} before
 * @param {any} overview
 * @param {string[] | null} ids which cabinets were asked for; null: all
 * @returns {Fleet}
 */
function merged(before, overview, ids) {
  const found = rowsOf(overview.cabinets);
  const others =
    ids && before ? before.cabinets.filter((row) => !ids.includes(row.cabinet_id)) : [];
  const cabinets = [...others, ...found].sort((a, b) => (a.cabinet_id < b.cabinet_id ? -1 : 1));
  return { cabinets, places: overview.places, needsAPerson: overview.needs_a_person };
}

/** Read the fleet, then what events say has changed, and everything once a minute.
 * @returns {import("./resource.js").Resource<Fleet>}
 */
export function useFleet() {
  const [state, setState] = useState(
    /** @type {{data: Fleet | null, problem: any, readAt: number | null}} */ ({
      data: null,
      problem: null,
      readAt: null,
    }),
  );
  const reader = useRef(/** @type {{all: () => void} | null} */ (null));

  useEffect(() => {
    /** @type {Set<string>} */
    let changed = new Set();
    let isAllDue = false;
    let isReading = false;
    let hasEnded = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let gathering;

    async function read() {
      gathering = undefined;
      if (isReading) {
        return;
      }
      isReading = true;
      const ids = isAllDue || changed.size > MOST_IDS ? null : [...changed];
      changed = new Set();
      isAllDue = false;
      try {
        const overview = await get("/v1/overview", { cabinet_ids: ids?.join(",") });
        if (!hasEnded) {
          setState(({ data }) => ({
            data: merged(data, overview, ids),
            problem: null,
            readAt: Date.now(),
          }));
        }
      } catch (problem) {
        isAllDue = true; // What was asked for is still unknown.
        if (!hasEnded) {
          setState((before) => ({ ...before, problem }));
          const { waitMs } = /** @type {import("./api.js").Problem} */ (problem);
          if (waitMs) {
            gathering ??= setTimeout(read, waitMs);
          }
        }
        return;
      } finally {
        isReading = false;
      }
      if (isAllDue || changed.size > 0) {
        soon();
      }
    }

    function soon() {
      if (!hasEnded) {
        gathering ??= setTimeout(read, GATHER_MS);
      }
    }

    function all() {
      isAllDue = true;
      read();
    }

    reader.current = { all };
    all();
    const end = events.listen((page) => {
      if (page === null) {
        isAllDue = true;
      }
      for (const event of page ?? []) {
        if (event.cabinet_id) {
          changed.add(event.cabinet_id);
        }
      }
      if (isAllDue || changed.size > 0) {
        soon();
      }
    });
    const repeated = setInterval(() => {
      if (document.visibilityState === "visible" && connection.value.state !== "lost") {
        all();
      }
    }, REFRESH_MS);
    return () => {
      hasEnded = true;
      clearTimeout(gathering);
      clearInterval(repeated);
      end();
    };
  }, []);

  return { ...state, reload: () => reader.current?.all() };
}
