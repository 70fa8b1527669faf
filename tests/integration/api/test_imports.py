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
from parley_testing.stores.talk import begin, request
from parley_testing.waiting import HANG_SECONDS

EVENTS = FUNCTIONS.parent / "events"

# Runs one event through a function as a process of its own, and names the SDK if it was imported.
RUN = """
import json, sys
sys.path.insert(0, ".")
from parley_testing.api.handlers import Context
import app
try:
    print(json.dumps(app.handler(json.load(open(sys.argv[1])), Context())))
except Exception as error:
    print(json.dumps({"raised": str(error)}))
print(json.dumps(sorted({"agents", "openai", "mcp"} & set(sys.modules))))
"""


def run(function: str, event: str) -> tuple[dict[str, object], list[str]]:
    """Return what the handler answered, and what of the SDK had been imported by then."""
    process = subprocess.run(
        [sys.executable, "-c", RUN, str(EVENTS / event)],
        cwd=FUNCTIONS / function,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    *_, answer, imported = process.stdout.splitlines()
    return json.loads(answer), json.loads(imported)


def test_sessions_does_not_import_it(environment: pytest.MonkeyPatch) -> None:
    for event in ("create-session", "list-agents", "delete-session"):
        answer, imported = run("sessions", f"sessions/{event}.json")
        assert answer["statusCode"] in (200, 201, 404)
        assert imported == []


def test_cleanup_does_not_import_it_also_if_turns_wait(
    environment: pytest.MonkeyPatch, sql: psycopg.Connection, turns: TurnRepository, api: Api
) -> None:
    begin(turns, request("alice", api.new_session()))
    sql.execute("UPDATE turns SET lease_expires_at = now() - interval '1 second'")

    answer, imported = run("cleanup", "cleanup/recover.json")

    assert answer["sessions"] == {"waiting": 1, "woken": 1, "left": 0}
    assert imported == []


def test_migrate_does_not_import_it(environment: pytest.MonkeyPatch, tmp_path: object) -> None:
    answer, imported = run("migrate", "migrate/create.json")

    # The event's ResponseURL leads nowhere, so that all is done but the report.
    assert "refused" in str(answer["raised"])
    assert imported == []


def test_authorizer_does_not_import_it(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("OIDC_ISSUER", "https://issuer.example")
    environment.setenv("OIDC_AUDIENCE", "parley")

    answer, imported = run("authorizer", "authorizer/token.json")

    assert answer == {"raised": "Unauthorized"}
    assert imported == []


def test_messages_does_import_it_so_that_this_would_be_seen(
    environment: pytest.MonkeyPatch,
) -> None:
    answer, imported = run("messages", "messages/send-first-message.json")

    assert answer["statusCode"] == 201
    assert "agents" in imported
