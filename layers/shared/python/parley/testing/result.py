"""What became of a turn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from parley.testing.script import Asked


@dataclass(frozen=True)
class ToolCalled:
    """A tool call as it was recorded.

    Attributes:
        call_id: The model's id of the call.
        name: The tool's name.
        arguments: By name; the text itself where the model wrote no JSON.
        output: What the tool returned, as a JSON value; or what the model was told of its failure.
        error: The type of the exception that it failed with; None if it did not.
    """

    call_id: str
    name: str
    arguments: Any
    output: Any
    error: str | None = None


@dataclass(frozen=True)
class CallDecided:
    """A tool call that somebody had to decide on, or has to.

    Attributes:
        tool: The tool's name.
        arguments: By name; the text itself where the model wrote no JSON.
        status: `open`, `approved`, `rejected`, `expired` or `cancelled`.
    """

    tool: str
    arguments: Any
    status: str


@dataclass(frozen=True)
class Result:
    """What became of a turn.

    Attributes:
        status: `completed`, `failed`, `cancelled`, or `waiting` for somebody to decide.
        reply: What the assistant said; None unless the turn completed.
        error: A word for why it did not.
        error_detail: A sentence for why it did not.
        transcript: The session's messages so far, as (role, text), oldest first.
        tool_calls: The turn's, in the order in which they ended.
        asked: Each call of the model.
        events: What a reader of the stream was told, by type; empty unless it was streamed.
        session_id: Send the next message there.
        approvals: What the turn has asked for, in that order.
    """

    status: str
    reply: str | None
    error: str | None
    error_detail: str | None
    transcript: list[tuple[str, str]]
    tool_calls: list[ToolCalled]
    asked: list[Asked]
    events: list[str]
    session_id: UUID
    approvals: list[CallDecided] = field(default_factory=list)
