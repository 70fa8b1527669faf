"""The agent-session store in a SQLite file, for laptops and tests."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from parley.errors import Fenced
from parley.ids import SUMMARY_NUMBER, TurnKey
from parley.memory.bounded import up_to
from parley.memory.codec import pack, pack_memory
from parley.memory.expiry import A_WEEK, TimeToLive
from parley.memory.sqlite_file import SqliteFile
from parley.memory.store import (
    FORMAT_VERSION,
    NO_TURN,
    ClaimedTurn,
    Conversations,
    Held,
    Item,
    MemoryStatistics,
    StoredTurn,
    StoreSize,
    TurnMemory,
)
from parley.memory.versions import readable_memory, readable_record

_UNBOUNDED = 2**63 - 1
_MOST_TURNS = 400  # in one statement; old SQLite takes 999 parameters

_Row = tuple[int, str, int, int | None, int | None, bytes | None]

_FINISHED = (
    "SELECT number, turn_id, attempt, expires_at, version, payload FROM turns"
    " WHERE conversation = ? AND state = 'done'"
)
_ALIVE = "(expires_at IS NULL OR expires_at > ?)"
_THIS = "number = ? AND turn_id = ?"
_CLAIM = """
INSERT INTO turns (conversation, number, turn_id, attempt, state, updated_at, expires_at)
VALUES (?, ?, ?, ?, 'open', ?, ?)
ON CONFLICT (conversation, number, turn_id) DO UPDATE SET attempt = excluded.attempt,
  expires_at = coalesce(turns.expires_at, excluded.expires_at)
WHERE turns.attempt <= excluded.attempt
"""
_TOUCH = """
INSERT INTO turns (conversation, number, turn_id, attempt, state, updated_at, expires_at)
VALUES (?, ?, ?, ?, 'open', ?, ?)
ON CONFLICT (conversation, number, turn_id) DO UPDATE SET updated_at = excluded.updated_at,
  expires_at = excluded.expires_at
WHERE turns.attempt = excluded.attempt AND turns.state = 'open'
"""
_FINISH = """
INSERT INTO turns
  (conversation, number, turn_id, attempt, state, version, items, bytes, updated_at, expires_at,
   payload)
VALUES (?, ?, ?, ?, 'done', ?, ?, ?, ?, ?, ?)
ON CONFLICT (conversation, number, turn_id) DO UPDATE SET state = 'done',
  version = excluded.version, items = excluded.items, bytes = excluded.bytes,
  updated_at = excluded.updated_at, expires_at = excluded.expires_at, payload = excluded.payload
WHERE turns.attempt = excluded.attempt
"""
_DISCARD = """
UPDATE turns SET expires_at = ?
WHERE conversation = ? AND number = ? AND turn_id = ? AND attempt = ? AND state = 'open'
"""
# Of a query with max(), SQLite takes the other bare columns from the row that has the maximum.
_COUNT = """
SELECT count(*), coalesce(sum(items), 0), coalesce(sum(bytes), 0), max(number), updated_at
FROM turns WHERE conversation = ? AND state = 'done' AND number >= ? AND number < ?
  AND (expires_at IS NULL OR expires_at > ?)
