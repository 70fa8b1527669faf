"""The sample events, run through their handlers as they are."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley.repository.sessions import SessionRepository
from parley.repository.turns import TurnRepository, Usage
from parley_testing.api.handlers import FUNCTIONS, Answer, Api, Context
from parley_testing.api.operations import operations
from parley_testing.stores.asking import ask_as_events_do
from parley_testing.stores.talk import request

EVENTS = FUNCTIONS.parent / "events"
SESSION = UUID("01939d5c-2c00-7000-8000-000000000001")
TURN = UUID("01939d5c-2c00-7000-8000-000000000002")
TASK = UUID("01939d5c-2c00-7000-8000-000000000003")
# What each answers where what it is about is there, and where it is not.
STATUSES = {
    "messages/send-first-message": (201, 201),
    "messages/send-message": (201, 404),
    "sessions/cancel-turn": (200, 404),
    "sessions/change-session": (200, 404),
    "sessions/change-session-status": (200, 404),
    "sessions/change-task": (200, 404),
    "sessions/chat": (200, 200),
    "sessions/console": (200, 200),
    "sessions/check-health": (200, 200),
    "sessions/clean-up": (200, 200),
    "sessions/clear-memory": (204, 404),
    "sessions/count-memory": (200, 404),
    "sessions/create-session": (201, 201),
    "sessions/create-task": (201, 201),
    "sessions/decide-any-approval": (200, 404),
    "sessions/decide-approval": (200, 404),
    "sessions/delete-session": (204, 404),
    "sessions/delete-task": (204, 404),
    "sessions/docs": (200, 200),
    "sessions/erase-user": (200, 200),
    "sessions/export-user": (200, 200),
    "sessions/list-agents": (200, 200),
    "sessions/list-all-approvals": (200, 200),
    "sessions/list-all-sessions": (200, 200),
    "sessions/list-all-turns": (200, 200),
    "sessions/list-approvals": (200, 200),
    "sessions/list-sessions": (200, 200),
    "sessions/list-tasks": (200, 200),
    "sessions/list-turns": (200, 404),
    "sessions/open-api": (200, 200),
    "sessions/prune-memory": (200, 404),
    "sessions/read-any-approval": (200, 404),
    "sessions/read-any-events": (200, 404),
    "sessions/read-any-session": (200, 404),
    "sessions/read-any-tool-calls": (200, 404),
    "sessions/read-any-transcript": (200, 404),
    "sessions/read-any-turn": (200, 404),
    "sessions/read-any-turn-memory": (200, 404),
    "sessions/read-approval": (200, 404),
    "sessions/read-session": (200, 404),
    "sessions/read-deployment-budget": (200, 200),
    "sessions/read-statistics": (200, 200),
    "sessions/read-task": (200, 404),
    "sessions/read-transcript": (200, 404),
    "sessions/read-turn": (200, 404),
    "sessions/read-turn-series": (200, 200),
    "sessions/read-all-usage": (200, 200),
    "sessions/read-usage": (200, 200),
    "sessions/read-user-budget": (200, 200),
    "sessions/remove-user-budget": (200, 200),
    "sessions/rename-user": (200, 200),
    "sessions/set-user-budget": (200, 200),
    "sessions/web-file": (200, 200),
    "stream/follow-turn": (200, 404),
    "stream/resume-chat": (204, 204),
    "stream/run-agent": (200, 200),
    "stream/send-to-chat": (200, 200),
    "stream/stream-first-message": (200, 200),
    "stream/stream-message": (200, 404),
}


def read(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


def run(api: Api, name: str) -> Answer:
    event = read(name)
    return Answer(api.handler(event["httpMethod"], event["path"])(event, Context()))


def prepare(sessions: SessionRepository, turns: TurnRepository, sql: psycopg.Connection) -> None:
    """Make the session, the turn and the task that the events are about, as their README says."""
    sessions.create(
        SESSION,
        "alice",
        agent="todo",
        name=None,
        platform="api",
        metadata={},
        idempotency_key=None,
        fingerprint=b"",
    )
    turn = turns.begin(request("alice", str(SESSION), turn_id=TURN)).turn
    assert turn is not None
    turns.complete(turn, "hello", Usage(), None)
    ask_as_events_do(sessions._database, sql)
    sql.execute("INSERT INTO tasks (id, user_id, title) VALUES (%s, 'alice', 'buy milk')", [TASK])


def test_every_event_of_the_api_has_its_place_here() -> None:
    there = {
        f"{path.parent.name}/{path.stem}"
        for folder in ("sessions", "messages", "stream")
        for path in (EVENTS / folder).glob("*.json")
    }

    assert there == STATUSES.keys()


def test_every_operation_has_an_event() -> None:
    events = [read(name) for name in STATUSES]
    asked = [(event["httpMethod"], event["path"]) for event in events]

    for operation in operations():
        rule = re.sub(r"\{\w+\}", "[^/]+", operation.path)
        assert any(
            method == operation.method and re.fullmatch(rule, path) for method, path in asked
        ), operation


@pytest.mark.parametrize("name", STATUSES)
def test_an_event_is_answered(
    api: Api,
    sessions: SessionRepository,
    turns: TurnRepository,
    sql: psycopg.Connection,
    name: str,
) -> None:
    with_it, without = STATUSES[name]
    if without == 404:
        assert run(api, name).status == 404
    prepare(sessions, turns, sql)

    answer = run(api, name)

    assert answer.status == with_it, answer


@pytest.mark.parametrize(
    "name",
    ["sessions/create-session", "sessions/create-task", "messages/send-first-message"],
)
def test_an_event_with_a_key_gives_the_same_again(api: Api, name: str) -> None:
    assert run(api, name).json == run(api, name).json
