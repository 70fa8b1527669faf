"""A statement that has forgotten its user, in a route or in a tool, comes to no stranger's rows."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg
import pytest
from agents import Agent
from sqlalchemy import Integer, bindparam, text
from sqlalchemy.exc import DBAPIError

from parley.repository import session_list
from parley.repository.database import Database, sqlstate
from parley.repository.scope import SERVICE, OfSession, OfUser
from parley.runner.tools import effect_tool
from parley.turns.context import Effect, TurnContext
from parley_testing.api.handlers import Api
from parley_testing.models.scripted import call, in_order, say
from parley_testing.postgres.databases import owner_url

from .conftest import NewBench

EVERYTHING = {
    "sessions": "SELECT user_id FROM sessions",
    "turns": "SELECT user_id FROM turns",
    "messages": "SELECT t.user_id FROM messages m, turns t WHERE t.id = m.turn_id",
    "messages alone": "SELECT split_part(content, ' ', 3) FROM messages WHERE role = 'user'",
    "tool_calls": "SELECT split_part(arguments::json->>'title', '''', 1) FROM tool_calls",
    "tasks": "SELECT user_id FROM tasks",
    "idempotency_tombstones": "SELECT user_id FROM idempotency_tombstones",
    "memory_deletions": "SELECT split_part(conversation, '_', 2) FROM memory_deletions",
}
"""For each table a statement that tells whose rows it sees."""

refused: list[str | None] = []
told: list[Any] = []


@effect_tool
def run_sql(effect: Effect, statement: str) -> str:
    """Do what the model says, as no tool should."""
    try:
        result = effect.db.execute(text(statement))
    except DBAPIError as error:
        refused.append(sqlstate(error))
        raise
    if result.returns_rows:
        told.extend(result.scalars())
    return "done"


@pytest.fixture(autouse=True)
def forget() -> None:
    refused.clear()
    told.clear()


async def have_run(new_bench: NewBench, session_id: UUID, statement: str) -> None:
    """Have a tool of alice's run a statement."""
    bench = new_bench(in_order(call("run_sql", statement=statement), say("done")))
    bench.agent = Agent[TurnContext](name="todo", tools=[run_sql])
    await bench.send(session_id, "do it", user="alice")


def bury(sql: psycopg.Connection, sessions: dict[str, UUID]) -> None:
    """Leave of each user what the deletion of a session leaves."""
    for user in sessions:
        sql.execute(
            "INSERT INTO idempotency_tombstones VALUES (%s, 'turn', 'k', '', now())", [user]
        )
        sql.execute(
            "INSERT INTO memory_deletions VALUES (%s, now())",
            [f"user_{user}_conv_01a224c9-1827-7705-8036-0bca9ffbc3d9"],
        )


@pytest.mark.parametrize("table", EVERYTHING)
def test_it_sees_the_rows_of_its_own_user_only(
    sessions: dict[str, UUID],
    guarded: bool,
    database: Database,
    sql: psycopg.Connection,
    table: str,
) -> None:
    bury(sql, sessions)

    seen = {row[0] for row in database.run(OfUser("alice"), text(EVERYTHING[table]))}

    assert seen == ({"alice"} if guarded else {"alice", "bob"})


def test_a_route_that_forgets_its_user_shows_no_strangers_session(
    sessions: dict[str, UUID], guarded: bool, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_the_user = session_list._page
    monkeypatch.setattr(session_list, "_page", lambda mine, *more: with_the_user(mine[:-1], *more))
    of_anybody = session_list._FIRST.limit(bindparam("most", type_=Integer))
    monkeypatch.setattr(session_list, "_OWN", of_anybody)

    every_page = [
        api("GET", "/sessions", user="alice", query=query) for query in (None, {"status": "active"})
    ]

    everybody = {str(session_id) for session_id in sessions.values()}
    for page in every_page:
        listed = {item["id"] for item in page.json["items"]}
        assert listed == ({str(sessions["alice"])} if guarded else everybody)


async def test_a_tool_reads_its_users_messages_only(
    sessions: dict[str, UUID], guarded: bool, new_bench: NewBench
) -> None:
    await have_run(new_bench, sessions["alice"], "SELECT content FROM messages")

    assert "I am alice" in told
    assert ("I am bob" not in told) is guarded


@pytest.mark.parametrize("statement", ["UPDATE tasks SET title = 'mine'", "DELETE FROM tasks"])
async def test_a_tool_changes_its_users_tasks_only(
    sessions: dict[str, UUID],
    guarded: bool,
    new_bench: NewBench,
    sql: psycopg.Connection,
    statement: str,
) -> None:
    await have_run(new_bench, sessions["alice"], statement)

    left: dict[str, str] = dict(sql.execute("SELECT user_id, title FROM tasks").fetchall())
    assert left.get("alice") != "alice's"
    assert (left.get("bob") == "bob's") is guarded


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO tasks (id, user_id, title) VALUES (gen_random_uuid(), 'bob', 'planted')",
        "UPDATE tasks SET user_id = 'bob'",
        "INSERT INTO messages (id, turn_id, role, content) SELECT gen_random_uuid(),"
        " '{queued}', 'assistant', 'planted'",
    ],
    ids=["planted", "given away", "said"],
)
async def test_a_tool_leaves_nothing_with_another_user(
    sessions: dict[str, UUID],
    guarded: bool,
    new_bench: NewBench,
    sql: psycopg.Connection,
    statement: str,
) -> None:
    other = new_bench(in_order())
    queued = other.begin(other.new_session("bob"), "and I", user="bob")

    await have_run(new_bench, sessions["alice"], statement.format(queued=queued.id))

    assert refused == (["42501"] if guarded else [])
    planted = sql.execute(
        "SELECT (SELECT count(*) FROM tasks WHERE user_id = 'bob')"
        " + (SELECT count(*) FROM messages WHERE content = 'planted')"
    ).fetchone()
    assert planted == ((1,) if guarded else (2,))


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE tasks",
        "CREATE TABLE own (id int)",
        "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY",
        "TRUNCATE tasks",
        "DROP POLICY parley_everyone ON tasks",
        "CREATE ROLE mine",
        "SET ROLE parley_app_service",
        "SET SESSION AUTHORIZATION parley_app_service",
        "DELETE FROM messages",
        "UPDATE messages SET content = ''",
        "DELETE FROM turns",
        "SELECT administrator FROM audit_records",
        "DELETE FROM alembic_version",
    ],
)
async def test_a_tool_is_refused_what_is_not_for_it(
    sessions: dict[str, UUID], new_bench: NewBench, sql: psycopg.Connection, statement: str
) -> None:
    before = _tables(sql)

    await have_run(new_bench, sessions["alice"], statement)

    assert refused == ["42501"]
    assert _tables(sql) == before
    assert sql.execute("SELECT count(*) FROM tasks").fetchone() == (2,)


