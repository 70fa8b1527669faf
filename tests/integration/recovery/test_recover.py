"""Of turns that nobody carries on a worker is told by the cleanup function, though nobody asks."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley.errors import StoreUnavailable
from parley.repository.turns import RunningTurn, TurnRepository
from parley_testing.account.wake_queue import ReceivedWakeups
from parley_testing.api.handlers import Api, Context
from parley_testing.stores.talk import begin, queue, request

NOTHING_ELSE = {
    "approvals": 0,
    "escalations": 0,
    "conversations": 0,
    "cleanup": None,
    "done": True,
}

Recover = Callable[..., dict[str, Any]]
Leave = Callable[..., RunningTurn]
Work = Callable[[], int]


def counts(*, waiting: int = 0, woken: int = 0, left: int = 0) -> dict[str, int]:
    return {"waiting": waiting, "woken": woken, "left": left}


def state(sql: psycopg.Connection, turn_id: UUID) -> Any:
    return sql.execute(
        "SELECT status, attempt, crashes FROM turns WHERE id = %s", (turn_id,)
    ).fetchone()


def age(sql: psycopg.Connection, interval: str) -> None:
    """Let time pass for all turns."""
    sql.execute(
        "UPDATE turns SET created_at = created_at - %(by)s::interval,"
        " lease_expires_at = lease_expires_at - %(by)s::interval,"
        " woken_at = woken_at - %(by)s::interval",
        {"by": interval},
    )


def test_a_turn_on_which_nobody_writes_is_woken_for_and_carried_on_by_a_worker(
    recover: Recover, work: Work, left: Leave, api: Api, sql: psycopg.Connection
) -> None:
    turn = left("add milk")

    report = recover()

    found = counts(waiting=1, woken=1)
    assert report == {"sessions": found, **NOTHING_ELSE}
    assert state(sql, turn.id) == ("running", 1, 0), "the recovery runs nothing itself"
    assert work() == 1
    assert state(sql, turn.id) == ("completed", 2, 1)
    said = api("GET", f"/sessions/{turn.session_id}/messages", query={"order": "asc"}).json
    assert [message["role"] for message in said["items"]] == ["user", "assistant"]
    assert sql.execute("SELECT title FROM tasks").fetchall() == [("milk",)]
    # And the agent remembers it.
    answer = api("POST", f"/sessions/{turn.session_id}/messages", {"text": "done with that task"})
    assert answer.status == 201


def test_what_the_turn_had_done_is_not_done_again(
    recover: Recover, work: Work, crashed: RunningTurn, sql: psycopg.Connection
) -> None:
    assert recover()["sessions"] == counts(waiting=1, woken=1)
    work()

    assert state(sql, crashed.id) == ("completed", 2, 1)
    assert sql.execute("SELECT title FROM tasks").fetchall() == [("milk",)]


def test_a_turn_that_is_being_carried_out_is_left_alone(
    recover: Recover, work: Work, api: Api, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    turn = begin(turns, request("alice", api.new_session()))

    report = recover()

    assert report == {"sessions": counts(), **NOTHING_ELSE}
    assert work() == 0
    assert state(sql, turn.id) == ("running", 1, 0)


def test_a_turn_that_waits_is_left_to_the_worker_that_its_sender_woke(
    recover: Recover, work: Work, api: Api, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    begun = queue(turns, request("alice", api.new_session()))

    assert recover()["sessions"] == counts()

    assert begun.turn_id is not None
    assert work() == 0
    assert state(sql, begun.turn_id) == ("queued", 0, 0)


def test_turns_that_wait_though_nothing_is_before_them_are_carried_out_in_order(
    recover: Recover, work: Work, api: Api, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    # Their wake-ups were lost.
    session_id = api.new_session()
    for number in range(3):
        begun = turns.begin(request("alice", session_id, f"add {number}"), queue=True, enqueue=True)
        assert begun.outcome == "queued"
    sql.execute("UPDATE turns SET created_at = now() - interval '61 seconds'")

    report = recover()
    work()

    assert (report["sessions"], report["done"]) == (counts(waiting=1, woken=1), True)
    rows = sql.execute("SELECT status, attempt, crashes FROM turns").fetchall()
    assert rows == [("completed", 1, 0)] * 3
    titles = sql.execute("SELECT title FROM tasks ORDER BY created_at, id").fetchall()
    assert titles == [("0",), ("1",), ("2",)]


def test_turns_that_wait_behind_one_whose_attempt_died_come_after_it(
    recover: Recover, work: Work, left: Leave, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    turn = left("add milk")
    waits = request("alice", str(turn.session_id), "add eggs")
    turns.begin(waits, queue=True)
    sql.execute("UPDATE turns SET created_at = now() - interval '1 hour'")

    assert recover()["sessions"] == counts(waiting=1, woken=1)
    work()

    assert state(sql, turn.id) == ("completed", 2, 1)
    assert state(sql, waits.turn_id) == ("completed", 1, 0)
    titles = sql.execute("SELECT title FROM tasks ORDER BY created_at, id").fetchall()
    assert titles == [("milk",), ("eggs",)]


def test_a_turn_that_waits_behind_one_that_runs_goes_on_waiting(
    recover: Recover, work: Work, api: Api, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    turn = begin(turns, request("alice", api.new_session()))
    waits = request("alice", str(turn.session_id))
    turns.begin(waits, enqueue=True)
    sql.execute("UPDATE turns SET created_at = now() - interval '1 hour'")

    report = recover()

    assert (report["sessions"], report["done"]) == (counts(), True)
    assert work() == 0
    assert state(sql, turn.id) == ("running", 1, 0)
    assert state(sql, waits.turn_id) == ("queued", 0, 0)


def test_what_waits_in_a_session_that_has_ended_fails(
    recover: Recover, work: Work, api: Api, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    session_id = api.new_session()
    begun = queue(turns, request("alice", session_id))
    api("PATCH", f"/sessions/{session_id}", {"status": "ended"})
    sql.execute("UPDATE turns SET created_at = now() - interval '1 hour'")

    recover()
    work()

    assert begun.turn_id is not None
    assert state(sql, begun.turn_id) == ("failed", 0, 0)


def test_a_turn_that_was_released_is_carried_on_and_has_not_crashed(
    recover: Recover, work: Work, api: Api, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    turn = begin(turns, request("alice", api.new_session()))
    turns.release(turn)

    assert recover()["sessions"] == counts(waiting=1, woken=1)
    work()

    assert state(sql, turn.id) == ("completed", 2, 0)


def test_a_turn_of_a_session_that_has_ended_is_carried_on(
    recover: Recover, work: Work, left: Leave, api: Api, sql: psycopg.Connection
) -> None:
    turn = left()
    api("PATCH", f"/sessions/{turn.session_id}", {"status": "ended"})

    recover()
    work()

    assert state(sql, turn.id) == ("completed", 2, 1)


def test_a_turn_that_crashed_too_often_fails(
    recover: Recover, work: Work, left: Leave, sql: psycopg.Connection
) -> None:
    turn = left()
    sql.execute("UPDATE turns SET attempt = 3, crashes = 2 WHERE id = %s", (turn.id,))

    recover()
    work()

    assert state(sql, turn.id) == ("failed", 4, 3)


def test_a_turn_whose_agent_is_gone_fails_and_the_others_are_carried_on(
    recover: Recover, work: Work, left: Leave, api: Api, sql: psycopg.Connection
) -> None:
    bad, good = left(), left()
    sql.execute("UPDATE turns SET agent = 'gone' WHERE id = %s", (bad.id,))
    sql.execute("UPDATE sessions SET agent = 'gone' WHERE id = %s", (bad.session_id,))

    report = recover()
    work()

    assert (report["sessions"], report["done"]) == (counts(waiting=2, woken=2), True)
    assert state(sql, good.id)[0] == "completed"
    turn = api("GET", f"/sessions/{bad.session_id}/turns/{bad.id}").json["turn"]
    assert (turn["status"], turn["error"]["code"]) == ("failed", "agent_not_offered")


def test_without_time_it_wakes_for_none_and_says_how_many_are_left(
    recover: Recover, work: Work, left: Leave, sql: psycopg.Connection
) -> None:
    turn = left()

    report = recover(seconds=1)

    assert (report["sessions"], report["done"]) == (counts(waiting=1, left=1), False)
    assert work() == 0
    assert state(sql, turn.id) == ("running", 1, 0)
    assert recover()["sessions"] == counts(waiting=1, woken=1)


def test_a_queue_that_is_down_loses_nothing_and_takes_nothing_from_the_rest(
    recover: Recover,
    cleanup: Any,
    left: Leave,
    queue: ReceivedWakeups,
    monkeypatch: pytest.MonkeyPatch,
    log_lines: StringIO,
) -> None:
    tried: list[UUID] = []

    def down(session_id: UUID, **_: Any) -> None:
        tried.append(session_id)
        raise StoreUnavailable("queue", "down")

    turns = [left(), left()]
    with monkeypatch.context() as patch:
        patch.setattr(
            "parley.wake_queue.SqsWakeQueue.wake", lambda _, *a, **named: down(*a, **named)
        )
        report = recover()

    assert (report["sessions"], report["done"]) == (counts(waiting=2, left=2), False)
    assert set(tried) == {turns[0].session_id}, "the others would wait for nothing as well"
    assert "no worker was woken; the recovery looks" in log_lines.getvalue()
    assert recover()["sessions"] == counts(waiting=2, woken=2)
    assert queue.waiting()["visible"] == 2


def test_a_store_that_is_down_fails_the_invocation_and_loses_nothing(
    recover: Recover, left: Leave, monkeypatch: pytest.MonkeyPatch
) -> None:
    left()

    def down(*_: Any) -> Any:
        raise StoreUnavailable("postgres", "down")

    with monkeypatch.context() as patch:
        patch.setattr("parley.repository.waiting.WaitingSessions.find", down)
        with pytest.raises(StoreUnavailable):
            recover()

    assert recover()["sessions"] == counts(waiting=1, woken=1)


def test_what_is_woken_for_is_left_to_its_worker_for_a_while(
    recover: Recover, left: Leave, queue: ReceivedWakeups, sql: psycopg.Connection
) -> None:
    left()

    reports = [recover(), recover()]
    age(sql, "14 minutes")
    reports.append(recover())

    assert [report["sessions"]["woken"] for report in reports] == [1, 0, 0]
    assert all(report["sessions"]["waiting"] == 1 and report["done"] for report in reports)
    assert queue.waiting()["visible"] == 1
    age(sql, "2 minutes")
    assert recover()["sessions"] == counts(waiting=1, woken=1)


@pytest.mark.parametrize(
    ("every", "times", "most"), [("1 hour", 40, 7), ("2 minutes", 48, 5)], ids=["hours", "minutes"]
)
def test_recoveries_that_no_worker_answers_do_not_fill_the_queue(
    recover: Recover,
    left: Leave,
    api: Api,
    turns: TurnRepository,
    queue: ReceivedWakeups,
    sql: psycopg.Connection,
    every: str,
    times: int,
    most: int,
) -> None:
    left()
    waits = turns.begin(request("alice", api.new_session()), queue=True)
    released = begin(turns, request("alice", api.new_session()))
    turns.release(released)
    assert waits.outcome == "queued"

    for _ in range(times):
        age(sql, every)
        assert recover()["sessions"]["waiting"] == 3

    # Almost two days, or an hour and a half: after a quarter of an hour, and then as often as the
    # time that they waited has doubled.
    assert queue.waiting()["visible"] <= 3 * most


def test_a_turn_that_was_held_since_and_died_again_is_woken_for_soon(
    recover: Recover,
    left: Leave,
    turns: TurnRepository,
    expire: Callable[[UUID], None],
    sql: psycopg.Connection,
) -> None:
    turn = left()
    age(sql, "10 hours")
    assert recover()["sessions"] == counts(waiting=1, woken=1)
    assert turns.claim_head(turn.session_id).outcome == "claimed"
    expire(turn.id)

    age(sql, "16 minutes")

    assert recover()["sessions"] == counts(waiting=1, woken=1)


def test_a_clock_that_was_set_back_keeps_no_turn_waiting(
    recover: Recover, left: Leave, sql: psycopg.Connection
) -> None:
    left()
    recover()
    age(sql, "-1 day")

    assert recover()["sessions"] == counts(waiting=1, woken=1)


def test_a_lease_from_before_the_clock_was_set_back_is_found(
    recover: Recover, work: Work, api: Api, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    turn = begin(turns, request("alice", api.new_session()))
    assert recover()["sessions"] == counts()
    sql.execute("UPDATE turns SET lease_expires_at = now() + interval '640 s'")

    assert recover()["sessions"] == counts(waiting=1, woken=1)

    work()
    assert state(sql, turn.id) == ("completed", 2, 0)


def test_who_dies_when_it_has_woken_wakes_once_more_which_changes_nothing(
    recover: Recover,
    work: Work,
    left: Leave,
    sql: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turn = left()

    def die(*_: Any) -> None:
        raise StoreUnavailable("postgres", "gone")

    with monkeypatch.context() as patch:
        patch.setattr("parley.repository.waiting.WaitingSessions.mark", die)
        with pytest.raises(StoreUnavailable):
            recover()

    assert recover()["sessions"] == counts(waiting=1, woken=1)
    assert work() == 2
    assert state(sql, turn.id) == ("completed", 2, 1)


def test_however_often_it_was_woken_for_a_session_its_turns_run_once_and_the_queue_ends_empty(
    work: Work, api: Api, turns: TurnRepository, queue: ReceivedWakeups, sql: psycopg.Connection
) -> None:
    session_id = api.new_session()
    for number in range(3):
        turns.begin(request("alice", session_id, f"add {number}"), queue=True, enqueue=True)
    for _ in range(10):
        queue.send(session_id)

    answered = work()

    # Ten, and what each turn woke for that had another behind it.
    assert answered == 12
    assert queue.waiting() == {"visible": 0, "delayed": 0}
    rows = sql.execute("SELECT status, attempt, crashes FROM turns").fetchall()
    assert rows == [("completed", 1, 0)] * 3


@pytest.mark.parametrize("event", [{}, {"action": "sweep"}, {"detail": {"action": "recover"}}])
def test_what_it_was_not_asked_to_do_it_does_not(cleanup: Any, event: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="recover"):
        cleanup.handler(event, Context())
