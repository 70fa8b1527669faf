// Interrupts with AG-UI's own HttpAgent: answered, carried on in the same turn, and what goes wrong.

import assert from "node:assert/strict";
import test from "node:test";

import {HttpAgent, buildResumeArray} from "@ag-ui/client";

import {ask, calling, decide, headersOf, newId, refund, url} from "./parley.mjs";

const said = (content) => ({id: newId("message"), role: "user", content});

function agentOf(thread, messages, {user = "alice", agent = "refunds"} = {}) {
  return new HttpAgent({
    url: `${url}/ag-ui/${agent}`,
    headers: headersOf(user),
    threadId: thread,
    initialMessages: messages,
  });
}

async function run(agent, parameters = {}) {
  const events = [];
  await agent.runAgent(
    {runId: newId("run"), ...parameters},
    {onEvent: ({event}) => void events.push(event)},
  );
  return events;
}

// A thread whose turn waits, and what its agent is asked.
async function asked(...steps) {
  const agent = agentOf(newId("thread"), [said(calling(...steps))]);
  const events = await run(agent);
  return {agent, events, interrupts: agent.pendingInterrupts};
}

const resolved = (payload) => ({status: "resolved", payload});
const answersTo = (interrupts, answer) =>
  buildResumeArray(interrupts, Object.fromEntries(interrupts.map(({id}) => [id, answer])));
const kinds = (events) => events.map(({type}) => type);
const last = (agent) => agent.messages.at(-1).content;

async function refused(agent, resume, status, code) {
  await assert.rejects(run(agent, {resume}), (error) => {
    assert.equal(error.status, status, error.message);
    assert.match(error.message, new RegExp(code));
    return true;
  });
}

const turnOf = async (agent, events) => {
  const {sessionId, turnId} = events[0].metadata;
  return (await ask("GET", `/sessions/${sessionId}/turns/${turnId}`, "alice")).turn;
};

test("a run that pauses ends with what it asks, and with all messages", async () => {
  const {agent, events, interrupts} = await asked([refund(900)]);

  assert.deepEqual(kinds(events).slice(-5), [
    "TOOL_CALL_START",
    "TOOL_CALL_ARGS",
    "TOOL_CALL_END",
    "MESSAGES_SNAPSHOT",
    "RUN_FINISHED",
  ]);
  assert.equal(events.at(-1).outcome.type, "interrupt");
  const [one] = interrupts;
  assert.equal(one.reason, "tool_call");
  assert.equal(one.toolCallId, agent.messages.at(-1).toolCalls[0].id);
  assert.deepEqual(one.responseSchema.required, ["approved"]);
  assert.ok("editedArgs" in one.responseSchema.properties);
  assert.ok(new Date(one.expiresAt) > new Date());
  assert.equal((await turnOf(agent, events)).status, "waiting");
});

test("what is approved is done, and the rest of the same turn is told", async () => {
  const {agent, events, interrupts} = await asked([refund(900)]);
  const rest = await run(agent, {resume: answersTo(interrupts, resolved({approved: true}))});

  assert.equal(rest[0].metadata.turnId, events[0].metadata.turnId);
  assert.ok(!kinds(rest).includes("TOOL_CALL_START"), "a call is told once");
  assert.deepEqual(rest.at(-1).outcome, {type: "success"});
  assert.equal(last(agent), "Done: refunded 900 of A1");
  assert.deepEqual(agent.pendingInterrupts, []);
  assert.deepEqual(agent.messages.map(({role}) => role), ["user", "assistant", "tool", "assistant"]);
});

test("what is rejected is not done, and the reason is told", async () => {
  const {agent, interrupts} = await asked([refund(900)]);
  await run(agent, {
    resume: answersTo(interrupts, resolved({approved: false, reason: "too much"})),
  });

  assert.match(last(agent), /^Done: This call was not made.*too much/);
  assert.match(agent.messages.find(({role}) => role === "tool").content, /too much/);
});

test("what is cancelled is rejected", async () => {
  const {agent, interrupts} = await asked([refund(900)]);
  await run(agent, {resume: answersTo(interrupts, {status: "cancelled"})});

  assert.match(last(agent), /^Done: This call was not made/);
});

test("a tool is called with the arguments that were put in, where it allows that", async () => {
  const {agent, interrupts} = await asked([refund(900)]);
  const editedArgs = {order: "A1", cents: 5};
  await run(agent, {resume: answersTo(interrupts, resolved({approved: true, editedArgs}))});
  assert.equal(last(agent), "Done: refunded 5 of A1");

  const other = await asked([["close", {order: "A1"}]]);
  const payload = {approved: true, editedArgs: {order: "B2"}};
  await refused(other.agent, answersTo(other.interrupts, resolved(payload)), 422, "close");
  await run(other.agent, {resume: answersTo(other.interrupts, resolved({approved: true}))});
  assert.equal(last(other.agent), "Done: closed A1");
});