@pytest.mark.parametrize("statement", ["DROP TABLE tasks CASCADE", "DELETE FROM messages"])
def test_it_is_the_role_that_is_refused(
    sessions: dict[str, UUID], database_url: str, statement: str
) -> None:
    owner = Database(lambda: owner_url(database_url), statement_timeout=10, as_owner=True)

    with owner.transaction(OfUser("alice")) as connection:
        connection.execute(text(statement))

    owner.close()


def test_without_a_scope_nothing_is_seen(
    sessions: dict[str, UUID], database_url: str, guarded: bool
) -> None:
    with psycopg.connect(database_url.replace("+psycopg", "")) as unscoped:
        seen = [unscoped.execute(statement).rowcount for statement in EVERYTHING.values()]

    assert (set(seen) == {0}) is guarded


def test_a_sessions_scope_is_that_of_its_user(
    sessions: dict[str, UUID], database: Database
) -> None:
    statement = text(EVERYTHING["tasks"])

    seen = [database.run(OfSession(sessions[user]), statement) for user in ("alice", "bob")]
    nobodys = database.run(OfSession(UUID(int=0)), statement)

    assert seen == [[("alice",)], [("bob",)]]
    assert nobodys == []


def test_the_services_scope_is_all_rows_under_another_login(
    sessions: dict[str, UUID], database: Database
) -> None:
    seen = database.run(SERVICE, text("SELECT user_id, current_user FROM tasks ORDER BY 1"))

    login = "parley_app_service"
    assert [tuple(row) for row in seen] == [("alice", login), ("bob", login)]


def test_a_scope_goes_with_its_transaction(sessions: dict[str, UUID], database: Database) -> None:
    asked = text("SELECT current_setting('parley.user'), count(*) FROM tasks")
    for user, rows in (("alice", 1), ("nobody", 0), ("bob", 1)):
        with database.transaction(OfUser(user)) as connection:
            assert connection.execute(asked).all() == [(user, rows)]
            # A tool that ends its transaction begins another in the same scope.
            connection.exec_driver_sql("ROLLBACK")
            assert connection.execute(asked).all() == [(user, rows)]


async def test_a_turn_never_uses_the_services_login(
    sessions: dict[str, UUID], new_bench: NewBench, database: Database
) -> None:
    bench = new_bench(in_order(say("again")))
    await bench.send(sessions["alice"], "hello", user="alice")
    bench.turns.claim_head(sessions["alice"])

    assert "_service" not in database.__dict__


@pytest.mark.parametrize("user", ["a'b", "a\\b", "%s", "ü", "a_conv_b"])
def test_a_users_id_may_be_any_text(database: Database, user: str) -> None:
    with database.transaction(OfUser(user)) as connection:
        connection.execute(
            text("INSERT INTO tasks (id, user_id, title) VALUES (gen_random_uuid(), :user, 't')"),
            {"user": user},
        )

    seen = database.run(OfUser(user), text("SELECT user_id FROM tasks"))

    assert seen == [(user,)]


def test_a_conversation_is_no_other_users_whose_id_begins_alike(database: Database) -> None:
    session_id = "01a224c9-1827-7705-8036-0bca9ffbc3d9"
    with database.transaction(OfUser("a_conv_b")) as connection:
        connection.execute(
            text("INSERT INTO memory_deletions VALUES (:conversation, now())"),
            {"conversation": f"user_a_conv_b_conv_{session_id}"},
        )

    asked = text("SELECT conversation FROM memory_deletions")

    assert database.run(OfUser("a"), asked) == []
    assert len(database.run(OfUser("a_conv_b"), asked)) == 1


def _tables(sql: psycopg.Connection) -> list[Any]:
    return sql.execute(
        "SELECT relname, relrowsecurity, relacl::text FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
    ).fetchall()
