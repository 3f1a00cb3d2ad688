// @ts-check
/** Lists that several screens show: commands, bookings, movements, anomalies. */
import { get } from "../api.js";
import { millisecondsOf } from "../format.js";
import { html } from "../html.js";
import { useResource } from "../resource.js";
import { t, word } from "../text.js";
import { Badge, Charge, Time } from "./figures.js";
import { Name, Place } from "./names.js";
import { Loaded } from "./problem.js";

const SHOWN = 20;

/**
 * The newest commands.
 * @param {{query: Record<string, string>, concerns: (event: any) => boolean}} properties
 */
export function Commands({ query, concerns }) {
  const isCommand = (event) => event.type.startsWith("command.") && concerns(event);
  const found = useResource(
    () => get("/v1/commands", { ...query, limit: SHOWN }),
    Object.values(query),
    isCommand,
  );
  return html`<${Loaded} resource=${found}>${({ commands }) =>
    commands.length === 0
      ? html`<p class="quiet">${t("no_commands")}</p>`
      : html`<ul class="rows">${commands.map((command) => html`<${CommandRow} key=${command.command_id} command=${command} />`)}</ul>`}<//>`;
}

/** @param {{command: any}} properties */
function CommandRow({ command }) {
  return html`<li>
    <${Time} at=${command.created_at} />
    <${Name} kind="command" id=${command.command_id} label=${word("command", command.kind)} />
    <${Badge} group="command_status" code=${command.status} />
    <span>${outcomeOf(command)}</span>
    <${By} name=${command.requested_by} />
  </li>`;
}

/** What a command did, in one line.
 * @param {any} command
 */
export function outcomeOf(command) {
  const cells =
    command.cells.length > 0
      ? command.cells
          .map((cell) => `${cell.cell_number}: ${word("result", cell.result)}`)
          .join(", ")
      : (command.payload.cells ?? []).length > 0
        ? t("cells_list", { cells: command.payload.cells.join(", ") })
        : "";
  const parts = [
    cells,
    command.reason ? word("reason", command.reason) : "",
    command.published_at && command.finished_at
      ? t("after", {
          duration: millisecondsOf(
            Date.parse(command.finished_at) - Date.parse(command.published_at),
          ),
        })
      : "",
    command.late ? t("late") : "",
    command.inferred ? t("inferred") : "",
  ];
  return parts.filter(Boolean).join(" · ");
}

/**
 * The newest bookings.
 * @param {{query: Record<string, string>, concerns: (event: any) => boolean}} properties
 */
export function Bookings({ query, concerns }) {
  const isBooking = (event) => event.type.startsWith("booking.") && concerns(event);
  const found = useResource(
    () => get("/v1/bookings", { ...query, limit: SHOWN }),
    Object.values(query),
    isBooking,
  );
  return html`<${Loaded} resource=${found}>${({ bookings }) =>
    bookings.length === 0
      ? html`<p class="quiet">${t("no_bookings")}</p>`
      : html`<ul class="rows">${bookings.map((booking) => html`<${BookingRow} key=${booking.booking_id} booking=${booking} />`)}</ul>`}<//>`;
}

/** @param {{booking: any}} properties */
function BookingRow({ booking }) {
  const cells = booking.cells.map((cell) => cell.cell_number).join(", ");
  return html`<li>
    <${Time} at=${booking.created_at} />
    <${Name} kind="booking" id=${booking.booking_id} label=${word("booking", booking.kind)} />
    <${Badge} group="booking_status" code=${booking.status} />
    <span><${Name} kind="contractor" id=${booking.contractor_id} /> · <${Name} kind="cabinet" id=${booking.cabinet_id} />${cells ? ` · ${t("cells_list", { cells })}` : ""}</span>
    <${By} name=${booking.requested_by} />
  </li>`;
}

/** Whose request it was: the name of a key. Nothing if a cabinet or the time did it.
 * @param {{name: string | null, text?: "requested_by" | "cancelled_by"}} properties
 */
export function By({ name, text = "requested_by" }) {
  return name && html`<span class="quiet">${t(text, { by: name })}</span>`;
}

/**
 * A movement as an entry of a timeline.
 * @param {any} movement
 * @returns {import("./timeline.js").Entry}
 */
export function movementEntry(movement) {
  return {
    key: `m${movement.movement_id}`,
    at: movement.at,
    tone: movement.discrepancy ? "warn" : "",
    what: html`<strong>${word("cause", movement.cause)}</strong>
      <${Name} kind="accumulator" id=${movement.accumulator_id} />
      <${Charge} percent=${movement.battery_charge} />`,
    detail: html`<${Place} place=${movement.from} /> → <${Place} place=${movement.to} />
      <${Evidence} movement=${movement} />`,
  };
}

/** What a movement was concluded from.
 * @param {{movement: any}} properties
 */
function Evidence({ movement }) {
  return html`
    ${movement.booking_id && html` · ${t("booking")} <${Name} kind="booking" id=${movement.booking_id} />`}
    ${movement.command_id && html` · ${t("command")} <${Name} kind="command" id=${movement.command_id} />`}
    ${movement.swap_id && html` · ${t("swap")} <code title=${movement.swap_id}>${movement.swap_id.slice(0, 8)}</code>`}
    ${movement.transfer_id && html` · ${t("transfer")} <code title=${movement.transfer_id}>${movement.transfer_id.slice(0, 8)}</code>`}
    ${movement.reason && html` · “${word("movement_reason", movement.reason)}”`}
    ${movement.discrepancy && html` · <strong>${t("discrepancy")}</strong>`}
    ${movement.requested_by && html` · <${By} name=${movement.requested_by} />`}
  `;
}

/**
 * Open anomalies of a cabinet or an accumulator.
 * @param {{query: Record<string, string>, concerns: (event: any) => boolean}} properties
 */
export function Anomalies({ query, concerns }) {
  const isAnomaly = (event) => event.type === "anomaly.raised" && concerns(event);
  const found = useResource(
    () => get("/v1/anomalies", { ...query, limit: SHOWN }),
    Object.values(query),
    isAnomaly,
  );
  return html`<${Loaded} resource=${found}>${({ anomalies }) =>
    anomalies.length === 0
      ? html`<p class="quiet">${t("no_anomalies")}</p>`
      : html`<ul class="rows">${anomalies.map(
          (anomaly) => html`<li key=${anomaly.anomaly_id}>
            <${Time} at=${anomaly.at} />
            <strong>${word("anomaly", anomaly.reason)}</strong>
            ${anomaly.count > 1 && html`<span>× ${anomaly.count}</span>`}
            <span lang="en">${anomaly.detail}</span>
            ${!anomaly.open && html`<span class="quiet">${t("acknowledged_by", { by: anomaly.acknowledged.by })}</span>`}
          </li>`,
        )}</ul>`}<//>`;
}
