/**
 * Sessions that their agents have handed to people, to be answered.
 */

import { announce, h } from "../shared/dom.js";
import { facts, moment, told, userLink } from "./telling.js";

/** @typedef {import("../shared/api.js").Api} Api */

/** @param {import("./page.js").Stage} stage */
export async function showEscalations({ api, place, signal }) {
  const list = h("ul", { class: "escalations" });
  const none = () => {
    if (!list.hasChildNodes()) list.append(h("li", { class: "quiet" }, "Nobody waits for a person."));
  };
  /** @type {string | null} */
  let cursor = null;
  do {
    const query = { status: "escalated", limit: 50, ...(cursor === null ? {} : { cursor }) };
    const page = await api.json("GET", "admin/sessions", { query, signal });
    for (const session of page.items) {
      const item = h("li", { class: "card" },
        h("h2", {}, h("a", { href: `#sessions/${session.id}` },
          session.name === null ? "Session without a name" : told(session.name, 80))),
        facts([
          ["Why", told(session.status_reason, 1000)],
          ["User", userLink(session.user_id)],
          ["Agent", told(session.agent, 60)],
          ["Since", moment(session.updated_at)],
        ]),
        answerForm(api, session, () => {
          item.remove();
          none();
        }));
      list.append(item);
    }
    cursor = page.next_cursor;
  } while (cursor !== null);
  none();
  place.append(list);
}

/**
 * Make a form that answers an escalation, and sets its session's status back.
 *
 * @param {Api} api
 * @param {any} session
 * @param {(session: any) => void} done
 */
export function answerForm(api, session, done) {
  const field = h("textarea", {
    id: `note-${session.id}`, rows: 3, maxlength: 8000, dir: "auto", "aria-describedby": `hint-${session.id}`,
  });
  const fault = h("p", { class: "fault", role: "alert" });
  const button = h("button", { class: "main" }, "Set it back to active");
  const submitted = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const note = field.value.trim();
    const body = note === "" ? { status: "active" } : { status: "active", note };
    button.disabled = true;
    fault.textContent = "";
    try {
      // Repeated, a note would stand there twice.
      const changed = await api.json("PATCH", `admin/sessions/${session.id}`, { body, once: true });
      announce("The session is active again.");
      done(changed);
    } catch (error) {
      fault.textContent = error instanceof Error ? error.message : String(error);
      button.disabled = false;
    }
  };
  return h("form", { class: "answer", onsubmit: submitted },
    h("label", { for: field.id }, "Note to the user"),
    field,
    h("p", { id: `hint-${session.id}`, class: "quiet" },
      "It stands in the transcript, and the agent goes on from it. Leave it empty to say nothing."),
    fault,
    h("div", { class: "actions" }, button));
}
