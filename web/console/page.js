/**
 * The page as a whole: its parts, one of which is open. Which one that is, the address says behind its
 * `#`, so that it can be kept, and sent to somebody else who may see it.
 */

import { ApiError } from "../shared/api.js";
import { announce, h, set } from "../shared/dom.js";
import { shortened } from "../shared/text.js";
import { showApproval, showApprovals } from "./approvals.js";
import { showCleanup } from "./cleanup.js";
import { showEscalations } from "./escalations.js";
import { showFigures } from "./figures.js";
import { showNow } from "./now.js";
import { showSession } from "./session.js";
import { showSessions } from "./sessions.js";
import { showTurn } from "./turn.js";

/** @typedef {import("../shared/api.js").Api} Api */

/**
 * What shows a part.
 *
 * @typedef {object} Stage
 * @property {Api} api
 * @property {HTMLElement} place Where to.
 * @property {string} id What the address names in it, if anything.
 * @property {AbortSignal} signal Aborted when another part is opened.
 * @property {(title: string) => void} title
 */

/** @type {Record<string, {title: string, show: (stage: Stage) => Promise<void>}>} */
const PARTS = {
  now: { title: "Now", show: showNow },
  figures: { title: "Figures", show: showFigures },
  sessions: { title: "Sessions", show: showSessions },
  escalations: { title: "Escalations", show: showEscalations },
  approvals: { title: "Approvals", show: showApprovals },
  cleanup: { title: "Cleanup", show: showCleanup },
};

export class ConsolePage {
  /**
   * @param {HTMLElement} place
   * @param {Api} api
   */
  constructor(place, api) {
    this.place = place;
    this.api = api;
    this.opened = new AbortController();
    this.links = Object.entries(PARTS).map(([name, { title }]) =>
      h("a", { href: `#${name}`, "data-part": name }, title));
    this.heading = h("h1", { tabindex: "-1" });
    this.notice = h("p", { class: "notice", role: "alert", hidden: true });
    this.body = h("div", { class: "body" });
    this.again = h("button", { class: "small", onclick: () => this.#go() }, "Look again");
  }

  async begin() {
    try {
      await this.api.json("GET", "admin/turns", { query: { limit: 1 } });
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 403) throw error;
      this.#refuse();
      return;
    }
    const { caller } = this.api;
    this.place.replaceChildren(
      h("a", { class: "skip", href: "#main", onclick: (/** @type {Event} */ event) => this.#skip(event) },
        "Skip to the content"),
      h("header", {},
        h("strong", { class: "brand" }, "Parley ", h("span", { class: "quiet" }, "operations")),
        h("nav", { "aria-label": "Parts" }, this.links),
        h("div", { class: "caller" },
          h("span", { class: "quiet" }, "Signed in as ", h("bdi", {}, shortened(caller.name, 60))),
          h("button", { class: "small", onclick: () => caller.leave() }, "Sign out"))),
      h("main", { id: "main" }, h("div", { class: "top" }, this.heading, this.again), this.notice, this.body));
    window.addEventListener("hashchange", () => this.#go().then(() => this.heading.focus()));
    await this.#go();
  }

  /** Show the part that the address names. */
  async #go() {
    this.opened.abort();
    const opened = (this.opened = new AbortController());
    const [path = ""] = location.hash.slice(1).split("?", 1);
    const [name = "", id = ""] = path.split("/", 2).map(decoded);
    const [part, show] =
      name === "turns" ? ["now", showTurn]
      : name === "sessions" && id !== "" ? ["sessions", showSession]
      : name === "approvals" && id !== "" ? ["approvals", showApproval]
      : name in PARTS ? [name, /** @type {any} */ (PARTS)[name].show]
      : ["now", showNow];
    for (const link of this.links) set(link, "aria-current", link.dataset.part === part ? "page" : null);
    this.#title(/** @type {any} */ (PARTS)[part].title);
    this.#say(null);
    // What is shown stays until there is something else, so that nothing jumps when one looks again.
    const place = h("div", { class: "part" });
    set(this.body, "aria-busy", "true");
    try {
      const title = (/** @type {string} */ text) => opened.signal.aborted || this.#title(text);
      await show({ api: this.api, place, id, signal: opened.signal, title });
    } catch (error) {
      if (opened.signal.aborted) return;
      this.#say(error instanceof Error ? error.message : String(error));
    }
    if (opened.signal.aborted) return;
    this.body.replaceChildren(place);
    set(this.body, "aria-busy", null);
    announce(`${this.heading.textContent} is shown.`);
  }

  /** Say to who is signed in that the token does not allow this. */
  #refuse() {
    const { caller } = this.api;
    this.place.replaceChildren(
      h("main", { class: "door" },
        h("h1", {}, "Parley operations"),
        h("p", { class: "fault", role: "alert" }, "This page is for administrators."),
        h("p", {}, "You are signed in as ", h("bdi", {}, shortened(caller.name, 60)),
          ", and your token lacks the scope ", h("code", {}, "parley:admin"),
          ". Whoever runs this deployment can give it to you."),
        h("button", { class: "main", onclick: () => caller.leave() }, "Sign out"))
    );
  }

  /** @param {string} title */
  #title(title) {
    this.heading.replaceChildren(h("bdi", {}, title));
    document.title = `${title} · Parley operations`;
  }

  /** @param {string | null} text */
  #say(text) {
    this.notice.textContent = text ?? "";
    set(this.notice, "hidden", text === null);
  }

  /** @param {Event} event */
  #skip(event) {
    event.preventDefault(); // the address names a part
    this.heading.focus();
  }
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
