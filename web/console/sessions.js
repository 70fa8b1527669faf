/**
 * Sessions of all users, found by whose they are, with whom, and how they stand.
 */

import { h, set } from "../shared/dom.js";
import { badge, moment, table, told } from "./telling.js";

const HEADS = ["Name", "User", "Agent", "Status", "Platform", "Last activity", "Why escalated"];

/** @param {import("./page.js").Stage} stage */
export async function showSessions({ api, place, signal }) {
  const asked = new URLSearchParams(location.hash.split("?", 2)[1] ?? "");
  const field = (/** @type {string} */ name, /** @type {string} */ label, /** @type {number} */ most) =>
    h("label", {}, label, h("input", { name, maxlength: most, dir: "auto", value: asked.get(name) ?? "" }));
  const statuses = ["", "active", "ended", "escalated"].map((status) =>
    h("option", { value: status, selected: asked.get("status") === status }, status || "any"));
  const form = h("form", { class: "filters", role: "search", onsubmit: (/** @type {Event} */ event) => {
    event.preventDefault();
    const given = [...new FormData(form)].filter(([, value]) => String(value).trim() !== "");
    const query = new URLSearchParams(given.map(([name, value]) => [name, String(value).trim()]));
    const hash = `#sessions?${query}`;
    if (location.hash === hash) window.dispatchEvent(new HashChangeEvent("hashchange"));
    else location.hash = hash;
  } },
    field("user_id", "User", 1000),
    h("label", {}, "Status", h("select", { name: "status" }, statuses)),
    field("agent", "Agent", 100),
    field("platform", "Platform", 32),
    h("button", {}, "Find"));
  /** @type {any[]} */
  const sessions = [];
  /** @type {string | null} */
  let cursor = null;
  const found = h("div", {});
  const more = h("button", { class: "small", onclick: () => next() }, "Show more");
  const next = async () => {
    const query = { ...Object.fromEntries(asked), limit: 30, ...(cursor === null ? {} : { cursor }) };
    const page = await api.json("GET", "admin/sessions", { query, signal });
    sessions.push(...page.items);
    cursor = page.next_cursor;
    set(more, "hidden", cursor === null);
    found.replaceChildren(sessions.length > 0 ? table("Sessions", HEADS, sessions.map(row))
      : h("p", { class: "quiet" }, "None."));
  };
  place.append(form, found, more);
  await next();
}

/** @param {any} session */
function row(session) {
  return [
    h("a", { href: `#sessions/${session.id}` }, session.name === null ? "without a name" : told(session.name, 60)),
    told(session.user_id, 40),
    told(session.agent, 40),
    badge(session.status),
    told(session.platform, 20),
    moment(session.last_activity_at),
    told(session.status_reason, 80),
  ];
}
