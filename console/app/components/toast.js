// @ts-check
/** Short messages at the edge of the page, also read out by screen readers. */
import { html } from "../html.js";
import { Signal, useSignal } from "../signal.js";

const SHOWN_MS = 6_000;

/** @type {Signal<{id: number, text: string}[]>} */
const messages = new Signal(/** @type {{id: number, text: string}[]} */ ([]));
let last = 0;

/** @param {string} text */
export function say(text) {
  last += 1;
  const id = last;
  messages.set([...messages.value, { id, text }]);
  setTimeout(() => messages.set(messages.value.filter((one) => one.id !== id)), SHOWN_MS);
}

/** Where the messages appear. */
export function Toasts() {
  const shown = useSignal(messages);
  return html`<div class="toasts" role="status" aria-live="polite">
    ${shown.map(({ id, text }) => html`<p key=${id}>${text}</p>`)}
  </div>`;
}
