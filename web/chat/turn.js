/**
 * What is known of a turn. It changes by events and by what the API says; who shows it is told.
 */

/** @typedef {"sending" | "queued" | "running" | "waiting" | "completed" | "failed" | "cancelled"} Status */

/** @typedef {import("../shared/approval_view.js").Asked & {kind: "approval", callId: string}} AskedFor */

/**
 * @typedef {object} Said
 * @property {"text"} kind
 * @property {number | null} step Which answer of the model it is of.
 * @property {string} text
 * @property {boolean} whole
 */

/**
 * @typedef {object} Called
 * @property {"tool"} kind
 * @property {string} callId
 * @property {string} name
 * @property {string} [input] As JSON.
 * @property {string} [output]
 * @property {boolean} done
 * @property {boolean} [failed]
 * @property {boolean} nested Whether another tool has called it.
 */

/** One message of the user's, and all that the agent does until its reply. */
export class Turn {
  /**
   * @param {object} begun
   * @param {string | null} begun.id Null until the server has taken the message.
   * @param {string | null} begun.message What the user said; null in a note of an administrator's.
   * @param {Status} begun.status
   */
  constructor({ id, message, status }) {
    this.id = id;
    this.message = message;
    /** @type {Status} */
    this.status = status;
    /** @type {number | null} */
    this.number = null;
    /** @type {(Said | Called | AskedFor)[]} */
    this.parts = [];
    this.sequence = 0;
    /** Whether an attempt died, and another carried the turn on. */
    this.resumed = false;
    this.interrupted = false;
    /** Whether its connection has to be made anew, which is tried. */
    this.connectionLost = false;
    /** Whether that is not tried any more. */
    this.lost = false;
    /** Whether all is known of it, and it waits for somebody. */
    this.stands = false;
    /** @type {{code: string, detail: string} | null} */
    this.error = null;
    /** How many answers of the model there were: more than one, and it has used tools. */
    this.modelCalls = 0;
    /** @type {string | null} */
    this.createdAt = null;
    this.changed = () => {};
  }

  get open() {
    return ["sending", "queued", "running", "waiting"].includes(this.status);
  }

  /** Forget what events told, since they are about to be told again from the start. */
  rewind() {
    this.parts = [];
    this.sequence = 0;
    this.resumed = false;
    this.stands = false;
  }

  /**
   * Take what is asked for, as it stands now.
   *
   * @param {import("../shared/approval_view.js").Asked[]} approvals
   */
  asks(approvals) {
    for (const asked of approvals) {
      const part = this.parts.find((each) => each.kind === "approval" && each.id === asked.id);
      if (part) Object.assign(part, asked);
    }
    this.changed();
  }

  /**
   * Take what a list of turns says.
   *
   * @param {any} said The turn.
   * @param {string | null} [reply]
   */
  told(said, reply = null) {
    this.id = said.id;
    this.number = said.number;
    this.createdAt = said.created_at;
    this.modelCalls = said.usage.model_calls;
    this.error = said.error;
    this.status = said.status;
    if (reply !== null && !this.parts.some((part) => part.kind === "text" && part.whole)) {
      this.parts = [...this.parts.filter((part) => part.kind !== "text"), text(null, reply, true)];
    }
    this.changed();
  }

  /** @param {any} event */
  apply(event) {
    this.sequence = event.sequence;
    switch (event.type) {
      case "turn.started":
        this.status = "running";
        this.number = event.number;
        break;
      case "turn.resumed":
        this.resumed ||= this.status !== "waiting";
        this.status = "running";
        break;
      case "turn.waiting":
        this.status = "waiting";
        event.approvals.forEach((/** @type {any} */ asked) => this.#asks(asked));
        break;
      case "approval.decided":
        for (const part of this.parts) {
          if (part.kind === "approval" && part.id === event.approval_id) {
            part.status = event.decision;
            part.reason = event.reason;
          }
        }
        break;
      case "message.delta":
        this.#textOf(event.step).text += event.text;
        break;
      case "message.reset":
        this.parts = this.parts.filter((part) => part.kind !== "text" || part.step !== event.step);
        break;
      case "message.completed":
        this.#completed(event.step, event.text);
        break;
      case "tool.called":
        this.#calls(event);
        break;
      case "tool.returned":
        for (const part of this.parts) {
          if (part.kind === "tool" && part.callId === event.call_id) {
            part.output = event.output;
            part.done = true;
          }
        }
        break;
      case "turn.completed":
        this.status = "completed";
        this.modelCalls = event.usage.model_calls;
        break;
      case "turn.failed":
      case "turn.cancelled":
        this.status = event.type === "turn.failed" ? "failed" : "cancelled";
        this.error = { code: event.code, detail: event.detail };
        this.interrupted = event.interrupted;
        break;
    }
    this.changed();
  }

  /** What somebody has to decide on still. */
  get openApprovals() {
    return this.parts.flatMap((part) => (part.kind === "approval" && part.status === "open" ? [part] : []));
  }

  /** Everything that was said so far. */
  get text() {
    return this.parts.map((part) => (part.kind === "text" ? part.text : "")).join("\n\n").trim();
  }

  /** @param {number} step */
  #textOf(step) {
    let found = this.parts.find((part) => part.kind === "text" && part.step === step);
    if (!found) this.parts.push((found = text(step, "", false)));
    return /** @type {Said} */ (found);
  }

  /**
   * @param {number | null} step
   * @param {string | null} said Null if it is too long to be told: then its pieces are what there is.
   */
  #completed(step, said) {
    // Where the step is not known any more, this is the whole of what was said in pieces.
    const place = this.parts.findLastIndex((part) =>
      part.kind === "text" && (step === null ? !part.whole : part.step === step));
    const before = place < 0 ? "" : /** @type {Said} */ (this.parts[place]).text;
    const whole = text(step, said ?? before, true);
    if (place < 0) this.parts.push(whole);
    else this.parts[place] = whole;
  }

  /** @param {any} asked */
  #asks({ approval_id, call_id, name, ...asked }) {
    if (this.parts.some((part) => part.kind === "approval" && part.id === approval_id)) return;
    this.parts.push({ kind: "approval", id: approval_id, callId: call_id, tool: name, status: "open", ...asked });
  }

  /** @param {any} event */
  #calls(event) {
    if (this.parts.some((part) => part.kind === "tool" && part.callId === event.call_id)) return;
    this.parts.push({
      kind: "tool",
      callId: event.call_id,
      name: event.name,
      input: event.arguments,
      done: false,
      nested: event.within !== null,
    });
  }
}

/**
 * @param {number | null} step
 * @param {string} said
 * @param {boolean} whole
 * @returns {Said}
 */
function text(step, said, whole) {
  return { kind: "text", step, text: said, whole };
}
