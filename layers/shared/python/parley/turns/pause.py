"""Letting a turn wait: it asks for decisions, and nobody holds it until they are there."""

from __future__ import annotations

from collections.abc import Sequence

from parley.errors import Fenced
from parley.repository import approvals
from parley.repository.approvals import Asked
from parley.repository.database import Database
from parley.repository.transcript import TurnView
from parley.repository.turns import Usage
from parley.repository.values import Message, Turn
from parley.turns.attempt import Attempt


async def pause(
    database: Database, attempt: Attempt, asked: Sequence[Asked], *, expires_in: float
) -> TurnView:
    """Let a turn wait until somebody has decided, and end its attempt.

    What is recorded of it stays in the agent-session store for the attempt that goes on.

    Args:
        database: Where it is.
        attempt: Who holds the turn.
        asked: What is to be decided on.
        expires_in: In how many seconds that expires.

    Raises:
        Fenced: The attempt was replaced, or the turn stopped or deleted.
        StoreUnavailable: A store cannot serve now.
    """
    turn, sequence = attempt.turn, approvals.UNLOGGED
    if attempt.event_writer is not None:
        sequence = await attempt.event_writer.settle()
    written = await attempt.lease.write(
        approvals.pause,
        database,
        turn,
        asked,
        expires_in=expires_in,
        spent=attempt.spending.tokens,
        spent_cost=attempt.spending.cost,
        sequence=sequence,
    )
    if written is None:
        raise Fenced(turn.number, turn.attempt)
    view = TurnView(
        Turn(
            id=turn.id,
            session_id=turn.session_id,
            user_id=turn.user_id,
            number=turn.number,
            status="waiting",
            agent=turn.agent,
            attempt=turn.attempt + 1,
            crashes=turn.crashes,
            spent=Usage().in_all,
            created_at=turn.created_at,
            started_at=turn.started_at,
            ended_at=None,
            waiting_for="decisions",
            waiting_sequence=sequence,
        ),
        Message(
            id=turn.message_id,
            turn_id=turn.id,
            role="user",
            content=turn.text,
            created_at=turn.created_at,
        ),
        None,
        tuple(written),
    )
    if attempt.event_writer is not None:
        await attempt.event_writer.pause(view)
    return view
