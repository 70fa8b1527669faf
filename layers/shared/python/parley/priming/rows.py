"""What stands in for Postgres's rows while a function is primed: one of each, of nobody's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from parley.repository.rehearsal import Column, Named

NOBODY = "parley-priming"
"""The user, and the agent."""

SESSION_ID = UUID("00000000-0000-7000-8000-000000000001")
TURN_ID = UUID("00000000-0000-7000-8000-000000000002")
MESSAGE_ID = UUID("00000000-0000-7000-8000-000000000003")
THEN = datetime(2026, 1, 1, tzinfo=UTC)

_VALUES: Mapping[str, Any] = {
    "id": SESSION_ID,
    "turns.id": TURN_ID,
    "messages.id": MESSAGE_ID,
    "session_id": SESSION_ID,
    "turn_id": TURN_ID,
    "user_id": NOBODY,
    "agent": NOBODY,
    "name": None,
    "platform": "api",
    "sessions.status": "active",
    "turns.status": "completed",
    "status_reason": None,
    "metadata": {},
    "idempotency_key": None,
    "number": 1,
    "placed": True,
    "attempt": 1,
    "error_code": None,
    "error_detail": None,
    "waiting_for": None,
    "waiting_sequence": None,
    "role": "user",
    "content": "Hello",
    "reached": None,
    "most": None,
    "approvals.status": "approved",
    "arguments": "{}",
    "arguments_schema": None,
    "edited_arguments": None,
    "tool_calls.name": "look",
    "output": {"value": "1"},
    "model_steps": None,
    "status": "completed",
}
_OF_TYPES: Mapping[type[Any], Any] = {
    bool: False,
    bytes: b"",
    datetime: THEN,
    dict: {},
    float: 0.0,
    int: 0,
    str: "",
    UUID: SESSION_ID,
}
_NUMBERED = re.compile(r"_+\d+$")
"""What SQLAlchemy makes a name its own with."""

_BEGUN: Mapping[str, Any] = {
    **{"outcome": "running", "session_id": SESSION_ID, "session_status": "active"},
    **dict.fromkeys(("reached", "most", "renews", "used", "ends", "held", "expected")),
    **{"turn_id": TURN_ID, "own_turn_id": TURN_ID, "number": 1, "attempt": 1, "crashes": 0},
    **{"cancel_requested": False, "pauses": 0, "waiting_sequence": None, "status": "running"},
    **{"agent": NOBODY, "created_at": THEN, "started_at": THEN},
    **{"said_before_id": None, "said_before": None, "remembered": []},
    **{"summary_id": None, "summary_attempt": None, "has_budget": False, "counts_money": False},
    **{"first_held": None, "summary_due": False, "ahead": None, "behind_waiting": False},
    **{"pace": None},
}
_SPENT = {"is_total": True, "name": None, "rows": 1, "calls": None}
_BUDGET: Mapping[str, Any] = {
    **dict.fromkeys(("tokens_per_day", "tokens_per_month")),
    **dict.fromkeys(("nanodollars_per_day", "nanodollars_per_month")),
    **dict.fromkeys(("reached", "most", "used", "ends")),
}
_HELD = {"turn_id": TURN_ID, "reached": None, "counts_money": False}
_COMPLETED = {"ended_at": THEN, "message_id": MESSAGE_ID, "created_at": THEN, "more": False}

_RETURNED = re.compile(r"\bRETURNING\s+(\w+(?:\s*,\s*\w+)*)\s*\Z")


def rows_of(statement: Any, columns: Sequence[Column]) -> Named:
    """Return one row of what a statement gives, or none of one whose columns nobody knows."""
    if columns:
        return Named([each.name for each in columns], [[_value(each) for each in columns]])
    text = str(getattr(statement, "text", ""))
    if "said_before" in text:
        return _one(_BEGUN)
    if "is_total" in text:
        return _one(_SPENT)
    if "SET held_tokens" in text:
        return _one(_HELD)
    if "l.since + l.span" in text:
        return _one(_BUDGET)
    if "replied" in text and "ended_at" in text:
        return _one(_COMPLETED)
    returned = _RETURNED.search(text)
    if returned is None:
        return Named()
    names = re.findall(r"\w+", returned[1])
    return _one({name: _VALUES.get(name) for name in names})


def _one(row: Mapping[str, Any]) -> Named:
    return Named([*row], [[*row.values()]])


def _value(column: Column) -> Any:
    name = _NUMBERED.sub("", column.name)
    for known in (f"{column.table}.{name}", name):
        if known in _VALUES:
            return _VALUES[known]
    return _OF_TYPES.get(column.type)
