/**
 * One turn opened: its attempts, the calls of the model and of tools on a time line, and what the model
 * was told and answered, so that one sees why it answered that.
 */

import { h } from "../shared/dom.js";
import { indented } from "../shared/json_text.js";
import { shortened, visible } from "../shared/text.js";
import { svg } from "./plot.js";
import { age, badge, count, facts, lasting, moment, section, told, userLink } from "./telling.js";
import { timeLine } from "./time_line.js";

/** @typedef {import("./time_line.js").Entry} Entry */

const KINDS = {
  message: "user", attempt: "attempt", model: "model", tool: "tool", said: "model says", void: "model",
  waits: "waits", decided: "decision", end: "end",
};

/** @param {import("./page.js").Stage} stage */
export async function showTurn({ api, place, id, signal, title }) {
  const path = `admin/turns/${encodeURIComponent(id)}`;
  const whole = await api.json("GET", path, { signal });
  const all = async (/** @type {string} */ what) => {
    const items = [];
    /** @type {string | null} */
    let cursor = null;
    do {
      const query = { limit: 100, ...(cursor === null ? {} : { cursor }) };
      const page = await api.json("GET", `admin/turns/${whole.turn.id}/${what}`, { query, signal });
      items.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor !== null);
    return items;
  };
  const [calls, events, remembered] = await Promise.all([all("tool-calls"), all("events"), all("memory")]);
  title(`Turn ${whole.turn.number} of ${shortened(whole.user_id, 40)}`);
  const entries = timeLine(whole, calls, events);
  place.append(
    standing(whole),
    section("Time line",
      events.length === 0 && h("p", { class: "quiet" },
        "There are no events of it: nobody followed it while it ran, or that was more than a day ago."),
      h("ol", { class: "time-line" }, drawn(entries))),
    section("What the model was told and answered", ...memory(remembered, whole.turn)));
}

/** @param {any[]} approvals */
function waitsFor(approvals) {
  const open = approvals.filter(({ status }) => status === "open");
  return h("ul", { class: "plain" }, open.map(({ id, tool, decider }) =>
    h("li", {}, h("a", { href: `#approvals/${id}` }, "A decision on ", told(tool, 40)), " of ", told(decider, 40))));
}

/** @param {any} whole */
function standing({ turn, user_id: user, request_id: request, attempt, crashes, approvals }) {
  const waited = turn.started_at === null ? null : Date.parse(turn.started_at) - Date.parse(turn.created_at);
  return facts([
    ["Status", badge(turn.status)],
    ...(turn.status !== "waiting" ? [] : /** @type {[string, any][]} */ ([["Waits for", waitsFor(approvals)]])),
    ...(turn.error === null ? [] : /** @type {[string, any][]} */ ([
      ["Why", h("span", {}, h("code", {}, shortened(turn.error.code, 60)), " ", told(turn.error.detail, 1000))]])),
    ["User", userLink(user)],
    ["Session", h("a", { href: `#sessions/${turn.session_id}` }, "Its transcript")],
    ["Agent", told(turn.agent, 60)],
    ["Begun", moment(turn.created_at)],
    ["Waited", lasting(waited)],
    ["Took", age(turn)],
    ["Attempts", crashes > 0 ? `${attempt}, of which ${crashes} died` : String(attempt)],
    ["Calls of the model", count(turn.usage.model_calls)],
    ["Tokens", `${count(turn.usage.input_tokens)} sent, ${count(turn.usage.output_tokens)} received`],
    ["Turn", h("code", {}, turn.id)],
    ["Request", request === null ? "–" : h("code", {}, shortened(request, 60))],
  ]);
}

/** @param {Entry[]} entries */
function drawn(entries) {
  const [first] = entries;
  if (!first) return [];
  const end = Math.max(...entries.map((entry) => entry.to));
  const whole = Math.max(1, end - first.from);
  return entries.map((entry) => {
    const [from, to] = [entry.from - first.from, entry.to - first.from];
    const body = content(entry);
    const line = [
      h("span", { class: "kind" }, KINDS[entry.kind]),
      h("bdi", { class: "what" }, shortened(entry.title, 100)),
      entry.effect && h("span", { class: "badge" }, "changes something"),
      entry.fault && h("span", { class: "fault" }, shortened(entry.fault, 200)),
      h("span", { class: "took" }, to > from ? lasting(to - from) : ""),
    ];
    return h("li", { class: `entry ${entry.kind}` },
      h("span", { class: "offset" }, `+${lasting(from)}`),
      h("div", { class: "lane" },
        svg("svg", { class: "drawn span", viewBox: "0 0 1000 6", preserveAspectRatio: "none", "aria-hidden": "true" },
          svg("rect", { class: "ground", width: 1000, height: 6 }),
          svg("rect", { x: 994 * (from / whole), width: Math.max(6, 994 * ((to - from) / whole)), height: 6 })),
        body.length > 0
          ? h("details", { open: entry.kind === "message" || entry.kind === "end" }, h("summary", {}, line), body)
          : h("p", { class: "summary" }, line)));
  });
}

/** @param {Entry} entry */
function content({ text, given, gave, cut, kind }) {
  return [
    text !== null && text !== undefined && text !== "" && h("p", { class: "text", dir: "auto" }, visible(text)),
    ...(kind !== "tool" && kind !== "waits" ? [] : [
      given !== null && given !== undefined && block("Given", given),
      gave !== undefined && block("Gave", typeof gave === "string" ? gave : JSON.stringify(gave)),
      cut && h("p", { class: "quiet" }, "It is longer than what is shown."),
    ]),
  ].filter((each) => each instanceof Node);
}

/**
 * @param {any[]} remembered
 * @param {any} turn
 */
function memory(remembered, turn) {
  if (remembered.length === 0) {
    return [h("p", { class: "quiet" }, turn.ended_at === null
      ? "It is known when the turn has ended."
      : "Its agent remembers nothing of it: it left nothing, or that is past its time.")];
  }
  return [h("ol", { class: "items" }, remembered.map(({ item, cut }) => {
    const written = typeof item === "string" ? item : JSON.stringify(item);
    const kind = typeof item === "string" ? "item" : item.type ?? item.role ?? "item";
    return h("li", {},
      h("details", {},
        h("summary", {}, h("bdi", { class: "kind" }, shortened(String(kind), 40)), " ",
          h("bdi", { class: "quiet" }, shortened(gistOf(item), 100))),
        h("pre", { tabindex: "0", dir: "auto" }, indented(written)),
        cut && h("p", { class: "quiet" }, "It is longer than what is shown.")));
  }))];
}

/**
 * Return what tells most of an item in little room.
 *
 * @param {any} item
 */
function gistOf(item) {
  if (typeof item === "string") return item;
  const content = item.content ?? item.output ?? item.arguments ?? "";
  if (typeof content === "string") return item.name ? `${item.name} ${content}` : content;
  if (!Array.isArray(content)) return JSON.stringify(content);
  return content.map((part) => (typeof part?.text === "string" ? part.text : "")).join(" ");
}

/**
 * @param {string} title
 * @param {string} text
 */
function block(title, text) {
  return h("div", {}, h("p", { class: "label" }, title), h("pre", { tabindex: "0", dir: "auto" }, indented(text)));
}
