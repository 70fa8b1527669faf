"""What a tool is told of the turn in which it is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from sqlalchemy import Connection

from parley.repository.connection import go_alone

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIConnection


@dataclass(frozen=True, slots=True)
class TurnContext:
    """The run context that every tool gets as `ToolContext.context`.

    Attributes:
        user_id: Whose turn it is, as the authorizer said. Tools take the user from here, never
            from the model's arguments.
        session_id: The session.
        turn_id: The turn; the same in every attempt.
    """

    user_id: str
    session_id: UUID
    turn_id: UUID


@dataclass(frozen=True, slots=True)
class Effect:
    """What the body of an effect-once tool works with.

    Attributes:
        db: A connection inside the tool's transaction. It is committed together with the tool's
            recorded output, or not at all; the body must neither commit nor roll back.
        call_id: The model's id of this call: the same in every attempt and unique in its turn.
            With `turn_id` it makes a good idempotency key for effects elsewhere.
        context: The agent's own context, if its module has a function `context`; the `TurnContext`
            otherwise.
    """

    db: Connection
    user_id: str
    session_id: UUID
    turn_id: UUID
    call_id: str
    context: Any = None

    def alone(self) -> None:
        """Wait until nobody else counts rows of this user, and hold others up until this commits.

        What the body counts from then on is whole, also beside routes of the project's own that do
        so `alone`. Called before the body's first statement, it goes with that in one round trip.
        Not after the body has changed something, and not in one that takes long.
        """
        go_alone(cast("DBAPIConnection", self.db.connection.driver_connection), self.user_id)
