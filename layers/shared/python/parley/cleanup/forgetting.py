"""Forgetting: a session's memory cleared or pruned, and sessions deleted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from parley.errors import StoreUnavailable
from parley.ids import conversation_key
from parley.memory.store import SUMMARIES_KEPT, AgentSessionStore, MemoryStatistics
from parley.memory.window import LOW_MARK_PERCENT, Window, vouched_turns
from parley.observability import logger
from parley.repository.sessions import SessionRepository


@dataclass(frozen=True, slots=True)
class Forgetter:
    """Removes memory. Methods block.

    The store is opened by who comes to it: most requests of a function that lists and shows
    sessions do not, and its client is a third of a cold start.
    """

    sessions: SessionRepository
    open_store: Callable[[], AgentSessionStore]
    memory_items: int
    memory_bytes: int = 1_000_000
    memory_low_mark: int = LOW_MARK_PERCENT

    def statistics(self, user_id: str, session_id: UUID) -> MemoryStatistics:
        """Count what the agent remembers of a session.

        Raises:
            NotFound: The user has no such session.
            StoreUnavailable: A store cannot serve now.
        """
        session = self.sessions.get(user_id, session_id)
        conversation = conversation_key(user_id, session_id)
        return self.open_store().statistics(conversation, since=session.memory_from)

    def clear(self, user_id: str, session_id: UUID) -> None:
        """Make the agent forget the session's turns so far; the transcript stays.

        Postgres stops vouching for them first, so that nothing of them is believed even if the
        store cannot be reached. The memory of a turn that is still open is left to it.

        Raises:
            NotFound: The user has no such session.
            StoreUnavailable: A store cannot serve now; clearing again finishes the work.
        """
        boundary = self.sessions.forget(user_id, session_id)
        conversation, store = conversation_key(user_id, session_id), self.open_store()
        store.forget_before(conversation, boundary)
        store.forget_summaries(conversation)

    def prune(self, user_id: str, session_id: UUID) -> int:
        """Remove memory that is too old for the agent to be shown, and return how many turns.

        If the next turn would have to move its window, it is moved now.

        Raises:
            NotFound: The user has no such session.
            StoreUnavailable: A store cannot serve now; pruning again finishes the work.
        """
        turns = vouched_turns(self.memory_items)
        boundary, vouched = self.sessions.vouched(user_id, session_id, turns)
        conversation, store = conversation_key(user_id, session_id), self.open_store()
        window = Window(
            store,
            conversation,
            vouched,
            store.read_newest(conversation, turns + SUMMARIES_KEPT),
            max_items=self.memory_items,
            max_bytes=self.memory_bytes,
            low_mark_percent=self.memory_low_mark,
            rebuild=lambda _: {},
        )
        keep_from = vouched[-1].number if vouched else boundary
        if window.begins_at is not None:
            keep_from = window.begins_at
            self.sessions.begin_window_at(user_id, session_id, keep_from)
        return store.forget_before(conversation, min(keep_from, boundary)).turns

    def delete(self, user_id: str, session_id: UUID) -> None:
        """Delete a session with its transcript and memory.

        Its rows are gone when this returns. If the store cannot be reached its memory is not
        yet; the outbox knows, and the scheduled cleanup removes it.

        Raises:
            NotFound: The user has no such session.
            StoreUnavailable: Postgres cannot serve now; nothing was deleted.
        """
        conversation = conversation_key(user_id, session_id)
        self.sessions.delete(user_id, session_id)
        try:
            self.open_store().forget(conversation)
        except StoreUnavailable as error:
            logger().warning("memory is left to the outbox", reason=str(error))
