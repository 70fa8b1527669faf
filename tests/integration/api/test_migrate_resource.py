"""The migrate function as CloudFormation calls it: it always answers, and never raises."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import psycopg
import pytest

from parley_testing.api.handlers import FUNCTIONS, Context, load_function
from parley_testing.loopback import Handler, LoopbackServer
from parley_testing.postgres.databases import runtime_url
from parley_testing.waiting import HANG_SECONDS

EVENTS = FUNCTIONS.parent / "events" / "migrate"
Call = Callable[..., dict[str, Any]]


class Answers(LoopbackServer):
    """Where CloudFormation waits for answers."""

    def __init__(self) -> None:
        taken: list[tuple[str, str | None, dict[str, Any]]] = []

        class Taking(Handler):
            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                taken.append((self.path, self.headers["Content-Type"], json.loads(body)))
                self.answer(b"")

        super().__init__(Taking, finishes=True)
        self.taken = taken
        self.url += "/answer?signature=a%2Fb"


@pytest.fixture
def answers() -> Iterator[Answers]:
    with Answers() as server:
        yield server


@pytest.fixture
def call(environment: pytest.MonkeyPatch, answers: Answers, empty_database_url: str) -> Call:
    """Sends one of the sample events and gives the answer that CloudFormation gets."""
    environment.setenv("DATABASE_URL", empty_database_url)
    environment.setenv("DATABASE_RUNTIME_URL", runtime_url(empty_database_url))

    def send(name: str, seconds: float = 60) -> dict[str, Any]:
        event = json.loads((EVENTS / f"{name}.json").read_text()) | {"ResponseURL": answers.url}
        load_function("migrate").handler(event, Context(seconds))
        ((path, content_type, body),) = answers.taken
        answers.taken.clear()
        assert path == "/answer?signature=a%2Fb"
        assert not content_type  # the signature of the address is over an empty one
        for name_ in ("StackId", "RequestId", "LogicalResourceId"):
            assert body[name_] == event[name_]
        assert body["PhysicalResourceId"] == "parley-schema"
        return body

    return send


def schema() -> ModuleType:
    """The module beside the handler."""
    load_function("migrate")
    return import_module("schema")


def tables(sql: psycopg.Connection) -> int:
    return sql.execute("SELECT FROM pg_tables WHERE schemaname = 'public'").rowcount


def test_there_is_an_event_of_each_kind() -> None:
    kinds = {json.loads(path.read_text())["RequestType"] for path in EVENTS.glob("*.json")}

    assert kinds == {"Create", "Update", "Delete"}


def test_create_migrates(call: Call, empty: psycopg.Connection) -> None:
    answer = call("create")

    assert (answer["Status"], answer["Data"]) == ("SUCCESS", {"revision": "0027"})
    assert tables(empty) > 5


def test_update_migrates_again(call: Call, empty: psycopg.Connection) -> None:
    call("create")

    answer = call("update")

    assert (answer["Status"], answer["Data"]) == ("SUCCESS", {"revision": "0027"})


def test_delete_touches_nothing(
    call: Call, empty: psycopg.Connection, environment: pytest.MonkeyPatch
) -> None:
    call("create")
    before = tables(empty)

    assert call("delete")["Status"] == "SUCCESS"
    assert tables(empty) == before

    environment.delenv("DATABASE_URL")
    assert call("delete")["Status"] == "SUCCESS"


def test_a_database_that_is_down_is_a_failure_with_a_reason(
    call: Call, environment: pytest.MonkeyPatch
) -> None:
    environment.setattr(schema(), "WAKING_SECONDS", 0)
    environment.setenv("DATABASE_URL", "postgresql://parley:correct-horse@127.0.0.1:1/parley")

    answer = call("create")

    assert answer["Status"] == "FAILED"
    assert "Nothing listens at the host's port" in answer["Reason"]
    assert Context.log_group_name in answer["Reason"]
    assert "correct-horse" not in answer["Reason"]


@pytest.mark.parametrize("written", ["@host:correct-horse/x", ":a@correct-horse@host/x"])
def test_a_url_that_cannot_be_read_is_told_of_and_not_told(
    call: Call, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], written: str
) -> None:
    environment.setenv("DATABASE_URL", f"postgresql://parley{written}")

    answer = call("create")

    assert answer["Status"] == "FAILED"
    assert "the database's URL" in answer["Reason"]
    assert "correct-horse" not in answer["Reason"] + capsys.readouterr().out


def test_a_missing_setting_is_a_failure_that_names_it(
    call: Call, environment: pytest.MonkeyPatch
) -> None:
    environment.delenv("DATABASE_URL")

    answer = call("create")

    assert answer["Status"] == "FAILED"
    assert "DATABASE_URL" in answer["Reason"]


def test_a_migration_that_fails_is_a_failure_and_leaves_nothing(
    call: Call, empty: psycopg.Connection
) -> None:
    empty.execute("CREATE TABLE turns ()")  # in the way of the first revision

    answer = call("create")

    assert answer["Status"] == "FAILED"
    assert "turns" in answer["Reason"]
    assert len(answer["Reason"]) <= 1000
    assert tables(empty) == 1


def test_cloudformation_is_answered_before_the_deadline(
    call: Call, empty: psycopg.Connection, environment: pytest.MonkeyPatch
) -> None:
    upgrade, lock = schema().upgrade, schema()._LOCK

    def for_longer(database: Any, seconds: float, **parts: Any) -> Any:
        """Postgres's own limit comes a moment after the answer, and on a busy machine before it."""
        return upgrade(database, HANG_SECONDS, **parts)

    environment.setattr(schema(), "upgrade", for_longer)
    before = set(threading.enumerate())
    with empty.transaction():  # somebody else migrates, and does not end
        empty.execute("SELECT pg_advisory_xact_lock(%s)", [lock])
        answer = call("create", seconds=10.5)
    for thread in set(threading.enumerate()) - before:
        thread.join(HANG_SECONDS)  # it goes on only because this process does

    assert answer["Status"] == "FAILED"
    assert "in time" in answer["Reason"]


def test_a_rollback_to_older_code_leaves_the_newer_schema(
    call: Call, empty: psycopg.Connection
) -> None:
    call("create")
    empty.execute("UPDATE alembic_version SET version_num = '9999'")  # newer code had migrated
    before = tables(empty)

    answer = call("update")

    assert (answer["Status"], answer["Data"]) == ("SUCCESS", {"revision": "9999"})
    assert tables(empty) == before


def test_code_that_cannot_be_imported_is_a_failure_that_names_it(
    call: Call, environment: pytest.MonkeyPatch
) -> None:
    environment.setitem(sys.modules, "alembic", None)  # as where it was left out of the package
    environment.delitem(sys.modules, "schema", raising=False)

    answer = call("create")

    assert answer["Status"] == "FAILED"
    assert "alembic" in answer["Reason"]
