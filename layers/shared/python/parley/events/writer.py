"""Writing a turn's event log, on behalf of one attempt.

What happens is put down here at once and written a moment later, beside the run: no model and no
tool waits for it. Text is gathered for up to `GATHER_SECONDS` a write; its first piece is not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn, Protocol
from uuid import uuid4

from pydantic_core import to_json

from parley.errors import StoreUnavailable
from parley.events.fanout import FanOut
from parley.events.final import (
    final_events,
    missing_wait,
    open_step,
    spoken,
    started,
    tells_the_end,
    waiting_events,
    was_decided,
)
from parley.events.log import FINAL, EventLog, EventType, PlaceTaken, TurnEvent
from parley.ids import conversation_key
from parley.observability import logger
from parley.repository.approvals import Approval
from parley.repository.tool_calls import Called
from parley.repository.transcript import TurnView
from parley.repository.turns import RunningTurn
from parley.threads import in_thread_with_retry, to_its_end
from parley.timing import LOOK_SECONDS

GATHER_SECONDS = 0.2
"""How long text is gathered before it is written."""

PIECE_LIMIT = 50_000
"""Characters of the longest piece of text; some servers give all of it at once."""

WRITE_LIMIT = 300_000
"""Bytes of the events of one write, unless it is a single one: an item holds little more."""

TOLD_LIMIT = 16_000
"""Characters of a tool call's arguments or output that an event holds."""


class Fence(Protocol):
    """The right of an attempt to its turn, as far as the turn's log is concerned."""

    @property
    def turn(self) -> RunningTurn:
        """The turn, with the number of the attempt."""
        ...

    async def ensure_held(self) -> None:
        """Raise `Fenced` if the turn is another's by now."""
        ...

    async def renew(self) -> None:
        """Hold the turn for another lease, or raise `Fenced`."""
        ...

    def lose(self, error: Exception | None = None) -> NoReturn:
        """End the attempt, which was replaced unless an error is given, and raise why."""
        ...


