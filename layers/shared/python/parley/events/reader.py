"""Following a turn: its events as they come, for any number of readers in any process."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable, Sequence
from contextvars import Context
from typing import Protocol
from uuid import UUID

from parley.errors import StoreUnavailable
from parley.events.fanout import FanOut
from parley.events.final import (
    final_events,
    interrupted,
    last_of_all,
    tells_the_end,
    waiting_events,
)
from parley.events.log import FINAL, EventLog, TurnEvent
from parley.ids import TurnKey, conversation_key
from parley.observability import logger
from parley.repository.streams import Place
from parley.repository.transcript import Transcript, TurnView
from parley.threads import in_thread, in_thread_with_retry
from parley.timing import ASK_SECONDS, QUIET_SECONDS, WAKE_SECONDS

BEAT_SECONDS = 15.0
"""How long nothing happens before who follows is told so."""

_MOVES = ("queued", "running")
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 1.0


class Wakes(Protocol):
    """Has a worker look at a session."""

    async def wake(self, session_id: UUID, *, user_id: str) -> bool:
        """Ask for it, and tell whether the queue has taken that."""
        ...


class Follower:
    """Gives a turn's events to those who follow it. For one event loop.

    However many follow a turn here, its log is read once for all of them: they neither slow each
    other nor the turn.
    """

    def __init__(
        self,
        open_log: Callable[[], EventLog],
        transcript: Transcript,
        fanout: FanOut,
        waker: Wakes | None = None,
        *,
        beat_seconds: float = BEAT_SECONDS,
    ) -> None:
        """Keep what is needed to follow; nothing is opened yet.

        Args:
            open_log: Gives the event log when it is first wanted.
            transcript: Tells of turns that have ended.
            hub: Tells what this process writes to logs.
            waker: Wakes a worker, where there is one.
            beat_seconds: How long nothing happens before who follows is told so.
        """
        self._open_log = open_log
        self._transcript = transcript
        self._fanout = fanout
        self._waker = waker
        self._beat_seconds = beat_seconds
        self._tails: dict[UUID, _Tail] = {}

    async def find(
        self, user_id: str, session_id: UUID, turn_id: UUID, place: Place | None = None
    ) -> TurnView:
        """Look at a turn.

        Args:
            user_id: Whose it is.
            session_id: Its session.
            turn_id: The turn.
            place: To be taken for the stream that is to tell it.

        Raises:
            NotFound: There is no such turn in a session of this user's.
            LimitReached: The user holds as many streams as one may.
            StoreUnavailable: Postgres cannot serve now.
        """
        return await in_thread(self._transcript.turn, user_id, session_id, turn_id, place=place)

    async def find_open(
        self,
        user_id: str,
        key: str,
        session_id: UUID | None,
        place: Place | None = None,
        agent: str | None = None,
    ) -> TurnView | None:
        """Look at the open turn that comes first in a session that its key or its id names.

        Args:
            user_id: Whose it is.
            key: The idempotency key that the session was made with.
            session_id: Or its id.
            place: As with `find`.
            agent: Whose the session must be to be known by its id; None if any will do.

        Returns:
            None if there is none, or no such session of this user's.

        Raises:
            LimitReached: The user holds as many streams as one may.
            StoreUnavailable: Postgres cannot serve now.
        """
        return await in_thread(
            self._transcript.open_turn, user_id, key, session_id, place=place, agent=agent
        )

    async def follow(
        self, view: TurnView, *, after: int, seconds: float, caught_up: bool = False
    ) -> AsyncGenerator[TurnEvent | None, None]:
        """Yield a turn's events, each once and in order, until its last, or until it waits.

        Of one that is queued behind a turn that waits there are none, and it ends at once.

        Events that the log lacks at its end are made up from what Postgres knows.

        Args:
            view: The turn, as `find` gave it.
            after: Only events with a greater sequence number.
            seconds: How long to wait for events; what is there is given in any case.
            caught_up: Whether to tell when all is told that the log held, by None.

        Yields:
            The events; None when the log could be read and tells nothing yet, and whenever nothing
            has happened for a while.

        Raises:
            NotFound: The turn was deleted meanwhile.
            StoreUnavailable: The log cannot be read now; following again goes on.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        tail = self._join(view, after)
        told = False
        try:
            while True:
                # Taken before the look, so that nothing that comes meanwhile is missed.
                changed, over, read = tail.changed, tail.over, tail.read
                for event in tail.after(after):
                    told = told or not caught_up
                    yield event
                    if event.type in FINAL:
                        return
                    after = event.sequence
                    await asyncio.sleep(0)  # others have their turn during a long replay
                if over:
                    tail.check()
                    return
                if read and not told:
                    told = True
                    yield None
                    continue
                left = end - loop.time()
                if left <= 0:
                    return
                try:
                    async with asyncio.timeout(min(left, self._beat_seconds)):
                        await changed.wait()
                except TimeoutError:
                    if loop.time() < end:
                        yield None
        finally:
            await self._leave(tail)

    def _join(self, view: TurnView, after: int) -> _Tail:
        tail = self._tails.get(view.turn.id)
        # What is left of a turn that is over depends on what its reader has seen.
        another = view.turn.ended_at is not None and tail is not None and tail.begins_after != after
        if tail is None or tail.may_be_over or tail.begins_after > after or another:
            tail = _Tail(self._open_log(), self._transcript, self._fanout, self._waker, view, after)
            self._tails[view.turn.id] = tail
        tail.readers += 1
        return tail

    async def _leave(self, tail: _Tail) -> None:
        tail.readers -= 1
        if tail.readers > 0:
            return
        if self._tails.get(tail.turn_id) is tail:
            del self._tails[tail.turn_id]
        await tail.stop()


