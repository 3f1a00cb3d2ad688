// @ts-check
/** One technician: what they carry, their bookings, and their unlocks and swaps. */
import { get } from "../api.js";
import { Badge, Charge, Figure, Time } from "../components/figures.js";
import { Bookings, movementEntry } from "../components/lists.js";
import { Copy, Name } from "../components/names.js";
import { Loaded } from "../components/problem.js";
import { Timeline } from "../components/timeline.js";
import { touches, useMovements } from "../history.js";
import { html } from "../html.js";
import { useResource } from "../resource.js";
import { t } from "../text.js";

const MOST_CARRIED = 200;

/** @param {{id: string}} properties */
export function Technician({ id }) {
  const isOfThis = (event) =>
    event.type.startsWith("booking.") && event.resource.contractor_id === id;
  const moved = (movement) => touches(movement, "contractor_id", id);
  const carried = useResource(
    () => get("/v1/accumulators", { contractor_id: id, limit: MOST_CARRIED }),
    [id],
    (event) => event.type === "accumulator.moved" && moved(event.resource),
  );
  const { resource, more, canGrow } = useMovements(
    "/v1/movements",
    { contractor_id: id, newest_first: "true" },
    moved,
  );
  return html`
    <h1 tabindex="-1">${t("technician")} ${id} <${Copy} text=${id} /></h1>
    <div class="columns">
      <section>
        <h2>${t("carries")}</h2>
        <${Loaded} resource=${carried}>${({ accumulators }) => html`<${Carried} accumulators=${accumulators} movements=${resource.data?.movements ?? []} id=${id} />`}<//>
      </section>
      <section>
        <h2>${t("bookings")}</h2>
        <${Bookings} query=${{ contractor_id: id }} concerns=${isOfThis} />
      </section>
    </div>
    <section>
      <h2>${t("unlocks_and_swaps")}</h2>
      <${Loaded} resource=${resource}>${({ movements, hasMore }) =>
        html`<${Timeline} entries=${movements.map(movementEntry)} hasMore=${hasMore && canGrow} more=${more} empty=${t("no_movements")} />`}<//>
    </section>
  `;
}

/** @param {{accumulators: any[], movements: any[], id: string}} properties */
function Carried({ accumulators, movements, id }) {
  const since = (one) =>
    movements.find(
      (movement) =>
        movement.accumulator_id === one.accumulator_id && movement.to?.contractor_id === id,
    )?.at;
  return html`
    <div class="figures"><${Figure} name=${t("accumulators")} value=${accumulators.length} /></div>
    ${
      accumulators.length === 0
        ? html`<p class="quiet">${t("carries_nothing")}</p>`
        : html`<ul class="rows">${accumulators.map(
            (one) => html`<li key=${one.accumulator_id}>
            <${Name} kind="accumulator" id=${one.accumulator_id} />
            <${Charge} percent=${one.battery_charge} />
            ${one.status !== "in_service" && html`<${Badge} group="accumulator_status" code=${one.status} />`}
            ${since(one) && html`<span class="quiet">${t("received")} <${Time} at=${since(one)} ago /></span>`}
          </li>`,
          )}</ul>`
    }
  `;
}
