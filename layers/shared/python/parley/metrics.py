"""The metrics: their names and units, and how they get to CloudWatch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

_SERVICE = "parley"

_is_measured = True
"""Whether what is measured is written."""

METRICS: Mapping[str, MetricUnit] = {
    # Of a turn, also by agent.
    "TurnsCompleted": MetricUnit.Count,
    "TurnsFailed": MetricUnit.Count,
    "TurnsCancelled": MetricUnit.Count,
    "TurnsReleased": MetricUnit.Count,
    "TurnsReplaced": MetricUnit.Count,
    "TurnsUnavailable": MetricUnit.Count,
    "TurnLatency": MetricUnit.Milliseconds,
    "ModelCalls": MetricUnit.Count,
    "InputTokens": MetricUnit.Count,
    "OutputTokens": MetricUnit.Count,
    "SummariesFailed": MetricUnit.Count,
    "CostUSD": MetricUnit.NoUnit,
    "MemoryReadLatency": MetricUnit.Milliseconds,
    "WakeupsFailed": MetricUnit.Count,
    # Requests that were refused for a limit of their user's, also by limit.
    "LimitsReached": MetricUnit.Count,
    # Users who came near a budget, each once a day or month; also by limit.
    "BudgetsNear": MetricUnit.Count,
    # Of a cleanup; what it removed also by kind.
    "CleanupFinished": MetricUnit.Count,
    "CleanupDuration": MetricUnit.Seconds,
    "CleanupFound": MetricUnit.Count,
    "CleanupRows": MetricUnit.Count,
    "CleanupItems": MetricUnit.Count,
    "CleanupBytes": MetricUnit.Bytes,
    "CleanupFailures": MetricUnit.Count,
    # What there is, looked at after each recovery.
    "ActiveSessions": MetricUnit.Count,
    "WaitingSessions": MetricUnit.Count,
    "OverdueTurns": MetricUnit.Count,
    "OldestOpenTurn": MetricUnit.Seconds,
    "OldestApproval": MetricUnit.Seconds,
    "OutboxDue": MetricUnit.Count,
    "OutboxAge": MetricUnit.Seconds,
    "DatabaseConnections": MetricUnit.Count,
    "DatabaseConnectionsUsed": MetricUnit.Percent,
    "DatabaseSize": MetricUnit.Bytes,
    "MemorySize": MetricUnit.Bytes,
    "MemoryItems": MetricUnit.Count,
}
"""Every metric with its unit. CloudWatch takes money for each name (and each of its dimensions), so
what requests come to is in the log instead, and on the dashboard from there."""


def measure(values: Mapping[str, float], **dimensions: str) -> None:
    """Write metrics into the log, where CloudWatch finds them: no call is made.

    All are added up over the deployment, which has a namespace of its own, and again by the
    dimensions, since an alarm sees only sums that are there.
    """
    # Of the moment's own: one invocation may end two turns, of different agents.
    namespace = os.environ.get("POWERTOOLS_METRICS_NAMESPACE", "Parley")
    measured = EphemeralMetrics(namespace=namespace, service=_SERVICE)
    for name, value in values.items():
        measured.add_metric(name=name, unit=METRICS[name], value=value)
    if dimensions:
        measured.add_dimensions(service=_SERVICE, **dimensions)
    if _is_measured:
        measured.flush_metrics()
    else:
        measured.serialize_metric_set()


@contextmanager
def unmeasured() -> Iterator[None]:
    """Write nothing of what the process measures within the block: it is nobody's."""
    global _is_measured
    _is_measured = False
    try:
        yield
    finally:
        _is_measured = True
