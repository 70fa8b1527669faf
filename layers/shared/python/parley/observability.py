"""What is logged and measured. Ids and outcomes only: what people say is never logged at INFO."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, Protocol

from aws_lambda_powertools import Logger

from parley.faults import traced as traced
from parley.log_format import NotTwice, formatter
from parley.metrics import measure
from parley.usage.spent import Spent
from parley.usage.told import NANODOLLARS, told

_ENDED = ("completed", "failed", "cancelled")


class Removed(Protocol):
    """How much of one kind a cleanup came to."""

    @property
    def found(self) -> int:
        """Sessions, conversations or keys."""

    @property
    def rows(self) -> int:
        """Rows in Postgres."""

    @property
    def items(self) -> int:
        """Items in the agent-session store."""

    @property
    def bytes(self) -> int:
        """Their compressed size."""

    @property
    def failures(self) -> int:
        """How many could not be removed."""


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

    @property
    def in_all(self) -> Spent:
        """What all of it came to."""


@cache
def logger() -> Logger:
    """Return the process's logger: its lines have the ids of the request, session and turn."""
    made = Logger(service="parley", logger_formatter=formatter())

    def of_request() -> bool:
        keys = {**made.get_current_keys(), **made.thread_safe_get_current_keys()}
        return bool(keys.get("request_id"))

    made.addFilter(NotTwice(of_request))
    return made


def log_keys(**keys: str) -> None:
    """Have these stand in all that the caller's task logs from here on, and those that it starts.

    In no other's: a process that serves several requests at a time would mix them up.
    """
    logger().thread_safe_append_keys(**keys)


def recorded(
    message: str, *, level: Literal["INFO", "WARNING", "ERROR"] = "INFO", **facts: Any
) -> None:
    """Log what must be on record whatever the log's level is; like the rest, ids and outcomes."""
    log = logger()
    record = logging.LogRecord(
        log.name or "", getattr(logging, level), __file__, 0, message, None, None, "recorded"
    )
    record.__dict__.update(facts)
    log.registered_handler.handle(record)


def turn_ended(
    *,
    outcome: str,
    agent: str,
    seconds: float,
    usage: TurnUsage,
) -> None:
    """Measure a turn that an attempt ended, or let go of, and log it.

    Args:
        outcome: `completed`, `failed`, `cancelled`, `waiting`, `released`, `replaced` or
            `unavailable`.
        agent: The agent's name.
        seconds: How long this attempt held the turn.
        usage: Model calls and tokens, of all attempts.
    """
    measure(
        {
            **({} if outcome == "waiting" else {f"Turns{outcome.capitalize()}": 1}),
            "TurnLatency": seconds * 1000,
            "ModelCalls": usage.model_calls,
            "InputTokens": usage.input_tokens,
            "OutputTokens": usage.output_tokens,
        },
        agent=agent,
    )
    if outcome in _ENDED:
        paid(agent=agent, spent=usage.in_all)
    logger().info(
        "turn ended",
        outcome=outcome,
        agent=agent,
        milliseconds=_milliseconds(seconds),
        model_calls=usage.model_calls,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=told(usage.in_all)["cost_usd"],
    )


def summary_ended(*, outcome: str, agent: str, seconds: float, usage: TurnUsage) -> None:
    """Measure a summary that was made, or was to be, and log it.

    Args:
        outcome: `made`, `failed`, `lost` (the one before is gone) or `replaced`.
        agent: The agent's name.
        seconds: How long it took.
        usage: Model calls and tokens.
    """
    measure(
        {
            "SummariesFailed": int(outcome == "failed"),
            "ModelCalls": usage.model_calls,
            "InputTokens": usage.input_tokens,
            "OutputTokens": usage.output_tokens,
        },
        agent=agent,
    )
    if outcome in ("made", "failed"):
        paid(agent=agent, spent=usage.in_all)
    logger().info(
        "summary ended",
        outcome=outcome,
        agent=agent,
        milliseconds=_milliseconds(seconds),
        model_calls=usage.model_calls,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
    )


def paid(*, agent: str, spent: Spent) -> None:
    """Measure what a turn or a summary cost, if that is known: once, by who has ended it.

    By agent only: a deployment has few of them, and CloudWatch takes money for each name and value.
    """
    if spent.calls and spent.cost is not None:
        measure({"CostUSD": spent.cost / NANODOLLARS}, agent=agent)


def memory_read(seconds: float) -> None:
    """Measure how long a turn waited for its session's memory."""
    measure({"MemoryReadLatency": seconds * 1000})


def request_answered(
    *, route: str, status: int, seconds: float, ids: Mapping[str, str] | None = None
) -> None:
    """Log what a request came to.

    Args:
        route: Its method and the path that the template has, with names for the ids.
        status: The response's.
        seconds: How long the answer took here.
        ids: Those of what it was about, by the names that they have in the log.
    """
    facts: dict[str, Any] = {"route": route, "status": status, **(ids or {})}
    logger().info("request answered", milliseconds=_milliseconds(seconds), **facts)


def limit_reached(limit: str) -> None:
    """Measure that a request was refused for a limit of its user's, and log it."""
    measure({"LimitsReached": 1}, limit=limit)
    logger().info("limit reached", limit=limit)


def budgets_near(users: Mapping[str, int]) -> None:
    """Measure how many users came near a budget, by limit, and log it."""
    for limit, count in users.items():
        measure({"BudgetsNear": count}, limit=limit)
        logger().info("users near a budget", limit=limit, users=count)


def cleanup_ended(*, done: bool, seconds: float, kinds: Mapping[str, Removed]) -> None:
    """Measure a cleanup of everything, or what one invocation did of it.

    Args:
        done: Whether it came to its end; where it did not, another goes on.
        seconds: How long it took.
        kinds: How much of each kind went.
    """
    measure({"CleanupFinished": int(done), "CleanupDuration": seconds})
    for kind, removed in kinds.items():
        measure(
            {
                "CleanupFound": removed.found,
                "CleanupRows": removed.rows,
                "CleanupItems": removed.items,
                "CleanupBytes": removed.bytes,
                "CleanupFailures": removed.failures,
            },
            kind=kind,
        )


def gauges_read(values: Mapping[str, float]) -> None:
    """Measure what there is now, by the names of the metrics."""
    measure(values)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
