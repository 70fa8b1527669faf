"""What docs/agents.md promises of effects: in Postgres once, elsewhere at least once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley import failpoints
from parley.turns.send import Sent
from parley_testing.loopback import Handler, LoopbackServer
from parley_testing.models.scripted import Items, call, in_order, say
from parley_testing.workbench import Workbench


class ProcessDied(BaseException):
    """Stands for the end of a process: nothing after it is done any more."""


class Letters(LoopbackServer):
    """A service on loopback that sends a letter once a key.

    Attributes:
        keys: The key of each request.
        sent: What was sent, by key.
        open_transactions: How many Postgres had open at each request.
    """

    def __init__(self, sql: psycopg.Connection) -> None:
        self.keys: list[str] = []
        self.sent: dict[str, Any] = {}
        self.open_transactions: list[int] = []
        service = self

        class Sending(Handler):
            def do_POST(self) -> None:
                letter = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                key = self.headers["Idempotency-Key"]
                service.keys.append(key)
                service.sent.setdefault(key, letter)
                service.open_transactions.append(
                    sql.execute(
                        "SELECT FROM pg_stat_activity WHERE datname = current_database()"
                        " AND state LIKE 'idle in transaction%'"
                    ).rowcount
                )
                self.answer(json.dumps({"number": len(service.sent)}).encode())

        super().__init__(Sending)


@pytest.fixture
def letters(sql: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> Iterator[Letters]:
    """The service, where the agent looks for it."""
    with Letters(sql) as letters:
        monkeypatch.setenv("LETTERS_URL", f"{letters.url}/")
        yield letters


@pytest.fixture
def twice(
    new_bench: Callable[..., Workbench],
    expire: Callable[[UUID], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Any]:
    """Sends a message whose first attempt dies at a point, and then once more."""

    async def send(agent: str, called: Items, dies_at: str) -> Sent:
        def observe(point: str) -> None:
            if point == dies_at:
                raise ProcessDied

        first = new_bench(in_order(called))
        turn = first.begin(first.new_session(agent=agent), "please", key="k")
        with monkeypatch.context() as patch, failpoints.observed(observe):
            patch.setattr(type(first.turns), "release", lambda *_: False)
            with pytest.raises((ProcessDied, asyncio.CancelledError)):
                await first.execute(turn)
        expire(turn.id)
        second = new_bench(in_order(say("It is done.")))
        return await second.send(turn.session_id, "please", key="k")

    return send


@pytest.mark.usefixtures("migrated")
@pytest.mark.parametrize("when", ["inside the transaction of", "before the commit of"])
async def test_a_booking_is_made_once_though_the_process_died_before_it_was_committed(
    twice: Callable[..., Any], sql: psycopg.Connection, when: str
) -> None:
    called = call("book_table", day="2026-12-24", people=2)

    sent = await twice("bookings", called, f"{when} book_table")

    assert sent.view.turn.status == "completed"
    assert sql.execute("SELECT FROM restaurant.bookings").rowcount == 1


@pytest.mark.usefixtures("migrated")
async def test_a_booking_is_made_once_though_the_process_died_after_it_was_committed(
    twice: Callable[..., Any], sql: psycopg.Connection
) -> None:
    called = call("book_table", day="2026-12-24", people=2)

    await twice("bookings", called, "after the commit of book_table")

    assert sql.execute("SELECT FROM restaurant.bookings").rowcount == 1


async def test_a_letter_is_asked_for_again_with_the_same_key_if_its_answer_was_not_recorded(
    twice: Callable[..., Any], letters: Letters
) -> None:
    called = call("send_letter", address="Oslo", content="Hello")

    sent = await twice("letters", called, "inside the transaction of send_letter")

    key = f"{sent.view.turn.id}-call_1"
    assert letters.keys == [key, key]
    assert letters.sent == {key: {"from": "alice", "to": "Oslo", "content": "Hello"}}


async def test_a_letter_whose_answer_was_recorded_is_not_asked_for_again(
    twice: Callable[..., Any], letters: Letters
) -> None:
    called = call("send_letter", address="Oslo", content="Hello")

    await twice("letters", called, "after the commit of send_letter")

    assert len(letters.keys) == 1


async def test_no_transaction_is_open_while_the_service_is_waited_for(
    new_bench: Callable[..., Workbench], letters: Letters
) -> None:
    bench = new_bench(in_order(call("send_letter", address="A", content="B"), say("Sent.")))

    await bench.send(bench.new_session(agent="letters"))

    assert letters.open_transactions == [0]


async def test_after_a_failed_turn_the_agent_is_told_of_the_letter(
    new_bench: Callable[..., Workbench], letters: Letters
) -> None:
    bench = new_bench(
        in_order(call("send_letter", address="A", content="B"), RuntimeError("no"), say("Hello."))
    )
    session_id = bench.new_session(agent="letters")
    with pytest.raises(Exception, match="failed"):
        await bench.send(session_id)

    await bench.send(session_id, "What happened?")

    assert "send_letter" in json.dumps(bench.model.asked[-1].input)
