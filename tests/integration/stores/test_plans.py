"""The plans of statements over large tables: what is asked often never reads one of them whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, event, text

from parley.repository.all_turns import TurnFilter, list_all_turns
from parley.repository.database import Database
from parley.repository.estimates import about
from parley.repository.expired_sessions import EVERY, Ages, find_expired
from parley.repository.scope import SERVICE
from parley.repository.turns import TurnRepository, Usage
from parley_testing.api.handlers import Api, Context
from parley_testing.api.operations import operations
from parley_testing.postgres.databases import DatabasePool, connect
from parley_testing.workbench import request

USER = "user-7"
GROWING = {
    *("sessions", "turns", "messages", "tool_calls", "daily_usage", "memory_deletions"),
    *("idempotency_tombstones", "user_limits", "audit_records", "tasks"),
}
AGES = Ages(closed_sessions=30 * 86_400, empty_sessions=86_400)
# Enough that reading them whole costs more than any index.
ROWS = 20_000
FILL = f"""
INSERT INTO sessions (id, user_id, agent, name, platform, status, next_number, last_activity_at,
                      created_at, metadata)
SELECT uuidv7(-i * interval '5 minutes'), 'user-' || i % 2000, 'todo', 'session ' || i, 'api',
       CASE WHEN i % 20 = 0 THEN 'ended' WHEN i % 1000 = 1 THEN 'escalated' ELSE 'active' END,
       CASE WHEN i % 50 = 3 THEN 1 ELSE 4 END,
       now() - i * interval '5 minutes', now() - i * interval '5 minutes',
       CASE WHEN i % 10 = 0 THEN '{{"a": 1}}'::jsonb ELSE '{{}}' END
FROM generate_series(1, {ROWS}) i;
INSERT INTO turns (id, session_id, user_id, number, status, attempt, fingerprint, agent, remembered,
                   model_calls, request_id, created_at, started_at, ended_at)
SELECT uuidv7(s.last_activity_at - now() - (3 - n) * interval '10 seconds'), s.id, s.user_id, n,
       CASE WHEN n = 3 AND s.next_number % 7 = 0 THEN 'failed' ELSE 'completed' END, 1, '', s.agent,
       true, 1, gen_random_uuid()::text, s.last_activity_at, s.last_activity_at, s.last_activity_at
