"""What the API answers while Postgres cannot serve, and how it goes on when it can again."""

from __future__ import annotations

import time

import psycopg
import pytest

from parley import retry
from parley_testing.api.handlers import Api
from parley_testing.api.operations import NOTHINGS, operations
from parley_testing.api.problems import problem
from parley_testing.postgres.databases import connect
from parley_testing.waiting import wait_for

pytestmark = pytest.mark.new_connections

TOUCH_NO_STORE = ("checkHealth", "listAgents")
PASSWORD = "correct-horse"


def cut_all_connections(sql: psycopg.Connection) -> int:
    """End every connection to the database but this one, and tell how many there were."""
    return sql.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ).rowcount


def test_every_route_that_needs_postgres_says_that_it_is_down(
    environment: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    environment.setenv("DATABASE_RUNTIME_URL", f"postgresql://parley:{PASSWORD}@127.0.0.1:1/parley")
    environment.setattr(retry, "PAUSES", (0.0, 0.0, 0.0))
    slept: list[float] = []
    environment.setattr(time, "sleep", slept.append)
    api = Api()

    for operation in operations():
        path, scopes = operation.path_of(NOTHINGS), operation.scopes
        answer = api(operation.method, path, operation.body, scopes=scopes)
        if operation.id in TOUCH_NO_STORE:
            assert answer.status == 200, (operation, answer)
        else:
            problem(answer, 503, "store_unavailable")
            assert int(answer.headers["retry-after"]) > 0
            assert PASSWORD not in answer.body
    for path in ("/openapi.json", "/docs"):
        assert api("GET", path, user=None).status == 200
    assert not any(slept)  # it waits for nothing: a try has no pause here
    assert PASSWORD not in caplog.text
    api.close()


def test_a_warm_function_goes_on_when_postgres_comes_back(
    environment: pytest.MonkeyPatch, database_url: str, sql: psycopg.Connection
) -> None:
    api = Api()
    assert api("GET", "/sessions").status == 200
    name = sql.info.dbname
    elsewhere = database_url.replace(f"/{name}?", "/postgres?")
    with connect(elsewhere) as admin:
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        cut_all_connections(sql)
        down = [api("GET", "/sessions"), api("POST", "/sessions", {"name": "n"})]
        admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    up = [api("POST", "/sessions", {"name": "n"}), api("GET", "/sessions")]

    for answer in down:
        problem(answer, 503, "store_unavailable")
    assert [answer.status for answer in up] == [201, 200]
    api.close()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/sessions", None, 200),
        ("GET", "/sessions/{id}", None, 200),
        ("GET", "/sessions/{id}/messages", None, 200),
        ("GET", "/sessions/{id}/turns", None, 200),
        ("GET", "/sessions/{id}/memory", None, 200),
        ("POST", "/sessions", {"name": "other"}, 201),
        ("PATCH", "/sessions/{id}", {"name": "other"}, 200),
        ("DELETE", "/sessions/{id}/memory", None, 204),
        ("POST", "/sessions/{id}/memory/prune", None, 200),
        ("DELETE", "/sessions/{id}", None, 204),
        ("POST", "/sessions/{id}/messages", {"text": "add milk"}, 201),
        ("POST", "/messages", {"text": "add milk"}, 201),
    ],
)
def test_a_connection_that_died_meanwhile_is_not_noticed(
    api: Api,
    sql: psycopg.Connection,
    method: str,
    path: str,
    body: dict[str, str] | None,
    status: int,
) -> None:
    session_id = api.new_session()
    api("POST", f"/sessions/{session_id}/messages", {"text": "help"})  # both functions connected
    assert cut_all_connections(sql) >= 2

    answer = api(method, path.format(id=session_id), body)

    assert answer.status == status, answer


def test_a_message_over_a_dead_connection_is_said_once(api: Api, sql: psycopg.Connection) -> None:
    session_id = api.new_session()
    api("POST", f"/sessions/{session_id}/messages", {"text": "help"})
    cut_all_connections(sql)

    api("POST", f"/sessions/{session_id}/messages", {"text": "add milk"})

    transcript = api("GET", f"/sessions/{session_id}/messages").json["items"]
    said = [message["content"] for message in transcript]
    assert said[:2] == ["[offline model] Added “milk”.", "add milk"]
    assert len(said) == 4
    assert sql.execute("SELECT title FROM tasks").fetchall() == [("milk",)]


def test_a_statement_that_takes_too_long_is_the_stores_failure(
    environment: pytest.MonkeyPatch, sql: psycopg.Connection
) -> None:
    environment.setenv("DATABASE_STATEMENT_TIMEOUT_SECONDS", "0.2")
    api = Api()
    with sql.transaction():
        sql.execute("LOCK TABLE sessions")

        problem(api("GET", "/sessions"), 503, "store_unavailable")

    wait_for(lambda: api("GET", "/sessions").status == 200)
    api.close()


def test_a_defect_is_told_to_nobody_but_the_log(
    api: Api, sql: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    api.new_session()
    sql.execute("ALTER TABLE sessions RENAME COLUMN platform TO secret_of_ours")

    said = problem(api("GET", "/sessions"), 500, "internal_error")

    assert "secret_of_ours" not in str(said)
    assert "platform" not in str(said)
    assert "UndefinedColumn" in str([vars(record) for record in caplog.records])


def test_what_people_say_is_not_in_the_log_of_a_defect(
    api: Api, sql: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    session_id = api.new_session()
    sql.execute("ALTER TABLE messages RENAME TO elsewhere")

    answer = api("POST", f"/sessions/{session_id}/messages", {"text": "my secret diary"})

    assert answer.status == 500
    assert "my secret diary" not in str([vars(record) for record in caplog.records])
    assert caplog.records
