/**
 * Text of others, as it may be shown on one line: names, arguments and outputs of tools.
 */

// Controls but for tab and line feed; and what turns the direction of text around, which in a name
// or in code would show it as another one.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;

/**
 * Return text in which characters that nobody would see are told by their numbers.
 *
 * @param {string} text
 */
export function visible(text) {
  return text.replace(UNSEEN, (found) => `⟨${hex(found)}⟩`);
}

/**
 * Return the beginning of a text, on one line.
 *
 * @param {string} text
 * @param {number} length The most characters.
 */
export function shortened(text, length) {
  const line = visible(text.replace(/\s+/g, " ").trim());
  const letters = [...line];
  return letters.length <= length ? line : `${letters.slice(0, length - 1).join("").trimEnd()}…`;
}

/**
 * Return JSON in which characters that nobody would see are escaped; it says the same.
 *
 * @param {string} json In which they stand within strings only.
 */
export function escaped(json) {
  return json.replace(UNSEEN, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** @param {string} character */
function hex(character) {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
}
