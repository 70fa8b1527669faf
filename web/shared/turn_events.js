/**
 * A turn's events, each once and in order, over as many connections as it takes.
 */

import { ApiError, pause } from "./api.js";
import { frames } from "./sse.js";

/** @typedef {import("./api.js").Api} Api */

/**
 * @typedef {object} Sent
 * @property {string} path
 * @property {unknown} body
 * @property {string} key The same for each try: the server makes one turn of it.
 */

/**
 * @typedef {object} Followed
 * @property {string} sessionId
 * @property {string} [turnId] Not known yet where a message is sent.
 * @property {Sent} [send] The message that begins the turn.
 * @property {number} [after] The last event that was seen.
 * @property {AbortSignal} signal
 * @property {(turnId: string) => void} [taken] Told once the message is taken.
 * @property {(lost: boolean) => void} [connected] Told when the connection is lost, and is there again.
 */

// Without any sign of the server for so many connections, each later than the one before.
const TRIES = 40;
const LONGEST_WAIT = 10_000;

/**
 * @param {Api} api
 * @param {Followed} followed
 * @returns {AsyncGenerator<any, void, void>}
 */
export async function* turnEvents(api, { sessionId, turnId, send, after = 0, signal, taken, connected }) {
  let [last, silent, wait] = [after, 0, 1000];
  let waits = false;
  for (;;) {
    let heard = false;
    try {
      // Until an event has come, whoever had the turn may have died: the message carries it on.
      const response =
        send && last === 0
          ? await api.open("POST", send.path, { body: send.body, key: send.key, headers: STREAM, signal })
          : await api.open("GET", `sessions/${sessionId}/turns/${turnId}/events`, {
              headers: { ...STREAM, "Last-Event-ID": String(last) },
              signal,
            });
      if (response.status === 204 || !response.body) return;
      if (send && !turnId) {
        turnId = response.headers.get("Location")?.split("/").pop();
        if (turnId) taken?.(turnId);
      }
      connected?.(false);
      for await (const { data, retry } of frames(response.body)) {
        silent = 0;
        heard = true;
        if (retry !== null) wait = Math.min(retry, LONGEST_WAIT);
        if (data === "") continue;
        const event = JSON.parse(data);
        if (event.sequence <= last) continue;
        if (event.sequence > last + 1 && event.type !== "events.lost") break; // one is missing: ask again
        last = event.sequence;
        waits = event.type === "turn.waiting";
        yield event;
        if (ENDS.has(event.type)) return;
      }
      if (waits) return; // for somebody, who may take days
    } catch (error) {
      if (signal.aborted) throw error;
      // A stream that breaks is a TypeError of the reader's.
      const passes = error instanceof ApiError ? error.passes : error instanceof TypeError;
      if (!passes || silent >= TRIES) throw error;
      heard = false;
    }
    if (!heard) connected?.(true); // a stream that ends by itself asks its reader back
    silent += 1;
    await pause(Math.min(wait * 1.3 ** (silent - 1), LONGEST_WAIT), signal);
  }
}

const STREAM = { Accept: "text/event-stream" };
const ENDS = new Set(["turn.completed", "turn.failed", "turn.cancelled"]);
