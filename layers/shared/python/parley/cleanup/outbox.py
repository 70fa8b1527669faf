"""The outbox: memory of deleted sessions, removed a second time.

Deleting a session removes its memory at once where the store can be reached. A process that was
dying then may write late, so the conversation is removed again after the longest time that any
invocation can last.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text

from parley.memory.store import AgentSessionStore
from parley.repository.database import Database

_DUE = text("""
SELECT conversation, not_before FROM memory_deletions
WHERE not_before <= now() ORDER BY not_before LIMIT :limit
""")

# A session of the same key cannot come back, but a deletion may have been noted anew meanwhile.
_DONE = text("""
DELETE FROM memory_deletions
WHERE conversation = :conversation AND not_before = :not_before
""")


@dataclass(frozen=True, slots=True)
class Outbox:
    """Removes what the outbox names. Methods block."""

    database: Database
    store: AgentSessionStore

    def drain(self, limit: int) -> int:
        """Remove the memory of at most `limit` conversations that are due, oldest first.

        Returns:
            How many were removed; fewer than `limit` means that no more are due.

        Raises:
            StoreUnavailable: A store cannot serve now; what was not removed stays due.
        """
        due = self.database.run(_DUE, {"limit": limit})
        for row in due:
            self.store.forget(row.conversation)
            self.database.run(
                _DONE, {"conversation": row.conversation, "not_before": row.not_before}
            )
        return len(due)
