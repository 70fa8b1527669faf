"""EventBridge Scheduler's part: functions of the template that are invoked by themselves."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from parley_local.execution import EnvironmentLost
from parley_local.pool import Invocable
from parley_local.template import Schedule

_RATE = re.compile(r"rate\(([1-9]\d*) (minute|hour|day)s?\)")
_DAILY = re.compile(r"cron\((\d{1,2}) (\d{1,2}) \* \* \? \*\)")
_LONGEST_SLEEP = 60.0
"""Seconds: a laptop that was closed meanwhile notices soon that it is late."""

log = logging.getLogger(__name__)


def next_run(expression: str, after: datetime) -> datetime:
    """Say when a schedule comes next.

    Args:
        expression: `rate(1 hour)`, or `cron(0 2 * * ? *)` for each day at an hour (in UTC).
        after: The run before, or when it was made.

    Raises:
        ValueError: It is another kind of schedule, which Scheduler knows and this does not.
    """
    if rate := _RATE.fullmatch(expression):
        return after + timedelta(**{f"{rate[2]}s": int(rate[1])})
    daily = _DAILY.fullmatch(expression)
    if daily is None or int(daily[1]) > 59 or int(daily[2]) > 23:
        raise ValueError(f"{expression} is not a schedule that parley dev knows.")
    today = after.astimezone(UTC).replace(
        hour=int(daily[2]), minute=int(daily[1]), second=0, microsecond=0
    )
    return today if today > after else today + timedelta(days=1)


async def keep(
    schedule: Schedule,
    pools: Mapping[str, Invocable],
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
) -> NoReturn:
    """Invoke the schedule's function whenever it is time; a run that fails is logged.

    Raises:
        ValueError: The schedule is of a kind that is not known.
    """
    while True:
        due = next_run(schedule.expression, now())
        while (left := (due - now()).total_seconds()) > 0:
            await sleep(min(left, _LONGEST_SLEEP))
        try:
            answer = await pools[schedule.function].invoke(schedule.event, str(uuid.uuid4()))
        except EnvironmentLost as error:
            log.error("%s failed on schedule: %s", schedule.function, error)
            continue
        if answer.error is not None:
            fault = answer.error.get("errorMessage")
            log.error("%s failed on schedule: %s", schedule.function, fault)
