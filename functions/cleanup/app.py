"""Recovery, deletion and retention, by schedule or by invocation.

Turns whose attempt died are carried on, memory that is left over is removed, and what is past its
time goes. The work is done in batches until nothing is left or the invocation has to end; whoever
comes next goes on from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from parley import loop
from parley.cleanup.cleaner import summary
from parley.cleanup.gauges import publish_gauges
from parley.cleanup.retention import CleanupRequest
from parley.composition import Composition
from parley.config import load_settings
from parley.observability import logger, traced

BATCH = 20
MARGIN_SECONDS = 10.0
"""What an invocation keeps for letting go of a turn that will not end in time, or for a page of
cleanup that has begun."""

parts = Composition(load_settings("database", "memory", "model", "queue"))
cleaner, outbox, recovery = parts.cleaner, parts.outbox, parts.recovery


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Recover turns and drain the outbox, or clean up what is past its time.

    Args:
        event: `{"action": "recover"}`, which also goes on with a cleanup that had no time to end,
            or `{"action": "clean"}`.
        context: Lambda's; says how much time there is.

    Returns:
        To `recover`: `turns`, how many were `ended`, taken `elsewhere` or left `unfinished`;
        `conversations`, how many were removed; `cleanup`, the report if one was gone on with;
        `done`, whether nothing is left. To `clean`: the report.

    Raises:
        ValueError: The event asks for something else.
        StoreUnavailable: A store cannot serve now; what is left stays to be done.
    """

    def left() -> float:
        seconds: float = context.get_remaining_time_in_millis() / 1000
        return seconds - MARGIN_SECONDS

    match event.get("action"):
        case "recover":
            report = _recover(left)
        case "clean":
            report = summary(cleaner.clean(CleanupRequest(), left=left))
        case _:
            raise ValueError("expected {'action': 'recover'} or {'action': 'clean'}")
    logger().info("cleaned up", action=event["action"], report=report)
    return report


def _recover(left: Callable[[], float]) -> dict[str, Any]:
    conversations, drained = 0, False
    while not drained and left() > 0:
        removed = outbox.drain(BATCH)
        conversations += removed
        drained = removed < BATCH
    turns = loop.run(recovery.recover(BATCH, seconds=left()))
    cleanup = cleaner.go_on(left=left)
    _publish_gauges()
    return {
        "turns": asdict(turns),
        "conversations": conversations,
        "cleanup": None if cleanup is None else summary(cleanup),
        "done": drained and not turns.unfinished and (cleanup is None or cleanup.done),
    }


def _publish_gauges() -> None:
    """Tell how the deployment stands; what was done is done if that fails."""
    try:
        publish_gauges(parts.database, parts.store)
    except Exception as error:
        logger().error("how the deployment stands could not be told", **traced(error))
