"""Each use of administration leaves a record, before anything is done and whatever the log says."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import psycopg
import pytest

from parley.cleanup.retention import CleanupRequest
from parley.composition import Composition
from parley.config import load_settings
from parley.errors import StoreUnavailable
from parley.observability import logger
from parley.repository.audit import AuditRepository
from parley_testing.api.handlers import Api
from parley_testing.api.problems import problem
from parley_testing.stores.aged import Aged

USES: list[tuple[str, str, Any, str | None]] = [
    ("GET", "/admin/sessions", None, None),
    ("GET", "/admin/stats", None, None),
    ("GET", "/admin/sessions/{session}/messages", None, "{session}"),
    ("PATCH", "/admin/sessions/{session}", {"status": "active"}, "{session}"),
    ("POST", "/admin/cleanup", {"dry_run": True}, None),
    ("GET", "/admin/users/al%2Fice/export", None, "al/ice"),
    ("DELETE", "/admin/users/alice", None, "alice"),
    ("PUT", "/admin/users/al%2Fice/budget", {"tokens_per_day": 5}, "al/ice"),
]


def records(sql: psycopg.Connection) -> list[dict[str, Any]]:
    rows = sql.execute("SELECT to_jsonb(r) FROM audit_records r ORDER BY begun_at, id").fetchall()
    return [row[0] for row in rows]


@pytest.mark.parametrize(("method", "path", "body", "whom"), USES)
def test_each_use_says_who_did_what_to_whom_when_and_what_came_of_it(
    admin: Any,
    aged: Aged,
    sql: psycopg.Connection,
    log_lines: StringIO,
    method: str,
    path: str,
    body: Any,
    whom: str | None,
) -> None:
    logger().setLevel("WARNING")
    session = str(aged.session(days=1))
    target = path.format(session=session)

    answer = admin(method, target, body)

    assert answer.status == 200, answer
    (record,) = records(sql)
    assert record["administrator"] == "root"
    assert record["action"] == f"{method} {target}"
    assert record["whom"] == (whom and whom.format(session=session))
    assert (record["outcome"], record["status"]) == ("done", 200)
    assert record["begun_at"] <= record["ended_at"]
    lines = [json.loads(line) for line in log_lines.getvalue().splitlines()]
    assert [line["message"] for line in lines] == ["administration", "administration ended"]
    assert {line["request_id"] for line in lines} == {record["request_id"]}
    assert lines[1]["outcome"] == "done"


def test_whose_session_it_was_is_recorded_too(
    admin: Any, aged: Aged, sql: psycopg.Connection
) -> None:
    admin("GET", f"/admin/sessions/{aged.session(days=1)}/messages")

    (record,) = records(sql)
    assert record["details"]["user_id"] == "alice"


def test_what_is_refused_and_what_fails_are_told_apart(
    api: Api, admin: Any, sql: psycopg.Connection
) -> None:
    api("DELETE", "/admin/users/alice", user="mallory", scopes="parley")
    admin("PATCH", "/admin/sessions/018f0000-0000-7000-8000-000000000001", {"status": "ended"})

    refused, failed = records(sql)

    assert (refused["administrator"], refused["outcome"]) == ("mallory", "refused")
    assert (failed["outcome"], failed["status"]) == ("failed", 404)


def test_what_cannot_be_recorded_is_not_done(
    admin: Any, aged: Aged, environment: pytest.MonkeyPatch
) -> None:
    aged.session(days=1)
    before = aged.rows(), aged.memory()

    def down(*_: object, **__: object) -> None:
        raise StoreUnavailable("postgres", "no connection")

    environment.setattr(AuditRepository, "begin", down)

    problem(admin("DELETE", "/admin/users/alice"), 503, "store_unavailable")

    assert (aged.rows(), aged.memory()) == before


def test_what_was_done_is_answered_though_its_end_cannot_be_recorded(
    admin: Any, aged: Aged, sql: psycopg.Connection, environment: pytest.MonkeyPatch
) -> None:
    aged.session(days=1)

    def down(*_: object, **__: object) -> None:
        raise StoreUnavailable("postgres", "no connection")

    environment.setattr(AuditRepository, "end", down)

    assert admin("DELETE", "/admin/users/alice").json["sessions"] == 1

    (record,) = records(sql)
    assert (record["outcome"], record["ended_at"]) == ("begun", None)


def test_erasing_a_user_leaves_the_record_of_it(admin: Any, sql: psycopg.Connection) -> None:
    admin.erase("alice")

    assert [record["whom"] for record in records(sql)] == ["alice"]


def test_records_go_after_the_settings_time_and_no_administrator_shortens_it(
    admin: Any, sql: psycopg.Connection, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("AUDIT_RETENTION_DAYS", "30")
    for age in (29, 31):
        sql.execute(
            "INSERT INTO audit_records (id, begun_at, administrator, action, outcome, request_id)"
            " VALUES (gen_random_uuid(), %s, 'root', %s, 'done', '')",
            (datetime.now(UTC) - timedelta(days=age), str(age)),
        )

    admin("POST", "/admin/cleanup", {"older_than_seconds": 0})
    assert {"29", "31"} - {record["action"] for record in records(sql)} == {"31"}
    sql.execute("UPDATE audit_records SET begun_at = now() - interval '29 days'")
    parts = Composition(load_settings("database", "memory"))
    parts.cleaner.clean(CleanupRequest(), left=lambda: 60.0)
    parts.database.close()

    assert "29" in {record["action"] for record in records(sql)}