test("siblings that asked for nothing have run, and are told once", async () => {
  const {agent, events, interrupts} = await asked([["look_up", {order: "A1"}], refund(900)]);
  assert.equal(kinds(events).filter((kind) => kind === "TOOL_CALL_RESULT").length, 1);
  await run(agent, {resume: answersTo(interrupts, resolved({approved: true}))});

  assert.equal(last(agent), "Done: A1 is open; refunded 900 of A1");
  assert.equal(agent.messages.filter(({role}) => role === "tool").length, 2);
});

test("a turn may pause twice, and each answer goes on from where it asked", async () => {
  const {agent, interrupts} = await asked([refund(1)], [refund(2)]);
  const first = answersTo(interrupts, resolved({approved: true}));
  const again = agentOf(agent.threadId, agent.messages);
  await run(agent, {resume: first});
  assert.equal(agent.pendingInterrupts.length, 1);

  // Sent once more, it decides nothing more, and is told the same again.
  const repeated = await run(again, {resume: first});
  assert.deepEqual(again.pendingInterrupts, agent.pendingInterrupts);
  assert.deepEqual(again.messages, agent.messages);
  assert.equal(repeated.at(-1).outcome.type, "interrupt");

  await run(agent, {resume: answersTo(agent.pendingInterrupts, resolved({approved: true}))});
  assert.equal(last(agent), "Done: refunded 1 of A1; refunded 2 of A1");
});

test("a client that lost the rest is told it once, when it answers the same again", async () => {
  const {agent, interrupts} = await asked([refund(900)]);
  const resume = answersTo(interrupts, resolved({approved: true}));
  await run(agent, {resume});
  const again = agentOf(agent.threadId, agent.messages); // it holds all of it, and asks anew
  await run(again, {resume});

  assert.deepEqual(again.messages, agent.messages);
});

test("half of what is asked is refused, and nothing is decided", async () => {
  const {agent, interrupts} = await asked([refund(1), refund(2, "B2")]);
  const half = answersTo(interrupts.slice(0, 1), resolved({approved: true}));
  agent.pendingInterrupts = []; // a client of another make would send it
  await refused(agent, half, 422, interrupts[1].id);
  assert.equal((await ask("GET", `/approvals/${interrupts[0].id}`, "alice")).status, "open");

  const [first, second] = interrupts;
  const resume = buildResumeArray(interrupts, {
    [first.id]: resolved({approved: true}),
    [second.id]: resolved({approved: false}),
  });
  await run(agent, {resume});
  assert.match(last(agent), /^Done: refunded 1 of A1; This call was not made/);
});

test("nobody answers for another user, or in another thread, or for what is not there", async () => {
  const {agent, interrupts} = await asked([refund(900)]);
  const resume = answersTo(interrupts, resolved({approved: true}));
  await refused(agentOf(agent.threadId, agent.messages, {user: "bob"}), resume, 404, "not_found");
  await refused(agentOf(newId("thread"), agent.messages), resume, 404, "not_found");
  await refused(agentOf(agent.threadId, agent.messages, {agent: "todo"}), resume, 404, "not_found");
  for (const interruptId of ["01939d5c-2c00-7000-8000-00000000ffff", "nothing"])
    await refused(
      agentOf(agent.threadId, agent.messages),
      [{interruptId, status: "resolved", payload: {approved: true}}],
      404,
      "not_found",
    );
  assert.equal((await ask("GET", `/approvals/${interrupts[0].id}`, "alice")).status, "open");
});

test("what is no answer is named", async () => {
  const {agent, interrupts} = await asked([refund(900)]);
  const [{id: interruptId}] = interrupts;
  for (const [entry, named] of [
    [{interruptId, status: "resolved"}, "resume.0.payload"],
    [{interruptId, status: "resolved", payload: true}, "resume.0.payload"],
    [{interruptId, status: "resolved", payload: {approved: "yes"}}, "approved"],
    [{interruptId, status: "resolved", payload: {approved: true, editedArgs: []}}, "editedArgs"],
    [{interruptId, status: "resolved", payload: {approved: false, editedArgs: {}}}, "editedArgs"],
  ])
    await refused(agent, [entry], 422, named);
  const entry = {interruptId, status: "done", payload: {approved: true}};
  const run = {threadId: agent.threadId, runId: newId("run"), messages: [], resume: [entry]};
  const {errors} = await ask("POST", "/ag-ui/refunds", "alice", run); // the client sends none such
  assert.equal(errors[0].field, "resume.0.status");
  const twice = [true, false].map((approved) => ({interruptId, ...resolved({approved})}));
  await refused(agent, twice, 422, "twice");
  assert.equal((await ask("GET", `/approvals/${interruptId}`, "alice")).status, "open");
});

test("who comes after somebody else decided is told so, and can leave it at that", async () => {
  const {agent, interrupts} = await asked([refund(900)]);
  await decide("alice", interrupts[0].id, {decision: "reject", reason: "elsewhere"});
  await refused(agent, answersTo(interrupts, resolved({approved: true})), 409, "already_decided");

  // microsoft/agent-framework#7570: a thread that could never be left again.
  await run(agent, {resume: answersTo(interrupts, {status: "cancelled"})});
  assert.match(last(agent), /elsewhere/);
});

