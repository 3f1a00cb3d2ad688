// @ts-check
/** What happened, newest first, with the days as headings. */
import { html } from "../html.js";
import { language, t } from "../text.js";
import { Time } from "./figures.js";

/**
 * @typedef {object} Entry
 * @property {string} key
 * @property {string} at
 * @property {any} what
 * @property {any} [detail]
 * @property {"" | "warn" | "bad" | "good"} [tone]
 */

/** @param {{entries: Entry[], hasMore?: boolean, more?: () => void, empty: string}} properties */
export function Timeline({ entries, hasMore = false, more, empty }) {
  if (entries.length === 0) {
    return html`<p class="quiet">${empty}</p>`;
  }
  let day = "";
  return html`
    <ol class="timeline">
      ${entries.map((entry) => {
        const date = new Intl.DateTimeFormat(language.value, { dateStyle: "full" }).format(
          new Date(entry.at),
        );
        const heading = date === day ? null : html`<li class="day" key=${date}>${date}</li>`;
        day = date;
        return html`${heading}
          <li key=${entry.key} class=${entry.tone ?? ""}>
            <${Time} at=${entry.at} />
            <div><div class="what">${entry.what}</div>${entry.detail && html`<div class="quiet">${entry.detail}</div>`}</div>
          </li>`;
      })}
    </ol>
    ${hasMore && html`<button type="button" onClick=${more}>${t("show_more")}</button>`}
  `;
}
