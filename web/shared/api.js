/**
 * The API, at the origin that the page came from.
 */

/** @typedef {import("./sign_in.js").Caller} Caller */

/** Where it is: this file is three folders below. */
export const ROOT = new URL("../../../", import.meta.url);

const TRIES = 5;
const LONGEST_WAIT = 20_000;

/** What the API refused, or did not do. */
export class ApiError extends Error {
  /**
   * @param {number} status 0 if there was no answer.
   * @param {any} problem The problem document.
   * @param {number} after Milliseconds after which it may be tried again.
   */
  constructor(status, problem, after = 0) {
    super(problem.detail ?? "Something went wrong.");
    this.status = status;
    /** @type {string} */
    this.code = problem.code ?? "unknown";
    this.problem = problem;
    this.after = after;
  }

  /** Whether the same request may go well later, with nothing changed. */
  get passes() {
    return this.status === 0 || [429, 500, 502, 503, 504].includes(this.status);
  }
}

/**
 * @typedef {object} Asked
 * @property {unknown} [body] Sent as JSON.
 * @property {string} [json] Sent as it is; it is JSON.
 * @property {string} [key] The Idempotency-Key, which makes a POST safe to send again.
 * @property {Record<string, string>} [headers]
 * @property {Record<string, string | number>} [query]
 * @property {AbortSignal} [signal]
 * @property {boolean} [once] Never sent again: that would do it twice.
 */

/** Sends requests for one user. */
export class Api {
  /** @param {Caller} caller */
  constructor(caller) {
    this.caller = caller;
  }

  /**
   * Return what a request is answered, as JSON; null if that is nothing. What fails for now, and is
   * safe to send again, is sent again.
   *
   * @param {string} method
   * @param {string} path Below the API's address.
   * @param {Asked} [asked]
   * @returns {Promise<any>}
   */
  async json(method, path, asked = {}) {
    const safe = (method !== "POST" || asked.key !== undefined) && !asked.once;
    for (let tried = 1; ; tried++) {
      try {
        const response = await this.open(method, path, asked);
        return response.status === 204 ? null : await response.json();
      } catch (error) {
        const again = error instanceof ApiError && error.passes && safe && tried < TRIES;
        if (!again) throw error;
        await pause(Math.min(Math.max(error.after, 250 * 2 ** tried), LONGEST_WAIT), asked.signal);
      }
    }
  }

  /**
   * Return a response that is no refusal, with its body yet to be read.
   *
   * @param {string} method
   * @param {string} path
   * @param {Asked} [asked]
   */
  async open(method, path, asked = {}) {
    let response = await this.#send(method, path, asked, await this.caller.token());
    // It may have run out on the way.
    if (response.status === 401) {
      response = await this.#send(method, path, asked, await this.caller.renewed());
    }
    if (response.ok) return response;
    const after = Number(response.headers.get("Retry-After") ?? 0) * 1000;
    const problem = await response.json().catch(() => ({}));
    if (response.status === 401) this.caller.refused();
    throw new ApiError(response.status, problem, after);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Asked} asked
   * @param {string} token
   */
  async #send(method, path, { body, json, key, headers = {}, query = {}, signal }, token) {
    const url = new URL(path, ROOT);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, String(value));
    /** @type {Record<string, string>} */
    const sent = { ...headers, Authorization: `Bearer ${token}` };
    const content = json ?? (body === undefined ? undefined : JSON.stringify(body));
    if (content !== undefined) sent["Content-Type"] = "application/json";
    if (key !== undefined) sent["Idempotency-Key"] = key;
    try {
      return await fetch(url, {
        method,
        headers: sent,
        body: content,
        cache: "no-store",
        credentials: "omit",
        signal,
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ApiError(0, { code: "unreachable", detail: "The server cannot be reached." });
    }
  }
}

/**
 * Wait.
 *
 * @param {number} milliseconds
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
