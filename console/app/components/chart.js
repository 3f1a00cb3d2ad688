// @ts-check
/** A chart over time, with its last values as text for those who cannot see it. */
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { colorOf } from "../color.js";
import { shortTimeOf, timeOf } from "../format.js";
import { html } from "../html.js";
import { t } from "../text.js";

/**
 * @typedef {object} Line
 * @property {string} label
 * @property {string} color a CSS variable
 * @property {(number | null)[]} values
 * @property {boolean} [isRight] measured on the right axis
 * @property {boolean} [isStepped]
 */

/**
 * @param {{title: string, times: number[], lines: Line[], unit?: string, rightUnit?: string, summary: string, from?: number}} properties
 *   times and from in seconds since 1970; from: where the axis begins, if not with the first value
 */
export function Chart({ title, times, lines, unit = "", rightUnit = "", summary, from }) {
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const plot = useRef(/** @type {uPlot | null} */ (null));
  const data = /** @type {uPlot.AlignedData} */ ([times, ...lines.map((line) => line.values)]);
  const shape = lines.map((line) => line.label).join("|");

  // biome-ignore lint/correctness/useExhaustiveDependencies: made again only for other lines; values follow below
  useEffect(() => {
    const element = /** @type {HTMLDivElement} */ (box.current);
    const color = (/** @type {string} */ name) => colorOf(element, name);
    const axis = {
      stroke: color("--text"),
      grid: { stroke: color("--line"), width: 1 },
      ticks: { stroke: color("--line") },
    };
    const hasRight = lines.some((line) => line.isRight);
    plot.current = new uPlot(
      {
        width: element.clientWidth,
        height: 200,
        cursor: { y: false },
        legend: { live: true },
        scales: {
          x: { time: true, range: (_, low, high) => spanOf(from ?? low, high) },
          y: { range: fromZero },
          right: { range: fromZero },
        },
        series: [
          { label: t("time"), value: (_, at) => (at === null ? "–" : timeOf(at * 1_000)) },
          ...lines.map((line) => ({
            label: line.label,
            stroke: color(line.color),
            width: 2,
            scale: line.isRight ? "right" : "y",
            spanGaps: false,
            points: { show: times.length < 30 },
            ...(line.isStepped ? { paths: uPlot.paths.stepped?.({ align: 1 }) } : {}),
          })),
        ],
        axes: [
          {
            ...axis,
            space: 70,
            values: (_, ticks) => ticks.map((tick) => shortTimeOf(tick * 1_000)),
          },
          { ...axis, size: 56, values: (_, ticks) => ticks.map((tick) => `${tick}${unit}`) },
          ...(hasRight
            ? [
                {
                  ...axis,
                  side: 1,
                  scale: "right",
                  size: 64,
                  grid: { show: false },
                  values: (/** @type {uPlot} */ _, /** @type {number[]} */ ticks) =>
                    ticks.map((tick) => `${tick}${rightUnit}`),
                },
              ]
            : []),
        ],
      },
      data,
      element,
    );
    const observer = new ResizeObserver(() =>
      plot.current?.setSize({ width: element.clientWidth, height: 200 }),
    );
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [shape]);

  useEffect(() => plot.current?.setData(data));

  return html`<figure class="chart">
    <figcaption><strong>${title}</strong> <span class="quiet">${summary}</span></figcaption>
    <div ref=${box} aria-hidden="true"></div>
  </figure>`;
}

/**
 * @param {number} low
 * @param {number} high
 * @returns {[number, number]} at least an hour
 */
function spanOf(low, high) {
  const until = high ?? Date.now() / 1_000;
  return [Math.min(low ?? until, until - 3_600), until];
}

/** @type {uPlot.Range.Function} */
function fromZero(_, __, high) {
  return [0, Math.max(1, high * 1.1)];
}
