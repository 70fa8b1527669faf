"""The random schedules: a Hypothesis machine whose steps users, processes and faults take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from parley_testing.schedules.actions import Actions
from parley_testing.schedules.faults import Course, Outage
from parley_testing.schedules.talk import PLANS
from parley_testing.schedules.world import World

_MANY = 1 << 16
_anyone = st.integers(0, _MANY)
_plans = st.sampled_from(PLANS)
_MEANWHILE = (
    "take over", "claim", "recover", "delete", "clear", "prune", "cancel", "end", "send", "retry",
)  # fmt: skip

_outages = st.one_of(
    st.none(),
    st.none(),
    st.builds(Outage, st.integers(0, 8), st.sampled_from([1, 1, 2, 4, 9]), st.booleans()),
)
_points = st.integers(0, 20)
_troubles = st.one_of(
    st.tuples(st.just("dies"), _points, st.just("")),
    st.tuples(st.just("freezes"), _points, st.sampled_from(_MEANWHILE)),
    st.tuples(st.just("both"), _points, st.sampled_from(_MEANWHILE)),
)
_courses = st.one_of(st.just(("lives", 0, "")), _troubles)

taken: Counter[str] = Counter()
"""How many steps of each kind were taken, and what became of messages, over all machines."""


def machine(new_world: Callable[[], World]) -> type[RuleBasedStateMachine]:
    """Make the machine whose every run is in a new world."""

    class Schedules(_Schedules):
        def __init__(self) -> None:
            super().__init__(new_world())

    return Schedules


def where(holds: Callable[[Any], Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Leave a step out where there is nothing to take it on.

    Not Hypothesis's own precondition: which steps are drawn would then hang on what real
    processes did, and a run that is repeated must draw the same.
    """

    def of(step: Callable[..., None]) -> Callable[..., None]:
        @wraps(step)
        def taken_where_it_can_be(self: Any, **drawn: Any) -> None:
            if holds(self):
                step(self, **drawn)

        return taken_where_it_can_be

    return of


