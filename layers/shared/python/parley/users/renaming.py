"""Renaming a user: all that is kept under one id goes on under another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from parley.errors import Fenced
from parley.ids import conversation_key
from parley.memory.store import AgentSessionStore
from parley.observability import logger, traced
from parley.repository.database import Database
from parley.repository.ownership import (
    OwnedSession,
    move_budget,
    move_keys,
    move_limits,
    move_session,
    owned_sessions,
)
from parley.repository.project_tables import move_rows
from parley.repository.scope import SERVICE
from parley.repository.usage import move_usage
from parley.user_tables import UserData, UserTable
from parley.users.project_rows import in_pages

SESSIONS_A_PAGE = 50
TURNS_A_PAGE = 20


@dataclass(slots=True)
class Renamed:
    """What goes under the new id now.

    Attributes:
        sessions: Sessions.
        items: Items of memory, one a turn.
        project: What the project keeps of users, by name.
        waiting: Sessions that were left since a turn of theirs is open; renaming again takes them
            when it is over.
        done: Whether all is renamed. While sessions are left, so is what the user has besides them.
    """

    sessions: int = 0
    items: int = 0
    project: dict[str, int] = field(default_factory=dict)
    waiting: int = 0
    done: bool = False


@dataclass(frozen=True, slots=True)
class Renamer:
    """Renames users. Methods block."""

    database: Database
    open_store: Callable[[], AgentSessionStore]

    def rename(self, old: str, new: str, *, left: Callable[[], float]) -> Renamed:
        """Put all that is kept of a user under another id, as far as there is time.

        A session goes whole, in one statement, when no turn of it is open. Its memory is copied
        before that, since the conversation key has the user's id in it, and removed under the old
        key after it: whoever dies in between leaves a copy that nobody believes, and renaming again
        goes on. What is not copied is rebuilt from the transcript. If the other user has sessions
        of the same names, or has used the same idempotency keys, theirs stay as they are: a session
        gets a part of its id behind its name, and loses its key. What the project keeps of users
        comes last, when no session is left: tools of a turn that is open look for it under the old
        id.

        Args:
            old: Whom.
            new: The id to go on under; another user's sessions under it stay.
            left: Gives how many seconds there still are; asked before each session.

        Raises:
            StoreUnavailable: A store cannot serve now; renaming again goes on.
            InvalidField: The other user has rows in a table of the project's that leave no room
                for these; what was renamed before stays so.
        """
        renamed, after = Renamed(), None
        while sessions := owned_sessions(self.database, old, after=after, limit=SESSIONS_A_PAGE):
            for session in sessions:
                if left() <= 0:
                    return renamed
                after = session.id
                self._session(old, new, session, renamed)
        if renamed.waiting or left() <= 0:
            return renamed
        if self._rename_projects(old, new, left, renamed):
            move_keys(self.database, old, new)
            move_limits(self.database, old, new)
            move_budget(self.database, old, new)
            move_usage(self.database, old, new)
            renamed.done = True
        return renamed

    def _rename_projects(
        self, old: str, new: str, left: Callable[[], float], renamed: Renamed
    ) -> bool:
        """Rename the user in what the project keeps; return whether there was time for all."""

        def of_table(table: UserTable, limit: int) -> int:
            return move_rows(self.database, old, new, table, limit)

        def of_data(data: UserData) -> int:
            with self.database.transaction(SERVICE) as connection:
                return data.rename(connection, old, new)

        return in_pages(renamed.project, of_table, of_data, left=left)

    def _session(self, old: str, new: str, session: OwnedSession, renamed: Renamed) -> None:
        if session.open:
            renamed.waiting += 1
            return
        items = self._copy(old, new, session.id)
        if not move_session(self.database, old, new, session):
            renamed.waiting += 1  # a turn was begun meanwhile
            return
        renamed.sessions += 1
        renamed.items += items
        try:
            self.open_store().forget(conversation_key(old, session.id))
        except Exception as error:
            logger().warning("memory is left to the outbox", **traced(error))

    def _copy(self, old: str, new: str, session_id: UUID) -> int:
        store, copied, before = self.open_store(), 0, None
        here, there = conversation_key(old, session_id), conversation_key(new, session_id)
        while turns := store.read_newest(here, TURNS_A_PAGE, before=before, consistent=True):
            for stored in turns:
                before = stored.number
                if stored.memory is None:
                    continue
                try:
                    store.finish(there, stored.turn, stored.attempt, stored.memory)
                except Fenced:
                    continue  # a copy of another attempt, from a try that died: it is not believed
                copied += 1
        return copied
