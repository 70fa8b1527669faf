"""Parley as a side of `bench.performance`: its functions, called with API Gateway's events.

`BENCH_OWNER_URL` names the database once more, for what is written in bulk.
"""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID, uuid4

from bench import conversation
from bench.memory_in_bulk import Left, remember
from bench.sides import Taken, serve, timed

from parley.ids import TurnKey, conversation_key
from parley.memory.expiry import TimeToLive
from parley.memory.store import TurnMemory
from parley_testing.api.handlers import Api
from parley_testing.postgres.databases import connect

_SESSION = """
INSERT INTO sessions (id, user_id, agent, platform, next_number)
VALUES (%(session)s, %(user)s, 'todo', 'api', %(turns)s + 1)
"""
_TURNS = """
INSERT INTO turns (id, session_id, user_id, number, status, attempt, fingerprint, agent,
                   remembered, model_calls, created_at, started_at, ended_at)
SELECT gen_random_uuid(), %(session)s, %(user)s, n, 'completed', 1, '', 'todo', true, 1,
       now() - interval '1 hour', now() - interval '1 hour', now() - interval '1 hour'
FROM generate_series(1, %(turns)s) n
RETURNING number, id
"""
_MESSAGES = """
INSERT INTO messages (id, turn_id, role, content)
SELECT gen_random_uuid(), t.id, said.role, said.content
FROM turns t, (VALUES ('user', %(text)s), ('assistant', %(reply)s)) said (role, content)
WHERE t.session_id = %(session)s
"""


class ParleySide:
    """Sends the functions the events that API Gateway sends."""

    def __init__(self) -> None:
        self._api = Api()
        self._sql = connect(os.environ["BENCH_OWNER_URL"])

    def prepare(self) -> None:
        """Load the functions."""
        self._api.function("sessions")
        self._api.function("messages")

    def fill(self, user: str, turns: int) -> str:
        """Make a session that has some turns, and return its id."""
        session_id = uuid4()
        about = {"session": session_id, "user": user, "turns": turns}
        self._sql.execute(_SESSION, about)
        ids: list[tuple[int, UUID]] = self._sql.execute(_TURNS, about).fetchall()
        about |= {"text": conversation.TEXT, "reply": conversation.REPLY}
        self._sql.execute(_MESSAGES, about)
        conversation_id = conversation_key(user, session_id)
        expires_at = TimeToLive().of_finished()
        remember(
            self._api.function("messages").parts,
            (
                Left(
                    conversation_id,
                    TurnKey(number, turn_id),
                    expires_at,
                    TurnMemory(conversation.turn(number), reply=conversation.REPLY),
                )
                for number, turn_id in ids
            ),
        )
        return str(session_id)

    def analyze(self) -> None:
        """Have Postgres know what it has, as it does by itself in time."""
        self._sql.execute("ANALYZE")

    def create(self, times: int, user: str) -> Taken:
        """Make sessions."""
        return timed(lambda: self._sent("POST", "/sessions", user, {"name": uuid4().hex}), times)

    def list(self, times: int, user: str) -> Taken:
        """List sessions."""
        return timed(lambda: self._sent("GET", "/sessions", user), times)

    def get(self, times: int, user: str, session_id: str) -> Taken:
        """Look at a session."""
        return timed(lambda: self._sent("GET", f"/sessions/{session_id}", user), times)

    def turn(self, times: int, user: str, session_id: str, text: str) -> Taken:
        """Send messages and wait for their replies."""
        path = f"/sessions/{session_id}/messages"
        return timed(lambda: self._sent("POST", path, user, {"text": text}), times)

    def _sent(self, method: str, path: str, user: str, body: Any = None) -> None:
        answer = self._api(method, path, body, user=user, headers=conversation.JSON)
        assert answer.status in (200, 201), answer


if __name__ == "__main__":
    serve(ParleySide())
