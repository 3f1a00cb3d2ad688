// @ts-check
/** One booking: its cells, its commands, and how it ended. */
import { change, get } from "../api.js";
import { Actions } from "../components/dialog.js";
import { Badge, Charge, Figure, Time } from "../components/figures.js";
import { By, Commands } from "../components/lists.js";
import { Copy, Name } from "../components/names.js";
import { Loaded } from "../components/problem.js";
import { html } from "../html.js";
import { useResource } from "../resource.js";
import { path } from "../route.js";
import { session } from "../session.js";
import { useSignal } from "../signal.js";
import { t, word } from "../text.js";

/** @param {{id: string}} properties */
export function Booking({ id }) {
  const booking = useResource(
    () => get(path`/v1/bookings/${id}`),
    [id],
    (event) => event.type.startsWith("booking.") && event.subject === id,
  );
  return html`
    <h1 tabindex="-1">${t("booking")} <code>${id}</code> <${Copy} text=${id} /></h1>
    <${Loaded} resource=${booking} missing=${t("no_booking", { id })}>${(data) => html`
      <${Details} booking=${data} reload=${booking.reload} />
      <section>
        <h2>${t("commands")}</h2>
        <${Commands} query=${{ booking_id: id }} concerns=${(event) => event.resource.booking_id === id} />
      </section>`}<//>
  `;
}

/** @param {{booking: any, reload: () => void}} properties */
function Details({ booking, reload }) {
  useSignal(session);
  const cancel = {
    label: t("cancel_booking"),
    isDisabled: !["active", "returning"].includes(booking.status),
    action: () => ({
      title: t("cancel_booking_title"),
      explanation: t("cancel_booking_explanation", { contractor: booking.contractor_id }),
      confirm: t("cancel_booking"),
      isDangerous: true,
      run: async () => {
        await change("DELETE", path`/v1/bookings/${booking.booking_id}`);
        reload();
        return t("done");
      },
    }),
  };
  return html`
    <p class="lead">
      <${Badge} group="booking_status" code=${booking.status} /> ${word("booking", booking.kind)} · <${Name} kind="contractor" id=${booking.contractor_id} /> · <${Name} kind="cabinet" id=${booking.cabinet_id} />
      <${By} name=${booking.requested_by} /> <${By} name=${booking.cancelled_by} text="cancelled_by" />
    </p>
    <div class="figures">
      <${Figure} name=${t("requested")} value=${booking.requested} />
      <${Figure} name=${t("created")} value=${html`<${Time} at=${booking.created_at} />`} />
      <${Figure} name=${t("expires")} value=${html`<${Time} at=${booking.expires_at} />`} />
    </div>
    <h2>${t("cells")}</h2>
    <ul class="rows">
      ${booking.cells.map(
        (cell) => html`<li key=${`${cell.cell_number} ${cell.accumulator_id}`}>
          <span>${t("cell_n", { n: cell.cell_number })}</span>
          <${Badge} group="cell_state" code=${cell.state} />
          ${cell.accumulator_id && html`<${Name} kind="accumulator" id=${cell.accumulator_id} /> <${Charge} percent=${cell.battery_charge} />`}
          ${cell.reason && html`<span>${word("reason", cell.reason)}</span>`}
        </li>`,
      )}
    </ul>
    ${session.may("backend") && html`<div class="actions"><${Actions} actions=${[cancel]} /></div>`}
  `;
}
