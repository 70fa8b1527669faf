/**
 * The page as a whole: the list of sessions, and the one that is open. Which one that is, the address
 * says behind its `#`, so that it can be kept, and found again after a reload.
 */

import { ApiError } from "../shared/api.js";
import { askText, askWhether } from "../shared/dialogs.js";
import { announce, h, set } from "../shared/dom.js";
import { markdown } from "../shared/markdown.js";
import { shortened } from "../shared/text.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { SessionList, titleOf } from "./session_list.js";
import { hearOthers, tellOthers } from "./tabs.js";
import { Transcript } from "./transcript.js";

/** @typedef {import("../shared/api.js").Api} Api */
/** @typedef {import("./turn.js").Turn} Turn */

// How often a name is tried with a number behind it, before the session gets none.
const NAMES = 5;

/** @param {Turn} turn */
function askedFor(turn) {
  const tools = turn.openApprovals.map(({ tool }) => shortened(tool, 100));
  return `The agent waits for a decision: ${tools.join(", ")}.`;
}

export class ChatPage {
  /**
   * @param {HTMLElement} place
   * @param {Api} api
   */
  constructor(place, api) {
    this.place = place;
    this.api = api;
    this.list = new SessionList(api);
    /** @type {Conversation | null} */
    this.conversation = null;
    /** @type {Transcript | null} */
    this.transcript = null;
    /** @type {any[]} */
    this.agents = [];
    this.composer = new Composer((text) => this.#send(text));
    this.heading = h("h1", {}, "New conversation");
    this.about = h("p", { class: "quiet about" });
    this.tools = h("div", { class: "tools" });
    this.body = h("div", { class: "body" });
    this.notice = h("p", { class: "notice", role: "alert", hidden: true });
    this.menu = h("button", {
      class: "menu", "aria-expanded": "false", "aria-controls": "side", onclick: () => this.#openMenu(),
    }, "Conversations");
    this.side = h("div", { id: "side", class: "side" },
      h("div", { class: "brand" }, h("strong", {}, "Parley"),
        h("a", { class: "button", href: "#" }, "New conversation")),
      this.list.element,
      h("div", { class: "caller" },
        h("span", {}, "Signed in as ", h("bdi", {}, shortened(api.caller.name, 60))),
        h("button", { class: "small", onclick: () => api.caller.leave() }, "Sign out")));
  }

  async begin() {
    const { items } = await this.api.json("GET", "agents");
    this.agents = items;
    this.place.replaceChildren(
      h("a", { class: "skip", href: "#message", onclick: (/** @type {Event} */ event) => this.#skip(event) },
        "Skip to the message"),
      h("div", { class: "frame" },
        this.side,
        h("main", { class: "talk" },
          h("header", {}, this.menu, h("div", { class: "titles" }, this.heading, this.about), this.tools),
          this.notice,
          this.body,
          this.composer.element)));
    window.addEventListener("hashchange", () => this.#go());
    window.addEventListener("pageshow", (event) => event.persisted && this.#refresh());
    window.addEventListener("online", () => this.#refresh());
    document.addEventListener("visibilitychange", () => document.hidden || this.#refresh());
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.#closeMenu(true));
    hearOthers((news) => this.#hear(news));
    await Promise.all([this.list.refresh(), this.#go()]);
  }

  /** Show the session that the address names. */
  async #go() {
    const id = decodeURIComponent(location.hash.slice(1));
    if (id !== "" && id === this.conversation?.session.id) return;
    this.#closeMenu(false);
    this.conversation?.close();
    this.conversation = null;
    this.transcript = null;
    this.#say(null);
    if (id === "") {
      this.#showNew();
      return;
    }
    try {
      const session = await this.api.json("GET", `sessions/${encodeURIComponent(id)}`);
      await this.#show(session, { older: true });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#showNew();
      this.#say(error.status === 404 || error.status === 422
        ? "There is no such conversation. It may have been deleted."
        : error.message);
    }
  }

  #showNew() {
    this.#title("New conversation");
    this.about.textContent = "";
    this.tools.replaceChildren();
    this.list.choose(null);
    const chosen = this.agents.find((agent) => agent.default) ?? this.agents[0];
    this.agent = chosen?.name;
    this.body.replaceChildren(
      h("fieldset", { class: "agents" },
        h("legend", {}, "Whom do you want to talk to?"),
        this.agents.map((agent) =>
          h("label", {},
            h("input", {
              type: "radio", name: "agent", value: agent.name, checked: agent === chosen,
              onchange: () => (this.agent = agent.name),
            }),
            h("span", {}, h("bdi", { class: "title" }, shortened(agent.name, 60)),
              h("bdi", { class: "quiet" }, shortened(agent.description, 300)))))));
    this.composer.close(null);
    this.composer.focus();
  }

  /**
   * @param {any} session
   * @param {{older: boolean}} how
   */
  async #show(session, { older }) {
    const conversation = new Conversation(this.api, session);
    this.conversation = conversation;
    if (!older) conversation.history.nextTurns = null;
    const transcript = new Transcript(conversation, {
      cancel: (turn) => this.#cancel(turn),
      retry: (turn) => this.#retry(turn),
      reconnect: () => this.#refresh(),
      look: (turn) => conversation.look(turn),
      decide: async (turn, id, decision) => {
        await conversation.decide(turn, id, decision);
        announce(decision.decision === "approve" ? "Approved." : "Rejected.");
        this.composer.focus();
      },
    });
    this.transcript = transcript;
    conversation.changed = () => transcript.show();
    conversation.asked = (turn) => announce(askedFor(turn));
    conversation.ended = (turn) => this.#ended(turn);
    this.#showSession(session);
    this.body.replaceChildren(transcript.element);
    if (older) await conversation.older();
    transcript.toEnd();
    this.composer.focus();
  }

  /** @param {any} session */
  #showSession(session) {
    this.#title(titleOf(session));
    this.about.replaceChildren(h("bdi", {}, shortened(session.agent, 60)));
    this.tools.replaceChildren(
      h("button", { class: "small", onclick: () => this.#rename() }, "Rename"),
      h("button", { class: "small", onclick: () => this.#delete() }, "Delete"));
    this.list.choose(session.id);
    const closed = {
      ended: "This conversation has ended",
      escalated: "A person will look at this conversation",
    }[/** @type {"ended" | "escalated"} */ (session.status)];
    this.composer.close(closed ?? null);
    if (session.status === "ended") {
      this.tools.prepend(h("button", { class: "small", onclick: () => this.#reopen() }, "Go on"));
    }
  }

  /** @param {string} text */
  async #send(text) {
    this.#say(null);
    if (this.conversation === null) await this.#create(text);
    this.transcript?.toEnd();
    announce("Sent.");
    await this.conversation?.send(text);
    this.list.refresh().catch(() => undefined);
    tellOthers({ changed: "sessions" });
  }

  /**
   * Make a session, named after what is said first: by a name that no other has.
   *
   * @param {string} text
   */
  async #create(text) {
    const name = shortened(text, 60);
    for (let number = 1; ; number++) {
      const named = number === 1 ? name : number < NAMES ? `${name} (${number})` : null;
      const body = { agent: this.agent, platform: "web", name: named };
      const made = await this.api.open("POST", "sessions", { body, key: crypto.randomUUID() });
      const session = await made.json();
      if (made.status !== 201) continue;
      history.pushState(null, "", `#${session.id}`);
      await this.#show(session, { older: false });
      return;
    }
  }

  /** @param {Turn} turn */
  async #cancel(turn) {
    try {
      const outcome = await this.conversation?.cancel(turn);
      announce(outcome === "too_late" ? "It is too late, it has ended." : "Cancelled.");
    } catch (error) {
      this.#say(error instanceof Error ? error.message : String(error));
    }
    this.composer.focus();
  }

  /** @param {Turn} turn */
  async #retry(turn) {
    try {
      await this.#send(turn.message ?? "");
    } catch (error) {
      this.#say(error instanceof Error ? error.message : String(error));
    }
    this.composer.focus();
  }

  #rename() {
    const conversation = this.conversation;
    if (!conversation) return;
    askText("Rename this conversation", "Name", conversation.session.name ?? "", async (name) => {
      await this.#change({ name: name === "" ? null : name });
    });
  }

  async #reopen() {
    await this.#change({ status: "active" }).catch((error) => this.#say(error.message));
    this.composer.focus();
  }

  /** @param {object} body */
  async #change(body) {
    const conversation = this.conversation;
    if (!conversation) return;
    const path = `sessions/${conversation.session.id}`;
    conversation.session = await this.api.json("PATCH", path, { body });
    this.#showSession(conversation.session);
    tellOthers({ changed: "sessions" });
    await this.list.refresh();
  }

  #delete() {
    const conversation = this.conversation;
    if (!conversation) return;
    const text = "Its messages go, and what the agent remembers of it. This cannot be undone.";
    askWhether("Delete this conversation?", text, "Delete", async () => {
      await this.api.json("DELETE", `sessions/${conversation.session.id}`);
      tellOthers({ changed: "sessions" });
      location.hash = "";
      await this.list.refresh();
    });
  }

  /** @param {Turn} turn */
  #ended(turn) {
    const said = {
      completed: `The agent said: ${shortened(markdown(turn.text).textContent ?? "", 500)}`,
      failed: `This failed. ${turn.error?.detail ?? ""}`,
      cancelled: "Cancelled.",
    }[/** @type {"completed" | "failed" | "cancelled"} */ (turn.status)];
    announce(said);
    this.#refreshSession().catch(() => undefined);
  }

  /** A turn may have changed what the session is: an agent may hand it over to a person. */
  async #refreshSession() {
    const conversation = this.conversation;
    if (!conversation) return;
    const session = await this.api.json("GET", `sessions/${conversation.session.id}`);
    if (conversation !== this.conversation) return;
    const changed = JSON.stringify([session.name, session.status]) !==
      JSON.stringify([conversation.session.name, conversation.session.status]);
    conversation.session = session;
    if (changed) this.#showSession(session);
  }

  async #refresh() {
    await Promise.all([this.list.refresh(), this.conversation?.refresh()]).catch((error) => {
      if (!(error instanceof ApiError)) throw error;
    });
  }

  /** @param {import("./tabs.js").News} news */
  #hear(news) {
    const ours = news.changed === "turns" && news.session === this.conversation?.session.id;
    if (ours) this.conversation?.refresh().catch(() => undefined);
    if (news.changed === "sessions") {
      this.list.refresh().catch(() => undefined);
      this.#refreshSession().catch(() => undefined);
    }
  }

  /** @param {string} title */
  #title(title) {
    this.heading.replaceChildren(h("bdi", {}, title));
    document.title = `${title} · Parley`;
  }

  /** @param {string | null} text */
  #say(text) {
    this.notice.textContent = text ?? "";
    set(this.notice, "hidden", text === null);
  }

  /** @param {Event} event */
  #skip(event) {
    event.preventDefault(); // the address names a session
    this.composer.focus();
  }

  #openMenu() {
    const open = this.side.classList.toggle("open");
    set(this.menu, "aria-expanded", String(open));
    if (open) this.side.querySelector("a")?.focus();
  }

  /** @param {boolean} focus */
  #closeMenu(focus) {
    const open = this.side.classList.contains("open");
    this.side.classList.remove("open");
    set(this.menu, "aria-expanded", "false");
    if (open && focus) this.menu.focus();
  }
}
