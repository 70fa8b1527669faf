"""Parley's API from Python: `Parley`, and `AsyncParley` for event loops.

Example:
    with Parley("https://parley.example/v1", token) as parley:
        answer = parley.send_first_message("add buy milk", session_name="groceries")
        print(answer.reply.content if answer.reply else "…")
        for session in parley.list_sessions(status="active"):
            print(session.name)
"""

from parley_client.aio import AsyncParley
from parley_client.call import UNSET, Call, Events, Page, Series, Unset
from parley_client.errors import (
    ApiError,
    FieldError,
    NotSendable,
    ParleyError,
    UnexpectedAnswer,
    Unreachable,
)
from parley_client.events import (
    MessageCompleted,
    MessageDelta,
    MessageReset,
    ToolCalled,
    ToolReturned,
    TurnCancelled,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
    TurnResumed,
    TurnStarted,
    TurnStopped,
    TurnWaiting,
)
from parley_client.sync import Parley

__all__ = [
    "UNSET",
    "ApiError",
    "AsyncParley",
    "Call",
    "Events",
    "FieldError",
    "MessageCompleted",
    "MessageDelta",
    "MessageReset",
    "NotSendable",
    "Page",
    "Parley",
    "ParleyError",
    "Series",
    "ToolCalled",
    "ToolReturned",
    "TurnCancelled",
    "TurnCompleted",
    "TurnEvent",
    "TurnFailed",
    "TurnResumed",
    "TurnStarted",
    "TurnStopped",
    "TurnWaiting",
    "UnexpectedAnswer",
    "Unreachable",
    "Unset",
]
