// AG-UI's own HttpAgent, which checks each event and their order, against a running Parley.

import assert from "node:assert/strict";
import test from "node:test";

import {HttpAgent} from "@ag-ui/client";

import {ask, headersOf, newId, open, until, url} from "./parley.mjs";

const said = (content) => ({id: newId("message"), role: "user", content});

function agentOf(thread, messages, {user = "alice", agent = "todo"} = {}) {
  return new HttpAgent({
    url: `${url}/ag-ui/${agent}`,
    headers: headersOf(user),
    threadId: thread,
    initialMessages: messages,
  });
}

// Runs an agent, and gives the events as its subscribers see them.
function running(agent, runId = newId("run")) {
  const events = [];
  const done = agent.runAgent({runId}, {onEvent: ({event}) => void events.push(event)});
  return {events, done, runId};
}

const contents = (agent) => agent.messages.map(({content}) => content).filter(Boolean);

test("text is streamed into one message", async () => {
  const agent = agentOf(newId("thread"), [said("hello")]);
  const {events, done} = running(agent);
  const {newMessages} = await done;

  assert.deepEqual(contents(agent), ["hello", "Hello from the model"]);
  assert.equal(newMessages.length, 1);
  assert.equal(events[0].type, "RUN_STARTED");
  assert.deepEqual(events.at(-1).outcome, {type: "success"});
});

test("a thread goes on, whatever history is sent", async () => {
  const agent = agentOf(newId("thread"), [said("hello")]);
  await running(agent).done;
  agent.addMessage(said("hello again"));
  const {events, done} = running(agent);
  await done;

  const {sessionId} = events[0].metadata;
  const transcript = await ask("GET", `/sessions/${sessionId}/messages?order=asc`, "alice");
  assert.deepEqual(transcript.items.map(({content}) => content), contents(agent));
});

test("a tool call has its arguments and its result", async () => {
  const agent = agentOf(newId("thread"), [said("add milk")]);
  await running(agent).done;

  const [, call, result, reply] = agent.messages;
  assert.equal(call.toolCalls[0].function.name, "add_task");
  assert.deepEqual(JSON.parse(call.toolCalls[0].function.arguments), {title: "milk"});
  assert.equal(result.toolCallId, call.toolCalls[0].id);
  assert.match(result.content, /milk/);
  assert.equal(reply.content, "Added.");
});

test("calls of two turns with the same id stay two", async () => {
  const agent = agentOf(newId("thread"), [said("add milk")]);
  await running(agent).done;
  agent.addMessage(said("add bread"));
  await running(agent).done;

  const calls = agent.messages.flatMap(({toolCalls}) => toolCalls ?? []);
  assert.deepEqual(calls.map((call) => JSON.parse(call.function.arguments).title), ["milk", "bread"]);
});

test("a turn that fails is an error with our code", async () => {
  const {events, done} = running(agentOf(newId("thread"), [said("fail")]));
  await done.catch(() => undefined);

  assert.equal(events.at(-1).type, "RUN_ERROR");
  assert.equal(events.at(-1).code, "model_failed");
});

test("what is refused is a problem", async () => {
  const agent = agentOf(newId("thread"), [said("hello")], {agent: "nobody"});

  await assert.rejects(running(agent).done, ({status}) => status === 404);
});

test("who aborts and comes back with the run is told it whole, and once", async () => {
  const name = newId("gate");
  const agent = agentOf(newId("thread"), [said(`slow ${name}`)]);
  const {done, runId} = running(agent);
  await until(() => contents(agent).at(-1) === "Once upon ");
  agent.abortRun();
  await done.catch(() => undefined);

  const again = agentOf(agent.threadId, agent.messages);
  const second = running(again, runId);
  await until(() => second.events.some(({type}) => type === "TEXT_MESSAGE_CONTENT"));
  await open(name);
  await second.done;

  assert.deepEqual(contents(again), [`slow ${name}`, "Once upon a time."]);
});

test("the same run once more is the same", async () => {
  const thread = newId("thread");
  const message = said("hello");
  const {events, done, runId} = running(agentOf(thread, [message]));
  await done;
  const again = running(agentOf(thread, [message]), runId);
  await again.done;

  assert.deepEqual(again.events[0], events[0]);
  assert.equal(again.events.at(-1).type, "RUN_FINISHED");
});

test("a cancelled turn is a cancelled run", async () => {
  const name = newId("gate");
  const agent = agentOf(newId("thread"), [said(`slow ${name}`)]);
  const {events, done} = running(agent);
  await until(() => contents(agent).at(-1) === "Once upon ");
  const {sessionId, turnId} = events[0].metadata;
  await ask("POST", `/sessions/${sessionId}/turns/${turnId}/cancel`, "alice");
  await done;
  await open(name);

  assert.deepEqual(events.at(-1).outcome, {type: "cancelled"});
});

test("a thread of the same name is another for another user", async () => {
  const thread = newId("thread");
  const alices = running(agentOf(thread, [said("hello")]));
  const bobs = running(agentOf(thread, [said("hello")], {user: "bob"}), alices.runId);
  await Promise.all([alices.done, bobs.done]);

  assert.notEqual(alices.events[0].metadata.sessionId, bobs.events[0].metadata.sessionId);
});

test("an agent without a message runs to no effect", async () => {
  const {events, done} = running(agentOf(newId("thread"), []));
  await done;

  assert.deepEqual(events.map(({type}) => type), ["RUN_STARTED", "RUN_FINISHED"]);
});
