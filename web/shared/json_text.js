/**
 * JSON of others as text, in which every number stands as it was written.
 *
 * Read and written again by JavaScript it would be another text: numbers are rounded to what it can
 * count with, names that look like numbers are put first, and of two that are the same one is left.
 */

import { escaped, visible } from "./text.js";

// What a text is made of that `JSON.parse` takes: strings, marks, and numbers or words.
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{},:]|[^\s"[\]{},:]+/g;

/**
 * Return JSON with its lines indented, to be read, or the text as it is if it is none.
 *
 * @param {string} text
 */
export function indented(text) {
  return visible(laidOut(text) ?? text);
}

/**
 * Return JSON with its lines indented, to be changed: it says what the text says.
 *
 * @param {string} text
 */
export function changeable(text) {
  const laid = laidOut(text);
  // What nobody would see stands only within strings there, where it may be written so.
  return laid === null ? text : escaped(laid);
}

/**
 * Whether a text is a JSON object.
 *
 * @param {string} text
 */
export function isObject(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

/**
 * @param {string} text
 * @returns {string | null} Null if it is no JSON.
 */
function laidOut(text) {
  try {
    JSON.parse(text);
  } catch {
    return null;
  }
  let laid = "";
  let before = "";
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  for (const [token] of text.matchAll(TOKEN)) {
    const closes = token === "}" || token === "]";
    const empty = closes && (before === "{" || before === "[");
    if (closes) depth--;
    if (closes ? !empty : before === "{" || before === "[") laid += line();
    if (token === "{" || token === "[") depth++;
    // A string is told with the same letters however it was escaped.
    laid += token.startsWith('"') ? JSON.stringify(JSON.parse(token)) : token;
    if (token === ",") laid += line();
    if (token === ":") laid += " ";
    before = token;
  }
  return laid;
}
