// @ts-check
/** One box for any id, and what was found. */
import { useState } from "preact/hooks";
import { get } from "../api.js";
import { Name, SCREENS } from "../components/names.js";
import { Loaded } from "../components/problem.js";
import { html } from "../html.js";
import { useResource } from "../resource.js";
import { address } from "../route.js";
import { t, word } from "../text.js";

const ID = /^[A-Za-z0-9._:-]{1,64}$/;

/** The box in the head of the page: goes to what it finds, if it is one thing. */
export function SearchBox() {
  const [text, setText] = useState("");
  /** @param {Event} event */
  async function search(event) {
    event.preventDefault();
    const wanted = text.trim();
    if (!wanted) {
      return;
    }
    setText("");
    try {
      const { results } = ID.test(wanted)
        ? await get("/v1/search", { q: wanted })
        : { results: [] };
      const exact = results.filter((one) => one.id.toLowerCase() === wanted.toLowerCase());
      const [only] = exact.length > 0 ? exact : results;
      const isOne = (exact.length || results.length) === 1;
      location.hash = isOne
        ? address(SCREENS[/** @type {keyof typeof SCREENS} */ (only.kind)], only.id)
        : address("search", null, { q: wanted });
    } catch {
      location.hash = address("search", null, { q: wanted }); // That screen says what is wrong.
    }
  }
  return html`<form class="search" role="search" onSubmit=${search}>
    <input type="search" value=${text} aria-label=${t("search_label")} placeholder=${t("search_placeholder")} maxlength="64"
      onInput=${(event) => setText(event.target.value)} />
    <button type="submit">${t("search")}</button>
  </form>`;
}

/** @param {{query: URLSearchParams}} properties */
export function Search({ query }) {
  const wanted = query.get("q") ?? "";
  const found = useResource(
    async () => (ID.test(wanted) ? get("/v1/search", { q: wanted }) : { results: [] }),
    [wanted],
    () => false,
  );
  return html`
    <h1 tabindex="-1">${t("search_of", { text: wanted })}</h1>
    <${Loaded} resource=${found}>${({ results }) =>
      results.length === 0
        ? html`<p class="notice" role="status">${t("search_found_nothing", { text: wanted })}</p>`
        : html`<ul class="rows">${results.map(
            (one) =>
              html`<li key=${`${one.kind} ${one.id}`}><span>${word("kind", one.kind)}</span> <${Name} kind=${one.kind} id=${one.id} label=${one.id} /></li>`,
          )}</ul>`}<//>
  `;
}
