/**
 * What was done in one turn, in the order in which it began: put together of what its row says, of what
 * its tools recorded, and of its events, which are kept for a day.
 */

/**
 * @typedef {object} Entry
 * @property {"message" | "attempt" | "model" | "tool" | "said" | "void" | "waits" | "decided" | "end"} kind
 * @property {string} title
 * @property {number} from Milliseconds since 1970.
 * @property {number} to
 * @property {string | null} [fault] Why it failed.
 * @property {string | null} [text] What was said.
 * @property {string | null} [given] Of a tool, JSON.
 * @property {unknown} [gave] Of a tool.
 * @property {boolean} [cut] Whether what it was given or gave is longer.
 * @property {boolean} [effect] Whether the tool changes something.
 */

/**
 * Return the entries of a turn.
 *
 * @param {any} whole The turn, as the administrators' API tells it.
 * @param {any[]} calls What its tools recorded.
 * @param {any[]} events
 * @returns {Entry[]}
 */
export function timeLine(whole, calls, events) {
  const { turn, user_message: message } = whole;
  const done = [
    ...attempts(whole, events),
    ...whole.steps.filter((/** @type {any} */ step) => step.kind === "model").map(modelCall),
    ...toolCalls(whole.steps, calls, events),
    ...sayings(turn, events),
    ...decisions(events),
  ];
  // What ends at the same moment as another begins has begun before it.
  done.sort((a, b) => a.from - b.from || a.to - b.to || ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind));
  // Nothing is before the message nor after the end, whatever the clocks of two machines say.
  const begin = message === null ? [] : [at("message", "Message", turn.created_at, { text: message.content })];
  return [...begin, ...done, ...end(whole)];
}

/** @type {Entry["kind"][]} */
const ORDER = ["attempt", "model", "said", "void", "tool", "waits", "decided"];

/**
 * @param {any} whole
 * @param {any[]} events
 * @returns {Entry[]}
 */
function attempts({ turn, attempt, crashes }, events) {
  /** @type {Entry[]} */
  const known = [];
  for (const { type, at: time, data } of events) {
    if (type === "turn.started") known.push(at("attempt", "Attempt 1 begins", time));
    if (type === "turn.resumed") known.push(at("attempt", `Attempt ${data.attempt} carries it on`, time));
  }
  if (known.length > 0 || turn.started_at === null) return known;
  const title = attempt > 1 ? `Attempts 1 to ${attempt}, of which ${crashes} died` : "Attempt 1 begins";
  return [at("attempt", title, turn.started_at)];
}

/**
 * @param {any} step
 * @returns {Entry}
 */
function modelCall(step) {
  const to = Date.parse(step.ended_at);
  return { kind: "model", title: step.name, from: to - (step.milliseconds ?? 0), to, fault: step.error };
}

/**
 * A call has a step once it is recorded, and before that an event; one within another has only that.
 *
 * @param {any[]} steps
 * @param {any[]} calls
 * @param {any[]} events
 * @returns {Entry[]}
 */
function toolCalls(steps, calls, events) {
  /** @type {Map<string, Entry>} */
  const found = new Map();
  for (const { type, at: time, data } of events) {
    if (type === "tool.called" && !found.has(data.call_id)) {
      found.set(data.call_id, at("tool", data.name, time, { given: data.arguments }));
    }
    const called = found.get(data.call_id);
    if (type === "tool.returned" && called) Object.assign(called, { to: Date.parse(time), gave: data.output });
  }
  for (const step of steps) {
    if (step.kind !== "tool") continue;
    const to = Date.parse(step.ended_at);
    const from = to - (step.milliseconds ?? 0);
    found.set(step.call_id, { ...found.get(step.call_id), kind: "tool", title: step.name, from, to, fault: step.error });
  }
  for (const call of calls) {
    const entry = found.get(call.call_id);
    const told = { given: call.arguments, gave: call.output, cut: call.cut, effect: call.effect };
    if (entry) Object.assign(entry, told);
    else found.set(call.call_id, at("tool", call.name, call.recorded_at, { ...told, fault: call.error }));
  }
  return [...found.values()];
}

/**
 * What the model said on the way; the reply itself stands at the end.
 *
 * @param {any} turn
 * @param {any[]} events
 * @returns {Entry[]}
 */
function sayings(turn, events) {
  /** @type {Entry[]} */
  const said = [];
  /** @type {Entry | null} What is being said, of which nothing whole has come yet. */
  let open = null;
  for (const { type, at: time, data } of events) {
    if (type === "message.delta") {
      open ??= at("said", "Says", time, { text: "" });
      open.text += data.text;
      open.to = Date.parse(time);
    } else if (type === "message.reset") {
      said.push(at("void", "What was said so far is void, and said anew", time, { text: open?.text ?? null }));
      open = null;
    } else if (type === "message.completed") {
      if (data.message_id === null) said.push({ ...(open ?? at("said", "Says", time)), text: data.text ?? open?.text ?? "" });
      open = null;
    }
  }
  if (open !== null && turn.status !== "completed") said.push({ ...open, title: "Says, and does not come to an end" });
  return said;
}

/**
 * What somebody had to decide on, and what they decided.
 *
 * @param {any[]} events
 * @returns {Entry[]}
 */
function decisions(events) {
  return events.flatMap(({ type, at: time, data }) => {
    if (type === "turn.waiting") {
      return data.approvals.map((/** @type {any} */ asked) =>
        at("waits", `May ${asked.name} be called? ${asked.decider} decides`, time,
          { given: asked.arguments, cut: asked.cut }));
    }
    if (type !== "approval.decided") return [];
    const how = data.edited ? `${data.decision}, with other arguments` : data.decision;
    return [at("decided", `${data.name} is ${how}`, time, { text: data.reason })];
  });
}

/**
 * @param {any} whole
 * @returns {Entry[]}
 */
function end({ turn, user_message: message, reply }) {
  if (turn.ended_at === null) return [];
  const failure = turn.error === null ? null : `${turn.error.code}: ${turn.error.detail}`;
  const title = turn.status !== "completed" ? `Is ${turn.status}`
    : message === null ? "An administrator leaves a note" : "Completes with its reply";
  return [at("end", title, turn.ended_at, { text: reply?.content ?? null, fault: failure })];
}

/**
 * @param {Entry["kind"]} kind
 * @param {string} title
 * @param {string} time
 * @param {Partial<Entry>} [more]
 * @returns {Entry}
 */
function at(kind, title, time, more = {}) {
  const when = Date.parse(time);
  return { kind, title, from: when, to: when, ...more };
}
