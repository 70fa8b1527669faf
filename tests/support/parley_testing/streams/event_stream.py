"""A turn's events as a client gets them, and streams that break."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any
from uuid import UUID

import httpx

SESSION_ID = UUID("01a1f952-e641-72ab-a720-0ba8c04dfa93")
TURN_ID = UUID(int=8)
REPLY_ID = UUID(int=9)
AT = "2026-11-20T14:18:42.131885Z"

_USAGE = {
    "model_calls": 1,
    "input_tokens": 11,
    "cached_tokens": None,
    "output_tokens": 7,
    "reasoning_tokens": None,
    "cost_usd": None,
    "calls_without_tokens": 0,
    "calls_without_cost": 1,
}

Event = dict[str, Any]


def numbered(*events: tuple[str, Event], turn_id: UUID = TURN_ID) -> list[Event]:
    """Return what happened, by type and data, its place in the turn."""
    return [
        {"sequence": place, "type": type_, "at": AT, "turn_id": str(turn_id), **data}
        for place, (type_, data) in enumerate(events, 1)
    ]


def started() -> tuple[str, Event]:
    return "turn.started", {"session_id": str(SESSION_ID), "number": 1, "agent": "todo"}


def delta(text: str, step: int = 1) -> tuple[str, Event]:
    return "message.delta", {"step": step, "text": text}


def said(text: str | None, step: int | None = 1) -> tuple[str, Event]:
    """The reply is whole."""
    return "message.completed", {"step": step, "text": text, "message_id": str(REPLY_ID)}


def completed() -> tuple[str, Event]:
    return "turn.completed", {"reply_id": str(REPLY_ID), "usage": _USAGE}


def ended(how: str, detail: str, *, interrupted: bool = False) -> tuple[str, Event]:
    """The turn failed or was cancelled."""
    data = {"code": f"turn_{how}", "detail": detail, "interrupted": interrupted}
    return f"turn.{how}", data


def replied(*parts: str) -> list[Event]:
    """A turn whose reply was written in these parts."""
    return numbered(started(), *map(delta, parts), said("".join(parts)), completed())


def frame(event: Event) -> bytes:
    """Return an event as it is on the wire."""
    lines = (
        f"id: {event['sequence']}",
        f"event: {event['type']}",
        f"data: {json.dumps(event)}",
    )
    return ("\n".join(lines) + "\n\n").encode()


def wire(events: Sequence[Event], *, retry: int = 1000) -> bytes:
    """Return a stream's bytes."""
    return f"retry: {retry}\n\n".encode() + b"".join(map(frame, events))


class Stream(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of a response: some bytes, and then perhaps trouble.

    Attributes:
        closed: Whether it was let go of.
    """

    def __init__(self, content: bytes, trouble: BaseException | None = None) -> None:
        self.closed = False
        self._content = content
        self._trouble = trouble

    def __iter__(self) -> Iterator[bytes]:
        yield self._content
        if self._trouble is not None:
            raise self._trouble

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


def answer(content: bytes | Stream, kind: str = "text/event-stream; charset=utf-8") -> Any:
    """Return a response that is a stream."""
    stream = Stream(content) if isinstance(content, bytes) else content
    return httpx.Response(200, headers={"Content-Type": kind}, stream=stream)
