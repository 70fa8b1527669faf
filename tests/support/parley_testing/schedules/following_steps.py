"""Steps of the schedules: turns that are followed or queued, workers, and readers."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import rule

from parley.timing import CRASH_SECONDS
from parley_testing.schedules import following
from parley_testing.schedules.drawn import (
    ANYONE,
    COURSES,
    DATABASE_OUTAGES,
    MESSAGES,
    MOSTLY,
    OUTAGES,
    TROUBLES,
)
from parley_testing.schedules.faults import Course
from parley_testing.schedules.readers import Reader
from parley_testing.schedules.steps import Steps, where
from parley_testing.schedules.wakeups import Wakeup


class Following(Steps):
    """What is new where nobody waits for the reply."""

    @rule(
        which=ANYONE,
        ready=MOSTLY,
        plan=MESSAGES,
        enqueue=st.booleans(),
        course=COURSES,
        database=DATABASE_OUTAGES,
        store=OUTAGES,
    )
    @where(lambda self: self.sessions)
    def stream(
        self,
        which: int,
        ready: bool,
        plan: str,
        enqueue: bool,
        course: Any,
        database: Any,
        store: Any,
    ) -> None:
        self.step("stream")
        session_id = self.session(which)
        self.make_ready(session_id, ready)
        sent = self.actions.message(session_id, plan, keyed=True)
        events = self.course(course, session_id)
        seconds = self.patience(course)
        self.run(
            events,
            database,
            store,
            lambda faulty: following.stream(
                self.actions,
                self.world.main,
                sent,
                enqueue=enqueue,
                course=events,
                faulty=faulty,
                seconds=seconds,
            ),
        )

    @rule(which=ANYONE, ready=MOSTLY, plan=MESSAGES, course=TROUBLES)
    @where(lambda self: self.sessions)
    def stream_in_trouble(self, which: int, ready: bool, plan: str, course: Any) -> None:
        self.step("stream in trouble")
        session_id = self.session(which)
        self.make_ready(session_id, ready)
        sent = self.actions.message(session_id, plan, keyed=True)
        events = self.course(course, session_id)
        seconds = self.patience(course)
        self.run(
            events,
            None,
            None,
            lambda _: following.stream(
                self.actions, self.world.main, sent, course=events, seconds=seconds
            ),
        )

    @rule(
        which=ANYONE,
        plan=MESSAGES,
        enqueue=MOSTLY,
        course=COURSES,
        database=DATABASE_OUTAGES,
        store=OUTAGES,
    )
    @where(lambda self: self.sessions)
    def queue(
        self, which: int, plan: str, enqueue: bool, course: Any, database: Any, store: Any
    ) -> None:
        self.step("queue")
        session_id = self.session(which)
        sent = self.actions.message(session_id, plan, keyed=True)
        events = self.course(course, session_id)
        self.run(
            events,
            database,
            store,
            lambda faulty: following.queue(
                self.actions,
                self.world.main,
                sent,
                enqueue=enqueue,
                course=events,
                faulty=faulty,
            ),
        )

    @rule(which=ANYONE, count=st.sampled_from([2, 2, 3, 3, 3, 4, 4, 22]))
    @where(lambda self: self.sessions)
    def queue_many(self, which: int, count: int) -> None:
        self.step("queue many")
        session_id = self.session(which)
        self.reopen(session_id)
        for _ in range(count):
            self.queue_one(session_id)

    @rule(
        which=ANYONE,
        twice=st.booleans(),
        late=st.booleans(),
        course=COURSES,
        database=DATABASE_OUTAGES,
        store=OUTAGES,
    )
    @where(lambda self: len(self.world.wakeups))
    def answer_a_wakeup(
        self, which: int, twice: bool, late: bool, course: Any, database: Any, store: Any
    ) -> None:
        self.step("wake-up")
        wakeup = self.world.wakeups.take(which, twice=twice)
        if wakeup.delay and (
            late or wakeup.delay < CRASH_SECONDS
        ):  # it waited for a lease to be over
            self.actions.expire(wakeup.session_id)
        self.world.look()
        events = self.course(course, wakeup.session_id)
        seconds = self.patience(course)
        self.run(
            events,
            database,
            store,
            lambda faulty: following.answer(
                self.actions,
                self.world.main,
                wakeup,
                course=events,
                faulty=faulty,
                seconds=seconds,
            ),
        )

    @rule(which=ANYONE)
    @where(lambda self: any(s.idle for s in self.promises.seen.sessions.values()))
    def wake_what_waits(self, which: int) -> None:
        self.step("wake-up undisturbed")
        idle = [s for s in self.sessions if self.promises.seen.sessions[s].idle]
        wakeup = Wakeup(idle[which % len(idle)], 0)
        self.run(
            Course(),
            None,
            None,
            lambda _: following.answer(self.actions, self.world.main, wakeup),
        )

    @rule(which=ANYONE, course=TROUBLES)
    @where(lambda self: any(s.idle for s in self.promises.seen.sessions.values()))
    def answer_a_wakeup_in_trouble(self, which: int, course: Any) -> None:
        self.step("wake-up in trouble")
        idle = [s for s in self.sessions if self.promises.seen.sessions[s].idle]
        wakeup = Wakeup(idle[which % len(idle)], 0)  # one may always come twice
        events = self.course(course, wakeup.session_id)
        seconds = self.patience(course)
        self.run(
            events,
            None,
            None,
            lambda _: following.answer(
                self.actions, self.world.main, wakeup, course=events, seconds=seconds
            ),
        )

    @rule(which=ANYONE)
    @where(lambda self: len(self.world.wakeups))
    def lose_a_wakeup(self, which: int) -> None:
        self.step("wake-up lost")
        self.world.unheard.add(self.world.wakeups.take(which).session_id)

    @rule(which=ANYONE, turn=ANYONE, after=st.sampled_from([0, 0, 1, 3]))
    @where(lambda self: self.sessions)
    def follow(self, which: int, turn: int, after: int) -> None:
        turns = self.promises.seen.sessions[self.session(which)].turns[-4:]
        if turns:
            self.step("follow")
            followed = turns[turn % len(turns)]
            self.world.look_at_logs()
            after = min(after, max(0, len(self.world.logs.of(followed)) - 1))
            reader = Reader(self.world.user, followed.session_id, followed.id, after)
            self.readers.append(reader)
            self.world.readers.follow(reader)

    @rule(which=ANYONE)
    @where(lambda self: self.readers)
    def go_away_or_come_back(self, which: int) -> None:
        self.step("reader goes or comes")
        reader = self.readers[which % len(self.readers)]
        if reader.following is None:
            self.world.readers.follow(reader)
        else:
            self.world.readers.drop(reader)

    def queue_one(self, session_id: UUID) -> None:
        """Leave a short message to a worker."""
        sent, main = self.actions.message(session_id, "", keyed=True), self.world.main
        queue = lambda _: following.queue(self.actions, main, sent, enqueue=True)  # noqa: E731
        self.run(Course(), None, None, queue)
