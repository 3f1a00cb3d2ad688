// @ts-check
/** A table that sorts, and that draws only the rows in view, so that 10,000 scroll smoothly. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { html } from "../html.js";
import { t } from "../text.js";

/** One for all: localeCompare would make another for each pair of 10,000 rows. */
const ORDER = new Intl.Collator("en", { numeric: true });
const ROW_PX = 37;
const SPARE_ROWS = 12;

/**
 * @typedef {object} Column
 * @property {string} name
 * @property {string} label
 * @property {(row: any) => any} cell what to draw
 * @property {(row: any) => string | number} [sort] what to sort by
 * @property {boolean} [isNumber]
 */

/** @param {{columns: Column[], rows: any[], label: string, keyOf: (row: any) => string, first: string}} properties */
export function Table({ columns, rows, label, keyOf, first }) {
  const [order, setOrder] = useState({ name: first, isDown: false });
  const frame = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [view, setView] = useState({ top: 0, height: 600 });
  const sorted = useMemo(() => {
    const sort = columns.find((column) => column.name === order.name)?.sort;
    return sort
      ? [...rows].sort((a, b) => compare(sort(a), sort(b)) * (order.isDown ? -1 : 1))
      : rows;
  }, [rows, order, columns]);

  useEffect(() => {
    const element = frame.current;
    if (!element) {
      return undefined;
    }
    const measure = () => setView({ top: element.scrollTop, height: element.clientHeight });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    element.addEventListener("scroll", measure, { passive: true });
    return () => observer.disconnect();
  }, []);

  const from = Math.max(0, Math.floor(view.top / ROW_PX) - SPARE_ROWS);
  const until = Math.min(sorted.length, Math.ceil((view.top + view.height) / ROW_PX) + SPARE_ROWS);
  return html`<div class="table" ref=${frame} tabindex="0" role="region" aria-label=${label}>
    <table aria-rowcount=${sorted.length + 1}>
      <thead>
        <tr>
          ${columns.map((column) => html`<${Header} column=${column} order=${order} setOrder=${setOrder} />`)}
        </tr>
      </thead>
      <tbody>
        ${from > 0 && html`<tr class="spacer" aria-hidden="true"><td colspan=${columns.length} style=${{ height: `${from * ROW_PX}px` }}></td></tr>`}
        ${sorted.slice(from, until).map(
          (row, index) => html`<tr key=${keyOf(row)} aria-rowindex=${from + index + 2}>
            ${columns.map((column) => html`<td class=${column.isNumber ? "number" : ""}>${column.cell(row)}</td>`)}
          </tr>`,
        )}
        ${until < sorted.length && html`<tr class="spacer" aria-hidden="true"><td colspan=${columns.length} style=${{ height: `${(sorted.length - until) * ROW_PX}px` }}></td></tr>`}
      </tbody>
    </table>
    ${sorted.length === 0 && html`<p class="quiet">${t("nothing_found")}</p>`}
  </div>`;
}

/** @param {{column: Column, order: {name: string, isDown: boolean}, setOrder: (order: {name: string, isDown: boolean}) => void}} properties */
function Header({ column, order, setOrder }) {
  const isOrder = order.name === column.name;
  const direction = !isOrder ? "none" : order.isDown ? "descending" : "ascending";
  const arrow = !isOrder ? "" : order.isDown ? " ↓" : " ↑";
  const press = () => setOrder({ name: column.name, isDown: isOrder && !order.isDown });
  return html`<th scope="col" class=${column.isNumber ? "number" : ""} aria-sort=${column.sort ? direction : undefined}>
    ${column.sort ? html`<button type="button" onClick=${press}>${column.label}${arrow}</button>` : column.label}
  </th>`;
}

/**
 * @param {string | number} a
 * @param {string | number} b
 */
function compare(a, b) {
  return typeof a === "string" && typeof b === "string"
    ? ORDER.compare(a, b)
    : Number(a) - Number(b);
}
