"""Steps in which somebody decides on what turns ask for, or something else comes of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from hypothesis.stateful import rule

from parley_testing.schedules import following
from parley_testing.schedules.drawn import (
    ANYONE,
    COURSES,
    DATABASE_OUTAGES,
    MEETING_COURSES,
    MEETINGS,
    MOSTLY,
    OUTAGES,
    PAYMENTS,
)
from parley_testing.schedules.faults import Course
from parley_testing.schedules.steps import Steps, taken, where
from parley_testing.schedules.wakeups import Wakeup

PAUSES = 3  # of one turn


class Deciding(Steps):
    """What is new where turns wait for approval."""

    @rule(
        which=ANYONE,
        approval=ANYONE,
        approve=MOSTLY,
        course=COURSES,
        database=DATABASE_OUTAGES,
        store=OUTAGES,
    )
    @where(lambda self: any(s.asks for s in self.promises.seen.sessions.values()))
    def decide(
        self, which: int, approval: int, approve: bool, course: Any, database: Any, store: Any
    ) -> None:
        self.step("decide")
        session_id = self.asking(which)
        events = self.course(course, session_id)
        self.run(
            events,
            database,
            store,
            lambda faulty: self.actions.decide(
                self.world.main,
                session_id,
                approve=approve,
                which=approval,
                course=events,
                faulty=faulty,
            ),
        )

    @rule(which=ANYONE)
    @where(lambda self: any(s.asks for s in self.promises.seen.sessions.values()))
    def let_approvals_expire(self, which: int) -> None:
        self.step("approvals expire")
        self.actions.expire_approvals(self.world.main, self.asking(which))
        self.look()

    @rule(
        which=ANYONE,
        plan=PAYMENTS,
        how=MEETINGS,
        course=MEETING_COURSES,
        database=DATABASE_OUTAGES,
        store=OUTAGES,
        then=COURSES,
    )
    @where(lambda self: self.sessions)
    def ask_and_be_met(
        self,
        which: int,
        plan: str,
        how: str,
        course: Any,
        database: Any,
        store: Any,
        then: Any,
    ) -> None:
        self.step("ask")
        session_id = self.session(which)
        self.make_ready(session_id, ready=True)
        sent = self.actions.message(session_id, plan, keyed=True)
        self.run(Course(), None, None, lambda _: self.actions.send(self.world.main, sent))
        for _ in range(PAUSES):
            if not self._waits(session_id):
                return
            self.meet(session_id, how, course, database, store)
            self.go_on(session_id, then)

    @rule(
        which=ANYONE,
        how=MEETINGS,
        course=MEETING_COURSES,
        database=DATABASE_OUTAGES,
        store=OUTAGES,
        then=COURSES,
    )
    @where(lambda self: any(s.asks for s in self.promises.seen.sessions.values()))
    def meet_what_waits(
        self, which: int, how: str, course: Any, database: Any, store: Any, then: Any
    ) -> None:
        self.step("meet")
        session_id = self.asking(which)
        self.meet(session_id, how, course, database, store)
        self.go_on(session_id, then)

    def meet(self, session_id: UUID, how: str, course: Any, database: Any, store: Any) -> None:
        """Have something come of what waits, and its attempts of before wake up behind it.

        Where it was decided on, that is before anybody has claimed the turn again.
        """
        taken[f"met: {how}"] += 1
        self.world.look()
        asked = self.promises.seen.sessions[session_id].asks
        events = self.course(course, session_id)
        self.run(events, database, store, lambda faulty: self._met(session_id, how, events, faulty))
        for turn in self.world.held:
            if asked is not None and turn.id == asked.id and self.zombies.replaced(turn):
                taken["zombies of before a pause refused"] += 1
                taken["told late that it waits"] += self.zombies.tell(turn)
                self.zombies.wake(turn)
        self.look()

    def _met(self, session_id: UUID, how: str, course: Course, faulty: bool) -> str:
        actions, main = self.actions, self.world.main
        match how:
            case "expire":
                return actions.expire_approvals(main, session_id, faulty=faulty)
            case "cancel":
                return actions.cancel(main, session_id, course=course, faulty=faulty)
            case "delete":
                actions.delete(main, session_id, faulty=faulty)
                return "deleted"
            case "erase":
                actions.erase(main, faulty=faulty)
                return "erased"
        approve, outcome = how != "reject", "approved"
        while outcome in ("approved", "rejected") and self._waits(session_id):
            outcome = actions.decide(
                main, session_id, approve=approve, course=course, faulty=faulty
            )
            taken[f"decided: {outcome}"] += 1
            if how == "one":
                break
        return outcome

    def go_on(self, session_id: UUID, course: Any) -> None:
        """Have a worker carry on what was decided, if it was, while things go wrong."""
        session = self.promises.seen.sessions.get(session_id)
        decided = session.running if session is not None else None
        if decided is None or not decided.expired:
            return
        taken["resumed"] += 1
        events, seconds = self.course(course, session_id), self.patience(course)
        wakeup = Wakeup(session_id, 0)
        self.run(
            events,
            None,
            None,
            lambda _: following.answer(
                self.actions, self.world.main, wakeup, course=events, seconds=seconds
            ),
        )

    def _waits(self, session_id: UUID) -> bool:
        session = self.promises.seen.sessions.get(session_id)
        return session is not None and session.asks is not None

    def asking(self, which: int) -> UUID:
        """Choose a session whose turn waits for a decision."""
        asking = [s for s in self.sessions if self.promises.seen.sessions[s].asks]
        return asking[which % len(asking)]
