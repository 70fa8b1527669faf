/**
 * A turn on the page: what the user said, what the agent says and does, and how it stands.
 */

import { ApprovalView } from "../shared/approval_view.js";
import { h, set } from "../shared/dom.js";
import { visible } from "../shared/text.js";
import { TextView } from "./text_view.js";
import { ToolView } from "./tool_view.js";

/** @typedef {import("./turn.js").Turn} Turn */

/**
 * @typedef {object} Doing
 * @property {(turn: Turn) => void} cancel
 * @property {(turn: Turn) => void} retry
 * @property {(turn: Turn) => void} reconnect
 * @property {(turn: Turn) => Promise<void>} look
 * @property {(turn: Turn, id: string, decision: string) => Promise<void>} decide
 * @property {() => void} grown Told when it may have become higher.
 */

const REASONS = /** @type {Record<string, string>} */ ({
  model_failed: "The model did not answer as it should.",
  turn_timeout: "It took longer than a turn may.",
  turn_cancelled: "It was cancelled.",
});

const VIEWS = { text: TextView, tool: ToolView, approval: ApprovalView };

export class TurnView {
  /**
   * @param {Turn} turn
   * @param {Doing} doing
   */
  constructor(turn, doing) {
    this.turn = turn;
    this.doing = doing;
    /** @type {(TextView | ToolView | ApprovalView)[]} */
    this.parts = [];
    this.scheduled = false;
    /** What it was last said to be like, as markup to compare. */
    this.stated = "";
    /** Whether what it did was asked for. */
    this.looked = false;
    this.said = turn.message === null ? null : h("div", { class: "said", dir: "auto" }, visible(turn.message));
    this.answer = h("div", { class: "answer" });
    this.state = h("div", { class: "state" });
    this.element = h("li", { class: "turn" },
      this.said && h("div", { class: "from-user" }, h("h3", { class: "unseen" }, "You said"), this.said),
      h("div", { class: "from-agent" },
        h("h3", { class: "unseen" }, turn.message === null ? "A note for you" : "The agent"),
        this.answer,
        this.state));
    turn.changed = () => this.#later();
    this.show();
  }

  /** Show it as it is with the next picture; events come faster than pictures do. */
  #later() {
    if (this.scheduled) return;
    this.scheduled = true;
    const show = () => {
      this.scheduled = false;
      this.show();
    };
    // A tab that nobody sees paints nothing, and is read out all the same.
    if (document.hidden) setTimeout(show, 200);
    else requestAnimationFrame(show);
  }

  show() {
    const { turn } = this;
    set(this.element, "data-status", turn.status);
    set(this.answer, "aria-busy", turn.open ? "true" : null);
    this.#showParts();
    this.#showState();
    this.doing.grown();
  }

  #showParts() {
    const parts = this.turn.parts;
    parts.forEach((part, place) => {
      let view = this.parts[place];
      const fits = view instanceof VIEWS[part.kind] && (part.kind !== "approval" || view.asked.id === part.id);
      if (!fits) {
        this.parts.splice(place).forEach((old) => old.element.remove());
        view = part.kind === "approval" ? this.#approval(part) : new VIEWS[part.kind]();
        this.parts.push(view);
        this.answer.append(view.element);
      }
      view.show(/** @type {any} */ (part));
    });
    this.parts.splice(parts.length).forEach((old) => old.element.remove());
  }

  /** @param {import("./turn.js").AskedFor} part */
  #approval(part) {
    return new ApprovalView(part, {
      may: part.decider === "user",
      decide: (id, decision) => this.doing.decide(this.turn, id, decision),
    });
  }

  #showState() {
    const { turn } = this;
    const pieces = [
      turn.resumed && h("span", { class: "badge" }, "Carried on after a crash"),
      ...this.#progress(),
      ...this.#outcome(),
      ...this.#past(),
    ].filter(Boolean);
    // What has the focus must stay where it is while nothing of it changes.
    const before = pieces.map((piece) => /** @type {Element} */ (piece).outerHTML).join("");
    if (before === this.stated) return;
    this.stated = before;
    this.state.replaceChildren(.../** @type {Node[]} */ (pieces));
  }

  #progress() {
    const { turn } = this;
    if (!turn.open) return [];
    const said = turn.lost
      ? "The connection is lost."
      : turn.connectionLost
        ? "Reconnecting…"
        : { sending: "Sending…", queued: "Waits its turn", running: "Working…", waiting: "Waits for a decision" }[
            /** @type {"sending" | "queued" | "running" | "waiting"} */ (turn.status)
          ];
    const cancel = turn.status === "queued" ? "Take back" : "Stop";
    return [
      h("span", { class: "progress" }, h("span", { class: "pulse", "aria-hidden": "true" }), said),
      turn.lost && h("button", { class: "small", onclick: () => this.doing.reconnect(turn) }, "Reconnect"),
      turn.id !== null && h("button", { class: "small", onclick: () => this.doing.cancel(turn) }, cancel),
    ];
  }

  #outcome() {
    const { turn } = this;
    if (turn.status !== "failed" && turn.status !== "cancelled") return [];
    const failed = turn.status === "failed";
    const reason = visible(turn.error?.detail || REASONS[turn.error?.code ?? ""] || "");
    return [
      h("div", { class: failed ? "ending failed" : "ending" },
        h("p", {}, h("strong", {}, failed ? "This failed. " : "Cancelled. "), h("bdi", {}, reason)),
        turn.text !== "" && h("p", { class: "quiet" }, "What the agent had begun to say is all there is of it."),
        h("p", {},
          turn.error && failed && h("code", {}, visible(turn.error.code)),
          turn.message !== null &&
            h("button", { class: "small", onclick: () => this.doing.retry(turn) }, "Try again"))),
    ];
  }

  #past() {
    const { turn } = this;
    const used = turn.modelCalls > 1 && !turn.parts.some((part) => part.kind !== "text");
    if (turn.open || !used || this.looked) return [];
    const look = async (/** @type {Event} */ event) => {
      const button = /** @type {HTMLButtonElement} */ (event.currentTarget);
      button.disabled = true;
      await this.doing.look(turn);
      this.looked = true;
      this.show();
      const first = this.answer.querySelector("summary");
      if (first instanceof HTMLElement) first.focus();
    };
    return [h("button", { class: "small", onclick: look }, "Show what it did")];
  }
}
