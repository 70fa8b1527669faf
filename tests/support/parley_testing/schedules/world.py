"""Two processes of one deployment, the user's model of it, and a look at both stores."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar, cast
from uuid import UUID

import psycopg

from parley import points
from parley.cleanup.forgetting import Forgetter
from parley.cleanup.outbox import Outbox
from parley.ids import conversation_key, new_id
from parley.memory.sqlite import SqliteStore
from parley.memory.store import AgentSessionStore, StoredTurn
from parley.repository.transcript import TurnView
from parley.repository.turns import RunningTurn
from parley.turns.recover import Recovery
from parley.turns.send import Carrier
from parley_testing import model_input
from parley_testing.databases import connect
from parley_testing.schedules import plans, talk
from parley_testing.schedules.faults import Course, FailingDatabase, FailingStore, Outage
from parley_testing.schedules.promises import Promises, left_by
from parley_testing.schedules.seen import see
from parley_testing.scripted_model import Asked, Items
from parley_testing.workbench import Workbench

T = TypeVar("T")
MEMORY_ITEMS = 12
CRASHES = 3


class Process:
    """A process of the deployment: its parts, a loop and a thread of its own."""

    def __init__(self, url: str, memory: Path) -> None:
        self.database = FailingDatabase(lambda: url, statement_timeout=10)
        self._sqlite = SqliteStore(memory)
        self.failing = FailingStore(cast("AgentSessionStore", self._sqlite))
        store = cast("AgentSessionStore", self.failing)
        self.bench = Workbench(
            self.database,
            store,
            self._answer,
            agent=talk.AGENT,
            memory_items=MEMORY_ITEMS,
            crashes=CRASHES,
        )
        self.sender = replace(
            self.bench.sender, carrier=_Watched(self, self.bench.carrier), store=store
        )
        self.recovery = Recovery(self.database, self.sender)
        self.canceller = replace(self.bench.canceller, open_store=lambda: store)
        self.forgetter = Forgetter(self.bench.sessions, lambda: store, MEMORY_ITEMS)
        self.outbox = Outbox(self.database, store)
        self.world: World | None = None
        self.begun: Begun | None = None
        self.lost: frozenset[tuple[UUID, int]] = frozenset()
        self._runner = asyncio.Runner()
        self._thread = ThreadPoolExecutor(1)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end, in this process's own thread."""
        assert self.world is not None
        self.lost = frozenset(self.world.promises.lost)
        return self._thread.submit(self._runner.run, _alone(work)).result()

    def close(self) -> None:
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()
        self.database.close()
        self._sqlite.close()

    def _answer(self, asked: Asked) -> Items | Exception:
        assert self.world is not None
        assert self.begun is not None
        try:
            self.world.asked(self.begun, asked)
        except BaseException as problem:
            # Raised from here it would only fail the turn.
            self.world.problems.append(problem)
        return talk.answer(asked)


async def _alone(work: Coroutine[Any, Any, T]) -> T:
    try:
        return await work
    finally:
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
            for task in left:
                task.cancelled() or task.exception()


@dataclass(frozen=True)
class Begun:
    """A turn that a process holds.

    Attributes:
        lost: What memory had been lost of before it was asked for, and when it was begun.
    """

    turn: RunningTurn
    lost: tuple[frozenset[tuple[UUID, int]], ...]


class _Watched(Carrier):
    def __init__(self, process: Process, carrier: Carrier) -> None:
        self._process = process
        self._carrier = carrier

    async def carry_out(
        self, turn: RunningTurn, first_read: Awaitable[Sequence[StoredTurn]], *, seconds: float
    ) -> TurnView:
        assert self._process.world is not None
        self._process.begun = self._process.world.begun(turn, self._process.lost)
        return await self._carrier.carry_out(turn, first_read, seconds=seconds)


