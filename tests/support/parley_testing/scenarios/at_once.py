"""Doing the same from many threads, as near to the same moment as can be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Barrier
from typing import TypeVar

from sqlalchemy import text

from parley.repository.database import Database
from parley.repository.scope import OfUser
from parley_testing.waiting import HANG_SECONDS

T = TypeVar("T")


@contextmanager
def connected(url: str, count: int) -> Iterator[list[Database]]:
    """Ways to Postgres as so many processes have them: one open connection each."""
    with ExitStack() as stack:
        databases = []
        for _ in range(count):
            database = Database(lambda: url, statement_timeout=HANG_SECONDS, pool_size=1)
            stack.callback(database.close)
            database.run(OfUser("alice"), text("SELECT 1"))
            databases.append(database)
        yield databases


def at_once(url: str, count: int, work: Callable[[Database, int], T]) -> list[T]:
    """Do the work `count` times at once, each on a connection of its own.

    Args:
        url: The database.
        count: How often.
        work: Is given a way to Postgres and its number, from 0.

    Returns:
        What each gave, in the order of the numbers.
    """
    barrier = Barrier(count)

    def started(database: Database, number: int) -> T:
        barrier.wait(HANG_SECONDS)
        return work(database, number)

    with connected(url, count) as databases, ThreadPoolExecutor(count) as threads:
        return list(threads.map(started, databases, range(count)))
