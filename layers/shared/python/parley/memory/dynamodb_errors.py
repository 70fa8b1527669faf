"""DynamoDB's errors, by their code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    ParamValidationError,
)

from parley.errors import ParleyError, StoreMisconfigured, StoreRefused, StoreUnavailable

_STORE = "agent-session store"

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

_INVALID = "ValidationException"

# What was given cannot be taken. Every other refusal (rights, keys, the table) is the deployment's.
_REFUSED = frozenset({_INVALID, "ItemCollectionSizeLimitExceededException"})


class ConditionFailed(ParleyError):
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
        StoreMisconfigured: The rights, the table or its key are wrong.
        StoreRefused: The request breaks a rule of DynamoDB's.
    """
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "ConditionalCheckFailedException":
            old = cast("dict[str, Any] | None", error.response.get("Item"))
            raise ConditionFailed(old) from error
        if code in _UNAVAILABLE or _status(error) >= 500:
            raise StoreUnavailable(_STORE, code) from error
        if code in _REFUSED:
            raise StoreRefused(_STORE, code) from error
        raise StoreMisconfigured(_STORE, code) from error
    except (ConnectionError, HTTPClientError) as error:
        raise StoreUnavailable(_STORE, type(error).__name__) from error
    except ParamValidationError as error:
        raise StoreRefused(_STORE, type(error).__name__) from error
    except BotoCoreError as error:  # such as no credentials
        raise StoreMisconfigured(_STORE, type(error).__name__) from error


def is_invalid(error: StoreRefused) -> bool:
    """Return whether the request broke a rule of DynamoDB's, such as an item's size."""
    return error.reason == _INVALID


def _status(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
