"""Tool calls: outputs that count, each written once, fenced by its turn's attempt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pydantic_core import to_json
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import IntegrityError

from parley.errors import Fenced, ParleyError
from parley.repository.database import Database
from parley.repository.scope import OfUser
from parley.repository.tables import TOOL_CALLS
from parley.repository.turns import RunningTurn


class AlreadyRecorded(ParleyError):
    """The call has its output already, so its effect has happened."""


class Called(NamedTuple):
    """A tool call as the model made it; `arguments` is JSON text."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool and what it gave.

    Attributes:
        call_id: The model's id of the call, unique in its turn.
        arguments: As the model wrote them, JSON text.
        output: A JSON value.
        effect: Whether the tool changes something, so that the agent must be told of it even if
            the turn fails.
        made_from: What the output is the JSON of, if it is the JSON text of another value.
        told: How many bytes of the output the model is told; None for all.
        context: What the call changed in the agent's own context.
        error: The type of the exception that the tool failed with; its output is then what the
            model was told of that.
        milliseconds: How long the call took.
        raised: Whether the exception fails the run, also when the turn is carried on.
    """

    call_id: str
    name: str
    arguments: str
    output: Any
    effect: bool
    made_from: str | None = None
    told: int | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    milliseconds: int | None = None
    raised: bool = False


class ToolCallRepository:
    """The recorded tool calls. Methods block, and raise `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        """Keep the way to Postgres."""
        self._database = database

    def of_turn(self, turn: RunningTurn) -> dict[str, ToolCall]:
        """Read what the turn's earlier attempts recorded, by call id, oldest first."""
        query = (
            select(TOOL_CALLS)
            .where(TOOL_CALLS.c.turn_id == turn.id)
            .order_by(TOOL_CALLS.c.created_at, TOOL_CALLS.c.call_id)
        )
        rows = self._database.run(OfUser(turn.user_id), query)
        return {
            row.call_id: ToolCall(
                row.call_id,
                row.name,
                row.arguments,
                row.output["value"],
                row.effect,
                row.output.get("made_from"),
                row.output.get("told"),
                row.output.get("context", {}),
                row.output.get("error"),
                row.output.get("milliseconds"),
                row.output.get("raised", False),
            )
            for row in rows
        }

    def record(self, turn: RunningTurn, call: ToolCall) -> None:
        """Record the output of a call whose effect, if any, is not in Postgres.

        Recording a call again changes nothing.

        Raises:
            Fenced: This attempt was replaced, or the turn is over.
        """
        if not self._database.run(OfUser(turn.user_id), _RECORD, _parameters(turn, call)):
            raise Fenced(turn.number, turn.attempt)


def record_in(connection: Connection, turn: RunningTurn, call: ToolCall) -> None:
    """Record a call in the transaction of its effect, as the last statement before COMMIT.

    The turn's row stays locked until the transaction ends: a takeover waits for it, and who was
    replaced before finds no row. At the start of the transaction the same check would let a
    cancel slip in between, or a frozen process block the takeover (turn-protocol, section 6).

    Raises:
        Fenced: This attempt was replaced, or the turn is over; the caller must roll back.
        AlreadyRecorded: The call's effect was committed before; the caller must roll back.
    """
    try:
        recorded = connection.execute(_RECORD_FIRST, _parameters(turn, call)).first()
    except IntegrityError as error:
        raise AlreadyRecorded(call.call_id) from error
    if recorded is None:
        raise Fenced(turn.number, turn.attempt)


def _parameters(turn: RunningTurn, call: ToolCall) -> Mapping[str, Any]:
    output = {"value": call.output}
    if call.made_from is not None:
        output["made_from"] = call.made_from
    if call.told is not None:
        output["told"] = call.told
    if call.context:
        output["context"] = call.context
    if call.error is not None:
        output["error"] = call.error
    if call.milliseconds is not None:
        output["milliseconds"] = call.milliseconds
    if call.raised:
        output["raised"] = True
    return {
        "turn_id": turn.id,
        "attempt": turn.attempt,
        "call_id": call.call_id,
        "name": call.name,
        "arguments": call.arguments,
        "output": to_json(output).decode(),
        "effect": call.effect,
    }


# It is recorded at the end of the tool's transaction; now() would tell when that began.
_INSERT = """
WITH held AS MATERIALIZED (
  SELECT id FROM turns
  WHERE id = :turn_id AND attempt = :attempt AND status = 'running' FOR SHARE)
INSERT INTO tool_calls (turn_id, call_id, name, arguments, output, effect, created_at)
SELECT held.id, :call_id, :name, :arguments, CAST(:output AS jsonb), :effect, clock_timestamp()
FROM held
"""

_RECORD_FIRST = text(f"{_INSERT} RETURNING call_id")

_RECORD = text(f"""
{_INSERT}
ON CONFLICT (turn_id, call_id) DO UPDATE SET call_id = excluded.call_id
RETURNING call_id
""")
