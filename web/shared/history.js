/**
 * The turns of a session with what was said in them, newest first, page by page.
 */

/** @typedef {import("../shared/api.js").Api} Api */
/** @typedef {{turn: any, message: string | null, reply: string | null}} Told */
/** @typedef {{path: string, query?: Record<string, string>}} List */

const TURNS = 20;

/**
 * Turns and messages come from lists of their own, whose pages need not end at the same turn. What
 * the one is ahead of the other waits here.
 */
export class History {
  /**
   * @param {Api} api
   * @param {{turns: List, messages: List}} lists Of one session.
   */
  constructor(api, { turns, messages }) {
    this.api = api;
    this.lists = { turns, messages };
    /** @type {string | null | undefined} */
    this.nextTurns = undefined;
    /** @type {string | null | undefined} */
    this.nextMessages = undefined;
    /** @type {Map<string, {user: string | null, assistant: string | null}>} */
    this.said = new Map();
  }

  /** Whether there are older turns than those that were given. */
  get more() {
    return this.nextTurns !== null;
  }

  /**
   * Return the next older turns, newest first.
   *
   * @returns {Promise<Told[]>}
   */
  async older() {
    if (!this.more) return [];
    const page = await this.#page("turns", TURNS, this.nextTurns);
    this.nextTurns = page.next_cursor;
    const oldest = page.items.at(-1);
    while (oldest && this.nextMessages !== null && !this.said.has(oldest.id)) {
      const messages = await this.#page("messages", 2 * TURNS, this.nextMessages);
      this.nextMessages = messages.next_cursor;
      for (const message of messages.items) this.#keep(message);
    }
    await this.#restOf(oldest);
    return page.items.map((/** @type {any} */ turn) => {
      const said = this.said.get(turn.id);
      this.said.delete(turn.id);
      return { turn, message: said?.user ?? null, reply: said?.assistant ?? null };
    });
  }

  /**
   * A page may end between the two messages of a turn.
   *
   * @param {any} turn
   */
  async #restOf(turn) {
    const said = turn && this.said.get(turn.id);
    if (!said || said.user !== null || this.nextMessages === null) return;
    const messages = await this.#page("messages", 2 * TURNS, this.nextMessages);
    this.nextMessages = messages.next_cursor;
    for (const message of messages.items) this.#keep(message);
  }

  /** @param {any} message */
  #keep({ turn_id, role, content }) {
    const said = this.said.get(turn_id) ?? { user: null, assistant: null };
    said[/** @type {"user" | "assistant"} */ (role)] = content;
    this.said.set(turn_id, said);
  }

  /**
   * @param {"turns" | "messages"} list
   * @param {number} limit
   * @param {string | null | undefined} cursor
   */
  async #page(list, limit, cursor) {
    const { path, query } = this.lists[list];
    return await this.api.json("GET", path, { query: { ...query, limit, ...(cursor ? { cursor } : {}) } });
  }
}
