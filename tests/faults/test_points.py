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
from sqlalchemy import Engine, event, update

from parley import points
from parley.errors import TurnFailed, TurnUnfinished
from parley.memory import sqlite_file
from parley.memory.dynamodb import DynamoDbStore
from parley.repository.models import SessionRow
from parley.repository.turns import RunningTurn
from parley.turns import attempt, threads
from parley.turns.attempt import Attempt
from parley.turns.carry_out import PRUNE_EVERY
from parley_testing.fault_scenarios import TOOLS
from parley_testing.fault_stage import Play, Stage
from parley_testing.scripted_model import call, in_order

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
            alone = connection.connection.dbapi_connection.autocommit
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
    with points.observed(log.add):
        yield log
    event.remove(Engine, "before_cursor_execute", statement)
    event.remove(Engine, "commit", commit)


@pytest.fixture
def play(new_stage: Callable[[str], Stage], log: Log) -> Play:
    """A scenario; making its session is not part of the turn."""
    stage = new_stage("tools")
    if isinstance(stage.store, DynamoDbStore):

        def send(event_name: str, **_: Any) -> None:
            operation = event_name.rpartition(".")[2]
            if operation not in _DYNAMODB_READS:
                log.add(f"{DURABLE}: DynamoDB, {operation}")

        stage.store._table._client.meta.events.register("before-send.dynamodb", send)
    return stage.play()


async def finished(play: Play, log: Log) -> None:
    log.clear()
    await play.send_again()


async def resumed(play: Play, log: Log) -> None:
    begun(play)
    play.expire()
    log.clear()
    await play.send_again()


async def failed(play: Play, log: Log) -> None:
    play.parts.model.script = in_order(call("add_task", title="milk"), ValueError())
    log.clear()
    with pytest.raises(TurnFailed):
        await play.send_again()


async def released(play: Play, log: Log) -> None:
    play.parts.model.script = in_order(lambda: asyncio.sleep(60, []))
    turn = begun(play)
    log.clear()
    with pytest.raises(TurnUnfinished):
        await play.parts.carry_out(turn, seconds=0.05)


async def renewed(play: Play, log: Log) -> None:
    parts = play.parts
    held = Attempt(begun(play), parts.database, parts.turns, parts.tool_calls, parts.store)
    log.clear()
    await held.renew()


async def cancelled(play: Play, log: Log) -> None:
    play.parts.model.script = in_order(
        call("add_task", title="milk"), lambda: asyncio.sleep(60, [])
    )
    turn = begun(play)
    with pytest.raises(TurnUnfinished):
        await play.parts.carry_out(turn, seconds=0.5)
    log.clear()
    assert await play.cancel() == "cancelled"


async def pruned(play: Play, log: Log) -> None:
    play.parts.database.run(
        update(SessionRow).where(SessionRow.id == play.session_id).values(next_number=PRUNE_EVERY)
    )
    log.clear()
    await play.next_turn()


def begun(play: Play) -> RunningTurn:
    return play.parts.begin(play.session_id, TOOLS.text, user=play.user, key="k")


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
    play: Play, log: Log, way: Callable[[Play, Log], Awaitable[None]], least: int
) -> None:
    await way(play, log)

    assert len(log.writes) >= least, log.writes
    assert not log.without_points


async def test_a_write_without_a_point_is_found(
    play: Play, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "passing", lambda point: None)

    await finished(play, log)

    assert log.without_points


async def test_a_commit_without_a_point_is_found(
    play: Play, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "passing", lambda point: None)

    await finished(play, log)

    assert log.without_points
