"""The event log in the SQLite file of memory, for laptops and tests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from parley.events.chunks import HIGHEST, Chunk, ensure_same, pack_chunk, unpack_chunks
from parley.events.log import TurnEvent
from parley.ids import TurnKey
from parley.memory.sqlite_file import SqliteFile

_APPEND = """
INSERT INTO event_chunks
  (conversation, number, turn_id, first, count, writer, version, expires_at, payload)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (conversation, number, turn_id, first) DO UPDATE SET count = excluded.count,
  writer = excluded.writer, version = excluded.version, expires_at = excluded.expires_at,
  payload = excluded.payload
WHERE event_chunks.expires_at <= ?
"""
_STANDING = """
SELECT writer, payload FROM event_chunks
WHERE conversation = ? AND number = ? AND turn_id = ? AND first = ?
"""
# From the chunk that holds the event after a number, which may be in its middle.
_READ = """
SELECT first, count, writer, version, expires_at, payload FROM event_chunks
WHERE conversation = :conversation AND number = :number AND turn_id = :turn_id
  AND first >= coalesce((
    SELECT max(first) FROM event_chunks
    WHERE conversation = :conversation AND number = :number AND turn_id = :turn_id
      AND first <= :after + 1), 0)
  AND first + count - 1 > :after AND expires_at > :now
ORDER BY first LIMIT :limit
"""
_REMOVE = "DELETE FROM event_chunks WHERE conversation = ? AND number = ? AND turn_id = ?"
# No more at once than a writer can wait for; more than one log leaves, so that it keeps up.
_EXPIRE = """
DELETE FROM event_chunks WHERE rowid IN (
  SELECT rowid FROM event_chunks WHERE expires_at <= ? ORDER BY expires_at LIMIT 5000)
"""


class SqliteEventLog:
    """An `EventLog` in one file that several threads and processes may share.

    Chunks past their time are removed when a log begins.

    Args:
        path: The file. It and its tables are made at first use; its folder has to be there.
        wait_seconds: How long to wait for another process that writes.
    """

    def __init__(self, path: Path, *, wait_seconds: float = 5.0) -> None:
        self._file = SqliteFile(path, wait_seconds)

    def close(self) -> None:
        """Close the connection. A later call opens it again."""
        self._file.close()

    def append(
        self, conversation: str, turn: TurnKey, writer: str, events: Sequence[TurnEvent]
    ) -> None:
        chunk = pack_chunk(writer, events)
        place = (conversation, turn.number, str(turn.id), chunk.first)
        rest = (chunk.count, chunk.writer, chunk.version, chunk.expires_at, chunk.payload)
        now = time.time()
        with self._file.writing() as connection:
            if chunk.first == 1:
                connection.execute(_EXPIRE, (now,))
            if connection.execute(_APPEND, (*place, *rest, now)).rowcount:
                return
            ensure_same(chunk, *connection.execute(_STANDING, place).fetchone())

    def read(
        self, conversation: str, turn: TurnKey, *, after: int = 0, limit: int | None = None
    ) -> list[TurnEvent]:
        after = min(max(after, 0), HIGHEST)
        asked = {
            "conversation": conversation,
            "number": turn.number,
            "turn_id": str(turn.id),
            "after": after,
            "now": time.time(),
            "limit": -1 if limit is None else max(limit, 0),
        }
        with self._file.reading() as connection:
            rows = connection.execute(_READ, asked).fetchall()
        return unpack_chunks(conversation, turn.number, (Chunk(*row) for row in rows), after)

    def remove(self, conversation: str, turn: TurnKey) -> None:
        with self._file.writing() as connection:
            connection.execute(_REMOVE, (conversation, turn.number, str(turn.id)))
