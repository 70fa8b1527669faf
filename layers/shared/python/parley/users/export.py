"""Exporting a user: all that is kept of them, a page of records at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from pydantic import TypeAdapter

from parley.ids import conversation_key
from parley.memory.store import AgentSessionStore
from parley.repository.belongings import export_sessions, export_tasks, export_turns, own_sessions
from parley.repository.database import Database
from parley.repository.paging import Number, decode, encode
from parley.text import json_line

PAGE_BYTES = 2_000_000
"""About how large a page gets: Lambda takes 6 MB, and the last record may be a long one."""

_ROWS_AT_ONCE = 20

_Part = Literal["sessions", "turns", "tasks", "memory"]
_PARTS: tuple[_Part, ...] = ("sessions", "turns", "tasks", "memory")
_PLACE: TypeAdapter[tuple[_Part, UUID | None, Number | None]] = TypeAdapter(
    tuple[_Part, UUID | None, Number | None]
)
_Place = tuple[_Part, UUID | None, int | None]


@dataclass(frozen=True, slots=True)
class Exported:
    """A page of an export.

    Attributes:
        lines: Records as JSON, one a line, each with its `type`.
        next_cursor: Where the next page starts; None on the last.
    """

    lines: bytes
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Exporter:
    """Exports users. Methods block."""

    database: Database
    open_store: Callable[[], AgentSessionStore]

    def page(self, user_id: str, cursor: str | None, *, left: Callable[[], float]) -> Exported:
        """Give the next page of what is kept of a user; an empty one for who is not known.

        Sessions come first, then turns with their messages and tool calls, tasks, and what the
        agent remembers. What changes meanwhile may be in it as it was or as it is.

        Args:
            user_id: Who.
            cursor: Where the page starts, as the one before said; None for the first.
            left: Gives how many seconds there still are. When there are none the page ends, with
                at least one record or, where the agent remembers nothing, without.

        Raises:
            InvalidField: The cursor is not one of an export.
            StoreUnavailable: A store cannot serve now.
        """
        place: _Place = (_PARTS[0], None, None) if cursor is None else decode(cursor, _PLACE)
        written: list[bytes] = []
        size = 0
        for records, after in self._records(user_id, place):
            lines = [json_line(record) + b"\n" for record in records]
            written += lines
            size += sum(map(len, lines))
            if size >= PAGE_BYTES or left() <= 0:
                return Exported(b"".join(written), encode(after))
        return Exported(b"".join(written), None)

    def _records(
        self, user_id: str, place: _Place
    ) -> Iterator[tuple[list[dict[str, Any]], _Place]]:
        """Give records that belong together, each time with the place after them."""
        part, after, before = place
        for each in _PARTS[_PARTS.index(part) :]:
            if each == "memory":
                yield from self._memory(user_id, after, before)
            else:
                yield from self._rows(user_id, each, after)
            after = before = None

    def _rows(
        self, user_id: str, part: _Part, after: UUID | None
    ) -> Iterator[tuple[list[dict[str, Any]], _Place]]:
        read = {"sessions": export_sessions, "turns": export_turns, "tasks": export_tasks}[part]
        while rows := read(self.database, user_id, after, _ROWS_AT_ONCE):
            for row in rows:
                after = row.id
                yield _told(row._mapping), (part, after, None)

    def _memory(
        self, user_id: str, session_id: UUID | None, before: int | None
    ) -> Iterator[tuple[list[dict[str, Any]], _Place]]:
        if session_id is not None:
            yield from self._remembered(user_id, session_id, before)
        after = session_id
        while sessions := own_sessions(self.database, user_id, after=after, limit=_ROWS_AT_ONCE):
            for session in sessions:
                after = session.id
                yield from self._remembered(user_id, session.id, None)
                # A place past it also where nothing is remembered, so that a page can end here.
                yield [], ("memory", session.id, 1)

    def _remembered(
        self, user_id: str, session_id: UUID, before: int | None
    ) -> Iterator[tuple[list[dict[str, Any]], _Place]]:
        """Give what the agent remembers of a session, the newest turn first."""
        conversation, store = conversation_key(user_id, session_id), self.open_store()
        while turns := store.read_newest(conversation, _ROWS_AT_ONCE, before=before):
            for turn in turns:
                before = turn.number
                record = {
                    "type": "memory",
                    "session_id": session_id,
                    "turn_number": turn.number,
                    "items": None if turn.memory is None else turn.memory.items,
                }
                yield [record], ("memory", session_id, before)


def _told(row: Any) -> list[dict[str, Any]]:
    """Make records of a row, in the order in which they are read best."""
    records = [{"type": name, **row[name]} for name in ("session", "turn", "task") if name in row]
    records += [{"type": "message", **message} for message in row.get("messages", ())]
    records += [{"type": "tool_call", **call} for call in row.get("tool_calls", ())]
    return records
