/**
 * Where a message is written.
 */

import { h, set } from "../shared/dom.js";

export class Composer {
  /** @param {(text: string) => Promise<void>} send Throws what speaks against it. */
  constructor(send) {
    this.send = send;
    this.field = h("textarea", {
      id: "message", rows: "1", placeholder: "Write a message", dir: "auto",
      "aria-describedby": "message-hint message-fault",
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#key(event),
    });
    this.fault = h("p", { id: "message-fault", class: "fault", role: "alert" });
    this.button = h("button", { class: "main" }, "Send");
    this.element = h("form", { class: "composer", onsubmit: (/** @type {Event} */ event) => this.#submit(event) },
      h("label", { for: "message", class: "unseen" }, "Message"),
      h("div", { class: "field" }, this.field, this.button),
      this.fault,
      h("p", { id: "message-hint", class: "quiet hint" }, "Enter sends, Shift and Enter begin a line."));
  }

  focus() {
    this.field.focus();
  }

  /** @param {string | null} reason Why nothing can be sent; null if it can. */
  close(reason) {
    set(this.field, "disabled", reason !== null);
    set(this.button, "disabled", reason !== null);
    set(this.field, "placeholder", reason ?? "Write a message");
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    // Enter also ends the composing of a character, as in Japanese.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#submit(event);
  }

  /** @param {Event} event */
  async #submit(event) {
    event.preventDefault();
    const text = this.field.value;
    if (text.trim() === "" || this.field.disabled) return;
    this.field.value = "";
    this.fault.textContent = "";
    try {
      await this.send(text);
    } catch (error) {
      // What was written is not lost, nor what was written meanwhile.
      this.field.value = [text, this.field.value].filter(Boolean).join("\n");
      this.fault.textContent = error instanceof Error ? error.message : String(error);
      this.focus();
    }
  }
}
