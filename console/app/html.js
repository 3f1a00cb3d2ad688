// @ts-check
/** Builds elements from template strings: html`<p>${text}</p>`. Every text is escaped. */
import htm from "htm";
import { h } from "preact";

export const html = htm.bind(h);
