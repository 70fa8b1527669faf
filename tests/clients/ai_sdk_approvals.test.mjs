// Approvals with the AI SDK's own chat: asked, answered, carried on in the same message.

import assert from "node:assert/strict";
import test from "node:test";

import {isToolUIPart, lastAssistantMessageIsCompleteWithApprovalResponses} from "ai";

import {Chat, codeOf} from "./ai_sdk_chat.mjs";
import {ask, calling, decide, headersOf, newId, refund, until, url} from "./parley.mjs";

function chatOf(id = newId("chat"), options = {}) {
  const sent = [];
  const chat = new Chat(id, {
    body: {agent: "refunds"},
    sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithApprovalResponses,
    fetch: async (address, request) => {
      const response = await fetch(address, request);
      sent.push({method: request.method, status: response.status});
      return response;
    },
    ...options,
  });
  return Object.assign(chat, {sent});
}

const tools = (chat) => chat.lastMessage.parts.filter(isToolUIPart);
const states = (chat) => tools(chat).map(({state}) => state);
const over = (chat) => until(() => ["ready", "error"].includes(chat.status) && !waits(chat));
const waits = (chat) => states(chat).includes("approval-responded") && chat.status === "ready";
const said = (chat) => chat.lastMessage.parts.filter(({type}) => type === "text").map(({text}) => text);

// A chat that is asked to approve calls.
async function asked(...steps) {
  const chat = chatOf();
  await chat.sendMessage({text: calling(...steps)});
  return chat;
}

async function respond(chat, part, approved, reason) {
  await chat.addToolApprovalResponse({id: part.approval.id, approved, reason});
}

const turnOf = async ({lastMessage: {metadata: {sessionId, turnId}}}) =>
  ask("GET", `/sessions/${sessionId}/turns/${turnId}`, "alice");

test("what a turn waits for is asked in the message, and ends the stream", async () => {
  const chat = await asked([refund(900)]);

  const [part] = tools(chat);
  assert.equal(chat.status, "ready");
  assert.equal(part.state, "approval-requested");
  assert.deepEqual(part.input, {order: "A1", cents: 900});
  const {turn, approvals} = await turnOf(chat);
  assert.equal(turn.status, "waiting");
  assert.equal(part.approval.id, approvals[0].id);
});

test("what is approved is done, and the rest comes into the same message", async () => {
  const chat = await asked([refund(900)]);
  const {id} = chat.lastMessage;
  await respond(chat, tools(chat)[0], true);
  await over(chat);

  assert.equal(chat.messages.length, 2);
  assert.equal(chat.lastMessage.id, id);
  assert.deepEqual(states(chat), ["output-available"]);
  assert.equal(tools(chat)[0].output, "refunded 900 of A1");
  assert.deepEqual(said(chat), ["Done: refunded 900 of A1"]);
  assert.equal(chat.sent.length, 2, "one message and one answer");
});

test("what is denied is not done, and the reason is told", async () => {
  const chat = await asked([refund(900)]);
  await respond(chat, tools(chat)[0], false, "too much");
  await over(chat);

  assert.deepEqual(states(chat), ["output-denied"]);
  assert.match(chat.text, /^Done: This call was not made.*too much/);
  assert.equal(chat.sent.length, 2, "a denial is not sent again and again");
});

// vercel/ai#13670: a chat was not sent where one call was approved and another denied.
test("siblings have run, and all that is asked is answered at once", async () => {
  const chat = await asked([["look_up", {order: "A1"}], refund(1), refund(2, "B2")]);
  assert.deepEqual(states(chat), ["output-available", "approval-requested", "approval-requested"]);
  const [, one, two] = tools(chat);
  await respond(chat, one, true);
  assert.equal(chat.sent.length, 1, "the chat waits for the other");
  await respond(chat, two, false);
  await over(chat);

  assert.deepEqual(states(chat), ["output-available", "output-available", "output-denied"]);
  assert.match(chat.text, /^Done: A1 is open; refunded 1 of A1; This call was not made/);
  assert.equal(chat.sent.length, 2);
});

