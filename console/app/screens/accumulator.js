// @ts-check
/** One accumulator: where it is, its charge, and its chain of custody. */
import { change, get } from "../api.js";
import { now } from "../clock.js";
import { Chart } from "../components/chart.js";
import { Actions } from "../components/dialog.js";
import { Badge, Charge, Figure, Time } from "../components/figures.js";
import { Anomalies, movementEntry } from "../components/lists.js";
import { Copy, Place } from "../components/names.js";
import { Loaded } from "../components/problem.js";
import { Timeline } from "../components/timeline.js";
import { percentOf } from "../format.js";
import { useMovements } from "../history.js";
import { html } from "../html.js";
import { useResource } from "../resource.js";
import { path } from "../route.js";
import { session } from "../session.js";
import { useSignal } from "../signal.js";
import { t } from "../text.js";

/** Charges change without events. */
const REFRESH_MS = 15_000;

/** @param {{id: string}} properties */
export function Accumulator({ id: given }) {
  const id = given.toUpperCase();
  const isOfThis = (resource) => resource.accumulator_id === id;
  const accumulator = useResource(
    () => get(path`/v1/accumulators/${id}`),
    [id],
    (event) => event.type.startsWith("accumulator.") && isOfThis(event.resource),
    REFRESH_MS,
  );
  const {
    resource: movements,
    more,
    canGrow,
  } = useMovements(path`/v1/accumulators/${id}/movements`, {}, isOfThis);
  return html`
    <h1 tabindex="-1">${t("accumulator")} ${id} <${Copy} text=${id} /></h1>
    <${Loaded} resource=${accumulator} missing=${t("no_accumulator", { id })}>${(data) => html`
      <${Heading} accumulator=${data} reload=${accumulator.reload} />
      <${Loaded} resource=${movements}>${(ledger) => html`
        <${ChargeChart} accumulator=${data} movements=${ledger.movements} />
        <div class="columns">
          <section>
            <h2>${t("chain_of_custody")}</h2>
            <${Timeline} entries=${ledger.movements.map(movementEntry)} hasMore=${ledger.hasMore && canGrow} more=${more} empty=${t("no_movements")} />
          </section>
          <section>
            <h2>${t("anomalies")}</h2>
            <${Anomalies} query=${{ accumulator_id: id }} concerns=${(event) => isOfThis(event.resource)} />
          </section>
        </div>`}<//>`}<//>
  `;
}

/** @param {{accumulator: any, reload: () => void}} properties */
function Heading({ accumulator, reload }) {
  useSignal(session);
  return html`
    <p class="lead"><${Badge} group="accumulator_status" code=${accumulator.status} /> <${Place} place=${accumulator.place} /></p>
    <div class="figures">
      <${Figure} name=${t("charge")} value=${html`<${Charge} percent=${accumulator.battery_charge} />`} />
      <${Figure} name=${t("charge_at")} value=${html`<${Time} at=${accumulator.charge_at} ago />`} />
      <${Figure} name=${t("state_of_health")} value=${percentOf(accumulator.state_of_health)} />
    </div>
    ${session.may("operator") && html`<div class="actions"><${Actions} actions=${actions(accumulator, reload)} /></div>`}
  `;
}

/** The charge at each movement, and now.
 * @param {{accumulator: any, movements: any[]}} properties
 */
function ChargeChart({ accumulator, movements }) {
  const points = [...movements]
    .reverse()
    .filter((one) => one.battery_charge !== null)
    .map((one) => [Date.parse(one.at) / 1_000, one.battery_charge]);
  if (accumulator.battery_charge !== null) {
    points.push([now() / 1_000, accumulator.battery_charge]);
  }
  return html`<${Chart}
    title=${t("charge_over_time")}
    times=${points.map(([at]) => at)}
    unit=" %"
    summary=${t("charge_summary", { n: points.length })}
    lines=${[{ label: t("charge"), color: "--ready", values: points.map(([, charge]) => charge) }]}
  />`;
}

/**
 * @param {any} accumulator
 * @param {() => void} reload
 */
function actions(accumulator, reload) {
  const id = accumulator.accumulator_id;
  const reason = { name: "reason", label: t("reason"), hint: t("reason_hint") };
  /** @param {object} body */
  const patch = async (body) => {
    await change("PATCH", path`/v1/accumulators/${id}`, body);
    reload();
    return t("done");
  };
  /**
   * @param {string} label
   * @param {string} status
   * @param {string} explanation
   */
  const status = (label, status, explanation) => ({
    label,
    isDisabled: accumulator.status === status || accumulator.status === "retired",
    action: () => ({
      title: `${label}: ${id}`,
      explanation,
      fields: [{ ...reason, hint: t("reason_in_log") }],
      confirm: label,
      run: (values) => patch({ status, reason: values.reason }),
    }),
  });
  return [
    {
      label: t("correct"),
      isDisabled: accumulator.status === "retired",
      action: () => ({
        title: t("correct_title", { id }),
        explanation: t("correct_explanation"),
        fields: [
          {
            name: "kind",
            label: t("where_it_is"),
            type: /** @type {const} */ ("select"),
            options: [
              { value: "contractor_id", label: t("place.contractor") },
              { value: "scooter_id", label: t("place.scooter") },
              { value: "cabinet_id", label: t("place.cabinet") },
              { value: "nowhere", label: t("place.unknown") },
            ],
          },
          { name: "id", label: t("id_of_it"), optional: true },
          {
            name: "cell_number",
            label: t("cell_if_cabinet"),
            type: /** @type {const} */ ("number"),
            optional: true,
          },
          {
            name: "charge",
            label: t("charge_optional"),
            type: /** @type {const} */ ("number"),
            optional: true,
          },
          reason,
        ],
        confirm: t("correct"),
        run: (values) => patch(correctionOf(values)),
      }),
    },
    status(t("quarantine"), "quarantined", t("quarantine_explanation")),
    status(t("release"), "in_service", t("release_explanation")),
    status(t("mark_missing"), "missing", t("missing_explanation")),
    {
      label: t("retire"),
      isDisabled: accumulator.status === "retired",
      action: () => ({
        title: t("retire_title", { id }),
        explanation: t("retire_explanation"),
        confirm: t("retire"),
        isDangerous: true,
        run: async () => {
          await change("DELETE", path`/v1/accumulators/${id}`);
          reload();
          return t("done");
        },
      }),
    },
  ];
}

/** @param {Record<string, string>} values */
function correctionOf({ kind, id, cell_number: cell, charge, reason }) {
  const place =
    kind === "nowhere"
      ? { nowhere: true }
      : { [kind]: id, ...(kind === "cabinet_id" ? { cell_number: Number(cell) } : {}) };
  return { place, reason, ...(charge ? { battery_charge: Number(charge) } : {}) };
}
