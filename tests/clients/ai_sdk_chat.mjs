// The AI SDK's chat as `useChat` makes it, without React.

import {AbstractChat, DefaultChatTransport} from "ai";

import {headersOf, url} from "./parley.mjs";

// What `useChat` keeps in React's state.
class State {
  status = "ready";
  error = undefined;

  constructor(messages) {
    this.messages = messages;
  }

  pushMessage = (message) => void (this.messages = [...this.messages, message]);
  popMessage = () => void (this.messages = this.messages.slice(0, -1));
  replaceMessage = (place, message) =>
    void (this.messages = this.messages.map((each, at) => (at === place ? structuredClone(message) : each)));
  snapshot = (thing) => structuredClone(thing);
}

export class Chat extends AbstractChat {
  constructor(id, {user = "alice", messages = [], body, fetch, ...options} = {}) {
    const transport = new DefaultChatTransport({
      api: `${url}/ai-sdk/chat`,
      headers: headersOf(user),
      body,
      fetch,
    });
    super({id, transport, state: new State(messages), ...options});
  }

  get text() {
    const parts = this.lastMessage?.parts ?? [];
    return parts.map((part) => part.text ?? "").join("");
  }
}

export const codeOf = (chat) => JSON.parse(chat.error.message).code;
