"""Sessions that were last used some time ago, and what both stores hold in all."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch
from uuid import UUID

import psycopg

from parley.ids import conversation_key, new_id
from parley.memory.shape import assistant_message, user_message
from parley.memory.store import AgentSessionStore, TurnMemory
from parley.repository.database import Database
from parley.repository.sessions import SessionRepository
from parley.repository.turns import RunningTurn, TurnRepository
from parley_testing.stores.talk import begin, request, say


@dataclass(frozen=True)
class Aged:
    """Makes sessions of any age, with turns that both stores know of."""

    database: Database
    store: AgentSessionStore
    sql: psycopg.Connection

    @property
    def turns(self) -> TurnRepository:
        """The life of turns."""
        return TurnRepository(self.database, window=100)

    def session(
        self,
        *,
        days: float,
        turns: int = 1,
        status: str = "active",
        user: str = "alice",
        name: str | None = None,
        platform: str = "api",
        key: str | None = None,
        memory_days: float = 0,
    ) -> UUID:
        """Make a session that was last used so many days ago, and give its id.

        What is remembered of it is as old as `memory_days` says.
        """
        session, _ = SessionRepository(self.database).create(
            new_id(),
            user,
            agent="todo",
            name=name,
            platform=platform,
            metadata={},
            idempotency_key=key,
            fingerprint=b"fingerprint",
        )
        for number in range(1, turns + 1):
            self.say(session.id, f"question {number}", user=user, memory_days=memory_days)
        self.sql.execute("UPDATE sessions SET status = %s WHERE id = %s", (status, session.id))
        self.age(session.id, days)
        return session.id

    def say(
        self,
        session_id: UUID,
        text: str = "hello",
        *,
        user: str = "alice",
        key: str | None = None,
        memory_days: float = 0,
    ) -> RunningTurn:
        """Have a turn of a session complete, with memory that is so many days old."""
        turn = say(self.turns, request(user, str(session_id), text, key=key), f"answer: {text}")
        memory = TurnMemory([user_message(text), assistant_message(f"answer: {text}")], "answer")
        then = time.time() - memory_days * 86_400
        with patch("time.time", lambda: then):
            self.store.finish(conversation_key(user, session_id), turn.key, turn.attempt, memory)
        return turn

    def begin(self, session_id: UUID, *, user: str = "alice") -> RunningTurn:
        """Begin a turn that stays open."""
        return begin(self.turns, request(user, str(session_id)))

    def age(self, session_id: UUID, days: float) -> None:
        """Let a session have been used last so many days ago."""
        self.sql.execute(
            "UPDATE sessions SET last_activity_at = now() - make_interval(secs => %s)"
            " WHERE id = %s",
            (days * 86_400, session_id),
        )

    def rows(self) -> dict[str, list[str]]:
        """Return all rows of all tables, each as text, but the records of administration."""
        tables = self.sql.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        )
        return {
            table: sorted(
                row[0] for row in self.sql.execute(f"SELECT to_jsonb(t)::text FROM {table} t")
            )
            for (table,) in tables.fetchall()
            if table != "audit_records"
        }

    def counts(self) -> dict[str, int]:
        """Count the rows of all tables that have any.

        Not what cleanup notes of itself, nor what turns took, which is kept when they are deleted.
        """
        quiet = {"alembic_version", "parley_project_version", "cleanup_progress", "daily_usage"}
        return {
            table: len(rows) for table, rows in self.rows().items() if rows and table not in quiet
        }

    def memory(self) -> dict[str, Any]:
        """Return all finished turns that have not expired, by conversation."""
        found: dict[str, Any] = {}
        place, more = None, True
        while more:
            page = self.store.conversations(place, 1000)
            found |= {key: self.store.read_newest(key, None) for key in page.keys}
            place = page.next
            more = place is not None
        return found

    def remembered(self) -> set[UUID]:
        """Return the sessions of which there is memory."""
        return {UUID(key.rpartition("_")[2]) for key, turns in self.memory().items() if turns}

    def sessions(self) -> set[UUID]:
        """Return the sessions that there are."""
        return {row[0] for row in self.sql.execute("SELECT id FROM sessions").fetchall()}
