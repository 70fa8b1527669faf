/**
 * A piece of what the agent says, shown anew as it grows.
 */

import { markdown } from "../shared/markdown.js";

/** @typedef {import("./turn.js").Said} Said */

export class TextView {
  constructor() {
    this.element = document.createElement("div");
    this.element.className = "prose";
    this.element.dir = "auto";
    this.shown = "";
    /** Milliseconds that the last showing took, and when the next one may be. */
    this.cost = 0;
    this.from = 0;
    this.later = 0;
  }

  /** @param {Said} part */
  show(part) {
    if (part.text === this.shown) return;
    const early = this.from - performance.now();
    clearTimeout(this.later);
    // A long text is parsed whole each time; the page must have time for other things too.
    if (!part.whole && early > 0) this.later = setTimeout(() => this.#render(part), early);
    else this.#render(part);
  }

  /** @param {Said} part */
  #render(part) {
    const began = performance.now();
    this.shown = part.text;
    this.element.replaceChildren(markdown(part.text));
    this.cost = performance.now() - began;
    this.from = performance.now() + 5 * this.cost;
  }
}
