// @ts-check
/** The fleet at a glance: the map, the counts, the last day. */
import { get } from "../api.js";
import { now } from "../clock.js";
import { Chart } from "../components/chart.js";
import { Figure } from "../components/figures.js";
import { CabinetMap } from "../components/map.js";
import { Loaded } from "../components/problem.js";
import { STATES, useFleet } from "../fleet.js";
import { millisecondsOf, numberOf } from "../format.js";
import { html } from "../html.js";
import { useResource } from "../resource.js";
import { address } from "../route.js";
import { t, word } from "../text.js";

export function Overview() {
  const fleet = useFleet();
  const history = useResource(
    () => get("/v1/history"),
    [],
    () => false,
  );
  return html`
    <h1 tabindex="-1">${t("overview")}</h1>
    <${Loaded} resource=${fleet}>${(/** @type {import("../fleet.js").Fleet} */ data) => html`
      <div class="overview">
        <section aria-label=${t("map")}>
          <${CabinetMap} cabinets=${data.cabinets} />
          <${Legend} cabinets=${data.cabinets} />
        </section>
        <section class="side" aria-label=${t("fleet")}>
          <${Counts} fleet=${data} />
          <${Loaded} resource=${history}>${(past) => html`<${LastDay} past=${past} />`}<//>
        </section>
      </div>`}<//>
  `;
}

/** @param {{cabinets: import("../fleet.js").CabinetRow[]}} properties */
function Legend({ cabinets }) {
  return html`<ul class="legend" aria-label=${t("legend")}>
    ${STATES.map((state) => {
      const count = cabinets.filter((row) => row.state === state).length;
      return html`<li key=${state}>
        <a href=${address("cabinets", null, { state })}>
          <span class=${`pin ${state}`} aria-hidden="true"></span> ${word("state", state)} <strong>${numberOf(count)}</strong>
        </a>
      </li>`;
    })}
  </ul>`;
}

/** @param {{fleet: import("../fleet.js").Fleet}} properties */
function Counts({ fleet }) {
  const { places, cabinets } = fleet;
  const sum = (/** @type {"ready" | "free"} */ name) =>
    cabinets.reduce((total, row) => total + (row.active && row.online ? row[name] : 0), 0);
  const needs = fleet.needsAPerson;
  return html`<div class="figures">
    <${Figure} name=${t("attention")} value=${numberOf(needs)} tone=${needs > 0 ? "bad" : "good"} href=${address("attention")} />
    <${Figure} name=${t("ready")} value=${numberOf(sum("ready"))} href=${address("cabinets")} />
    <${Figure} name=${t("free")} value=${numberOf(sum("free"))} />
    <${Figure} name=${t("in_cells")} value=${numberOf(places.cabinet)} />
    <${Figure} name=${t("with_technicians")} value=${numberOf(places.contractor)} href=${address("technicians")} />
    <${Figure} name=${t("in_scooters")} value=${numberOf(places.scooter)} />
    <${Figure} name=${t("place.unknown")} value=${numberOf(places.unknown)} tone=${places.unknown > 0 ? "warn" : ""} />
  </div>`;
}

/** @param {{past: any}} properties */
function LastDay({ past }) {
  const { stock, unlocks, step_s: step } = past;
  const seconds = (point) => Date.parse(point.at) / 1_000;
  const dayAgo = now() / 1_000 - 24 * 3_600;
  const latest = stock.at(-1);
  const total = (/** @type {string} */ name) =>
    unlocks.reduce((/** @type {number} */ sum, one) => sum + one[name], 0);
  const count = total("count");
  const busiest = unlocks.reduce((a, b) => (b.p99_ms > (a?.p99_ms ?? -1) ? b : a), null);
  return html`
    <${Chart}
      title=${t("last_day")}
      times=${stock.map(seconds)}
      from=${dayAgo}
      summary=${latest ? t("stock_summary", { ready: latest.ready, free: latest.free }) : t("no_history")}
      lines=${[
        { label: t("ready"), color: "--ready", values: stock.map((one) => one.ready) },
        { label: t("free"), color: "--full", values: stock.map((one) => one.free) },
      ]}
    />
    <${Chart}
      title=${t("unlocks_title")}
      times=${unlocks.map(seconds)}
      from=${dayAgo}
      rightUnit=" s"
      summary=${count ? t("unlocks_summary", { count, failed: total("failed"), slowest: millisecondsOf(busiest?.p99_ms) }) : t("no_unlocks")}
      lines=${[
        {
          label: t("unlocks_per_minute"),
          color: "--full",
          values: unlocks.map((one) => rounded((one.count * 60) / step)),
        },
        {
          label: t("failed_per_minute"),
          color: "--alarm",
          values: unlocks.map((one) => rounded((one.failed * 60) / step)),
        },
        {
          label: t("answer_p50"),
          color: "--ready",
          isRight: true,
          values: unlocks.map((one) => inSeconds(one.p50_ms)),
        },
        {
          label: t("answer_p99"),
          color: "--short",
          isRight: true,
          values: unlocks.map((one) => inSeconds(one.p99_ms)),
        },
      ]}
    />
  `;
}

/** @param {number} value */
function rounded(value) {
  return Math.round(value * 100) / 100;
}

/** @param {number | null} ms */
function inSeconds(ms) {
  return ms === null ? null : rounded(ms / 1_000);
}
