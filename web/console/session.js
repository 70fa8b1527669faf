/**
 * One session, of whichever user: how it stands, and what was said in it.
 */

import { h, set } from "../shared/dom.js";
import { History } from "../shared/history.js";
import { indented } from "../shared/json_text.js";
import { visible } from "../shared/text.js";
import { answerForm } from "./escalations.js";
import { badge, facts, moment, reason, section, told, userLink } from "./telling.js";

/** @param {import("./page.js").Stage} stage */
export async function showSession({ api, place, id, signal, title }) {
  const path = `admin/sessions/${encodeURIComponent(id)}`;
  const session = await api.json("GET", path, { signal });
  title(session.name === null ? "Session without a name" : told(session.name, 80).textContent);
  const history = new History(api, {
    turns: { path: "admin/turns", query: { session_id: session.id } },
    messages: { path: `${path}/messages` },
  });
  const list = h("ol", { class: "turns" });
  const older = h("button", { class: "small", onclick: () => more() }, "Show older messages");
  const more = async () => {
    set(older, "disabled", true);
    try {
      for (const said of await history.older()) list.prepend(turnOf(said));
    } finally {
      set(older, "disabled", null);
    }
    set(older, "hidden", !history.more);
    if (!list.hasChildNodes()) list.append(h("li", { class: "quiet" }, "Nothing was said yet."));
  };
  await more();
  const stands = h("div", {});
  const show = (/** @type {any} */ now) => stands.replaceChildren(...standing(now),
    now.status === "escalated" && section("Answer", answerForm(api, now, (changed) => {
      show(changed);
      list.replaceChildren();
      history.nextTurns = history.nextMessages = undefined;
      history.said.clear();
      more().catch(() => undefined);
    })) || "");
  show(session);
  place.append(stands,
    section("Transcript", h("p", { class: "quiet" }, "That you look at it is recorded."), older, list));
}

/** @param {any} session */
function standing(session) {
  return [
    facts([
      ["Status", badge(session.status)],
      ["Why", told(session.status_reason, 1000)],
      ["User", userLink(session.user_id)],
      ["Agent", told(session.agent, 60)],
      ["Platform", told(session.platform, 40)],
      ["Made", moment(session.created_at)],
      ["Last activity", moment(session.last_activity_at)],
      ["Id", h("code", {}, session.id)],
    ]),
    h("details", {}, h("summary", {}, "Metadata"),
      h("pre", { tabindex: "0", dir: "auto" }, indented(JSON.stringify(session.metadata)))),
  ];
}

/** @param {import("../shared/history.js").Told} said */
function turnOf({ turn, message, reply }) {
  return h("li", { class: "turn" },
    h("p", { class: "quiet" }, moment(turn.created_at), " ", badge(turn.status), " ",
      h("a", { href: `#turns/${turn.id}` }, "What was done")),
    message === null ? null : saying("User", "said user", message),
    turn.error === null ? null : h("p", { class: "ending" }, reason(turn, 2000)),
    reply === null ? null : saying(message === null ? "Administrator" : "Agent", "said", reply));
}

/**
 * @param {string} who
 * @param {string} kind
 * @param {string} text
 */
function saying(who, kind, text) {
  return h("div", { class: kind }, h("p", { class: "label" }, who),
    h("p", { class: "text", dir: "auto" }, visible(text)));
}
