"""Erasing a user: sessions, transcripts, memory, keys, and what the project keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from parley.ids import conversation_key
from parley.memory.store import AgentSessionStore, Held
from parley.observability import logger, traced
from parley.repository.database import Database
from parley.repository.deletion import by_rows
from parley.repository.project_tables import delete_rows
from parley.repository.scope import OfUser
from parley.repository.usage import delete_usage
from parley.repository.user_data import (
    delete_budget,
    delete_keys,
    delete_limits,
    delete_sessions,
    own_sessions,
)
from parley.user_tables import UserData, UserTable
from parley.users.project_rows import in_pages

SESSIONS_A_PAGE = 50


@dataclass(slots=True)
class Erased:
    """What was erased.

    Attributes:
        sessions: Sessions.
        rows: All rows in Postgres.
        items: Items in the agent-session store, one a turn.
        bytes: Their compressed size.
        project: What the project keeps of users, by name; rows of its tables are in `rows` too.
        waiting: Conversations whose memory could not be removed yet; the outbox knows them.
        done: Whether nothing is left to erase.
    """

    sessions: int = 0
    rows: int = 0
    items: int = 0
    bytes: int = 0
    project: dict[str, int] = field(default_factory=dict)
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
            if not sessions:
                # When no turn of theirs can write there any more.
                if not self._erase_projects(user_id, left, erased):
                    break
                erased.rows += delete_keys(self.database, user_id)
                erased.rows += delete_limits(self.database, user_id)
                erased.rows += delete_budget(self.database, user_id)
                erased.rows += delete_usage(self.database, user_id)
                erased.done = True
                break
        return erased

    def _erase_projects(self, user_id: str, left: Callable[[], float], erased: Erased) -> bool:
        """Erase what the project keeps of the user; return whether there was time for all."""

        def of_table(table: UserTable, limit: int) -> int:
            gone = delete_rows(self.database, user_id, table, limit)
            erased.rows += gone
            return gone

        def of_data(data: UserData) -> int:
            with self.database.transaction(OfUser(user_id)) as connection:
                return data.erase(connection, user_id)

        return in_pages(erased.project, of_table, of_data, left=left)

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
