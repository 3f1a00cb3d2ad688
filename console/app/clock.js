// @ts-check
/** The service's time. A viewer's clock may be wrong, and every "5 minutes ago" would be, too. */

let ahead = 0;

/**
 * Learn the service's time from a response.
 * @param {Response} response
 */
export function readDate(response) {
  const date = Date.parse(response.headers.get("Date") ?? "");
  if (!Number.isNaN(date)) {
    ahead = Date.now() - date;
  }
}

/** @returns {number} The service's time, in milliseconds since 1970. */
export function now() {
  return Date.now() - ahead;
}

/** @returns {number} By how many minutes the viewer's clock is ahead; 0 if by less than two. */
export function minutesAhead() {
  const minutes = Math.round(ahead / 60_000);
  return Math.abs(minutes) < 2 ? 0 : minutes;
}
