"""What administrators are shown of the deployment as a whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from parley.ids import first_id, new_id
from parley.repository import estimates, statistics
from parley.repository.database import Database
from parley.repository.estimates import about
from parley.repository.progress import note_progress
from parley.repository.turns import Ending, TurnRepository, Usage
from parley_testing.api.handlers import Answer, Api
from parley_testing.stores.talk import begin, queue, request, say


def ask(api: Api) -> Answer:
    return api("GET", "/admin/stats", user="root", scopes="parley:admin")


def figures(api: Api) -> Any:
    answer = ask(api)
    assert answer.status == 200, answer
    return answer.json


def test_who_has_not_the_scope_is_refused(api: Api) -> None:
    answer = api("GET", "/admin/stats", scopes="openid")

    assert (answer.status, answer.json["code"]) == (403, "forbidden")


def test_of_an_empty_deployment_all_is_nothing(api: Api) -> None:
    shown = figures(api)

    assert shown["sessions"] == {"active": 0, "ended": 0, "escalated": 0}
    assert shown["messages_per_session"] == 0
    assert shown["memory"]["items_per_session"] == shown["memory"]["turns"] == 0
    assert set(shown["turns"].values()) == {0}
    assert shown["oldest_open_turn_seconds"] is None
    assert shown["oldest_approval_seconds"] is None
    assert shown["outbox"] == {"waiting": 0, "due": 0, "oldest_due_seconds": None}
    assert shown["last_cleanup"] is None


def test_sessions_of_all_users_are_counted_by_status(api: Api) -> None:
    for user, status in [("ada", "active"), ("ada", "ended"), ("bob", "ended"), ("bob", "active")]:
        session_id = api.new_session(user)
        api("PATCH", f"/sessions/{session_id}", {"status": status}, user=user)
    api("PATCH", f"/sessions/{api.new_session()}", {"status": "escalated"})

    assert figures(api)["sessions"] == {"active": 2, "ended": 2, "escalated": 1}


def test_messages_are_averaged_over_all_sessions(api: Api, turns: TurnRepository) -> None:
    talkative, _ = api.new_session(), api.new_session()
    for _ in range(3):
        say(turns, request("alice", talkative))

    assert figures(api)["messages_per_session"] == 3  # six messages, two sessions


def test_items_are_averaged_over_sessions_that_have_memory(api: Api) -> None:
    for count in (1, 3):
        session_id = api.new_session()
        for _ in range(count):
            api("POST", f"/sessions/{session_id}/messages", {"text": "hello"})
    api.new_session()

    memory = figures(api)["memory"]

    # A turn without tools leaves two items.
    assert memory["items_per_session"] == (1 + 3) * 2 / 2
    assert memory["sampled_sessions"] == 2
    assert memory["turns"] == 4
    assert memory["bytes"] > 0


def test_of_a_cleared_session_no_items_count(api: Api) -> None:
    session_id = api.new_session()
    api("POST", f"/sessions/{session_id}/messages", {"text": "hello"})
    api("DELETE", f"/sessions/{session_id}/memory")

    assert figures(api)["memory"]["items_per_session"] == 0


def test_turns_are_counted_by_outcome(api: Api, turns: TurnRepository) -> None:
    session_id = api.new_session()
    say(turns, request("alice", session_id))
    begin(turns, request("alice", session_id))
    queue(turns, request("alice", api.new_session()))

    assert figures(api)["turns"] == {
        "queued": 1,
        "waiting": 0,
        "running": 1,
        "completed": 1,
        "failed": 0,
        "cancelled": 0,
    }


@pytest.mark.parametrize(("hours", "counted"), [(23.9, 1), (24.1, 0)])
def test_turns_of_the_last_day_are_counted(
    api: Api, turns: TurnRepository, hours: float, counted: int
) -> None:
    then = first_id(datetime.now(UTC) - timedelta(hours=hours))

    say(turns, request("alice", api.new_session(), turn_id=then))

    assert figures(api)["turns"]["completed"] == counted


def test_the_oldest_open_turn_tells_its_age(
    api: Api, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    for _ in range(2):
        begin(turns, request("alice", api.new_session()))
    oldest = begin(turns, request("alice", api.new_session()))
    say(turns, request("alice", api.new_session()))
    sql.execute(
        "UPDATE turns SET created_at = now() - interval '2 hours' WHERE id = %s", (oldest.id,)
    )
    sql.execute(
        "UPDATE turns SET created_at = now() - interval '9 hours' WHERE status = 'completed'"
    )

    assert 7200 <= figures(api)["oldest_open_turn_seconds"] < 7260


def test_the_outbox_tells_what_waits_and_how_long_it_has_been_due(
    api: Api, sql: psycopg.Connection
) -> None:
    for minutes in (-30, -10, 10):
        sql.execute(
            "INSERT INTO memory_deletions (conversation, not_before)"
            " VALUES (%s, now() + make_interval(mins => %s))",
            (str(minutes), minutes),
        )

    outbox = figures(api)["outbox"]

    assert (outbox["waiting"], outbox["due"]) == (3, 2)
    assert 1800 <= outbox["oldest_due_seconds"] < 1860


def test_the_database_tells_its_size_and_connections(api: Api, sql: psycopg.Connection) -> None:
    shown = figures(api)["database"]

    assert shown["bytes"] > 1_000_000
    assert shown["connections"] >= 2  # the function's and this test's


REPORT: dict[str, Any] = {
    "dry_run": False,
    "done": True,
    "next_cursor": None,
    "seconds": 1.5,
    "kinds": {"memory": {"found": 2, "rows": 0, "items": 4, "bytes": 100, "failures": 0}},
    "failures": [],
}


@pytest.mark.parametrize(
    ("cursor", "report", "outcome"),
    [
        (None, REPORT, "done"),
        ("somewhere", {**REPORT, "done": False, "next_cursor": "somewhere"}, "unfinished"),
        (None, {"error": "postgres: no connection"}, "failed"),
    ],
)
def test_the_last_cleanup_tells_how_it_ended(
    api: Api, database: Database, cursor: str | None, report: dict[str, Any], outcome: str
) -> None:
    note_progress(database, "retention", begun=True, cursor=cursor, report=report)

    last = figures(api)["last_cleanup"]

    assert last["outcome"] == outcome
    assert last["started_at"].endswith("Z")
    assert (last["ended_at"] is None) == (outcome == "unfinished")
    assert last["report"] == (None if outcome == "failed" else report)


def test_the_lowest_id_of_a_moment_is_below_all_made_since_and_above_all_before() -> None:
    before = new_id()
    millisecond = datetime.fromtimestamp((before.int >> 80) / 1000, UTC)

    assert first_id(millisecond) <= before < first_id(millisecond + timedelta(milliseconds=1))
    assert first_id(millisecond).version == 7
    assert isinstance(first_id(millisecond), UUID)


def test_a_days_turns_and_the_newest_sessions_are_found_by_index(
    api: Api, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is small is read whole, so that is forbidden here.
    for way in ("seqscan", "bitmapscan", "sort"):
        sql.execute(f"SET enable_{way} = off")
    newest = str(statistics._NEWEST).replace(":sample", "20")
    asked: list[str] = []

    def noted(statement: str) -> Any:
        asked.append(statement)
        return text(statement)

    monkeypatch.setattr(estimates, "text", noted)
    figures(api)

    said = "\n".join(
        line
        for statement in (newest, *asked)
        for (line,) in sql.execute(
            "EXPLAIN " + statement.replace(":since", "%(since)s"), {"since": new_id()}
        )
    )

    assert "Index Scan Backward using pk_turns" in said
    assert "Index Cond: (id >=" in said
    assert "Index Scan Backward using ix_sessions_memory" in said
    # The statuses of sessions are not read: each status that is counted has an index of its own.
    assert "Index Only Scan Backward using ix_sessions_closed" in said
    assert "Index Only Scan Backward using ix_sessions_escalated" in said


def test_of_many_rows_only_so_many_are_counted(
    api: Api, database: Database, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At ten million sessions counting them all takes longer than a statement may."""
    monkeypatch.setattr(estimates, "COUNTED_UP_TO", 100)
    sql.execute(
        "INSERT INTO sessions (id, user_id, agent, platform, status)"
        " SELECT gen_random_uuid(), 'ada', 'todo', 'api', CASE n % 10 WHEN 0 THEN 'ended'"
        " ELSE 'active' END FROM generate_series(1, 3000) n"
    )
    sql.execute("ANALYZE sessions")
    sql.execute("UPDATE pg_class SET reltuples = 4 * reltuples WHERE relname = 'sessions'")

    shown = figures(api)["sessions"]

    # As the planner has it, not as it is: nobody went through the table.
    assert shown["active"] + shown["ended"] == pytest.approx(12_000, rel=0.05)
    assert shown["ended"] == pytest.approx(1200, rel=0.1)
    assert about(database, "sessions", "user_id = 'nobody'") == 0


