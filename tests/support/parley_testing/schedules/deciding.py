"""Steps in which somebody decides on what turns ask for, or nobody does in time."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from hypothesis.stateful import rule

from parley_testing.schedules.drawn import ANYONE, COURSES, DATABASE_OUTAGES, MOSTLY, OUTAGES
from parley_testing.schedules.steps import Steps, where


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

    def asking(self, which: int) -> UUID:
        """Choose a session whose turn waits for a decision."""
        asking = [s for s in self.sessions if self.promises.seen.sessions[s].asks]
        return asking[which % len(asking)]
