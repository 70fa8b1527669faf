"""How many tasks one user may have: by the route, by the agent, and by both at once."""

from __future__ import annotations

from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from parley import Effect
from parley.errors import LimitReached, StoreUnavailable
from parley.http import Fingerprint
from parley.http.user_database import UserDatabase
from parley.ids import new_id
from parley.repository import connection as connections
from parley.repository.database import Database
from parley.repository.scope import OfUser
from parley_testing.api.handlers import Answer, Api
from parley_testing.api.problems import problem
from parley_testing.postgres.databases import without_idle_limit
from parley_testing.scenarios.at_once import at_once
from parley_testing.waiting import HANG_SECONDS
from tasks_desk import tasks

MOST = 5


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "TASKS_MAX", MOST)


@pytest.fixture
def full(api: Api) -> list[str]:
    """The ids of as many tasks as one may have."""
    keys = ({"Idempotency-Key": f"key-{number}"} for number in range(MOST))
    return [api("POST", "/tasks", {"title": "t"}, headers=key).json["id"] for key in keys]


def count(sql: psycopg.Connection) -> int:
    return sql.execute("SELECT FROM tasks").rowcount


def test_whoever_has_all_is_told_which_limit_it_is(
    api: Api, full: list[str], sql: psycopg.Connection
) -> None:
    refused = api("POST", "/tasks", {"title": "one more"}, headers={"Idempotency-Key": "new"})

    said = problem(refused, 409, "limit_reached")
    assert (said["limit"], said["detail"]) == (
        "max_tasks",
        "The limit max_tasks is 5, and is reached.",
    )
    assert count(sql) == MOST
    assert api("POST", "/tasks", {"title": "t"}, user="bob").status == 201


def test_a_key_finds_what_it_made_all_the_same(api: Api, full: list[str]) -> None:
    again = api("POST", "/tasks", {"title": "t"}, headers={"Idempotency-Key": "key-0"})

    assert (again.status, again.json["id"]) == (200, full[0])


def test_deleting_makes_room(api: Api, full: list[str]) -> None:
    api("DELETE", f"/tasks/{full[0]}")

    assert api("POST", "/tasks", {"title": "t"}).status == 201
    problem(api("POST", "/tasks", {"title": "t"}), 409, "limit_reached")
    buried = {"Idempotency-Key": "key-0"}
    problem(api("POST", "/tasks", {"title": "t"}, headers=buried), 404, "not_found")


def test_keys_of_deleted_tasks_are_bounded(
    api: Api, sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a loop that makes tasks with keys and deletes them, then it is told when to go on."""
    monkeypatch.setattr(tasks, "DELETED_KEYS_MAX", 2)

    def make(key: str) -> Answer:
        return api("POST", "/tasks", {"title": "t"}, headers={"Idempotency-Key": key})

    for key in ("one", "two"):
        api("DELETE", f"/tasks/{make(key).json['id']}")

    refused = make("three")

    assert problem(refused, 429, "limit_reached")["limit"] == "max_deleted_task_keys"
    assert 0 < int(refused.headers["retry-after"]) <= tasks.KEY_KEPT_HOURS * 3600
    assert sql.execute("SELECT FROM deleted_task_keys").rowcount == 2
    problem(make("one"), 404, "not_found")  # it is kept all the same
    assert api("POST", "/tasks", {"title": "t"}).status == 201, "without a key none is to be kept"
    sql.execute("UPDATE deleted_task_keys SET expires_at = now() WHERE idempotency_key = 'one'")
    assert make("three").status == 201


def test_the_agent_is_told_so_too(api: Api, full: list[str], sql: psycopg.Connection) -> None:
    sent = api("POST", "/messages", {"text": "add one more"})

    assert "The limit max_tasks is 5, and is reached." in sent.json["reply"]["content"]
    assert count(sql) == MOST


def test_what_the_agent_adds_counts_for_the_route(api: Api) -> None:
    for number in range(MOST):
        api("POST", "/messages", {"text": f"add number {number}", "session_name": "s"})

    problem(api("POST", "/tasks", {"title": "one more"}), 409, "limit_reached")


def test_routes_and_tools_at_once_add_no_more_than_may_be(
    database_url: str, sql: psycopg.Connection
) -> None:
    def by_route(database: Database) -> UUID:
        made, _ = UserDatabase(database, "alice").repeat(
            lambda connection: tasks.create(
                connection, new_id(), "alice", title="t", notes=None, due_at=None,
                idempotency_key=None, fingerprint=Fingerprint(b""),
            ),
            alone=True,
        )  # fmt: skip
        return made.id

    def by_tool(database: Database) -> UUID:
        with database.transaction(OfUser("alice")) as connection:
            effect = Effect(connection, "alice", new_id(), new_id(), "call")
            effect.alone()
            return tasks.add(effect.db, effect.user_id, "t").id

    def add(database: Database, number: int) -> UUID | None:
        try:
            return (by_route if number % 2 else by_tool)(database)
        except LimitReached:
            return None

    made = [added for added in at_once(database_url, 20, add) if added is not None]

    assert len(made) == count(sql) == MOST


@pytest.mark.parametrize("late", [False, True], ids=["from the start", "later"])
def test_each_user_waits_for_the_user_s_own_only(
    database_url: str, database: Database, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_ANSWER_SECONDS", HANG_SECONDS)
    impatient, patient = (
        Database(lambda: without_idle_limit(database_url), statement_timeout=seconds, pool_size=1)
        for seconds in (0.2, HANG_SECONDS)
    )
    try:
        with database.transaction(OfUser("alice")) as connection:
            if late:
                connection.execute(text("SELECT 1"))
            Effect(connection, "alice", new_id(), new_id(), "call").alone()
            connection.execute(text("SELECT 1"))

            UserDatabase(patient, "bob").run(text("SELECT 1"), alone=True)
            with pytest.raises(StoreUnavailable, match="57014"):
                impatient.run_once(OfUser("alice", rows_alone=True), text("SELECT 1"))
            # No turn of hers begins later for it.
            patient.run_once(OfUser("alice", alone=True), text("SELECT 1"))
        UserDatabase(patient, "alice").run(text("SELECT 1"), alone=True)
    finally:
        impatient.close()
        patient.close()
