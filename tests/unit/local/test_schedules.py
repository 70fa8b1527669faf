"""What the template's schedules come to on a laptop."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from parley_local.execution import Answer, EnvironmentLost
from parley_local.pool import Pool
from parley_local.schedules import keep, next_run
from parley_local.template import Schedule
from parley_local.template_file import read_template

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(1 hour)", NOON + timedelta(hours=1)),
        ("rate(15 minutes)", NOON + timedelta(minutes=15)),
        ("rate(2 days)", NOON + timedelta(days=2)),
        ("cron(0 2 * * ? *)", datetime(2026, 11, 21, 2, tzinfo=UTC)),
        ("cron(30 12 * * ? *)", datetime(2026, 11, 20, 12, 30, tzinfo=UTC)),
        ("cron(0 12 * * ? *)", datetime(2026, 11, 21, 12, tzinfo=UTC)),
    ],
)
def test_when_it_comes_next(expression: str, expected: datetime) -> None:
    assert next_run(expression, NOON) == expected


@pytest.mark.parametrize(
    "expression", ["", "rate(0 hours)", "cron(0 24 * * ? *)", "cron(60 1 * * ? *)", "at(2026)"]
)
def test_another_kind_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="is not a schedule that parley dev knows"):
        next_run(expression, NOON)


def test_the_hour_of_the_environment_is_the_templates_parameter() -> None:
    path = Path(__file__).parents[3] / "template.yaml"

    by_default = read_template(path).schedules
    telling = read_template(
        path, parameters={"EscalationTopicArn": "arn:aws:sns:eu-west-1:123456789012:topic"}
    ).schedules
    at_five = read_template(path, parameters={"AgentSessionCleanupHour": "5"}).schedules

    clean = Schedule("Cleanup", "cron(0 2 * * ? *)", {"action": "clean"})
    recover = Schedule("Cleanup", "rate(1 hour)", {"action": "recover"})
    assert by_default == (recover, clean)
    assert telling == (recover, Schedule("Cleanup", "rate(5 minutes)", {"action": "tell"}), clean)
    assert at_five[1].expression == "cron(0 5 * * ? *)"


class Function:
    """A pool whose function fails every other time; the fourth run ends the test."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    async def invoke(self, event: Any, request_id: str) -> Answer:
        self.events.append(event)
        match len(self.events):
            case 1:
                raise EnvironmentLost({"errorMessage": "it died"})
            case 2:
                return Answer(error={"errorMessage": "no database"})
            case 4:
                raise asyncio.CancelledError
        return Answer(result={})


async def test_it_comes_each_time_also_after_a_run_that_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    function, time, slept = Function(), [NOON], list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        time[0] += timedelta(seconds=seconds)

    schedule = Schedule("Cleanup", "rate(2 minutes)", {"action": "recover"})
    with pytest.raises(asyncio.CancelledError):
        await keep(schedule, {"Cleanup": cast("Pool", function)}, now=lambda: time[0], sleep=sleep)

    assert function.events == [{"action": "recover"}] * 4
    assert time[0] == NOON + timedelta(minutes=8)
    assert max(slept) <= 60
    assert [record.getMessage() for record in caplog.records] == [
        "Cleanup failed on schedule: it died",
        "Cleanup failed on schedule: no database",
    ]
