"""A warm deployment over a wire to Postgres, its requests, and what they leave in both stores."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import quote
from uuid import UUID

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from parley import retry
from parley.ids import conversation_key
from parley.memory.store import AgentSessionStore
from parley.repository import connection
from parley.repository.address import service_login
from parley_local.postgres import RUNTIME_ROLE
from parley_testing.api.handlers import Answer, Api
from parley_testing.postgres.databases import connect, owner_url, past_pooler
from parley_testing.postgres.postgres_wire import PostgresWire

_CHANGING = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|call_\w+|\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)")


@dataclass(frozen=True)
class Operation:
    """A request, and the statement of it that something happens to.

    Attributes:
        statement: A regular expression that fits this statement only.
        row: The table of which the statement locks the session's row or the running turn's.
    """

    method: str
    path: str
    body: Any
    status: int
    statement: str
    row: str | None = None


OPERATIONS: Mapping[str, Operation] = {
    "create": Operation("POST", "/sessions", {"name": "n"}, 201, "INSERT INTO sessions"),
    "change": Operation(
        "PATCH", "/sessions/{id}", {"name": "n"}, 200, "^UPDATE sessions", "sessions"
    ),
    "delete": Operation(
        "DELETE", "/sessions/{id}", None, 204, "DELETE FROM sessions", "sessions"
    ),
    "clear": Operation(
        "DELETE", "/sessions/{id}/memory", None, 204, "SET memory_from", "sessions"
    ),
    "transcript": Operation("GET", "/sessions/{id}/messages", None, 200, "FROM messages"),
    "begin": Operation(
        "POST", "/sessions/{id}/messages", {"text": "help"}, 201, "INSERT INTO turns", "sessions"
    ),
    "complete": Operation(
        "POST",
        "/sessions/{id}/messages",
        {"text": "help"},
        201,
        "SET status = 'completed'",
        "sessions",
    ),
    "effect": Operation(
        "POST", "/sessions/{id}/messages", {"text": "add milk"}, 201, "INSERT INTO tasks"
    ),
    "record": Operation(
        "POST", "/sessions/{id}/messages", {"text": "add milk"}, 201, "INTO tool_calls", "turns"
    ),
    "commit": Operation(
        "POST", "/sessions/{id}/messages", {"text": "add milk"}, 201, "^COMMIT$"
    ),
}  # fmt: skip


@dataclass
class Place:
    """One database and one warm process; each test is another user.

    Attributes:
        sql: A connection of the server's owner, past the wire.
        owner_url: For more of them.
        role: As whom the process connects.
        store: The process's memory, past the process.
    """

    wire: PostgresWire
    api: Api
    sql: psycopg.Connection
    owner_url: str
    role: str
    store: AgentSessionStore
    _numbers: count[int] = field(default_factory=lambda: count(1))

    def set(self, setting: str) -> None:
        """Change the process's role: for connections that are opened from now on."""
        self.sql.execute(SQL("ALTER ROLE {} ").format(Identifier(self.role)) + SQL(setting))

    @contextmanager
    def time_outs(self, seconds: float, *, answer: float | None = None) -> Iterator[None]:
        """Let a statement take so long and no longer, and try none again that did.

        Args:
            seconds: How long, before the server ends it.
            answer: How much later the server is given up; as long again if nothing is said.
        """
        self.api.close()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(retry, "PATIENCE_SECONDS", seconds / 2)
            patch.setattr(connection, "_ANSWER_SECONDS", seconds if answer is None else answer)
            for function in ("sessions", "messages"):
                database = self.api.function(function).parts.database
                patch.setattr(database, "_statement_timeout", seconds)
            try:
                yield
            finally:
                self.api.close()

    def conversation(self) -> Conversation:
        """Begin a conversation of a new user with a first turn."""
        user = f"user{next(self._numbers)}"
        made = Conversation(self, user, self.api.new_session(user=user))
        assert made.say("add bread").status == 201
        self.wire.reset()
        return made


