"""Writers of one turn's event log that are in each other's way, as threads or as processes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from parley.events.dynamodb import DynamoDbEventLog
from parley.events.log import EventLog, PlaceTaken, TurnEvent
from parley.events.sqlite import SqliteEventLog
from parley_testing.account.region import REGION
from parley_testing.stores.turn_keys import numbered
from parley_testing.waiting import HANG_SECONDS

BEGAN = datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)


def deltas(first: int, count: int, **data: Any) -> list[TurnEvent]:
    """Make pieces of a message with the sequence numbers from `first`."""
    return [
        TurnEvent(
            sequence,
            "message.delta",
            BEGAN + timedelta(milliseconds=sequence),
            {"step": 0, "text": f"piece {sequence} ", **data},
        )
        for sequence in range(first, first + count)
    ]


def write_in_the_way(
    log: EventLog, conversation: str, number: int, writer: str, chunks: int
) -> int:
    """Append so many chunks of one to three events, each where the log ends by then.

    Returns:
        How often another writer's chunk was there first.
    """
    last = taken = 0
    for n in range(chunks):
        while True:
            try:
                size = n % 3 + 1
                events = deltas(last + 1, size, by=writer, n=n)
                log.append(conversation, numbered(number), writer, events)
            except PlaceTaken:
                taken += 1
                last = log.read(conversation, numbered(number), after=last)[-1].sequence
            else:
                last += size
                break
    return taken


def dynamodb(url: str) -> Any:
    """Make a client of moto's DynamoDB at a URL."""
    return boto3.client(
        "dynamodb",
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"max_attempts": 1, "mode": "legacy"}, max_pool_connections=20),
    )


@contextmanager
def opened(kind: str, where: str) -> Iterator[EventLog]:
    """Open a log as a process of its own does.

    Args:
        kind: `sqlite` or `dynamodb`.
        where: The file, or the URL and the table with a blank between them.
    """
    if kind == "sqlite":
        with closing(SqliteEventLog(Path(where), wait_seconds=HANG_SECONDS)) as log:
            yield log
        return
    url, table = where.split()
    with closing(dynamodb(url)) as client:
        yield DynamoDbEventLog(client, table)


if __name__ == "__main__":
    kind, where, conversation, writer, chunks = sys.argv[1:]
    with opened(kind, where) as log:
        print("ready", flush=True)
        sys.stdin.readline()
        print(write_in_the_way(log, conversation, 1, writer, int(chunks)))
