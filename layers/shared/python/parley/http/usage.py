"""The routes that show what was spent: the caller's own, and all users'."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from annotated_types import Interval
from aws_lambda_powertools.event_handler.api_gateway import Router
from aws_lambda_powertools.event_handler.openapi.params import Query

from parley.http.budget_schemas import OwnUsageReport
from parley.http.documented import answers
from parley.http.numbers import A_DAY, IN_DIGITS
from parley.http.parts import Administrator, Caller, Database, UserBudgets
from parley.http.usage_schemas import Days, UsageReport
from parley.repository.usage import read_usage

GROUPS_MAX = 1_000

FirstDay = Annotated[
    date | None,
    A_DAY,
    Query(alias="from", description="The first day (UTC); the first of this month if not given."),
]
LastDay = Annotated[
    date | None,
    A_DAY,
    Query(alias="to", description="The last day (UTC), included; today if not given."),
]
Groups = Annotated[
    int,
    Interval(ge=1, le=GROUPS_MAX),
    IN_DIGITS,
    Query(description="How many groups at most; the total is of all."),
]
_DESCRIPTION = (
    "Sums of what is known: `calls_without_tokens` and `calls_without_cost` say how many calls they"
    " leave out. At most 366 days."
)

router = Router()


@router.get(
    "/usage",
    operation_id="readUsage",
    tags=["usage"],
    summary="Show what your turns took, and cost, and what you may spend",
    description=_DESCRIPTION
    + " `limits` are those of today and this month, whatever days are asked for.",
    responses=answers({200: "What was spent."}, 422),
)
def read_own_usage(
    user: Caller,
    database: Database,
    budgets: UserBudgets,
    first: FirstDay = None,
    last: LastDay = None,
    group_by: Annotated[Literal["day", "agent", "model"], Query()] = "day",
    limit: Groups = 366,
) -> OwnUsageReport:
    days = Days.of(first, last)
    usage = read_usage(database, user.user_id, days.first, days.last, group_by, limit=limit)
    return OwnUsageReport.of_user(days, usage, budgets.read(user.user_id))


@router.get(
    "/admin/usage",
    operation_id="readAllUsage",
    tags=["admin"],
    summary="Show what all users' turns took, and cost, or one user's",
    description=_DESCRIPTION,
    responses=answers({200: "What was spent."}, 403, 422),
)
def read_all_usage(
    user: Administrator,
    database: Database,
    first: FirstDay = None,
    last: LastDay = None,
    group_by: Annotated[Literal["day", "agent", "model", "user"], Query()] = "day",
    user_id: Annotated[str | None, Query(max_length=1000)] = None,
    limit: Groups = 366,
) -> UsageReport:
    days = Days.of(first, last)
    usage = read_usage(database, user_id, days.first, days.last, group_by, limit=limit)
    return UsageReport.of(days, usage)