@contextmanager
def deployed(
    url: str, store: AgentSessionStore, settings: Mapping[str, str], *, isolation: str
) -> Iterator[Place]:
    """Make a place on a database of its own.

    Args:
        url: The database, with Parley's schema.
        store: Where its memory is, and `settings` what tells the process so.
        settings: Environment variables.
        isolation: At which level transactions run.
    """
    own_url = owner_url(url).replace("+psycopg", "")
    with (
        connect(url) as sql,
        PostgresWire(past_pooler(url)) as wire,
        pytest.MonkeyPatch.context() as patch,
    ):
        place = Place(wire, Api(), sql, own_url, f"{sql.info.dbname}_app", store)
        # Each place has roles of its own, whose settings it changes.
        for role in (str, service_login):
            sql.execute(
                SQL("CREATE ROLE {} LOGIN IN ROLE {}").format(
                    Identifier(role(place.role)), Identifier(role(RUNTIME_ROLE))
                )
            )
        place.set("SET deadlock_timeout = '20ms'")
        escaped = isolation.replace(" ", "\\ ")
        own = {
            "DATABASE_RUNTIME_URL": wire.url.replace(f"{RUNTIME_ROLE}@", f"{place.role}@")
            + f"&options={quote(f'--default-transaction-isolation={escaped}')}",
            "OFFLINE_MODEL": "true",
            "POWERTOOLS_LOG_LEVEL": "WARNING",
        }
        for setting, value in {**own, **settings}.items():
            patch.setenv(setting, value)
        patch.delenv("OPENAI_API_KEY", raising=False)
        for function in ("sessions", "messages"):
            place.api.function(function)
        yield place
        place.api.close()


@dataclass(frozen=True)
class Conversation:
    """A user's session."""

    place: Place
    user: str
    session_id: str

    def request(self, operation: Operation) -> Answer:
        """Make the operation's request; it has the same key each time."""
        return self.place.api(
            operation.method,
            operation.path.format(id=self.session_id),
            operation.body,
            user=self.user,
            headers={"Idempotency-Key": f"{self.user}-key"},
        )

    def say(self, text: str) -> Answer:
        """Send a message without a key."""
        path = f"/sessions/{self.session_id}/messages"
        return self.place.api("POST", path, {"text": text}, user=self.user)

    def get(self, path: str = "") -> Answer:
        """Read something of the session."""
        return self.place.api("GET", f"/sessions/{self.session_id}{path}", user=self.user)

    def expire(self) -> None:
        """Let the lease of a turn that nobody could let go of run out, as it does in time."""
        self.place.sql.execute(
            "UPDATE turns SET lease_expires_at = now() - interval '1 second'"
            " WHERE session_id = %s AND status = 'running'",
            (self.session_id,),
        )

    def state(self) -> dict[str, Any]:
        """Return all that its turns left, without what is another in each conversation."""
        conversation = conversation_key(self.user, UUID(self.session_id))
        memory = self.place.store.read_newest(conversation, None, consistent=True)
        return {
            "turns": self._rows(
                "SELECT number, status FROM turns WHERE session_id = %s ORDER BY number"
            ),
            "messages": self._rows(
                "SELECT t.number, m.role, m.content FROM messages m JOIN turns t ON t.id = turn_id"
                " WHERE session_id = %s ORDER BY t.number, m.role DESC"
            ),
            "calls": self._rows(
                "SELECT t.number, c.name FROM tool_calls c JOIN turns t ON t.id = turn_id"
                " WHERE session_id = %s ORDER BY t.number, c.name"
            ),
            "tasks": self._rows(
                "SELECT title FROM tasks WHERE user_id ="
                " (SELECT user_id FROM sessions WHERE id = %s) ORDER BY id"
            ),
            "memory": [
                (turn.number, turn.memory and _CHANGING.sub("", json.dumps(turn.memory.items)))
                for turn in memory
            ],
        }

    def _rows(self, query: str) -> list[Any]:
        return self.place.sql.execute(query, (self.session_id,)).fetchall()
