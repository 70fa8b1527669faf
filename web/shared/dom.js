/**
 * Makes elements. Whatever text is given becomes text, never markup: nothing here parses HTML.
 */

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * Make an element.
 *
 * @param {string} tag Its name.
 * @param {Record<string, any>} [properties] `on` followed by an event's name takes a listener; false,
 *   null and undefined leave an attribute out, and true sets it without a value.
 * @param {...(Child | Child[])} children What stands in it.
 * @returns {any} The element; of the type that its name tells.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else set(element, name, value);
  }
  element.append(.../** @type {(Node | string)[]} */ (children.flat().filter(there)));
  return element;
}

/**
 * Set an attribute, or take it away.
 *
 * @param {Element} element
 * @param {string} name
 * @param {unknown} value
 */
export function set(element, name, value) {
  if (value === false || value === null || value === undefined) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? "" : String(value));
}

/**
 * Say something to who listens to the page instead of seeing it.
 *
 * @param {string} text
 */
export function announce(text) {
  const place = document.getElementById("said");
  if (place) place.textContent = text;
}

/** @param {Child} child */
function there(child) {
  return child !== null && child !== undefined && child !== false;
}
