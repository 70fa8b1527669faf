/**
 * How a page begins: somebody signs in, and then it is there.
 */

import { Api } from "./api.js";
import { h } from "./dom.js";
import { signIn } from "./sign_in.js";

/**
 * Show a page, or why it cannot be shown.
 *
 * @param {import("./sign_in.js").Entrance} entrance
 * @param {(place: HTMLElement, api: Api) => Promise<void>} show
 */
export async function begin(entrance, show) {
  const place = /** @type {HTMLElement} */ (document.getElementById("page"));
  try {
    const caller = await signIn(place, entrance);
    await show(place, new Api(caller));
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    place.replaceChildren(
      h("main", { class: "door" },
        h("h1", {}, entrance.title),
        h("p", { class: "fault", role: "alert" }, said),
        h("button", { class: "main", onclick: () => location.reload() }, "Try again"))
    );
  }
}
