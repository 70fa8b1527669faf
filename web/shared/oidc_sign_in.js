/**
 * Signing in at the deployment's OpenID Connect issuer: an authorization code with PKCE.
 *
 * What is kept for the way there and back is of no use to anybody else: the tab's storage has what
 * proves that the answer is to our question, and whether this tab had signed in. Tokens are in memory.
 */

import { ApiError, ROOT } from "./api.js";
import { h } from "./dom.js";

/** @typedef {import("./sign_in.js").Caller} Caller */
/** @typedef {import("./sign_in.js").Entrance} Entrance */
/**
 * @typedef {object} Way
 * @property {string} issuer
 * @property {string} client_id
 * @property {string} scope
 * @property {string} admin_scope
 * @property {string | null} audience
 */

const EARLY_SECONDS = 60;
const ENTERING = 60_000;
const REFUSED = "The API does not take the tokens that the issuer gives to this page.";

/**
 * Return the user, once the issuer has said who that is.
 *
 * @param {HTMLElement} place
 * @param {Way} way
 * @param {Entrance} entrance
 * @returns {Promise<Caller>}
 */
export async function oidcSignIn(place, way, entrance) {
  const door = new Door(way, entrance, await import("../vendor/oauth4webapi.js"));
  const query = new URLSearchParams(location.search);
  if (query.has("state") && sessionStorage.getItem(door.asked) !== null) {
    try {
      return await door.enter();
    } catch (error) {
      sessionStorage.removeItem(door.entered);
      return await door.ask(place, error instanceof Error ? error.message : String(error));
    }
  }
  // A reload: whom the issuer knows, it sends back without a question.
  if (sessionStorage.getItem(door.entered) !== null) await door.leaveFor();
  return await door.ask(place, "");
}

class Door {
  /**
   * @param {Way} way
   * @param {Entrance} entrance
   * @param {any} oauth The library.
   */
  constructor(way, entrance, oauth) {
    this.way = way;
    this.title = entrance.title;
    this.scope = entrance.admin ? `${way.scope} ${way.admin_scope}`.trim() : way.scope;
    this.asked = entrance.admin ? "parley.asked.admin" : "parley.asked";
    this.entered = entrance.admin ? "parley.entered.admin" : "parley.entered";
    this.oauth = oauth;
    this.client = { client_id: way.client_id };
    this.page = new URL(entrance.page, ROOT).href;
    // For an issuer on this machine alone.
    const local = new URL(way.issuer).hostname === "127.0.0.1";
    this.options = { [oauth.allowInsecureRequests]: local };
  }

  /**
   * @param {HTMLElement} place
   * @param {string} fault
   * @returns {Promise<never>}
   */
  async ask(place, fault) {
    const said = h("p", { class: "fault", role: "alert" }, fault);
    const begin = () => this.leaveFor().catch((error) => (said.textContent = error.message));
    place.replaceChildren(
      h("main", { class: "door" },
        h("h1", {}, this.title),
        h("p", { class: "quiet" }, `You sign in at ${new URL(this.way.issuer).hostname}.`),
        said,
        h("button", { class: "main", onclick: begin }, "Sign in"))
    );
    place.querySelector("button")?.focus();
    return await new Promise(() => undefined);
  }

  /**
   * Go to the issuer.
   *
   * @returns {Promise<never>}
   */
  async leaveFor() {
    const { oauth, way } = this;
    const asked = {
      verifier: oauth.generateRandomCodeVerifier(),
      state: oauth.generateRandomState(),
      nonce: oauth.generateRandomNonce(),
      hash: location.hash,
    };
    const server = await this.#server();
    const url = new URL(server.authorization_endpoint);
    const query = {
      client_id: way.client_id,
      redirect_uri: this.page,
      response_type: "code",
      scope: this.scope,
      state: asked.state,
      nonce: asked.nonce,
      code_challenge: await oauth.calculatePKCECodeChallenge(asked.verifier),
      code_challenge_method: "S256",
      ...(way.audience === null ? {} : { audience: way.audience }),
    };
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    sessionStorage.setItem(this.asked, JSON.stringify(asked));
    location.assign(url);
    return await new Promise(() => undefined);
  }

  /**
   * Take what the issuer has sent.
   *
   * @returns {Promise<Caller>}
   */
  async enter() {
    const { oauth, client } = this;
    const asked = JSON.parse(sessionStorage.getItem(this.asked) ?? "");
    sessionStorage.removeItem(this.asked); // an answer is good once
    const answer = new URL(location.href);
    history.replaceState(null, "", this.page + asked.hash);
    const server = await this.#server();
    const checked = oauth.validateAuthResponse(server, client, answer, asked.state);
    const response = await oauth.authorizationCodeGrantRequest(
      server, client, oauth.None(), checked, this.page, asked.verifier, this.options
    );
    const tokens = await oauth.processAuthorizationCodeResponse(server, client, response, {
      expectedNonce: asked.nonce,
      requireIdToken: true,
    });
    sessionStorage.setItem(this.entered, "yes");
    return this.#caller(server, tokens);
  }

  /**
   * @param {any} server
   * @param {any} tokens
   * @returns {Caller}
   */
  #caller(server, tokens) {
    const { oauth, client } = this;
    const claims = oauth.getValidatedIdTokenClaims(tokens) ?? {};
    let { access_token: token, refresh_token: refresh } = tokens;
    let ends = endOf(tokens);
    /** @type {Promise<string> | null} */
    let renewing = null;
    const entered = Date.now();
    const renew = async () => {
      if (!refresh) {
        // Another one like it would be refused too: that would go on for ever.
        if (Date.now() - entered < ENTERING) throw new ApiError(401, { detail: REFUSED });
        return await this.leaveFor();
      }
      const response = await oauth.refreshTokenGrantRequest(server, client, oauth.None(), refresh, this.options);
      const renewed = await oauth.processRefreshTokenResponse(server, client, response);
      refresh = renewed.refresh_token ?? refresh;
      ends = endOf(renewed);
      return (token = renewed.access_token);
    };
    const renewed = () =>
      (renewing ??= renew()
        .catch((error) => {
          if (error instanceof ApiError) throw error;
          if (error instanceof TypeError) throw new ApiError(0, { detail: "The issuer cannot be reached." });
          return this.leaveFor(); // it takes the refresh token no more
        })
        .finally(() => (renewing = null)));
    return {
      name: String(claims.email ?? claims.preferred_username ?? claims.name ?? claims.sub),
      token: async () => (Date.now() < ends ? token : await renewed()),
      renewed,
      refused: () => undefined, // it stays to be seen why
      leave: () => {
        sessionStorage.removeItem(this.entered);
        location.reload();
      },
    };
  }

  /** @returns {Promise<any>} What the issuer says of itself. */
  async #server() {
    const issuer = new URL(this.way.issuer);
    const response = await this.oauth.discoveryRequest(issuer, this.options);
    return await this.oauth.processDiscoveryResponse(issuer, response);
  }
}

/** @param {any} tokens */
function endOf({ expires_in: seconds = 300 }) {
  return Date.now() + Math.max(seconds - EARLY_SECONDS, 0) * 1000;
}
