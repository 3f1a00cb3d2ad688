// @ts-check
/** The value of a colour of style.css, for what is drawn on a canvas. */

/**
 * @param {HTMLElement} element where it is used
 * @param {string} name of a custom property: --ready
 * @returns {string} a colour that a canvas understands, of the light or the dark look
 */
export function colorOf(element, name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
