"""A turn that called an MCP server, carried on by another process: with both stores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from agents import Agent

from parley.memory.store import AgentSessionStore
from parley.turns.context import TurnContext
from parley_testing.mcp_servers.process import McpProcess
from parley_testing.models.scripted import call, in_order, say
from parley_testing.workbench import Workbench

AgentOf = Callable[..., Agent[TurnContext]]
NewBench = Callable[..., Workbench]


class ProcessDied(BaseException):
    """Stands for the end of a process: nothing after it is done any more."""


def die() -> Any:
    raise ProcessDied


@pytest.fixture
def store(each_store: AgentSessionStore) -> AgentSessionStore:
    return each_store


async def _let_die(bench: Workbench, turn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(type(bench.turns), "release", lambda *_: False)
        with pytest.raises((ProcessDied, asyncio.CancelledError)):
            await bench.execute(turn)


async def test_a_call_whose_answer_is_recorded_is_not_made_again(
    new_bench: NewBench,
    agent_of: AgentOf,
    server: McpProcess,
    monkeypatch: pytest.MonkeyPatch,
    expire: Callable[[UUID], None],
) -> None:
    first = new_bench(in_order(call("note", text="milk"), die), agent=agent_of(server.url))
    turn = first.begin(first.new_session())
    await _let_die(first, turn, monkeypatch)
    expire(turn.id)
    second = new_bench(in_order(say("Done."), say("Hello.")), agent=agent_of(server.url))

    await second.send(turn.session_id)

    assert server.calls == ["note milk"]
    resumed = second.transcript.turn("alice", turn.session_id, turn.id)
    assert resumed.reply is not None
    assert resumed.reply.content == "Done."
    outputs = [item["output"] for item in second.model.asked[0].input if "output" in item]
    assert outputs == [[{"type": "input_text", "text": "Noted: milk"}]]


async def test_a_call_whose_answer_was_not_recorded_is_made_again(
    new_bench: NewBench,
    agent_of: AgentOf,
    server: McpProcess,
    monkeypatch: pytest.MonkeyPatch,
    expire: Callable[[UUID], None],
) -> None:
    first = new_bench(in_order(call("note", text="milk")), agent=agent_of(server.url))
    turn = first.begin(first.new_session())
    with monkeypatch.context() as patch:
        patch.setattr(type(first.tool_calls), "record", lambda *_: die())
        await _let_die(first, turn, monkeypatch)
    expire(turn.id)
    second = new_bench(in_order(say("Done."), say("Hello.")), agent=agent_of(server.url))

    await second.send(turn.session_id)

    assert server.calls == ["note milk", "note milk"]


async def test_a_tool_that_is_gone_when_its_turn_is_carried_on(
    new_bench: NewBench,
    agent_of: AgentOf,
    server: McpProcess,
    monkeypatch: pytest.MonkeyPatch,
    expire: Callable[[UUID], None],
) -> None:
    """Its recorded answer is told all the same."""
    first = new_bench(in_order(call("read", text="milk"), die), agent=agent_of(server.url))
    turn = first.begin(first.new_session())
    await _let_die(first, turn, monkeypatch)
    expire(turn.id)
    server.kill()
    server.start("read")
    second = new_bench(in_order(say("Done."), say("Hello.")), agent=agent_of(server.url))

    await second.send(turn.session_id)

    assert "read" not in second.model.asked[0].tools
    outputs = [item["output"] for item in second.model.asked[0].input if "output" in item]
    assert "milk" in str(outputs)
    assert server.calls == ["read milk"]


async def test_a_tool_that_is_gone_before_its_answer_was_recorded_fails_the_turn(
    new_bench: NewBench,
    agent_of: AgentOf,
    server: McpProcess,
    monkeypatch: pytest.MonkeyPatch,
    expire: Callable[[UUID], None],
) -> None:
    """It may have been called: the model is not asked for something else instead."""
    first = new_bench(in_order(call("read", text="milk")), agent=agent_of(server.url))
    turn = first.begin(first.new_session())
    with monkeypatch.context() as patch:
        patch.setattr(type(first.tool_calls), "record", lambda *_: die())
        await _let_die(first, turn, monkeypatch)
    expire(turn.id)
    server.kill()
    server.start("read")
    second = new_bench(in_order(say("Hello.")), agent=agent_of(server.url))

    await second.send(turn.session_id)

    view = second.transcript.turn("alice", turn.session_id, turn.id)
    assert (view.turn.status, view.turn.error_code) == ("failed", "agent_changed")
