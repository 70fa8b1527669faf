"""What a turn came to, in both stores, so that a broken one can be compared with a whole one."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from parley.ids import conversation_key
from parley.memory.store import AgentSessionStore

_MADE_UP = re.compile(
    r"call_[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
)


def without_ids(value: Any) -> Any:
    """Return the value with every id that was made up replaced by its place among them."""
    places: dict[str, str] = {}
    told = json.dumps(value, sort_keys=True, default=str)
    return json.loads(_MADE_UP.sub(lambda id: places.setdefault(id[0], f"id {len(places)}"), told))


@dataclass(frozen=True)
class Outcome:
    """What is there after a session's turns, but for ids and times.

    Attributes:
        turns: Number, status, model calls and tokens of each.
        messages: Turn number, role and text of each.
        tool_calls: Name, arguments, output and whether it has an effect, in their order.
        approvals: Tool, arguments, and what was decided by whom, in the order of asking.
        tasks: The user's tasks by title.
        memory: Number, items, reply and usage of each finished item, newest first.
        usage: What is summed up of the user's turns, by agent and model.
    """

    turns: list[Any]
    messages: list[Any]
    tool_calls: list[Any]
    approvals: list[Any]
    tasks: list[Any]
    memory: list[Any]
    usage: list[Any]


def outcome(
    sql: psycopg.Connection, store: AgentSessionStore, user: str, session_id: UUID
) -> Outcome:
    """Read what is there."""

    def rows(query: str) -> list[Any]:
        found = sql.execute(query, {"session": session_id, "user": user}).fetchall()
        return without_ids([list(row) for row in found])  # type: ignore[no-any-return]

    stored = store.read_newest(conversation_key(user, session_id), None, consistent=True)
    return Outcome(
        turns=rows(
            "SELECT number, status, model_calls, input_tokens, output_tokens FROM turns"
            " WHERE session_id = %(session)s ORDER BY number"
        ),
        messages=rows(
            "SELECT t.number, m.role, m.content FROM messages m JOIN turns t ON t.id = m.turn_id"
            " WHERE t.session_id = %(session)s ORDER BY t.number, m.role DESC"
        ),
        tool_calls=rows(
            # How long a tool took is no part of what came of it.
            "SELECT c.name, c.arguments, c.output - 'milliseconds', c.effect FROM tool_calls c"
            " JOIN turns t ON t.id = c.turn_id WHERE t.session_id = %(session)s"
            " ORDER BY c.created_at"
        ),
        approvals=rows(
            "SELECT a.tool, a.arguments, a.status, a.decided_by = t.user_id FROM approvals a"
            " JOIN turns t ON t.id = a.turn_id WHERE t.session_id = %(session)s ORDER BY a.id"
        ),
        tasks=rows("SELECT title FROM tasks WHERE user_id = %(user)s ORDER BY title"),
        memory=[
            without_ids([turn.number, turn.memory.items, turn.memory.reply, turn.memory.usage])
            if turn.memory is not None
            else [turn.number, "unreadable"]
            for turn in stored
        ],
        usage=rows(
            "SELECT agent, model, sum(calls), sum(input_tokens), sum(output_tokens)"
            " FROM daily_usage WHERE user_id = %(user)s GROUP BY agent, model ORDER BY agent, model"
        ),
    )


def in_flight(points: Sequence[str]) -> int:
    """Count the model calls that a process had made and not recorded when it ended."""
    made = 0
    for point in points:
        if point == "before a model call":
            made += 1
        elif point.startswith("after ") and point.endswith((".record", ".finish")):
            made = 0
    return made


def asked_again(asked: Sequence[str]) -> int:
    """Count the model calls that were made more than once, each time but the first."""
    return sum(times - 1 for times in Counter(asked).values())
