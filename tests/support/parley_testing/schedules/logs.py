"""The event logs of turns, read past Parley's code, and what was promised of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from uuid import UUID

from parley.events.chunks import HIGHEST, Chunk, unpack_chunks
from parley.events.log import FINAL, TurnEvent
from parley.events.writer import EventWriter
from parley.ids import TurnKey, conversation_key
from parley.turns.lease import Lease
from parley_testing.schedules.seen import SeenTurn

Place = tuple[UUID, TurnKey]
_ENDS = {"completed": "turn.completed", "failed": "turn.failed", "cancelled": "turn.cancelled"}


@dataclass(frozen=True)
class Written:
    """An event, and who wrote it."""

    event: TurnEvent
    writer: str


@dataclass
class Writers:
    """Who keeps logs, by the name under which they write.

    Attributes:
        event_writers: All that were made, in order.
        logged: Turns of which a first attempt was to keep a log.
    """

    leases: dict[str, Lease] = field(default_factory=dict)
    event_writers: list[tuple[Lease, EventWriter]] = field(default_factory=list)
    logged: set[UUID] = field(default_factory=set)

    def take(self, lease: Lease, event_writer: EventWriter) -> None:
        """Take note of one."""
        self.leases[event_writer._writer] = lease
        self.event_writers.append((lease, event_writer))


class Logs:
    """What the logs of a user's turns held at the last look, which they must go on holding."""

    def __init__(self, memory: Path, user: str, writers: Writers) -> None:
        self._memory, self._user, self._writers = memory, user, writers
        self._known: dict[Place, list[Written]] = {}
        self._shapes: dict[UUID, object] = {}
        self._ahead: set[Place] = set()
        self._restored: set[UUID] = set()

    def look(self, turns: Sequence[SeenTurn]) -> None:
        """See that each log has only grown, and holds what it may."""
        shapes = self._changed()
        for turn in turns:
            place = turn.session_id, TurnKey(turn.number, turn.id)
            if turn.id not in shapes:
                continue
            now = self._read(*place)
            before = self._known.get(place, [])
            if place in self._ahead and now != before:
                self._ahead.discard(place)
                if now[: len(before)] != before:
                    before = self._known[place] = []  # it is begun anew, also if after this look
            assert now[: len(before)] == before, f"the log of {turn.text!r} was changed: {now}"
            if len(now) > len(before):
                self._known[place] = now
                check([each.event for each in now], turn, again=self.told_again(turn))
                self._fenced(now)
                self._flushed(now)
            if turn.attempt <= 1 and turn.id not in self._writers.logged:
                assert not now, f"a log is kept of {turn.text!r}, which is only waited for: {now}"

    def restored(self, turns: Sequence[SeenTurn]) -> None:
        """Take the logs as they are now: a store was restored, and they may know too much."""
        self._changed()
        self._known.clear()
        for turn in turns:
            place = turn.session_id, TurnKey(turn.number, turn.id)
            if now := self._read(*place):
                self._known[place] = now
                self._writers.logged.add(turn.id)
            self._ahead.add(place)
            self._restored.add(turn.id)

    def told_again(self, turn: SeenTurn) -> bool:
        """Whether a number of an attempt may be told twice: a restored store gives it out again."""
        return turn.id in self._restored

    def of(self, turn: SeenTurn) -> list[TurnEvent]:
        """Return what a turn's log held at the last look."""
        place = turn.session_id, TurnKey(turn.number, turn.id)
        # What was there when a store was restored is believed only where Postgres says the same.
        known = [] if place in self._ahead else self._known.get(place, [])
        return [written.event for written in known]

    def _fenced(self, log: Sequence[Written]) -> None:
        newest = 0
        for written in log:
            attempt = self._writers.leases[written.writer].turn.attempt
            assert attempt >= newest, f"attempt {attempt} wrote after attempt {newest} had: {log}"
            if written.event.type == "turn.resumed":
                newest = written.event.data["attempt"]
                assert newest == attempt, f"attempt {attempt} told that {newest} runs"

    def _flushed(self, log: Sequence[Written]) -> None:
        """See that who streamed a reply and completed the turn has told all of it."""
        if log[-1].event.type != "turn.completed":
            return
        reply = next(e.event.data["text"] for e in log if e.event.data.get("message_id"))
        told = text_of([written.event for written in log[:-2]])
        pieces = [each for each in log if each.event.type == "message.delta"]
        # What somebody else has finished he may have told only the beginning of.
        if pieces and told and pieces[-1].writer == log[-1].writer:
            assert told == reply, f"{told!r} was told of {reply!r}"

    def _changed(self) -> set[UUID]:
        """Find the turns whose logs do not look as they did, or are new."""
        with closing(sqlite3.connect(self._memory)) as connection:
            rows = connection.execute(
                "SELECT turn_id, count(*), sum(count), group_concat(writer)"
                " FROM event_chunks GROUP BY turn_id"
            ).fetchall()
        now: dict[UUID, object] = {UUID(row[0]): row[1:] for row in rows}
        before, self._shapes = self._shapes, now
        return {key for key in now.keys() | before.keys() if now.get(key) != before.get(key)}

    def _read(self, session_id: UUID, turn: TurnKey) -> list[Written]:
        key = conversation_key(self._user, session_id)
        with closing(sqlite3.connect(self._memory)) as connection:
            rows = connection.execute(
                "SELECT first, count, writer, version, expires_at, payload FROM event_chunks"
                " WHERE conversation = ? AND turn_id = ? ORDER BY first",
                (key, str(turn.id)),
            ).fetchall()
        return [
            Written(event, chunk.writer)
            for chunk in (Chunk(*row) for row in rows)
            for event in unpack_chunks(key, turn.number, [chunk], 0)
        ]


