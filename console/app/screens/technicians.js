// @ts-check
/** Who carries accumulators or has an open booking. */
import { get } from "../api.js";
import { Time } from "../components/figures.js";
import { Name } from "../components/names.js";
import { Loaded } from "../components/problem.js";
import { Table } from "../components/table.js";
import { html } from "../html.js";
import { useResource } from "../resource.js";
import { t } from "../text.js";

const PAGE = 200;
const MOST_PAGES = 10;

/** @returns {Promise<{contractors: any[], hasMore: boolean}>} */
async function all() {
  /** @type {any[]} */
  const contractors = [];
  let cursor = null;
  for (let pages = 0; pages < MOST_PAGES; pages += 1) {
    const page = await get("/v1/contractors", { limit: PAGE, cursor });
    contractors.push(...page.contractors);
    cursor = page.next_cursor;
    if (cursor === null) {
      break;
    }
  }
  return { contractors, hasMore: cursor !== null };
}

export function Technicians() {
  const found = useResource(
    all,
    [],
    (event) => event.type.startsWith("booking.") || event.type === "accumulator.moved",
  );
  const columns = [
    {
      name: "id",
      label: t("technician"),
      cell: (one) => html`<${Name} kind="contractor" id=${one.contractor_id} />`,
      sort: (one) => one.contractor_id,
    },
    {
      name: "count",
      label: t("accumulators"),
      isNumber: true,
      cell: (one) => one.accumulators_total,
      sort: (one) => one.accumulators_total,
    },
    {
      name: "since",
      label: t("held_since"),
      cell: (one) => (one.held_since ? html`<${Time} at=${one.held_since} ago />` : "–"),
      sort: (one) => Date.parse(one.held_since ?? "") || Number.MAX_SAFE_INTEGER,
    },
    {
      name: "bookings",
      label: t("open_bookings"),
      isNumber: true,
      cell: (one) => one.open_bookings.length,
      sort: (one) => one.open_bookings.length,
    },
  ];
  return html`
    <h1 tabindex="-1">${t("technicians")}</h1>
    <${Loaded} resource=${found}>${({ contractors, hasMore }) => html`
      ${hasMore && html`<p class="notice">${t("first_n", { n: contractors.length })}</p>`}
      <${Table} label=${t("technicians")} columns=${columns} rows=${contractors} keyOf=${(one) => one.contractor_id} first="id" />`}<//>
  `;
}
