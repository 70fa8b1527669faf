/**
 * Tells other tabs of this browser what has changed. It holds ids alone; each tab asks the API for
 * itself, as its own user.
 */

const channel = new BroadcastChannel("parley");

/** @typedef {{changed: "sessions"} | {changed: "turns", session: string}} News */

/** @param {News} news */
export function tellOthers(news) {
  channel.postMessage(news);
}

/** @param {(news: News) => void} listener */
export function hearOthers(listener) {
  channel.addEventListener("message", (event) => listener(event.data));
}
