/**
 * The user's sessions, newest activity first.
 */

import { h, set } from "../shared/dom.js";
import { shortened } from "../shared/text.js";

/** @typedef {import("../shared/api.js").Api} Api */

/**
 * Return what a session is called on the page.
 *
 * @param {any} session
 */
export function titleOf(session) {
  return session.name === null ? "Without a name" : shortened(session.name, 80);
}

export class SessionList {
  /** @param {Api} api */
  constructor(api) {
    this.api = api;
    /** @type {any[]} */
    this.sessions = [];
    /** @type {string | null} */
    this.cursor = null;
    /** @type {string | null} */
    this.current = null;
    this.list = h("ul", { class: "sessions" });
    this.more = h("button", { class: "small", hidden: true, onclick: () => this.#more() }, "Show more");
    this.element = h("nav", { "aria-label": "Conversations" }, this.list, this.more);
  }

  async refresh() {
    const page = await this.#page(null);
    const known = new Set(page.items.map((/** @type {any} */ session) => session.id));
    // Those of further pages stay, but for what may have gone.
    this.sessions = this.cursor === null || this.sessions.length <= page.items.length
      ? page.items
      : [...page.items, ...this.sessions.slice(page.items.length).filter((each) => !known.has(each.id))];
    if (this.sessions.length === page.items.length) this.cursor = page.next_cursor;
    this.show();
  }

  /** @param {string | null} id */
  choose(id) {
    this.current = id;
    this.show();
  }

  show() {
    this.list.replaceChildren(...this.sessions.map((session) => this.#item(session)));
    if (this.sessions.length === 0) {
      this.list.append(h("li", { class: "quiet" }, "No conversations yet."));
    }
    set(this.more, "hidden", this.cursor === null);
  }

  async #more() {
    const page = await this.#page(this.cursor);
    this.cursor = page.next_cursor;
    this.sessions.push(...page.items);
    this.show();
  }

  /** @param {string | null} cursor */
  async #page(cursor) {
    return await this.api.json("GET", "sessions", { query: cursor ? { limit: 30, cursor } : { limit: 30 } });
  }

  /** @param {any} session */
  #item(session) {
    const current = session.id === this.current;
    return h("li", {},
      h("a", { href: `#${session.id}`, "aria-current": current ? "page" : null },
        h("bdi", { class: "title" }, titleOf(session)),
        h("span", { class: "quiet" }, h("bdi", {}, shortened(session.agent, 40)), ` · ${since(session.last_activity_at)}`)));
  }
}

/** @param {string} time */
function since(time) {
  const when = new Date(time);
  const today = when.toDateString() === new Date().toDateString();
  return when.toLocaleString(undefined, today ? { timeStyle: "short" } : { dateStyle: "medium" });
}
