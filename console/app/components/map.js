// @ts-check
/** Cabinets on a map: a colour for each state, and the number of ready accumulators. */
import * as L from "leaflet";
import { useEffect, useRef } from "preact/hooks";
import { colorOf } from "../color.js";
import { STATES } from "../fleet.js";
import { html } from "../html.js";
import { tiles } from "../page.js";
import { address } from "../route.js";
import { language, t, word } from "../text.js";

/** With more cabinets than this in view, they are dots without numbers. */
const MOST_NUMBERS = 150;

/** @typedef {import("../fleet.js").CabinetRow} CabinetRow */

/** @param {{cabinets: CabinetRow[]}} properties */
export function CabinetMap({ cabinets }) {
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const map = useRef(/** @type {{draw: (cabinets: CabinetRow[]) => void} | null} */ (null));
  useEffect(() => {
    const made = makeMap(/** @type {HTMLDivElement} */ (box.current));
    map.current = made;
    return made.remove;
  }, []);
  useEffect(() => map.current?.draw(cabinets), [cabinets]);
  return html`<div class="map" ref=${box} role="region" aria-label=${t("map")}></div>`;
}

/** @param {HTMLDivElement} element */
function makeMap(element) {
  const map = L.map(element, {
    attributionControl: false,
    preferCanvas: true,
    zoomControl: false,
    zoomSnap: 0.5,
  }).setView([55.75, 37.62], 10);
  L.control.scale({ imperial: false }).addTo(map);
  /** @type {L.Control.Zoom | undefined} */
  let zoom;
  background().addTo(map);
  const layer = L.layerGroup().addTo(map);
  /** @type {CabinetRow[]} */
  let shown = [];
  let hasView = false;
  let hasAllDots = false;

  function name() {
    zoom?.remove();
    zoom = L.control.zoom({ zoomInTitle: t("zoom_in"), zoomOutTitle: t("zoom_out") }).addTo(map);
  }

  function move() {
    const bounds = map.getBounds().pad(0.2);
    const visible = shown.filter((row) => bounds.contains([row.lat, row.lon]));
    if (visible.length <= MOST_NUMBERS) {
      hasAllDots = false;
      redraw(visible, markerOf);
    } else if (!hasAllDots) {
      hasAllDots = true; // From now on the canvas moves them: thousands are drawn once.
      redraw(shown, dotOf);
    }
  }

  /**
   * @param {CabinetRow[]} rows
   * @param {typeof dotOf | typeof markerOf} make
   */
  function redraw(rows, make) {
    const colors = Object.fromEntries(
      STATES.map((state) => [
        state,
        { fill: colorOf(element, `--${state}`), edge: colorOf(element, "--panel") },
      ]),
    );
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset?.cabinet;
    layer.clearLayers();
    for (const row of rows) {
      make(row, colors).addTo(layer);
    }
    if (focused) {
      /** @type {HTMLElement | null} */ (
        element.querySelector(`[data-cabinet="${CSS.escape(focused)}"]`)
      )?.focus();
    }
  }

  name();
  map.on("moveend", move);
  const stop = language.listen(() => {
    name();
    hasAllDots = false;
    move();
  });
  const observer = new ResizeObserver(() => map.invalidateSize());
  observer.observe(element);

  return {
    /** @param {CabinetRow[]} cabinets */
    draw(cabinets) {
      shown = cabinets;
      if (!hasView && cabinets.length > 0) {
        hasView = true;
        map.fitBounds(L.latLngBounds(cabinets.map((row) => [row.lat, row.lon])), {
          padding: [30, 30],
          maxZoom: 15,
          animate: false,
        });
      }
      hasAllDots = false;
      move();
    },
    remove() {
      stop();
      observer.disconnect();
      map.remove();
    },
  };
}

/** The tiles of the setting; a plain grid without it. */
function background() {
  if (tiles) {
    return L.tileLayer(tiles, { maxZoom: 19 });
  }
  const Grid = L.GridLayer.extend({
    createTile() {
      const tile = document.createElement("div");
      tile.className = "grid-tile";
      return tile;
    },
  });
  return new Grid();
}

/**
 * @param {CabinetRow} row
 * @returns {string}
 */
function labelOf(row) {
  return `${row.cabinet_id}: ${word("state", row.state)}, ${t("ready_n", { n: row.ready })}, ${t("free_n", { n: row.free })}`;
}

/** @param {CabinetRow} row */
function open(row) {
  location.hash = address("cabinets", row.cabinet_id);
}

/**
 * @param {CabinetRow} row
 * @param {Record<string, {fill: string, edge: string}>} colors of the states
 */
function dotOf(row, colors) {
  const { fill, edge } = colors[row.state];
  return L.circleMarker([row.lat, row.lon], {
    radius: 5,
    weight: 1,
    color: edge,
    fillColor: fill,
    fillOpacity: 1,
  })
    .bindTooltip(() => labelOf(row))
    .on("click", () => open(row));
}

/** @param {CabinetRow} row */
function markerOf(row) {
  const icon = L.divIcon({
    className: `pin ${row.state}`,
    html: String(row.ready),
    iconSize: [30, 30],
  });
  const marker = L.marker([row.lat, row.lon], {
    icon,
    alt: labelOf(row),
    title: labelOf(row),
    riseOnHover: true,
  });
  return marker
    .on("click", () => open(row))
    .on("add", () => {
      const pin = marker.getElement();
      pin?.setAttribute("aria-label", labelOf(row));
      pin?.setAttribute("data-cabinet", row.cabinet_id);
      pin?.addEventListener("keydown", (event) => {
        if (event.key === "Enter") {
          open(row);
        }
      });
    });
}
