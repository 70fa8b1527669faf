/**
 * Removing what is past its time: seen first, and then done.
 */

import { askWhether } from "../shared/dialogs.js";
import { announce, h, set } from "../shared/dom.js";
import { count, lasting, moment, section, size, table, told } from "./telling.js";

const SHOWN = 200;

/** @param {import("./page.js").Stage} stage */
export async function showCleanup({ api, place, signal }) {
  const result = h("div", { "aria-live": "polite" });
  const fault = h("p", { class: "fault", role: "alert" });
  const remove = h("button", { type: "button", class: "danger", disabled: true }, "Remove it");
  const look = h("button", { class: "main" }, "See what would go");
  /** What was looked at, and so may be removed. @type {object | null} */
  let seen = null;
  const changed = () => {
    seen = null;
    set(remove, "disabled", true);
    result.replaceChildren();
  };
  const field = (/** @type {string} */ name, /** @type {string} */ label, /** @type {object} */ more) =>
    h("label", {}, label, h("input", { name, dir: "auto", ...more }));
  const run = async (/** @type {boolean} */ dryRun, /** @type {object} */ asked) => {
    set(look, "disabled", true);
    set(remove, "disabled", true);
    fault.textContent = "";
    try {
      const reports = await carriedOut(dryRun, asked);
      result.replaceChildren(...outcome(reports, dryRun));
      return reports;
    } finally {
      set(look, "disabled", null);
    }
  };
  const carriedOut = async (/** @type {boolean} */ dryRun, /** @type {object} */ asked) => {
    const reports = [];
    /** @type {string | null} */
    let cursor = null;
    do {
      const body = { ...asked, dry_run: dryRun, ...(cursor === null ? {} : { cursor }) };
      const report = await api.json("POST", "admin/cleanup", { body, signal });
      reports.push(report);
      result.replaceChildren(h("p", { class: "quiet" },
        `${dryRun ? "Looking" : "Removing"}… ${count(reports.length)} steps so far.`));
      cursor = report.done ? null : report.next_cursor;
    } while (cursor !== null);
    return reports;
  };
  const failed = (/** @type {unknown} */ error) => {
    if (!signal.aborted) fault.textContent = error instanceof Error ? error.message : String(error);
  };
  const form = h("form", { class: "filters", oninput: changed, onsubmit: async (/** @type {Event} */ event) => {
    event.preventDefault();
    const asked = wanted(new FormData(form));
    changed();
    try {
      const reports = await run(true, asked);
      seen = asked;
      const any = reports.some((report) => Object.values(report.kinds).some((/** @type {any} */ kind) => kind.found > 0));
      set(remove, "disabled", !any);
      announce(any ? "This would go." : "Nothing would go.");
    } catch (error) {
      failed(error);
    }
  } },
    field("days", "Inactive for days", { type: "number", min: 0, max: 36500, step: "any", placeholder: "as configured" }),
    field("user_id", "Only of user", { maxlength: 1000 }),
    field("platform", "Only of platform", { maxlength: 32 }),
    field("name_prefix", "Only names beginning with", { maxlength: 200 }),
    look, remove);
  remove.addEventListener("click", () => {
    const asked = seen;
    if (asked === null) return;
    askWhether("Remove it?", "Sessions go with their transcripts and memory. This cannot be undone.", "Remove", async () => {
      seen = null;
      await run(false, asked).catch(failed);
      announce("It is removed.");
    });
  });
  place.append(
    h("p", {}, "The schedule does this each day. Here it is done at once, or for some sessions only, and what would go"
      + " is shown before."),
    form, fault, result);
}

/** @param {FormData} given */
function wanted(given) {
  /** @type {Record<string, unknown>} */
  const asked = {};
  for (const name of ["user_id", "platform", "name_prefix"]) {
    const value = String(given.get(name) ?? "").trim();
    if (value !== "") asked[name] = value;
  }
  const days = String(given.get("days") ?? "");
  if (days !== "") asked.older_than_seconds = Math.round(Number(days) * 86_400);
  return asked;
}

/**
 * @param {any[]} reports Of the steps of one cleanup.
 * @param {boolean} dryRun
 */
function outcome(reports, dryRun) {
  /** @type {Record<string, any>} */
  const kinds = {};
  for (const report of reports) {
    for (const [kind, counted] of Object.entries(report.kinds)) {
      const sum = (kinds[kind] ??= { found: 0, rows: 0, items: 0, bytes: 0, failures: 0 });
      for (const name of Object.keys(sum)) sum[name] += counted[name];
    }
  }
  const rows = Object.entries(kinds).map(([kind, sum]) =>
    [kind.replaceAll("_", " "), count(sum.found), count(sum.rows), count(sum.items), size(sum.bytes), count(sum.failures)]);
  const sessions = reports.flatMap((report) => report.sessions);
  const failures = reports.flatMap((report) => report.failures);
  const seconds = reports.reduce((sum, report) => sum + report.seconds, 0);
  const heads = ["What", "Found", "Rows", "Turns in memory", "Size", "Failures"];
  return [
    section(dryRun ? "What would go" : "What went",
      table("By kind", heads, rows), h("p", { class: "quiet" }, `It took ${lasting(1000 * seconds)}.`)),
    sessions.length > 0 && section("Sessions",
      sessions.length > SHOWN && h("p", { class: "quiet" }, `The first ${SHOWN} of ${count(sessions.length)}.`),
      table("Sessions", ["Name", "User", "Why", "Last activity", "Rows"], sessions.slice(0, SHOWN).map((each) => [
        h("a", { href: `#sessions/${each.session_id}` }, each.name === null ? "without a name" : told(each.name, 60)),
        told(each.user_id, 40), each.kind.replaceAll("_", " "), moment(each.last_activity_at), count(each.rows),
      ]))),
    failures.length > 0 && section("Left", table("Left", ["What", "Kind", "Why"],
      failures.map((each) => [told(each.subject, 100), each.kind.replaceAll("_", " "), told(each.reason, 300)]))),
  ].filter((each) => each !== false);
}
