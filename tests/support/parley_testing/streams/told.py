"""A turn that is told to one reader, without a server: its events are the test's."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from parley.events import final
from parley.events.log import EventType, TurnEvent
from parley.http.streamed import Told
from parley.repository.approvals import Approval
from parley.repository.states import ApprovalStatus
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


def asked(*calls: str, decider: str = "user", arguments: str = '{"cents": 900}') -> Happening:
    wanted = [approval(call, decider=decider, arguments=arguments) for call in calls]
    approvals = [final.asked(each) for each in wanted]
    return "turn.waiting", {"waiting_for": "decisions", "approvals": approvals}


def decided(
    call_id: str, decision: str = "approved", *, reason: str | None = None, edited: bool = False
) -> Happening:
    return "approval.decided", {
        "approval_id": str(approval(call_id).id),
        "call_id": call_id,
        "name": "refund",
        "decision": decision,
        "reason": reason,
        "edited": edited,
    }


def approval(
    call_id: str,
    status: ApprovalStatus = "open",
    *,
    decider: str = "user",
    arguments: str = '{"cents": 900}',
) -> Approval:
    """What is asked for with a call."""
    return Approval(
        id=uuid5(TURN, call_id),
        session_id=SESSION,
        turn_id=TURN,
        user_id="alice",
        call_id=call_id,
        agent="todo",
        tool="refund",
        arguments=arguments,
        digest="",
        decider=decider,
        editable=True,
        status=status,
        decided_by=None,
        decided_at=None,
        reason=None,
        edited_arguments=None,
        created_at=AT,
        expires_at=AT,
    )


def told_of(
    *happening: Happening,
    reply: str | None = None,
    replayed: bool = False,
    answered: Sequence[Approval] = (),
    waits_for: Sequence[Approval] = (),
) -> Told:
    """Make a turn of what happens in it; None where its log had no more when it was first read.

    Args:
        happening: What happens.
        reply: What it comes to.
        replayed: Whether it was asked for before.
        answered: What the reader has answered.
        waits_for: What it waits for at its end.
    """

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
        now = replace(turn(), status="waiting") if waits_for else turn()
        return TurnView(now, None, said, tuple(waits_for))

    return Told(TurnView(turn(), None, None), events(), look, replayed, answered)


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
