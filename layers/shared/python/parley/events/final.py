"""The events that follow from what Postgres knows of a turn.

The writer of a log, and whoever makes them up for one that lacks them, come to the same ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from parley.events.chunks import HIGHEST
from parley.events.log import EventType, TurnEvent
from parley.repository.approvals import Approval
from parley.repository.transcript import TurnView
from parley.repository.turns import RunningTurn
from parley.repository.values import Turn
from parley.usage.told import told

TEXT_LIMIT = 80_000
"""Characters of the longest message that an event holds; a longer one is in the turn only."""

ARGUMENTS_LIMIT = 16_000
"""Characters of the arguments of a call that an event holds."""


def started(turn: Turn | RunningTurn) -> dict[str, Any]:
    """Return what there is to tell of a turn's start."""
    return {"session_id": str(turn.session_id), "number": turn.number, "agent": turn.agent}


def spoken(
    text: str, *, step: int | None, message_id: str | None
) -> tuple[EventType, dict[str, Any]]:
    """Make what there is to tell of a whole message."""
    told = text if len(text) <= TEXT_LIMIT else None
    return "message.completed", {"step": step, "text": told, "message_id": message_id}


def final_events(view: TurnView, *, after: int, interrupted: bool) -> list[TurnEvent]:
    """Make the events that end a turn's log.

    Args:
        view: The turn, which has ended.
        after: The sequence number of the log's last event; 0 if there is none, and the turn's start
            is told as well.
        interrupted: Whether a message was being written.

    Returns:
        The events; where that it waited is missing before its end, that as well, in its place.
    """
    turn, ended_at = view.turn, _end_of(view)
    start = TurnEvent(1, "turn.started", turn.started_at or ended_at, started(turn))
    begun = [start] if after == 0 else []
    waited = missing_wait(turn, after=after + len(begun))
    last = waited[-1].sequence if waited else after + len(begun)
    told = enumerate(_endings(view, interrupted), start=last + 1)
    ends = (TurnEvent(number, kind, ended_at, data) for number, (kind, data) in told)
    return [*begun, *waited, *ends]


def last_of_all(view: TurnView, *, interrupted: bool) -> list[TurnEvent]:
    """Make the events that end a turn, for who has seen a longer log than there is by now.

    They have the highest numbers that there are: who comes back with the last of them has them.
    """
    lost: tuple[EventType, Mapping[str, Any]] = "events.lost", {"count": 0}
    told = [lost, *_endings(view, interrupted)]
    numbered = enumerate(told, start=HIGHEST - len(told) + 1)
    return [TurnEvent(number, kind, _end_of(view), data) for number, (kind, data) in numbered]


def _end_of(view: TurnView) -> datetime:
    ended_at = view.turn.ended_at
    if ended_at is None:
        raise ValueError(f"the turn {view.turn.id} has not ended")
    return ended_at


def waiting_events(view: TurnView, *, after: int) -> list[TurnEvent]:
    """Make the events that tell that a turn waits, and for what.

    Args:
        view: The turn, which waits.
        after: The sequence number of the log's last event; 0 if there is none, and the turn's start
            is told as well.
    """
    turn = view.turn
    start = TurnEvent(1, "turn.started", turn.started_at or turn.created_at, started(turn))
    begun = [start] if after == 0 else []
    sequence = max(after + len(begun) + 1, turn.waiting_sequence or 0)
    waits_for = [each for each in view.approvals if each.is_open]
    return [*begun, _waits(turn, sequence, waits_for)]


def missing_wait(
    turn: Turn | RunningTurn, *, after: int, approvals: Iterable[Approval] = ()
) -> list[TurnEvent]:
    """Make the event that tells that a turn waited, in its place, where its log ends before that.

    What stands behind it has so the numbers that it has for who was told that it waits.

    Args:
        turn: The turn, which does not wait any more.
        after: The sequence number of the log's last event.
        approvals: All that it has asked for, where that is known.
    """
    sequence = turn.waiting_sequence
    if sequence is None or after >= sequence:
        return []
    return [_waits(turn, sequence, asked_last(approvals))]


def asked_last(approvals: Iterable[Approval]) -> list[Approval]:
    """Return those that a turn asked for when it last waited: they were made in one statement."""
    every = list(approvals)
    last = max((each.created_at for each in every), default=None)
    return [each for each in every if each.created_at == last]


def _waits(turn: Turn | RunningTurn, sequence: int, approvals: Sequence[Approval]) -> TurnEvent:
    at = max((each.created_at for each in approvals), default=turn.created_at)
    data = {"waiting_for": "decisions", "approvals": [asked(each) for each in approvals]}
    return TurnEvent(sequence, "turn.waiting", at, data)


def is_cut(arguments: str) -> bool:
    """Tell whether an event holds only the beginning of a call's arguments."""
    return len(arguments) > ARGUMENTS_LIMIT


def asked(approval: Approval) -> dict[str, Any]:
    """Return what there is to tell of a call that somebody has to decide on."""
    return {
        "approval_id": str(approval.id),
        "call_id": approval.call_id,
        "name": approval.tool,
        "arguments": approval.arguments[:ARGUMENTS_LIMIT],
        "cut": is_cut(approval.arguments),
        "decider": approval.decider,
        "editable": approval.editable,
        "expires_at": approval.expires_at.isoformat(),
    }


def was_decided(approval: Approval) -> dict[str, Any]:
    """Return what there is to tell of a decision; who made it is not told."""
    return {
        "approval_id": str(approval.id),
        "call_id": approval.call_id,
        "name": approval.tool,
        "decision": approval.status,
        "reason": approval.reason,
        "edited": approval.edited_arguments is not None,
    }


def tells_the_end(event: TurnEvent, view: TurnView) -> bool:
    """Return whether a log's last event is how the turn ended, by Postgres's account.

    A log may tell another end, or one of a turn that is open: Postgres was restored then.
    """
    if view.turn.ended_at is None:
        return False
    end = final_events(view, after=1, interrupted=False)[-1]
    same = ("reply_id", "code", "detail")
    return event.type == end.type and all(event.data.get(k) == end.data.get(k) for k in same)


def _endings(view: TurnView, interrupted: bool) -> Iterator[tuple[EventType, Mapping[str, Any]]]:
    turn = view.turn
    if view.reply is not None:
        reply_id = str(view.reply.id)
        yield spoken(view.reply.content, step=None, message_id=reply_id)
        yield "turn.completed", {"reply_id": reply_id, "usage": told(turn.spent)}
        return
    data = {"code": turn.error_code, "detail": turn.error_detail, "interrupted": interrupted}
    yield "turn.cancelled" if turn.status == "cancelled" else "turn.failed", data


def open_step(events: Iterable[TurnEvent], before: int | None = None) -> int | None:
    """Tell which step's text is being written when these events have happened.

    Args:
        events: In their order.
        before: The answer for all that came before them.

    Returns:
        The step, or None if no text is left without its end.
    """
    step = before
    for event in events:
        match event.type:
            case "message.delta":
                step = event.data["step"]
            case "message.completed" | "message.reset":
                step = None
    return step


def interrupted(events: Iterable[TurnEvent]) -> bool:
    """Tell whether a message was being written when these events had happened."""
    return open_step(events) is not None