class World:
    """One user of the deployment, from the first session to nothing.

    Attributes:
        held: Attempts that processes began, in order; most of them are over or were replaced.
        problems: Broken promises that could not be raised where they were found.
    """

    def __init__(
        self, main: Process, other: Process, sql: psycopg.Connection, memory: Path
    ) -> None:
        self.main, self.other, self.sql, self.memory = main, other, sql, memory
        self.user = str(new_id())
        self.promises = Promises(MEMORY_ITEMS)
        self.held: list[RunningTurn] = []
        self.problems: list[BaseException] = []
        self._looking = RLock()
        main.world = other.world = self

    @contextmanager
    def course(self, course: Course, database: Outage | None, store: Outage | None) -> Any:
        """Let things go wrong for the first process."""
        self.main.database.outage, self.main.failing.outage = database, store
        try:
            with points.observed(course):
                yield
        finally:
            self.main.database.outage = self.main.failing.outage = None
        self.problems += course.problems
        self.raise_problems()

    def raise_problems(self) -> None:
        """Raise what was found where nothing could be raised."""
        problems, self.problems = self.problems, []
        for problem in problems:
            raise problem

    def look(self) -> None:
        """Look at Postgres and at memory: all that changed must be as was promised."""
        with self._looking:
            self.promises.follow(see(self.sql, self.user))
            for session_id in self.promises.seen.sessions:
                self._memory(session_id)

    def begun(self, turn: RunningTurn, lost: frozenset[tuple[UUID, int]]) -> Begun:
        """See that a turn which is about to run is there, with all that it is to remember."""
        try:
            self.held.append(turn)
            self.look()
            seen = self.promises.seen.turn(turn.id)
            if seen is not None and seen.attempt == turn.attempt:
                assert seen.text == turn.text, "another message"
                expected = self.promises.vouched(seen)
                # Memory may have been cleared since.
                if turn.session_id not in self.promises.cleared:
                    assert list(turn.remembered) == expected, f"{turn.remembered}, not {expected}"
                assert set(expected) <= set(turn.remembered), "a turn is missing from memory"
        except BaseException as problem:
            self.problems.append(problem)
        return Begun(turn, (lost, frozenset(self.promises.lost)))

    def asked(self, begun: Begun, asked: Asked) -> None:
        """See that the model is asked what it should be, and takes it."""
        model_input.check(asked.input)
        turn = begun.turn
        text, place = talk.text_of(asked)
        model = plans.asked_of(text, talk.round_of(asked))
        assert asked.model == model, f"{asked.model} was asked {text!r}, not {model}"
        assert text in plans.all_texts(turn.text), f"{turn.text!r} had somebody asked {text!r}"
        self.promises.asked[text] += 1
        self.look()
        seen = self.promises.seen.turn(turn.id)
        if seen is None:
            return  # deleted meanwhile
        if seen.cancel_requested:
            assert turn.attempt < seen.attempt, "a turn to be cancelled was carried on"
        assert seen.text == turn.text, "the message was not there when the model was asked"
        given = plans.canonical(asked.input)
        now = [("user", text), *plans.told_rounds(text, seen.outputs)]
        now = now[: len(given) - place]
        # What is lost while a turn is being begun is read before that, or after.
        possible = [now]
        if text == turn.text:
            possible = [
                [*self.promises.shown(turn.session_id, turn.remembered, lost)[0], *now]
                for lost in (*begun.lost, self.promises.lost)
            ]
        assert given in possible, f"the model was shown {given}, not {possible[-1]}"

    def stored(self, session_id: UUID) -> dict[int, StoredTurn]:
        """Read a session's finished turns from memory, by number."""
        conversation = conversation_key(self.user, session_id)
        return {turn.number: turn for turn in self.other._sqlite.read_newest(conversation, None)}

    def everything_stored(self, session_id: UUID) -> int:
        """Count a session's rows in memory, open or done."""
        with sqlite3.connect(self.memory) as connection:
            (count,) = connection.execute(
                "SELECT (SELECT count(*) FROM turns WHERE conversation = ?1)"
                " + (SELECT count(*) FROM records WHERE conversation = ?1)",
                (conversation_key(self.user, session_id),),
            ).fetchone()
        connection.close()
        return int(count)

    def claimed(self, turn: RunningTurn) -> int:
        """Give the attempt that memory knows of a turn; 0 if it knows none."""
        with sqlite3.connect(self.memory) as connection:
            row = connection.execute(
                "SELECT attempt FROM turns WHERE conversation = ? AND number = ?",
                (conversation_key(self.user, turn.session_id), turn.number),
            ).fetchone()
        connection.close()
        return 0 if row is None else int(row[0])

    def leave(self) -> None:
        """Remove the user, also from the middle of a run that failed."""
        for table in ("sessions", "tasks"):
            self.sql.execute(f"DELETE FROM {table} WHERE user_id = %s", (self.user,))
        self.sql.execute("DELETE FROM memory_deletions")

    def damage(self, session_id: UUID, number: int, *, away: bool) -> None:
        """Damage a finished turn's memory, or take it away."""
        change = "DELETE FROM turns" if away else "UPDATE turns SET payload = x'00'"
        with sqlite3.connect(self.memory) as connection:
            connection.execute(
                f"{change} WHERE conversation = ? AND number = ? AND state = 'done'",
                (conversation_key(self.user, session_id), number),
            )
        connection.close()
        self.promises.lost.add((session_id, number))

    def _memory(self, session_id: UUID) -> None:
        """See that memory holds what it should of each turn, or may have lost it."""
        session, promises = self.promises.seen.sessions[session_id], self.promises
        stored = self.stored(session_id)
        vouched = [
            (turn.number, turn.attempt)
            for turn in reversed(session.turns)
            if turn.remembered and turn.number >= session.memory_from
        ][: MEMORY_ITEMS // 2]
        _, lowest = promises.shown(session_id, vouched, promises.lost)
        for turn in session.turns:
            place = session_id, turn.number
            if not turn.remembered or place in promises.lost:
                continue
            found = stored.get(turn.number)
            if found is None or found.attempt != turn.attempt or found.memory is None:
                forgotten = turn.number < max(session.memory_from, lowest)
                forgotten |= place in promises.retired
                assert forgotten, f"turn {turn.number} has no memory; the window is from {lowest}"
                promises.lost.add(place)
                continue
            left = plans.canonical(found.memory.items)
            assert left == left_by(turn), f"memory of {turn.text!r} is {left}"
            model_input.check(found.memory.items)


def build(url: str, memory: Path) -> tuple[Process, Process, psycopg.Connection]:
    """Start the two processes, and a connection past them."""
    return Process(url, memory), Process(url, memory), connect(url)
