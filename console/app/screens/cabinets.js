// @ts-check
/** The table of all cabinets: search, filters, order, and a CSV of what is shown. */
import { useMemo, useState } from "preact/hooks";
import { Badge, Time } from "../components/figures.js";
import { Name } from "../components/names.js";
import { Loaded } from "../components/problem.js";
import { Table } from "../components/table.js";
import { csvOf, download } from "../csv.js";
import { STATES, useFleet } from "../fleet.js";
import { numberOf } from "../format.js";
import { html } from "../html.js";
import { useSignal } from "../signal.js";
import { language, t, word } from "../text.js";

/** @typedef {import("../fleet.js").CabinetRow} CabinetRow */

const CSV_COLUMNS = [
  "cabinet_id",
  "state",
  "online",
  "ready",
  "free",
  "faulty",
  "accumulators",
  "cells_total",
  "last_seen_at",
  "firmware",
  "lat",
  "lon",
];

/** @param {{query: URLSearchParams}} properties */
export function Cabinets({ query }) {
  const fleet = useFleet();
  return html`
    <h1 tabindex="-1">${t("cabinets")}</h1>
    <${Loaded} resource=${fleet}>${(/** @type {import("../fleet.js").Fleet} */ data) => html`
      <${CabinetTable} key=${query.toString()} cabinets=${data.cabinets} query=${query} />`}<//>
  `;
}

/** @param {{cabinets: CabinetRow[], query: URLSearchParams}} properties */
function CabinetTable({ cabinets, query }) {
  const [words, setWords] = useState(query.get("q") ?? "");
  const [state, setState] = useState(query.get("state") ?? "");
  const [near, setNear] = useState(query.get("near") ?? "");
  const point = useMemo(() => pointOf(near), [near]);
  const rows = useMemo(() => {
    const wanted = words.trim().toLowerCase();
    const matches = (/** @type {CabinetRow} */ row) =>
      (!state || row.state === state) &&
      (!wanted ||
        row.cabinet_id.toLowerCase().includes(wanted) ||
        (row.firmware ?? "").toLowerCase().includes(wanted));
    const found = cabinets.filter(matches);
    return point ? found.map((row) => ({ ...row, distance: distanceOf(point, row) })) : found;
  }, [cabinets, words, state, point]);
  const spoken = useSignal(language);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the labels are in the viewer's language
  const columns = useMemo(() => columnsOf(point !== null), [point, spoken]);
  return html`
    <form class="filters" role="search" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <label>${t("filter")} <input type="search" value=${words} onInput=${(event) => setWords(event.target.value)} /></label>
      <label>${t("state")}
        <select value=${state} onChange=${(event) => setState(event.target.value)}>
          <option value="">${t("all")}</option>
          ${STATES.map((one) => html`<option value=${one}>${word("state", one)}</option>`)}
        </select>
      </label>
      <label>${t("near")} <input value=${near} placeholder="55.7558, 37.6173" inputmode="decimal" aria-invalid=${near !== "" && point === null}
        onInput=${(event) => setNear(event.target.value)} /></label>
      ${near !== "" && point === null && html`<span class="notice bad" role="alert">${t("near_is_wrong")}</span>`}
      <span role="status">${t("n_of_m", { n: numberOf(rows.length), m: numberOf(cabinets.length) })}</span>
      <button type="button" onClick=${() => download("cabinets.csv", csvOf(CSV_COLUMNS, rows))}>${t("csv")}</button>
    </form>
    <${Table} key=${point ? "near" : "all"} label=${t("cabinets")} columns=${columns} rows=${rows} keyOf=${(/** @type {CabinetRow} */ row) => row.cabinet_id} first=${point ? "distance" : "id"} />
  `;
}

/** @param {boolean} isNear */
function columnsOf(isNear) {
  const number = (/** @type {keyof CabinetRow} */ name, /** @type {string} */ label) => ({
    name,
    label,
    isNumber: true,
    cell: (/** @type {CabinetRow} */ row) => row[name],
    sort: (/** @type {CabinetRow} */ row) => Number(row[name]),
  });
  return [
    {
      name: "id",
      label: t("cabinet"),
      cell: (/** @type {CabinetRow} */ row) =>
        html`<${Name} kind="cabinet" id=${row.cabinet_id} />`,
      sort: (/** @type {CabinetRow} */ row) => row.cabinet_id,
    },
    ...(isNear
      ? [
          {
            name: "distance",
            label: t("distance"),
            isNumber: true,
            cell: (row) => t("metres", { n: numberOf(Math.round(row.distance)) }),
            sort: (row) => row.distance,
          },
        ]
      : []),
    {
      name: "state",
      label: t("state"),
      cell: (/** @type {CabinetRow} */ row) => html`<${Badge} group="state" code=${row.state} />`,
      sort: (/** @type {CabinetRow} */ row) => STATES.indexOf(row.state),
    },
    number("ready", t("ready")),
    number("free", t("free")),
    number("faulty", t("faulty")),
    number("cells_total", t("cells")),
    {
      name: "seen",
      label: t("last_seen"),
      cell: seen,
      sort: (/** @type {CabinetRow} */ row) =>
        row.online ? Number.MAX_SAFE_INTEGER : Date.parse(row.last_seen_at ?? "") || 0,
    },
    {
      name: "firmware",
      label: t("firmware"),
      cell: (/** @type {CabinetRow} */ row) => row.firmware ?? "–",
      sort: (/** @type {CabinetRow} */ row) => row.firmware ?? "",
    },
  ];
}

/** @param {CabinetRow} row */
function seen(row) {
  return row.online ? t("online") : html`<${Time} at=${row.last_seen_at} ago />`;
}

/**
 * @param {string} text
 * @returns {{lat: number, lon: number} | null}
 */
function pointOf(text) {
  const found = /^\s*(-?\d+(?:\.\d+)?)\s*[,; ]\s*(-?\d+(?:\.\d+)?)\s*$/.exec(text);
  const [lat, lon] = found ? [Number(found[1]), Number(found[2])] : [NaN, NaN];
  return Math.abs(lat) <= 90 && Math.abs(lon) <= 180 ? { lat, lon } : null;
}

/**
 * @param {{lat: number, lon: number}} a
 * @param {{lat: number, lon: number}} b
 * @returns {number} metres
 */
function distanceOf(a, b) {
  const radians = Math.PI / 180;
  const half =
    Math.sin(((b.lat - a.lat) * radians) / 2) ** 2 +
    Math.cos(a.lat * radians) *
      Math.cos(b.lat * radians) *
      Math.sin(((b.lon - a.lon) * radians) / 2) ** 2;
  return 2 * 6_371_000 * Math.asin(Math.sqrt(half));
}