class EventWriter:
    """Keeps the log of a turn for one attempt. For one event loop."""

    def __init__(
        self,
        log: EventLog,
        fanout: FanOut,
        fence: Fence,
        records: Container[str],
        written: Callable[[], object] = lambda: None,
    ) -> None:
        """Keep what it is about; nothing is read or written yet.

        Args:
            log: Where the events are kept.
            fanout: Who is told that something was written.
            fence: The attempt's, whose events they are.
            records: The positions of the model responses that are recorded.
            written: Is called whenever events are in the log.
        """
        self._written = written
        self._log = log
        self._fanout = fanout
        self._fence = fence
        self._records = records
        turn = fence.turn
        self._place = (conversation_key(turn.user_id, turn.session_id), turn.key)
        self._first = turn.attempt == 1
        self._writer = uuid4().hex
        self._last = 0
        self._taken_over = False
        self._open: int | None = None
        self._begun: int | None = None
        self._void: int | None = None
        self._told: set[tuple[EventType, str]] = set()
        self._pending: list[tuple[EventType, datetime, dict[str, Any]]] = []
        self._happened = asyncio.Event()
        self._writing = asyncio.Lock()
        self._text_written = -GATHER_SECONDS

    async def begin(self, decisions: Iterable[Approval] = ()) -> None:
        """Tell that the attempt runs. From here on no earlier attempt can write to the log.

        Args:
            decisions: What was decided since the turn began.

        Raises:
            Fenced: This attempt was replaced, or the turn is over.
            StoreUnavailable: The log cannot be written now.
        """
        if self._first:
            self._put("turn.started", started(self._fence.turn))
        else:
            decisions = list(decisions)
            await self._take_over(decisions, anew=True)
        for decision in decisions:
            if self._once("approval.decided", decision.call_id):
                self._put("approval.decided", was_decided(decision))

    def delta(self, step: int, text: str) -> None:
        """Put a piece of a message down."""
        if self._void == step:
            self._put("message.reset", {"step": step})
        self._void, self._begun = None, step
        for first in range(0, len(text), PIECE_LIMIT):
            piece = text[first : first + PIECE_LIMIT]
            self._put("message.delta", {"step": step, "text": piece})

    def void(self, step: int) -> None:
        """Note that a message failed: if it is written anew, what was told of it is taken back."""
        if step in (self._open, self._begun):
            self._void = step

    def said(self, step: int, text: str) -> None:
        """Put a whole message down that is not the reply, once."""
        if self._once("message.completed", str(step)):
            self._put(*spoken(text, step=step, message_id=None))

    def called(self, call: Called, within: str | None) -> None:
        """Put a tool call down, once."""
        if self._once("tool.called", call.call_id):
            told = {"arguments": call.arguments[:TOLD_LIMIT], "within": within}
            self._put("tool.called", {"call_id": call.call_id, "name": call.name, **told})

    def returned(self, call: Called, output: Any, within: str | None) -> None:
        """Put down what a tool answered, once."""
        if self._once("tool.returned", call.call_id):
            told = {"output": _shortened(output), "within": within}
            self._put("tool.returned", {"call_id": call.call_id, "name": call.name, **told})

    async def keep(self) -> NoReturn:
        """Write what happens, until cancelled.

        Raises:
            Fenced: This attempt was replaced, or the turn is over.
            StoreUnavailable: The log cannot be written now.
        """
        while True:
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._happened.wait()
            except TimeoutError:
                await self._look()
                continue
            gathering = self._text_written + GATHER_SECONDS - time.monotonic()
            if gathering > 0 and all(kind == "message.delta" for kind, _, _ in self._pending):
                await asyncio.sleep(gathering)
            # A write that is cut short would leave open whether its events are in the log.
            await to_its_end(asyncio.ensure_future(self._write()))

    async def settle(self, decisions: Iterable[Approval] = ()) -> int:
        """Write what has happened so far, before the turn's end is told to Postgres.

        An attempt that only ends what another began takes the log over first: were more written
        behind an end that a reader has made up, the next reader would be given another log.

        Args:
            decisions: What was decided since the turn began.

        Returns:
            The number of the event that comes next.

        Raises:
            Fenced: This attempt was replaced, or the turn is over.
            StoreUnavailable: The log cannot be written now.
        """
        turn = self._fence.turn
        if not self._first and not turn.cancel_requested:  # nobody carries that on
            await self._take_over(decisions, anew=False)
        while self._pending:
            await self._write()
        return self._last + 1

    async def end(self, view: TurnView) -> None:
        """Write how the turn ended, which Postgres has been told already.

        If the log cannot be written, who follows the turn makes the end up from Postgres.
        """
        try:
            while True:
                events = final_events(view, after=self._last, interrupted=self._open is not None)
                if await self._append(events):
                    return
                told = [event for event in await self._read_on() if event.type in FINAL]
                if told and tells_the_end(told[-1], view):
                    return
                if told:
                    await self._clear()
        except StoreUnavailable as error:
            logger().warning("the end of a turn was not told", reason=str(error))

    async def pause(self, view: TurnView) -> None:
        """Write that the turn waits, which Postgres has been told already.

        If the log cannot be written, who follows the turn makes it up from Postgres. If somebody
        has the turn already, who goes on with it, nothing is to be told any more.
        """
        try:
            await self._append(waiting_events(view, after=self._last))
        except StoreUnavailable as error:
            logger().warning("that a turn waits was not told", reason=str(error))

    async def _take_over(self, decisions: Iterable[Approval], *, anew: bool) -> None:
        """Tell that this attempt has the turn now; before that, if nobody has, that it waited.

        Args:
            decisions: What was decided since the turn began.
            anew: Whether text that was not recorded is written anew.
        """
        turn = self._fence.turn
        while not self._taken_over:
            if any(self._stops(event) for event in await self._read_on()):
                await self._begin_anew()
            self._pending.clear()
            if not await self._make_good(decisions):
                continue
            self._put("turn.resumed", {"attempt": turn.attempt})
            if anew and self._open is not None and str(self._open) not in self._records:
                self._put("message.reset", {"step": self._open})
            while self._pending and (written := await self._write(fenced=False)):
                self._taken_over = written and not self._pending

    async def _make_good(self, decisions: Iterable[Approval]) -> bool:
        """Put down what is made up for who comes while the log lacks it: the start, and the wait.

        Returns:
            False if another's events are in their place, which are to be read first.
        """
        turn = self._fence.turn
        if self._last == 0:
            self._put("turn.started", started(turn), turn.started_at)
        told = self._last + len(self._pending)
        for waited in missing_wait(turn, after=told, approvals=decisions):
            if told + 1 < waited.sequence:  # what stood between is gone: its numbers are nobody's
                if not await self._write(fenced=False):
                    return False
                self._last = waited.sequence - 1
            self._put(waited.type, dict(waited.data), waited.at)
        return True

    async def _begin_anew(self) -> None:
        """Remove a log that tells of what Postgres does not know any more.

        Postgres knows of an end, and of a later attempt, before the log does. If by its account
        this attempt still has the turn, it was restored to a moment before them.

        Raises:
            Fenced: It has not: this attempt was replaced, or the turn is over.
            StoreUnavailable: A store cannot serve now.
        """
        await self._fence.renew()
        await self._clear()
        turn = self._fence.turn
        logger().warning(
            "the log of a turn was begun anew: it knew more than the database, which was restored",
            turn_id=str(turn.id),
            attempt=turn.attempt,
        )

    async def _clear(self) -> None:
        await in_thread_with_retry(self._log.remove, *self._place)
        self._last, self._open = 0, None
        self._told.clear()

    def _once(self, kind: EventType, what: str) -> bool:
        """Return whether this is the first time, over all attempts, that this is told."""
        if (kind, what) in self._told:
            return False
        self._told.add((kind, what))
        return True

    def _put(self, kind: EventType, data: dict[str, Any], at: datetime | None = None) -> None:
        if kind == "message.delta" and self._pending:
            before, _, earlier = self._pending[-1]
            same = before == kind and earlier["step"] == data["step"]
            if same and len(earlier["text"]) + len(data["text"]) <= PIECE_LIMIT:
                earlier["text"] += data["text"]
                return
        self._pending.append((kind, at or datetime.now(UTC), data))
        self._happened.set()

    async def _write(self, *, fenced: bool = True) -> bool:
        """Write what is pending, or as much of it as goes into one write.

        Args:
            fenced: Whether another's events in its place mean that this attempt was replaced.

        Returns:
            False if another's events are in its place.
        """
        async with self._writing:
            events = self._next_events()
            if not events:
                return True
            await self._fence.ensure_held()
            try:
                written = await self._append(events)
            except StoreUnavailable as error:
                self._fence.lose(error)
            if not written and fenced:
                if self._last > 0:
                    self._replaced()
                await self._begin_anew()
                written = await self._append(events)
            if any(event.type == "message.delta" for event in events):
                self._text_written = time.monotonic()
            return written

    def _next_events(self) -> list[TurnEvent]:
        events: list[TurnEvent] = []
        size = 0
        for kind, at, data in self._pending:
            size += len(to_json(data))
            if events and size > WRITE_LIMIT:
                break
            events.append(TurnEvent(self._last + 1 + len(events), kind, at, data))
        del self._pending[: len(events)]
        if not self._pending:
            self._happened.clear()
        return events

    async def _append(self, events: Sequence[TurnEvent]) -> bool:
        for chunk in _without_gaps(events):
            try:
                await in_thread_with_retry(self._log.append, *self._place, self._writer, chunk)
            except PlaceTaken:
                return False
            self._take_in(chunk)
            self._fanout.publish(self._fence.turn.id, chunk)
            self._written()
        return True

    async def _look(self) -> None:
        """Look whether somebody has taken the turn over, or stopped it."""
        async with self._writing:
            if await in_thread_with_retry(self._log.read, *self._place, after=self._last, limit=1):
                self._replaced()

    def _replaced(self) -> NoReturn:
        self._fence.lose()

    def _stops(self, event: TurnEvent) -> bool:
        if event.type == "turn.resumed":
            return bool(event.data["attempt"] > self._fence.turn.attempt)
        return event.type in FINAL

    async def _read_on(self) -> list[TurnEvent]:
        """Read what others have written."""
        events = await in_thread_with_retry(self._log.read, *self._place, after=self._last)
        self._take_in(events)
        return events

    def _take_in(self, events: Sequence[TurnEvent]) -> None:
        self._open = open_step(events, self._open)
        for event in events:
            self._last = event.sequence
            match event.type:
                case "tool.called" | "tool.returned" | "approval.decided":
                    self._told.add((event.type, event.data["call_id"]))
                case "message.completed":
                    self._told.add((event.type, str(event.data["step"])))


def _without_gaps(events: Sequence[TurnEvent]) -> Iterator[Sequence[TurnEvent]]:
    """Part events wherever numbers are missing between them."""
    first = 0
    for n in range(1, len(events) + 1):
        if n == len(events) or events[n].sequence != events[n - 1].sequence + 1:
            yield events[first:n]
            first = n


def _shortened(output: Any) -> Any:
    text = output if isinstance(output, str) else to_json(output).decode()
    return output if len(text) <= TOLD_LIMIT else text[:TOLD_LIMIT]
