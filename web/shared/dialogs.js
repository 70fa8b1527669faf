/**
 * What is asked before something is done.
 */

import { h } from "./dom.js";

/**
 * Ask for a text.
 *
 * @param {string} title
 * @param {string} label
 * @param {string} value What it is now.
 * @param {(text: string) => Promise<void>} done Throws what speaks against it, which is shown.
 */
export function askText(title, label, value, done) {
  const field = h("input", { id: "asked", value, maxlength: "200", dir: "auto", "aria-describedby": "asked-fault" });
  open(title, [h("label", { for: "asked" }, label), field], "Save", () => done(field.value.trim()));
  field.select();
}

/**
 * Ask whether something is to be done.
 *
 * @param {string} title
 * @param {string} text
 * @param {string} action
 * @param {() => Promise<void>} done
 */
export function askWhether(title, text, action, done) {
  open(title, [h("p", {}, text)], action, done, "danger");
}

/**
 * @param {string} title
 * @param {Node[]} content
 * @param {string} action
 * @param {() => Promise<void>} done
 * @param {string} kind
 */
function open(title, content, action, done, kind = "main") {
  const fault = h("p", { id: "asked-fault", class: "fault", role: "alert" });
  const submitted = async (/** @type {Event} */ event) => {
    event.preventDefault();
    try {
      await done();
      dialog.close();
    } catch (error) {
      fault.textContent = error instanceof Error ? error.message : String(error);
    }
  };
  const dialog = h("dialog", { "aria-labelledby": "asked-title", onclose: () => dialog.remove() },
    h("form", { onsubmit: submitted },
      h("h2", { id: "asked-title" }, title),
      content,
      fault,
      h("div", { class: "actions" },
        h("button", { type: "button", onclick: () => dialog.close() }, "Cancel"),
        h("button", { class: kind }, action))));
  document.body.append(dialog);
  dialog.showModal();
}
