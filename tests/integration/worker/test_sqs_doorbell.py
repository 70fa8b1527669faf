"""The doorbell over SQS: what is sent, and what is told when it cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import boto3
import pytest
from botocore.config import Config

from parley.doorbell import SqsDoorbell
from parley.errors import StoreUnavailable
from parley.ids import new_id
from parley_testing.aws import REGION
from parley_testing.doorbells import DoorbellQueue

Open = Callable[..., Any]


@pytest.fixture
def open_client(sqs: str) -> Iterator[Open]:
    with ExitStack() as stack:

        def make(endpoint: str = sqs) -> Any:
            client: Any = boto3.client(
                "sqs",
                region_name=REGION,
                endpoint_url=endpoint,
                aws_access_key_id="testing",
                aws_secret_access_key="testing",
                config=Config(retries={"total_max_attempts": 1}),
            )
            stack.callback(client.close)
            return client

        yield make


def test_a_message_is_the_sessions_id_and_nothing_else(
    open_client: Open, queue: DoorbellQueue
) -> None:
    session_id = new_id()

    SqsDoorbell(open_client, queue.url).ring(session_id)

    (record,) = queue.receive()
    assert record["body"] == str(session_id)


def test_it_may_come_later(open_client: Open, queue: DoorbellQueue) -> None:
    SqsDoorbell(open_client, queue.url).ring(new_id(), delay=60)

    assert queue.receive() == []
    assert queue.waiting() == {"visible": 0, "delayed": 1}


def test_a_message_that_is_put_back_is_delivered_again(
    open_client: Open, queue: DoorbellQueue
) -> None:
    doorbell = SqsDoorbell(open_client, queue.url)
    doorbell.ring(new_id())
    (record,) = queue.receive()
    assert queue.receive() == []

    doorbell.put_back(record["receiptHandle"], seconds=0)

    (again,) = queue.receive()
    assert (again["messageId"], again["body"]) == (record["messageId"], record["body"])


def test_the_client_is_made_when_it_is_needed_and_once(
    open_client: Open, queue: DoorbellQueue
) -> None:
    made = []

    def make() -> Any:
        made.append(open_client())
        return made[-1]

    doorbell = SqsDoorbell(make, queue.url)
    assert made == []

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(doorbell.ring, [new_id() for _ in range(8)]))

    assert len(made) == 1
    assert queue.waiting()["visible"] == 8


@pytest.mark.parametrize("call", ["ring", "put_back"])
@pytest.mark.parametrize("fault", ["no such queue", "out of reach"])
def test_what_goes_wrong_is_told_as_an_outage(
    open_client: Open, queue: DoorbellQueue, call: str, fault: str
) -> None:
    if fault == "no such queue":
        doorbell = SqsDoorbell(open_client, f"{queue.url}-gone")
    else:
        doorbell = SqsDoorbell(lambda: open_client("http://127.0.0.1:1"), queue.url)

    def do() -> None:
        if call == "ring":
            doorbell.ring(new_id())
        else:
            doorbell.put_back("handle", seconds=1)

    with pytest.raises(StoreUnavailable) as told:
        do()

    assert told.value.store == "queue"
    assert told.value.reason
