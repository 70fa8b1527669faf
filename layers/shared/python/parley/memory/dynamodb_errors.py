"""DynamoDB's errors, by their code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from parley.errors import StoreUnavailable

_UNAVAILABLE = frozenset(
    {
        "InternalFailure",
        "InternalServerError",
        "ProvisionedThroughputExceededException",
        "ReplicatedWriteConflictException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
    }
)


class ConditionFailed(Exception):
    """A conditional write was refused.

    Attributes:
        old: The item that refused it; None if there is no item.
    """

    def __init__(self, old: dict[str, Any] | None) -> None:
        super().__init__()
        self.old = old


@contextmanager
def translated() -> Iterator[None]:
    """Turn what DynamoDB and the way to it raise into errors that a store can act on.

    Raises:
        ConditionFailed: The write's condition does not hold.
        StoreUnavailable: Throttled, out of order or out of reach. A write may have happened.
        ClientError: Anything else: the table, the rights or this code are wrong.
    """
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "ConditionalCheckFailedException":
            old = cast("dict[str, Any] | None", error.response.get("Item"))
            raise ConditionFailed(old) from error
        if code in _UNAVAILABLE or _status(error) >= 500:
            raise StoreUnavailable("agent-session store", code) from error
        raise
    except (ConnectionError, HTTPClientError) as error:
        raise StoreUnavailable("agent-session store", type(error).__name__) from error


def is_invalid(error: ClientError) -> bool:
    """Whether the request broke a rule of DynamoDB's, such as the limit of an item's size."""
    return error.response["Error"]["Code"] == "ValidationException"


def _status(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
