"""A turn run by a process of its own, and this process to see what becomes of it."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from parley.errors import TurnWaiting
from parley.events.log import EventLog
from parley.memory.store import AgentSessionStore
from parley.repository.database import Database
from parley.repository.waiting import WaitingSessions
from parley.timing import LEASE_SECONDS
from parley.turns.recover import Recovery
from parley.turns.wakeup import Waker
from parley.wake_queue import WakeQueue
from parley_testing.account.moto import Account
from parley_testing.scenarios.deciding import answered
from parley_testing.scenarios.fork_server import Child, ForkServer
from parley_testing.scenarios.outcome import Outcome, asked_again, outcome
from parley_testing.scenarios.parts import Parts, Place
from parley_testing.scenarios.turns import NEXT, SCENARIOS, lines
from parley_testing.schedules.wakeups import Wakeups
from parley_testing.stores.user_data import memory_of, rows_of
from parley_testing.waiting import HANG_SECONDS, until
from parley_testing.workbench import request

Point = tuple[str, int]
"""A point's name, and the how manieth passing of it."""

_numbers = count(1)


def counted(passed: Sequence[str]) -> list[Point]:
    """Tell the passings of one point apart."""
    seen: Counter[str] = Counter()
    points = []
    for point in passed:
        seen[point] += 1
        points.append((point, seen[point]))
    return points


def some_of_each(points: Sequence[Point]) -> list[Point]:
    """Choose of each point the first passing, the last, and the one in the middle."""
    often: dict[str, int] = dict(points)
    return [
        (name, place) for name, place in points if place in (1, often[name] // 2 + 1, often[name])
    ]


class Setup:
    """One scenario on one pair of stores, played as often as a test likes."""

    def __init__(
        self,
        name: str,
        place: Place,
        server: ForkServer,
        database: Database,
        store: AgentSessionStore,
        sql: psycopg.Connection,
        folder: Path,
        *,
        events: EventLog | None = None,
        wake_queue: WakeQueue | None = None,
    ) -> None:
        self.name, self.place, self.server = name, place, server
        self.scenario = SCENARIOS[name]
        self.database, self.store, self.sql, self.folder = database, store, sql, folder
        self.events, self.wake_queue = events, wake_queue

    def start_run(self) -> ScenarioRun:
        """Make a new user and session to play the scenario in."""
        return ScenarioRun(self, f"user-{next(_numbers)}")

    async def undisturbed(self) -> tuple[list[Point], Outcome]:
        """Play it whole, and return the points that were passed and what came of it."""
        played = self.start_run()
        child = played.start()
        assert child.wait() == {"exited": 0}
        assert child.result() == {"reply": self.scenario.reply}
        passed = lines(child.points)
        await played.next_turn()
        told = played.outcome()
        assert told.tasks == [[title] for title in self.scenario.effects]
        assert asked_again(played.asked) == 0
        return counted(passed), told


class ScenarioRun:
    """One time that the scenario is played.

    Attributes:
        asked_file: Keeps what the model is asked.
        parts: This process's.
    """

    def __init__(self, setup: Setup, user: str) -> None:
        self._setup, self.user = setup, user
        self.asked_file = setup.folder / f"asked-{user}"
        self.parts = Parts(
            setup.database,
            setup.store,
            setup.scenario,
            self.asked_file,
            events=setup.events,
            wake_queue=setup.wake_queue,
        )
        self.session_id: UUID = self.parts.new_session(user)

    @property
    def asked(self) -> list[str]:
        """What the model was asked so far, in all processes."""
        return lines(self.asked_file)

    def start(
        self,
        at: Point | None = None,
        by: signal.Signals = signal.SIGKILL,
        *,
        lease: float = LEASE_SECONDS,
    ) -> Child:
        """Have another process send the message, and end itself at a point."""
        return self.fork(at, by, key="k", lease=lease)

    def start_cancelling(
        self, at: Point | None = None, by: signal.Signals = signal.SIGKILL
    ) -> Child:
        """Have another process cancel the turn, and end itself at a point."""
        logged = self._setup.events is not None
        return self.fork(at, by, cancels=str(self.turn_id), logged=logged)

    def fork(
        self, at: Point | None = None, by: signal.Signals = signal.SIGKILL, **job: Any
    ) -> Child:
        """Have another process do a job (see `fault_process`), and end itself at a point."""
        setup = self._setup
        return setup.server.fork(
            setup.place,
            setup.name,
            self.asked_file,
            session_id=str(self.session_id),
            user=self.user,
            at=at,
            signal=int(by),
            **job,
        )

    def rows(self) -> dict[str, Any]:
        """Return all that both stores hold of the user and the session, ids and times too."""
        place = self._setup.place
        if place.sqlite is not None:
            memory: Any = memory_of(Path(place.sqlite), self.user)
        else:
            assert place.dynamodb is not None
            items = Account(place.dynamodb).items(place.table)
            memory = [item for item in items if str(self.session_id) in str(item)]
        return {"memory": memory, **rows_of(self._setup.sql, self.user)}

    async def hung_up(self, child: Child) -> None:
        """Wait until Postgres is done with what a dead process has asked of it.

        A statement that it had sent may take the turn after the process is dead.
        """
        left = (
            "SELECT FROM pg_stat_activity WHERE application_name = %s"
            " AND datname = current_database()"
        )
        name = [f"child-{child.pid}"]
        await until(lambda: not self._setup.sql.execute(left, name).fetchall())

    def expire(self) -> bool:
        """Let the lease run out; False if no turn holds one."""
        changed = self._setup.sql.execute(
            "UPDATE turns SET lease_expires_at = now() - interval '1 second'"
            " WHERE session_id = %s AND status = 'running'",
            [self.session_id],
        )
        return changed.rowcount == 1

    async def send_again(self) -> str:
        """Send the same request from this process and return the reply."""
        return await self._send(self._setup.scenario.text, "k")

    async def recover(self) -> None:
        """Do what the scheduled recovery does, and a worker that it wakes a worker for."""
        wakeups = Wakeups()
        recovery = Recovery(WaitingSessions(self._setup.database), Waker(wakeups))
        recovered = await recovery.recover(seconds=HANG_SECONDS)
        assert (recovered.woken, recovered.left) == (len(wakeups), 0)
        while len(wakeups):
            session_id = wakeups.take(0).session_id
            assert await self.parts.session_worker.run_next(session_id, seconds=HANG_SECONDS)
            # And what waits behind it, for which who ends a turn wakes.
            while await self.parts.session_worker.run_next(session_id, seconds=HANG_SECONDS):
                pass

    async def cancel(self) -> str:
        """Cancel the turn from this process and return the outcome."""
        cancelled = await self.parts.canceller.cancel(self.user, self.session_id, self.turn_id)
        return cancelled.outcome

    async def next_turn(self) -> None:
        """Say something else."""
        assert await self._send(NEXT, "next") == "Nothing else."

    def outcome(self) -> Outcome:
        """Read what the session's turns came to."""
        return outcome(self._setup.sql, self._setup.store, self.user, self.session_id)

    @property
    def turn_id(self) -> UUID:
        """The id of the only turn."""
        (turn,) = self.parts.transcript.turns(
            self.user, self.session_id, status=None, limit=2, cursor=None
        ).items
        return turn.id

    async def _send(self, text: str, key: str) -> str:
        message = request(self.session_id, text, user=self.user, key=key)
        while True:
            try:
                return await answered(self.parts, message)
            except TurnWaiting:  # for somebody to decide on what the turn before asks for
                await self.send_again()
