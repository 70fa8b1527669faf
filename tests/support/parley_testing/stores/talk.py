"""Turns that no agent runs: what was said goes straight to Postgres."""

from __future__ import annotations

from uuid import UUID

from parley.ids import new_id
from parley.repository.turns import Begun, RunningTurn, TurnRepository, TurnRequest, Usage


def request(
    user: str,
    session_id: str,
    text: str = "hello",
    *,
    key: str | None = None,
    turn_id: UUID | None = None,
) -> TurnRequest:
    """Make a request for a turn in a session that is there."""
    return TurnRequest(
        user_id=user,
        session_id=UUID(session_id),
        turn_id=turn_id or new_id(),
        message_id=new_id(),
        text=text,
        idempotency_key=key,
        fingerprint=text.encode(),
    )


def begin(turns: TurnRepository, asked: TurnRequest) -> RunningTurn:
    """Begin a turn that nothing is in the way of."""
    turn = turns.begin(asked).turn
    assert turn is not None
    return turn


def say(turns: TurnRepository, asked: TurnRequest, reply: str = "hello yourself") -> RunningTurn:
    """Begin a turn and complete it."""
    turn = begin(turns, asked)
    assert turns.complete(turn, reply, Usage(1, 2, 3), "digest") is not None
    return turn


def queue(turns: TurnRepository, asked: TurnRequest) -> Begun:
    """Leave a turn for a worker."""
    begun = turns.begin(asked, queue=True)
    assert begun.outcome == "queued"
    return begun
