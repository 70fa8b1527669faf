"""The wake queue, whose messages say only "look at this session".

Order and exactly-once come from Postgres: a wake-up may be lost, come late, twice or in any order
(turn-protocol, section 8).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

from parley.errors import StoreUnavailable

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class WakeQueue(Protocol):
    """Wakes workers. Methods block, and are safe to call from several threads."""

    def wake(self, session_id: UUID, *, delay: int = 0, user_id: str | None = None) -> None:
        """Ask a worker to look at a session.

        Args:
            session_id: The session.
            delay: Seconds after which it is to look, at most 900.
            user_id: Whose it is: the sessions of one do not make those of others wait.

        Raises:
            StoreUnavailable: The queue cannot take it now.
        """
        ...


def group_of(user_id: str) -> str:
    """Return the group of the messages that are about a user's sessions.

    On a standard queue it is for fairness only: SQS hands out first what belongs to groups of which
    little is being worked on. It is logged by AWS, and so names nobody.
    """
    return sha256(user_id.encode()).hexdigest()[:32]


class SqsWakeQueue:
    """Wakes through an SQS queue, from which Lambda invokes the worker."""

    def __init__(self, open_client: Callable[[], SQSClient], url: str) -> None:
        """Keep the way to the queue; the first message opens it.

        Args:
            open_client: Makes the client, which any thread may use.
            url: The queue's.
        """
        self._open_client = open_client
        self._url = url
        self._client: SQSClient | None = None
        self._opening = Lock()

    def prepare(self) -> None:
        """Make the client now. An attempt that dies in its first second must have woken by then."""
        self._opened()

    def wake(self, session_id: UUID, *, delay: int = 0, user_id: str | None = None) -> None:
        """Ask a worker to look at a session: see `WakeQueue`."""
        with _translated():
            self._opened().send_message(
                QueueUrl=self._url,
                MessageBody=str(session_id),
                DelaySeconds=delay,
                MessageGroupId=group_of(user_id or str(session_id)),
            )

    def put_back(self, receipt_handle: str, *, seconds: int) -> None:
        """Have a message that was received delivered again.

        Args:
            receipt_handle: Names the delivery.
            seconds: After how long, at most 43,200.

        Raises:
            StoreUnavailable: The queue cannot do it now; the message comes back when its
                visibility time-out is over.
        """
        with _translated():
            self._opened().change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
            )

    def _opened(self) -> SQSClient:
        with self._opening:  # making clients is not safe in two threads
            if self._client is None:
                self._client = self._open_client()
            return self._client


@contextmanager
def _translated() -> Iterator[None]:
    """Turn every failure into the same: a sender can do no more than say that nobody was told."""
    # With botocore alone; a process that never sends does without.
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise StoreUnavailable("queue", error.response["Error"]["Code"]) from error
    except BotoCoreError as error:
        raise StoreUnavailable("queue", type(error).__name__) from error
