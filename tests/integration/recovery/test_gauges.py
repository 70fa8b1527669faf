"""The gauges: what CloudWatch is told after a recovery."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley.cleanup.gauges import publish_gauges
from parley.errors import StoreUnavailable
from parley.memory.sqlite import SqliteStore
from parley.memory.store import TurnMemory
from parley.repository.approvals import Asked, decide
from parley.repository.database import Database
from parley.repository.turns import RunningTurn, TurnRepository, Usage
from parley_testing.api.handlers import Api
from parley_testing.metrics import metrics_in, values_of
from parley_testing.stores.asking import asking
from parley_testing.stores.talk import begin, request
from parley_testing.stores.turn_keys import numbered

Gauges = Callable[[], dict[str, float]]
Recover = Callable[[], dict[str, Any]]


@pytest.fixture
def gauges(database: Database, memory: SqliteStore, capfd: pytest.CaptureFixture[str]) -> Gauges:
    """Publishes the gauges and gives them."""

    def publish() -> dict[str, float]:
        capfd.readouterr()
        publish_gauges(database, memory)
        (document,) = metrics_in(capfd.readouterr().out)
        return values_of(document)

    return publish


def test_of_nothing_all_gauges_are_there_and_none_is_raised(gauges: Gauges) -> None:
    # An alarm on a gauge that comes only when something is wrong would never be reset.
    seen = gauges()

    raised = {name for name, value in seen.items() if value}
    assert raised == {
        "DatabaseConnections",
        "DatabaseConnectionsUsed",
        "DatabaseSize",
        "MemorySize",
    }
    assert set(seen) - raised == {
        "ActiveSessions",
        "WaitingSessions",
        "OverdueTurns",
        "OldestOpenTurn",
        "OldestApproval",
        "OutboxDue",
        "OutboxAge",
        "MemoryItems",
    }


def test_only_active_sessions_count(gauges: Gauges, api: Api) -> None:
    api.new_session()
    api("PATCH", f"/sessions/{api.new_session()}", {"status": "ended"})

    assert gauges()["ActiveSessions"] == 1


def test_a_session_waits_when_its_turns_lease_has_run_out(
    gauges: Gauges, api: Api, turns: TurnRepository, expire: Callable[[UUID], None]
) -> None:
    begin(turns, request("alice", api.new_session()))
    assert gauges()["WaitingSessions"] == 0

    expire(begin(turns, request("alice", api.new_session())).id)

    seen = gauges()
    assert seen["WaitingSessions"] == 1
    assert seen["OldestOpenTurn"] > 0


def test_a_session_waits_when_its_turn_was_let_go_of_or_should_have_been_taken(
    gauges: Gauges,
    left: Callable[[], RunningTurn],
    api: Api,
    turns: TurnRepository,
    sql: psycopg.Connection,
) -> None:
    turns.release(left())
    turns.begin(request("alice", api.new_session()), queue=True)
    assert gauges()["WaitingSessions"] == 1

    sql.execute("UPDATE turns SET created_at = now() - interval '61 seconds'")

    assert gauges()["WaitingSessions"] == 2


def test_a_turn_is_overdue_when_no_worker_came_though_one_was_woken_for(
    gauges: Gauges,
    recover: Recover,
    left: Callable[[], RunningTurn],
    api: Api,
    turns: TurnRepository,
    sql: psycopg.Connection,
) -> None:
    left()
    recover()
    left()
    assert gauges()["OverdueTurns"] == 0

    sql.execute("UPDATE turns SET woken_at = woken_at - interval '16 minutes'")

    seen = gauges()
    assert (seen["WaitingSessions"], seen["OverdueTurns"]) == (2, 1)
    (held,) = sql.execute("SELECT session_id FROM turns WHERE woken_at IS NOT NULL").fetchall()
    turns.claim_head(held[0])
    assert gauges()["OverdueTurns"] == 0, "somebody is at it"


def test_the_outbox_is_as_old_as_its_oldest_also_if_that_was_put_off(
    gauges: Gauges, sql: psycopg.Connection
) -> None:
    # What cannot be removed is tried again an hour later, and so is never due for long.
    sql.execute(
        "INSERT INTO memory_deletions (conversation, not_before, created_at)"
        " VALUES ('old', now() + interval '1 hour', now() - interval '5 hours'),"
        " ('due', now(), now())"
    )

    seen = gauges()

    assert seen["OutboxDue"] == 1
    assert 5 * 3600 <= seen["OutboxAge"] < 5 * 3600 + 60


def test_memory_is_told_in_items_and_bytes(gauges: Gauges, memory: SqliteStore) -> None:
    memory.finish(
        "user_ada_conv_1", numbered(1), 1, TurnMemory([{"role": "user", "content": "hello"}])
    )

    seen = gauges()

    assert seen["MemoryItems"] == 1
    assert seen["MemorySize"] > 0


def test_connections_are_told_in_percent_of_their_limit_too(
    gauges: Gauges, sql: psycopg.Connection
) -> None:
    (limit,) = sql.execute("SHOW max_connections").fetchone() or ()

    seen = gauges()

    assert 2 <= seen["DatabaseConnections"] < int(limit)
    assert seen["DatabaseConnectionsUsed"] == 100 * seen["DatabaseConnections"] / int(limit)


def test_a_gauge_that_fails_takes_nothing_from_the_recovery(
    recover: Recover,
    cleanup: Any,
    left: Callable[..., RunningTurn],
    log_lines: StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    left()

    def too_slow(*_: object) -> None:
        raise StoreUnavailable("postgres", "57014")

    monkeypatch.setattr(cleanup, "publish_gauges", too_slow)

    report = recover()

    assert report["sessions"]["woken"] == 1
    assert report["done"]
    assert "how the deployment stands could not be told" in log_lines.getvalue()


def test_of_approvals_the_one_that_was_asked_for_first_tells_its_age(
    gauges: Gauges, database: Database, api: Api, sql: psycopg.Connection
) -> None:
    call = Asked("call_1", "todo", "refund", "{}")
    first, _ = (asking(database, api.new_session(), call) for _ in range(2))
    # Since then the setting was shortened: the second expires before it.
    sql.execute(
        "UPDATE approvals SET created_at = now() - interval '1 day',"
        " expires_at = now() + interval '7 days' WHERE id = %s",
        [first.id],
    )

    assert 86_400 <= gauges()["OldestApproval"] < 86_460


def test_a_message_behind_a_turn_that_waits_is_no_old_turn_until_that_goes_on(
    gauges: Gauges, database: Database, turns: TurnRepository, api: Api, sql: psycopg.Connection
) -> None:
    def aged(*turn_ids: UUID, days: int) -> None:
        sql.execute(
            "UPDATE turns SET created_at = now() - make_interval(days => %s) WHERE id = ANY(%s)",
            (days, list(turn_ids)),
        )

    asked = asking(database, api.new_session(), Asked("call_1", "todo", "refund", "{}"))
    queued = turns.begin(request("alice", str(asked.session_id)), enqueue=True)
    assert queued.status == "queued"
    aged(asked.turn_id, queued.turn_id or UUID(int=0), days=3)
    assert gauges()["OldestOpenTurn"] == 0

    decide(database, asked, "approved", by="alice", anybody=False)
    assert 0 <= gauges()["OldestOpenTurn"] < 60
    going_on = turns.claim_head(asked.session_id).turn
    assert going_on is not None
    turns.complete(going_on, "done", Usage(), None)
    assert 0 <= gauges()["OldestOpenTurn"] < 60

    sql.execute("UPDATE turns SET resumed_at = now() - interval '1 day'")
    assert 86_400 <= gauges()["OldestOpenTurn"] < 86_460


def test_an_approval_that_nobody_decides_on_tells_its_age(
    gauges: Gauges, database: Database, api: Api, sql: psycopg.Connection
) -> None:
    call = Asked("call_1", "todo", "refund", "{}")
    first, second = (asking(database, api.new_session(), call) for _ in range(2))
    sql.execute(
        "UPDATE approvals SET created_at = now() - interval '1 day', expires_at = now()"
        " WHERE id = %s",
        [first.id],
    )

    assert 86_400 <= gauges()["OldestApproval"] < 86_460
    # A turn that waits for a person is none that nobody carries on.
    assert gauges()["OldestOpenTurn"] == gauges()["WaitingSessions"] == 0

    for each in (first, second):
        sql.execute("UPDATE approvals SET expires_at = now() + interval '1 hour'")
        decide(database, each, "approved", by="alice", anybody=False)
    assert gauges()["OldestApproval"] == 0
