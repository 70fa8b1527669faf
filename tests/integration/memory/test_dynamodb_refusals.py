"""What DynamoDB refuses, and when it is out of reach."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from parley.errors import StoreMisconfigured, StoreRefused, StoreUnavailable
from parley.memory.dynamodb import DynamoDbStore
from parley.memory.store import AgentSessionStore, TurnMemory
from parley_testing.stores.turn_keys import numbered

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


KEY = "user_ada_conv_1"
MEMORY = TurnMemory([{"role": "user", "content": "hello"}], reply="hi")


@pytest.fixture
def store(dynamodb_store: DynamoDbStore) -> AgentSessionStore:
    return dynamodb_store


CALLS: dict[str, Callable[[AgentSessionStore], object]] = {
    "read_newest": lambda store: store.read_newest(KEY, 1),
    "read": lambda store: store.read(KEY, [numbered(1)]),
    "claim": lambda store: store.claim(KEY, numbered(1), 2),
    "record": lambda store: store.record(KEY, numbered(1), 1, "0", {}),
    "finish": lambda store: store.finish(KEY, numbered(1), 1, MEMORY),
    "append": lambda store: store.append(KEY, MEMORY),
    "pop_item": lambda store: store.pop_item(KEY),
    "forget_before": lambda store: store.forget_before(KEY, 9),
    "forget": lambda store: store.forget(KEY),
    "statistics": lambda store: store.statistics(KEY),
}
OPERATIONS = ("Query", "BatchGetItem", "BatchWriteItem", "PutItem", "UpdateItem", "DeleteItem")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_no_connection_is_unavailable(
    store: AgentSessionStore, wire: Any, call: Callable[[AgentSessionStore], object]
) -> None:
    wire.disconnect()

    with pytest.raises(StoreUnavailable) as unavailable:
        call(store)

    assert unavailable.value.reason == "ConnectionClosedError"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ProvisionedThroughputExceededException", 400),
        ("ThrottlingException", 400),
        ("RequestLimitExceeded", 400),
        ("InternalServerError", 500),
        ("SomethingNew", 503),
    ],
)
def test_throttling_and_faults_are_unavailable(
    store: AgentSessionStore, wire: Any, code: str, status: int
) -> None:
    for operation in OPERATIONS:
        wire.refuse(operation, code, status)

    for call in (CALLS["read_newest"], CALLS["finish"]):
        with pytest.raises(StoreUnavailable) as unavailable:
            call(store)
        assert unavailable.value.reason == code


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AccessDeniedException", StoreMisconfigured),
        ("KMSDisabledException", StoreMisconfigured),
        ("UnrecognizedClientException", StoreMisconfigured),
        ("ValidationException", StoreRefused),
    ],
)
def test_what_somebody_must_mend_is_told_from_what_is_never_taken(
    store: AgentSessionStore, wire: Any, code: str, kind: Any
) -> None:
    for operation in OPERATIONS:
        wire.refuse(operation, code)

    for name in ("read_newest", "claim", "record", "finish"):
        with pytest.raises(kind) as refused:
            CALLS[name](store)
        assert refused.value.reason == code


def test_a_table_that_is_not_there_is_to_be_mended(client: DynamoDBClient) -> None:
    with pytest.raises(StoreMisconfigured, match="ResourceNotFound"):
        DynamoDbStore(client, "elsewhere").read_newest(KEY, 1)


def test_a_write_that_was_refused_for_a_while_can_be_made_again(
    store: AgentSessionStore, wire: Any, large: list[TurnMemory]
) -> None:
    wire.lose_answer("PutItem", lambda: wire.refuse("PutItem", "ThrottlingException"))
    with suppress(StoreUnavailable):
        store.finish(KEY, numbered(1), 1, large[0])
    assert store.read(KEY, [numbered(1)])[0].memory == large[0]
    wire.restore()

    store.finish(KEY, numbered(1), 1, large[0])

    assert store.read(KEY, [numbered(1)])[0].memory == large[0]