def check(events: Sequence[TurnEvent], turn: SeenTurn, *, again: bool) -> None:
    """See that these may be the first events of a turn's log, or all of them."""
    told = [f"{event.sequence} {event.type} {dict(event.data)}" for event in events]
    assert not events or events[0].sequence == 1, f"events are numbered so: {told}"
    for event, following in pairwise(events):
        # A restored memory may have lost what was told before a turn waited.
        next_one = following.sequence == event.sequence + 1
        ahead = again and following.sequence > event.sequence
        assert next_one or ahead, f"events are numbered so: {told}"
    assert [n for n, event in enumerate(events) if event.type == "turn.started"] == [0], told
    ends = [n for n, event in enumerate(events) if event.type in FINAL]
    assert ends in ([], [len(events) - 1]), f"something follows the end: {told}"
    resumed = [event.data["attempt"] for event in events if event.type == "turn.resumed"]
    in_order = sorted(resumed if again else set(resumed))
    assert resumed == in_order, f"attempts are told of in this order: {told}"
    assert not resumed or 1 < resumed[0] <= resumed[-1] <= turn.attempt, f"{turn}: {told}"
    for event, following in pairwise(events):
        # Of a turn that is over and whose log a restored memory has lost, little more is made up.
        made_up = again and following.type in ("events.lost", "message.completed")
        goes_on = following.type in ("turn.resumed", *FINAL) or made_up
        assert event.type != "turn.waiting" or goes_on, f"it waits, and goes on: {told}"
    decided = {
        event.data["call_id"]: event.data["decision"]
        for event in events
        if event.type == "approval.decided"
    }
    known = {call_id: each.status for call_id, each in turn.approvals.items()}
    assert decided.items() <= known.items(), f"{known} was decided: {told}"
    called: list[str] = []
    for kind in ("tool.called", "tool.returned"):
        ids = [event.data["call_id"] for event in events if event.type == kind]
        assert len(set(ids)) == len(ids), f"a tool call is told of twice: {told}"
        assert kind == "tool.called" or set(ids) <= set(called), f"returned, not called: {told}"
        called += ids
    _messages(events, told)
    if ends:
        _end(events, turn, told)


def _messages(events: Sequence[TurnEvent], told: object) -> None:
    """See that each message is what was told of it since its last reset, and that it is told once.

    Of a message that was recorded before all of its pieces were told only the beginning may be.
    """
    whole: set[int | None] = set()
    pieces = ""
    for place, event in enumerate(events):
        match event.type:
            case "message.delta":
                before = text_of(events[:place])
                assert event.data["step"] not in whole, f"more of a whole message: {told}"
                pieces = before + event.data["text"]
            case "message.reset":
                assert pieces, f"nothing was told that could be taken back: {told}"
                pieces = ""
            case "message.completed":
                assert event.data["step"] not in whole, f"a message is told of twice: {told}"
                assert event.data["text"].startswith(pieces), f"{pieces!r} is put together: {told}"
                whole.add(event.data["step"])
                pieces = ""


def _end(events: Sequence[TurnEvent], turn: SeenTurn, told: object) -> None:
    end = events[-1]
    assert end.type == _ENDS.get(turn.status), f"the turn is {turn.status}: {told}"
    if turn.status == "completed":
        reply = events[-2]
        assert reply.type == "message.completed", f"no reply comes before the end: {told}"
        assert reply.data["text"] == turn.said["assistant"], f"another reply: {told}"
        assert reply.data["message_id"] == end.data["reply_id"], f"another reply: {told}"
        return
    given = (end.data["code"], end.data["detail"])
    assert given == (turn.error_code, turn.error_detail), f"another reason: {told}"
    assert end.data["interrupted"] == bool(text_of(events[:-1])), f"interrupted? {told}"


def text_of(events: Sequence[TurnEvent]) -> str:
    """Put together what is told of the message that is being written; nothing if none is."""
    text = ""
    for event in events:
        match event.type:
            case "message.delta":
                text += event.data["text"]
            case "message.reset" | "message.completed":
                text = ""
    return text


def whole(
    turn: SeenTurn, events: Sequence[TurnEvent], known: Sequence[TurnEvent], *, again: bool
) -> None:
    """See that what a reader was given of a turn that has ended is its log, with its end."""
    check(events, turn, again=again)
    assert events[-1].type in FINAL, f"no end: {events}"
    there = [event for event in events if not again or event.type != "events.lost"]
    assert there[: len(known)] == known, f"{events} was read of {known}"


def same(
    first: Mapping[int, TurnEvent],
    log: Sequence[TurnEvent],
    after: int,
    turn: SeenTurn,
    *,
    again: bool,
) -> None:
    """See that who followed a turn from some place on saw what its log has."""
    seen = [first[number] for number in sorted(first)]
    there = [event for event in log if event.sequence > after]
    for place, (event, written) in enumerate(zip(seen, there, strict=False)):
        if event.type != "turn.waiting" or event.sequence != written.sequence:
            continue
        calls = {each["call_id"] for each in event.data["approvals"]}
        if written.type == "turn.waiting" and calls <= turn.approvals.keys():
            # Made up, it told of what was open then; who wrote it later, of what was asked, and who
            # cancelled, of nothing.
            there[place] = event
        elif again and written.type == "turn.resumed":
            # A restored database knows of a wait that its log has left behind: it is made up where
            # the log goes on,
            there[place] = event
        elif again and written.type in FINAL:
            # or ends, which is told once more behind all.
            lost, end = seen[-2:]
            assert (lost.type, end) == ("events.lost", replace(written, sequence=HIGHEST))
            there[place:] = [event, lost, end]
            break
    assert seen == there, f"seen after {after}: {seen}, in the log: {log}"
