"""The wake-up over SQS: what is sent, and what is told when it cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import boto3
import pytest
from botocore.config import Config

from parley.errors import StoreUnavailable
from parley.ids import new_id
from parley.wake_queue import SqsWakeQueue
from parley_testing.account.moto import REGION
from parley_testing.account.wake_queue import ReceivedWakeups

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
    open_client: Open, queue: ReceivedWakeups
) -> None:
    session_id = new_id()

    SqsWakeQueue(open_client, queue.url).wake(session_id)

    (record,) = queue.receive()
    assert record["body"] == str(session_id)


def test_it_may_come_later(open_client: Open, queue: ReceivedWakeups) -> None:
    SqsWakeQueue(open_client, queue.url).wake(new_id(), delay=60)

    assert queue.receive() == []
    assert queue.waiting() == {"visible": 0, "delayed": 1}


def test_a_message_that_is_put_back_is_delivered_again(
    open_client: Open, queue: ReceivedWakeups
) -> None:
    wake_queue = SqsWakeQueue(open_client, queue.url)
    wake_queue.wake(new_id())
    (record,) = queue.receive()
    assert queue.receive() == []

    wake_queue.put_back(record["receiptHandle"], seconds=0)

    (again,) = queue.receive()
    assert (again["messageId"], again["body"]) == (record["messageId"], record["body"])


def test_the_client_is_made_when_it_is_needed_and_once(
    open_client: Open, queue: ReceivedWakeups
) -> None:
    made = []

    def make() -> Any:
        made.append(open_client())
        return made[-1]

    wake_queue = SqsWakeQueue(make, queue.url)
    assert made == []

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(wake_queue.wake, [new_id() for _ in range(8)]))

    assert len(made) == 1
    assert queue.waiting()["visible"] == 8


@pytest.mark.parametrize("call", ["wake", "put_back"])
@pytest.mark.parametrize("fault", ["no such queue", "out of reach"])
def test_what_goes_wrong_is_told_as_an_outage(
    open_client: Open, queue: ReceivedWakeups, call: str, fault: str
) -> None:
    if fault == "no such queue":
        wake_queue = SqsWakeQueue(open_client, f"{queue.url}-gone")
    else:
        wake_queue = SqsWakeQueue(lambda: open_client("http://127.0.0.1:1"), queue.url)

    def do() -> None:
        if call == "wake":
            wake_queue.wake(new_id())
        else:
            wake_queue.put_back("handle", seconds=1)

    with pytest.raises(StoreUnavailable) as told:
        do()

    assert told.value.store == "queue"
    assert told.value.reason
