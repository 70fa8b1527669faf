"""Every write of a turn stands between points, so that the other tests can break it off there."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Engine, event

from parley import failpoints, threads
from parley.errors import StoreUnavailable, TurnFailed, TurnUnfinished
from parley.memory import sqlite_file, window
from parley.memory.dynamodb import DynamoDbStore
from parley.repository.turns import RunningTurn
from parley.turns import effects
from parley.turns.attempt import Attempt
from parley_testing.models.scripted import call, in_order
from parley_testing.scenarios.setup import ScenarioRun, Setup
from parley_testing.scenarios.turns import TOOLS

_WRITES = re.compile(r"\b(INSERT|UPDATE|DELETE)\b")
_LOCKS = re.compile(r"FOR (NO KEY )?UPDATE")
_DYNAMODB_READS = ("Query", "GetItem", "BatchGetItem")

WRITE, DURABLE = "write", "durable write"


class Log:
    """What each thread did: points by their names, and writes.

    A write is durable when it lasts once done; inside a transaction only the commit is.
    """

    def __init__(self) -> None:
        self._threads: dict[int, list[str]] = {}

    def clear(self) -> None:
        """Forget what was done so far."""
        self._threads.clear()

    def add(self, what: str) -> None:
        self._threads.setdefault(threading.get_ident(), []).append(what)

    @property
    def writes(self) -> list[str]:
        return [what for done in self._threads.values() for what in done if _is_write(what)]

    @property
    def without_points(self) -> list[str]:
        """The writes that nothing can come between."""
        found = []
        for done in self._threads.values():
            for before, what, after in zip(["", *done], done, [*done[1:], ""], strict=False):
                if what.startswith(DURABLE) and not (
                    before.startswith("before ") and after.startswith("after ")
                ):
                    found.append(what)
            found += [b for a, b in pairwise(done) if _is_write(a) and _is_write(b)]
        return found


def _is_write(what: str) -> bool:
    return what.startswith((WRITE, DURABLE))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """Listens to all points and to both stores' own ways to write."""
    log = Log()

    def statement(connection: Any, _: Any, text: str, *__: Any) -> None:
        if _WRITES.search(_LOCKS.sub("", text)):
            alone = connection.connection.dbapi_connection.at_once
            log.add(f"{DURABLE if alone else WRITE}: {text[:60]}")

    def commit(_: Any) -> None:
        log.add(f"{DURABLE}: COMMIT")

    opened = sqlite_file._open

    def open_traced(*arguments: Any) -> sqlite3.Connection:
        connection = opened(*arguments)

        def trace(text: str) -> None:
            if text == "COMMIT" or (_WRITES.match(text) and not connection.in_transaction):
                log.add(f"{DURABLE}: SQLite, {text[:60]}")

        connection.set_trace_callback(trace)
        return connection

    monkeypatch.setattr(sqlite_file, "_open", open_traced)
    event.listen(Engine, "before_cursor_execute", statement)
    event.listen(Engine, "commit", commit)
    with failpoints.observed(log.add):
        yield log
    event.remove(Engine, "before_cursor_execute", statement)
    event.remove(Engine, "commit", commit)


@pytest.fixture
def played(new_setup: Callable[[str], Setup], log: Log) -> ScenarioRun:
    """A scenario; making its session is not part of the turn."""
    setup = new_setup("tools")
    if isinstance(setup.store, DynamoDbStore):

        def send(event_name: str, **_: Any) -> None:
            operation = event_name.rpartition(".")[2]
            if operation not in _DYNAMODB_READS:
                log.add(f"{DURABLE}: DynamoDB, {operation}")

        setup.store._table._client.meta.events.register("before-send.dynamodb", send)
    return setup.start_run()


async def finished(played: ScenarioRun, log: Log) -> None:
    log.clear()
    await played.send_again()


async def resumed(played: ScenarioRun, log: Log) -> None:
    begun(played)
    played.expire()
    log.clear()
    await played.send_again()


async def failed(played: ScenarioRun, log: Log) -> None:
    played.parts.model.script = in_order(call("add_task", title="milk"), ValueError())
    log.clear()
    with pytest.raises(TurnFailed):
        await played.send_again()


async def released(played: ScenarioRun, log: Log) -> None:
    played.parts.model.script = in_order(lambda: asyncio.sleep(60, []))
    turn = begun(played)
    log.clear()
    with pytest.raises(TurnUnfinished):
        await played.parts.execute(turn, seconds=0.05)


async def renewed(played: ScenarioRun, log: Log) -> None:
    parts = played.parts
    held = Attempt(begun(played), parts.database, parts.turns, parts.tool_calls, parts.store)
    log.clear()
    await held.lease.renew()


async def cancelled(played: ScenarioRun, log: Log) -> None:
    down = StoreUnavailable("agent-session store", "down")
    played.parts.model.script = in_order(call("add_task", title="milk"), down)
    turn = begun(played)
    with pytest.raises(StoreUnavailable):
        await played.parts.execute(turn)
    log.clear()
    assert await played.cancel() == "cancelled"


async def pruned(played: ScenarioRun, log: Log) -> None:
    await played.send_again()
    log.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(window, "vouched_turns", lambda items: 1)  # one turn is too many
        await played.next_turn()


def begun(played: ScenarioRun) -> RunningTurn:
    return played.parts.begin(played.session_id, TOOLS.text, user=played.user, key="k")


WAYS = [
    (finished, 12),
    (resumed, 12),
    (failed, 6),
    (released, 1),
    (renewed, 1),
    (cancelled, 4),
    (pruned, 3),
]
"""What may become of a turn, and how often it writes at least on the way."""


@pytest.mark.parametrize("place", ["sqlite", "dynamodb"], indirect=True)
@pytest.mark.parametrize(("way", "least"), WAYS)
async def test_every_write_stands_between_points(
    played: ScenarioRun, log: Log, way: Callable[[ScenarioRun, Log], Awaitable[None]], least: int
) -> None:
    await way(played, log)

    assert len(log.writes) >= least, log.writes
    assert not log.without_points


async def test_a_write_without_a_point_is_found(
    played: ScenarioRun, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "failpoint", lambda point: None)

    await finished(played, log)

    assert log.without_points


async def test_a_commit_without_a_point_is_found(
    played: ScenarioRun, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effects, "failpoint", lambda point: None)

    await finished(played, log)

    assert log.without_points
