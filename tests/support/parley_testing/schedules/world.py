"""Two processes of one deployment, the user's model of it, and a look at both stores."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Container, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock
from typing import Any, LiteralString, TypeVar, cast
from uuid import UUID

import psycopg

from parley import failpoints
from parley.cleanup.forgetting import Forgetter
from parley.cleanup.outbox import Outbox
from parley.errors import StoreUnavailable, TurnUnfinished
from parley.events.fanout import FanOut
from parley.events.log import EventLog
from parley.events.sqlite import SqliteEventLog
from parley.events.writer import EventWriter
from parley.ids import SUMMARY_NUMBER, TurnKey, conversation_key, new_id
from parley.memory.sqlite import SqliteStore
from parley.memory.store import AgentSessionStore, StoredTurn
from parley.memory.window import vouched_turns
from parley.repository.database import IDLE_TOO_LONG, QUERY_CANCELED
from parley.repository.transcript import TurnView
from parley.repository.turns import Begun as BegunTurn
from parley.repository.turns import HeadClaim, RunningTurn, TurnRepository, TurnRequest
from parley.repository.waiting import WaitingSessions
from parley.turns.decide import Decider
from parley.turns.lease import Lease
from parley.turns.recover import Recovery
from parley.turns.send import Executor
from parley.users.erasure import Eraser
from parley.wake_queue import WakeQueue
from parley_testing.models import input
from parley_testing.models.scripted import Asked, Items, Streamed
from parley_testing.postgres.databases import connect
from parley_testing.schedules import notes, plans, talk
from parley_testing.schedules.faults import (
    AT_WORK,
    NOTHING,
    Course,
    Failing,
    FailingDatabase,
    Outage,
)
from parley_testing.schedules.logs import Logs, Writers
from parley_testing.schedules.promises import Promises, left_by
from parley_testing.schedules.readers import Readers
from parley_testing.schedules.seen import SeenSession, see
from parley_testing.schedules.wakeups import Wakeups
from parley_testing.workbench import SUMMARIES, Workbench

T = TypeVar("T")
MEMORY_ITEMS = 12
CRASHES = 3


class Process:
    """A process of the deployment: its parts, a loop and a thread of its own."""

    def __init__(self, name: str, url: str, memory: Path) -> None:
        self._name = name
        self.database = FailingDatabase(lambda: url, statement_timeout=10)
        self._sqlite = SqliteStore(memory)
        self._sqlite_log = SqliteEventLog(memory)
        self.failing = Failing(self._sqlite, "memory")
        self.log = KnownLog(self, self._sqlite_log)
        self.wake_queue = Failing(_Ringing(self), "wake-up")
        store = cast("AgentSessionStore", self.failing)
        self.bench = Workbench(
            self.database,
            store,
            self._answer,
            agent=talk.AGENT,
            memory_items=MEMORY_ITEMS,
            crashes=CRASHES,
            events=cast("EventLog", self.log),
            wake_queue=cast("WakeQueue", self.wake_queue),
            summarised=True,
        )
        executor = _Watched(self, self.bench.executor)
        judged = _Judged(self)
        self.bench.turns = judged
        self.sender = replace(self.bench.sender, turns=judged, executor=executor, store=store)
        self.session_worker = replace(
            self.bench.session_worker, turns=judged, executor=executor, store=store
        )
        self.recovery = Recovery(WaitingSessions(self.database), self.bench.waker)
        self.decider = Decider(self.database, self.bench.waker)
        self.canceller = replace(self.bench.canceller, open_store=lambda: store)
        self.forgetter = Forgetter(self.bench.sessions, lambda: store, MEMORY_ITEMS)
        self.eraser = Eraser(self.database, lambda: store)
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
        return self._thread.submit(self._runner.run, _alone(self._name, work)).result()

    def fail(self, database: Outage | None, others: Outage | None) -> None:
        """Have Postgres fail this process, and the other stores."""
        self.database.outage = database
        self.failing.outage = self.log.outage = self.wake_queue.outage = others

    def expired(self) -> int:
        """Count the turns whose memory has expired and is still there."""
        return self._sqlite.expired().turns

    def close(self) -> None:
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()
        self.database.close()
        self._sqlite.close()
        self._sqlite_log.close()

    def _answer(self, asked: Asked) -> Items | Streamed:
        assert self.world is not None
        if asked.model == SUMMARIES:
            self.world.summary_calls += 1
            return notes.answer(asked)
        assert self.begun is not None
        try:
            self.world.asked(self.begun, asked)
        except BaseException as problem:
            # Raised from here it would only fail the turn.
            self.world.problems.append(problem)
        return talk.answer(asked)


class KnownLog(Failing):
    """A process's event log, which knows whose it is."""

    def __init__(self, process: Process, log: SqliteEventLog) -> None:
        super().__init__(log, "events")
        self.process = process


