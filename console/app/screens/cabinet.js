// @ts-check
/** One cabinet: its doors, what it is doing, what has happened, and what an operator can do. */
import { useState } from "preact/hooks";
import { get } from "../api.js";
import { now } from "../clock.js";
import { Actions } from "../components/dialog.js";
import { Doors } from "../components/doors.js";
import { Badge, Figure, Time } from "../components/figures.js";
import { Anomalies, Bookings, Commands, movementEntry } from "../components/lists.js";
import { Copy } from "../components/names.js";
import { Loaded } from "../components/problem.js";
import { Timeline } from "../components/timeline.js";
import { touches, useMovements } from "../history.js";
import { html } from "../html.js";
import { useResource } from "../resource.js";
import { path } from "../route.js";
import { session } from "../session.js";
import { useSignal } from "../signal.js";
import { t, word } from "../text.js";
import { cabinetActions, cellActions } from "./cabinet_actions.js";

/** Charges change without events. */
const REFRESH_MS = 15_000;
/** A cell that was reported longer ago than the cabinet's last message is out of date. */
const STALE_MS = 10 * 60_000;

/** @param {{id: string}} properties */
export function Cabinet({ id }) {
  const concerns = (event) => event.cabinet_id === id;
  const cabinet = useResource(() => get(path`/v1/cabinets/${id}`), [id], concerns, REFRESH_MS);
  return html`
    <h1 tabindex="-1">${t("cabinet")} ${id} <${Copy} text=${id} /></h1>
    <${Loaded} resource=${cabinet} missing=${t("no_cabinet", { id })}>${(data) => html`
      <${Heading} cabinet=${data} />
      ${data.suspect_since && html`<${Suspicion} cabinet=${data} />`}
      <${Cells} cabinet=${data} reload=${cabinet.reload} />
      <div class="columns">
        <section><h2>${t("commands")}</h2><${Commands} query=${{ cabinet_id: id }} concerns=${concerns} /></section>
        <section><h2>${t("bookings")}</h2><${Bookings} query=${{ cabinet_id: id }} concerns=${concerns} /></section>
        <section><h2>${t("anomalies")}</h2><${Anomalies} query=${{ cabinet_id: id }} concerns=${concerns} /></section>
        <section><h2>${t("history")}</h2><${History} id=${id} /></section>
      </div>`}<//>
  `;
}

/** @param {{cabinet: any}} properties */
function Heading({ cabinet }) {
  const stock = cabinet.accumulators;
  const state =
    cabinet.status === "inactive"
      ? "inactive"
      : cabinet.alarms.length > 0
        ? "alarm"
        : cabinet.online
          ? "online"
          : "offline";
  return html`
    <p>
      <${Badge} group="state" code=${state} />
      ${cabinet.alarms.map((/** @type {string} */ alarm) => html` <strong class="bad-text">${alarm}</strong>`)}
      ${cabinet.status_reason && html` <span class="quiet">“${cabinet.status_reason}”</span>`}
      ${cabinet.address && html` <span>${cabinet.address}</span>`}
    </p>
    <div class="figures">
      <${Figure} name=${t("ready")} value=${stock.available} />
      <${Figure} name=${t("held")} value=${stock.held} />
      <${Figure} name=${t("free")} value=${cabinet.free_cells} />
      <${Figure} name=${t("faulty")} value=${cabinet.faulty_cells} tone=${cabinet.faulty_cells > 0 ? "bad" : ""} />
      <${Figure} name=${t("cells")} value=${cabinet.cells_total} />
      <${Figure} name=${t("last_seen")} value=${html`<${Time} at=${cabinet.last_seen_at} ago />`} />
    </div>
    <${Messages} cabinet=${cabinet} />
    ${cabinet.enrol_until && Date.parse(cabinet.enrol_until) > now() && html`<p class="notice">${t("enrols_until")} <${Time} at=${cabinet.enrol_until} /></p>`}
  `;
}

/** Why it is not believed about what others hold, and what it has reported.
 * @param {{cabinet: any}} properties
 */
