"""How a step of a schedule is taken, and what another process does in the middle of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from hypothesis.stateful import RuleBasedStateMachine

from parley_testing.schedules import cleanup, following, summarising
from parley_testing.schedules.actions import Actions
from parley_testing.schedules.faults import Course, Outage
from parley_testing.schedules.readers import Reader
from parley_testing.schedules.wakeups import Wakeup
from parley_testing.schedules.world import World
from parley_testing.schedules.zombies import Zombies

taken: Counter[str] = Counter()
"""How many steps of each kind were taken, and what became of messages, over all machines."""


def where(holds: Callable[[Any], Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Leave a step out where there is nothing to take it on.

    Not Hypothesis's own precondition: which steps are drawn would then hang on what real
    processes did, and a run that is repeated must draw the same.

    A step that fails is told of at once, with those before it: Hypothesis does so only when it is
    done with repeating.
    """

    def of(step: Callable[..., None]) -> Callable[..., None]:
        @wraps(step)
        def taken_where_it_can_be(self: Any, **drawn: Any) -> None:
            if not holds(self):
                return
            given = ", ".join(f"{name}={value!r}" for name, value in drawn.items())
            self.schedule.append(f"state.{step.__name__}({given})")
            try:
                step(self, **drawn)
            except BaseException as error:
                print("\nA schedule failed:", *self.schedule, repr(error), sep="\n  ", flush=True)
                raise

        return taken_where_it_can_be

    return of


always = where(lambda _: True)


class Steps(RuleBasedStateMachine):
    """A world, whom to choose from in it, and how a step is taken."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.promises = world.promises
        self.actions = Actions(world)
        self.zombies = Zombies(world, self.actions.drained)
        self.schedule: list[str] = []
        self.readers: list[Reader] = []

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

    def patience(self, course: tuple[str, int, str]) -> float:
        """Return the seconds that an invocation has: few if nobody will end what it waits for."""
        return 0.4 if course[2] in ("claim", "work and die") else 30

    def meanwhile(self, kind: str, session_id: UUID | None) -> None:
        """What another process does while the first stands still."""
        world, actions, other = self.world, self.actions, self.world.other
        taken[f"meanwhile: {kind}"] += 1
        world.look()
        if session_id not in self.promises.seen.sessions:
            return  # as a first message's is before it has begun, or one that was deleted
        assert session_id is not None
        running = self.promises.seen.sessions[session_id].running
        if kind in ("take over", "claim", "recover", "work", "work and die", "stream"):
            actions.expire(session_id)
            world.look()
        match kind:
            case "take over" | "send":
                actions.send(other, actions.message(session_id, "a", keyed=True))
            case "stream":
                following.stream(actions, other, actions.message(session_id, "a", keyed=True))
            case "queue":
                waiting = actions.message(session_id, "a", keyed=True)
                following.queue(actions, other, waiting, enqueue=True)
                # Those wake-ups find the turn held that is run here: its end has to wake again.
                for wakeup in world.wakeups.take_all(session_id):
                    following.answer(actions, other, wakeup)
            case "work":
                following.answer(actions, other, Wakeup(session_id, 0))
            case "work and die":
                following.claim_and_die(actions, other, session_id)
            case "claim" if running is not None:
                actions.claim(other, running)  # and die at once
            case "recover":
                actions.recover(other)
                following.work_off(actions, other, session_id)
            case "retry" if running is not None and (running.key or "") in actions.messages:
                sent = actions.messages[running.key or ""]
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
                actions.cancel(other, session_id)
            case "retire":
                cleanup.age(world, session_id, 31)
                world.look()
                cleanup.clean_up(world, other)
            case "summarise":
                summarising.let_go(world, session_id)
                summarising.summarise(world, other, session_id)
            case "decide" | "reject":
                while actions.decide(other, session_id, approve=kind == "decide") in (
                    "approved",
                    "rejected",
                ):
                    pass
                following.work_off(actions, other, session_id)
            case "expire":
                actions.expire_approvals(other, session_id)
                following.work_off(actions, other, session_id)
            case "erase":
                actions.erase(other)
            case "end":
                other.bench.sessions.change(world.user, session_id, {"status": "ended"})
        world.look()

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
        self.look()

    def look(self) -> None:
        """Look at all that there is."""
        self.world.look()
        self.world.look_at_logs()

    def make_ready(self, session_id: UUID, ready: bool) -> None:
        """Have the user wait until a message can be taken, or not."""
        if ready:
            self.actions.expire(session_id)
            self.reopen(session_id)
            self.world.look()
            while self.promises.seen.sessions[session_id].asks is not None:
                self.actions.decide_all(self.world.other, session_id)
                following.work_off(self.actions, self.world.other, session_id)
                self.world.look()
            if len(self.promises.seen.sessions[session_id].open) > 1:
                self.actions.wait_a_minute(session_id)
                self.actions.recover(self.world.other)
                following.work_off(self.actions, self.world.other, session_id)
                self.world.look()

    def reopen(self, session_id: UUID) -> None:
        status = {"status": "active"}
        self.world.other.bench.sessions.change(self.world.user, session_id, status)

    def step(self, kind: str) -> None:
        taken["steps"] += 1
        taken[f"step: {kind}"] += 1