test("a turn may pause twice", async () => {
  const chat = await asked([refund(1)], [refund(2)]);
  await respond(chat, tools(chat)[0], true);
  await until(() => states(chat).at(-1) === "approval-requested" && chat.status === "ready");
  await respond(chat, tools(chat)[1], true);
  await over(chat);

  assert.deepEqual(states(chat), ["output-available", "output-available"]);
  assert.deepEqual(said(chat), ["Done: refunded 1 of A1; refunded 2 of A1"]);
  assert.equal(chat.messages.length, 2);
});

// cloudflare/agents#922: what was asked did not survive a reload, or was asked twice.
test("a page that is loaded while the turn waits is asked again, and can answer", async () => {
  const chat = await asked([["look_up", {order: "A1"}], refund(900)]);
  const loaded = chatOf(chat.id, {messages: chat.messages.slice(0, 1)});
  await loaded.resumeStream();

  assert.equal(loaded.status, "ready");
  assert.deepEqual(loaded.lastMessage.parts, chat.lastMessage.parts);
  await respond(loaded, tools(loaded)[1], true);
  await over(loaded);
  assert.equal(loaded.text, "Done: A1 is open; refunded 900 of A1");

  // The other tab still asks; it is told what was decided when it comes back, or answers late.
  await respond(chat, tools(chat)[1], false);
  await over(chat);
  assert.equal(codeOf(chat), "already_decided");
});

test("a page that is loaded after a part was decided elsewhere sees that", async () => {
  const chat = await asked([refund(1), refund(2, "B2")]);
  await decide("alice", tools(chat)[0].approval.id, {decision: "reject", reason: "no"});
  await chat.resumeStream();

  assert.deepEqual(states(chat), ["output-denied", "approval-requested"]);
  await respond(chat, tools(chat)[1], true);
  await over(chat);
  assert.match(chat.text, /not made.*refunded 2 of B2/);
});

test("the same answer once more is harmless, and is told the rest", async () => {
  const chat = await asked([refund(900)]);
  const before = structuredClone(chat.messages);
  const id = tools(chat)[0].approval.id;
  await respond(chat, tools(chat)[0], true);
  await over(chat);
  const again = chatOf(chat.id, {messages: before});
  await again.addToolApprovalResponse({id, approved: true});
  await over(again);

  assert.deepEqual(said(again), ["Done: refunded 900 of A1"]);
  assert.deepEqual(states(again), ["output-available"]);
});

test("the newest message alone may be sent", async () => {
  const chat = await asked([refund(900)]);
  const {id, lastMessage} = chat;
  const part = {...tools(chat)[0], state: "approval-responded"};
  part.approval = {...part.approval, approved: true};
  const response = await fetch(`${url}/ai-sdk/chat`, {
    method: "POST",
    headers: {...headersOf("alice"), "Content-Type": "application/json"},
    body: JSON.stringify({id, messages: [{...lastMessage, parts: [part]}], trigger: "submit-message"}),
  });
  assert.equal(response.status, 200);
  assert.match(await response.text(), /refunded 900 of A1/);
});

async function answered(chat, approvals, {user = "alice", id = chat.id} = {}) {
  const parts = approvals.map((approval) => ({...tools(chat)[0], state: "approval-responded", approval}));
  const response = await fetch(`${url}/ai-sdk/chat`, {
    method: "POST",
    headers: {...headersOf(user), "Content-Type": "application/json"},
    body: JSON.stringify({id, messages: [{...chat.lastMessage, parts}], trigger: "submit-message"}),
  });
  return [response.status, (await response.json()).code];
}