class _Tail:
    """What is read of one turn's log from some place on, by one task for all its readers.

    Attributes:
        begins_after: The sequence number after which it begins.
        readers: How many follow it.
        read: Whether the log could be read.
        over: Whether nothing more will come.
        changed: Set when something has come, or was looked for; another one stands here then.
    """

    def __init__(
        self,
        log: EventLog,
        transcript: Transcript,
        fanout: FanOut,
        waker: Wakes | None,
        view: TurnView,
        after: int,
    ) -> None:
        turn = view.turn
        self.turn_id = turn.id
        self.begins_after = after
        self.readers = 0
        self.read = False
        self.over = False
        self.changed = asyncio.Event()
        self._log = log
        self._place = (
            conversation_key(turn.user_id, turn.session_id),
            TurnKey(turn.number, turn.id),
        )
        self._transcript = transcript
        self._fanout = fanout
        self._waker = waker
        self._view = view
        self._events: list[TurnEvent] = []
        # It reads for all, so nothing of the request that comes first is in its logs and traces.
        self._task = asyncio.get_running_loop().create_task(
            self._read_to_the_end(), context=Context()
        )

    def after(self, sequence: int) -> list[TurnEvent]:
        """Return what has come so far after a sequence number."""
        return self._events[bisect_right(self._events, sequence, key=_sequence) :]

    def check(self) -> None:
        """Raise what ended the reading, if it was an error."""
        error = self._task.exception() if self._task.done() else None
        if error is not None:
            raise error

    async def stop(self) -> None:
        """Read no further."""
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.exception()  # who read it was told

    @property
    def may_be_over(self) -> bool:
        """Whether nothing more may come: also while it is looked for whether a turn still waits.

        Who comes after a decision may come before that look is done, and wants what follows.
        """
        waits = bool(self._events) and self._events[-1].type == "turn.waiting"
        return self.over or waits or self._view.behind_waiting

    @property
    def _last(self) -> int:
        return self._events[-1].sequence if self._events else self.begins_after

    async def _read_to_the_end(self) -> None:
        try:
            await self._read_on()
        finally:
            self.over = True
            self._notify()

    async def _read_on(self) -> None:
        clock = asyncio.get_running_loop().time
        pause = _FIRST_PAUSE
        # Of a turn that has ended or waits, what the log lacks will not come.
        ask_at = clock() + (QUIET_SECONDS if self._moves else 0)
        wake_at = clock() + WAKE_SECONDS
        published: Sequence[TurnEvent] = ()
        with self._fanout.subscribe(self.turn_id) as subscription:
            while True:
                came = self._next_of(published) or await in_thread_with_retry(
                    self._log.read, *self._place, after=self._last
                )
                if came and came[-1].type in FINAL and not await self._ends_so(came[-1]):
                    came = ()
                if came:
                    self._take(came)
                    if came[-1].type in FINAL:
                        return
                    if came[-1].type == "turn.waiting" and await self._is_over():
                        return
                    pause, ask_at = _FIRST_PAUSE, max(ask_at, clock() + QUIET_SECONDS)
                    wake_at = clock() + WAKE_SECONDS
                else:
                    pause = min(2 * pause, _LONGEST_PAUSE)
                if self._view.turn.ended_at is not None or clock() >= ask_at:
                    if await self._is_over():
                        return
                    ask_at = clock() + ASK_SECONDS
                    if self._waker is not None and clock() >= wake_at:
                        turn = self._view.turn
                        await self._waker.wake(turn.session_id, user_id=turn.user_id)
                        wake_at = clock() + WAKE_SECONDS
                if not self.read:
                    self.read = True
                    self._notify()
                published = await subscription.take(pause)

    @property
    def _moves(self) -> bool:
        return self._view.turn.status in _MOVES and not self._view.behind_waiting

    def _next_of(self, published: Sequence[TurnEvent]) -> Sequence[TurnEvent]:
        """Return what comes next of what this process wrote; nothing behind a gap."""
        new = [event for event in published if event.sequence > self._last]
        return new if new and new[0].sequence == self._last + 1 else ()

    async def _ends_so(self, end: TurnEvent) -> bool:
        """Return whether the turn ended as its log says.

        Only the end that was there from the beginning is doubted: Postgres, restored to a moment
        before it, may know of none, or of another. What comes while it is waited for was told to
        Postgres first.
        """
        if self._events:
            return True
        await self._ended()
        return tells_the_end(end, self._view)

    async def _ended(self) -> bool:
        """Return whether the turn has ended, as far as Postgres can tell now."""
        turn = self._view.turn
        if turn.ended_at is None:
            try:
                self._view = await in_thread(
                    self._transcript.turn, turn.user_id, turn.session_id, turn.id
                )
            except StoreUnavailable as error:
                # The log may go on without it.
                logger().warning(
                    "a turn that is followed could not be looked at",
                    turn_id=str(turn.id),
                    reason=str(error),
                )
        return self._view.turn.ended_at is not None

    async def _is_over(self) -> bool:
        """Take what is left if the turn stands still; whether nothing more will come.

        What it waited for may have been decided, and it may wait again, since the log was read.
        """
        if not await self._stands_still():
            return False
        rest = await self._rest()
        if rest is None:
            return False
        self._take(rest)
        return True

    async def _stands_still(self) -> bool:
        """Return whether the turn has ended, or waits, itself or behind one, as far as known."""
        return await self._ended() or self._view.stands_still

    async def _rest(self) -> Sequence[TurnEvent] | None:
        """Return what is left of the log of a turn that has ended or waits, with that made up if
        need be; None if it has gone on by now.

        What is made up has the number that it has, or will have, in the log: so it is told once to
        who comes back with that, however often.

        The whole log is read again: the end depends on what stands before it.
        """
        events = await in_thread_with_retry(self._log.read, *self._place)
        if self._view.behind_waiting:  # nothing has happened in it
            return []
        if self._view.turn.ended_at is not None:
            return self._to_the_end(events)
        attempt = self._view.turn.attempt
        if _resumed(events) > attempt:
            # It went on after it was looked at; or Postgres was restored to before that.
            await self._ended()
            if self._view.turn.attempt != attempt:
                return None
        end = _end_of(events)
        told = end >= (self._view.turn.waiting_sequence or 0)
        if not told or not events or events[-1].type != "turn.waiting":
            events = [*events, *waiting_events(self._view, after=end)]
        return [event for event in events if event.sequence > self._last]

    def _to_the_end(self, events: Sequence[TurnEvent]) -> Sequence[TurnEvent]:
        """Return what is left of the log of a turn that has ended."""
        if events and events[-1].type in FINAL and not tells_the_end(events[-1], self._view):
            events = []
        cut = interrupted(events)
        if not events or events[-1].type not in FINAL:
            made = final_events(self._view, after=_end_of(events), interrupted=cut)
            waited = self._view.turn.waiting_sequence or 0
            if _end_of(events) <= waited > 0 and self._view.reply is not None:
                # It went on, and told so first: that is gone, and its numbers are not the end's.
                made = [event for event in made if event.sequence <= waited]
                made += last_of_all(self._view, interrupted=cut)
            events = [*events, *made]
            another = self._last > _end_of(events)
        else:
            another = self._last == _end_of(events) and self._was_restored(events)
        if another:  # who asks has seen a log that is gone by now, but maybe not how it ended
            events = last_of_all(self._view, interrupted=cut)
        return [event for event in events if event.sequence > self._last]

    def _was_restored(self, events: Sequence[TurnEvent]) -> bool:
        """Return whether a turn was cancelled that waited by Postgres's account, not by its log's.

        Who cancels tells of no attempt that runs: if one of that number or a later one is told of,
        Postgres was restored. Until then it was told that the turn waits where now its end stands.
        """
        turn = self._view.turn
        return turn.status == "cancelled" and _resumed(events) >= turn.attempt

    def _take(self, events: Sequence[TurnEvent]) -> None:
        for event in events:
            if event.sequence > self._last + 1 and event.type != "events.lost":
                # A log that is a day old loses its beginning, and goes on where it was.
                missing = {"count": event.sequence - self._last - 1}
                lost = TurnEvent(event.sequence - 1, "events.lost", event.at, missing)
                self._events.append(lost)
            self._events.append(event)
        self._notify()

    def _notify(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


def _resumed(events: Sequence[TurnEvent]) -> int:
    """Return the last attempt that went on with a turn, as its log tells; 0 if none did."""
    return max((each.data["attempt"] for each in events if each.type == "turn.resumed"), default=0)


def _end_of(events: Sequence[TurnEvent]) -> int:
    return events[-1].sequence if events else 0


def _sequence(event: TurnEvent) -> int:
    return event.sequence
