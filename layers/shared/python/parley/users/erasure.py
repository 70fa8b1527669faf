"""Erasing a user: sessions, transcripts, memory, tasks and keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from parley.ids import conversation_key
from parley.memory.store import AgentSessionStore, Held
from parley.observability import logger, traced
from parley.repository.database import Database
from parley.repository.deletion import by_rows
from parley.repository.user_data import (
    delete_keys,
    delete_sessions,
    delete_tasks,
    own_sessions,
)

SESSIONS_A_PAGE = 50
TASKS_A_PAGE = 1000


@dataclass(slots=True)
class Erased:
    """What was erased.

    Attributes:
        sessions: Sessions.
        tasks: Tasks.
        rows: All rows in Postgres.
        items: Items in the agent-session store, one a turn.
        bytes: Their compressed size.
        waiting: Conversations whose memory could not be removed yet; the outbox knows them.
        done: Whether nothing is left to erase.
    """

    sessions: int = 0
    tasks: int = 0
    rows: int = 0
    items: int = 0
    bytes: int = 0
    waiting: int = 0
    done: bool = False


@dataclass(frozen=True, slots=True)
class Eraser:
    """Erases users. Methods block."""

    database: Database
    open_store: Callable[[], AgentSessionStore]

    def erase(self, user_id: str, *, left: Callable[[], float]) -> Erased:
        """Erase all that is kept of a user, as far as there is time.

        A turn that is running ends quietly and leaves nothing. Memory is removed once more when
        no process can write late any more: until then the outbox holds the conversation keys,
        which the user's id is a part of. A user who is not known has nothing to erase.

        Args:
            user_id: Whom.
            left: Gives how many seconds there still are; asked before each page.

        Raises:
            StoreUnavailable: Postgres cannot serve now; erasing again goes on.
        """
        erased = Erased()
        while left() > 0:
            sessions = own_sessions(self.database, user_id, limit=SESSIONS_A_PAGE)
            for few in by_rows(sessions):
                gone = delete_sessions(self.database, user_id, [each.id for each in few])
                erased.sessions += len(gone)
                erased.rows += sum(each.rows for each in few if each.id in gone)
                self._forget(user_id, gone, erased)
            tasks = delete_tasks(self.database, user_id, TASKS_A_PAGE)
            erased.tasks += tasks
            erased.rows += tasks
            if not sessions and tasks < TASKS_A_PAGE:
                erased.rows += delete_keys(self.database, user_id)
                erased.done = True
                break
        return erased

    def _forget(self, user_id: str, sessions: set[UUID], erased: Erased) -> None:
        store, held = self.open_store(), Held()
        for session_id in sessions:
            try:
                held += store.forget(conversation_key(user_id, session_id))
            except Exception as error:
                erased.waiting += 1
                logger().warning("memory is left to the outbox", **traced(error))
        erased.items += held.turns
        erased.bytes += held.bytes
