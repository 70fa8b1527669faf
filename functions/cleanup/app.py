"""Recovery, deletion and retention, by schedule or by invocation.

Of turns whose attempt died a worker is told, memory that is left over is removed, and what is past
its time goes. The work is done in batches until nothing is left or the invocation has to end;
whoever comes next goes on from there.
"""

from __future__ import annotations

from parley import starting

starting.begin()

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from parley import loop
from parley.cleanup.cleaner import summary
from parley.cleanup.gauges import publish_gauges
from parley.cleanup.retention import CleanupRequest
from parley.composition import Composition
from parley.config import load_settings
from parley.observability import budgets_near, logger, traced
from parley.timing import CLEANUP_MARGIN_SECONDS, Deadline

BATCH = 20
parts = Composition(load_settings("database", "memory", "queue"))
cleaner, outbox, recovery = parts.cleaner, parts.outbox, parts.recovery
escalations, budgets = parts.escalations, parts.user_budgets

starting.done()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Wake for what waits and drain the outboxes, or clean up what is past its time.

    Args:
        event: `{"action": "recover"}`, which also goes on with a cleanup that had no time to end,
            `{"action": "clean"}`, or `{"action": "tell"}`, for the escalations alone.
        context: Lambda's; says how much time there is.

    Returns:
        To `recover`: `sessions`, how many were `waiting` for somebody to carry them on, how many
        of them were `woken` for now, and how many are `left` to be; `approvals`, how many expired;
        `escalations`, of how many
        somebody was told; `conversations`, how many were
        removed; `cleanup`, the report if one was gone on with; `done`, whether nothing is left to
        another recovery. To `clean`: the report. To `tell`: the `escalations`.

    Raises:
        ValueError: The event asks for something else.
        StoreUnavailable: A store cannot serve now; what is left stays to be done.
    """
    left = Deadline.of_invocation(context).before(CLEANUP_MARGIN_SECONDS).left
    match event.get("action"):
        case "recover":
            report = _recover(left)
        case "clean":
            report = summary(cleaner.clean(CleanupRequest(), left=left))
        case "tell":
            report = {"escalations": escalations.tell(left=left)}
        case _:
            raise ValueError("expected {'action': 'recover'}, {'action': 'clean'} or 'tell'")
    logger().info("cleaned up", action=event["action"], report=report)
    return report


def _recover(left: Callable[[], float]) -> dict[str, Any]:
    # First, since users wait for it; and it does not take long.
    expired = recovery.expire(left=left)
    sessions = loop.run(recovery.recover(seconds=left()))
    told = escalations.tell(left=left)
    conversations, drained = 0, False
    while not drained and left() > 0:
        removed = outbox.drain(BATCH)
        conversations += removed
        drained = removed < BATCH
    cleanup = cleaner.go_on(left=left)
    _publish_gauges()
    _warn_of_budgets()
    return {
        "sessions": asdict(sessions),
        "approvals": expired,
        "escalations": told,
        "conversations": conversations,
        "cleanup": None if cleanup is None else summary(cleanup),
        "done": drained and not sessions.left and (cleanup is None or cleanup.done),
    }


def _publish_gauges() -> None:
    """Tell how the deployment stands; what was done is done if that fails."""
    try:
        publish_gauges(parts.database, parts.store)
    except Exception as error:
        logger().error("how the deployment stands could not be told", **traced(error))


def _warn_of_budgets() -> None:
    """Tell who came near a budget; what was done is done if that fails, and the next run tells."""
    try:
        budgets_near(budgets.warn())
    except Exception as error:
        logger().error("budgets that are nearly used could not be told", **traced(error))
