"""A turn that takes longer than its invocation, or than any turn may."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley.errors import NotFound, TurnFailed, TurnInProgress, TurnUnfinished
from parley.ids import new_id
from parley.repository.turns import NewSession
from parley.timing import TURN_MARGIN_SECONDS
from parley_testing.api.handlers import Api
from parley_testing.models.scripted import Items, call, in_order, say
from parley_testing.models.server import Asked, ModelServer, Said
from parley_testing.waiting import HANG_SECONDS, longer_and_longer, until
from parley_testing.workbench import Workbench, request


async def for_ever() -> Items:
    await asyncio.sleep(3600)
    return say("never")


def test_a_turn_that_outlasts_its_invocation_is_joined_by_its_key(
    model_api: Api, model: ModelServer, sql: psycopg.Connection
) -> None:
    asked_for, answered = threading.Event(), threading.Event()

    def slow(asked: Asked) -> Said:
        asked_for.set()
        answered.wait(HANG_SECONDS)
        return Said("too late")

    body = {"text": "hello"}
    model_api("POST", f"/sessions/{model_api.new_session()}/messages", {"text": "warm up"})
    model.script = slow
    for seconds in longer_and_longer(0.2):
        path = f"/sessions/{model_api.new_session()}/messages"
        key = {"Idempotency-Key": f"k{seconds}"}

        answer = model_api("POST", path, body, headers=key, seconds=TURN_MARGIN_SECONDS + seconds)

        if asked_for.is_set():  # it came as far as that in time
            break
    answered.set()

    assert (answer.status, answer.json["code"]) == (504, "turn_timeout")
    row = sql.execute(
        "SELECT status, lease_expires_at = '-infinity' FROM turns WHERE id = %s",
        (UUID(answer.json["turn_id"]),),
    ).fetchone()
    assert row == ("running", True)

    model.script = lambda asked: Said("here I am")
    again = model_api("POST", path, body, headers=key)

    assert (again.status, again.json["reply"]["content"]) == (201, "here I am")
    assert again.json["turn"]["id"] == answer.json["turn_id"]


async def test_time_up_leaves_no_task_and_no_crash(
    new_bench: Callable[..., Workbench], sql: psycopg.Connection
) -> None:
    asked_again = asyncio.Event()

    async def never() -> Items:
        asked_again.set()
        return await for_ever()

    before = asyncio.all_tasks()
    for seconds in longer_and_longer(0.3):
        bench = new_bench(in_order(call("add_task", title="buy milk"), never))

        with pytest.raises(TurnUnfinished):
            await bench.send(bench.new_session(), seconds=seconds)

        if asked_again.is_set():  # it came as far as that in time
            break
        # A tool that was under way is left to itself, and ends a moment later.
        await until(lambda: asyncio.all_tasks() == before)

    assert asyncio.all_tasks() == before
    assert set(sql.execute("SELECT crashes, status FROM turns").fetchall()) == {(0, "running")}


async def test_a_turn_may_not_take_longer_than_any_turn_may(
    new_bench: Callable[..., Workbench],
) -> None:
    bench = new_bench(in_order(for_ever), turn_seconds=0.1)

    with pytest.raises(TurnFailed) as failed:
        await bench.send(bench.new_session())

    assert failed.value.code == "turn_too_long"


async def test_a_turn_that_runs_elsewhere_is_waited_for(
    new_bench: Callable[..., Workbench],
) -> None:
    here, elsewhere = new_bench(in_order()), new_bench(in_order(say("from elsewhere")))
    turn = elsewhere.begin(elsewhere.new_session(), key="k")

    joining = asyncio.ensure_future(here.send(turn.session_id, key="k"))
    await elsewhere.execute(turn)
    sent = await joining

    assert (sent.view.turn.id, sent.replayed) == (turn.id, True)
    assert sent.view.reply is not None
    assert sent.view.reply.content == "from elsewhere"


async def test_waiting_for_a_turn_elsewhere_ends_with_the_invocation(bench: Workbench) -> None:
    turn = bench.begin(bench.new_session(), key="k")

    with pytest.raises(TurnUnfinished) as unfinished:
        await bench.send(turn.session_id, key="k", seconds=0.2)

    assert unfinished.value.turn_id == turn.id


async def test_time_up_over_an_earlier_turn_does_not_promise_that_this_one_goes_on(
    new_bench: Callable[..., Workbench],
    expire: Callable[[UUID], None],
    sql: psycopg.Connection,
) -> None:
    bench = new_bench(in_order(for_ever))
    earlier = bench.begin(bench.new_session(), "first")
    expire(earlier.id)

    with pytest.raises(TurnInProgress) as refused:
        await bench.send(earlier.session_id, "second", seconds=0.2)

    assert refused.value.turn_id == earlier.id
    assert sql.execute("SELECT content FROM messages").fetchall() == [("first",)]


async def test_a_first_message_whose_session_is_deleted_meanwhile_does_not_make_it_again(
    new_bench: Callable[..., Workbench], sql: psycopg.Connection
) -> None:
    session_id = new_id()

    def delete() -> Items:
        bench.sessions.delete("alice", session_id)
        return say("to nobody")

    bench = new_bench(in_order(delete, say("once more")))
    opens = NewSession(agent="todo", name="groceries", platform="cli", metadata={})
    sending: Any = bench.sender.send(request(session_id, opens=opens), seconds=60)

    with pytest.raises(NotFound):
        await sending

    assert sql.execute("SELECT count(*) FROM sessions").fetchone() == (0,)
