"""The random schedules: a Hypothesis machine whose steps users, processes and faults take."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from parley.repository.turns import TurnRequest
from parley_testing.run.at_length import AT_LENGTH
from parley_testing.schedules import cleanup, following, summarising
from parley_testing.schedules.deciding import Deciding
from parley_testing.schedules.drawn import (
    ANYONE,
    COURSES,
    DATABASE_OUTAGES,
    MESSAGES,
    MODES,
    MOSTLY,
    OUTAGES,
    TROUBLES,
)
from parley_testing.schedules.faults import Course
from parley_testing.schedules.following_steps import Following
from parley_testing.schedules.restoring import Restoring
from parley_testing.schedules.settling import Settling
from parley_testing.schedules.steps import always, taken, where
from parley_testing.schedules.world import MEMORY_ITEMS, World


def machine(new_world: Callable[[], World]) -> type[RuleBasedStateMachine]:
    """Make the machine whose every run is in a new world."""

    class Schedules(_Rules):
        def __init__(self) -> None:
            super().__init__(new_world())

    return Schedules


class _Rules(Following, Restoring, *((Deciding,) if AT_LENGTH else ()), Settling):  # type: ignore[misc]
    @initialize()
    @always
    def begin(self) -> None:
        self.actions.new_session()
        self.world.look()

    @rule()
    @where(lambda self: len(self.sessions) < 3)
    def open_a_session(self) -> None:
        self.step("new session")
        self.actions.new_session()
        self.world.look()

    @rule(
        which=ANYONE,
        ready=MOSTLY,
        plan=MESSAGES,
        keyed=st.booleans(),
        enqueue=st.booleans(),
        course=COURSES,
        database=DATABASE_OUTAGES,
        store=OUTAGES,
    )
    @where(lambda self: self.sessions)
    def send(
        self,
        which: int,
        ready: bool,
        plan: str,
        keyed: bool,
        enqueue: bool,
        course: Any,
        database: Any,
        store: Any,
    ) -> None:
        self.step("send")
        session_id = self.session(which)
        self.make_ready(session_id, ready)
        sent = self.actions.message(session_id, plan, keyed=keyed)
        events = self.course(course, session_id)
        seconds = self.patience(course)
        self.run(
            events,
            database,
            store,
            lambda faulty: self.actions.send(
                self.world.main,
                sent,
                course=events,
                faulty=faulty,
                seconds=seconds,
                enqueue=enqueue,
            ),
        )

    @rule(which=ANYONE, ready=MOSTLY, plan=MESSAGES, course=TROUBLES)
    @where(lambda self: self.sessions)
    def send_in_trouble(self, which: int, ready: bool, plan: str, course: Any) -> None:
        self.step("send in trouble")
        session_id = self.session(which)
        self.make_ready(session_id, ready)
        sent = self.actions.message(session_id, plan, keyed=True)
        events = self.course(course, session_id)
        seconds = self.patience(course)
        self.run(
            events,
            None,
            None,
            lambda _: self.actions.send(self.world.main, sent, course=events, seconds=seconds),
        )

    @rule(which=ANYONE, ready=MOSTLY, plan=MESSAGES)
    @where(lambda self: self.sessions)
    def send_and_be_understood(self, which: int, ready: bool, plan: str) -> None:
        self.step("send undisturbed")
        session_id = self.session(which)
        self.make_ready(session_id, ready)
        sent = self.actions.message(session_id, plan, keyed=True)
        self.run(Course(), None, None, lambda _: self.actions.send(self.world.main, sent))

    @rule(plan=MESSAGES, mode=MODES, course=COURSES, database=DATABASE_OUTAGES)
    @where(lambda self: len(self.sessions) < 4)
    def send_a_first_message(self, plan: str, mode: str, course: Any, database: Any) -> None:
        self.step("first message")
        sent = self.actions.message(None, plan, keyed=True)
        events = self.course(course, None)
        self.run(
            events,
            database,
            None,
            lambda faulty: self.send_as(mode, sent, course=events, faulty=faulty),
        )

    @rule(which=ANYONE, mode=MODES, course=COURSES, database=DATABASE_OUTAGES, store=OUTAGES)
    @where(lambda self: self.actions.messages)
    def retry(self, which: int, mode: str, course: Any, database: Any, store: Any) -> None:
        self.step("retry")
        key = self.key(which)
        sent = self.actions.messages[key]
        events = self.course(course, sent.session_id if sent.opens is None else None)
        seconds = self.patience(course)
        self.run(
            events,
            database,
            store,
            lambda faulty: self.send_as(
                mode, self.actions.again(sent), course=events, faulty=faulty, seconds=seconds
            ),
        )

    @rule(which=ANYONE, plan=MESSAGES)
    @where(lambda self: self.sessions)
    def send_as_the_invocation_ends(self, which: int, plan: str) -> None:
        self.step("send without time")
        sent = self.actions.message(self.session(which), plan, keyed=True)
        self.run(
            Course(), None, None, lambda _: self.actions.send(self.world.main, sent, seconds=0)
        )

    @rule(which=ANYONE)
    @where(lambda self: self.actions.messages)
    def send_another_with_the_same_key(self, which: int) -> None:
        self.step("key reused")
        self.actions.reuse_key(self.key(which))
        self.world.look()

    @rule(which=ANYONE)
    @where(lambda self: any(s.running for s in self.promises.seen.sessions.values()))
    def let_a_lease_run_out(self, which: int) -> None:
        self.step("lease runs out")
        running = [s for s in self.sessions if self.promises.seen.sessions[s].running]
        self.actions.expire(running[which % len(running)])
        self.world.look()

    @rule(
        which=ANYONE,
        late=st.booleans(),
        course=COURSES,
        database=DATABASE_OUTAGES,
        store=OUTAGES,
    )
    @always
    def recover(self, which: int, late: bool, course: Any, database: Any, store: Any) -> None:
        self.step("recover")
        if late and self.sessions:
            self.actions.wait_a_minute(self.session(which))
        events = self.course(course, self.session(which) if self.sessions else None)
        self.run(
            events,
            database,
            store,
            lambda faulty: self.actions.recover(self.world.main, course=events, faulty=faulty),
        )

    @rule(which=ANYONE, turn=ANYONE, course=COURSES, database=DATABASE_OUTAGES, store=OUTAGES)
    @where(lambda self: any(s.open for s in self.promises.seen.sessions.values()))
    def cancel(self, which: int, turn: int, course: Any, database: Any, store: Any) -> None:
        self.step("cancel")
        some = [s for s in self.sessions if self.promises.seen.sessions[s].open]
        session_id = some[which % len(some)]
        events = self.course(course, session_id)
        self.run(
            events,
            database,
            store,
            lambda faulty: self.actions.cancel(
                self.world.main, session_id, which=turn, course=events, faulty=faulty
            ),
        )

    @rule(which=ANYONE)
    @where(lambda self: self.world.held)
    def wake_a_zombie(self, which: int) -> None:
        self.step("zombie")
        replaced = [turn for turn in self.world.held if self.zombies.replaced(turn)]
        if replaced:
            taken["zombies refused"] += 1
            self.zombies.tell(replaced[which % len(replaced)])
            self.zombies.wake(replaced[which % len(replaced)])
            self.look()

    @rule(
        which=ANYONE,
        what=st.sampled_from(["prune", "clear"]),
        database=DATABASE_OUTAGES,
        store=OUTAGES,
    )
    @where(lambda self: self.sessions)
    def forget(self, which: int, what: str, database: Any, store: Any) -> None:
        self.step(what)
        act = self.actions.prune if what == "prune" else self.actions.clear
        faulty = database is not None or store is not None
        with self.world.course(Course(), database, store):
            act(self.world.main, self.session(which), faulty=faulty)
        self.world.look()

    @rule(which=ANYONE, database=DATABASE_OUTAGES, store=OUTAGES)
    @where(lambda self: len(self.sessions) > 1)
    def delete(self, which: int, database: Any, store: Any) -> None:
        self.step("delete")
        faulty = database is not None or store is not None
        with self.world.course(Course(), database, store):
            self.actions.delete(self.world.main, self.session(which), faulty=faulty)
        self.world.look()

    @rule(which=ANYONE, ready=MOSTLY, course=COURSES, database=DATABASE_OUTAGES, store=OUTAGES)
    @where(lambda self: self.sessions)
    def summarise(self, which: int, ready: bool, course: Any, database: Any, store: Any) -> None:
        self.step("summarise")
        session_id = self.session(which)
        for _ in range(MEMORY_ITEMS):
            session = self.promises.seen.sessions.get(session_id)
            if session is None or session.summary_due:
                break
            self.make_ready(session_id, ready=True)
            sent = self.actions.message(session_id, "a", keyed=False)
            self.run(Course(), None, None, partial(self._said, sent))
        if ready:
            summarising.let_go(self.world, session_id)
        events = self.course(course, session_id)
        self.run(
            events,
            database,
            store,
            lambda faulty: summarising.summarise(
                self.world, self.world.main, session_id, course=events, faulty=faulty
            ),
        )

    def _said(self, sent: TurnRequest, _: bool) -> str:
        return self.actions.send(self.world.main, sent)

    @rule(which=ANYONE, how=st.sampled_from(["damage", "lose", "fade"]))
    @where(lambda self: self.promises.summaries and self.sessions)
    def lose_a_summary(self, which: int, how: str) -> None:
        self.step("lose a summary")
        self.world.lose_summary(self.session(which), how)
        self.world.look()

    @rule(which=ANYONE)
    @where(lambda self: self.zombies.late())
    def let_a_zombie_write(self, which: int) -> None:
        self.step("zombie writes")
        late = self.zombies.late()
        self.zombies.write_late(late[which % len(late)])
        self.world.look()

    @rule(
        which=ANYONE,
        days=st.sampled_from([None, 2, 8, 31]),
        ended=st.booleans(),
        course=COURSES,
        database=DATABASE_OUTAGES,
        store=OUTAGES,
    )
    @where(lambda self: self.sessions)
    def clean_up(
        self, which: int, days: int | None, ended: bool, course: Any, database: Any, store: Any
    ) -> None:
        self.step("retention")
        session_id = self.session(which)
        if ended:
            status = {"status": "ended"}
            self.world.other.bench.sessions.change(self.world.user, session_id, status)
        if days is not None:
            cleanup.age(self.world, session_id, days)
        self.world.look()
        before = self.promises.seen.sessions.keys()
        events = self.course(course, session_id)
        self.run(
            events,
            database,
            store,
            lambda faulty: cleanup.clean_up(
                self.world, self.world.main, course=events, faulty=faulty
            ),
        )
        # Nobody writes any more to what nobody has used for days.
        self.actions.drained |= before - self.promises.seen.sessions.keys()

    @rule()
    @where(lambda self: self.promises.gone)
    def drain_the_outbox(self) -> None:
        self.step("drain")
        self.actions.drain()

    @rule(
        which=ANYONE,
        what=st.sampled_from(["end", "reopen", "reopen", "damage", "lose", "fade", "expire"]),
        turn=ANYONE,
    )
    @where(lambda self: self.sessions)
    def disturb(self, which: int, what: str, turn: int) -> None:
        self.step(what)
        session_id = self.session(which)
        if what == "expire":
            self.actions.expire(session_id)
        elif what in ("end", "reopen"):
            status = {"status": "ended" if what == "end" else "active"}
            self.world.other.bench.sessions.change(self.world.user, session_id, status)
        else:
            ended = [each for each in self.promises.seen.sessions[session_id].turns if each.over]
            if ended:
                number = ended[turn % len(ended)].number
                self.world.damage(session_id, number, what)
        self.world.look()

    def send_as(
        self, mode: str, sent: TurnRequest, *, course: Course, faulty: bool, seconds: float = 30
    ) -> str:
        """Send a message in one of the ways in which it can be sent."""
        actions, main = self.actions, self.world.main
        if mode == "queue":
            return following.queue(actions, main, sent, course=course, faulty=faulty)
        how: dict[str, Any] = {"course": course, "faulty": faulty, "seconds": seconds}
        if mode == "stream":
            return following.stream(actions, main, sent, **how)
        return actions.send(main, sent, **how)
