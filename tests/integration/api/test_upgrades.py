"""A deployment is upgraded while turns are open and keys are kept.

Every released schema is filled as its own code did, and brought to this code's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from importlib import import_module
from typing import Any
from uuid import UUID

import psycopg
import pytest
from alembic import command
from alembic.script import ScriptDirectory

from parley.ids import new_id
from parley.repository.database import Database
from parley.repository.scope import SERVICE
from parley_testing.api.handlers import Api, load_function
from parley_testing.postgres.databases import connect, runtime_url
from parley_testing.run.at_length import some


def revisions() -> list[str]:
    load_function("migrate")
    script = ScriptDirectory.from_config(import_module("schema").config())
    return sorted(each.revision for each in script.walk_revisions())


def first_rule(kind: str, **fields: Any) -> bytes:
    """Make a fingerprint as the first releases did, which gave it no version."""
    return sha256(json.dumps([kind, fields], sort_keys=True, default=str).encode()).digest()


class Released:
    """A deployment of an earlier release, in the middle of its work."""

    def __init__(self, sql: psycopg.Connection) -> None:
        self._sql = sql
        self.session_id, self.ended_in = self.session(), self.session()
        self.running = self.turn(self.session_id, 1, "running", "how it goes on")
        self.waiting = self.turn(self.session_id, 2, "queued", "and then this")
        self.ended = self.turn(self.ended_in, 1, "completed", "what is over")
        self.say(self.ended, "assistant", "It is over.")
        self.asked = self.turn(self.session(), 1, "waiting", "pay") if self.knows_waits() else None
        sql.execute(
            "INSERT INTO idempotency_tombstones VALUES ('alice', 'turn', 'deleted', %s,"
            " now() + interval '1 hour')",
            (first_rule("first message", **FIRST, text="deleted"),),
        )

    def knows_waits(self) -> bool:
        found = self._sql.execute("SELECT to_regclass('approvals') IS NOT NULL").fetchone()
        return found == (True,)

    def session(self) -> UUID:
        session_id = new_id()
        self._sql.execute(
            "INSERT INTO sessions (id, user_id, agent, platform, next_number, idempotency_key,"
            " fingerprint) VALUES (%s, 'alice', 'todo', 'api', 3, %s, %s)",
            (
                session_id,
                f"session-{session_id}",
                first_rule("session", agent="todo", name=None, platform="api", metadata={}),
            ),
        )
        return session_id

    def turn(self, session_id: UUID, number: int, status: str, text: str) -> UUID:
        turn_id = new_id()
        self._sql.execute(
            "INSERT INTO turns (id, session_id, user_id, number, status, attempt,"
            " lease_expires_at, idempotency_key, fingerprint, agent, started_at, ended_at,"
            " remembered) VALUES (%(id)s, %(session)s, 'alice', %(number)s, %(status)s,"
            " %(attempt)s, %(lease)s, %(key)s, %(fingerprint)s, 'todo', now(), %(ended)s,"
            " %(status)s = 'completed')",
            {
                "id": turn_id,
                "session": session_id,
                "number": number,
                "status": status,
                "attempt": int(status != "queued"),
                "lease": "-infinity" if status == "running" else None,
                "key": text.replace(" ", "-"),
                "fingerprint": first_rule("message", session_id=session_id, text=text),
                "ended": "now" if status == "completed" else None,
            },
        )
        self.say(turn_id, "user", text)
        return turn_id

    def say(self, turn_id: UUID, role: str, text: str) -> None:
        self._sql.execute(
            "INSERT INTO messages (id, turn_id, role, content) VALUES (%s, %s, %s, %s)",
            (new_id(), turn_id, role, text),
        )


FIRST: dict[str, Any] = {"session_name": None, "agent": None, "platform": "api", "metadata": {}}


@pytest.fixture(params=revisions())
def released(
    request: pytest.FixtureRequest, environment: pytest.MonkeyPatch, empty_database_url: str
) -> Iterator[Released]:
    """A database of a released schema, brought to this code's."""
    schema = import_module("schema")
    database = Database(lambda: empty_database_url, statement_timeout=10, as_owner=True)
    configuration = schema.config()
    with database.transaction(SERVICE) as connection:
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, request.param)
    with connect(empty_database_url) as sql:
        made = Released(sql)
    environment.setenv("DATABASE_URL", empty_database_url)
    environment.setenv("DATABASE_RUNTIME_URL", runtime_url(empty_database_url))
    load_function("migrate").handler({"action": "migrate"}, None)
    yield made
    database.close()


