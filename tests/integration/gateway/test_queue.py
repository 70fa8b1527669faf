"""The local queue: boto3 talks to it, Lambda's events come of it, nothing gets lost silently."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from parley_local.local_queue import DEAD_LETTERS_FILE, LocalQueue, local_queue
from parley_local.pool import Pool
from parley_local.template_file import read_template
from parley_testing.waiting import HANG_SECONDS, longer_and_longer, wait_for

WORKER = """
    import json, os, pathlib, time
    import boto3

    notes = pathlib.Path(os.environ["NOTES"])

    def handler(event, context):
        (record,) = event["Records"]
        what, _, name = record["body"].partition(" ")
        running = notes / f"running.{name}"
        running.touch()
        with (notes / "seen").open("a") as seen:
            seen.write(json.dumps(record) + "\\n")
        if (notes / "mended").exists():
            return
        if what == "wait":
            while not (notes / "gate").exists():
                time.sleep(0.01)
        if what == "fail":
            raise LookupError("no such thing")
        if what == "die":
            os._exit(3)
        if what == "put-back":
            boto3.client("sqs").change_message_visibility(
                QueueUrl=os.environ["WAKE_QUEUE_URL"],
                ReceiptHandle=record["receiptHandle"],
                VisibilityTimeout=1,
            )
            raise LookupError("later")
        running.unlink()
"""


class Bench:
    """A queue in a data directory of its own, its worker, and a boto3 client for it."""

    def __init__(self, queue: LocalQueue, notes: Path) -> None:
        self.queue = queue
        self.url = url = queue.url
        self.notes = notes
        self.client = boto3.client(
            "sqs",
            endpoint_url=url.rpartition("/")[0].rpartition("/")[0],
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(retries={"total_max_attempts": 1}),
        )

    def send(self, body: str, **more: Any) -> dict[str, Any]:
        sent: dict[str, Any] = dict(
            self.client.send_message(QueueUrl=self.url, MessageBody=body, **more)
        )
        return sent

    @property
    def seen(self) -> list[dict[str, Any]]:
        """The records that the worker was given, in their order."""
        file = self.notes / "seen"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def dead_letters(self) -> list[dict[str, Any]]:
        file = self.notes / DEAD_LETTERS_FILE
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@contextmanager
def working(project: Any, *, retry: float, at_once: int) -> Iterator[Bench]:
    ready, stop = threading.Event(), asyncio.Event()
    found: list[Any] = []

    async def work() -> None:
        template = read_template(project.write())
        assert template.queue is not None
        async with local_queue(template.queue, project.root, retry=retry) as queue:
            variables = {
                "NOTES": str(project.root),
                "WAKE_QUEUE_URL": queue.url,
                "AWS_ENDPOINT_URL_SQS": queue.url.rpartition("/")[0].rpartition("/")[0],
                "AWS_ACCESS_KEY_ID": "local",
                "AWS_SECRET_ACCESS_KEY": "local",
            }
            pool = Pool(template.functions["Worker"], variables)
            delivery = asyncio.create_task(queue.deliver(pool, at_once=at_once))
            found.extend([queue, asyncio.get_running_loop()])
            ready.set()
            await stop.wait()
            delivery.cancel()
            await asyncio.wait({delivery})
            assert delivery.cancelled()
            await pool.aclose()

    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    assert ready.wait(HANG_SECONDS)
    queue, loop = found
    bench = Bench(queue, project.root)
    try:
        yield bench
    finally:
        bench.client.close()
        loop.call_soon_threadsafe(stop.set)
        thread.join(HANG_SECONDS)
        assert not thread.is_alive()


@pytest.fixture
def work(project: Any) -> Iterator[Callable[..., Bench]]:
    """Return what starts a queue and its worker; `retry` are seconds, as are the queue's own."""
    with ExitStack() as stack:

        def start(*, retry: float = 0, at_once: int = 4, **properties: Any) -> Bench:
            project.function("Worker", WORKER, Timeout=60).queue("Wakeups", "Worker", **properties)
            return stack.enter_context(working(project, retry=retry, at_once=at_once))

        yield start


