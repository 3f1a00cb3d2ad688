// @ts-check
/** Which screen the address names: #/cabinets/C-001. */
import { Signal } from "./signal.js";

/**
 * @typedef {object} Route
 * @property {string} screen
 * @property {string} id empty: none
 * @property {URLSearchParams} query
 */

/** @returns {Route} */
function current() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [screen, ...rest] = path.split("/");
  return {
    screen: screen || "overview",
    id: decoded(rest.join("/")),
    query: new URLSearchParams(query),
  };
}

/**
 * @param {string} text
 * @returns {string} as it is if it is no valid encoding
 */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const route = new Signal(current());
window.addEventListener("hashchange", () => route.set(current()));

/**
 * Return the address of a screen.
 * @param {string} screen
 * @param {string | null} [id]
 * @param {Record<string, string>} [query]
 */
export function address(screen, id, query) {
  const path = id ? `#/${screen}/${encodeURIComponent(id)}` : `#/${screen}`;
  const text = query ? new URLSearchParams(query).toString() : "";
  return text ? `${path}?${text}` : path;
}

/**
 * Return the path of a resource of the API.
 * @param {TemplateStringsArray} parts
 * @param {...(string | number)} ids
 */
export function path(parts, ...ids) {
  return String.raw({ raw: parts }, ...ids.map((id) => encodeURIComponent(id)));
}
