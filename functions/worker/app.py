"""Queued turns, and turns whose attempt died: a doorbell says at which session to look.

What a doorbell finds is decided by Postgres, so one too many or one too late does no harm. It comes
back only where the session could not be looked at, or where something is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from parley import loop
from parley.composition import Composition
from parley.config import load_settings
from parley.errors import Fenced, StoreUnavailable, TurnUnfinished
from parley.observability import logger, traced
from parley.repository.turns import RunningTurn

MARGIN_SECONDS = 15.0
"""What an invocation keeps for letting go of a turn that will not end in time, and for ringing."""

PUT_BACK_SECONDS = 60
"""When a doorbell comes back that could not be answered; the queue's own time-out is much longer.
If its claim was carried out and only the answer lost, the lease has run out by then."""

parts = Composition(load_settings("database", "memory", "model", "queue"))
head_runner, doorbell = parts.head_runner, parts.doorbell
doorbell.prepare()


def handler(event: Mapping[str, Any], context: Any) -> None:
    """Look at the session that a doorbell names, and carry on the first turn that waits there.

    Args:
        event: SQS's, with one message: the session's id.
        context: Lambda's; says how much time there is.

    Raises:
        ValueError: The message is no doorbell; after its last delivery it is a dead letter.
        StoreUnavailable: A store cannot serve now; the message is delivered again.
    """
    (record,) = event["Records"]
    log = logger()
    log.append_keys(function_request_id=context.aws_request_id, message_id=record["messageId"])
    try:
        turn = _claim(record)
        if turn is None:
            return
        left: float = context.get_remaining_time_in_millis() / 1000
        try:
            loop.run(head_runner.carry_out(turn, seconds=left - MARGIN_SECONDS))
        except (Fenced, TurnUnfinished, StoreUnavailable) as error:
            # Somebody else carries the turn on, or it was let go of and rung for. This doorbell as
            # well would be one more each time.
            log.info("the turn goes on elsewhere", reason=str(error))
    finally:
        log.clear_state()


def _claim(record: Mapping[str, Any]) -> RunningTurn | None:
    try:
        return loop.run(head_runner.claim(_session_id(record)))
    except Exception as error:
        logger().warning("no claim; the doorbell is put back", **traced(error))
        with suppress(StoreUnavailable):  # it comes back by itself then, later
            doorbell.put_back(record["receiptHandle"], seconds=PUT_BACK_SECONDS)
        raise


def _session_id(record: Mapping[str, Any]) -> UUID:
    try:
        return UUID(record["body"])
    except ValueError:
        logger().error("a message that is no doorbell")
        raise ValueError("the message's body is not a session's id") from None