def test_a_message_comes_to_the_worker_as_lambda_would_hand_it_over(
    work: Callable[..., Bench],
) -> None:
    bench = work()

    # boto3 itself compares the checksum that comes back with the text's.
    sent = bench.send("note Zoë")

    wait_for(lambda: bench.seen)
    (record,) = bench.seen
    assert record["messageId"] == sent["MessageId"]
    assert record["body"] == "note Zoë"
    assert record["md5OfBody"] == hashlib.md5("note Zoë".encode()).hexdigest()
    assert (record["eventSource"], record["awsRegion"]) == ("aws:sqs", "us-east-1")
    assert record["eventSourceARN"] == "arn:aws:sqs:us-east-1:123456789012:Wakeups"
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    first, at = (
        int(record["attributes"][name])
        for name in ("ApproximateFirstReceiveTimestamp", "SentTimestamp")
    )
    assert first >= at > 1_600_000_000_000
    assert record["receiptHandle"]


def test_a_delayed_message_comes_after_one_that_was_sent_later(work: Callable[..., Bench]) -> None:
    bench = work(at_once=1)
    bench.send("note first")  # so that all is warm, and the next two are sent at once
    wait_for(lambda: bench.seen)

    for seconds in longer_and_longer(5):
        before = len(bench.seen)
        begun = time.monotonic()
        bench.send("note late", DelaySeconds=round(seconds))
        bench.send("note soon")
        told_in_time = time.monotonic() - begun < seconds

        wait_for(lambda before=before: len(bench.seen) == before + 2)  # type: ignore[misc]
        if told_in_time:
            break
    else:
        raise AssertionError("the machine was late each time")
    assert [record["body"] for record in bench.seen[-2:]] == ["note soon", "note late"]


@pytest.mark.parametrize("how", ["fail", "die"])
def test_a_message_whose_handler_fails_is_delivered_again_and_given_up_in_the_end(
    work: Callable[..., Bench], caplog: pytest.LogCaptureFixture, how: str
) -> None:
    bench = work()

    sent = bench.send(f"{how} x")

    wait_for(lambda: "given up after 2 receives" in caplog.text)  # after it was written down
    counts = [record["attributes"]["ApproximateReceiveCount"] for record in bench.seen]
    assert counts == ["1", "2"]
    assert len({record["receiptHandle"] for record in bench.seen}) == 2
    (letter,) = bench.dead_letters
    assert (letter["message_id"], letter["body"]) == (sent["MessageId"], f"{how} x")
    assert letter["receives"] == 2
    assert "Worker failed on message" in caplog.text


def test_dead_letters_are_sent_again_when_asked_for(work: Callable[..., Bench]) -> None:
    bench = work()
    bench.send("fail x")
    bench.send("fail y")
    wait_for(lambda: len(bench.dead_letters) == 2)
    (bench.notes / "mended").touch()

    bench.client.start_message_move_task(
        SourceArn="arn:aws:sqs:us-east-1:123456789012:WakeupsFailures"
    )

    wait_for(lambda: len(bench.seen) == 6)
    assert sorted(record["body"] for record in bench.seen[4:]) == ["fail x", "fail y"]
    assert bench.dead_letters == []


def test_the_worker_may_say_itself_when_it_is_given_a_message_again(
    work: Callable[..., Bench],
) -> None:
    bench = work(retry=3600)

    bench.send("put-back x")

    wait_for(lambda: len(bench.seen) == 2)


def test_a_message_that_is_done_does_not_come_again(work: Callable[..., Bench]) -> None:
    bench = work()
    bench.send("note x")
    wait_for(lambda: bench.seen)

    wait_for(lambda: len(bench.queue._state) == 0)

    assert [record["body"] for record in bench.seen] == ["note x"]


