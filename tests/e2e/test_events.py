"""Every sample event, run as it is, through its packaged function."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley.repository.database import Database
from parley.repository.sessions import SessionRepository
from parley.repository.turns import TurnRepository
from parley_local.issuer import issue_token
from parley_testing.account.moto import Account
from parley_testing.api.pages import Pages
from parley_testing.models.server import ModelServer, Said
from parley_testing.packaged.deployment import Deployment
from parley_testing.postgres.databases import connect
from parley_testing.stores.asking import ask_as_events_do
from parley_testing.stores.talk import begin, request, say

EVENTS = Path(__file__).parents[2] / "events"
# What events/README.md says of the ids.
SESSION = UUID("01939d5c-2c00-7000-8000-000000000001")
TURN = UUID("01939d5c-2c00-7000-8000-000000000002")
TASK = UUID("01939d5c-2c00-7000-8000-000000000003")
STATUSES = {
    "sessions/create-session": 201,
    "sessions/delete-session": 204,
    "sessions/create-task": 201,
    "sessions/delete-task": 204,
    "sessions/clear-memory": 204,
    "messages/send-message": 201,
    "messages/send-first-message": 201,
}
"""What an API event is answered, where it is not 200."""
OF_API = sorted(
    str(path.relative_to(EVENTS).with_suffix(""))
    for function in ("sessions", "messages")
    for path in (EVENTS / function).glob("*.json")
)

OF_FRONT_ENDS = {
    "stream/run-agent": (200, "RUN_STARTED", "RUN_FINISHED"),
    "stream/send-to-chat": (200, '"start"', "[DONE]"),
    "stream/resume-chat": (204, "", ""),
}
"""What an event of a front end is answered, and what stands in its first and its last frame."""
OF_STREAM = sorted(
    {f"stream/{path.stem}" for path in (EVENTS / "stream").glob("*.json")} - OF_FRONT_ENDS.keys()
)
MESSAGES = "/sessions/{session_id}/messages"


def read_event(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return found


@pytest.fixture
def alices(deployment: Deployment, model: ModelServer, database_url: str) -> Deployment:
    """The stack in which nothing is but what the events name.

    That is Alice's session with one completed turn, her task, and a turn of hers that waits.
    """
    model.script = lambda asked: Said("You have nothing to do.")
    database = Database(lambda: database_url, statement_timeout=10)
    SessionRepository(database).create(
        SESSION,
        "alice",
        agent="todo",
        name=None,
        platform="api",
        metadata={},
        idempotency_key=None,
        fingerprint=b"",
    )
    say(TurnRepository(database, window=100), request("alice", str(SESSION), turn_id=TURN))
    with connect(database_url) as sql:
        ask_as_events_do(database, sql)
        sql.execute(
            "INSERT INTO tasks (id, user_id, title) VALUES (%s, 'alice', 'buy milk')", [TASK]
        )
    database.close()
    return deployment


@pytest.mark.parametrize("name", OF_API)
def test_an_event_of_the_api_is_served(name: str, alices: Deployment) -> None:
    function = name.split("/")[0].capitalize()

    answer = alices[function].invoke(read_event(name)).answer

    assert answer.status == STATUSES.get(name, 200), answer


@pytest.mark.parametrize("name", OF_STREAM)
def test_an_event_of_a_stream_is_served(name: str, alices: Deployment) -> None:
    with alices.stream.forward(read_event(name)) as answer:
        kinds = [frame.event for frame in answer]

    assert (answer.status, kinds[0], kinds[-1]) == (200, "turn.started", "turn.completed")


@pytest.mark.parametrize("name", OF_FRONT_ENDS)
def test_an_event_of_a_front_end_is_served(name: str, alices: Deployment) -> None:
    status, begins, ends = OF_FRONT_ENDS[name]

    with alices.stream.forward(read_event(name)) as answer:
        frames = [frame.data for frame in answer] or [""]

    assert answer.status == status, frames
    assert begins in frames[0]
    assert ends in frames[-1]


def test_the_queue_has_a_turn_carried_out_that_waits(
    deployment: Deployment,
    model: ModelServer,
    account: Account,
    wakeups: str,
    sql: psycopg.Connection,
) -> None:
    model.script = lambda asked: Said("You have nothing to do.")
    session = deployment.send("POST", "/sessions", {}).json["id"]
    queued = deployment.send(
        "POST", MESSAGES, {"text": "hello"}, session=session, headers={"Prefer": "respond-async"}
    )
    assert queued.status == 202, queued
    (message,) = [each for each in account.messages(wakeups) if each["Body"] == session]
    event = read_event("worker/wakeup")
    event["Records"][0] |= {
        "body": message["Body"],
        "md5OfBody": message["MD5OfBody"],
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
    }

    reply = deployment["Worker"].invoke(event)

    assert reply.json is None, reply
    assert sql.execute("SELECT status, attempt FROM turns").fetchall() == [("completed", 1)]


def test_a_wakeup_where_nothing_waits_is_answered(deployment: Deployment) -> None:
    reply = deployment["Worker"].invoke(read_event("worker/wakeup"))

    assert reply.json is None, reply


@pytest.mark.parametrize("kind", ["create", "update", "delete"])
def test_the_migration_tells_cloudformation(
    kind: str, deployment: Deployment, pages: Pages, sql: psycopg.Connection
) -> None:
    event = read_event(f"migrate/{kind}") | {"ResponseURL": f"{pages.url}/answer"}

    reply = deployment["Migrate"].invoke(event)

    assert "errorType" not in reply.json, reply
    (said,) = pages.sent
    assert (said["Status"], said["PhysicalResourceId"]) == ("SUCCESS", "parley-schema")
    assert sql.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_the_schedule_has_a_worker_told_of_a_turn_that_was_left(
    deployment: Deployment,
    account: Account,
    wakeups: str,
    database_url: str,
    sql: psycopg.Connection,
) -> None:
    session = deployment.send("POST", "/sessions", {}).json["id"]
    database = Database(lambda: database_url, statement_timeout=10)
    begin(TurnRepository(database, window=100), request("alice", session))
    database.close()
    sql.execute("UPDATE turns SET lease_expires_at = now() - interval '1 second'")

    report = deployment["Cleanup"].invoke(read_event("cleanup/recover")).json

    assert report == {
        "sessions": {"waiting": 1, "woken": 1, "left": 0},
        "escalations": 0,
        "approvals": 0,
        "conversations": 0,
        "cleanup": None,
        "done": True,
    }
    assert [each["Body"] for each in account.messages(wakeups)] == [session]
    assert sql.execute("SELECT status, attempt FROM turns").fetchall() == [("running", 1)]


def test_the_schedule_has_removed_what_is_past_its_time(
    deployment: Deployment, sql: psycopg.Connection
) -> None:
    for name in ("old", "new"):
        deployment.send("POST", "/sessions", {"name": name})
    sql.execute(
        "UPDATE sessions SET last_activity_at = now() - interval '2 days' WHERE name = 'old'"
    )

    report = deployment["Cleanup"].invoke(read_event("cleanup/clean")).json

    assert report["done"], report
    assert report["kinds"]["empty_sessions"]["found"] == 1
    assert sql.execute("SELECT name FROM sessions").fetchall() == [("new",)]


def test_the_authorizer_names_the_user_of_a_token(deployment: Deployment, issuer: Path) -> None:
    token = issue_token(issuer, "alice")
    event = read_event("authorizer/token") | {"authorizationToken": f"Bearer {token}"}

    policy = deployment["Authorizer"].invoke(event).json

    assert policy["principalId"] == "alice"
    (statement,) = policy["policyDocument"]["Statement"]
    assert statement["Effect"] == "Allow"


def test_the_authorizer_refuses_with_the_word_that_api_gateway_knows(
    deployment: Deployment,
) -> None:
    reply = deployment["Authorizer"].invoke(read_event("authorizer/token"))

    assert reply.status == 200
    assert reply.json["errorMessage"] == "Unauthorized"
