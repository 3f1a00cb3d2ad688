// @ts-check
/** What needs a person, most urgent first. */
import { useState } from "preact/hooks";
import { change, get } from "../api.js";
import { Actions } from "../components/dialog.js";
import { Time } from "../components/figures.js";
import { Name } from "../components/names.js";
import { Loaded } from "../components/problem.js";
import { numberOf } from "../format.js";
import { html } from "../html.js";
import { useResource } from "../resource.js";
import { path } from "../route.js";
import { session } from "../session.js";
import { useSignal } from "../signal.js";
import { t, word } from "../text.js";

const LIMIT = 200;
const REFRESH_MS = 20_000;
/** Details that only repeat the kind. */
const SAID_BY_KIND = new Set(["missing", "quarantined"]);
const URGENT = new Set([
  "cabinet_alarm",
  "cabinet_suspect",
  "cabinet_offline",
  "command_unresolved",
]);

export function Attention() {
  const [kind, setKind] = useState("");
  const found = useResource(
    () => get("/v1/attention", { kind: kind || null, limit: LIMIT }),
    [kind],
    (event) => !event.type.startsWith("booking."),
    REFRESH_MS,
  );
  return html`
    <h1 tabindex="-1">${t("attention")}</h1>
    <${Loaded} resource=${found}>${({ items, counts }) => html`
      <${Kinds} counts=${counts} kind=${kind} setKind=${setKind} />
      ${
        items.length === 0
          ? html`<p class="notice good" role="status">${t("nothing_needs_a_person")}</p>`
          : html`<ul class="rows tasks">${items.map((item) => html`<${Item} key=${keyOf(item)} item=${item} reload=${found.reload} />`)}</ul>`
      }
      ${items.length === LIMIT && html`<p class="quiet">${t("first_n", { n: LIMIT })}</p>`}`}<//>
  `;
}

/** @param {{counts: Record<string, number>, kind: string, setKind: (kind: string) => void}} properties */
function Kinds({ counts, kind, setKind }) {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const choices = /** @type {[string, number][]} */ ([
    ["", total],
    ...Object.entries(counts).filter(([name, count]) => count > 0 || name === kind),
  ]);
  return html`<div class="chips" role="group" aria-label=${t("filter")}>
    ${choices.map(
      ([
        name,
        count,
      ]) => html`<button type="button" key=${name} aria-pressed=${kind === name} onClick=${() => setKind(name)}>
        ${name ? word("attention", name) : t("all")} <strong>${numberOf(count)}</strong>
      </button>`,
    )}
  </div>`;
}

/** @param {{item: any, reload: () => void}} properties */
function Item({ item, reload }) {
  useSignal(session);
  const acknowledge = {
    label: t("acknowledge"),
    action: () => ({
      title: t("acknowledge_title"),
      explanation: word("anomaly", item.detail.split(": ")[0]),
      fields: [{ name: "note", label: t("note"), hint: t("note_hint") }],
      confirm: t("acknowledge"),
      run: async (values, /** @type {string} */ key) => {
        await change(
          "POST",
          path`/v1/anomalies/${item.anomaly_id}/acknowledge`,
          { note: values.note },
          key,
        );
        reload();
        return t("done");
      },
    }),
  };
  return html`<li class=${URGENT.has(item.kind) ? "bad" : "warn"}>
    <strong>${word("attention", item.kind)}</strong>
    <span>
      ${item.cabinet_id && html`<${Name} kind="cabinet" id=${item.cabinet_id} /> `}
      ${item.cell_number !== null && html`${t("cell_n", { n: item.cell_number })} `}
      ${item.accumulator_id && html`<${Name} kind="accumulator" id=${item.accumulator_id} /> `}
      ${item.contractor_id && html`<${Name} kind="contractor" id=${item.contractor_id} /> `}
      ${item.command_id && html`${t("command")} <${Name} kind="command" id=${item.command_id} />`}
    </span>
    <${Detail} item=${item} />
    ${item.since && html`<span class="quiet">${t("began")} <${Time} at=${item.since} ago /></span>`}
    ${item.anomaly_id !== null && session.may("operator") && html`<${Actions} actions=${[acknowledge]} />`}
  </li>`;
}

/** What the service says of it; its sentences are English.
 * @param {{item: any}} properties
 */
function Detail({ item: { kind, detail } }) {
  if (kind === "anomaly") {
    const [code, ...rest] = detail.split(": ");
    return html`<span>${word("anomaly", code)}${rest.length > 0 && html`: <span lang="en">${rest.join(": ")}</span>`}</span>`;
  }
  if (kind === "held_too_long") {
    return html`<span>${t("accumulators_n", { n: Number.parseInt(detail, 10) })}</span>`;
  }
  if (kind === "command_unresolved") {
    return html`<span>${t("cells_list", { cells: detail.replace(/^cells? /, "") })}</span>`;
  }
  if (SAID_BY_KIND.has(detail)) {
    return null;
  }
  const known = word("detail", detail);
  return html`<span>${known === detail ? word("reason", detail) : known}</span>`;
}

/** @param {any} item */
function keyOf(item) {
  return [
    item.kind,
    item.cabinet_id,
    item.cell_number,
    item.accumulator_id,
    item.contractor_id,
    item.command_id,
    item.anomaly_id,
  ].join(" ");
}
