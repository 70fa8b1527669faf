"""Rules: each write to DynamoDB is one call under a condition (turn-protocol, section 4)."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ConnectionClosedError

from parley.errors import Fenced
from parley.memory import dynamodb, dynamodb_turns
from parley.memory import dynamodb_header as header
from parley.memory.dynamodb import DynamoDbStore
from parley.memory.dynamodb_table import DynamoDbTable
from parley.memory.dynamodb_table import key as item_key
from parley.memory.dynamodb_turns import DynamoDbTurns
from parley.memory.store import TurnMemory
from parley_local.cloudformation import load
from parley_testing.account.moto import REGION, Account
from parley_testing.stores.turn_keys import numbered

_NEW = "attribute_not_exists(#conversation) OR "
_DEAD = {"output": "from the dead"}
_numbers = count(1)


@pytest.fixture(scope="module")
def client(account: Account) -> Iterator[Any]:
    client = boto3.client(
        "dynamodb",
        region_name=REGION,
        endpoint_url=account.url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"max_attempts": 2, "mode": "standard"}),
    )
    yield client
    client.close()


@pytest.fixture(scope="module")
def table(account: Account) -> str:
    template = load(Path(__file__).parents[3] / "template.yaml")
    return account.table(template["Resources"]["MemoryTable"]["Properties"])


@pytest.fixture
def store(client: Any, table: str) -> DynamoDbStore:
    return DynamoDbStore(client, table)


@pytest.fixture
def key() -> str:
    """A conversation of the test's own."""
    return f"user_a_conv_{next(_numbers)}"


@pytest.fixture
def lose_answer(client: Any) -> Callable[[str], None]:
    """Lets the next call of a kind be carried out and its answer be lost: it is sent again."""

    def lose(operation: str) -> None:
        event = f"before-send.dynamodb.{operation}"

        def carried_out(request: Any, **_: Any) -> None:
            client.meta.events.unregister(event, carried_out)
            client._endpoint.http_session.send(request)
            raise ConnectionClosedError(endpoint_url=request.url)

        client.meta.events.register(event, carried_out)

    return lose


def refused(write: Callable[[], object]) -> bool:
    try:
        write()
    except Fenced:
        return True
    return False


def replies(store: DynamoDbStore, key: str) -> list[str | None]:
    """What the finished turns of a conversation said; nothing of one that cannot be read."""
    return [turn.memory.reply if turn.memory else None for turn in store.read_newest(key, None)]


def test_the_first_record_creates(kept: bool, rule: Any, store: DynamoDbStore, key: str) -> None:
    """Without it a first attempt, which claims nothing, can keep nothing."""
    rule.without(dynamodb_turns, "_MINE_AND_OPEN", _NEW)

    assert refused(lambda: store.record(key, numbered(1), 1, "0", {"output": []})) is not kept


def test_the_only_write_creates(kept: bool, rule: Any, store: DynamoDbStore, key: str) -> None:
    """Without it a turn of one model call cannot end."""
    rule.without(dynamodb, "_MINE", _NEW)

    assert refused(lambda: store.finish(key, numbered(1), 1, TurnMemory([], "hi"))) is not kept


def test_a_claim_creates(kept: bool, rule: Any, store: DynamoDbStore, key: str) -> None:
    """Without it a first attempt that froze before its first write is never fenced."""
    rule.without(dynamodb, "_NOT_LATER", _NEW)
    refused(lambda: store.claim(key, numbered(1), 2))

    assert refused(lambda: store.record(key, numbered(1), 1, "0", _DEAD)) is kept


def test_a_claim_does_not_go_back(kept: bool, rule: Any, store: DynamoDbStore, key: str) -> None:
    """Without it a zombie that claims late fences who replaced it."""
    any_attempt = "(#attempt <= :attempt OR #attempt > :attempt)"
    rule.without(dynamodb, "_NOT_LATER", "#attempt <= :attempt", any_attempt)
    store.claim(key, numbered(1), 3)
    refused(lambda: store.claim(key, numbered(1), 2))

    assert refused(lambda: store.finish(key, numbered(1), 3, TurnMemory([], "hi"))) is not kept


