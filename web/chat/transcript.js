/**
 * The turns of a conversation, oldest first: older ones come as one scrolls up, and the newest stays
 * in sight unless one has scrolled away from it.
 */

import { h, set } from "../shared/dom.js";
import { TurnView } from "./turn_view.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./turn.js").Turn} Turn */
/** @typedef {import("./turn_view.js").Doing} Doing */

const NEAR = 80;

export class Transcript {
  /**
   * @param {Conversation} conversation
   * @param {Omit<Doing, "grown">} doing
   */
  constructor(conversation, doing) {
    this.conversation = conversation;
    this.doing = { ...doing, grown: () => this.#settle() };
    /** @type {Map<Turn, TurnView>} */
    this.views = new Map();
    this.atEnd = true;
    this.loading = false;
    this.older = h("button", { class: "small older", onclick: () => this.#older() }, "Show older messages");
    this.list = h("ol", { class: "turns" });
    this.newest = h("button", { class: "newest", onclick: () => this.toEnd() }, "To the newest");
    this.place = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Messages" },
      this.older, this.list);
    this.element = h("div", { class: "transcript" }, this.place, this.newest);
    this.place.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    // Above what is seen, so that they have come before one is there.
    this.above = new IntersectionObserver(
      ([seen]) => seen?.isIntersecting && this.list.childElementCount > 0 && this.#older(),
      { root: this.place, rootMargin: "400px 0px 0px 0px" }
    );
    new ResizeObserver(() => this.#settle()).observe(this.place);
    this.show();
  }

  show() {
    const turns = this.conversation.turns;
    for (const [turn, view] of this.views) {
      if (!turns.includes(turn)) {
        view.element.remove();
        this.views.delete(turn);
      }
    }
    /** @type {Element | null} */
    let before = null;
    for (const turn of turns) {
      let view = this.views.get(turn);
      if (!view) this.views.set(turn, (view = new TurnView(turn, this.doing)));
      const next = before === null ? this.list.firstElementChild : before.nextElementSibling;
      if (view.element !== next) this.list.insertBefore(view.element, next);
      before = view.element;
    }
    set(this.older, "hidden", !this.conversation.history.more);
    this.#settle();
    // Anew, since it tells of changes only: what has come may leave the button in sight, or one may be
    // back there before it was seen to be gone.
    this.above.unobserve(this.older);
    this.above.observe(this.older);
  }

  toEnd() {
    this.atEnd = true;
    this.#settle();
  }

  async #older() {
    if (this.loading || !this.conversation.history.more) return;
    this.loading = true;
    const below = this.place.scrollHeight - this.place.scrollTop;
    try {
      await this.conversation.older();
      if (!this.atEnd) this.place.scrollTop = this.place.scrollHeight - below;
    } finally {
      this.loading = false;
    }
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.place;
    this.atEnd = scrollHeight - scrollTop - clientHeight < NEAR;
    set(this.newest, "hidden", this.atEnd);
  }

  #settle() {
    if (this.atEnd) this.place.scrollTop = this.place.scrollHeight;
    set(this.newest, "hidden", this.atEnd);
  }
}
