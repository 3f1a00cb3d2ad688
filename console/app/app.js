// The console's entry point.

import htm from "htm";
import { h, render } from "preact";

const html = htm.bind(h);

const root = document.getElementById("app");
if (root) {
  render(html`<h1>scooter-accumulator</h1>`, root);
}
