"""What a turn costs, counted at the wire."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from parley.ids import new_id
from parley.memory.dynamodb import DynamoDbStore
from parley.repository.database import Database
from parley.repository.turns import NewSession
from parley_testing.models.scripted import Script, call, in_order, say
from parley_testing.postgres.postgres_wire import PostgresWire
from parley_testing.workbench import Workbench, request

NAMED = NewSession(agent="todo", name="groceries", platform="cli", metadata={})


class Counted:
    """A warm process in a session that has a turn already."""

    def __init__(self, make: Any, wire: PostgresWire, wired: Database, **fields: Any) -> None:
        self._make, self._wire = make, wire
        self.bench: Workbench = make(in_order(say("hello")), database=wired, **fields)

    async def warm_up(self) -> UUID:
        session_id = new_id()
        sent = await self.bench.sender.send(request(session_id, opens=NAMED), seconds=60)
        return sent.view.turn.session_id

    def start(self, script: Script) -> None:
        self.bench.model.script = script
        self.bench.watched.calls.clear()
        self._wire.reset()


@pytest.fixture
def counted(new_bench: Any, wire: PostgresWire, wired: Database) -> Counted:
    return Counted(new_bench, wire, wired)


async def test_a_turn_without_tools_takes_two_round_trips_a_read_and_a_write(
    counted: Counted, wire: PostgresWire
) -> None:
    session_id = await counted.warm_up()
    counted.start(in_order(say("again")))

    await counted.bench.send(session_id)

    assert wire.round_trips == 2, wire.statements
    assert counted.bench.watched.calls == ["read_newest", "finish"]


async def test_by_name_it_takes_the_same(counted: Counted, wire: PostgresWire) -> None:
    await counted.warm_up()
    counted.start(in_order(say("again")))

    await counted.bench.sender.send(request(new_id(), opens=NAMED), seconds=60)

    assert wire.round_trips == 2, wire.statements
    assert counted.bench.watched.calls == ["read_newest", "finish"]


async def test_the_first_turn_of_a_session_has_nothing_to_read(
    counted: Counted, wire: PostgresWire
) -> None:
    await counted.warm_up()
    counted.start(in_order(say("again")))
    nameless = NewSession(agent="todo", name=None, platform="cli", metadata={})

    await counted.bench.sender.send(request(new_id(), opens=nameless), seconds=60)

    assert wire.round_trips == 2, wire.statements
    assert counted.bench.watched.calls == ["finish"]


async def test_a_tool_call_takes_its_transaction_and_a_write_more(
    counted: Counted, wire: PostgresWire
) -> None:
    session_id = await counted.warm_up()
    counted.start(in_order(call("add_task", title="buy milk"), say("Added.")))

    await counted.bench.send(session_id)

    # Begin and complete; between them the task, with BEGIN, the recorded output, COMMIT.
    assert wire.round_trips == 2 + 3, wire.statements
    assert counted.bench.watched.calls == ["read_newest", "record", "finish"]


async def test_each_further_model_call_takes_one_write_more(counted: Counted) -> None:
    session_id = await counted.warm_up()
    steps = [call("list_tasks", f"call_{number}") for number in range(3)]
    counted.start(in_order(*steps, say("Nothing.")))

    await counted.bench.send(session_id)

    assert counted.bench.watched.calls == ["read_newest", *["record"] * 3, "finish"]


async def test_a_replayed_turn_is_one_begin_and_one_read(
    counted: Counted, wire: PostgresWire
) -> None:
    session_id = await counted.warm_up()
    counted.bench.model.script = in_order(say("again"))
    await counted.bench.send(session_id, key="k")
    counted.start(in_order())

    sent = await counted.bench.send(session_id, key="k")

    assert sent.replayed
    assert wire.round_trips == 2, wire.statements


async def test_on_dynamodb_it_is_one_query_and_one_put(
    new_bench: Any,
    wire: PostgresWire,
    wired: Database,
    dynamodb_store: DynamoDbStore,
    dynamodb_client: Any,
) -> None:
    counted = Counted(new_bench, wire, wired, store=dynamodb_store)
    session_id = await counted.warm_up()
    sent: list[str] = []
    dynamodb_client.meta.events.register(
        "before-call.dynamodb", lambda model, **_: sent.append(model.name)
    )
    counted.start(in_order(say("again")))
    await counted.bench.send(session_id)
    plain, sent[:] = list(sent), []
    counted.start(in_order(call("add_task", title="buy milk"), say("Added.")))
    await counted.bench.send(session_id)

    assert plain == ["Query", "PutItem"]
    assert sent == ["Query", "UpdateItem", "PutItem"]
