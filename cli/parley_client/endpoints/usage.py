"""What was spent."""

from __future__ import annotations

from datetime import date
from typing import Literal

from parley_client.call import Call, shown_as
from parley_client.models import OwnUsageReport, UsageReport


def read_usage(
    *,
    start: date | None = None,
    end: date | None = None,
    group_by: Literal["day", "agent", "model"] = "day",
    limit: int = 366,
) -> Call[OwnUsageReport]:
    """Say what the user's turns took, and cost, in the turns that ended on some days (UTC).

    Args:
        start: The first day; that of the month if None.
        end: The last day, included; today if None.
        group_by: What to tell apart.
        limit: How many groups to give at most (1-1000); the total is of all.
    """
    query = {"from": _day(start), "to": _day(end), "group_by": group_by, "limit": limit}
    return Call("GET", "/usage", shown_as(OwnUsageReport), query=query)


def read_all_usage(
    *,
    start: date | None = None,
    end: date | None = None,
    group_by: Literal["day", "agent", "model", "user"] = "day",
    user_id: str | None = None,
    limit: int = 366,
) -> Call[UsageReport]:
    """Say the same of all users, or of one; for administrators."""
    query = {"from": _day(start), "to": _day(end), "group_by": group_by, "limit": limit}
    return Call("GET", "/admin/usage", shown_as(UsageReport), query={**query, "user_id": user_id})


def _day(day: date | None) -> str | None:
    return None if day is None else str(day)
