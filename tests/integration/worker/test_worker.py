"""The worker: what it does with a wake-up, and with one too many."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley import loop
from parley.agents.offline import OfflineModel
from parley.errors import Fenced, MissingSetting, StoreUnavailable
from parley.ids import conversation_key, new_id
from parley.memory.sqlite import SqliteStore
from parley.repository.database import Database
from parley.repository.turns import Begun, TurnRepository
from parley.runner.execute import TurnExecutor
from parley.timing import LEASE_SECONDS, WORKER_MARGIN_SECONDS
from parley_testing.account.wake_queue import ReceivedWakeups
from parley_testing.api.handlers import Api, load_function
from parley_testing.run.at_length import times
from parley_testing.stores.talk import begin, request

Work = Callable[..., None]

MESSAGES = times(enough=8, full=20)


def queue_turn(turns: TurnRepository, session_id: str, text: str = "add milk") -> Begun:
    begun = turns.begin(request("alice", session_id, text), queue=True, enqueue=True)
    assert begun.outcome == "queued"
    return begun


def states(sql: psycopg.Connection) -> list[Any]:
    return sql.execute("SELECT status, attempt, crashes FROM turns ORDER BY number").fetchall()


def tasks(sql: psycopg.Connection) -> list[str]:
    return [title for (title,) in sql.execute("SELECT title FROM tasks ORDER BY created_at, id")]


@pytest.fixture
def for_ever(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A model that never answers, until this is undone."""

    async def answer(*_: Any, **__: Any) -> Any:
        await asyncio.sleep(3600)

    async def stream(*_: Any, **__: Any) -> Any:
        await asyncio.sleep(3600)
        yield

    with monkeypatch.context() as patch:
        patch.setattr(OfflineModel, "get_response", answer)
        patch.setattr(OfflineModel, "stream_response", stream)
        yield patch