@pytest.mark.parametrize("at_once", [1, 4])
def test_no_more_messages_are_worked_on_at_a_time_than_may_be(
    work: Callable[..., Bench], at_once: int
) -> None:
    bench = work(at_once=at_once)
    for number in range(4):
        bench.send(f"wait {number}")
    # The queue's own limit is 2.
    most = min(2, at_once)

    wait_for(lambda: len(list(bench.notes.glob("running.*"))) == most)
    time.sleep(0.5)
    assert len(list(bench.notes.glob("running.*"))) == most
    (bench.notes / "gate").touch()

    wait_for(lambda: not list(bench.notes.glob("running.*")) and len(bench.seen) == 4)


def test_who_does_not_know_the_secret_of_the_start_cannot_wake(work: Callable[..., Bench]) -> None:
    bench = work()
    machine, secret = bench.url.removeprefix("http://").split("/")[:2]
    assert len(secret) >= 20

    for endpoint in (f"http://{machine}", f"http://{machine}/guess"):
        stranger = boto3.client(
            "sqs",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )
        with pytest.raises(ClientError) as caught:
            stranger.send_message(QueueUrl=f"{endpoint}/123456789012/Wakeups", MessageBody="x")
        stranger.close()
        assert caught.value.response["Error"]["Code"] == "AccessDenied"
        assert secret not in str(caught.value.response)

    bench.send("note own")
    wait_for(lambda: bench.seen)
    assert [record["body"] for record in bench.seen] == ["note own"]


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda b: b.send("x", DelaySeconds=901), "InvalidParameterValue"),
        (lambda b: b.send("x" * 1_048_577), "InvalidParameterValue"),
        (lambda b: b.send(""), "MissingParameter"),
        (
            lambda b: b.send(
                "x", MessageAttributes={"a": {"DataType": "String", "StringValue": "b"}}
            ),
            "UnsupportedOperation",
        ),
        (
            lambda b: b.client.send_message(QueueUrl=b.url + "2", MessageBody="x"),
            "QueueDoesNotExist",
        ),
        (
            lambda b: b.client.change_message_visibility(
                QueueUrl=b.url, ReceiptHandle="none", VisibilityTimeout=1
            ),
            "ReceiptHandleIsInvalid",
        ),
        (
            lambda b: b.client.change_message_visibility(
                QueueUrl=b.url, ReceiptHandle="none", VisibilityTimeout=43_201
            ),
            "InvalidParameterValue",
        ),
        (
            lambda b: b.client.start_message_move_task(SourceArn="arn:aws:sqs:::other"),
            "ResourceNotFoundException",
        ),
        (lambda b: b.client.purge_queue(QueueUrl=b.url), "UnsupportedOperation"),
    ],
)
def test_what_sqs_would_refuse_is_refused(
    work: Callable[..., Bench], call: Callable[[Bench], Any], code: str
) -> None:
    bench = work()

    with pytest.raises(ClientError) as caught:
        call(bench)

    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert bench.seen == []


def test_a_user_whose_messages_fill_the_queue_makes_no_other_wait_behind_them(
    work: Callable[..., Bench],
) -> None:
    bench = work()
    for n in range(6):
        bench.send(f"wait a{n}", MessageGroupId="alice")
    wait_for(lambda: len(bench.seen) == 2)  # as many as the queue's concurrency
    bench.send("wait b", MessageGroupId="bob")

    (bench.notes / "gate").touch()
    wait_for(lambda: len(bench.seen) == 7)

    # Two are freed. If both are before the next message is received, nobody has one in work, and
    # the one that has waited longest comes first; what is noted may come in either order anyway.
    got = {
        each["body"]: int(each["attributes"]["ApproximateFirstReceiveTimestamp"])
        for each in bench.seen[2:]
    }
    assert sum(at < got["wait b"] for at in got.values()) <= 1
