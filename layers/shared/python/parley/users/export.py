"""Exporting a user: all that is kept of them, a page of records at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal
from uuid import UUID

from pydantic import TypeAdapter
from pydantic_core import to_json

from parley.errors import InvalidField
from parley.events.log import EventLog
from parley.ids import SUMMARY_NUMBER, conversation_key
from parley.memory.store import AgentSessionStore
from parley.repository.database import Database
from parley.repository.paging import Number, decode, encode
from parley.repository.project_tables import Place, export_rows
from parley.repository.scope import OfUser
from parley.repository.usage import export_usage
from parley.repository.user_data import (
    LoggedTurn,
    export_budget,
    export_limits,
    export_sessions,
    export_turns,
    logged_turns,
    own_sessions,
)
from parley.text import as_line, json_line
from parley.timing import KEPT_SECONDS
from parley.user_tables import NotOfUsers, UserData, UserTable, kept_of_users

PAGE_BYTES = 2_000_000
"""About how large a page gets, in a string of JSON as Lambda takes it: 6 MB, and the last line may
be a long one."""

LINE_BYTES = 2_000_000
PART_CHARS = 300_000
"""How long a line may be, so, and how many characters of a longer record stand in each of several
lines: none takes more than 13 bytes there."""

_ROWS_AT_ONCE = 20
_ALL_TURNS = 2**31 - 1
_TURNS_AT_ONCE = 2  # the outputs of one's tools may come to many megabytes
_WRITTEN_LATE_SECONDS = 3600

_Part = Literal["sessions", "turns", "usage", "limits", "project", "memory", "events"]
_PARTS: tuple[_Part, ...] = ("sessions", "turns", "usage", "limits", "project", "memory", "events")
_Place = tuple[_Part, UUID | None, Number | None]
# In what the project keeps: the name of what, and behind which row of it.
_ProjectPlace = tuple[Literal["project"], str, Place]
# Of a page that ends among records which belong together: where these begin and end, how many of
# them were told, and how many parts of the next one.
_Among = tuple[_Place | _ProjectPlace, _Place | _ProjectPlace, tuple[Number, Number]]
_CURSOR: TypeAdapter[_Place | _ProjectPlace | _Among] = TypeAdapter(_Place | _ProjectPlace | _Among)
# Records that belong together, as objects or as JSON, each time with the place after them.
_Records = Iterator[tuple[Sequence[dict[str, Any] | str], _Place | _ProjectPlace]]


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
    open_log: Callable[[], EventLog]

    def page(self, user_id: str, cursor: str | None, *, left: Callable[[], float]) -> Exported:
        """Return the next page of what is kept of a user; an empty one for who is not known.

        Sessions come first, then turns with their messages and tool calls, what they came to by
        day, what is counted for limits and a budget of their own, what the project keeps, what the
        agent remembers, and the events of turns, which are kept for a day: only there is what was
        said in a turn that did not come to its reply. What changes meanwhile may be in it as it was
        or as it is. A record that is too long for one line is told in several of type `part`, one
        after the other, whose texts together are its line.

        Args:
            user_id: Who.
            cursor: Where the page starts, as the one before said; None for the first.
            left: Gives how many seconds there still are. When there are none the page ends, with
                at least one record or, where the agent remembers nothing, without.

        Raises:
            InvalidField: The cursor is not one of an export.
            StoreUnavailable: A store cannot serve now.
        """
        place, within, told = _read(cursor)
        written: list[bytes] = []
        size = 0
        for records, after in self._records(user_id, place):
            # If those are gone, others stand there, of which none was told.
            first, parts = told if after == within else (0, 0)
            for number, record in enumerate(records[first:], first + 1):
                lines = _lines(record)
                for part, line in enumerate(lines[parts:], parts + 1):
                    written.append(line)
                    size += len(to_json(line.decode()))
                    ended = part == len(lines)
                    if size >= PAGE_BYTES and not (ended and number == len(records)):
                        so_far = (number, 0) if ended else (number - 1, part)
                        return Exported(b"".join(written), encode((place, after, so_far)))
                parts = 0
            if size >= PAGE_BYTES or left() <= 0:
                return Exported(b"".join(written), encode(after))
            place = after
        return Exported(b"".join(written), None)

    def _records(self, user_id: str, place: _Place | _ProjectPlace) -> _Records:
        # Where an earlier page ended, in its own part; the others are given from their start.
        after, before, kept, row = None, None, None, None
        if isinstance(place[1], str) and isinstance(place[2], tuple):
            kept, row = place[1], place[2]
        elif not isinstance(place[1], str) and not isinstance(place[2], tuple):
            after, before = place[1], place[2]
        for each in _PARTS[_PARTS.index(place[0]) :]:
            if each == "limits":
                counted = export_limits(self.database, user_id)
                budget = export_budget(self.database, user_id)
                yield (
                    [
                        *({"type": "limits", **row.limits} for row in counted),
                        *({"type": "budget", **row.budget} for row in budget),
                    ],
                    ("project", None, None),
                )
            elif each == "project":
                yield from self._project(user_id, kept, row)
            elif each == "memory":
                yield from self._memory(user_id, after, before)
            elif each == "events":
                yield from self._events(user_id, after, before)
            elif each == "usage":
                if before is None:
                    rows = export_usage(self.database, user_id)
                    yield [{"type": "usage", **row.usage} for row in rows], ("usage", None, 1)
            else:
                yield from self._rows(user_id, each, after)
            after = before = None

    def _rows(self, user_id: str, part: _Part, after: UUID | None) -> _Records:
        read = {"sessions": export_sessions, "turns": export_turns}[part]
        limit = _TURNS_AT_ONCE if part == "turns" else _ROWS_AT_ONCE
        while rows := read(self.database, user_id, after, limit):
            for row in rows:
                after = row.id
                yield _told(row._mapping), (part, after, None)

    def _project(self, user_id: str, name: str | None, after: Place | None) -> _Records:
        """Yield what the project keeps of the user, from behind a row of it on."""
        all_kept = kept_of_users()
        names = [kept.name for kept in all_kept]
        if name is not None and name not in names:
            raise InvalidField("cursor", "is of what the project keeps no more")
        for kept in all_kept[names.index(name) if name is not None else 0 :]:
            match kept:
                case UserTable():
                    while rows := export_rows(self.database, user_id, kept, after, _ROWS_AT_ONCE):
                        for row in rows:
                            after = row.place
                            yield [row.line], ("project", kept.name, after)
                case UserData():
                    yield from self._told_by_project(user_id, kept, after)
                case NotOfUsers():
                    pass
            after = None

    def _told_by_project(self, user_id: str, kept: UserData, after: Place | None) -> _Records:
        if after is not None and not (len(after) == 1 and after[0].isdecimal()):
            raise InvalidField("cursor", "is not a cursor that this list gave")
        told = int(after[0]) if after is not None else 0
        with self.database.transaction(OfUser(user_id)) as connection:
            records = list(islice(kept.export(connection, user_id), told, None))
        for record in records:
            told += 1
            line = {"type": "row", "table": kept.name, "row": dict(record)}
            yield [line], ("project", kept.name, (str(told),))

    def _memory(self, user_id: str, session_id: UUID | None, before: int | None) -> _Records:
        if session_id is not None:
            yield from self._remembered(user_id, session_id, before)
        after = session_id
        while sessions := own_sessions(self.database, user_id, after=after, limit=_ROWS_AT_ONCE):
            for session in sessions:
                after = session.id
                yield from self._remembered(user_id, session.id, None)
                # A place past it also where nothing is remembered, so that a page can end here.
                yield [], ("memory", session.id, 1)

    def _remembered(self, user_id: str, session_id: UUID, before: int | None) -> _Records:
        """Yield what the agent remembers of a session, the newest turn first."""
        conversation, store = conversation_key(user_id, session_id), self.open_store()
        while turns := store.read_newest(conversation, _ROWS_AT_ONCE, before=before):
            told = [each for each in turns if each.number == SUMMARY_NUMBER]
            if told:  # the one that counts, and perhaps the one before
                before = _ALL_TURNS
                records = [
                    {
                        "type": "summary",
                        "session_id": session_id,
                        "text": None if each.memory is None else each.memory.reply,
                    }
                    for each in told
                ]
                yield records, ("memory", session_id, before)
            for turn in turns[len(told) :]:
                before = turn.number
                record = {
                    "type": "memory",
                    "session_id": session_id,
                    "turn_number": turn.number,
                    "items": None if turn.memory is None else turn.memory.items,
                }
                yield [record], ("memory", session_id, before)

    def _events(self, user_id: str, turn_id: UUID | None, told: int | None) -> _Records:
        again = told is not None
        while turns := logged_turns(
            self.database,
            user_id,
            turn_id,
            _ROWS_AT_ONCE,
            again=again,
            # The last events are written when the turn has ended.
            within=KEPT_SECONDS + _WRITTEN_LATE_SECONDS,
        ):
            for turn in turns:
                after = told if again and turn.key.id == turn_id and told is not None else 0
                yield from self._happened(user_id, turn, after)
            turn_id, again = turns[-1].key.id, False

    def _happened(self, user_id: str, turn: LoggedTurn, after: int) -> _Records:
        """Yield what happened in a turn, as far as it is still kept."""
        conversation, log = conversation_key(user_id, turn.session_id), self.open_log()
        while events := log.read(conversation, turn.key, after=after, limit=_ROWS_AT_ONCE):
            for event in events:
                after = event.sequence
                record = {
                    "type": "event",
                    "session_id": turn.session_id,
                    "turn_id": turn.key.id,
                    "sequence": event.sequence,
                    "event": event.type,
                    "at": event.at,
                    "data": event.data,
                }
                yield [record], ("events", turn.key.id, after)
        # A place past it also where nothing is kept, so that a page can end here.
        yield [], ("events", turn.key.id, None)


def _read(
    cursor: str | None,
) -> tuple[_Place | _ProjectPlace, _Place | _ProjectPlace | None, tuple[int, int]]:
    """Return the place at which a page starts, and what was told up to another place."""
    if cursor is None:
        return (_PARTS[0], None, None), None, (0, 0)
    found = decode(cursor, _CURSOR)
    return found if isinstance(found[0], tuple) else (found, None, (0, 0))


def _lines(record: dict[str, Any] | str) -> list[bytes]:
    """Write a record as one line, or as several if it is too long."""
    line = as_line(record) if isinstance(record, str) else json_line(record)
    if len(to_json(line.decode())) <= LINE_BYTES:
        return [line + b"\n"]
    text = line.decode()
    texts = [text[first : first + PART_CHARS] for first in range(0, len(text), PART_CHARS)]
    part = {
        "type": "part",
        "of": "row" if isinstance(record, str) else record["type"],
        "parts": len(texts),
    }
    return [
        json_line({**part, "number": number, "text": each}) + b"\n"
        for number, each in enumerate(texts, 1)
    ]


def _told(row: Any) -> list[dict[str, Any]]:
    """Make records of a row, in the order in which they are read best."""
    records = [{"type": name, **row[name]} for name in ("session", "turn") if name in row]
    records += [{"type": "message", **message} for message in row.get("messages", ())]
    records += [{"type": "tool_call", **call} for call in row.get("tool_calls", ())]
    records += [{"type": "approval", **each} for each in row.get("approvals", ())]
    return records
