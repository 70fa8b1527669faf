/**
 * Turns of all users, page by page.
 */

import { h, set } from "../shared/dom.js";
import { age, badge, moment, reason, table, told, userLink } from "./telling.js";

/** @typedef {import("../shared/api.js").Api} Api */

const HEADS = ["Turn", "Status", "User", "Agent", "Begun", "Took", "Attempts", "Why"];

/**
 * Make a list of turns, with its first page.
 *
 * @param {Api} api
 * @param {string} label
 * @param {Record<string, string>} query Which turns.
 * @param {AbortSignal} signal
 */
export async function turnList(api, label, query, signal) {
  /** @type {any[]} */
  const turns = [];
  /** @type {string | null} */
  let cursor = null;
  const place = h("div", {});
  const more = h("button", { class: "small", onclick: () => next() }, "Show older");
  const next = async () => {
    set(more, "disabled", true);
    try {
      const asked = { ...query, limit: 20, ...(cursor === null ? {} : { cursor }) };
      const page = await api.json("GET", "admin/turns", { query: asked, signal });
      turns.push(...page.items);
      cursor = page.next_cursor;
    } finally {
      set(more, "disabled", null);
    }
    set(more, "hidden", cursor === null);
    place.replaceChildren(
      turns.length > 0 ? table(label, HEADS, turns.map(row))
      : h("p", { class: "quiet" }, cursor === null ? "None." : "None among the newest."));
  };
  await next();
  return h("div", { class: "listed" }, place, more);
}

/** @param {any} turn */
function row(turn) {
  return [
    h("a", { href: `#turns/${turn.id}` }, turn.id.slice(-12)),
    badge(turn.status),
    userLink(turn.user_id),
    told(turn.agent, 40),
    moment(turn.created_at),
    age(turn),
    turn.crashes > 0 ? `${turn.attempt}, ${turn.crashes} died` : String(turn.attempt),
    reason(turn),
  ];
}
