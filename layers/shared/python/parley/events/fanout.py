"""Telling those who follow a turn in the process that carries it out."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from parley.events.log import TurnEvent


class FanOut:
    """Hands what was written to a turn's log to those who listen here. For one event loop."""

    def __init__(self) -> None:
        self._listening: dict[UUID, set[Subscription]] = {}

    def publish(self, turn_id: UUID, events: Sequence[TurnEvent]) -> None:
        """Hand on what was just written, to all who listen."""
        for subscription in self._listening.get(turn_id, ()):
            subscription.add(events)

    @contextmanager
    def subscribe(self, turn_id: UUID) -> Iterator[Subscription]:
        """Listen to a turn: nothing that is announced meanwhile is missed."""
        subscription = Subscription()
        self._listening.setdefault(turn_id, set()).add(subscription)
        try:
            yield subscription
        finally:
            others = self._listening[turn_id]
            others.discard(subscription)
            if not others:
                del self._listening[turn_id]


class Subscription:
    """What was announced to one listener and not yet taken."""

    def __init__(self) -> None:
        self._events: list[TurnEvent] = []
        self._came = asyncio.Event()

    def add(self, events: Sequence[TurnEvent]) -> None:
        """Keep what was announced."""
        self._events += events
        self._came.set()

    async def take(self, seconds: float) -> list[TurnEvent]:
        """Return what was announced, waiting for it; nothing if nothing came for some seconds."""
        if not self._events:
            try:
                async with asyncio.timeout(seconds):
                    await self._came.wait()
            except TimeoutError:
                return []
        events, self._events = self._events, []
        self._came.clear()
        return events
