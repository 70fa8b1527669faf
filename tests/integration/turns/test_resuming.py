"""A turn whose attempt died is carried on by the next message, on both stores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley.errors import TurnFailed
from parley.memory.store import AgentSessionStore
from parley.repository.turns import RunningTurn
from parley_testing.models.scripted import call, in_order, say
from parley_testing.workbench import Workbench, request

Expire = Callable[[UUID], None]


class ProcessDied(BaseException):
    """Stands for the end of a process: nothing after it is done any more."""


def die() -> Any:
    raise ProcessDied


async def let_die(bench: Workbench, turn: RunningTurn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Carry out a turn until its process dies, which also cannot let go of the turn."""
    with monkeypatch.context() as patch:
        patch.setattr(type(bench.turns), "release", lambda *_: False)
        with pytest.raises((ProcessDied, asyncio.CancelledError)):
            await bench.execute(turn)


@pytest.fixture
def store(each_store: AgentSessionStore) -> AgentSessionStore:
    return each_store


@pytest.fixture
def crashed(
    new_bench: Callable[..., Workbench],
    expire: Expire,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Any]:
    """Runs a turn until it dies before its last model call, its one tool call recorded."""

    async def crash(**fields: Any) -> RunningTurn:
        bench = new_bench(in_order(call("add_task", title="buy milk"), die))
        turn = bench.begin(bench.new_session(), "add buy milk", **fields)
        await let_die(bench, turn, monkeypatch)
        expire(turn.id)
        return turn

    return crash


async def test_the_next_message_carries_the_turn_on_without_doing_it_again(
    crashed: Any, new_bench: Callable[..., Workbench], sql: psycopg.Connection
) -> None:
    turn = await crashed()
    bench = new_bench(in_order(say("Added."), say("You are welcome.")))

    sent = await bench.send(turn.session_id, "thanks")

    assert sql.execute("SELECT title FROM tasks").fetchall() == [("buy milk",)]
    resumed = bench.transcript.turn("alice", turn.session_id, turn.id)
    assert resumed.reply is not None
    assert (resumed.reply.content, resumed.turn.attempt, resumed.turn.crashes) == ("Added.", 2, 1)
    assert resumed.turn.model_calls == 2
    kinds = [item.get("type") for item in bench.model.asked[0].input]
    assert kinds == [None, "function_call", "function_call_output"]
    assert sent.view.turn.number == 2
    assert sent.view.reply is not None
    assert sent.view.reply.content == "You are welcome."


async def test_the_same_key_carries_its_own_turn_on(
    crashed: Any, new_bench: Callable[..., Workbench], sql: psycopg.Connection
) -> None:
    turn = await crashed(key="k")
    bench = new_bench(in_order(say("Added.")))

    sent = await bench.send(turn.session_id, "add buy milk", key="k")

    assert (sent.view.turn.id, sent.replayed) == (turn.id, False)
    assert sent.view.reply is not None
    assert sent.view.reply.content == "Added."
    assert sql.execute("SELECT count(*) FROM turns").fetchone() == (1,)


async def test_a_turn_that_was_only_begun_is_run(
    new_bench: Callable[..., Workbench], expire: Expire
) -> None:
    bench = new_bench(in_order(say("one"), say("two")))
    turn = bench.begin(bench.new_session(), "first")
    expire(turn.id)

    await bench.send(turn.session_id, "second")

    said = [item["content"] for item in bench.model.asked[1].input]
    assert said == ["first", "one", "second"]


async def test_a_turn_that_dies_between_the_stores_is_completed_without_a_run(
    new_bench: Callable[..., Workbench],
    expire: Expire,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = new_bench(in_order(say("one")))
    turn = bench.begin(bench.new_session(), "first", key="k")
    with monkeypatch.context() as patch:
        patch.setattr(type(bench.turns), "complete", lambda *_: die())
        await let_die(bench, turn, monkeypatch)
    expire(turn.id)

    sent = await new_bench(in_order()).send(turn.session_id, "first", key="k")

    assert sent.view.reply is not None
    assert (sent.view.reply.content, sent.view.turn.attempt) == ("one", 2)
    assert sent.view.turn.model_calls == 1
    after = new_bench(in_order(say("three")))
    await after.send(turn.session_id, "second")
    said = [item["content"] for item in after.model.asked[0].input]
    assert said == ["first", "one", "second"]


async def test_a_turn_that_crashes_too_often_fails_visibly(
    crashed: Any, new_bench: Callable[..., Workbench]
) -> None:
    turn = await crashed(key="k")
    bench = new_bench(in_order(say("fine")), crashes=1)

    with pytest.raises(TurnFailed) as failed:
        await bench.send(turn.session_id, "add buy milk", key="k")

    assert (failed.value.turn_id, failed.value.code) == (turn.id, "turn_crashed")
    assert 'add_task({"title": "buy milk"})' in failed.value.detail
    await bench.send(turn.session_id, "and now?")
    assert bench.model.asked[0].input[1]["content"] == failed.value.detail


async def test_a_turn_that_crashes_too_often_completes_if_its_memory_is_there(
    new_bench: Callable[..., Workbench],
    expire: Expire,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = new_bench(in_order(say("one")))
    turn = bench.begin(bench.new_session(), "first", key="k")
    with monkeypatch.context() as patch:
        patch.setattr(type(bench.turns), "complete", lambda *_: die())
        await let_die(bench, turn, monkeypatch)
    expire(turn.id)

    sent = await new_bench(in_order(), crashes=1).send(turn.session_id, "first", key="k")

    assert sent.view.turn.status == "completed"


async def test_an_outage_does_not_use_up_the_attempts(
    new_bench: Callable[..., Workbench],
) -> None:
    bench = new_bench(crashes=1)
    turn = bench.begin(bench.new_session(), key="k")
    for _ in range(3):
        bench.turns.release(turn)
        begun = bench.turns.begin(request(turn.session_id, key="k"))
        assert begun.turn is not None
        turn = begun.turn
    bench.turns.release(turn)
    bench.model.script = in_order(say("at last"))

    sent = await bench.send(turn.session_id, key="k")

    assert (sent.view.turn.status, sent.view.turn.attempt) == ("completed", 5)


async def test_a_damaged_record_fails_the_turn_instead_of_asking_afresh(
    crashed: Any,
    new_bench: Callable[..., Workbench],
    sql: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from parley.memory import versions

    turn = await crashed(key="k")
    monkeypatch.setattr(versions, "FORMAT_VERSION", 2)
    bench = new_bench(in_order())

    with pytest.raises(TurnFailed) as failed:
        await bench.send(turn.session_id, "add buy milk", key="k")

    assert failed.value.code == "memory_unreadable"
    assert "add_task" in failed.value.detail
    assert sql.execute("SELECT status FROM turns").fetchone() == ("failed",)
