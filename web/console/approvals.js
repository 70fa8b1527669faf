/**
 * What agents have asked people to decide on, of all users: those that wait first.
 */

import { ApprovalView } from "../shared/approval_view.js";
import { announce, h, set } from "../shared/dom.js";
import { shortened } from "../shared/text.js";
import { badge, facts, moment, section, table, told, userLink } from "./telling.js";

const STATUSES = ["", "open", "approved", "rejected", "expired", "cancelled"];
const HEADS = ["Call", "Status", "Given", "User", "Agent", "Who decides", "Asked", "Expires", "Decided by"];

/** @param {import("./page.js").Stage} stage */
export async function showApprovals(stage) {
  const { place } = stage;
  const asked = new URLSearchParams(location.hash.split("?", 2)[1] ?? "").get("status") ?? "";
  const choose = (/** @type {Event} */ event) => {
    const { value } = /** @type {HTMLSelectElement} */ (event.target);
    location.hash = value === "" ? "#approvals" : `#approvals?status=${encodeURIComponent(value)}`;
  };
  place.append(
    h("form", { class: "filters", role: "search", onsubmit: (/** @type {Event} */ event) => event.preventDefault() },
      h("label", {}, "Status", h("select", { name: "status", onchange: choose },
        STATUSES.map((status) => h("option", { value: status, selected: status === asked }, status || "any"))))));
  if (asked !== "") {
    place.append(await listed(stage, `Approvals that are ${asked}`, asked));
    return;
  }
  const [open, all] = await Promise.all([
    listed(stage, "Approvals that are open", "open"),
    listed(stage, "Approvals", ""),
  ]);
  place.append(section("Wait for somebody", open), section("All", all));
}

/**
 * @param {import("./page.js").Stage} stage
 * @param {string} label
 * @param {string} status
 */
async function listed({ api, signal }, label, status) {
  /** @type {any[]} */
  const found = [];
  /** @type {string | null} */
  let cursor = null;
  const place = h("div", {});
  const more = h("button", { class: "small", onclick: () => next() }, "Show older");
  const next = async () => {
    const query = { limit: 20, ...(status === "" ? {} : { status }), ...(cursor === null ? {} : { cursor }) };
    const page = await api.json("GET", "admin/approvals", { query, signal });
    found.push(...page.items);
    cursor = page.next_cursor;
    set(more, "hidden", cursor === null);
    place.replaceChildren(found.length > 0 ? table(label, HEADS, found.map(row)) : h("p", { class: "quiet" }, "None."));
  };
  await next();
  return h("div", { class: "listed" }, place, more);
}

/** @param {any} asked */
function row(asked) {
  return [
    h("a", { href: `#approvals/${asked.id}` }, told(asked.tool, 40)),
    badge(asked.status),
    told(asked.arguments, 60),
    userLink(asked.user_id),
    told(asked.agent, 40),
    told(asked.decider, 40),
    moment(asked.created_at),
    moment(asked.expires_at),
    told(asked.decided_by, 40),
  ];
}

/** @param {import("./page.js").Stage} stage */
export async function showApproval({ api, place, id, signal, title }) {
  const path = `admin/approvals/${encodeURIComponent(id)}`;
  const found = await api.json("GET", path, { signal });
  title(`${shortened(found.tool, 60)}, asked for ${shortened(found.user_id, 40)}`);
  const about = h("div", {});
  const view = new ApprovalView(found, {
    // Who has the scope that a tool names may decide too; whether a token has it, the API knows.
    may: found.decider !== "user",
    decide: async (_, decision) => {
      try {
        // The same decision once more is harmless.
        show(await api.json("POST", path, { json: decision, key: crypto.randomUUID() }));
        announce("It is decided.");
      } catch (error) {
        show(await api.json("GET", path));
        throw error;
      }
    },
  });
  const show = (/** @type {any} */ asked) => {
    view.show(asked);
    about.replaceChildren(facts([
      ["Status", badge(asked.status)],
      ["User", userLink(asked.user_id)],
      ["Turn", h("a", { href: `#turns/${asked.turn_id}` }, asked.turn_id.slice(-12))],
      ["Session", h("a", { href: `#sessions/${asked.session_id}` }, "Its transcript")],
      ["Agent", told(asked.agent, 60)],
      ["Asked", moment(asked.created_at)],
      ["Expires", moment(asked.expires_at)],
      ["Decided", moment(asked.decided_at)],
      ["Decided by", told(asked.decided_by, 60)],
    ]));
  };
  show(found);
  place.append(about, section("The call", view.element));
}
