// @ts-check
/** Starts the console. */
import { render } from "preact";
import { App } from "./app.js";
import { follow } from "./feed.js";
import { html } from "./html.js";

const place = document.getElementById("app");
if (place) {
  render(html`<${App} />`, place);
  follow();
}
