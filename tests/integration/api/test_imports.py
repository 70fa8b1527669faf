"""The functions that run no agent never import the Agents SDK."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import psycopg
import pytest

from parley.repository.turns import TurnRepository
from parley_testing.api.handlers import FUNCTIONS, Api
from parley_testing.own_path import own_path
from parley_testing.stores.talk import begin, request
from parley_testing.waiting import HANG_SECONDS

EVENTS = FUNCTIONS.parent / "events"

# Runs events through a function as a process of its own, and names the SDK if it was imported.
RUN = """
import json, sys
sys.path.insert(0, ".")
from parley_testing.api.handlers import Context
import app
answers = []
for event in sys.argv[1:]:
    try:
        answers.append(app.handler(json.load(open(event)), Context()))
    except Exception as error:
        answers.append({"raised": str(error)})
print(json.dumps([answers, sorted({"agents", "openai", "mcp"} & set(sys.modules))]))
"""


def run(function: str, *events: str) -> tuple[list[dict[str, object]], list[str]]:
    """Return what the handler answered to each, and what of the SDK had been imported by then."""
    process = subprocess.run(
        [sys.executable, "-c", RUN, *(str(EVENTS / event) for event in events)],
        cwd=FUNCTIONS / function,
        env=os.environ | own_path(),
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    answers, imported = json.loads(process.stdout.splitlines()[-1])
    return answers, imported


def test_sessions_does_not_import_it(environment: pytest.MonkeyPatch) -> None:
    events = ("create-session", "list-agents", "delete-session")

    answers, imported = run("sessions", *(f"sessions/{event}.json" for event in events))

    assert [answer["statusCode"] for answer in answers] == [201, 200, 404]
    assert imported == []


def test_cleanup_does_not_import_it_also_if_turns_wait(
    environment: pytest.MonkeyPatch, sql: psycopg.Connection, turns: TurnRepository, api: Api
) -> None:
    begin(turns, request("alice", api.new_session()))
    sql.execute("UPDATE turns SET lease_expires_at = now() - interval '1 second'")

    (answer,), imported = run("cleanup", "cleanup/recover.json")

    assert answer["sessions"] == {"waiting": 1, "woken": 1, "left": 0}
    assert imported == []


def test_migrate_does_not_import_it(environment: pytest.MonkeyPatch, tmp_path: object) -> None:
    (answer,), imported = run("migrate", "migrate/create.json")

    # The event's ResponseURL leads nowhere, so that all is done but the report.
    assert "refused" in str(answer["raised"])
    assert imported == []


def test_authorizer_does_not_import_it(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OIDC_ISSUER", "https://issuer.example")
    environment.setenv("OIDC_AUDIENCE", "parley")

    (answer,), imported = run("authorizer", "authorizer/token.json")

    assert answer == {"raised": "Unauthorized"}
    assert imported == []


def test_messages_does_import_it_so_that_this_would_be_seen(
    environment: pytest.MonkeyPatch,
) -> None:
    (answer,), imported = run("messages", "messages/send-first-message.json")

    assert answer["statusCode"] == 201
    assert "agents" in imported
