"""Turns whose attempt died are carried on by the cleanup function, though nobody writes there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley.agents.offline import OfflineModel
from parley.errors import StoreUnavailable
from parley.memory.sqlite import SqliteStore
from parley.repository.turns import RunningTurn, TurnRepository
from parley.turns.carry_out import TurnCarrier
from parley_testing.handlers import Api, Context
from parley_testing.talk import begin, queue, request

Recover = Callable[..., dict[str, Any]]
Leave = Callable[..., RunningTurn]


def counts(*, ended: int = 0, elsewhere: int = 0, unfinished: int = 0) -> dict[str, int]:
    return {"ended": ended, "elsewhere": elsewhere, "unfinished": unfinished}


def state(sql: psycopg.Connection, turn_id: UUID) -> Any:
    return sql.execute(
        "SELECT status, attempt, crashes FROM turns WHERE id = %s", (turn_id,)
    ).fetchone()


def claim(turns: TurnRepository, turn: RunningTurn) -> None:
    """Take a turn over, as another process would."""
    again = request("alice", str(turn.session_id), turn.text, turn_id=turn.id)
    assert turns.begin(again).outcome == "resume"


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Has something done elsewhere while the model is asked for the first time."""
    answer = OfflineModel.get_response
    left: list[Callable[[], object]] = []

    async def answered(*arguments: Any, **named: Any) -> Any:
        if left:
            left.pop()()
        return await answer(*arguments, **named)

    monkeypatch.setattr(OfflineModel, "get_response", answered)
    return left.append


def test_a_turn_on_which_nobody_writes_is_completed(
    recover: Recover, left: Leave, api: Api, sql: psycopg.Connection
) -> None:
    turn = left("add milk")

    report = recover()

    assert report == {"turns": counts(ended=1), "conversations": 0, "cleanup": None, "done": True}
    assert state(sql, turn.id) == ("completed", 2, 1)
    said = api("GET", f"/sessions/{turn.session_id}/messages", query={"order": "asc"}).json
    assert [message["role"] for message in said["items"]] == ["user", "assistant"]
    assert sql.execute("SELECT title FROM tasks").fetchall() == [("milk",)]
    # And the agent remembers it.
    answer = api("POST", f"/sessions/{turn.session_id}/messages", {"text": "done with that task"})
    assert answer.status == 201


def test_what_the_turn_had_done_is_not_done_again(
    recover: Recover, crashed: RunningTurn, sql: psycopg.Connection
) -> None:
    report = recover()

    assert report["turns"] == counts(ended=1)
    assert state(sql, crashed.id) == ("completed", 2, 1)
    assert sql.execute("SELECT title FROM tasks").fetchall() == [("milk",)]


