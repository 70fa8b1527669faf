/**
 * A call of a tool: one line, which opens to what it was given and what it gave.
 */

import { h } from "../shared/dom.js";
import { indented } from "../shared/json_text.js";
import { shortened, visible } from "../shared/text.js";

/** @typedef {import("./turn.js").Called} Called */

export class ToolView {
  constructor() {
    this.name = h("bdi", { class: "tool-name" });
    this.gist = h("bdi", { class: "tool-gist" });
    this.state = h("span", { class: "tool-state" });
    this.body = h("div", { class: "tool-body" });
    this.element = h("details", { class: "tool" }, h("summary", {}, this.name, this.gist, this.state), this.body);
    this.shown = "";
  }

  /** @param {Called} part */
  show(part) {
    const state = JSON.stringify(part);
    if (state === this.shown) return;
    this.shown = state;
    this.name.textContent = visible(part.name);
    this.gist.textContent = shortened(gistOf(part.input ?? ""), 100);
    this.state.textContent = part.failed ? "failed" : part.done ? "done" : "running…";
    this.element.classList.toggle("nested", part.nested);
    this.body.replaceChildren(
      .../** @type {Node[]} */ ([block("Given", part.input), block("Answered", part.output)].filter(Boolean))
    );
    if (!this.body.hasChildNodes()) {
      this.body.append(h("p", { class: "quiet" }, part.done ? "What it was given is not kept any more." : "…"));
    }
  }
}

/**
 * Return the texts among a tool's arguments, which tell most in little room.
 *
 * @param {string} input As JSON.
 */
function gistOf(input) {
  try {
    const values = Object.values(JSON.parse(input) ?? {});
    return values.filter((value) => typeof value === "string").join(", ");
  } catch {
    return "";
  }
}

/**
 * @param {string} title
 * @param {string | undefined} text
 */
function block(title, text) {
  if (text === undefined || text === null) return null;
  return h("div", {}, h("p", { class: "label" }, title), h("pre", { tabindex: "0", dir: "auto" }, indented(text)));
}
