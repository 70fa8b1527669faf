/**
 * What runs now, what waits, what failed and why.
 */

import { h } from "../shared/dom.js";
import { count, facts, lasting, section, size, table, told } from "./telling.js";
import { turnList } from "./turn_list.js";

/** @param {import("./page.js").Stage} stage */
export async function showNow({ api, place, signal }) {
  const list = (/** @type {string} */ label, /** @type {string} */ status) =>
    turnList(api, label, { status }, signal);
  const [figures, running, decisions, waiting, failed] = await Promise.all([
    api.json("GET", "admin/stats", { signal }),
    list("Turns that run", "running"),
    list("Turns that wait for a decision", "waiting"),
    list("Turns that wait", "queued"),
    list("Turns that failed", "failed"),
  ]);
  place.append(
    facts(standing(figures)),
    section("Running", running),
    section("Waiting for a decision",
      h("p", {}, h("a", { href: "#approvals" }, "What they wait for")), decisions),
    section("Waiting", waiting),
    section("Failed", ...causes(figures.newest_turns), failed));
}

/**
 * @param {any} figures
 * @returns {[string, import("../shared/dom.js").Child][]}
 */
function standing({ sessions, turns, newest_turns: newest, oldest_open_turn_seconds: oldest, outbox, database, ...rest }) {
  return [
    ["Sessions", `${count(sessions.active)} active, ${count(sessions.ended)} ended`],
    ["Escalated", h("a", { href: "#escalations" }, count(sessions.escalated))],
    ["Turns of 24 hours", `${count(turns.completed)} completed, ${count(turns.failed)} failed`],
    ["Time to a reply", `${seconds(newest.median_seconds)}; ${seconds(newest.p95_seconds)} for 95 of 100`],
    ["Oldest open turn", seconds(oldest)],
    ["Nobody carries on", `${count(rest.waiting_sessions)} sessions`],
    ["Memory to remove", `${count(outbox.due)} due of ${count(outbox.waiting)}`],
    ["Database", `${size(database.bytes)}, ${count(database.connections)} connections`],
  ];
}

/** @param {any} newest */
function causes({ failures, looked_at: looked }) {
  if (failures.length === 0) return [];
  const rows = failures.map((/** @type {any} */ each) =>
    [h("code", {}, told(each.code, 60)), told(each.agent, 40), count(each.turns)]);
  return [
    h("p", { class: "quiet" }, `Why, of the newest ${count(looked)} turns of 24 hours:`),
    table("Causes of failure", ["Code", "Agent", "Turns"], rows),
  ];
}

/** @param {number | null} number */
function seconds(number) {
  return lasting(number === null ? null : 1000 * number);
}
