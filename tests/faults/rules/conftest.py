"""Two processes on a database and a memory, to break one rule of the protocol at a time."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import TextClause, text

from parley import threads
from parley.errors import TurnFailed
from parley.memory.sqlite import SqliteStore
from parley.repository.database import Database
from parley.repository.turns import RunningTurn, TurnRepository
from parley_testing.models.scripted import Script, in_order
from parley_testing.postgres.databases import connect
from parley_testing.waiting import HANG_SECONDS
from parley_testing.workbench import Workbench

_NEVER_ASKED = in_order()


@pytest.fixture(params=["with the rule", "without it"])
def kept(request: pytest.FixtureRequest) -> bool:
    """Whether the rule is kept: each test runs both ways; the difference is its worth."""
    return bool(request.param == "with the rule")


@dataclass(frozen=True)
class Rule:
    """One rule of the protocol, kept in this run of the test or taken out."""

    kept: bool
    patch: pytest.MonkeyPatch

    def without(self, module: Any, name: str, words: str, instead: str = "") -> None:
        """Take the rule out of a statement: replace the words in which it stands there."""
        found: str | TextClause = getattr(module, name)
        statement = found if isinstance(found, str) else found.text
        assert words in statement, "the rule stands there in other words now"
        changed = statement.replace(words, instead)
        self.instead(module, name, changed if isinstance(found, str) else text(changed))

    def instead(self, target: Any, name: str, without: Any) -> None:
        """Put something in the place of a function that follows the rule."""
        assert hasattr(target, name)
        if not self.kept:
            self.patch.setattr(target, name, without)


@pytest.fixture
def rule(kept: bool, monkeypatch: pytest.MonkeyPatch) -> Rule:
    """The rule that the test is about."""
    return Rule(kept, monkeypatch)


@pytest.fixture
def url(database_url: str) -> str:
    return database_url


@pytest.fixture
def sql(url: str) -> Iterator[psycopg.Connection]:
    with connect(url) as connection:
        yield connection


@pytest.fixture
def new_bench(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Workbench]]:
    """Makes workbenches: each is a process of its own as far as turns can tell."""
    monkeypatch.setattr(threads, "PAUSES", (0.0, 0.0, 0.0))
    database = Database(lambda: url, statement_timeout=10)
    store = SqliteStore(tmp_path / "memory.db")

    def make(script: Script = _NEVER_ASKED, **fields: Any) -> Workbench:
        return Workbench(database, store, script, **fields)

    yield make
    database.close()
    store.close()


@pytest.fixture
def bench(new_bench: Callable[..., Workbench]) -> Workbench:
    """A workbench whose model is never asked."""
    return new_bench()


@pytest.fixture
def waiting(sql: psycopg.Connection) -> Callable[[int], None]:
    """Waits until so many others wait for a lock."""

    def wait(others: int) -> None:
        query = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        end = time.monotonic() + HANG_SECONDS
        while sql.execute(query).fetchone() != (others,):
            assert time.monotonic() < end, f"{others} others never waited"

    return wait


@pytest.fixture
def at_once(url: str, waiting: Callable[[int], None]) -> Callable[..., list[Any]]:
    """Does things that all wait for one lock before any goes on; gives results and errors."""

    def collide(lock: str, *works: Callable[[], Any]) -> list[Any]:
        with ThreadPoolExecutor(len(works)) as threads, connect(url) as holding:
            with holding.transaction():
                holding.execute(lock)
                begun: list[Future[Any]] = []
                for work in works:
                    begun.append(threads.submit(work))
                    waiting(len(begun))
            return [future.exception() or future.result() for future in begun]

    return collide


@pytest.fixture
def expire(sql: psycopg.Connection) -> Callable[[UUID], None]:
    """Lets a turn's lease run out."""

    def expire(turn_id: UUID) -> None:
        sql.execute(
            "UPDATE turns SET lease_expires_at = now() - interval '1 second' WHERE id = %s",
            (turn_id,),
        )

    return expire


class Died(BaseException):
    """Stands for the end of a process: nothing after it is done any more."""


def die(*_: object, **__: object) -> Any:
    raise Died


@pytest.fixture(name="die")
def _die() -> Callable[..., Any]:
    """Ends the process where it is called."""
    return die


@pytest.fixture
def let_die(
    expire: Callable[[UUID], None], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Awaitable[None]]:
    """Carries a turn out until its process dies, which also cannot let go of it."""

    async def let_die(bench: Workbench, turn: RunningTurn) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(TurnRepository, "release", die)
            with pytest.raises(Died):
                await bench.execute(turn)
        expire(turn.id)

    return let_die


@pytest.fixture
def failure() -> Callable[..., Awaitable[str]]:
    """Gives the code that a turn failed with; nothing if it did not."""

    async def failure(sending: Awaitable[object]) -> str:
        try:
            await sending
        except TurnFailed as failed:
            return failed.code
        return ""

    return failure