def test_a_turn_that_is_being_carried_out_is_left_alone(
    recover: Recover, api: Api, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    turn = begin(turns, request("alice", api.new_session()))

    report = recover()

    assert report == {"turns": counts(), "conversations": 0, "cleanup": None, "done": True}
    assert state(sql, turn.id) == ("running", 1, 0)


def test_a_turn_that_waits_is_left_to_the_worker(
    recover: Recover, api: Api, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    begun = queue(turns, request("alice", api.new_session()))

    recover()

    assert begun.turn_id is not None
    assert state(sql, begun.turn_id) == ("queued", 0, 0)


def test_turns_that_wait_though_nothing_is_before_them_are_carried_out_in_order(
    recover: Recover, api: Api, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    # Their doorbells were lost.
    session_id = api.new_session()
    for number in range(3):
        begun = turns.begin(request("alice", session_id, f"add {number}"), queue=True, enqueue=True)
        assert begun.outcome == "queued"
    sql.execute("UPDATE turns SET created_at = now() - interval '61 seconds'")

    report = recover()

    assert (report["turns"], report["done"]) == (counts(ended=3), True)
    rows = sql.execute("SELECT status, attempt, crashes FROM turns").fetchall()
    assert rows == [("completed", 1, 0)] * 3
    titles = sql.execute("SELECT title FROM tasks ORDER BY created_at, id").fetchall()
    assert titles == [("0",), ("1",), ("2",)]


def test_turns_that_wait_behind_one_whose_attempt_died_come_after_it(
    recover: Recover, left: Leave, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    turn = left("add milk")
    waits = request("alice", str(turn.session_id), "add eggs")
    turns.begin(waits, queue=True)
    sql.execute("UPDATE turns SET created_at = now() - interval '1 hour'")

    report = recover()

    assert report["turns"] == counts(ended=2)
    assert state(sql, turn.id) == ("completed", 2, 1)
    assert state(sql, waits.turn_id) == ("completed", 1, 0)
    titles = sql.execute("SELECT title FROM tasks ORDER BY created_at, id").fetchall()
    assert titles == [("milk",), ("eggs",)]


def test_a_turn_that_waits_behind_one_that_runs_goes_on_waiting(
    recover: Recover, api: Api, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    turn = begin(turns, request("alice", api.new_session()))
    waits = request("alice", str(turn.session_id))
    turns.begin(waits, enqueue=True)
    sql.execute("UPDATE turns SET created_at = now() - interval '1 hour'")

    report = recover()

    assert (report["turns"], report["done"]) == (counts(), True)
    assert state(sql, turn.id) == ("running", 1, 0)
    assert state(sql, waits.turn_id) == ("queued", 0, 0)


def test_what_waits_in_a_session_that_has_ended_fails(
    recover: Recover, api: Api, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    session_id = api.new_session()
    begun = queue(turns, request("alice", session_id))
    api("PATCH", f"/sessions/{session_id}", {"status": "ended"})
    sql.execute("UPDATE turns SET created_at = now() - interval '1 hour'")

    report = recover()

    assert (report["turns"], report["done"]) == (counts(elsewhere=1), True)
    assert begun.turn_id is not None
    assert state(sql, begun.turn_id) == ("failed", 0, 0)


def test_a_turn_that_was_released_is_carried_on_and_has_not_crashed(
    recover: Recover, api: Api, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    turn = begin(turns, request("alice", api.new_session()))
    turns.release(turn)

    report = recover()

    assert report["turns"] == counts(ended=1)
    assert state(sql, turn.id) == ("completed", 2, 0)


def test_a_turn_of_a_session_that_has_ended_is_carried_on(
    recover: Recover, left: Leave, api: Api, sql: psycopg.Connection
) -> None:
    turn = left()
    api("PATCH", f"/sessions/{turn.session_id}", {"status": "ended"})

    recover()

    assert state(sql, turn.id) == ("completed", 2, 1)


def test_a_turn_that_crashed_too_often_fails(
    recover: Recover, left: Leave, sql: psycopg.Connection
) -> None:
    turn = left()
    sql.execute("UPDATE turns SET attempt = 3, crashes = 2 WHERE id = %s", (turn.id,))

    report = recover()

    assert report["turns"] == counts(ended=1)
    assert state(sql, turn.id) == ("failed", 4, 3)


@pytest.mark.parametrize("count", [3, 4])
def test_it_goes_on_batch_by_batch_until_none_is_left(
    recover: Recover, cleanup: Any, left: Leave, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleanup, "BATCH", 2)
    for number in range(count):
        left(f"add {number}")

    report = recover()

    assert (report["turns"], report["done"]) == (counts(ended=count), True)
    assert recover()["turns"] == counts()


def test_those_that_have_waited_longest_come_first(
    recover: Recover, left: Leave, sql: psycopg.Connection
) -> None:
    turns = [left(f"add {number}") for number in range(3)]
    for hours, turn in zip((1, 3, 2), turns, strict=True):
        sql.execute(
            "UPDATE turns SET lease_expires_at = now() - make_interval(hours => %s) WHERE id = %s",
            (hours, turn.id),
        )

    recover()

    ended = sql.execute("SELECT id FROM turns ORDER BY ended_at").fetchall()
    assert ended == [(turns[1].id,), (turns[2].id,), (turns[0].id,)]


def test_a_turn_whose_agent_is_gone_fails_and_the_others_are_carried_on(
    recover: Recover, left: Leave, api: Api, sql: psycopg.Connection
) -> None:
    bad, good = left(), left()
    sql.execute("UPDATE turns SET agent = 'gone' WHERE id = %s", (bad.id,))
    sql.execute("UPDATE sessions SET agent = 'gone' WHERE id = %s", (bad.session_id,))

    report = recover()

    assert (report["turns"], report["done"]) == (counts(ended=2), True)
    assert state(sql, good.id)[0] == "completed"
    turn = api("GET", f"/sessions/{bad.session_id}/turns/{bad.id}").json["turn"]
    assert (turn["status"], turn["error"]["code"]) == ("failed", "agent_not_offered")


def test_a_turn_that_cannot_be_carried_on_keeps_no_other_from_it(
    recover: Recover,
    cleanup: Any,
    left: Leave,
    sql: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # It comes first, and fills its batch.
    monkeypatch.setattr(cleanup, "BATCH", 1)
    bad, good = left(), left()
    window = TurnCarrier._window

    def defective(carrier: Any, attempt: Any, *arguments: Any) -> Any:
        if attempt.turn.id == bad.id:
            raise ZeroDivisionError
        return window(carrier, attempt, *arguments)

    monkeypatch.setattr(TurnCarrier, "_window", defective)

    report = recover()

    assert (report["turns"], report["done"]) == (counts(ended=1, unfinished=1), False)
    assert state(sql, good.id)[0] == "completed"
    assert state(sql, bad.id)[:2] == ("running", 2)


def test_a_turn_that_another_took_first_is_left_to_it(
    recover: Recover,
    left: Leave,
    turns: TurnRepository,
    sql: psycopg.Connection,
    meanwhile: Callable[[Callable[[], object]], None],
) -> None:
    first, second = left(), left()
    meanwhile(lambda: claim(turns, second))

    report = recover()

    assert (report["turns"], report["done"]) == (counts(ended=1, elsewhere=1), True)
    assert state(sql, first.id) == ("completed", 2, 1)
    assert state(sql, second.id) == ("running", 2, 1)


def test_a_turn_that_another_took_while_it_was_carried_on_is_left_to_it(
    recover: Recover,
    left: Leave,
    turns: TurnRepository,
    expire: Callable[[UUID], None],
    sql: psycopg.Connection,
    meanwhile: Callable[[Callable[[], object]], None],
) -> None:
    first, second = left(), left()

    def take() -> None:
        expire(first.id)
        claim(turns, first)

    meanwhile(take)

    report = recover()

    assert (report["turns"], report["done"]) == (counts(ended=1, elsewhere=1), True)
    assert state(sql, first.id) == ("running", 3, 2)
    assert state(sql, second.id) == ("completed", 2, 1)


def test_a_turn_that_takes_too_long_is_released_and_carried_on_by_the_next(
    recover: Recover,
    cleanup: Any,
    left: Leave,
    sql: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def for_ever(*_: Any, **__: Any) -> Any:
        await asyncio.sleep(3600)

    first, second = left(), left()
    with monkeypatch.context() as patch:
        patch.setattr(OfflineModel, "get_response", for_ever)
        report = recover(seconds=cleanup.MARGIN_SECONDS + 0.5)

    assert (report["turns"], report["done"]) == (counts(unfinished=2), False)
    released = sql.execute("SELECT id FROM turns WHERE lease_expires_at = '-infinity'").fetchall()
    assert released == [(first.id,)]
    assert state(sql, second.id) == ("running", 1, 0)

    report = recover()

    assert (report["turns"], report["done"]) == (counts(ended=2), True)
    assert state(sql, first.id) == ("completed", 3, 1)


def test_without_time_it_touches_nothing_and_says_what_is_left(
    recover: Recover, left: Leave, sql: psycopg.Connection
) -> None:
    turn = left()

    report = recover(seconds=1)

    assert (report["turns"], report["done"]) == (counts(unfinished=1), False)
    assert state(sql, turn.id) == ("running", 1, 0)


def test_a_store_that_is_down_fails_the_invocation_and_loses_nothing(
    recover: Recover, left: Leave, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any) -> Any:
        raise StoreUnavailable("agent-session store", "down")

    turn = left()
    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "claim", down)
        with pytest.raises(StoreUnavailable):
            recover()

    assert recover()["turns"] == counts(ended=1)
    assert state(sql, turn.id) == ("completed", 3, 1)


@pytest.mark.parametrize("event", [{}, {"action": "sweep"}, {"detail": {"action": "recover"}}])
def test_what_it_was_not_asked_to_do_it_does_not(cleanup: Any, event: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="recover"):
        cleanup.handler(event, Context())
