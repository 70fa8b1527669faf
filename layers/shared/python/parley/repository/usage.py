"""What calls of models came to by day, user, agent and model: read, exported, moved and deleted.

The statements that end turns add to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal, get_args

from sqlalchemy import Row, text

from parley.repository.database import Database
from parley.repository.scope import SERVICE, OfUser
from parley.repository.statements import statement
from parley.usage.spent import Spent

GroupBy = Literal["day", "agent", "model", "user"]

_COLUMNS: Final = {"day": "day::text", "agent": "agent", "model": "model", "user": "user_id"}


@dataclass(frozen=True, slots=True)
class UsageGroup:
    """The sums of one day, agent, model or user, whose `name` it is."""

    name: str
    spent: Spent


@dataclass(frozen=True, slots=True)
class UsageOfDays:
    """What was spent on some days.

    Attributes:
        total: All of it.
        groups: Its parts: days in their order, others with the dearest first.
        left_out: How many further parts there are.
    """

    total: Spent
    groups: tuple[UsageGroup, ...]
    left_out: int


def read_usage(
    database: Database,
    user_id: str | None,
    first: date,
    last: date,
    group_by: GroupBy,
    *,
    limit: int,
) -> UsageOfDays:
    """Sum up what was spent. One round trip, which reads one range of an index.

    Args:
        database: Where the sums of each day are.
        user_id: Whose; all users' if None.
        first: The first day (UTC).
        last: The last day, which is counted too.
        group_by: What to tell apart.
        limit: How many parts to give at most.

    Raises:
        StoreUnavailable: Postgres cannot serve now.
    """
    scope = SERVICE if user_id is None else OfUser(user_id)
    query = _READ[group_by, user_id is None]
    parameters = {"first": first, "last": last, "limit": limit + 1}
    if user_id is not None:
        parameters["user_id"] = user_id
    rows = database.run(scope, query, parameters)
    total = _sums(rows[0])  # comes first
    groups = tuple(UsageGroup(row.name, _sums(row)) for row in rows if not row.is_total)
    return UsageOfDays(total, groups, rows[0].rows - 1 - len(groups))


def export_usage(database: Database, user_id: str) -> Sequence[Row[Any]]:
    """Return all that is kept of what a user's turns came to, each as `usage`, day by day."""
    return database.run(OfUser(user_id), _EXPORT, {"user_id": user_id})


def delete_usage(database: Database, user_id: str) -> int:
    """Delete what is kept of a user's usage, and give how many rows that was."""
    return len(database.run(OfUser(user_id), _DELETE, {"user_id": user_id}))


def move_usage(database: Database, old: str, new: str) -> int:
    """Add what one user's turns came to to another's, and give how many rows that were."""
    return len(database.run(SERVICE, _MOVE, {"old": old, "new": new}))


def _sums(row: Row[Any]) -> Spent:
    if row.calls is None:
        return Spent()  # there is a total also where there is nothing
    return Spent(
        calls=int(row.calls),
        input=_whole(row.input_tokens),
        cached=_whole(row.cached_tokens),
        output=_whole(row.output_tokens),
        reasoning=_whole(row.reasoning_tokens),
        cost=_whole(row.cost_nanodollars),
        uncounted=int(row.uncounted_calls),
        unpriced=int(row.unpriced_calls),
    )


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def _reading(group_by: GroupBy, *, of_all: bool) -> str:
    own = "" if of_all else "user_id = :user_id AND "
    order = "name" if group_by == "day" else "cost_nanodollars DESC NULLS LAST, calls DESC, name"
    column = _COLUMNS[group_by]
    return f"""
SELECT grouping({column}) = 1 AS is_total, {column} AS name, count(*) OVER () AS rows,
  sum(calls) AS calls, sum(input_tokens) AS input_tokens, sum(cached_tokens) AS cached_tokens,
  sum(output_tokens) AS output_tokens, sum(reasoning_tokens) AS reasoning_tokens,
  sum(cost_nanodollars) AS cost_nanodollars, sum(uncounted_calls) AS uncounted_calls,
  sum(unpriced_calls) AS unpriced_calls
FROM daily_usage WHERE {own}day BETWEEN :first AND :last
GROUP BY GROUPING SETS (({column}), ())
ORDER BY is_total DESC, {order} LIMIT :limit
"""


_READ = {
    (group_by, of_all): text(_reading(group_by, of_all=of_all))
    for group_by in get_args(GroupBy)
    for of_all in (True, False)
}

_EXPORT = text("""
SELECT to_jsonb(d) AS usage FROM daily_usage d WHERE d.user_id = :user_id
ORDER BY d.day, d.agent, d.model
""")

_DELETE = text("DELETE FROM daily_usage WHERE user_id = :user_id RETURNING day")

_MOVE = statement("move_usage")