test("what cannot be an answer is refused, and nothing is decided", async () => {
  const chat = await asked([refund(1), refund(2, "B2")]);
  const [one, two] = tools(chat).map(({approval: {id}}) => ({id, approved: true}));
  const unknown = {id: "01939d5c-2c00-7000-8000-00000000ffff", approved: true};
  const both = [one, two];

  assert.deepEqual(await answered(chat, [one]), [422, "invalid_field"], "half of them");
  assert.deepEqual(await answered(chat, [one, one]), [422, "invalid_field"]);
  assert.deepEqual(await answered(chat, [{id: one.id}]), [422, "invalid_field"]);
  assert.deepEqual(await answered(chat, [{id: one.id, approved: "yes"}]), [422, "invalid_field"]);
  assert.deepEqual(await answered(chat, [undefined]), [422, "invalid_field"]);
  assert.deepEqual(await answered(chat, [...both, unknown]), [404, "not_found"]);
  assert.deepEqual(await answered(chat, [{id: "x", approved: true}]), [404, "not_found"]);
  assert.deepEqual(await answered(chat, both, {user: "bob"}), [404, "not_found"]);
  assert.deepEqual(await answered(chat, both, {id: newId("chat")}), [404, "not_found"]);
  const {turn, approvals} = await turnOf(chat);
  assert.deepEqual([turn.status, ...approvals.map(({status}) => status)], ["waiting", "open", "open"]);
});

// mastra-ai/mastra#19528: answers in an earlier message were passed over in silence.
test("another message is refused while the turn waits, and the answer still counts", async () => {
  const chat = await asked([refund(900)]);
  await chat.sendMessage({text: "hello?"});
  assert.equal(codeOf(chat), "turn_waiting");

  const asking = chat.messages.find(({role}) => role === "assistant");
  const {approval} = asking.parts.find(isToolUIPart);
  await chat.addToolApprovalResponse({id: approval.id, approved: true});
  await chat.sendMessage(); // the chat sends by itself only for its last message
  assert.equal(chat.status, "ready");
  const {turn} = await ask("GET", `/sessions/${asking.metadata.sessionId}/turns/${asking.id}`, "alice");
  assert.equal(turn.status, "completed");
});

test("what an administrator decides the user is not asked", async () => {
  const chat = await asked([["pay", {order: "A1"}]], [refund(1)]); // so that it is not over at once
  assert.deepEqual(states(chat), ["input-available"]);
  const [{id}] = (await turnOf(chat)).approvals;
  assert.deepEqual(await answered(chat, [{id, approved: true}]), [403, "forbidden"]);
  await decide("anna", id, {decision: "approve"}, true);
  await until(async () => (await turnOf(chat)).approvals.some(({status}) => status === "open"));
  await chat.resumeStream();

  assert.deepEqual(states(chat), ["output-available", "approval-requested"]);
  assert.equal(tools(chat)[0].output, "paid A1");
});

test("a turn that is cancelled when it was approved is not sent again and again", async () => {
  const chat = await asked([refund(900)]);
  const {sessionId, turnId} = chat.lastMessage.metadata;
  await ask("POST", `/sessions/${sessionId}/turns/${turnId}/cancel`, "alice");
  await respond(chat, tools(chat)[0], true);
  await over(chat);

  assert.equal(codeOf(chat), "already_decided");
  assert.equal(chat.sent.length, 2);
});

test("a page whose history ends with the reply before shows it once", async () => {
  // vercel/ai#18457: the message before was shown twice, the second time with what is asked in it.
  const chat = chatOf();
  await chat.sendMessage({text: "hello"});
  const before = chat.messages;
  await chat.sendMessage({text: calling([refund(900)])});
  const loaded = chatOf(chat.id, {messages: before});
  await loaded.resumeStream();

  assert.equal(loaded.messages.length, 3);
  assert.deepEqual(loaded.messages.slice(0, 2), before);
  assert.deepEqual(states(loaded), ["approval-requested"]);
  await respond(loaded, tools(loaded)[0], true);
  await over(loaded);
  assert.equal(loaded.text, "Done: refunded 900 of A1");
});
