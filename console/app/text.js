// @ts-check
/** The words of the page in the viewer's language. */
import { Signal } from "./signal.js";
import { en } from "./text/en.js";
import { ru } from "./text/ru.js";

const STORED_AS = "language";
const LANGUAGES = { en, ru };

/** @typedef {keyof typeof LANGUAGES} Language */
/** @typedef {keyof typeof en} TextName */

/** @returns {Language} */
function preferred() {
  const stored = localStorage.getItem(STORED_AS);
  const wanted = stored ?? navigator.language;
  return wanted.startsWith("ru") ? "ru" : "en";
}

export const language = new Signal(preferred());
document.documentElement.lang = language.value;

/** @param {Language} name */
export function speak(name) {
  localStorage.setItem(STORED_AS, name);
  document.documentElement.lang = name;
  language.set(name);
}

/**
 * Return a text; `{name}` in it is replaced.
 * @param {TextName} name
 * @param {Record<string, string | number>} [values]
 * @returns {string}
 */
export function t(name, values = {}) {
  return LANGUAGES[language.value][name].replace(/\{(\w+)\}/g, (_, key) => String(values[key]));
}

/**
 * Return the word for a code of the API; the code itself if there is none.
 * @param {string} group
 * @param {string} code
 * @returns {string}
 */
export function word(group, code) {
  const texts = /** @type {Record<string, string>} */ (LANGUAGES[language.value]);
  return texts[`${group}.${code}`] ?? code;
}
