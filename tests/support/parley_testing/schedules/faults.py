"""What goes wrong on purpose: processes that die or freeze at a point, stores that fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Event, Lock, get_ident
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection

from parley.errors import StoreUnavailable
from parley.repository.database import Database
from parley.repository.scope import Scope
from parley_testing.waiting import HANG_SECONDS

T = TypeVar("T")

Part = Literal["memory", "events", "wake-up"]
"""What may fail, other than Postgres."""

_LOCKS = "inside the transaction of add_task"
"""Who stands still there keeps the tools waiting that count the same user's tasks."""

AT_WORK: ContextVar[str | None] = ContextVar("parley_at_work", default=None)
"""Which process it is that passes a point; None in threads that are not told."""


class ProcessDied(BaseException):
    """Stands for the end of a process: nothing after it is done any more."""


@dataclass
class Outage:
    """Calls of a store that fail: `count` of them from the `first` on.

    Attributes:
        after: Whether the call is carried out and only its answer is lost.
        commits: Whether only transactions of several statements count, which is what tools have.
        parts: What is hit, if it is not Postgres.
    """

    first: int
    count: int
    after: bool
    commits: bool = False
    parts: tuple[Part, ...] = ("memory", "events")
    calls: int = 0
    happened: int = 0

    def hits(self, *, commit: bool = False) -> bool:
        """Whether the call that is being made now fails."""
        if self.commits and not commit:
            return False
        place, self.calls = self.calls, self.calls + 1
        hit = self.first <= place < self.first + self.count
        self.happened += hit
        return hit


@dataclass
class Course:
    """What happens to a process while it works, by how many points it has passed.

    Attributes:
        dies_at: The point at which it dies.
        freezes_at: The point at which it stands still while `meanwhile` happens; or its name.
        dead: Whether it has died.
        thawed: Whether something has happened meanwhile.
        locks: Whether it stands still within a tool's transaction for whose lock others wait.
        idled: Whether it has stood still within a tool's transaction, which is ended if for long.
    """

    dies_at: int | None = None
    freezes_at: int | str | None = None
    meanwhile: Callable[[], None] = lambda: None
    passed: int = 0
    dead: bool = False
    thawed: bool = False
    locks: bool = False
    idled: bool = False
    problems: list[BaseException] = field(default_factory=list)
    _frozen_by: int | None = None
    _goes_on: Event = field(default_factory=Event)
    _counting: Lock = field(default_factory=Lock)

    def __call__(self, point: str) -> None:
        """Pass a point."""
        # Memory is read beside the begin statement, so those points have no place in the order.
        if AT_WORK.get() == "other" or "read_newest" in point or "reader" in point:
            return
        if self._frozen_by is not None:
            # It may be the other's tool that passes, and what was begun before goes on.
            if AT_WORK.get() is None or self._frozen_by == get_ident():
                return
            assert self._goes_on.wait(HANG_SECONDS), "a process stood still for too long"
        if self.dead:
            raise ProcessDied(point)
        with self._counting:  # the log is written beside the run
            place, self.passed = self.passed, self.passed + 1
        # Before its commit a tool's transaction holds the turn's row, which the other waits for.
        # Somebody frozen there is ended by a time-out of the server's, tested elsewhere.
        here = self.freezes_at in (place, point) and not self.thawed
        if here and not point.startswith("before the commit"):
            self._frozen_by, self.thawed = get_ident(), True
            self.locks = point == _LOCKS
            self.idled = point.startswith("inside the transaction")
            try:
                self.meanwhile()
            except BaseException as problem:
                self.problems.append(problem)
            finally:
                self._frozen_by, self.locks = None, False
                self._goes_on.set()
        if place == self.dies_at:
            self.dead = True
            raise ProcessDied(point)


NOTHING = Course()
"""Nothing happens."""


class FailingDatabase(Database):
    """A database of which some calls fail.

    Attributes:
        outage: Which; none if None.
    """

    outage: Outage | None = None

    def _once(self, work: Callable[[], T]) -> T:
        return _perhaps(self.outage, "postgres", lambda: super(FailingDatabase, self)._once(work))

    @contextmanager
    def transaction(self, scope: Scope) -> Iterator[Connection]:
        hit = self.outage is not None and self.outage.hits(commit=True)
        with super().transaction(scope) as connection:
            yield connection
            if hit and self.outage is not None and not self.outage.after:
                raise StoreUnavailable("postgres", "the connection broke before the commit")
        if hit:
            raise StoreUnavailable("postgres", "the answer to the commit was lost")


class Failing:
    """A store, or a queue, of which some calls fail.

    Attributes:
        outage: Which; none if None.
    """

    def __init__(self, store: object, part: Part) -> None:
        self._store = store
        self._part = part
        self.outage: Outage | None = None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def called(*arguments: Any, **named: Any) -> Any:
            hit = self.outage is not None and self._part in self.outage.parts
            outage = self.outage if hit else None
            return _perhaps(outage, self._part, lambda: method(*arguments, **named))

        called.__qualname__ = f"{self._part}.{name}"  # points are named after it
        return called


def _perhaps(outage: Outage | None, store: str, call: Callable[[], T]) -> T:
    hit = outage is not None and outage.hits()
    if hit and outage is not None and not outage.after:
        raise StoreUnavailable(store, "down")
    result = call()
    if hit:
        raise StoreUnavailable(store, "the answer was lost")
    return result
