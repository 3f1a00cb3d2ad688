// @ts-check
/** Reads something from the API for a screen, and reads it again when events concern it. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { connection, events } from "./feed.js";

const GATHER_MS = 300;
const REFRESH_MS = 60_000;

/**
 * @template T
 * @typedef {object} Resource
 * @property {T | null} data null: not read yet
 * @property {import("./api.js").Problem | null} problem why the last attempt failed
 * @property {number | null} readAt the viewer's clock
 * @property {() => void} reload
 */

/**
 * Read now, when `concerns` says so of an event, when the connection is back, and every `refresh` ms.
 * What was read before stays until the next answer. After too many requests, read again as soon as the
 * service allows it.
 * @template T
 * @param {() => Promise<T>} load
 * @param {unknown[]} dependencies when these change, it is another resource
 * @param {(event: import("./feed.js").FeedEvent) => boolean} concerns
 * @param {number} [refresh]
 * @returns {Resource<T>}
 */
export function useResource(load, dependencies, concerns, refresh = REFRESH_MS) {
  const [state, setState] = useState(
    /** @type {{data: T | null, problem: any, readAt: number | null}} */ ({
      data: null,
      problem: null,
      readAt: null,
    }),
  );
  const latest = useRef({ load, concerns, generation: 0, isReading: false, isDue: false });
  const waiting = useRef(/** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined));
  latest.current.load = load;
  latest.current.concerns = concerns;

  const read = useCallback(async () => {
    const current = latest.current;
    if (current.isReading) {
      current.isDue = true;
      return;
    }
    const { generation } = current;
    current.isReading = true;
    try {
      const data = await current.load();
      if (generation === current.generation) {
        setState({ data, problem: null, readAt: Date.now() });
      }
    } catch (problem) {
      if (generation === current.generation) {
        setState((before) => ({ ...before, problem }));
        const { waitMs } = /** @type {import("./api.js").Problem} */ (problem);
        if (waitMs) {
          clearTimeout(waiting.current);
          waiting.current = setTimeout(read, waitMs);
        }
      }
    } finally {
      if (generation === current.generation) {
        current.isReading = false;
        if (current.isDue) {
          current.isDue = false;
          read();
        }
      }
    }
  }, []);

  useEffect(() => {
    const current = latest.current;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let gathering;
    const soon = () => {
      gathering ??= setTimeout(() => {
        gathering = undefined;
        read();
      }, GATHER_MS);
    };
    current.isReading = false;
    current.isDue = false;
    setState({ data: null, problem: null, readAt: null });
    read();
    const ends = [
      events.listen((page) => {
        if (page === null || page.some(current.concerns)) {
          soon();
        }
      }),
    ];
    const repeated = setInterval(() => {
      if (document.visibilityState === "visible" && connection.value.state !== "lost") {
        read();
      }
    }, refresh);
    return () => {
      current.generation += 1;
      clearTimeout(gathering);
      clearTimeout(waiting.current);
      clearInterval(repeated);
      for (const end of ends) {
        end();
      }
    };
    // biome-ignore lint/correctness/useExhaustiveDependencies: the caller says what makes it another resource
  }, dependencies);

  return { ...state, reload: read };
}
