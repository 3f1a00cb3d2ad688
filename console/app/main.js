// @ts-check
/** Starts the console. */
import { render } from "preact";
import { App } from "./app.js";
import { follow } from "./feed.js";
import { html } from "./html.js";
import { t } from "./text.js";

const place = document.getElementById("app");
if (place && window.top === window) {
  render(html`<${App} />`, place);
  follow();
} else if (place) {
  place.textContent = t("framed"); // Another site could lay its own buttons over this one's.
}