def test_the_newest_turns_tell_their_time_their_tokens_and_why_they_failed(
    api: Api, turns: TurnRepository
) -> None:
    session_id = api.new_session()
    for _ in range(3):
        say(turns, request("alice", session_id))
    for code in ("model_failed", "agent_failed", "model_failed"):
        failed = begin(turns, request("alice", session_id))
        turns.stop(failed, Ending("failed", code, "No.", remembered=False), Usage(1, 20, 0), None)
    begin(turns, request("alice", session_id))

    newest = figures(api)["newest_turns"]

    assert newest["looked_at"] == 7
    assert newest["failures"] == [
        {"agent": "todo", "code": "model_failed", "turns": 2},
        {"agent": "todo", "code": "agent_failed", "turns": 1},
    ]
    assert (newest["input_tokens"], newest["output_tokens"]) == (3 * 2 + 3 * 20, 3 * 3)
    assert 0 <= newest["median_seconds"] <= newest["p95_seconds"]


def test_without_turns_there_is_no_time_to_tell(api: Api) -> None:
    newest = figures(api)["newest_turns"]

    assert newest == {
        "looked_at": 0, "input_tokens": 0, "output_tokens": 0, "median_seconds": None,
        "p95_seconds": None, "failures": [],
    }  # fmt: skip
