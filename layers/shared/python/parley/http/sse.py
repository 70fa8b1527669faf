"""Server-sent events: how a turn's events stand on the wire, and the response that carries them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

from pydantic import TypeAdapter
from starlette.types import Receive

from parley.events.log import TurnEvent
from parley.http.api import logged
from parley.http.response import Outgoing
from parley.http.schemas import Time
from parley.http.streamed import Told
from parley.repository.transcript import TurnView
from parley.text import json_line

RETRY = b"retry: 1000\n\n"
"""Tells a client how many milliseconds to wait before it comes back."""

STANDS_STILL = b"retry: 30000\n\n"
"""The same, where nothing happens before somebody has decided, who may take days."""

KEEP_ALIVE = b": keep-alive\n\n"
"""A comment, which clients pass over."""

_TIME: TypeAdapter[object] = TypeAdapter(Time)


def frame(event: TurnEvent, turn_id: UUID) -> bytes:
    """Return an event as it stands on the wire."""
    data = {
        "sequence": event.sequence,
        "type": event.type,
        "at": _TIME.dump_python(event.at),
        "turn_id": turn_id,
        **event.data,
    }
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (
        event.sequence,
        event.type.encode(),
        json_line(data),
    )


@dataclass(frozen=True, slots=True)
class NumberedEvents:
    """A `Wire` on which each event has its number, so that readers come back for the rest.

    Attributes:
        turn_at: The turn's address, relative to the request, which may be below a stage or a
            domain's base path; with the names of its ids in braces.
    """

    turn_at: str

    @property
    def whole(self) -> bool:
        return False

    @property
    def farewell(self) -> bytes:
        return b""

    def headers(self, view: TurnView, *, replayed: bool) -> dict[str, str]:
        turn = view.turn
        location = self.turn_at.format(session_id=turn.session_id, turn_id=turn.id)
        told = {"Location": location}
        return told | {"Idempotent-Replayed": "true"} if replayed else told

    async def parts(self, told: Told) -> AsyncGenerator[bytes, None]:
        async with aclosing(told.events) as events:
            said = RETRY
            yield said
            heard = False
            async for event in events:
                heard = True
                if event is None:
                    yield KEEP_ALIVE
                    continue
                retry = STANDS_STILL if event.type == "turn.waiting" else RETRY
                if retry != said:
                    said = retry
                    yield said
                yield frame(event, told.view.turn.id)
            if not heard and told.view.stands_still:
                # So that who reads knows that somebody is there, and when to come back.
                yield STANDS_STILL + KEEP_ALIVE


async def give(
    parts: AsyncGenerator[bytes, None],
    headers: Mapping[str, str],
    receive: Receive,
    outgoing: Outgoing,
) -> None:
    """Answer with a body as it comes, to its end or until the reader has gone.

    An error that comes when the answer has begun ends it: the reader comes back for the rest.

    Args:
        parts: The body. It is closed.
        headers: The response's.
        receive: Tells that the reader has gone.
        outgoing: The response.
    """
    writing = asyncio.ensure_future(_write(parts, headers, outgoing))
    gone = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait([writing, gone], return_when=asyncio.FIRST_COMPLETED)
    finally:
        writing.cancel()
        gone.cancel()
        await asyncio.wait([writing, gone])
    for task in (writing, gone):
        if not task.cancelled():
            task.result()


async def _write(
    parts: AsyncGenerator[bytes, None], headers: Mapping[str, str], outgoing: Outgoing
) -> None:
    async with aclosing(parts):
        await outgoing.begin(200, headers)
        try:
            async for part in parts:
                await outgoing.part(part)
        except Exception as error:
            logged(error)
    await outgoing.finish()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
