"""A turn that is told to one reader, without a server: its events are the test's."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from parley.events.log import EventType, TurnEvent
from parley.http.streamed import Told
from parley.repository.transcript import TurnView
from parley.repository.values import Message, Turn
from parley.usage.spent import Spent

TURN, SESSION = UUID(int=7), UUID(int=8)
AT = datetime(2026, 11, 20, 14, 18, 42, 131885, tzinfo=UTC)

Happening = tuple[EventType, dict[str, Any]] | None | Exception

USAGE = {"input_tokens": 5, "output_tokens": 3}
COMPLETED: Happening = ("turn.completed", {"reply_id": "r", "usage": USAGE})


def delta(text: str, step: int = 0) -> Happening:
    return "message.delta", {"step": step, "text": text}


def whole(text: str | None, step: int | None = 0) -> Happening:
    return "message.completed", {"step": step, "text": text, "message_id": None}


def reset(step: int = 0) -> Happening:
    return "message.reset", {"step": step}


def called(call_id: str = "call_1", arguments: str = '{"title": "milk"}') -> Happening:
    told = {"name": "add_task", "arguments": arguments, "within": None}
    return "tool.called", {"call_id": call_id, **told}


def returned(output: Any, call_id: str = "call_1") -> Happening:
    return "tool.returned", {
        "call_id": call_id,
        "name": "add_task",
        "output": output,
        "within": None,
    }


def stopped(kind: EventType, code: str = "model_failed") -> Happening:
    return kind, {"code": code, "detail": "It did not work.", "interrupted": False}


def told_of(*happening: Happening, reply: str | None = None, replayed: bool = False) -> Told:
    """Make a turn of what happens in it; None where its log had no more when it was first read."""

    async def events() -> AsyncGenerator[TurnEvent | None, None]:
        for sequence, each in enumerate(happening, start=1):
            if isinstance(each, Exception):
                raise each
            yield None if each is None else TurnEvent(sequence, each[0], AT, each[1])

    async def look() -> TurnView:
        said = (
            None
            if reply is None
            else Message(
                id=UUID(int=9), turn_id=TURN, role="assistant", content=reply, created_at=AT
            )
        )
        return TurnView(turn(), None, said)

    return Told(TurnView(turn(), None, None), events(), look, replayed)


def turn() -> Turn:
    """A turn that runs."""
    return Turn(
        id=TURN,
        session_id=SESSION,
        user_id="alice",
        number=1,
        status="running",
        attempt=1,
        crashes=0,
        agent="todo",
        spent=Spent(),
        created_at=AT,
        started_at=AT,
        ended_at=None,
    )
