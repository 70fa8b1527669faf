/**
 * Signing in to Parley on one's own machine: as any user that one types.
 */

import { ApiError, ROOT } from "./api.js";
import { h } from "./dom.js";

/** @typedef {import("./sign_in.js").Caller} Caller */

// The name alone: the tab signs in by it when it is loaded anew.
const KEPT = "parley.user";
const NAME = /^[!-~]{1,128}$/;

/**
 * Return the user that is typed, or the one of before in this tab.
 *
 * @param {HTMLElement} place
 * @param {{path: string}} way
 * @returns {Promise<Caller>}
 */
export async function localSignIn(place, way) {
  const kept = sessionStorage.getItem(KEPT);
  if (kept !== null) {
    try {
      return caller(way.path, kept, await tokenOf(way.path, kept));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      sessionStorage.removeItem(KEPT);
    }
  }
  return await new Promise((resolve) => ask(place, way.path, resolve));
}

/**
 * @param {HTMLElement} place
 * @param {string} path
 * @param {(caller: Caller) => void} enter
 */
function ask(place, path, enter) {
  const field = h("input", {
    id: "user", name: "user", autocomplete: "username", autocapitalize: "none", spellcheck: "false",
    maxlength: 128, required: true, "aria-describedby": "user-hint user-fault",
  });
  const fault = h("p", { id: "user-fault", class: "fault", role: "alert" });
  /** @param {SubmitEvent} event */
  const submitted = async (event) => {
    event.preventDefault();
    const user = field.value.trim();
    if (!NAME.test(user)) {
      fault.textContent = "A name has no spaces, and is of letters, digits and signs as in alice.";
      field.focus();
      return;
    }
    try {
      const first = await tokenOf(path, user);
      sessionStorage.setItem(KEPT, user);
      enter(caller(path, user, first));
    } catch (error) {
      fault.textContent = error instanceof Error ? error.message : String(error);
    }
  };
  place.replaceChildren(
    h("main", { class: "door" },
      h("h1", {}, "Parley"),
      h("p", { class: "quiet" }, "On this machine"),
      h("form", { onsubmit: submitted },
        h("label", { for: "user" }, "Your name"),
        field,
        h("p", { id: "user-hint", class: "quiet" }, "Any name will do: each has conversations of its own."),
        fault,
        h("button", { class: "main" }, "Sign in")))
  );
  field.focus();
}

/**
 * @param {string} path
 * @param {string} user
 * @returns {Promise<string>}
 */
async function tokenOf(path, user) {
  const response = await fetch(new URL(path, ROOT), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ user }),
    credentials: "omit",
  });
  const said = await response.json().catch(() => ({}));
  if (!response.ok) throw new ApiError(response.status, said);
  return said.token;
}

/**
 * @param {string} path
 * @param {string} user
 * @param {string} first
 * @returns {Caller}
 */
function caller(path, user, first) {
  let token = first;
  const leave = () => {
    sessionStorage.removeItem(KEPT);
    location.reload();
  };
  return {
    name: user,
    token: async () => token,
    renewed: async () => (token = await tokenOf(path, user)),
    refused: leave,
    leave,
  };
}
