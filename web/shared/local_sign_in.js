/**
 * Signing in to Parley on one's own machine: as any user that one types.
 */

import { ApiError, ROOT } from "./api.js";
import { h } from "./dom.js";

/** @typedef {import("./sign_in.js").Caller} Caller */
/** @typedef {import("./sign_in.js").Entrance} Entrance */

const NAME = /^[!-~]{1,128}$/;

/**
 * Return the user that is typed, or the one of before in this tab.
 *
 * @param {HTMLElement} place
 * @param {{path: string}} way
 * @param {Entrance} entrance
 * @returns {Promise<Caller>}
 */
export async function localSignIn(place, { path }, entrance) {
  const door = new Door(path, entrance);
  return (await door.again()) ?? (await new Promise((resolve) => door.ask(place, resolve)));
}

class Door {
  /**
   * @param {string} path
   * @param {Entrance} entrance
   */
  constructor(path, entrance) {
    this.path = path;
    this.entrance = entrance;
    // The name alone: the tab signs in by it when it is loaded anew.
    this.kept = entrance.admin ? "parley.administrator" : "parley.user";
  }

  /** @returns {Promise<Caller | null>} The user of before. */
  async again() {
    const user = sessionStorage.getItem(this.kept);
    if (user === null) return null;
    try {
      return this.#caller(user, await this.#tokenOf(user));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      sessionStorage.removeItem(this.kept);
      return null;
    }
  }

  /**
   * @param {HTMLElement} place
   * @param {(caller: Caller) => void} enter
   */
  ask(place, enter) {
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
        const first = await this.#tokenOf(user);
        sessionStorage.setItem(this.kept, user);
        enter(this.#caller(user, first));
      } catch (error) {
        fault.textContent = error instanceof Error ? error.message : String(error);
      }
    };
    const hint = this.entrance.admin
      ? "Any name will do: on this machine everybody may administer. What you look at is recorded under it."
      : "Any name will do: each has conversations of its own.";
    place.replaceChildren(
      h("main", { class: "door" },
        h("h1", {}, this.entrance.title),
        h("p", { class: "quiet" }, "On this machine"),
        h("form", { onsubmit: submitted },
          h("label", { for: "user" }, "Your name"),
          field,
          h("p", { id: "user-hint", class: "quiet" }, hint),
          fault,
          h("button", { class: "main" }, "Sign in")))
    );
    field.focus();
  }

  /**
   * @param {string} user
   * @returns {Promise<string>}
   */
  async #tokenOf(user) {
    const response = await fetch(new URL(this.path, ROOT), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(this.entrance.admin ? { user, admin: true } : { user }),
      credentials: "omit",
    });
    const said = await response.json().catch(() => ({}));
    if (!response.ok) throw new ApiError(response.status, said);
    return said.token;
  }

  /**
   * @param {string} user
   * @param {string} first
   * @returns {Caller}
   */
  #caller(user, first) {
    let token = first;
    const leave = () => {
      sessionStorage.removeItem(this.kept);
      location.reload();
    };
    return {
      name: user,
      token: async () => token,
      renewed: async () => (token = await this.#tokenOf(user)),
      refused: leave,
      leave,
    };
  }
}