class KnownEventWriter(EventWriter):
    """An event writer of which the world knows whose it is."""

    def __init__(
        self,
        log: EventLog,
        fanout: FanOut,
        lease: Lease,
        records: Container[str],
        written: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(log, fanout, lease, records, written)
        world = cast("KnownLog", log).process.world
        assert world is not None
        world.writers.take(lease, self)


class _Ringing:
    def __init__(self, process: Process) -> None:
        self._process = process

    def wake(self, session_id: UUID, *, delay: int = 0, user_id: str | None = None) -> None:
        assert self._process.world is not None
        self._process.world.wakeups.wake(session_id, delay=delay)


async def _alone(name: str, work: Coroutine[Any, Any, T]) -> T:
    AT_WORK.set(name)
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


class _Judged(TurnRepository):
    """Turns that are judged as soon as they are begun, before anything else can change."""

    def __init__(self, process: Process) -> None:
        super().__init__(process.database, window=vouched_turns(MEMORY_ITEMS))
        self._process = process

    def begin(
        self, request: TurnRequest, *, enqueue: bool = False, queue: bool = False
    ) -> BegunTurn:
        begun = super().begin(request, enqueue=enqueue, queue=queue)
        self._judge(begun.turn)
        return begun

    def claim_head(self, session_id: UUID) -> HeadClaim:
        claim = super().claim_head(session_id)
        self._judge(claim.turn)
        return claim

    def _judge(self, turn: RunningTurn | None) -> None:
        assert self._process.world is not None
        if turn is not None:
            self._process.world.judge(turn)


class _Watched(Executor):
    def __init__(self, process: Process, executor: Executor) -> None:
        self._process = process
        self._executor = executor

    async def execute(
        self,
        turn: RunningTurn,
        first_read: Awaitable[Sequence[StoredTurn]],
        *,
        seconds: float,
        logged: bool = False,
        taken: Callable[[], object] = lambda: None,
        comes_back: bool = False,
    ) -> TurnView:
        assert self._process.world is not None
        self._process.begun = self._process.world.begun(turn, self._process.lost)
        if logged:
            self._process.world.writers.logged.add(turn.id)
        return await self._executor.execute(
            turn, first_read, seconds=seconds, logged=logged, taken=taken, comes_back=comes_back
        )


class World:
    """One user of the deployment, from the first session to nothing.

    Attributes:
        held: Attempts that processes began, in order; most of them are over or were replaced.
        problems: Broken promises that could not be raised where they were found.
        unheard: Sessions for which a wake-up may have been lost, or was left to nobody's care.
        unswept: Sessions that a restored store has lost or brought back; a sweep finds the rest.
        restored: Whether a store was restored; the other may know of later attempts then.
    """

    def __init__(
        self,
        main: Process,
        other: Process,
        readers: Readers,
        sql: psycopg.Connection,
        memory: Path,
    ) -> None:
        self.main, self.other, self.readers = main, other, readers
        self.sql, self.memory = sql, memory
        self.user = str(new_id())
        self.promises = Promises(MEMORY_ITEMS)
        self.held: list[RunningTurn] = []
        self.problems: list[BaseException] = []
        self.summary_calls = 0
        self.wakeups = Wakeups()
        self.writers = Writers()
        self.logs = Logs(memory, self.user, self.writers)
        self.unheard: set[UUID] = set()
        self.unswept: set[UUID] = set()
        self.restored = False
        self._looking = RLock()
        self._course = NOTHING
        main.world = other.world = self

    @contextmanager
    def course(self, course: Course, database: Outage | None, store: Outage | None) -> Any:
        """Let things go wrong for the first process."""
        self.main.fail(database, store)
        self._course = course
        try:
            with failpoints.observed(course):
                yield
        finally:
            self.main.fail(None, None)
            self._course = NOTHING
        self.problems += course.problems
        self.raise_problems()
        if course.dead or database is not None or store is not None:
            self.look()
            self.unheard |= {each.id for each in self.promises.seen.sessions.values() if each.open}

    def stood_still(self, error: Exception) -> bool:
        """Whether an attempt had to end since the first process stands, or stood, in a transaction.

        Postgres ends that as soon as it was left idle for as long as a statement may take. Who
        waits for its lock mostly began to a little later, and has it then. Where both come due
        before the machine gets to either, his statement may be ended instead, or his time be up.
        Who stood still so long tells it when he goes on: it is too late for another try.
        """
        course = self._course
        match error:
            case TurnUnfinished():
                return course.locks
            case StoreUnavailable(store="postgres", reason=reason) if course.locks:
                return reason == QUERY_CANCELED
            case StoreUnavailable(store="postgres", reason=reason):
                return course.idled and reason == IDLE_TOO_LONG
        return False

    def raise_problems(self) -> None:
        """Raise what was found where nothing could be raised."""
        problems, self.problems = self.problems, []
        for problem in problems:
            raise problem

    def change(self, statement: LiteralString, parameters: Sequence[object] = ()) -> None:
        """Change something past Parley, and not in the middle of somebody's look."""
        with self._looking:
            self.sql.execute(statement, parameters)

    def look(self) -> None:
        """Look at Postgres and at memory: all that changed must be as was promised."""
        with self._looking:
            self.promises.follow(see(self.sql, self.user))
            for session_id in self.promises.seen.sessions:
                self._memory(session_id)

    def look_at_logs(self) -> None:
        """Look at the event logs, and see that what waits will be looked at by a worker."""
        sessions = self.promises.seen.sessions.values()
        self.logs.look([turn for session in sessions for turn in session.turns])
        self.unheard &= {session.id for session in sessions if session.open}
        heard = self.wakeups.sessions() | self.unheard
        forgotten = [session.open[0] for session in sessions if session.idle]
        forgotten = [turn for turn in forgotten if turn.session_id not in heard]
        assert not forgotten, f"nobody was woken for: {forgotten}"

    def judge(self, turn: RunningTurn) -> None:
        """See that a turn that has just begun is there, with all that it is to remember.

        That is what counts now. Before the turn runs a prune may move the window, or the user may
        have memory cleared, and the turn keeps what it was given.
        """
        try:
            self.look()
            seen = self.promises.seen.turn(turn.id)
            if seen is not None and seen.attempt == turn.attempt:
                assert seen.text == turn.text, "another message"
                expected = self.promises.vouched(seen)
                assert list(turn.remembered) == expected, f"{turn.remembered}, not {expected}"
        except BaseException as problem:
            # Raised from here it would only fail the turn.
            self.problems.append(problem)

    def begun(self, turn: RunningTurn, lost: frozenset[tuple[UUID, int]]) -> Begun:
        """Take a turn that is about to run."""
        self.held.append(turn)
        try:
            self.look()
        except BaseException as problem:
            self.problems.append(problem)
        return Begun(turn, (lost, frozenset(self.promises.lost)))

    def asked(self, begun: Begun, asked: Asked) -> None:
        """See that the model is asked what it should be, and takes it."""
        input.check(asked.input)
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
        if text == turn.text:
            self._summary_shown(turn, asked)
            if notes.shown(asked.input[0]) is not None:
                given, place = given[1:], place - 1
        now = [("user", text), *plans.told_rounds(text, seen.outputs)]
        now = now[: len(given) - place]
        # What is lost while a turn is being begun is read before that, or after.
        possible = [now]
        if text == turn.text:
            possible = [
                [*self.promises.shown(turn.session_id, turn.remembered, lost), *now]
                for lost in (*begun.lost, self.promises.lost)
            ]
        assert given in possible, f"the model was shown {given}, not {possible[-1]}"

    def _summary_shown(self, turn: RunningTurn, asked: Asked) -> None:
        """See that the model is shown the summary of which the turn was told, if it is there."""
        shown = notes.shown(asked.input[0])
        if turn.summary is None:
            assert shown is None, f"nobody vouched for {shown}"
        elif shown is None:
            lost = self.promises.lost_summaries
            gone = turn.session_id in self.promises.cleared
            assert gone or turn.summary.turn_id in lost, "the summary was not shown"
        else:
            _, of = self.promises.summaries[turn.summary]
            assert shown == of, f"the summary is of {shown}, not of {of}"

    def stored(self, session_id: UUID) -> dict[TurnKey, StoredTurn]:
        """Read a session's finished turns from memory."""
        conversation = conversation_key(self.user, session_id)
        return {turn.turn: turn for turn in self.other._sqlite.read_newest(conversation, None)}

    def everything_stored(self, session_id: UUID) -> int:
        """Count a session's rows in memory, open or done."""
        with sqlite3.connect(self.memory) as connection:
            (count,) = connection.execute(
                "SELECT (SELECT count(*) FROM turns WHERE conversation = ?1)"
                " + (SELECT count(*) FROM records WHERE conversation = ?1)"
                " + (SELECT count(*) FROM event_chunks WHERE conversation = ?1)",
                (conversation_key(self.user, session_id),),
            ).fetchone()
        connection.close()
        return int(count)

    def claimed(self, turn: RunningTurn) -> int:
        """Return the attempt that memory knows of a turn; 0 if it knows none."""
        with sqlite3.connect(self.memory) as connection:
            row = connection.execute(
                "SELECT attempt FROM turns WHERE conversation = ? AND turn_id = ?",
                (conversation_key(self.user, turn.session_id), str(turn.id)),
            ).fetchone()
        connection.close()
        return 0 if row is None else int(row[0])

    def leave(self) -> None:
        """Remove the user, also from the middle of a run that failed."""
        self.readers.leave()
        for table in ("sessions", "tasks"):
            self.sql.execute(f"DELETE FROM {table} WHERE user_id = %s", (self.user,))
        self.sql.execute("DELETE FROM memory_deletions")

    def damage(self, session_id: UUID, number: int, how: str) -> None:
        """Damage a finished turn's memory, take it away, or let it expire."""
        self._change(session_id, number, how)
        self.promises.lost.add((session_id, number))

    def _change(self, session_id: UUID, number: int, how: str) -> None:
        """Do so to what the store has of a session under a number."""
        change = {
            "damage": "UPDATE turns SET payload = x'00'",
            "lose": "DELETE FROM turns",
            "fade": "UPDATE turns SET expires_at = 1",
        }[how]
        with sqlite3.connect(self.memory) as connection:
            connection.execute(
                f"{change} WHERE conversation = ? AND number = ? AND state = 'done'",
                (conversation_key(self.user, session_id), number),
            )
        connection.close()

    def expire_memory(self, session_id: UUID) -> None:
        """Let all that memory holds of a session's ended turns expire."""
        self.look()
        session = self.promises.seen.sessions.get(session_id)
        for turn in session.turns if session is not None else ():
            if turn.over:
                self.damage(session_id, turn.number, "fade")

    def lose_summary(self, session_id: UUID, how: str) -> None:
        """Damage a session's summaries, take them away, or let them expire.

        Also one for which nobody has vouched yet: whoever makes it next finds that it was made.
        """
        self.promises.lost_summaries |= {
            turn.id for turn in self.stored(session_id) if turn.number == SUMMARY_NUMBER
        }
        self._change(session_id, SUMMARY_NUMBER, how)
        self.promises.lost_summaries |= {
            voucher.turn_id
            for voucher, (of, _) in self.promises.summaries.items()
            if of == session_id
        }

    def _summary(self, session: SeenSession, stored: dict[TurnKey, StoredTurn]) -> None:
        """See that memory holds the summary that counts, of the turns that it is to be of."""
        voucher, lost = session.summary, self.promises.lost_summaries
        if voucher is None or voucher.turn_id in lost:
            return
        found = stored.get(voucher.turn)
        assert found is not None, "the summary that counts is not there"
        assert found.attempt == voucher.attempt, "the summary that counts is another attempt's"
        assert found.memory is not None
        said = notes.lines(found.memory.reply)
        assert said == session.summarised, f"it is of {said}, not of {session.summarised}"

    def _memory(self, session_id: UUID) -> None:
        """See that memory holds what it should of each turn, or may have lost it."""
        session, promises = self.promises.seen.sessions[session_id], self.promises
        stored = self.stored(session_id)
        self._summary(session, stored)
        for turn in session.turns:
            place = session_id, turn.number
            if not turn.remembered or place in promises.lost:
                continue
            found = stored.get(TurnKey(turn.number, turn.id))
            if found is None or found.attempt != turn.attempt or found.memory is None:
                lowest = session.shown_from
                assert turn.number < lowest, f"turn {turn.number} has no memory; from {lowest}"
                promises.lost.add(place)
                continue
            left = plans.canonical(found.memory.items)
            assert left == left_by(turn), f"memory of {turn.text!r} is {left}"
            input.check(found.memory.items)


def build(url: str, memory: Path) -> tuple[Process, Process, Readers, psycopg.Connection]:
    """Start the two processes, the one that serves readers, and a connection past them."""
    main, other = (Process(name, url, memory) for name in ("main", "other"))
    return main, other, Readers(url, memory), connect(url)
