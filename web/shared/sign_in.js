/**
 * Who uses the page. Tokens are kept in memory alone; a page that is loaded anew signs in anew,
 * without a question where that is possible.
 */

import { ROOT } from "./api.js";
import { h } from "./dom.js";
import { localSignIn } from "./local_sign_in.js";
import { oidcSignIn } from "./oidc_sign_in.js";

/**
 * @typedef {object} Caller
 * @property {string} name How the user is called on the page.
 * @property {() => Promise<string>} token Gives a token that is good now.
 * @property {() => Promise<string>} renewed Gives another one, since that one was refused.
 * @property {() => void} refused Ends the use of the page: the API takes no token of this user's.
 * @property {() => void} leave Signs out.
 */

/**
 * @typedef {object} Entrance
 * @property {string} page The page's own name, as its address ends.
 * @property {string} title What stands above the question.
 * @property {boolean} admin Whether the scope of administrators is asked for.
 */

/**
 * Return the user, once somebody has signed in.
 *
 * @param {HTMLElement} place Where to ask.
 * @param {Entrance} entrance
 * @returns {Promise<Caller>}
 */
export async function signIn(place, entrance) {
  const response = await fetch(new URL("web/config.json", ROOT), { credentials: "omit" });
  const { sign_in: way } = await response.json();
  if (way.kind === "local") return await localSignIn(place, way, entrance);
  if (way.kind === "oidc") return await oidcSignIn(place, way, entrance);
  place.replaceChildren(
    h("main", { class: "door" },
      h("h1", {}, entrance.title),
      h("p", {}, "This deployment has no sign-in for pages. Its operator can set one up."))
  );
  return await new Promise(() => undefined);
}
