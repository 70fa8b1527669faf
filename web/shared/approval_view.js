/**
 * A call that somebody has to decide on: what it is, until when, and the decision.
 */

import { h, set } from "./dom.js";
import { changeable, indented, isObject } from "./json_text.js";
import { shortened, visible } from "./text.js";

/**
 * @typedef {object} Asked
 * @property {string} id
 * @property {string} tool
 * @property {string} arguments As JSON.
 * @property {string} decider
 * @property {boolean} editable
 * @property {string} status
 * @property {string | null} [reason]
 * @property {string | null} [edited_arguments]
 * @property {string} [expires_at]
 * @property {boolean} [cut] Whether there is more of its texts than this.
 */

const REASON_MAX_CHARS = 1000;

const STANDS = /** @type {Record<string, string>} */ ({
  approved: "Approved",
  rejected: "Rejected",
  expired: "Nobody decided in time",
  cancelled: "Cancelled",
});

let made = 0;

export class ApprovalView {
  /**
   * @param {Asked} asked
   * @param {object} how
   * @param {boolean} how.may Whether who sees it may decide.
   * @param {(id: string, decision: string) => Promise<void>} how.decide Sends it, which is JSON; throws what speaks
   *   against it.
   */
  constructor(asked, { may, decide }) {
    const id = `approval-${++made}`;
    this.asked = asked;
    this.may = may;
    this.decide = decide;
    this.busy = false;
    this.given = h("pre", { tabindex: "0", dir: "auto" });
    this.edited = h("textarea", { id: `${id}-arguments`, rows: "4", dir: "ltr", spellcheck: "false" });
    this.edit = h("div", { class: "edit", hidden: true },
      h("label", { for: `${id}-arguments`, class: "label" }, "Call it with"), this.edited);
    this.reason = h("input", {
      id: `${id}-reason`, type: "text", maxlength: String(REASON_MAX_CHARS), dir: "auto", autocomplete: "off",
    });
    this.fault = h("p", { class: "fault", role: "alert" });
    this.approve = h("button", { class: "main", onclick: () => this.#send("approve") }, "Approve");
    this.reject = h("button", { onclick: () => this.#send("reject") }, "Reject");
    this.change = h("button", { class: "small", onclick: () => this.#change() }, "Change what it is given");
    this.form = h("div", { class: "deciding" },
      this.change,
      this.edit,
      h("div", {}, h("label", { for: `${id}-reason`, class: "label" }, "Reason, if there is one to give"), this.reason),
      h("div", { class: "choices" }, this.approve, this.reject));
    this.state = h("span", { class: "tool-state" });
    this.cut = h("p", {}, "This is only the beginning: what it would be given is longer than is shown here.");
    this.who = h("p", { class: "quiet" });
    this.element = h("section", { class: "approval", "aria-labelledby": `${id}-title` },
      h("p", { id: `${id}-title`, class: "asks" },
        h("bdi", { class: "tool-name" }, visible(shortened(asked.tool, 100))), " ", this.state),
      h("p", { class: "label" }, "It would be given"),
      this.given,
      this.cut,
      this.who,
      this.form,
      this.fault);
    this.show(asked);
  }

  /** @param {Asked} asked */
  show(asked) {
    this.asked = asked;
    const open = asked.status === "open";
    const late = open && asked.expires_at !== undefined && Date.parse(asked.expires_at) <= Date.now();
    set(this.element, "data-status", asked.status);
    const given = indented(asked.edited_arguments ?? asked.arguments);
    if (this.given.textContent !== given) this.given.textContent = given;
    this.state.textContent = late ? "Its time is over" : open ? "Waits for a decision" : STANDS[asked.status] ?? asked.status;
    this.who.replaceChildren(...this.#about(open));
    set(this.form, "hidden", !(open && this.may) || late);
    set(this.cut, "hidden", !asked.cut);
    set(this.change, "hidden", !asked.editable || asked.cut === true || !this.edit.hidden);
    if (!open) this.fault.textContent = "";
  }

  /** @param {boolean} open */
  #about(open) {
    const { decider, expires_at, reason } = this.asked;
    if (!open) return reason ? ["The reason given: ", h("bdi", {}, visible(reason))] : [];
    const until = expires_at === undefined ? "" : ` It expires on ${new Date(expires_at).toLocaleString()}.`;
    const mine = { user: this.may ? "You decide." : "The user decides.", admin: "An administrator decides." }[decider];
    const who = mine ?? ["Who has the scope ", h("code", {}, visible(decider)), " decides."];
    return [who, until].flat();
  }

  #change() {
    this.edited.value = changeable(this.asked.arguments);
    set(this.edit, "hidden", false);
    set(this.change, "hidden", true);
    this.edited.focus();
  }

  /** @param {"approve" | "reject"} decision */
  async #send(decision) {
    if (this.busy) return;
    const editing = decision === "approve" && !this.edit.hidden;
    if (editing && !isObject(this.edited.value)) {
      this.fault.textContent = "What it is given must be a JSON object.";
      this.edited.focus();
      return;
    }
    const body = written(decision, this.reason.value, editing ? this.edited.value : null);
    this.#wait(true);
    this.fault.textContent = "";
    try {
      await this.decide(this.asked.id, body);
    } catch (error) {
      this.fault.textContent = error instanceof Error ? error.message : String(error);
    } finally {
      this.#wait(false);
    }
  }

  /** @param {boolean} busy */
  #wait(busy) {
    this.busy = busy;
    for (const button of [this.approve, this.reject]) set(button, "aria-disabled", busy ? "true" : null);
  }
}

/**
 * Return a decision as JSON. What the call is given stands in it as it was written: its numbers may
 * be larger than JavaScript can count.
 *
 * @param {"approve" | "reject"} decision
 * @param {string} reason
 * @param {string | null} changed What it is given instead: JSON.
 */
function written(decision, reason, changed) {
  const told = JSON.stringify({ decision, ...(reason.trim() === "" ? {} : { reason }) });
  return changed === null ? told : `${told.slice(0, -1)},"arguments":${changed}}`;
}
