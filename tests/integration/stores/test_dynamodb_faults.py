"""DynamoDB fails at any call, once or for a while: what is answered, and what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import boto3
import botocore.endpoint
import pytest
from moto.server import ThreadedMotoServer

from parley.memory.dynamodb import DynamoDbStore
from parley_testing.account.dynamodb_wire import DynamoDbWire
from parley_testing.account.moto import MEMORY_TABLE, REGION, Account
from parley_testing.api.handlers import Answer
from parley_testing.api.problems import problem
from parley_testing.postgres.postgres_place import (
    OPERATIONS,
    Conversation,
    Operation,
    Place,
    deployed,
)
from parley_testing.run.at_length import some

Look = Callable[[Conversation, Operation, Answer], None]

CALLS = {
    "read": (OPERATIONS["begin"], "Query"),
    "record": (OPERATIONS["record"], "UpdateItem"),
    "finish": (OPERATIONS["complete"], "PutItem"),
    "clear": (OPERATIONS["clear"], "BatchWriteItem"),
}
FAULTS: dict[str, Callable[..., None]] = {
    "table's throughput": lambda wire, call, **often: wire.refuse(
        call, "ProvisionedThroughputExceededException", **often
    ),
    "throttling": lambda wire, call, **often: wire.refuse(call, "ThrottlingException", **often),
    "fault": lambda wire, call, **often: wire.refuse(call, "InternalServerError", 500, **often),
    "dropped": lambda wire, call, **often: wire.drop(call, **often),
    "answer lost": lambda wire, call, **often: wire.lose_answer(call, **often),
}
PAIRS = [(fault, name) for fault in FAULTS for name in CALLS]


@pytest.fixture(scope="module")
def wire() -> Iterator[DynamoDbWire]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with DynamoDbWire(f"http://{host}:{port}") as wire:
        yield wire
    server.stop()


@pytest.fixture(scope="module")
def place(
    new_database: Callable[[], str], wire: DynamoDbWire, wakeups_unread: Mapping[str, str]
) -> Iterator[Place]:
    settings = {
        **wakeups_unread,
        "AGENT_SESSION_STORE": "dynamodb",
        "AGENT_SESSION_TABLE": Account(wire.url).table(MEMORY_TABLE),
        "AWS_ENDPOINT_URL": wire.url,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }
    client: Any = boto3.client(
        "dynamodb",
        region_name=REGION,
        endpoint_url=wire.url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    with closing(client), pytest.MonkeyPatch.context() as patch:
        # The client library's own retries pause as well.
        patch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=lambda _: None))
        store = DynamoDbStore(client, settings["AGENT_SESSION_TABLE"])
        with deployed(new_database(), store, settings, isolation="read committed") as place:
            yield place


@pytest.fixture
def talk(talk: Conversation, wire: DynamoDbWire) -> Conversation:
    wire.restore()
    wire.sent.clear()
    return talk


@pytest.mark.parametrize(("fault", "name"), some(PAIRS, one_in=3))
def test_while_it_lasts_the_answer_is_503_and_afterwards_the_same_request_succeeds(
    talk: Conversation, wire: DynamoDbWire, as_undisturbed: Look, fault: str, name: str
) -> None:
    operation, call = CALLS[name]
    FAULTS[fault](wire, call)

    during = talk.request(operation)

    wire.restore()
    problem(during, 503, "store_unavailable")
    assert int(during.headers["retry-after"]) > 0
    assert wire.sent.count(call) == (2 if name == "clear" else 6)
    after = talk.request(operation)
    assert after.status == operation.status, after
    as_undisturbed(talk, operation, after)


@pytest.mark.parametrize(("fault", "name"), some(PAIRS, one_in=3, first=1))
def test_once_is_not_noticed(
    talk: Conversation, wire: DynamoDbWire, as_undisturbed: Look, fault: str, name: str
) -> None:
    operation, call = CALLS[name]
    FAULTS[fault](wire, call, always=False)

    answer = talk.request(operation)

    assert wire.sent.count(call) >= 2
    assert answer.status == operation.status, answer
    as_undisturbed(talk, operation, answer)


def test_a_table_that_does_not_answer_is_given_up(
    talk: Conversation, wire: DynamoDbWire, as_undisturbed: Look
) -> None:
    operation, call = CALLS["finish"]
    wire.stall(call)

    during = talk.request(operation)

    wire.restore()
    problem(during, 503, "store_unavailable")
    assert wire.sent.count(call) == 2  # the client library's; after these, patience is at its end
    as_undisturbed(talk, operation, talk.request(operation))


@pytest.mark.parametrize("call", ["Query", "BatchWriteItem"])
def test_a_session_is_deleted_though_its_memory_cannot_be_removed(
    talk: Conversation, wire: DynamoDbWire, as_undisturbed: Look, call: str
) -> None:
    wire.refuse(call, "ThrottlingException")

    answer = talk.request(OPERATIONS["delete"])

    wire.restore()
    assert answer.status == 204
    as_undisturbed(talk, OPERATIONS["delete"], answer)
