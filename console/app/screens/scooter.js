// @ts-check
/** One scooter: which accumulator is in it, and what was swapped when. */
import { get } from "../api.js";
import { Charge } from "../components/figures.js";
import { movementEntry } from "../components/lists.js";
import { Copy, Name } from "../components/names.js";
import { Loaded } from "../components/problem.js";
import { Timeline } from "../components/timeline.js";
import { touches, useMovements } from "../history.js";
import { html } from "../html.js";
import { useResource } from "../resource.js";
import { t } from "../text.js";

/** @param {{id: string}} properties */
export function Scooter({ id }) {
  const moved = (movement) => touches(movement, "scooter_id", id);
  const inside = useResource(
    () => get("/v1/accumulators", { scooter_id: id }),
    [id],
    (event) => event.type === "accumulator.moved" && moved(event.resource),
  );
  const { resource, more, canGrow } = useMovements(
    "/v1/movements",
    { scooter_id: id, newest_first: "true" },
    moved,
  );
  return html`
    <h1 tabindex="-1">${t("scooter")} ${id} <${Copy} text=${id} /></h1>
    <${Loaded} resource=${inside}>${({ accumulators }) =>
      accumulators.length === 0
        ? html`<p class="quiet">${t("scooter_is_empty")}</p>`
        : html`<ul class="rows">${accumulators.map(
            (one) =>
              html`<li key=${one.accumulator_id}><${Name} kind="accumulator" id=${one.accumulator_id} /> <${Charge} percent=${one.battery_charge} /></li>`,
          )}</ul>`}<//>
    <section>
      <h2>${t("history")}</h2>
      <${Loaded} resource=${resource}>${({ movements, hasMore }) =>
        html`<${Timeline} entries=${movements.map(movementEntry)} hasMore=${hasMore && canGrow} more=${more} empty=${t("no_movements")} />`}<//>
    </section>
  `;
}