class _Schedules(RuleBasedStateMachine):
    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.promises = world.promises
        self.actions = Actions(world)
        self.deleted: list[UUID] = []

    # What there is to choose from, in an order that does not change from run to run.

    @property
    def sessions(self) -> list[UUID]:
        return [each for each in self.promises.order if each in self.promises.seen.sessions]

    def session(self, which: int) -> UUID:
        return self.sessions[which % len(self.sessions)]

    def key(self, which: int) -> str:
        return list(self.actions.messages)[which % len(self.actions.messages)]

    def course(self, course: tuple[str, int, str], session_id: UUID | None) -> Course:
        fate, point, kind = course
        if fate == "lives":
            return Course()
        if fate == "dies":
            return Course(dies_at=point)
        made = Course(freezes_at=point, dies_at=point + 3 if fate == "both" else None)
        made.meanwhile = lambda: self.meanwhile(kind, session_id)
        return made

    def meanwhile(self, kind: str, session_id: UUID | None) -> None:
        """What another process does while the first stands still."""
        world, actions, other = self.world, self.actions, self.world.other
        taken[f"meanwhile: {kind}"] += 1
        world.look()
        if session_id not in self.promises.seen.sessions:
            return  # as a first message's is before it has begun, or one that was deleted
        assert session_id is not None
        running = self.promises.seen.sessions[session_id].running
        if kind in ("take over", "claim", "recover"):
            actions.expire(session_id)
            world.look()
        match kind:
            case "take over" | "send":
                actions.send(other, actions.message(session_id, "a", keyed=True))
            case "claim" if running is not None:
                self.claim(session_id)
            case "recover":
                actions.recover(other)
            case "retry" if running is not None and running.key is not None:
                sent, _ = actions.messages[running.key]
                actions.expire(session_id)
                world.look()
                actions.send(other, actions.again(sent))
            case "delete":
                actions.delete(other, session_id)
            case "clear":
                actions.clear(other, session_id)
            case "prune":
                actions.prune(other, session_id)
            case "cancel":
                actions.cancel(session_id)
            case "end":
                other.bench.sessions.change(world.user, session_id, {"status": "ended"})
        world.look()

    def claim(self, session_id: UUID) -> None:
        """Claim a turn, as a process does that dies at once."""
        turn = self.promises.seen.sessions[session_id].running
        earlier = [held for held in self.world.held if turn is not None and held.id == turn.id]
        if turn is None or not earlier:
            return
        sent = next((s for s, _ in self.actions.messages.values() if s.text == turn.text), None)
        if sent is not None:
            begun = self.world.other.bench.turns.begin(self.actions.again(sent))
            if begun.turn is not None:
                self.world.held.append(begun.turn)

    def run(
        self,
        course: Course,
        database: Outage | None,
        store: Outage | None,
        act: Callable[[bool], str],
    ) -> None:
        """Let somebody act while things go wrong, and look at what came of it."""
        faulty = database is not None or store is not None
        with self.world.course(course, database, store):
            outcome = act(faulty)
        taken[f"outcome: {outcome}"] += 1
        self.world.look()

    def step(self, kind: str) -> None:
        taken["steps"] += 1
        taken[f"step: {kind}"] += 1

    # The steps.

    @initialize()
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
        which=_anyone,
        plan=_plans,
        keyed=st.booleans(),
        course=_courses,
        database=_outages,
        store=_outages,
    )
    @where(lambda self: self.sessions)
    def send(
        self, which: int, plan: str, keyed: bool, course: Any, database: Any, store: Any
    ) -> None:
        self.step("send")
        session_id = self.session(which)
        sent = self.actions.message(session_id, plan, keyed=keyed)
        events = self.course(course, session_id)
        seconds = 0.4 if course[2] == "claim" else 30
        self.run(
            events,
            database,
            store,
            lambda faulty: self.actions.send(
                self.world.main, sent, course=events, faulty=faulty, seconds=seconds
            ),
        )

    @rule(which=_anyone, plan=_plans, course=_troubles)
    @where(lambda self: self.sessions)
    def send_in_trouble(self, which: int, plan: str, course: Any) -> None:
        self.step("send in trouble")
        session_id = self.session(which)
        sent = self.actions.message(session_id, plan, keyed=True)
        events = self.course(course, session_id)
        seconds = 0.4 if course[2] == "claim" else 30
        self.run(
            events,
            None,
            None,
            lambda _: self.actions.send(self.world.main, sent, course=events, seconds=seconds),
        )

    @rule(which=_anyone, plan=_plans)
    @where(lambda self: self.sessions)
    def send_and_be_understood(self, which: int, plan: str) -> None:
        self.step("send undisturbed")
        session_id = self.session(which)
        sent = self.actions.message(session_id, plan, keyed=True)
        self.run(Course(), None, None, lambda _: self.actions.send(self.world.main, sent))

    @rule(plan=_plans, course=_courses, database=_outages)
    @where(lambda self: len(self.sessions) < 4)
    def send_a_first_message(self, plan: str, course: Any, database: Any) -> None:
        self.step("first message")
        sent = self.actions.message(None, plan, keyed=True)
        events = self.course(course, None)
        self.run(
            events,
            database,
            None,
            lambda faulty: self.actions.send(self.world.main, sent, course=events, faulty=faulty),
        )

    @rule(which=_anyone, course=_courses, database=_outages, store=_outages)
    @where(lambda self: self.actions.messages)
    def retry(self, which: int, course: Any, database: Any, store: Any) -> None:
        self.step("retry")
        key = self.key(which)
        sent, _ = self.actions.messages[key]
        events = self.course(course, sent.session_id if sent.opens is None else None)
        seconds = 0.4 if course[2] == "claim" else 30
        self.run(
            events,
            database,
            store,
            lambda faulty: self.actions.send(
                self.world.main,
                self.actions.again(sent),
                course=events,
                faulty=faulty,
                seconds=seconds,
            ),
        )

    @rule(which=_anyone, plan=_plans)
    @where(lambda self: self.sessions)
    def send_as_the_invocation_ends(self, which: int, plan: str) -> None:
        self.step("send without time")
        sent = self.actions.message(self.session(which), plan, keyed=True)
        self.run(
            Course(), None, None, lambda _: self.actions.send(self.world.main, sent, seconds=0)
        )

    @rule(which=_anyone)
    @where(lambda self: self.actions.messages)
    def send_another_with_the_same_key(self, which: int) -> None:
        self.step("key reused")
        self.actions.reuse_key(self.key(which))
        self.world.look()

    @rule(which=_anyone)
    @where(lambda self: any(s.running for s in self.promises.seen.sessions.values()))
    def let_a_lease_run_out(self, which: int) -> None:
        self.step("lease runs out")
        running = [s for s in self.sessions if self.promises.seen.sessions[s].running]
        self.actions.expire(running[which % len(running)])
        self.world.look()

    @rule(which=_anyone, course=_courses, database=_outages, store=_outages)
    def recover(self, which: int, course: Any, database: Any, store: Any) -> None:
        self.step("recover")
        events = self.course(course, self.session(which) if self.sessions else None)
        self.run(
            events,
            database,
            store,
            lambda faulty: self.actions.recover(self.world.main, course=events, faulty=faulty),
        )

    @rule(which=_anyone)
    @where(lambda self: self.world.held)
    def wake_a_zombie(self, which: int) -> None:
        self.step("zombie")
        replaced = [turn for turn in self.world.held if self.actions.replaced(turn)]
        if replaced:
            taken["zombies refused"] += 1
            self.actions.wake(replaced[which % len(replaced)])
            self.world.look()

    @rule(
        which=_anyone, what=st.sampled_from(["prune", "clear"]), database=_outages, store=_outages
    )
    @where(lambda self: self.sessions)
    def forget(self, which: int, what: str, database: Any, store: Any) -> None:
        self.step(what)
        act = self.actions.prune if what == "prune" else self.actions.clear
        faulty = database is not None or store is not None
        with self.world.course(Course(), database, store):
            act(self.world.main, self.session(which), faulty=faulty)
        self.world.look()

    @rule(which=_anyone, database=_outages, store=_outages)
    @where(lambda self: len(self.sessions) > 1)
    def delete(self, which: int, database: Any, store: Any) -> None:
        self.step("delete")
        faulty = database is not None or store is not None
        with self.world.course(Course(), database, store):
            self.actions.delete(self.world.main, self.session(which), faulty=faulty)
        self.world.look()

    @rule()
    @where(lambda self: self.promises.gone)
    def drain_the_outbox(self) -> None:
        self.step("drain")
        self.actions.drain()

    @rule(
        which=_anyone,
        what=st.sampled_from(["cancel", "end", "reopen", "reopen", "damage", "lose", "expire"]),
        turn=_anyone,
    )
    @where(lambda self: self.sessions)
    def disturb(self, which: int, what: str, turn: int) -> None:
        self.step(what)
        session_id = self.session(which)
        if what == "cancel":
            self.actions.cancel(session_id)
        elif what == "expire":
            self.actions.expire(session_id)
        elif what in ("end", "reopen"):
            status = {"status": "ended" if what == "end" else "active"}
            self.world.other.bench.sessions.change(self.world.user, session_id, status)
        else:
            ended = [each for each in self.promises.seen.sessions[session_id].turns if each.over]
            if ended:
                number = ended[turn % len(ended)].number
                self.world.damage(session_id, number, away=what == "lose")
        self.world.look()

    def teardown(self) -> None:
        """In the end everything is over, every key has its answer, and nothing is left."""
        try:
            self.settle()
        finally:
            self.world.leave()

    def settle(self) -> None:
        world, actions = self.world, self.actions
        for session_id in self.sessions:
            world.other.bench.sessions.change(world.user, session_id, {"status": "active"})
            actions.expire(session_id)
        world.look()
        actions.recover(world.main)
        world.look()
        for session in self.promises.seen.sessions.values():
            assert session.running is None, f"turn {session.running} was not recovered"
        for key, turn_id in list(self.promises.keys.items()):
            turn = self.promises.seen.turn(turn_id)
            if turn is not None and key in actions.messages:
                again = actions.again(actions.messages[key][0])
                outcome = actions.send(world.main, again)
                assert outcome == ("answered" if turn.status == "completed" else "TurnFailed")
        for session_id in self.sessions:
            assert actions.send(world.main, actions.message(session_id, "a", keyed=False)) == (
                "answered"
            )
        for session_id in self.sessions:
            actions.delete(world.main, session_id)
        world.look()
        actions.drain()
        world.raise_problems()