"""


_WEIGH = """
SELECT count(*), coalesce(sum(bytes), 0) FROM turns WHERE conversation = ? AND number < ?
"""
_EXPIRED = "SELECT count(*), coalesce(sum(bytes), 0) FROM turns WHERE expires_at <= ?"
_OLDEST_EXPIRED = """
SELECT conversation, number, turn_id, coalesce(bytes, 0) FROM turns
WHERE expires_at <= ? ORDER BY expires_at LIMIT ?
"""
_SIZE = """
SELECT (SELECT count(*) FROM turns), page_count * page_size
FROM pragma_page_count(), pragma_page_size()
"""
# A record has its turn beside it, unless a damaged file lost the one without the other.
_CONVERSATIONS = """
SELECT conversation FROM turns WHERE conversation > :after
UNION SELECT conversation FROM records WHERE conversation > :after
UNION SELECT conversation FROM event_chunks WHERE conversation > :after
ORDER BY conversation LIMIT :limit
"""


class SqliteStore:
    """An `AgentSessionStore` in one file that several threads and processes may share.

    Args:
        path: The file. It and its tables are made at first use; its folder has to be there.
        wait_seconds: How long to wait for another process that writes.
        life: How long memory lives.
    """

    def __init__(self, path: Path, *, wait_seconds: float = 5.0, life: TimeToLive = A_WEEK) -> None:
        self._life = life
        self._file = SqliteFile(path, wait_seconds)

    def close(self) -> None:
        """Close the connection. A later call opens it again."""
        self._file.close()

    def read_newest(
        self,
        conversation: str,
        turns: int | None,
        *,
        before: int | None = None,
        consistent: bool = False,
        max_bytes: int | None = None,
    ) -> list[StoredTurn]:
        bound = _UNBOUNDED if before is None else before
        most = -1 if turns is None else max(turns, 0)
        with self._file.reading() as connection:
            rows = connection.execute(
                f"{_FINISHED} AND number < ? AND {_ALIVE}"
                " ORDER BY number DESC, turn_id DESC LIMIT ?",
                (conversation, bound, time.time(), most),
            )
            return list(up_to(map(self._stored, rows), max_bytes))

    def read(
        self, conversation: str, turns: Sequence[TurnKey], *, max_bytes: int | None = None
    ) -> list[StoredTurn]:
        wanted = sorted(set(turns), reverse=True)
        rows: list[_Row] = []
        with self._file.reading() as connection:
            for start in range(0, len(wanted), _MOST_TURNS):
                batch = wanted[start : start + _MOST_TURNS]
                marks = ", ".join(["(?, ?)"] * len(batch))
                rows += connection.execute(
                    f"{_FINISHED} AND (number, turn_id) IN (VALUES {marks}) AND {_ALIVE}"
                    " ORDER BY number DESC",
                    (
                        conversation,
                        *(value for turn in batch for value in _columns(turn)),
                        time.time(),
                    ),
                ).fetchall()
        return list(up_to(map(self._stored, rows), max_bytes))

    def claim(self, conversation: str, turn: TurnKey, attempt: int) -> ClaimedTurn:
        place = (conversation, *_columns(turn))
        with self._file.writing() as connection:
            opened = (*place, attempt, time.time(), self._life.of_open())
            if not connection.execute(_CLAIM, opened).rowcount:
                raise Fenced(turn.number, attempt)
            row = connection.execute(f"{_FINISHED} AND {_THIS}", place).fetchone()
            records = connection.execute(
                "SELECT position, version, payload FROM records"
                f" WHERE conversation = ? AND {_THIS}",
                place,
            ).fetchall()
        if row is not None:
            return ClaimedTurn(self._stored(row), {})
        return ClaimedTurn(
            None,
            {position: readable_record(version, payload) for position, version, payload in records},
        )

    def record(
        self,
        conversation: str,
        turn: TurnKey,
        attempt: int,
        position: str,
        response: dict[str, Any],
    ) -> None:
        payload = pack(response)
        place = (conversation, *_columns(turn))
        with self._file.writing() as connection:
            touched = (*place, attempt, time.time(), self._life.of_open())
            if not connection.execute(_TOUCH, touched).rowcount:
                raise Fenced(turn.number, attempt)
            connection.execute(
                "INSERT OR REPLACE INTO records"
                " (conversation, number, turn_id, position, version, payload)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (*place, position, FORMAT_VERSION, payload),
            )

    def finish(self, conversation: str, turn: TurnKey, attempt: int, memory: TurnMemory) -> None:
        row = _row(conversation, turn, attempt, memory, self._life.of_finished())
        with self._file.writing() as connection:
            if not connection.execute(_FINISH, row).rowcount:
                raise Fenced(turn.number, attempt)
            _delete_records(connection, conversation, turn)

    def write_back(self, conversation: str, turns: Sequence[StoredTurn]) -> None:
        expires_at = self._life.of_finished()
        with self._file.writing() as connection:
            for each in turns:
                if each.memory is None:
                    continue
                _delete(
                    connection, f"conversation = ? AND {_THIS}", conversation, *_columns(each.turn)
                )
                row = _row(conversation, each.turn, each.attempt, each.memory, expires_at)
                connection.execute(_FINISH, row)

    def discard(self, conversation: str, turn: TurnKey, attempt: int) -> None:
        place = (conversation, *_columns(turn))
        with self._file.writing() as connection:
            discarded = (self._life.of_finished(), *place, attempt)
            if connection.execute(_DISCARD, discarded).rowcount:
                _delete_records(connection, conversation, turn)

    def append(self, conversation: str, memory: TurnMemory) -> int:
        with self._file.writing() as connection:
            (newest,) = connection.execute(
                "SELECT coalesce(max(number), 0) FROM turns WHERE conversation = ?", (conversation,)
            ).fetchone()
            turn = TurnKey(int(newest) + 1, NO_TURN)
            connection.execute(_FINISH, _row(conversation, turn, 1, memory, None))
        return turn.number

    def pop_item(self, conversation: str) -> Item | None:
        with self._file.writing() as connection:
            while True:
                row = connection.execute(
                    f"{_FINISHED} ORDER BY number DESC, turn_id DESC LIMIT 1", (conversation,)
                ).fetchone()
                if row is None:
                    return None
                stored = self._stored(row)
                turn, memory = stored.turn, stored.memory
                if memory is not None and len(memory.items) > 1:
                    rest = replace(memory, items=memory.items[:-1])
                    expires_at = row[3]
                    connection.execute(
                        _FINISH, _row(conversation, turn, stored.attempt, rest, expires_at)
                    )
                else:
                    where = f"conversation = ? AND {_THIS}"
                    _delete(connection, where, conversation, *_columns(turn))
                if memory is not None and memory.items:
                    return memory.items[-1]

    def forget_before(self, conversation: str, number: int) -> Held:
        with self._file.writing() as connection:
            held = _weigh(connection, conversation, number)
            _delete(connection, "conversation = ? AND number < ?", conversation, number)
        return held

    def forget_summaries(self, conversation: str, *, keep: Collection[UUID] = ()) -> None:
        kept = ", ".join("?" * len(keep))
        where = f"conversation = ? AND number = ? AND turn_id NOT IN ({kept})"
        with self._file.writing() as connection:
            _delete(connection, where, conversation, SUMMARY_NUMBER, *map(str, keep))

    def forget(self, conversation: str) -> Held:
        with self._file.writing() as connection:
            held = _weigh(connection, conversation, _UNBOUNDED)
            _delete(connection, "conversation = ?", conversation)
            connection.execute("DELETE FROM event_chunks WHERE conversation = ?", (conversation,))
        return held

    def weigh(self, conversation: str, *, before: int | None = None) -> Held:
        with self._file.reading() as connection:
            return _weigh(connection, conversation, _UNBOUNDED if before is None else before)

    def conversations(self, after: str | None, limit: int) -> Conversations:
        with self._file.reading() as connection:
            asked = {"after": after or "", "limit": limit}
            rows = connection.execute(_CONVERSATIONS, asked).fetchall()
        keys = [key for (key,) in rows]
        return Conversations(keys, keys[-1] if len(keys) == limit else None)

    def statistics(self, conversation: str, *, since: int = 1) -> MemoryStatistics:
        with self._file.reading() as connection:
            turns, items, size, _, written = connection.execute(
                _COUNT, (conversation, since, SUMMARY_NUMBER, time.time())
            ).fetchone()
        last = None if written is None else datetime.fromtimestamp(written, UTC)
        return MemoryStatistics(turns, items, size, last)

    def expired(self) -> Held:
        with self._file.reading() as connection:
            return Held(*connection.execute(_EXPIRED, (time.time(),)).fetchone())

    def remove_expired(self, limit: int) -> Held:
        held = Held()
        with self._file.writing() as connection:
            for *place, size in connection.execute(
                _OLDEST_EXPIRED, (time.time(), limit)
            ).fetchall():
                _delete(connection, f"conversation = ? AND {_THIS}", *place)
                held += Held(1, size)
        return held

    def size(self) -> StoreSize:
        with self._file.reading() as connection:
            return StoreSize(*connection.execute(_SIZE).fetchone())

    def _stored(self, row: _Row) -> StoredTurn:
        number, turn_id, attempt, expires_at, version, payload = row
        turn = TurnKey(number, UUID(turn_id))
        ends_soon = turn.id != NO_TURN and self._life.ends_soon(expires_at)
        return StoredTurn(turn, attempt, readable_memory(version, payload), ends_soon)


def _columns(turn: TurnKey) -> tuple[int, str]:
    return turn.number, str(turn.id)


def _row(
    conversation: str,
    turn: TurnKey,
    attempt: int,
    memory: TurnMemory,
    expires_at: int | None,
) -> tuple[Any, ...]:
    payload = pack_memory(memory)
    return (
        *(conversation, *_columns(turn), attempt),
        *(FORMAT_VERSION, len(memory.items), len(payload), time.time(), expires_at, payload),
    )


def _delete_records(connection: sqlite3.Connection, conversation: str, turn: TurnKey) -> None:
    connection.execute(
        f"DELETE FROM records WHERE conversation = ? AND {_THIS}", (conversation, *_columns(turn))
    )


def _delete(connection: sqlite3.Connection, where: str, *values: str | int) -> int:
    connection.execute(f"DELETE FROM records WHERE {where}", values)
    return connection.execute(f"DELETE FROM turns WHERE {where}", values).rowcount


def _weigh(connection: sqlite3.Connection, conversation: str, before: int) -> Held:
    return Held(*connection.execute(_WEIGH, (conversation, before)).fetchone())
