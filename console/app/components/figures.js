// @ts-check
/** Small things that show a value: times, charges, badges. */

import { agoOf, percentOf, timeOf } from "../format.js";
import { html } from "../html.js";
import { t, word } from "../text.js";

/** A time, and how long ago it was.
 * @param {{at: string | number | null | undefined, ago?: boolean}} properties
 */
export function Time({ at, ago = false }) {
  if (at === null || at === undefined) {
    return html`<span class="quiet">${t("never")}</span>`;
  }
  const exact = timeOf(at);
  return html`<time datetime=${new Date(at).toISOString()} title=${exact}>${ago ? agoOf(at) : exact}</time>`;
}

const LOW = 40;
const READY = 80;

/** A charge as a bar with its number.
 * @param {{percent: number | null | undefined}} properties
 */
export function Charge({ percent }) {
  const known = percent ?? 0;
  const level = known >= READY ? "good" : known >= LOW ? "middle" : "low";
  return html`<span class="charge">
    <span class="bar" aria-hidden="true"><span class=${level} style=${{ width: `${known}%` }}></span></span>
    ${percentOf(percent)}
  </span>`;
}

const TONES = /** @type {Record<string, string>} */ ({
  active: "info",
  unlocking: "info",
  returning: "info",
  completed: "good",
  succeeded: "good",
  partially_completed: "warn",
  partially_succeeded: "warn",
  failed: "bad",
  cancelled: "quiet",
  expired: "quiet",
  pending: "info",
  published: "info",
  rejected: "bad",
  not_published: "bad",
  no_answer: "bad",
  not_executed: "warn",
  unresolved: "bad",
  in_service: "good",
  quarantined: "warn",
  missing: "bad",
  retired: "quiet",
  held: "info",
  opened: "good",
  inserted: "good",
  released: "quiet",
  jammed: "bad",
  online: "good",
  ready: "good",
  short: "warn",
  full: "info",
  offline: "off",
  alarm: "bad",
  inactive: "quiet",
  ok: "good",
  faulty: "bad",
  disabled: "warn",
  open: "warn",
  closed: "quiet",
});

/** A status in a word and a colour.
 * @param {{group: string, code: string}} properties
 */
export function Badge({ group, code }) {
  return html`<span class=${`badge ${TONES[code] ?? "quiet"}`}>${word(group, code)}</span>`;
}

/** A figure with its name.
 * @param {{name: string, value: any, tone?: string, href?: string}} properties
 */
export function Figure({ name, value, tone = "", href }) {
  const content = html`<span class="value">${value}</span><span class="label">${name}</span>`;
  return href
    ? html`<a class=${`figure ${tone}`} href=${href}>${content}</a>`
    : html`<div class=${`figure ${tone}`}>${content}</div>`;
}
