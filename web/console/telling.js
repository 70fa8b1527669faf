/**
 * How times, lengths and numbers are told, and what stands in tables.
 */

import { h } from "../shared/dom.js";
import { shortened } from "../shared/text.js";

/** @typedef {import("../shared/dom.js").Child} Child */

/**
 * Return a moment, with its date where it is not of today.
 *
 * @param {string | null} time
 */
export function moment(time) {
  if (time === null) return "–";
  const when = new Date(time);
  const today = when.toDateString() === new Date().toDateString();
  const shown = when.toLocaleString(undefined, {
    ...(today ? {} : { month: "short", day: "numeric", year: "numeric" }),
    hour: "2-digit", minute: "2-digit", second: "2-digit",
  });
  return h("time", { datetime: time, title: when.toISOString() }, shown);
}

/**
 * Return how long something took.
 *
 * @param {number | null} milliseconds
 */
export function lasting(milliseconds) {
  if (milliseconds === null) return "–";
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

/**
 * Return how long a turn has taken so far, or took.
 *
 * @param {any} turn
 */
export function age(turn) {
  const end = turn.ended_at === null ? Date.now() : Date.parse(turn.ended_at);
  return lasting(Math.max(0, end - Date.parse(turn.created_at)));
}

/** @param {number} number */
export function count(number) {
  return number.toLocaleString();
}

/**
 * Return US dollars; less than a cent to two digits that count.
 *
 * @param {number} dollars
 */
export function money(dollars) {
  const digits = Math.abs(dollars) >= 0.01 || dollars === 0 ? 2 : 1 - Math.floor(Math.log10(Math.abs(dollars)));
  const shown = { style: /** @type {const} */ ("currency"), currency: "USD", maximumFractionDigits: digits };
  return dollars.toLocaleString(undefined, { ...shown, minimumFractionDigits: Math.min(2, digits) });
}

/** @param {number} bytes */
export function size(bytes) {
  return `${(bytes / 1e6).toLocaleString(undefined, { maximumFractionDigits: 1 })} MB`;
}

/**
 * Return a status as a word with a colour.
 *
 * @param {string} status
 */
export function badge(status) {
  return h("span", { class: `badge ${status}` }, status);
}

/**
 * Return text of others, short, on a line of its own direction.
 *
 * @param {string | null} text
 * @param {number} [length]
 */
export function told(text, length = 80) {
  return text === null ? "–" : h("bdi", { title: shortened(text, 1000) }, shortened(text, length));
}

/**
 * Return why a turn ended without a reply.
 *
 * @param {any} turn
 * @param {number} [length]
 */
export function reason(turn, length = 120) {
  if (turn.error === null) return "–";
  return h("span", {}, h("code", {}, shortened(turn.error.code, 60)), " ", told(turn.error.detail, length));
}

/**
 * Make a table, which is scrolled by itself where it is wider than the page.
 *
 * @param {string} label
 * @param {string[]} heads
 * @param {Child[][]} rows The first cell of each is its head.
 */
export function table(label, heads, rows) {
  return h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": label },
    h("table", {},
      h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", {}, rows.map(([first, ...others]) =>
        h("tr", {}, h("th", { scope: "row" }, first), others.map((cell) => h("td", {}, cell)))))));
}

/**
 * Make a list of facts.
 *
 * @param {[string, Child | Child[]][]} facts
 */
export function facts(facts) {
  return h("dl", { class: "facts" },
    facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/**
 * Make a part with a heading.
 *
 * @param {string} title
 * @param {...(Child | Child[])} content
 */
export function section(title, ...content) {
  return h("section", { "aria-label": title }, h("h2", {}, title), ...content);
}

/**
 * Make a link to a user's sessions.
 *
 * @param {string} user
 */
export function userLink(user) {
  return h("a", { href: `#sessions?user_id=${encodeURIComponent(user)}` }, told(user, 40));
}
