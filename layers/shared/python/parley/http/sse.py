"""Server-sent events: how a turn's events stand on the wire, and the response that carries them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from uuid import UUID

from pydantic import TypeAdapter
from starlette.types import Receive

from parley.events.log import TurnEvent
from parley.http.api import logged
from parley.http.response import Outgoing
from parley.http.schemas import Time
from parley.text import json_line

MEDIA_TYPE = "text/event-stream; charset=utf-8"

RETRY = b"retry: 1000\n\n"
"""Tells a client how many milliseconds to wait before it comes back."""

KEEP_ALIVE = b": keep-alive\n\n"
"""A comment, which clients pass over."""

_TIME: TypeAdapter[object] = TypeAdapter(Time)


def frame(event: TurnEvent, turn_id: UUID) -> bytes:
    """Give an event as it stands on the wire."""
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


async def give(
    events: AsyncGenerator[TurnEvent | None, None],
    turn_id: UUID,
    headers: Mapping[str, str],
    receive: Receive,
    outgoing: Outgoing,
) -> None:
    """Answer with events until the last, or until the reader has gone.

    An error that comes when the answer has begun ends it: the reader comes back for the rest.

    Args:
        events: The events; None wherever nothing has happened for a while. They are closed.
        turn_id: Whose they are.
        headers: The response's.
        receive: Tells that the reader has gone.
        outgoing: The response.
    """
    writing = asyncio.ensure_future(_write(events, turn_id, headers, outgoing))
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
    events: AsyncGenerator[TurnEvent | None, None],
    turn_id: UUID,
    headers: Mapping[str, str],
    outgoing: Outgoing,
) -> None:
    async with aclosing(events):
        await outgoing.begin(200, headers)
        await outgoing.part(RETRY)
        try:
            async for event in events:
                await outgoing.part(KEEP_ALIVE if event is None else frame(event, turn_id))
        except Exception as error:
            logged(error)
    await outgoing.finish()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