def test_a_claim_does_not_reopen(kept: bool, rule: Any, store: DynamoDbStore, key: str) -> None:
    """Without it a turn that died between the stores is run again, its reply forgotten."""
    update = DynamoDbTable.update

    def reopening(table: DynamoDbTable, at: Any, change: str, *rest: Any, **named: Any) -> Any:
        changed = change.replace("if_not_exists(#state, :open)", ":open")
        return update(table, at, changed, *rest, **named)

    rule.instead(DynamoDbTable, "update", reopening)
    store.finish(key, numbered(1), 1, TurnMemory([], "hi"))

    assert (store.claim(key, numbered(1), 2).done is not None) is kept


def test_a_record_names_its_attempt(kept: bool, rule: Any, store: DynamoDbStore, key: str) -> None:
    """Without it the next attempt goes on from an answer that the second was never given."""
    rule.without(dynamodb_turns, "_MINE_AND_OPEN", "#attempt = :attempt AND ")
    store.claim(key, numbered(1), 2)
    refused(lambda: store.record(key, numbered(1), 1, "0", _DEAD))

    assert (store.claim(key, numbered(1), 3).records == {}) is kept


def test_a_finished_turn_takes_no_record(
    kept: bool, rule: Any, store: DynamoDbStore, key: str
) -> None:
    """Without it a late record opens a turn again whose reply the user has seen."""
    rule.without(dynamodb_turns, "_MINE_AND_OPEN", " AND #state = :open")
    store.finish(key, numbered(1), 1, TurnMemory([], "hi"))
    refused(lambda: store.record(key, numbered(1), 1, "0", _DEAD))

    assert (replies(store, key) == ["hi"]) is kept


def test_finishing_names_its_attempt(kept: bool, rule: Any, store: DynamoDbStore, key: str) -> None:
    """Without it a zombie's memory takes the place of the one that the user's reply is in."""
    any_attempt = "(#attempt = :attempt OR #attempt <> :attempt)"
    rule.without(dynamodb, "_MINE", "#attempt = :attempt", any_attempt)
    store.claim(key, numbered(1), 2)
    store.finish(key, numbered(1), 2, TurnMemory([], "from the living"))
    refused(lambda: store.finish(key, numbered(1), 1, TurnMemory([], "from the dead")))

    assert replies(store, key) == ["from the living" if kept else "from the dead"]


def test_a_record_is_an_attribute_of_its_own(
    kept: bool, rule: Any, store: DynamoDbStore, client: Any, table: str, key: str, lose_answer: Any
) -> None:
    """In a list a record whose answer was lost stands twice: the client library repeats it."""

    def appended(turns: Any, conversation: str, turn: Any, attempt: int, *what: Any) -> None:
        _, payload = what
        turns._table.update(
            item_key(conversation, header.part(turn)),
            "SET #attempt = :attempt, #state = :open,"
            " #records = list_append(if_not_exists(#records, :none), :record)",
            dynamodb_turns._MINE_AND_OPEN,
            {
                ":attempt": {"N": str(attempt)},
                ":open": header.OPEN,
                ":none": {"L": []},
                ":record": {"L": [{"B": payload}]},
            },
            returns="ALL_NEW",
        )

    rule.instead(DynamoDbTurns, "_set_record", appended)
    lose_answer("UpdateItem")

    store.record(key, numbered(1), 1, "0", {"output": "said once"})

    at = item_key(key, header.part(numbered(1)))
    item = client.get_item(TableName=table, Key=at, ConsistentRead=True)["Item"]
    records = [name for name in item if name.startswith("r#")] if kept else item["records"]["L"]
    assert len(records) == (1 if kept else 2)


def test_chunks_are_named_by_their_write(
    kept: bool, rule: Any, store: DynamoDbStore, key: str
) -> None:
    """By their place alone a zombie would write over them before its header is refused."""
    rule.instead(dynamodb_turns, "new_write", lambda: "the same")
    random_text = "".join(random.Random(1).choices(string.ascii_letters, k=600_000))
    items = [{"role": "user", "content": random_text}]
    store.claim(key, numbered(1), 2)
    store.finish(key, numbered(1), 2, TurnMemory(items, "from the living"))

    refused(lambda: store.finish(key, numbered(1), 1, TurnMemory(items, "from the dead")))

    assert (replies(store, key) == ["from the living"]) is kept
