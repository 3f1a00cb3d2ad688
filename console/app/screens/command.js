// @ts-check
/** One command: when it was sent, what the cabinet answered, and why it failed. */
import { get } from "../api.js";
import { Badge, Charge, Figure, Time } from "../components/figures.js";
import { By } from "../components/lists.js";
import { Copy, Name } from "../components/names.js";
import { Loaded } from "../components/problem.js";
import { millisecondsOf } from "../format.js";
import { html } from "../html.js";
import { useResource } from "../resource.js";
import { path } from "../route.js";
import { t, word } from "../text.js";

/** @param {{id: string}} properties */
export function Command({ id }) {
  const command = useResource(
    () => get(path`/v1/commands/${id}`),
    [id],
    (event) => event.type.startsWith("command.") && event.subject === id,
  );
  return html`
    <h1 tabindex="-1">${t("command")} <code>${id}</code> <${Copy} text=${id} /></h1>
    <${Loaded} resource=${command} missing=${t("no_command", { id })}>${(data) => html`<${Details} command=${data} />`}<//>
  `;
}

/** @param {{command: any}} properties */
function Details({ command }) {
  const meaning = word("command_meaning", command.status);
  const took =
    command.published_at && command.finished_at
      ? Date.parse(command.finished_at) - Date.parse(command.published_at)
      : null;
  return html`
    <p class="lead">
      <strong>${word("command", command.kind)}</strong> <${Badge} group="command_status" code=${command.status} />
      ${command.cabinet_id && html` · <${Name} kind="cabinet" id=${command.cabinet_id} />`}
      ${command.booking_id && html` · ${t("booking")} <${Name} kind="booking" id=${command.booking_id} />`}
      <${By} name=${command.requested_by} />
    </p>
    ${meaning !== command.status && html`<p>${meaning}</p>`}
    ${command.reason && html`<p>${t("reason")}: <strong>${word("reason", command.reason)}</strong></p>`}
    <div class="figures">
      <${Figure} name=${t("created")} value=${html`<${Time} at=${command.created_at} />`} />
      <${Figure} name=${t("sent")} value=${html`<${Time} at=${command.published_at} />`} />
      <${Figure} name=${t("finished")} value=${html`<${Time} at=${command.finished_at} />`} />
      <${Figure} name=${t("answer_time")} value=${millisecondsOf(took)} />
    </div>
    ${command.late && html`<p class="notice">${t("late_explained")}</p>`}
    ${command.inferred && html`<p class="notice">${t("inferred_explained")}</p>`}
    <h2>${t("cells")}</h2>
    ${
      command.cells.length === 0
        ? html`<p class="quiet">${(command.payload.cells ?? []).length > 0 ? t("asked_for_cells", { cells: command.payload.cells.join(", ") }) : t("no_cells")}</p>`
        : html`<ul class="rows">${command.cells.map(
            (cell) => html`<li key=${cell.cell_number}>
            <span>${t("cell_n", { n: cell.cell_number })}</span>
            <${Badge} group="result" code=${cell.result} />
            ${cell.accumulator_id && html`<${Name} kind="accumulator" id=${cell.accumulator_id} /> <${Charge} percent=${cell.battery_charge} />`}
          </li>`,
          )}</ul>`
    }
  `;
}
