"""Lambda's part in a queue: the function is invoked on each message, and told of it as on AWS."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import uuid
from typing import Any, NoReturn

from parley_local.lambda_identity import ACCOUNT, REGION
from parley_local.pool import Invocable
from parley_local.queue_state import Message, QueueState

log = logging.getLogger(__name__)


async def deliver(queue: QueueState, pool: Invocable, *, at_once: int) -> NoReturn:
    """Invoke the queue's function on one message after the other.

    A message is deleted when the function returns; when it fails, it is delivered again.

    Args:
        queue: What to work off.
        pool: The queue's function.
        at_once: How many messages are worked on at a time; the queue's own limit may be lower.
    """
    places = asyncio.Semaphore(min(at_once, queue.settings.concurrency or at_once))
    async with asyncio.TaskGroup() as deliveries:
        while True:
            await places.acquire()
            message = await queue.receive()
            delivery = deliveries.create_task(_invoke(queue, pool, message))
            delivery.add_done_callback(lambda _: places.release())


async def _invoke(queue: QueueState, pool: Invocable, message: Message) -> None:
    event = sqs_event(queue.settings.name, message)
    receipt, receives = message.receipt or "", message.receives
    answer = await pool.invoke(event, str(uuid.uuid4()))
    if answer.error is None:
        queue.delete(receipt)
        return
    log.error(
        "%s failed on message %s of %s, receive %d of %s: %s",
        pool.function.name,
        message.id,
        queue.settings.name,
        receives,
        queue.settings.receives or "any number",
        answer.error.get("errorMessage"),
    )
    queue.fail(receipt)


def queue_arn(name: str) -> str:
    """Return the ARN of a queue of the template."""
    return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


def sqs_event(queue: str, message: Message) -> dict[str, Any]:
    """Return the event by which Lambda hands over one received message.

    Args:
        queue: The queue's name in the template.
        message: What was received.
    """
    first = message.sent_at if message.first_received_at is None else message.first_received_at
    return {
        "Records": [
            {
                "messageId": message.id,
                "receiptHandle": message.receipt,
                "body": message.body,
                "attributes": {
                    "ApproximateReceiveCount": str(message.receives),
                    "SentTimestamp": str(int(message.sent_at * 1000)),
                    "SenderId": f"AROALOCAL:{ACCOUNT}",
                    "ApproximateFirstReceiveTimestamp": str(int(first * 1000)),
                },
                "messageAttributes": {},
                "md5OfBody": md5_of(message.body),
                "eventSource": "aws:sqs",
                "eventSourceARN": queue_arn(queue),
                "awsRegion": REGION,
            }
        ]
    }


def md5_of(text: str) -> str:
    """Return the checksum that SQS gives of a body, in hexadecimal."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
