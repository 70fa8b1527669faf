// The AI SDK's own chat and transport, as `useChat` uses them, against a running Parley.

import assert from "node:assert/strict";
import test from "node:test";

import {Chat, codeOf} from "./ai_sdk_chat.mjs";
import {ask, newId, open, until} from "./parley.mjs";

test("text is streamed into one message", async () => {
  const chat = new Chat(newId("chat"));
  await chat.sendMessage({text: "hello"});

  assert.equal(chat.status, "ready");
  assert.deepEqual(chat.messages.map(({role}) => role), ["user", "assistant"]);
  assert.equal(chat.text, "Hello from the model");
  assert.equal(chat.lastMessage.id, chat.lastMessage.metadata.turnId);
  assert.ok(chat.lastMessage.metadata.usage.inputTokens > 0);
});

test("a chat goes on, whatever history is sent", async () => {
  const chat = new Chat(newId("chat"));
  await chat.sendMessage({text: "hello"});
  await chat.sendMessage({text: "hello again"});

  const {sessionId} = chat.lastMessage.metadata;
  const transcript = await ask("GET", `/sessions/${sessionId}/messages?order=asc`, "alice");
  assert.deepEqual(
    transcript.items.map(({content}) => content),
    ["hello", "Hello from the model", "hello again", "Hello from the model"],
  );
});

test("a tool call has its input and its output", async () => {
  const chat = new Chat(newId("chat"));
  await chat.sendMessage({text: "add milk"});

  const part = chat.lastMessage.parts.find(({type}) => type === "tool-add_task");
  assert.equal(part.state, "output-available");
  assert.deepEqual(part.input, {title: "milk"});
  assert.match(JSON.stringify(part.output), /milk/);
  assert.equal(chat.text, "Added.");
});

test("a turn that fails is an error with our code, and can be made anew", async () => {
  const chat = new Chat(newId("chat"));
  await chat.sendMessage({text: "fail"});

  assert.equal(chat.status, "error");
  assert.equal(codeOf(chat), "model_failed");
  await chat.regenerate();
  assert.equal(codeOf(chat), "model_failed");
});

test("what is refused is a problem", async () => {
  const chat = new Chat(newId("chat"));
  await chat.sendMessage({text: "hello"}, {body: {agent: "nobody"}});

  assert.equal(codeOf(chat), "invalid_field");
});

test("a page that is loaded in the middle of a reply gets it whole, and once", async () => {
  const name = newId("gate");
  const chat = new Chat(newId("chat"));
  const sending = chat.sendMessage({text: `slow ${name}`});
  await until(() => chat.text === "Once upon ");
  await chat.stop();
  await sending;

  const loaded = new Chat(chat.id, {messages: chat.messages.slice(0, 1)});
  const resuming = loaded.resumeStream();
  await until(() => loaded.text === "Once upon ");
  await open(name);
  await resuming;

  assert.equal(loaded.status, "ready");
  assert.deepEqual(loaded.messages.length, 2);
  assert.equal(loaded.text, "Once upon a time.");
});

test("a chat that has a part of the reply replaces it", async () => {
  const name = newId("gate");
  const chat = new Chat(newId("chat"));
  const sending = chat.sendMessage({text: `slow ${name}`});
  await until(() => chat.text === "Once upon ");
  await chat.stop();
  await sending;
  const resuming = chat.resumeStream();
  await until(() => chat.status === "streaming"); // else the turn may be over before it is asked for
  await open(name);
  await resuming;

  assert.deepEqual(chat.messages.length, 2);
  assert.equal(chat.text, "Once upon a time.");
});

test("where nothing runs there is nothing to resume", async () => {
  const chat = new Chat(newId("chat"));
  await chat.resumeStream();
  assert.deepEqual([chat.status, chat.messages], ["ready", []]);

  await chat.sendMessage({text: "hello"});
  await chat.resumeStream();
  assert.deepEqual([chat.status, chat.messages.length], ["ready", 2]);
});

test("a reply that is not wanted is made anew", async () => {
  const chat = new Chat(newId("chat"));
  await chat.sendMessage({text: "hello"});
  const first = chat.lastMessage.id;
  await chat.regenerate();

  assert.notEqual(chat.lastMessage.id, first);
  assert.equal(chat.messages.length, 2);
});

test("a message that is edited is another", async () => {
  const chat = new Chat(newId("chat"));
  await chat.sendMessage({text: "hello"});
  await chat.sendMessage({text: "add bread", messageId: chat.messages[0].id});

  assert.equal(chat.text, "Added.");
});

test("a cancelled turn ends the message", async () => {
  const name = newId("gate");
  const chat = new Chat(newId("chat"));
  const sending = chat.sendMessage({text: `slow ${name}`});
  await until(() => chat.text === "Once upon ");
  const {sessionId, turnId} = chat.lastMessage.metadata;
  await ask("POST", `/sessions/${sessionId}/turns/${turnId}/cancel`, "alice");
  await sending;
  await open(name);

  assert.equal(chat.status, "ready");
  assert.equal(chat.text, "Once upon ");
});

test("a chat of the same id is another for another user", async () => {
  const name = newId("gate");
  const chat = new Chat(newId("chat"));
  const sending = chat.sendMessage({text: `slow ${name}`});
  await until(() => chat.text === "Once upon ");
  const bobs = new Chat(chat.id, {user: "bob"});
  await bobs.resumeStream();
  assert.deepEqual(bobs.messages, []);
  await bobs.sendMessage({text: "hello"});
  await open(name);
  await sending;

  assert.equal(bobs.text, "Hello from the model");
  assert.notEqual(bobs.lastMessage.metadata.sessionId, chat.lastMessage.metadata.sessionId);
});
