// @ts-check
/** What the page was served with: the tiles of the map, and the keys of a local cloud. */

/**
 * @param {string} name
 * @returns {string}
 */
function setting(name) {
  const found = document.querySelector(`meta[name="${name}"]`);
  return found?.getAttribute("content") ?? "";
}

/** URL of the map's tiles, with {z}, {x} and {y}; empty: none. */
export const tiles = setting("tiles-url");

/** Keys that anybody may use, because the service runs on this machine; else empty. */
export const localKeys = setting("local-keys").split(" ").filter(Boolean);
