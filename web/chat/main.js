/**
 * The chat page.
 */

import { Api } from "../shared/api.js";
import { h } from "../shared/dom.js";
import { signIn } from "../shared/sign_in.js";
import { ChatPage } from "./page.js";

const place = /** @type {HTMLElement} */ (document.getElementById("page"));

try {
  const caller = await signIn(place);
  await new ChatPage(place, new Api(caller)).begin();
} catch (error) {
  const said = error instanceof Error ? error.message : String(error);
  place.replaceChildren(
    h("main", { class: "door" },
      h("h1", {}, "Parley"),
      h("p", { class: "fault", role: "alert" }, said),
      h("button", { class: "main", onclick: () => location.reload() }, "Try again"))
  );
}