test("what an administrator decides is shown to the user, who cannot", async () => {
  const {agent, interrupts} = await asked([["pay", {order: "A1"}]]);
  assert.equal(interrupts[0].metadata.decider, "admin");
  assert.equal(interrupts[0].metadata.mayDecide, false);
  await refused(agent, answersTo(interrupts, resolved({approved: true})), 403, "forbidden");

  const left = answersTo(interrupts, {status: "cancelled"});
  await run(agent, {resume: left});
  assert.deepEqual(agent.pendingInterrupts, interrupts);
  await decide("anna", interrupts[0].id, {decision: "approve"}, true);
  await run(agent, {resume: left});
  assert.equal(last(agent), "Done: paid A1");
});

test("another message is refused while the thread waits, and nothing of it is kept", async () => {
  const {agent, interrupts} = await asked([refund(900)]);
  const eager = agentOf(agent.threadId, [...agent.messages, said("hello?")]);
  await assert.rejects(run(eager), ({status, message}) => status === 409 && /turn_waiting/.test(message));

  await run(agent, {resume: answersTo(interrupts, resolved({approved: true}))});
  agent.addMessage(said("hello"));
  await run(agent);
  assert.equal(last(agent), "Hello from the model");
});

// assistant-ui/assistant-ui#4477: who types instead of answering cancels all that was asked.
test("a message beside answers is answered when the turn that asked is over", async () => {
  const {agent, interrupts} = await asked([refund(900)]);
  agent.addMessage(said("hello"));
  const events = await run(agent, {resume: answersTo(interrupts, {status: "cancelled"})});
  assert.deepEqual(agent.pendingInterrupts, []);
  assert.deepEqual(kinds(events).filter((kind) => kind.startsWith("RUN_")), ["RUN_STARTED", "RUN_FINISHED"]);
  const told = agent.messages.filter(({role, content}) => role !== "tool" && content);
  // This client leaves each message where it was, whatever the order of those that it is told.
  assert.deepEqual(told.map(({role}) => role), ["user", "user", "assistant", "assistant"]);
  assert.equal(told[1].content, "hello");
  assert.match(told[2].content, /^Done: .*not made/);
  assert.equal(told[3].content, "Hello from the model");
});

test("who comes back with the run, or with nothing, is asked again", async () => {
  const {agent, events, interrupts} = await asked([refund(900)]);
  const [message] = agent.messages;
  const same = agentOf(agent.threadId, [message]);
  await run(same, {runId: events[0].runId});
  const mounted = agentOf(agent.threadId, []);
  await run(mounted);

  for (const each of [same, mounted]) {
    assert.deepEqual(each.pendingInterrupts, interrupts);
    assert.deepEqual(each.messages.at(-1), agent.messages.at(-1));
  }
  assert.equal(mounted.messages[0].content, message.content);
  await run(mounted, {resume: answersTo(interrupts, resolved({approved: true}))});
  assert.equal(last(mounted), "Done: refunded 900 of A1");
});

test("a cancelled turn is asked nothing any more", async () => {
  const {agent, events, interrupts} = await asked([refund(900)]);
  const {sessionId, turnId} = events[0].metadata;
  await ask("POST", `/sessions/${sessionId}/turns/${turnId}/cancel`, "alice");
  await refused(agent, answersTo(interrupts, resolved({approved: true})), 409, "already_decided");

  const rest = await run(agent, {resume: answersTo(interrupts, {status: "cancelled"})});
  assert.deepEqual(rest.at(-1).outcome, {type: "cancelled"});
});

test("an answer is not lost with a run that fails, and is not carried out twice", async () => {
  // microsoft/agent-framework#7458: the answer was consumed, and its retry was another thing.
  const agent = agentOf(newId("thread"), [said(calling([refund(900)]).replace("ask", "askfail"))]);
  await run(agent);
  const resume = answersTo(agent.pendingInterrupts, resolved({approved: true}));
  const again = agentOf(agent.threadId, agent.messages);
  for (const each of [agent, again]) {
    const events = await run(each, {resume}).catch(() => []);
    if (events.length > 0) assert.equal(events.at(-1).code, "model_failed");
    const results = each.messages.filter(({role}) => role === "tool");
    assert.deepEqual(results.map(({content}) => content), ["refunded 900 of A1"]);
  }
});

test("nothing but the answer need be sent, and what was decided is not asked again", async () => {
  const {agent, interrupts} = await asked([refund(900)]);
  const bare = agentOf(agent.threadId, []);
  // ag-ui-protocol/ag-ui#2815: the schema asks for `approved` alone, and that was not enough.
  await run(bare, {resume: answersTo(interrupts, resolved({approved: true}))});
  assert.equal(last(bare), "Done: refunded 900 of A1");

  // assistant-ui/assistant-ui#7021: after a reload the same was asked for a call that had run.
  const loaded = agentOf(agent.threadId, []);
  const events = await run(loaded);
  assert.deepEqual(kinds(events), ["RUN_STARTED", "RUN_FINISHED"]);
  assert.deepEqual(loaded.pendingInterrupts, []);
});
