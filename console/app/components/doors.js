// @ts-check
/** The doors of a cabinet, as they are on the street. */
import { html } from "../html.js";
import { t, word } from "../text.js";
import { Badge, Charge, Time } from "./figures.js";
import { By } from "./lists.js";
import { Name } from "./names.js";

/**
 * @param {{cells: any[], selected: Set<number>, toggle: ((cell: number) => void) | null, stale: (cell: any) => boolean}} properties
 *   toggle: null if cells cannot be selected
 */
export function Doors({ cells, selected, toggle, stale }) {
  return html`<ul class="doors">
    ${cells.map((cell) => html`<${Door} key=${cell.cell_number} cell=${cell} isSelected=${selected.has(cell.cell_number)} toggle=${toggle} isStale=${stale(cell)} />`)}
  </ul>`;
}

/** @param {{cell: any, isSelected: boolean, toggle: ((cell: number) => void) | null, isStale: boolean}} properties */
function Door({ cell, isSelected, toggle, isStale }) {
  const number = cell.cell_number;
  const classes = [
    "door",
    cell.door,
    cell.health !== "ok" ? cell.health : "",
    isSelected ? "selected" : "",
    isStale ? "stale" : "",
  ];
  return html`<li class=${classes.join(" ")} data-cell=${number}>
    <div class="top">
      ${
        toggle
          ? html`<label><input type="checkbox" checked=${isSelected} onChange=${() => toggle(number)} aria-label=${t("select_cell", { n: number })} /> <strong>${number}</strong></label>`
          : html`<strong>${number}</strong>`
      }
      <span class="quiet">${word("door", cell.door)}</span>
    </div>
    <div>${contentOf(cell)}</div>
    ${cell.content === "occupied" && html`<${Charge} percent=${cell.battery_charge} />`}
    ${cell.booking_id && html`<div>${t("held_by")} <${Name} kind="booking" id=${cell.booking_id} /></div>`}
    ${cell.health !== "ok" && html`<div><${Badge} group="health" code=${cell.health} /> <span class="quiet">${word("reason", cell.health_reason ?? "")}</span> <${By} name=${cell.requested_by} /></div>`}
    ${cell.held_back_id && html`<div>${t("held_back")} <${Name} kind="accumulator" id=${cell.held_back_id} /></div>`}
    ${isStale && html`<div class="quiet">${cell.reported_at ? html`${t("as_of")} <${Time} at=${cell.reported_at} ago />` : t("never_reported")}</div>`}
  </li>`;
}

/** @param {any} cell */
function contentOf(cell) {
  return cell.content === "occupied" && cell.accumulator_id
    ? html`<${Name} kind="accumulator" id=${cell.accumulator_id} />`
    : html`<span class="quiet">${word("content", cell.content)}</span>`;
}
