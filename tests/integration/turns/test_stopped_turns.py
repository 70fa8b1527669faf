"""A turn that fails or is cancelled without effects leaves nothing in memory, in both stores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley.errors import Fenced, StoreUnavailable
from parley.ids import conversation_key
from parley.memory import versions
from parley.memory.store import FORMAT_VERSION, AgentSessionStore, TurnMemory
from parley.repository.turns import RunningTurn
from parley_testing.models.scripted import call, in_order, say
from parley_testing.workbench import Workbench, held, request

NewBench = Callable[..., Workbench]
MEMORY = TurnMemory([{"role": "user", "content": "late"}], reply="late")


def fail() -> Any:
    raise ValueError("no model")


@pytest.fixture
def store(each_store: AgentSessionStore) -> AgentSessionStore:
    return each_store


def kept(store: AgentSessionStore, turn: RunningTurn, attempt: int = 9) -> Any:
    """Look what memory holds of a turn."""
    claimed = store.claim(conversation_key(turn.user_id, turn.session_id), turn.key, attempt)
    return claimed.done, claimed.records


def state(sql: psycopg.Connection, turn: RunningTurn) -> Any:
    return sql.execute("SELECT status, remembered FROM turns WHERE id = %s", (turn.id,)).fetchone()


async def test_a_turn_that_failed_leaves_no_records(
    new_bench: NewBench, store: AgentSessionStore, sql: psycopg.Connection
) -> None:
    bench = new_bench(in_order(call("list_tasks"), fail))
    turn = bench.begin(bench.new_session())

    await bench.execute(turn)

    assert state(sql, turn) == ("failed", False)
    assert "record" in bench.watched.calls
    assert kept(store, turn) == (None, {})


async def test_a_turn_that_was_cancelled_leaves_no_records_and_what_ran_stays_fenced(
    new_bench: NewBench, store: AgentSessionStore, sql: psycopg.Connection
) -> None:
    bench = new_bench()
    turn = bench.begin(bench.new_session())
    conversation = conversation_key(turn.user_id, turn.session_id)
    store.record(conversation, turn.key, 1, "0", {"output": [], "usage": USAGE})

    await bench.cancel(turn)

    assert state(sql, turn) == ("cancelled", False)
    with pytest.raises(Fenced):
        store.record(conversation, turn.key, 1, "1", {"output": []})
    with pytest.raises(Fenced):
        store.finish(conversation, turn.key, 1, MEMORY)
    assert kept(store, turn) == (None, {})


@pytest.mark.parametrize("end", ["failed", "cancelled"])
async def test_records_that_cannot_be_read_are_not_left_either(
    new_bench: NewBench,
    store: AgentSessionStore,
    expire: Callable[[UUID], None],
    sql: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    end: str,
) -> None:
    bench = new_bench()
    turn = bench.begin(bench.new_session())
    conversation = conversation_key(turn.user_id, turn.session_id)
    store.record(conversation, turn.key, 1, "0", {"output": [], "usage": USAGE})

    with monkeypatch.context() as patch:
        patch.setattr(versions, "FORMAT_VERSION", FORMAT_VERSION + 1)
        if end == "cancelled":
            await bench.cancel(turn)
        else:
            expire(turn.id)
            await bench.execute(held(bench.turns.begin(request(turn.session_id))))

    assert state(sql, turn) == (end, False)
    assert kept(store, turn) == (None, {})


async def test_a_turn_with_effects_keeps_its_note(
    new_bench: NewBench, store: AgentSessionStore, sql: psycopg.Connection
) -> None:
    bench = new_bench(in_order(call("add_task", title="milk"), fail))
    turn = bench.begin(bench.new_session())

    await bench.execute(turn)

    assert state(sql, turn) == ("failed", True)
    done, _ = kept(store, turn)
    assert "Already done before that" in done.memory.items[-1]["content"]


async def test_a_store_that_fails_then_leaves_the_turn_failed_and_the_next_one_untouched(
    new_bench: NewBench,
    store: AgentSessionStore,
    sql: psycopg.Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = new_bench(in_order(call("list_tasks"), fail, say("hi")))
    turn = bench.begin(bench.new_session())

    def down() -> None:
        raise StoreUnavailable("agent-session store", "down")

    bench.watched.before["discard"] = down
    view = await bench.execute(turn)

    assert view.turn.status == "failed"
    assert state(sql, turn) == ("failed", False)
    assert "a turn's records are left to expire" in caplog.messages
    sent = await bench.send(turn.session_id, "and now?")
    assert sent.view.turn.status == "completed"
    assert [item["content"] for item in bench.model.asked[-1].input] == ["and now?"]
    # Until its session's memory goes.
    assert kept(store, turn)[1]
    store.forget_before(conversation_key(turn.user_id, turn.session_id), 2)
    assert kept(store, turn) == (None, {})


async def test_who_dies_before_leaves_records_that_nobody_believes(
    new_bench: NewBench, store: AgentSessionStore, sql: psycopg.Connection
) -> None:
    bench = new_bench(in_order(call("list_tasks"), fail, say("hi")))
    turn = bench.begin(bench.new_session())
    dead = AssertionError("it is dead")

    def die() -> None:
        raise dead

    bench.watched.before["discard"] = die
    with pytest.raises(AssertionError, match="it is dead"):
        await bench.execute(turn)

    assert state(sql, turn) == ("failed", False)
    assert (await bench.send(turn.session_id, "and now?")).view.turn.status == "completed"


async def test_a_failure_is_told_before_memory_is_tidied_up(
    new_bench: NewBench, sql: psycopg.Connection
) -> None:
    bench = new_bench(in_order(call("list_tasks"), fail))
    turn = bench.begin(bench.new_session())
    seen: list[Any] = []
    bench.watched.before["discard"] = lambda: seen.append(state(sql, turn))

    await bench.execute(turn)

    assert seen == [("failed", False)]


async def test_a_turn_taken_over_and_failed_leaves_nothing_and_the_zombie_stays_fenced(
    new_bench: NewBench,
    store: AgentSessionStore,
    expire: Callable[[UUID], None],
    sql: psycopg.Connection,
) -> None:
    bench = new_bench(in_order(fail))
    turn = bench.begin(bench.new_session())
    conversation = conversation_key(turn.user_id, turn.session_id)
    expire(turn.id)

    await bench.execute(held(bench.turns.begin(request(turn.session_id))))

    assert state(sql, turn) == ("failed", False)
    with pytest.raises(Fenced):
        store.record(conversation, turn.key, 1, "0", {"output": []})
    assert kept(store, turn) == (None, {})


USAGE = {"input_tokens": 1, "output_tokens": 1}