def from_some(first: int) -> pytest.MarkDecorator:
    """Try some of the releases, others than the test before: together they try every other."""
    found = some(revisions(), one_in=10, first=first)
    return pytest.mark.parametrize("released", found, indirect=True)


def send(api: Api, session_id: UUID, text: str, key: str) -> Any:
    path = f"/sessions/{session_id}/messages"
    return api("POST", path, {"text": text}, headers={"Idempotency-Key": key.replace(" ", "-")})


@from_some(0)
def test_the_key_of_an_open_turn_joins_it(released: Released, api: Api) -> None:
    answer = send(api, released.session_id, "how it goes on", "how it goes on")

    assert answer.status == 201, answer
    assert answer.json["turn"]["id"] == str(released.running)


@from_some(2)
def test_the_key_of_a_turn_that_waits_is_its_own(released: Released, api: Api) -> None:
    path = f"/sessions/{released.session_id}/messages"
    answer = api(
        "POST",
        path,
        {"text": "and then this"},
        headers={"Idempotency-Key": "and-then-this", "Prefer": "respond-async"},
    )

    assert answer.status == 202, answer
    assert answer.json["turn"]["id"] == str(released.waiting)


@from_some(4)
def test_a_kept_key_gives_what_it_gave(released: Released, api: Api) -> None:
    answer = send(api, released.ended_in, "what is over", "what is over")

    assert answer.status == 201, answer
    assert answer.json["reply"]["content"] == "It is over."
    again = api(
        "POST",
        "/sessions",
        {"agent": "todo"},
        headers={"Idempotency-Key": f"session-{released.ended_in}"},
    )
    assert (again.status, again.json["id"]) == (200, str(released.ended_in))
    gone = api("POST", "/messages", {"text": "deleted"}, headers={"Idempotency-Key": "deleted"})
    assert gone.status == 404, gone


@from_some(6)
def test_a_kept_key_is_still_no_other_requests(released: Released, api: Api) -> None:
    for session_id, key in (
        (released.session_id, "how it goes on"),
        (released.ended_in, "what is over"),
    ):
        answer = send(api, session_id, "something else", key)

        assert (answer.status, answer.json["code"]) == (422, "idempotency_key_reused"), answer
    gone = api("POST", "/messages", {"text": "other"}, headers={"Idempotency-Key": "deleted"})
    assert (gone.status, gone.json["code"]) == (422, "idempotency_key_reused"), gone


@from_some(8)
def test_what_the_agent_remembers_is_taken_from_the_transcript(
    released: Released, api: Api
) -> None:
    answer = send(api, released.ended_in, "and now?", "new")

    assert answer.status == 201, answer
    turns = api("GET", f"/sessions/{released.ended_in}/turns").json["items"]
    assert [turn["status"] for turn in turns] == ["completed", "completed"]


@pytest.mark.parametrize("released", ["0019", "0026"], indirect=True)
def test_that_a_turn_waits_stands_where_who_followed_it_was_told_so(
    released: Released, empty_database_url: str
) -> None:
    """One that nobody streams has no log: what there is of it was made up."""
    with connect(empty_database_url) as sql:
        told = sql.execute("SELECT id, waiting_sequence FROM turns WHERE waiting_sequence > 0")

        assert told.fetchall() == [(released.asked, 2)]
