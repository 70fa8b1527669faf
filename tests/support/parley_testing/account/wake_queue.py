"""A wake queue of moto's, and its messages as Lambda gives them to a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import boto3

from parley.wake_queue import SqsWakeQueue
from parley_testing.account.moto import REGION

Record = dict[str, Any]


class ReceivedWakeups:
    """A standard queue of its own on a server of moto's.

    Attributes:
        url: The queue's.
        settings: What a function needs to reach it.
    """

    def __init__(self, endpoint: str, url: str | None = None) -> None:
        """Make a queue, or reach the one at an address."""
        self._client: Any = boto3.client(
            "sqs",
            region_name=REGION,
            endpoint_url=endpoint,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        self.url: str = url or self._client.create_queue(QueueName=uuid4().hex)["QueueUrl"]
        self.settings = {
            "WAKE_QUEUE_URL": self.url,
            "AWS_ENDPOINT_URL_SQS": endpoint,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }

    def close(self) -> None:
        self._client.close()

    def send(self, body: str) -> None:
        """Put a message in, as nobody should."""
        self._client.send_message(QueueUrl=self.url, MessageBody=body)

    def receive(self, *, hidden_seconds: int = 900) -> list[Record]:
        """Receive up to ten of the messages that are visible now, as SQS events have them.

        Args:
            hidden_seconds: For how long nobody else receives them.
        """
        given = self._client.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=10,
            VisibilityTimeout=hidden_seconds,
            AttributeNames=["ApproximateReceiveCount"],
        )
        return [_record(message) for message in given.get("Messages", [])]

    def groups(self) -> list[Mapping[str, Any]]:
        """Receive what is visible, as the queue itself gives it, with the groups."""
        given = self._client.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, AttributeNames=["MessageGroupId"]
        )
        return list(given.get("Messages", []))

    def waiting(self) -> Mapping[str, int]:
        """Count the messages that are visible, and those that will be after their delay."""
        names = {
            "visible": "ApproximateNumberOfMessages",
            "delayed": "ApproximateNumberOfMessagesDelayed",
        }
        found = self._client.get_queue_attributes(
            QueueUrl=self.url, AttributeNames=list(names.values())
        )["Attributes"]
        return {word: int(found[name]) for word, name in names.items()}

    def deliver(self, handler: Callable[[dict[str, Any]], object]) -> int:
        """Hand the function message after message until none is visible, and return their number.

        One that it takes without an error is deleted, as Lambda does.
        """
        delivered = 0
        while records := self.receive():
            for record in records:
                handler({"Records": [record]})
                self.delete(record)
                delivered += 1
        return delivered

    @staticmethod
    def record(body: str) -> Record:
        """Make up a message that was received."""
        message = {"MessageId": str(uuid4()), "ReceiptHandle": str(uuid4()), "Body": body}
        return _record(message | {"Attributes": {"ApproximateReceiveCount": "1"}, "MD5OfBody": ""})

    def wake_queue(self) -> SqsWakeQueue:
        """Return the wake-up that wakes through it."""
        return SqsWakeQueue(lambda: self._client, self.url)

    def come_back(self, record: Record) -> None:
        """Let a message that was received be delivered again, as when its time is over."""
        self._client.change_message_visibility(
            QueueUrl=self.url, ReceiptHandle=record["receiptHandle"], VisibilityTimeout=0
        )

    def delete(self, record: Record) -> None:
        """Take out a message that was received."""
        self._client.delete_message(QueueUrl=self.url, ReceiptHandle=record["receiptHandle"])


def _record(message: Mapping[str, Any]) -> Record:
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": f"arn:aws:sqs:{REGION}:123456789012:wake-up",
        "awsRegion": REGION,
    }
