// @ts-check
/** Ids as links to their screens, with a button that copies them. */
import { html } from "../html.js";
import { address } from "../route.js";
import { t } from "../text.js";
import { say } from "./toast.js";

/** Which screen shows which kind of thing. */
export const SCREENS = {
  cabinet: "cabinets",
  accumulator: "accumulators",
  contractor: "technicians",
  scooter: "scooters",
  booking: "bookings",
  command: "commands",
};

/**
 * @param {{kind: keyof typeof SCREENS, id: string, label?: string}} properties
 */
export function Name({ kind, id, label }) {
  return html`<a class="name" href=${address(SCREENS[kind], id)}>${label ?? shortened(id)}</a>`;
}

/** @param {{text: string}} properties */
export function Copy({ text }) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say(t("copied", { text }));
    } catch {
      say(t("not_copied"));
    }
  };
  return html`<button type="button" class="copy" onClick=${copy} aria-label=${t("copy", { text })} title=${t("copy", { text })}>
    <svg viewBox="0 0 16 16" aria-hidden="true"><rect x="5" y="5" width="9" height="9" rx="1.5" /><path d="M11 3V2.5A1 1 0 0 0 10 1.5H3A1.5 1.5 0 0 0 1.5 3v7a1 1 0 0 0 1 1H3" /></svg>
  </button>`;
}

/** The beginning of a UUID; any other id as it is.
 * @param {string} id
 */
export function shortened(id) {
  return /^[0-9a-f]{8}-[0-9a-f]{4}-/.test(id) ? id.slice(0, 8) : id;
}

/** Where an accumulator is.
 * @param {{place: any}} properties
 */
export function Place({ place }) {
  if (!place) {
    return html`<span>${t("place.unknown")}</span>`;
  }
  if (place.cabinet_id) {
    return html`<span>${t("place.cabinet")} <${Name} kind="cabinet" id=${place.cabinet_id} />, ${t("cell_n", { n: place.cell_number })}</span>`;
  }
  return place.contractor_id
    ? html`<span>${t("place.contractor")} <${Name} kind="contractor" id=${place.contractor_id} /></span>`
    : html`<span>${t("place.scooter")} <${Name} kind="scooter" id=${place.scooter_id} /></span>`;
}
