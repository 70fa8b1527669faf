"""The cleanup function beside an API and a worker, and turns that somebody left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Protocol
from uuid import UUID

import psycopg
import pytest

from parley import loop, threads
from parley.memory.sqlite import SqliteStore
from parley.repository.database import Database
from parley.repository.turns import RunningTurn, TurnRepository
from parley_testing.account.wake_queue import ReceivedWakeups
from parley_testing.api.handlers import Api, Context, load_function
from parley_testing.models.scripted import call, in_order
from parley_testing.stores.talk import begin, request
from parley_testing.waiting import HANG_SECONDS
from parley_testing.workbench import Workbench


class ProcessDied(BaseException):
    """Stands for the end of a process: nothing after it is done any more."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let calls to a store that cannot serve be tried again without a pause."""
    monkeypatch.setattr(threads, "PAUSES", (0.0, 0.0, 0.0))


@pytest.fixture
def environment(environment: pytest.MonkeyPatch, queue: ReceivedWakeups) -> pytest.MonkeyPatch:
    """The settings of a deployment with a queue."""
    for name, value in queue.settings.items():
        environment.setenv(name, value)
    return environment


@pytest.fixture
def work(environment: pytest.MonkeyPatch, queue: ReceivedWakeups) -> Iterator[Callable[[], int]]:
    """Has a worker answer wake-ups until none is there, and counts them."""
    worker = load_function("worker")
    yield lambda: queue.deliver(lambda event: worker.handler(event, Context()))
    worker.parts.database.close()


@pytest.fixture
def cleanup(environment: pytest.MonkeyPatch) -> Iterator[Any]:
    """The cleanup function, loaded."""
    module = load_function("cleanup")
    yield module
    module.parts.database.close()


class Recover(Protocol):
    """Invokes the cleanup function as the schedule does, and gives its report."""

    def __call__(self, *, seconds: float = HANG_SECONDS) -> dict[str, Any]: ...


@pytest.fixture
def recover(cleanup: Any) -> Recover:
    def invoke(*, seconds: float = HANG_SECONDS) -> dict[str, Any]:
        report: dict[str, Any] = cleanup.handler({"action": "recover"}, Context(seconds))
        return report

    return invoke


@pytest.fixture
def expire(sql: psycopg.Connection) -> Callable[[UUID], None]:
    """Lets a turn's lease run out, as happens when its process dies."""

    def expire(turn_id: UUID) -> None:
        changed = sql.execute(
            "UPDATE turns SET lease_expires_at = now() - interval '1 second' WHERE id = %s",
            (turn_id,),
        )
        assert changed.rowcount == 1

    return expire


@pytest.fixture
def left(
    api: Api, turns: TurnRepository, expire: Callable[[UUID], None]
) -> Callable[..., RunningTurn]:
    """Begins a turn in a session of its own, whose process dies at once."""

    def leave(text: str = "add milk", *, user: str = "alice") -> RunningTurn:
        turn = begin(turns, request(user, api.new_session(user=user), text))
        expire(turn.id)
        return turn

    return leave


@pytest.fixture
def crashed(
    database: Database,
    memory: SqliteStore,
    expire: Callable[[UUID], None],
    monkeypatch: pytest.MonkeyPatch,
) -> RunningTurn:
    """A turn that has added a task, and whose process died before the reply."""

    def die() -> Any:
        raise ProcessDied

    bench = Workbench(database, memory, in_order(call("add_task", title="milk"), die))
    turn = bench.begin(bench.new_session(), "add milk")
    with monkeypatch.context() as patch:
        patch.setattr(TurnRepository, "release", lambda *_: False)
        with pytest.raises((ProcessDied, asyncio.CancelledError)):
            loop.run(bench.execute(turn))
    expire(turn.id)
    return turn