function Suspicion({ cabinet }) {
  const id = cabinet.cabinet_id;
  const heldBack = cabinet.cells.filter((/** @type {any} */ cell) => cell.held_back_id);
  const { resource, more, canGrow } = useMovements(
    "/v1/movements",
    { reported_by: id, newest_first: "true" },
    (movement) => movement.cause === "reported" && touches(movement, "cabinet_id", id),
  );
  return html`<section class="notice bad" aria-label=${t("suspect")}>
    <p><strong>${t("suspect")}</strong> <${Time} at=${cabinet.suspect_since} ago /> <span lang="en">“${cabinet.suspect_reason}”</span></p>
    <p>${t("suspect_explanation", { n: heldBack.length })}</p>
    <details><summary>${t("what_it_reported")}</summary>
      <${Loaded} resource=${resource}>${({ movements, hasMore }) =>
        html`<${Timeline} entries=${movements.map(movementEntry)} hasMore=${hasMore && canGrow} more=${more} empty=${t("no_movements")} />`}<//>
    </details>
  </section>`;
}

/** The device, and its last messages.
 * @param {{cabinet: any}} properties
 */
function Messages({ cabinet }) {
  const reported = cabinet.cells
    .map((cell) => cell.reported_at)
    .filter(Boolean)
    .sort()
    .at(-1);
  const point = `${cabinet.coords.lat.toFixed(5)}, ${cabinet.coords.lon.toFixed(5)}`;
  return html`<dl class="facts">
    <div><dt>${t("device")}</dt><dd>${cabinet.device_id}</dd></div>
    <div><dt>${t("protocol")}</dt><dd>${cabinet.protocol}</dd></div>
    <div><dt>${t("firmware")}</dt><dd>${cabinet.firmware ?? "–"}</dd></div>
    <div><dt>${t("last_message")}</dt><dd><${Time} at=${cabinet.last_seen_at} /></dd></div>
    <div><dt>${t("last_report_of_a_cell")}</dt><dd><${Time} at=${reported} /></dd></div>
    <div><dt>${t("place")}</dt><dd>${point} <${Copy} text=${point} /></dd></div>
  </dl>`;
}

/** @param {{cabinet: any, reload: () => void}} properties */
function Cells({ cabinet, reload }) {
  useSignal(session);
  const [selected, setSelected] = useState(/** @type {Set<number>} */ (new Set()));
  const isOperator = session.may("operator");
  const toggle = (/** @type {number} */ cell) => {
    const next = new Set(selected);
    if (!next.delete(cell)) {
      next.add(cell);
    }
    setSelected(next);
  };
  const isStale = (cell) => !cell.reported_at || now() - Date.parse(cell.reported_at) > STALE_MS;
  const cells = [...selected].sort((a, b) => a - b);
  const done = () => {
    setSelected(new Set());
    reload();
  };
  return html`<section aria-label=${t("doors")}>
    <h2>${t("doors")}</h2>
    <${Doors} cells=${cabinet.cells} selected=${selected} toggle=${isOperator ? toggle : null} stale=${isStale} />
    ${
      isOperator
        ? html`<div class="actions">
          <p class="quiet" role="status">${cells.length > 0 ? t("cells_selected", { cells: cells.join(", ") }) : t("select_cells")}</p>
          <${Actions} actions=${cellActions(cabinet, cells, done)} />
          <${Actions} actions=${cabinetActions(cabinet, reload)} />
        </div>`
        : html`<p class="quiet">${t("scope_shows_only", { scope: word("scope", session.value.scope ?? "read") })}</p>`
    }
  </section>`;
}

/** @param {{id: string}} properties */
function History({ id }) {
  const { resource, more, canGrow } = useMovements(
    "/v1/movements",
    { cabinet_id: id, newest_first: "true" },
    (movement) => touches(movement, "cabinet_id", id),
  );
  return html`<${Loaded} resource=${resource}>${({ movements, hasMore }) =>
    html`<${Timeline} entries=${movements.map(movementEntry)} hasMore=${hasMore && canGrow} more=${more} empty=${t("no_movements")} />`}<//>`;
}
