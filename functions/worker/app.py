"""Queued turns, turns whose attempt died, and summaries: a wake-up says at which session to look.

What a wake-up finds is decided by Postgres, so one too many or one too late does no harm. It comes
back only where the session could not be looked at, or where something is wrong.
"""

from __future__ import annotations

from parley import starting

starting.begin()

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from parley import loop, timing
from parley.composition import Composition
from parley.config import load_settings
from parley.errors import Fenced, StoreUnavailable, TurnUnfinished
from parley.observability import logger, traced
from parley.repository.turns import RunningTurn
from parley.threads import in_thread_with_retry
from parley.timing import (
    PUT_BACK_SECONDS,
    SUMMARY_LEASE_SECONDS,
    WORKER_MARGIN_SECONDS,
    Deadline,
)
from parley.turns import wakeup

parts = Composition(load_settings("database", "memory", "model", "queue", "project"))
session_worker, summariser = parts.session_worker, parts.summariser
wake_queue = parts.wake_queue
wake_queue.prepare()

starting.done()


def handler(event: Mapping[str, Any], context: Any) -> None:
    """Look at the session that a wake-up names, and carry on the first turn that waits there.

    Args:
        event: SQS's, with one message: the session's id.
        context: Lambda's; says how much time there is.

    Raises:
        ValueError: The message is no wake-up; after its last delivery it is a dead letter.
        StoreUnavailable: A store cannot serve now; the message is delivered again.
    """
    (record,) = event["Records"]
    log = logger()
    log.append_keys(function_request_id=context.aws_request_id, message_id=record["messageId"])
    try:
        comes_back = _put_back(record, timing.CRASH_SECONDS)  # in case that this process dies
        turn = _claim(record)
        if turn is None:
            _summarise(record, context)
            return
        deadline = Deadline.of_invocation(context).before(WORKER_MARGIN_SECONDS)
        carrying = session_worker.execute(turn, seconds=deadline.left(), comes_back=comes_back)
        try:
            loop.run(carrying)
        except (Fenced, TurnUnfinished, StoreUnavailable) as error:
            # Somebody else carries the turn on, or it was let go of and a worker was woken. This
            # wake-up as well would be one more each time.
            log.info("the turn goes on elsewhere", reason=str(error))
        except Exception:
            _put_back(record, wakeup.retry_seconds(turn.attempt))
            raise
    finally:
        log.clear_state()


def _claim(record: Mapping[str, Any]) -> RunningTurn | None:
    try:
        return loop.run(session_worker.claim(_session_id(record)))
    except Exception as error:
        logger().warning("no claim; the wake-up is put back", **traced(error))
        received = int(record["attributes"]["ApproximateReceiveCount"])
        longest = timing.LONGEST_DELAY_SECONDS
        _put_back(record, min(PUT_BACK_SECONDS << min(received - 1, 10), longest))
        raise


def _summarise(record: Mapping[str, Any], context: Any) -> None:
    """Make the session's next summary, if one is due; the user's turns come first.

    Raises:
        StoreUnavailable: A store cannot serve now; the message is delivered again when whatever
            holds the summary has let go of it.
    """
    try:
        making = loop.run(summariser.take(_session_id(record)))
        if making is None:
            return
        _put_back(record, SUMMARY_LEASE_SECONDS)  # in case that this process dies
        seconds = Deadline.of_invocation(context).before(WORKER_MARGIN_SECONDS).left()
        loop.run(summariser.make(making, seconds=seconds))
    except StoreUnavailable as error:
        logger().warning("a summary is looked at again later", reason=str(error))
        _put_back(record, SUMMARY_LEASE_SECONDS)
        raise


def _put_back(record: Mapping[str, Any], seconds: int) -> bool:
    """Have the wake-up come back then, unless it is answered; tell whether it will."""
    try:
        loop.run(
            in_thread_with_retry(wake_queue.put_back, record["receiptHandle"], seconds=seconds)
        )
    except StoreUnavailable as error:  # it comes back by itself, much later
        logger().warning("a wake-up could not be put back", reason=str(error))
        return False
    return True


def _session_id(record: Mapping[str, Any]) -> UUID:
    try:
        return UUID(record["body"])
    except ValueError:
        logger().error("a message that is no wake-up")
        raise ValueError("the message's body is not a session's id") from None