def test_the_head_is_carried_out_and_the_next_one_woken_for(
    api: Api, queue: ReceivedWakeups, work: Work, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    session_id = api.new_session()
    for text in ("add milk", "add eggs"):
        queue_turn(turns, session_id, text)
    queue.send(session_id)

    assert queue.deliver(work) == 2

    assert states(sql) == [("completed", 1, 0)] * 2
    assert tasks(sql) == ["milk", "eggs"]


@pytest.mark.parametrize("body", ["", "no id", "{}", "01900000-0000-7000-8000-000000000000 "])
def test_a_message_that_is_no_wakeup_is_an_error(
    queue: ReceivedWakeups, work: Work, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    event = {"Records": [queue.record(body)]}

    with pytest.raises(ValueError, match="session"):
        work(event)

    assert "a message that is no wake-up" in caplog.text


def test_more_messages_than_it_is_made_for_are_an_error(work: Work) -> None:
    record = {"messageId": "m", "receiptHandle": "r", "body": str(new_id())}

    with pytest.raises(ValueError, match="too many values"):
        work({"Records": [record, record]})


def test_where_nothing_waits_there_is_nothing_to_do(
    api: Api, queue: ReceivedWakeups, work: Work
) -> None:
    for session_id in (api.new_session(), str(new_id())):
        queue.send(session_id)

    assert queue.deliver(work) == 2
    assert queue.waiting() == {"visible": 0, "delayed": 0}


def test_a_turn_that_runs_elsewhere_is_left_to_it_and_looked_at_when_its_lease_is_over(
    api: Api, queue: ReceivedWakeups, work: Work, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    session_id = api.new_session()
    begin(turns, request("alice", session_id))
    queue_turn(turns, session_id)
    queue.send(session_id)

    assert queue.deliver(work) == 1

    assert states(sql) == [("running", 1, 0), ("queued", 0, 0)]
    # Who runs it may have died, and may have left no wake-up.
    assert queue.waiting() == {"visible": 0, "delayed": 1}


def test_a_turn_whose_attempt_died_is_carried_on_before_what_waits(
    api: Api, queue: ReceivedWakeups, work: Work, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    session_id = api.new_session()
    begin(turns, request("alice", session_id, "add milk"))
    queue_turn(turns, session_id, "add eggs")
    sql.execute("UPDATE turns SET lease_expires_at = now() - interval '1 s' WHERE number = 1")
    queue.send(session_id)

    queue.deliver(work)

    assert states(sql) == [("completed", 2, 1), ("completed", 1, 0)]
    assert tasks(sql) == ["milk", "eggs"]


def test_what_waits_in_a_session_that_has_ended_fails_and_is_not_run(
    api: Api, queue: ReceivedWakeups, work: Work, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    session_id = api.new_session()
    turn_ids = [queue_turn(turns, session_id).turn_id for _ in range(3)]
    api("PATCH", f"/sessions/{session_id}", {"status": "ended"})
    queue.send(session_id)

    assert queue.deliver(work) == 1

    assert states(sql) == [("failed", 0, 0)] * 3
    assert tasks(sql) == []
    turn = api("GET", f"/sessions/{session_id}/turns/{turn_ids[0]}").json["turn"]
    assert turn["error"]["code"] == "session_not_active"


def test_a_wakeup_that_cannot_be_answered_is_put_back(
    api: Api,
    queue: ReceivedWakeups,
    worker: Any,
    work: Work,
    turns: TurnRepository,
    sql: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def down(*_: object) -> object:
        raise StoreUnavailable("postgres", "down")

    session_id = api.new_session()
    queue_turn(turns, session_id)
    queue.send(session_id)
    monkeypatch.setattr(worker, "PUT_BACK_SECONDS", 0)
    with monkeypatch.context() as patch:
        patch.setattr(TurnRepository, "claim_head", down)
        (record,) = queue.receive()
        with pytest.raises(StoreUnavailable):
            work({"Records": [record]})

    (again,) = queue.receive()
    assert again["messageId"] == record["messageId"]
    assert again["attributes"]["ApproximateReceiveCount"] == "2"
    work({"Records": [again]})
    assert states(sql) == [("completed", 1, 0)]


def test_without_a_queue_it_does_not_start(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("WAKE_QUEUE_URL")

    with pytest.raises(MissingSetting, match="WAKE_QUEUE_URL"):
        load_function("worker")


def test_it_comes_back_when_the_lease_of_a_lost_claim_is_over(worker: Any) -> None:
    assert worker.PUT_BACK_SECONDS > LEASE_SECONDS


def test_a_turn_that_takes_too_long_is_let_go_of_and_woken_for(
    api: Api,
    queue: ReceivedWakeups,
    worker: Any,
    work: Work,
    turns: TurnRepository,
    sql: psycopg.Connection,
    for_ever: pytest.MonkeyPatch,
) -> None:
    session_id = api.new_session()
    queue_turn(turns, session_id)
    queue.send(session_id)
    (record,) = queue.receive()

    work({"Records": [record]}, seconds=WORKER_MARGIN_SECONDS + 0.5)

    row = sql.execute("SELECT status, lease_expires_at = '-infinity' FROM turns").fetchone()
    assert row == ("running", True)
    for_ever.undo()
    assert queue.deliver(work) == 1
    assert states(sql) == [("completed", 2, 0)]


def test_a_store_that_fails_on_the_way_leaves_one_wakeup_and_no_more(
    api: Api,
    queue: ReceivedWakeups,
    work: Work,
    turns: TurnRepository,
    sql: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def down(*_: object, **__: object) -> object:
        raise StoreUnavailable("agent-session store", "down")

    session_id = api.new_session()
    queue_turn(turns, session_id)
    queue.send(session_id)
    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "read_newest", down)
        assert queue.deliver(work) == 1

    assert queue.waiting() == {"visible": 0, "delayed": 1}
    queue.send(session_id)
    queue.deliver(work)
    assert states(sql) == [("completed", 2, 0)]


def test_a_turn_that_another_took_meanwhile_is_left_to_it(
    api: Api,
    queue: ReceivedWakeups,
    work: Work,
    turns: TurnRepository,
    sql: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fenced(*_: Any, **__: Any) -> Any:
        # Really taken: what a store alone says of another attempt lets the turn go, and wakes.
        sql.execute("UPDATE turns SET attempt = attempt + 1")
        raise Fenced(1, 1)

    session_id = api.new_session()
    queue_turn(turns, session_id)
    queue.send(session_id)
    monkeypatch.setattr(TurnExecutor, "_bring_to_end", fenced)

    assert queue.deliver(work) == 1

    assert queue.waiting() == {"visible": 0, "delayed": 0}


def test_a_defect_is_an_error_and_counts_as_a_crash(
    api: Api,
    queue: ReceivedWakeups,
    work: Work,
    turns: TurnRepository,
    sql: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def defective(*_: object) -> object:
        raise ZeroDivisionError

    session_id = api.new_session()
    queue_turn(turns, session_id)
    queue.send(session_id)
    (record,) = queue.receive()
    monkeypatch.setattr(TurnExecutor, "_window", defective)

    with pytest.raises(ZeroDivisionError):
        work({"Records": [record]})
    # This wake-up comes back, and no other besides.
    assert queue.waiting() == {"visible": 0, "delayed": 0}

    for _ in range(3):
        sql.execute("UPDATE turns SET lease_expires_at = least(lease_expires_at, now())")
        try:
            work({"Records": [record]})
        except ZeroDivisionError:
            continue
    assert states(sql) == [("failed", 4, 3)]


def test_doubled_and_reordered_wakeups_run_each_turn_once_and_in_order(
    api: Api, queue: ReceivedWakeups, work: Work, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    sessions = [api.new_session() for _ in range(2)]
    for n in range(4):
        for session_id in sessions:
            queue_turn(turns, session_id, f"add {n}")
    wakeups = [session_id for session_id in sessions for _ in range(8)]
    random.Random(7).shuffle(wakeups)
    for session_id in wakeups:
        queue.send(session_id)

    queue.deliver(work)

    rows = sql.execute(
        "SELECT t.session_id::text, array_agg(m.content ORDER BY t.ended_at), max(t.attempt)"
        " FROM turns t JOIN messages m ON m.turn_id = t.id AND m.role = 'user'"
        " WHERE t.status = 'completed' GROUP BY 1"
    ).fetchall()
    assert sorted(rows) == sorted(
        (session_id, [f"add {n}" for n in range(4)], 1) for session_id in sessions
    )
    assert sorted(tasks(sql)) == sorted([f"{n}" for n in range(4)] * 2)


def test_messages_enqueued_at_once_are_answered_in_the_accepted_order(
    api: Api,
    queue: ReceivedWakeups,
    work: Work,
    memory: SqliteStore,
    database_url: str,
    sql: psycopg.Connection,
) -> None:
    session_id = api.new_session()

    def send(n: int) -> None:
        database = Database(lambda: database_url, statement_timeout=10, pool_size=1)
        queue_turn(TurnRepository(database, window=10), session_id, f"add {n}")
        database.close()
        queue.send(session_id)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(MESSAGES)))

    queue.deliver(work)

    rows = sql.execute(
        "SELECT t.number, m.content FROM turns t JOIN messages m ON m.turn_id = t.id"
        " AND m.role = 'user' WHERE t.status = 'completed' AND t.attempt = 1 ORDER BY t.ended_at"
    ).fetchall()
    assert [number for number, _ in rows] == list(range(1, MESSAGES + 1))
    said = [text for _, text in rows]
    assert sorted(said) == sorted(f"add {n}" for n in range(MESSAGES))
    assert [f"add {title}" for title in tasks(sql)] == said
    stored = memory.read_newest(conversation_key("alice", UUID(session_id)), None)
    assert [turn.number for turn in stored] == list(range(MESSAGES, 0, -1))
    remembered = [turn.memory.items[0]["content"] for turn in stored if turn.memory is not None]
    assert remembered == said[::-1]


def test_the_process_serves_many_wakeups_on_one_loop(
    api: Api, queue: ReceivedWakeups, work: Work, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    running = loop._runner().get_loop()
    for _ in range(3):
        session_id = api.new_session()
        queue_turn(turns, session_id)
        queue.send(session_id)

    queue.deliver(work)

    assert states(sql) == [("completed", 1, 0)] * 3
    assert loop._runner().get_loop() is running


def test_a_wakeup_comes_back_ever_later(
    queue: ReceivedWakeups, worker: Any, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> object:
        raise StoreUnavailable("postgres", "down")

    given: list[int] = []
    monkeypatch.setattr(TurnRepository, "claim_head", down)
    monkeypatch.setattr(
        type(worker.wake_queue), "put_back", lambda *_, seconds: given.append(seconds)
    )
    record = queue.record(str(new_id()))
    for received in (1, 2, 3, 9):
        record["attributes"]["ApproximateReceiveCount"] = str(received)
        with pytest.raises(StoreUnavailable):
            work({"Records": [record]})

    assert given == [60, 60, 60, 120, 60, 240, 60, 900]


def test_a_lease_from_before_the_clock_was_set_back_is_over(
    api: Api, queue: ReceivedWakeups, work: Work, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    session_id = api.new_session()
    begin(turns, request("alice", session_id, "add milk"))
    sql.execute("UPDATE turns SET lease_expires_at = now() + interval '640 s'")
    queue.send(session_id)

    queue.deliver(work)

    assert states(sql) == [("completed", 2, 0)]


def test_the_queue_is_told_whose_turn_waits_without_naming_anybody(
    api: Api, queue: ReceivedWakeups, turns: TurnRepository
) -> None:
    headers = {"Prefer": "respond-async"}
    for user in ("alice", "bob"):
        for _ in range(2):
            session_id = api.new_session(user=user)
            path = f"/sessions/{session_id}/messages"
            assert api("POST", path, {"text": "hi"}, user=user, headers=headers).status == 202

    groups = [message["Attributes"]["MessageGroupId"] for message in queue.groups()]

    assert len(set(groups)) == 2
    assert not {"alice", "bob"} & set(groups)
