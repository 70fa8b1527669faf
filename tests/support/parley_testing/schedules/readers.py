"""Those who follow turns: they come at any time, go away in the middle, and come back."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import aclosing
from pathlib import Path
from threading import Thread
from typing import Any, cast
from uuid import UUID

from parley.errors import NotFound
from parley.events.fanout import FanOut
from parley.events.log import FINAL, EventLog, TurnEvent
from parley.events.reader import Follower
from parley.events.sqlite import SqliteEventLog
from parley.repository.database import Database
from parley.repository.transcript import Transcript
from parley_testing.waiting import HANG_SECONDS


class Reader:
    """Somebody who follows a turn, and what he has been given.

    Attributes:
        events: By their number; one that came twice is a fault.
        gone: Whether the turn was deleted meanwhile.
    """

    def __init__(self, user: str, session_id: UUID, turn_id: UUID, after: int) -> None:
        self.user, self.session_id, self.turn_id, self.after = user, session_id, turn_id, after
        self.last = after
        self.events: dict[int, TurnEvent] = {}
        self.gone = False
        self.following: Future[None] | None = None

    @property
    def over(self) -> bool:
        """Whether there is nothing more to come."""
        ended = self.last in self.events and self.events[self.last].type in FINAL
        return self.gone or ended

    def take(self, event: TurnEvent) -> None:
        """Take the next event, which must be the next one."""
        ahead = event.type == "events.lost" and event.sequence > self.last
        assert ahead or event.sequence == self.last + 1, f"{event} came after {self.last}"
        self.last = event.sequence
        self.events[event.sequence] = event


class _Unwatched:
    """Gives a store's methods other names: points that readers pass have no place in a schedule."""

    def __init__(self, target: object) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)

        def called(*arguments: Any, **named: Any) -> Any:
            return method(*arguments, **named)

        called.__qualname__ = f"a reader's {name}"
        return called


class Readers:
    """A process that serves readers, with a loop that never stops."""

    def __init__(self, url: str, memory: Path) -> None:
        self._database = Database(lambda: url, statement_timeout=10)
        self._log = SqliteEventLog(memory)
        log = cast("EventLog", _Unwatched(self._log))
        transcript = cast("Transcript", _Unwatched(Transcript(self._database)))
        self._follower = Follower(lambda: log, transcript, FanOut())
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)
        self._thread.start()
        self._all: list[Reader] = []

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._database.close()
        self._log.close()

    def follow(self, reader: Reader) -> None:
        """Have somebody follow a turn, from where he was."""
        if reader.following is None and not reader.over:
            if reader not in self._all:
                self._all.append(reader)
            reader.following = asyncio.run_coroutine_threadsafe(self._follow(reader), self._loop)

    def drop(self, reader: Reader) -> None:
        """Have him go away, at whatever he is."""
        following, reader.following = reader.following, None
        if following is not None:
            following.cancel()
            self._idle()
            if not following.cancelled() and (error := following.exception()):
                raise error

    def to_the_end(self, reader: Reader) -> None:
        """Wait until a reader has been given the last event, or learned that there is none."""
        self.follow(reader)
        if reader.following is not None:
            reader.following.result(HANG_SECONDS)

    def leave(self) -> None:
        """Have all go."""
        for reader in self._all:
            if reader.following is not None:
                reader.following.cancel()
        self._idle()
        self._all.clear()

    def _idle(self) -> None:
        """Wait until who was told to go has gone."""

        async def left() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            going = [task for task in others if task.cancelling()]
            if going:
                await asyncio.wait(going)

        asyncio.run_coroutine_threadsafe(left(), self._loop).result(HANG_SECONDS)

    async def _follow(self, reader: Reader) -> None:
        """Follow, and come back with the last number whenever the follow ends without an end."""
        while not reader.over:
            try:
                view = await self._follower.find(reader.user, reader.session_id, reader.turn_id)
                follow = self._follower.follow(view, after=reader.last, seconds=0.2)
                async with aclosing(follow):
                    async for event in follow:
                        if event is not None:
                            reader.take(event)
                # Of a turn that waits for somebody there is nothing to come.
                await asyncio.sleep(0.01)
            except NotFound:
                reader.gone = True
