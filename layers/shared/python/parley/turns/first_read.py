"""What is read of a session's memory before its turn is carried out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from uuid import UUID

from parley.ids import conversation_key
from parley.memory.store import AgentSessionStore, StoredTurn
from parley.observability import memory_read
from parley.threads import in_thread_with_retry


async def read_newest(
    store: AgentSessionStore, user_id: str, session_id: UUID, window: int, max_bytes: int
) -> Sequence[StoredTurn]:
    """Read a session's newest turns, newest first, and measure how long that takes.

    Args:
        store: Where memory is.
        user_id: Whose session it is.
        session_id: The session.
        window: How many turns to read at most.
        max_bytes: No more turns once their items come to more bytes of JSON.

    Raises:
        StoreUnavailable: The store cannot serve now.
    """
    started = time.monotonic()
    read = await in_thread_with_retry(
        store.read_newest, conversation_key(user_id, session_id), window, max_bytes=max_bytes
    )
    memory_read(time.monotonic() - started)
    return read
