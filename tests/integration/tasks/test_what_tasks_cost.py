"""What the task routes ask of Postgres: one statement each, and nobody else's tasks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from parley.repository.database import Database
from parley.repository.scope import OfUser
from parley_testing.api.handlers import Api
from parley_testing.postgres.postgres_wire import PostgresWire
from tasks_desk.task_list import TaskFilter, list_tasks


@pytest.fixture
def wired(wire: PostgresWire, environment: pytest.MonkeyPatch) -> Iterator[Api]:
    """The deployment, which talks to Postgres over the wire."""
    environment.setenv("DATABASE_RUNTIME_URL", wire.url)
    api = Api()
    api("GET", "/tasks")  # it is warm
    yield api
    api.close()


def test_every_route_takes_one_round_trip(wired: Api, wire: PostgresWire) -> None:
    key = {"Idempotency-Key": "k"}
    made = wired("POST", "/tasks", {"title": "t"}, headers=key)
    path = made.headers["location"]
    requests: list[tuple[str, str, Any, dict[str, Any]]] = [
        ("POST", "/tasks", {"title": "t"}, {}),
        ("POST", "/tasks", {"title": "t"}, {"headers": {"Idempotency-Key": "new"}}),
        ("POST", "/tasks", {"title": "t"}, {"headers": key}),
        ("GET", "/tasks", None, {"query": {"text": "t", "completed": "false"}}),
        ("GET", path, None, {}),
        ("PATCH", path, {"title": "u", "completed": True}, {}),
        ("PATCH", path, {}, {}),
        ("DELETE", path, None, {}),
        ("POST", "/tasks", {"title": "t"}, {"headers": key}),
    ]

    for method, target, body, parts in requests:
        wire.reset()
        answer = wired(method, target, body, **parts)

        assert answer.status in (200, 201, 204, 404), answer
        assert wire.round_trips == 1, (method, target, wire.statements)


def test_a_search_reads_the_users_tasks_by_index_and_in_order(
    database: Database, sql: psycopg.Connection
) -> None:
    sql.execute(
        "INSERT INTO tasks (id, user_id, title) SELECT gen_random_uuid(), 'user-' || n % 200,"
        " 'task ' || n FROM generate_series(1, 20000) n"
    )
    sql.execute("ANALYZE tasks")
    asked: list[tuple[str, dict[str, object]]] = []
    matching = TaskFilter(completed=False, containing="7")
    with database.transaction(OfUser("user-7")) as connection:
        event.listen(
            connection, "before_cursor_execute",
            lambda _, __, statement, parameters, *___: asked.append((statement, parameters)),
        )  # fmt: skip
        page = list_tasks(connection, "user-7", matching, limit=20)
        list_tasks(connection, "user-7", matching, limit=20, cursor=page.next_cursor)

    assert len(asked) == 2
    for statement, parameters in asked:
        lines = [row[0] for row in sql.execute(f"EXPLAIN {statement}", parameters)]
        plan = "\n".join(lines)
        assert "Index Scan using ix_tasks_user" in plan, plan
        assert "user_id = 'user-7'" in plan
        assert "Seq Scan" not in plan
        assert "Sort" not in plan
