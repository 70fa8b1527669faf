"""Whom the judge of the random schedules lets be refused, or run out of time, for a lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pytest

from parley import retry
from parley.errors import StoreUnavailable
from parley.repository.database import IDLE_TOO_LONG
from parley.repository.turns import TurnRequest
from parley_testing.postgres.databases import connect
from parley_testing.schedules import following
from parley_testing.schedules.actions import Actions
from parley_testing.schedules.faults import Course
from parley_testing.schedules.wakeups import Wakeup
from parley_testing.schedules.world import World
from parley_testing.waiting import wait_for

NewWorld = Callable[[], World]

BESIDE = "before the tool add_task"
WITHIN = "inside the transaction of add_task"

LONG = 30.0


@pytest.fixture
def actions(new_world: NewWorld, monkeypatch: pytest.MonkeyPatch) -> Actions:
    """What can be done in a world in which nothing ends a process that stands still."""
    world = new_world()
    monkeypatch.setattr(world.main.database, "_statement_timeout", 0)
    return Actions(world)


@pytest.fixture
def locked(actions: Actions, database_url: str) -> Callable[[], AbstractContextManager[object]]:
    """Has somebody else take the lock that tools take which count the user's tasks."""

    @contextmanager
    def locked() -> Iterator[None]:
        key = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 7422))"
        with connect(database_url) as holder, holder.transaction():
            holder.execute(key, (actions.world.user,))
            yield

    return locked


def hurry(actions: Actions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the other process's statements take a second at most."""
    monkeypatch.setattr(actions.world.other.database, "_statement_timeout", 1)


def act(actions: Actions, how: str, sent: TurnRequest, seconds: float) -> str:
    """Have the other process take a message's turn over."""
    other = actions.world.other
    match how:
        case "send":
            later = actions.message(sent.session_id, "a", keyed=True)
            return actions.send(other, later, seconds=seconds)
        case "stream":
            return following.stream(actions, other, actions.again(sent), seconds=seconds)
    return following.answer(actions, other, Wakeup(sent.session_id, 0), seconds=seconds)


def meet(
    actions: Actions,
    how: str,
    point: str,
    *,
    seconds: float = LONG,
    held: Callable[[], AbstractContextManager[object]] = nullcontext,
    comes_to: str = "answered",
) -> str:
    """Have the other process act while the first stands still at a point, and tell the outcome.

    Args:
        actions: What can be done in the world.
        how: How the other takes the turn over.
        point: Where the first stands still.
        seconds: How long the other's invocation may take.
        held: What is so meanwhile.
        comes_to: What the first process is told when it goes on.
    """
    world = actions.world
    session_id = actions.new_session()
    world.look()
    sent = actions.message(session_id, "a", keyed=True)
    outcomes = []

    def meanwhile() -> None:
        actions.expire(session_id)
        world.look()
        with held():
            outcomes.append(act(actions, how, sent, seconds))
        world.look()

    course = Course(freezes_at=point, meanwhile=meanwhile)
    try:
        with world.course(course, None, None):
            assert actions.send(world.main, sent, course=course) == comes_to
    finally:
        assert course.thawed
        # A body that was left to itself waits for the lock until it has it.
        pool = world.other.database._users.pool
        wait_for(lambda: pool.checkedout() == 0)  # type: ignore[attr-defined]
    (outcome,) = outcomes
    return outcome


def one_task(actions: Actions) -> None:
    """See that the turn went on, and what its tool does was done once."""
    actions.world.look()
    assert len(actions.promises.seen.tasks) == 1
    actions.world.leave()


@pytest.mark.parametrize("how", ["send", "stream", "work"])
def test_who_waits_for_a_frozen_tool_may_be_refused(
    actions: Actions, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    hurry(actions, monkeypatch)

    assert meet(actions, how, WITHIN) == "StoreUnavailable"

    one_task(actions)


@pytest.mark.parametrize("how", ["stream", "work"])
def test_who_waits_for_a_frozen_tool_may_run_out_of_time(actions: Actions, how: str) -> None:
    assert meet(actions, how, WITHIN, seconds=1) == "TurnUnfinished"

    one_task(actions)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("send", "no store had failed"),
        ("stream", "a turn was let go of: postgres: 57014"),
        ("work", "a turn was let go of: postgres: 57014"),
    ],
)
def test_who_waits_for_somebody_else_may_not_be_refused(
    actions: Actions,
    locked: Callable[[], AbstractContextManager[object]],
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    said: str,
) -> None:
    hurry(actions, monkeypatch)

    with pytest.raises(AssertionError, match=said):
        meet(actions, how, BESIDE, held=locked)

    actions.world.leave()


@pytest.mark.parametrize("how", ["stream", "work"])
def test_who_waits_for_somebody_else_may_not_run_out_of_time(
    actions: Actions, locked: Callable[[], AbstractContextManager[object]], how: str
) -> None:
    with pytest.raises(AssertionError, match=r"a turn was let go of: turn .* goes on"):
        meet(actions, how, BESIDE, seconds=1, held=locked)

    actions.world.leave()


def test_who_waits_for_a_frozen_tool_may_not_fail_otherwise(
    actions: Actions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where Postgres cannot be reached, which nobody has taken away."""

    def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("postgres", "no connection")

    monkeypatch.setattr(actions.world.other.sender.turns, "begin", away)

    with pytest.raises(AssertionError, match="no store had failed"):
        meet(actions, "send", WITHIN)

    actions.world.leave()


def test_who_stood_still_for_so_long_that_his_transaction_was_ended_may_say_so(
    actions: Actions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions.world.main.database, "_statement_timeout", 1)
    monkeypatch.setattr(retry, "PATIENCE_SECONDS", 0)

    assert meet(actions, "send", WITHIN, comes_to="StoreUnavailable") == "answered"

    actions.world.look()
    assert len(actions.promises.seen.tasks) == 2  # and that of the other's own message
    actions.world.leave()


def test_who_stood_still_elsewhere_may_not_say_so(
    actions: Actions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*_: object, **__: object) -> None:
        raise StoreUnavailable("postgres", IDLE_TOO_LONG)

    @contextmanager
    def then_ended() -> Iterator[None]:
        yield
        monkeypatch.setattr(actions.world.main.sender.turns, "begin", ended)

    with pytest.raises(AssertionError, match="no store had failed"):
        meet(actions, "send", BESIDE, held=then_ended)

    actions.world.leave()
