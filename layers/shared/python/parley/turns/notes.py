"""Notes of administrators: said to a session's user, and shown to its agent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from parley.errors import StoreMisconfigured, StoreRefused, StoreUnavailable
from parley.ids import conversation_key
from parley.memory.shape import assistant_message
from parley.memory.store import AgentSessionStore, StoredTurn, TurnMemory
from parley.observability import logger
from parley.repository.database import Database
from parley.repository.notes import NOTE_ATTEMPT, leave_note
from parley.repository.states import SessionStatus


@dataclass(frozen=True, slots=True)
class Noter:
    """Leaves notes. Methods block."""

    database: Database
    open_store: Callable[[], AgentSessionStore]

    def leave(self, user_id: str, session_id: UUID, status: SessionStatus, said: str) -> None:
        """Say something in a session, and set its status.

        If memory cannot take it, the next turn takes it from the transcript.

        Raises:
            NotFound: The user has no such session.
            StoreUnavailable: Postgres cannot serve now; the note may have been left all the same.
        """
        turn = leave_note(self.database, user_id, session_id, status, said)
        left = StoredTurn(turn, NOTE_ATTEMPT, TurnMemory([assistant_message(said)], said))
        try:
            self.open_store().write_back(conversation_key(user_id, session_id), [left])
        except (StoreUnavailable, StoreRefused, StoreMisconfigured) as error:
            logger().warning("a note is not in memory yet; a turn takes it", reason=str(error))
