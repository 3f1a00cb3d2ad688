// @ts-check
/** Reads movements page by page, and the newest ones again when there are new ones. */
import { useState } from "preact/hooks";
import { get } from "./api.js";
import { useResource } from "./resource.js";

const PAGE = 50;

/**
 * @param {string} path
 * @param {Record<string, string>} query
 * @param {(event: any) => boolean} concerns
 */
export function useMovements(path, query, concerns) {
  const [pages, setPages] = useState(1);
  const resource = useResource(
    async () => {
      const page = await get(path, { ...query, limit: PAGE * pages });
      return { movements: page.movements, hasMore: page.next_cursor !== null };
    },
    [path, ...Object.values(query), pages],
    (event) => event.type === "accumulator.moved" && concerns(event.resource),
  );
  return { resource, more: () => setPages(pages + 1), canGrow: PAGE * (pages + 1) <= 200 };
}

/**
 * Whether a movement begins or ends at a place.
 * @param {any} movement
 * @param {"cabinet_id" | "contractor_id" | "scooter_id"} kind
 * @param {string} id
 */
export function touches(movement, kind, id) {
  return movement.from?.[kind] === id || movement.to?.[kind] === id;
}
