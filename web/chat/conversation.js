/**
 * One session as this tab knows it: its turns, those that are sent, and the one that is followed.
 *
 * At most one turn is followed at a time: a session's turns run one after the other, and a browser
 * has few connections for one server.
 */

import { History } from "../shared/history.js";
import { turnEvents } from "../shared/turn_events.js";
import { tellOthers } from "./tabs.js";
import { Turn } from "./turn.js";

/** @typedef {import("../shared/api.js").Api} Api */

const FIRST_LOOK = 2000;
const LONGEST_LOOK = 60_000;

export class Conversation {
  /**
   * @param {Api} api
   * @param {any} session
   */
  constructor(api, session) {
    this.api = api;
    this.session = session;
    /** @type {Turn[]} In their order; what the server has not numbered yet comes last. */
    this.turns = [];
    this.history = this.#fromTheNewest();
    this.stopped = new AbortController();
    /** Told when turns have come, or changed their order. @type {() => void} */
    this.changed = () => {};
    /** Told when a turn is over. @type {(turn: Turn) => void} */
    this.ended = () => {};
    /** @type {Turn | null} */
    this.following = null;
    /** Told when somebody has to decide. @type {(turn: Turn) => void} */
    this.asked = () => {};
    this.looking = 0;
  }

  #fromTheNewest() {
    const path = `sessions/${this.session.id}`;
    return new History(this.api, { turns: { path: `${path}/turns` }, messages: { path: `${path}/messages` } });
  }

  /** Stop following; the turns go on. */
  close() {
    this.stopped.abort();
    clearTimeout(this.looking);
  }

  get openTurns() {
    return this.turns.filter((turn) => turn.open);
  }

  /** Take the next older turns. */
  async older() {
    this.#take(await this.history.older());
    this.#follow();
  }

  /** Take what has come since, from another tab or from elsewhere. */
  async refresh() {
    this.#take(await this.#fromTheNewest().older());
    for (const turn of this.turns) turn.lost = false;
    const standing = this.turns.find((turn) => turn.stands);
    if (standing) await this.#look(standing);
    this.#follow();
  }

  /**
   * Decide on what a turn waits for; it goes on with the last decision.
   *
   * @param {Turn} turn
   * @param {string} id
   * @param {string} decision As JSON.
   * @returns {Promise<void>} Ends when it is decided, or throws if it was refused.
   */
  async decide(turn, id, decision) {
    try {
      // The same decision once more is harmless.
      const decided = await this.api.json("POST", `approvals/${id}`, { json: decision, key: crypto.randomUUID() });
      turn.asks([decided]);
    } finally {
      await this.#look(turn).catch(() => undefined);
      tellOthers({ changed: "turns", session: this.session.id });
    }
  }

  /**
   * Send a message; the turn that comes of it is there at once.
   *
   * @param {string} text
   * @returns {Promise<void>} Ends when the server has taken it, or throws if it refused.
   */
  async send(text) {
    const turn = new Turn({ id: null, message: text, status: "sending" });
    const waits = this.openTurns.length > 0;
    this.turns.push(turn);
    this.changed();
    const send = {
      path: `sessions/${this.session.id}/messages${waits ? "" : "/stream"}`,
      body: { text, on_conflict: "enqueue" },
      key: crypto.randomUUID(),
    };
    try {
      if (waits) await this.#queue(turn, send);
      else await new Promise((taken, refused) => this.#run(turn, { send, taken }).catch(refused));
    } catch (error) {
      this.turns = this.turns.filter((each) => each !== turn);
      this.changed();
      throw error;
    }
  }

  /** @param {Turn} turn */
  async cancel(turn) {
    const path = `sessions/${this.session.id}/turns/${turn.id}/cancel`;
    const said = await this.api.json("POST", path, { key: crypto.randomUUID() });
    if (said.turn.status !== "running" && turn.open) {
      turn.told(said.turn);
      this.#over(turn);
    } else if (turn.stands) {
      await this.#look(turn);
    }
    return said.outcome;
  }

  /**
   * Give what a turn that is over has done, from its events, or where they are not kept any more,
   * from its record.
   *
   * @param {Turn} turn
   */
  async look(turn) {
    const replayed = new Turn({ id: turn.id, message: turn.message, status: "running" });
    const told = turnEvents(this.api, {
      sessionId: this.session.id, turnId: turn.id ?? "", signal: this.stopped.signal,
    });
    for await (const event of told) replayed.apply(event);
    if (replayed.parts.some((part) => part.kind !== "text")) {
      turn.parts = replayed.parts;
    } else {
      const details = await this.api.json("GET", `sessions/${this.session.id}/turns/${turn.id}`);
      const tools = details.steps.filter((/** @type {any} */ step) => step.kind === "tool");
      turn.parts = [...tools.map(toolOf), ...turn.parts.filter((part) => part.kind === "text")];
    }
    turn.resumed = replayed.resumed;
    turn.changed();
  }

  /**
   * @param {Turn} turn
   * @param {import("../shared/turn_events.js").Sent} send
   */
  async #queue(turn, send) {
    const said = await this.api.json("POST", send.path, {
      body: send.body, key: send.key, headers: { Prefer: "respond-async" },
    });
    this.#identify(turn, said.turn.id);
    turn.told(said.turn);
    this.#order();
    this.#follow();
  }

  /** Follow the first turn that is not over, unless one is followed. */
  #follow() {
    const next = this.openTurns.find((turn) => turn.id !== null && !turn.lost);
    if (!next || next.stands || this.following || this.stopped.signal.aborted) return;
    next.rewind();
    this.#run(next, {});
  }

  /**
   * @param {Turn} turn
   * @param {object} how
   * @param {import("../shared/turn_events.js").Sent} [how.send]
   * @param {(value?: any) => void} [how.taken]
   */
  async #run(turn, { send, taken }) {
    const signal = this.stopped.signal;
    this.following = turn;
    try {
      const events = turnEvents(this.api, {
        sessionId: this.session.id,
        turnId: turn.id ?? undefined,
        send,
        signal,
        taken: (id) => {
          this.#identify(turn, id);
          taken?.();
        },
        connected: (lost) => {
          turn.connectionLost = lost;
          turn.changed();
        },
      });
      for await (const event of events) {
        if (turn.status === "sending") turn.status = "running";
        turn.apply(event);
      }
      if (turn.status === "waiting") await this.#stand(turn);
      if (turn.parts.some((part) => part.kind === "text" && part.whole && part.text === "")) {
        await this.#readWhole(turn);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (send && turn.id === null) throw error;
      // It may go on without us; whoever sees it may ask again.
      turn.lost = true;
      turn.changed();
    } finally {
      this.following = null;
      if (!turn.open) this.#over(turn);
      this.#order();
      this.#follow();
    }
  }

  /**
   * Leave a turn that waits for somebody, and look after it: they may decide elsewhere.
   *
   * @param {Turn} turn
   */
  async #stand(turn) {
    turn.stands = true;
    await this.#look(turn);
    if (!turn.stands) return;
    this.asked(turn);
    this.#lookLater(turn, FIRST_LOOK);
  }

  /**
   * Take how a turn stands that waits; it is followed again if it does not wait any more.
   *
   * @param {Turn} turn
   */
  async #look(turn) {
    const details = await this.api.json("GET", `sessions/${this.session.id}/turns/${turn.id}`);
    if (!turn.stands) return;
    const asks = details.approvals.filter((/** @type {any} */ each) => each.status === "open");
    const known = asks.every((/** @type {any} */ each) => turn.openApprovals.some(({ id }) => id === each.id));
    if (details.turn.status === "waiting" && known) {
      turn.asks(details.approvals);
      return;
    }
    turn.stands = false;
    clearTimeout(this.looking);
    this.#follow();
  }

  /**
   * @param {Turn} turn
   * @param {number} wait Milliseconds; ever longer, as somebody may take days.
   */
  #lookLater(turn, wait) {
    clearTimeout(this.looking);
    this.looking = setTimeout(async () => {
      // A tab that nobody sees asks when it is looked at again.
      if (!document.hidden) await this.#look(turn).catch(() => undefined);
      if (turn.stands && !this.stopped.signal.aborted) this.#lookLater(turn, Math.min(1.5 * wait, LONGEST_LOOK));
    }, wait);
  }

  /** @param {Turn} turn */
  async #readWhole(turn) {
    const details = await this.api.json("GET", `sessions/${this.session.id}/turns/${turn.id}`);
    turn.parts = turn.parts.filter((part) => part.kind !== "text");
    turn.told(details.turn, details.reply?.content ?? null);
  }

  /**
   * @param {Turn} turn
   * @param {string} id
   */
  #identify(turn, id) {
    if (turn.id !== null) return;
    // Another tab's news may have been quicker than the answer.
    this.turns = this.turns.filter((each) => each === turn || each.id !== id);
    turn.id = id;
    if (turn.status === "sending") turn.status = "queued";
    turn.changed();
    this.changed();
    tellOthers({ changed: "turns", session: this.session.id });
  }

  /** @param {Turn} turn */
  #over(turn) {
    this.ended(turn);
    tellOthers({ changed: "turns", session: this.session.id });
  }

  /** @param {import("./history.js").Told[]} told */
  #take(told) {
    for (const { turn: said, message, reply } of told) {
      let turn = this.turns.find((each) => each.id === said.id);
      if (!turn) {
        turn = new Turn({ id: said.id, message, status: said.status });
        this.turns.push(turn);
      }
      // What is followed is ahead of the list.
      if (turn === this.following) turn.number = said.number;
      else if (turn.stands) continue; // it is looked at by itself
      else if (turn.open || turn.number === null) turn.told(said, reply);
    }
    this.#order();
  }

  #order() {
    const place = (/** @type {Turn} */ turn) => turn.number ?? Infinity;
    this.turns.sort((one, other) => (place(one) === place(other) ? 0 : place(one) - place(other)));
    this.changed();
  }
}

/**
 * @param {any} step
 * @returns {import("./turn.js").Called}
 */
function toolOf(step) {
  return {
    kind: "tool",
    callId: step.call_id,
    name: step.name,
    done: true,
    failed: step.outcome === "failed",
    nested: false,
  };
}