FROM sessions s, generate_series(1, 3) n WHERE s.next_number > 1;
INSERT INTO messages (id, turn_id, role, content)
SELECT gen_random_uuid(), t.id, r, repeat('what was said ', 10)
FROM turns t, unnest(ARRAY['user', 'assistant']) r;
INSERT INTO tool_calls (turn_id, call_id, name, arguments, output, effect)
SELECT id, 'call', 'add_task', '{{}}', '{{"value": 1}}', true FROM turns WHERE number = 1;
INSERT INTO daily_usage
SELECT 'user-' || i % 2000, current_date - i / 50, 'todo', 'a model', 1, 1, 1, 1, 1, 1, 0, 0
FROM generate_series(1, {ROWS}) i;
INSERT INTO memory_deletions (conversation, not_before, created_at)
SELECT 'user_gone-' || i, now() + (i - 10) * interval '1 second', now() - i * interval '1 second'
FROM generate_series(1, {ROWS}) i;
INSERT INTO idempotency_tombstones
SELECT 'user-' || i % 2000, 'turn', 'key ' || i, '', now() + (i - 100) * interval '1 minute'
FROM generate_series(1, {ROWS}) i;
INSERT INTO user_limits (user_id) SELECT 'user-' || i FROM generate_series(1, {ROWS}) i;
INSERT INTO audit_records (id, administrator, action, outcome, request_id, begun_at)
SELECT gen_random_uuid(), 'root', 'x', 'done', 'r', now() - i * interval '1 hour'
FROM generate_series(1, {ROWS}) i;
INSERT INTO tasks (id, user_id, title)
SELECT gen_random_uuid(), 'user-' || i % 2000, 'task ' || i FROM generate_series(1, {ROWS}) i;
ANALYZE
"""


@dataclass
class Read:
    """What statements would read.

    Attributes:
        whole: What they would read whole: the table, and the statement.
        scans: All tables that they read, one after the other: how, and by which index.
    """

    whole: list[tuple[str, str]] = field(default_factory=list)
    scans: list[tuple[str, str]] = field(default_factory=list)
    statements: int = 0


@pytest.fixture(scope="module")
def large(databases: DatabasePool) -> str:
    """A database with large tables, which Postgres knows to be large."""
    url = databases.copy()
    with connect(url) as sql:
        sql.execute(FILL)
    return url


@pytest.fixture
def database_url(databases: DatabasePool, large: str) -> str:
    """A copy of it."""
    return databases.copy(large)


@contextmanager
def planned() -> Iterator[Read]:
    """Look at the plan of each statement before it is run, as whom and in whose scope it is."""
    read = Read()

    def look(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.lstrip().upper().startswith("EXPLAIN"):
            return
        own = connection.connection.driver_connection.cursor()
        own.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
        ((plan,),) = own.fetchall()
        read.statements += 1
        read.whole += [(table, statement) for table in _whole(plan[0]["Plan"])]
        read.scans += _scans(plan[0]["Plan"])

    event.listen(Engine, "before_cursor_execute", look)
    try:
        yield read
    finally:
        event.remove(Engine, "before_cursor_execute", look)


def _whole(plan: dict[str, Any], *, limited: bool = False) -> Iterator[str]:
    # The first rows that come are no whole table, as long as nothing is sought among them.
    whole = plan["Node Type"] == "Seq Scan" and not (limited and "Filter" not in plan)
    if whole and plan["Relation Name"] in GROWING:
        yield plan["Relation Name"]
    for part in plan.get("Plans", ()):
        yield from _whole(part, limited=plan["Node Type"] == "Limit")


def _scans(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "Index Name" in plan or plan.get("Relation Name") in GROWING:
        yield plan["Node Type"], plan.get("Index Name") or plan["Relation Name"]
    for part in plan.get("Plans", ()):
        yield from _scans(part)


def none_whole(read: Read) -> None:
    assert read.statements
    assert not read.whole, "\n".join(f"{table}: {statement}" for table, statement in read.whole)


def test_no_request_reads_a_table_whole(api: Api) -> None:
    made = api.new_session(USER, name="mine")
    sent = api("POST", f"/sessions/{made}/messages", {"text": "add milk"}, user=USER)
    assert sent.status == 201, sent
    task = api("GET", "/tasks", user=USER).json["items"][0]["id"]
    ids = {"user_id": USER, "session_id": made, "turn_id": sent.json["turn"]["id"], "task_id": task}
    # What removes or renames what the others ask for comes last.
    in_order = sorted(operations(), key=lambda each: (each.method == "DELETE", each.id))
    renaming = [each for each in in_order if each.id == "renameUser"]

    with planned() as read:
        for asked in [each for each in in_order if each not in renaming] + renaming:
            answer = api(
                asked.method, asked.path_of(ids), asked.body, user=USER, scopes=asked.scopes
            )
            assert answer.status < 500, (asked.id, answer)

    none_whole(read)


ALL_SESSIONS: tuple[dict[str, str], ...] = (
    {},
    {"status": "active"},
    {"status": "ended"},
    {"status": "escalated"},
    {"agent": "none"},
    {"name": "session 77"},
    {"platform": "none"},
    {"user_id": USER},
    {"user_id": "nobody"},
)


ALL_TURNS: tuple[dict[str, str], ...] = (
    {"status": "failed"},
    {"status": "queued"},
    {"agent": "none"},
    {"user_id": USER},
    {"user_id": "nobody"},
)


def test_no_list_of_everybody_s_reads_a_table_whole(api: Api) -> None:
    def listed(path: str, query: dict[str, str]) -> Any:
        answer = api("GET", path, query={**query, "limit": "2"}, scopes="parley:admin")
        assert answer.status == 200, answer
        return answer.json["next_cursor"]

    with planned() as read:
        for path, queries in (("/admin/sessions", ALL_SESSIONS), ("/admin/turns", ALL_TURNS)):
            for query in queries:
                cursor = listed(path, query)
                if cursor is not None:
                    listed(path, {**query, "cursor": cursor})

    none_whole(read)


def test_no_claim_reads_a_table_whole(sql: psycopg.Connection, turns: TurnRepository) -> None:
    ((session_id,),) = sql.execute(
        "SELECT id FROM sessions WHERE user_id = %s AND status = 'active' AND next_number > 1"
        " LIMIT 1",
        (USER,),
    ).fetchall()
    for _ in range(2):
        turns.begin(request(session_id, user=USER), enqueue=True, queue=True)

    with planned() as read:
        claimed = turns.claim_head(session_id).turn
        assert claimed is not None
        assert turns.renew(claimed)
        assert turns.complete(claimed, "done", Usage(), None) is not None

    none_whole(read)


def test_no_cleanup_reads_a_table_whole(api: Api) -> None:
    with planned() as read:
        for action in ("recover", "tell", "clean"):
            api.function("cleanup").handler({"action": action}, Context())

    none_whole(read)


def test_nothing_is_read_twice_or_for_nothing(database: Database, sql: psycopg.Connection) -> None:
    sql.execute("VACUUM sessions")

    # A turn that was looked through is not sought again by its id, to be shown.
    for matching in (TurnFilter(), TurnFilter(status="completed", agent="todo")):
        with planned() as read:
            assert len(list_all_turns(database, matching, limit=20, cursor=None).items) == 20
        assert read.scans == [("Index Scan", "pk_turns")], matching

    # Of a session without turns nothing is counted that hangs on turns.
    with planned() as read:
        assert len(find_expired(database, "empty_sessions", AGES, EVERY, after=None, limit=9)) == 9
    assert {index for _, index in read.scans} == {"ix_sessions_empty", "ix_turns_open"}

    # Turns are gone through once for all that hangs on them.
    with planned() as read:
        assert len(find_expired(database, "closed_sessions", AGES, EVERY, after=None, limit=9)) == 9
    assert [table for _, table in read.scans if table == "uq_turns_number"] == ["uq_turns_number"]

    # How many sessions are closed is told by an index alone.
    with planned() as read:
        about(database, "sessions", "status <> 'active'", "last_activity_at DESC, id DESC")
    assert read.scans == [("Index Only Scan", "ix_sessions_closed")]


def test_a_statement_that_reads_a_table_whole_is_seen(database: Database) -> None:
    with planned() as read:
        database.run(SERVICE, text("SELECT count(*) FROM messages WHERE content LIKE '%x'"))

    assert [table for table, _ in read.whole] == ["messages"]
