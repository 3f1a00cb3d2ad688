// @ts-check
/** Times, durations and numbers in the viewer's language and time zone. */
import { now } from "./clock.js";
import { language, t } from "./text.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/**
 * A time of day; with the date if it was not today.
 * @param {string | number} time
 * @returns {string}
 */
export function timeOf(time) {
  const date = new Date(time);
  const isToday = date.toDateString() === new Date(now()).toDateString();
  return new Intl.DateTimeFormat(language.value, {
    ...(isToday ? {} : { day: "numeric", month: "short" }),
    ...(isToday || date.getFullYear() === new Date(now()).getFullYear() ? {} : { year: "numeric" }),
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hour12: false,
  }).format(date);
}

/**
 * A time of day for an axis; the date at midnight.
 * @param {number} time
 * @returns {string}
 */
export function shortTimeOf(time) {
  const date = new Date(time);
  const isMidnight = date.getHours() === 0 && date.getMinutes() === 0;
  return new Intl.DateTimeFormat(
    language.value,
    isMidnight
      ? { day: "numeric", month: "short" }
      : { hour: "2-digit", minute: "2-digit", hour12: false },
  ).format(date);
}

/**
 * How long ago it was, roughly.
 * @param {string | number} time
 * @returns {string}
 */
export function agoOf(time) {
  return t("ago", { duration: durationOf(now() - new Date(time).getTime()) });
}

/**
 * @param {number} ms
 * @returns {string} 40 s, 5 min, 3 h, 2 d
 */
export function durationOf(ms) {
  const length = Math.max(0, ms);
  if (length < MINUTE) {
    return t("seconds", { n: Math.round(length / 1_000) });
  }
  if (length < HOUR) {
    return t("minutes", { n: Math.floor(length / MINUTE) });
  }
  return length < 2 * DAY
    ? t("hours", { n: Math.floor(length / HOUR) })
    : t("days", { n: Math.floor(length / DAY) });
}

/**
 * @param {number} number
 * @returns {string}
 */
export function numberOf(number) {
  return new Intl.NumberFormat(language.value).format(number);
}

/**
 * @param {number | null | undefined} percent
 * @returns {string} a dash if it is unknown
 */
export function percentOf(percent) {
  return percent === null || percent === undefined ? "–" : `${percent} %`;
}

/**
 * @param {number | null | undefined} ms
 * @returns {string}
 */
export function millisecondsOf(ms) {
  if (ms === null || ms === undefined) {
    return "–";
  }
  return ms < 1_000
    ? t("milliseconds", { n: Math.max(0, Math.round(ms)) })
    : t("seconds", { n: (ms / 1_000).toFixed(1) });
}
