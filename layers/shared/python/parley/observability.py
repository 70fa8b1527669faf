"""Logs and metrics. Ids and outcomes only: what people say is never logged at INFO."""

from __future__ import annotations

import traceback
from functools import cache
from typing import Any, Protocol

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit


class TurnUsage(Protocol):
    """What a turn's model calls came to."""

    @property
    def model_calls(self) -> int:
        """Calls."""

    @property
    def input_tokens(self) -> int:
        """Tokens sent."""

    @property
    def output_tokens(self) -> int:
        """Tokens received."""


@cache
def logger() -> Logger:
    """Give the process's logger: JSON lines, with the ids of the request, session and turn."""
    return Logger(service="parley")


def traced(error: BaseException | None) -> dict[str, Any]:
    """Give what a log may say of an exception: where it came from, and not what it says.

    Messages of exceptions quote what they are about: parameters, answers, people.
    """
    if error is None:
        return {}
    kinds: list[str] = []
    chain: BaseException | None = error
    while chain is not None:
        kinds.append(f"{type(chain).__module__}.{type(chain).__qualname__}")
        chain = chain.__cause__
    frames = [
        f"{frame.filename}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    return {"exception": kinds, "frames": frames}


def turn_ended(
    *,
    outcome: str,
    agent: str,
    seconds: float,
    usage: TurnUsage,
) -> None:
    """Measure a turn that an attempt ended, or let go of, and log it.

    Args:
        outcome: `completed`, `failed`, `released`, `replaced` or `unavailable`.
        agent: The agent's name.
        seconds: How long this attempt held the turn.
        usage: Model calls and tokens, of all attempts.
    """
    # Of the turn's own: one invocation may end two turns, of different agents.
    measured = EphemeralMetrics(namespace="Parley", service="parley")
    measured.add_dimension(name="agent", value=agent)
    measured.add_metric(name=f"Turns{outcome.capitalize()}", unit=MetricUnit.Count, value=1)
    measured.add_metric(name="TurnLatency", unit=MetricUnit.Milliseconds, value=seconds * 1000)
    measured.add_metric(name="ModelCalls", unit=MetricUnit.Count, value=usage.model_calls)
    measured.add_metric(name="InputTokens", unit=MetricUnit.Count, value=usage.input_tokens)
    measured.add_metric(name="OutputTokens", unit=MetricUnit.Count, value=usage.output_tokens)
    measured.flush_metrics()
    logger().info(
        "turn ended",
        outcome=outcome,
        agent=agent,
        milliseconds=round(seconds * 1000, 1),
        model_calls=usage.model_calls,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
    )
