"""The outbox: memory that must still be removed, of sessions that were deleted or moved.

Deleting a session removes its memory at once where the store can be reached. A process that was
dying then may write late, so the conversation is removed again after the longest time that any
invocation can last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, text

from parley.errors import StoreUnavailable
from parley.memory.store import AgentSessionStore
from parley.observability import logger, traced
from parley.repository.database import Database
from parley.repository.scope import SERVICE

_DUE = text("""
SELECT conversation, not_before, below FROM memory_deletions
WHERE not_before <= now() ORDER BY not_before LIMIT :limit
""")

# A session of the same key cannot come back, but a deletion may have been noted anew meanwhile.
_DONE = text("""
DELETE FROM memory_deletions
WHERE conversation = :conversation AND not_before = :not_before
""")

_LATER = text("""
UPDATE memory_deletions SET not_before = now() + interval '1 hour'
WHERE conversation = :conversation AND not_before = :not_before
""")

_SETTLED = text("""
DELETE FROM memory_deletions
WHERE conversation = ANY(CAST(:conversations AS text[])) AND not_before <= now()
""")


@dataclass(frozen=True, slots=True)
class Outbox:
    """Removes what the outbox names. Methods block."""

    database: Database
    store: AgentSessionStore

    def drain(self, limit: int) -> int:
        """Remove the memory of at most `limit` conversations that are due, oldest first.

        One that cannot be removed is logged and left for an hour; it keeps no other from it.

        Returns:
            How many were come to; fewer than `limit` means that no more are due.

        Raises:
            StoreUnavailable: A store cannot serve now; what was not removed stays due.
        """
        expired = self.database.run(SERVICE, _DUE, {"limit": limit})
        for row in expired:
            place = {"conversation": row.conversation, "not_before": row.not_before}
            self.database.run(SERVICE, _DONE if self._removed(row) else _LATER, place)
        return len(expired)

    def _removed(self, row: Row[Any]) -> bool:
        try:
            if row.below is None:
                self.store.forget(row.conversation)
            else:  # left by a version whose retention came to each session
                self.store.forget_before(row.conversation, row.below)
        except StoreUnavailable:
            raise  # it would fail for the next as well
        except Exception as error:
            logger().error("a conversation's memory could not be removed", **traced(error))
            return False
        return True


def settle(database: Database, conversations: Sequence[str]) -> None:
    """Take conversations out whose memory has been removed, unless they are to be removed again.

    Raises:
        StoreUnavailable: Postgres cannot serve now; they are removed once more, which is harmless.
    """
    if conversations:
        database.run(SERVICE, _SETTLED, {"conversations": list(conversations)})
