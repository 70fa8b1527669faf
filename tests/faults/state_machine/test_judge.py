"""What the judge of the random schedules lets be, and what it does not."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import text

from parley.repository import turns
from parley_testing.schedules import following, summarising
from parley_testing.schedules.actions import Actions
from parley_testing.schedules.faults import NOTHING, Course
from parley_testing.schedules.wakeups import Wakeup
from parley_testing.schedules.world import World

HOW = pytest.mark.parametrize("how", ["sent", "claimed"])
POINTS = range(3)  # before it begins, when it has begun, and when it runs


def filled(actions: Actions) -> UUID:
    """Make a session with more turns than its window holds: a prune moves it, or the next turn."""
    session_id = actions.new_session()
    actions.world.look()
    for _ in range(2):
        say(actions, session_id, "sent", plan="aa a")
    return session_id


def say(
    actions: Actions, session_id: UUID, how: str, *, plan: str = "", course: Course = NOTHING
) -> None:
    """Have a turn begun and carried out, by whom its message is sent to or by a worker."""
    world = actions.world
    sent = actions.message(session_id, plan, keyed=False)
    if how == "claimed":
        assert following.queue(actions, world.other, sent) == "accepted"
    with world.course(course, None, None):
        if how == "claimed":
            outcome = following.answer(actions, world.main, Wakeup(session_id, 0), course=course)
        else:
            outcome = actions.send(world.main, sent, course=course)
    assert outcome in ("answered", "worked")


@HOW
@pytest.mark.parametrize("what", ["prune", "clear"])
def test_a_window_may_move_at_any_moment_while_a_turn_begins(
    new_world: Callable[[], World], how: str, what: str
) -> None:
    """A turn is to remember what counted when it began, not when it runs."""
    world = new_world()
    actions = Actions(world)
    for point in POINTS:
        session_id = filled(actions)

        def move(session_id: UUID = session_id) -> None:
            before = world.promises.seen.sessions[session_id].shown_from
            getattr(actions, what)(world.other, session_id)
            world.look()
            assert world.promises.seen.sessions[session_id].shown_from > before

        course = Course(freezes_at=point, meanwhile=move)
        say(actions, session_id, how, course=course)
        assert course.thawed
    world.raise_problems()
    world.leave()


@HOW
def test_a_turn_that_is_given_turns_from_before_its_window_is_seen(
    new_world: Callable[[], World], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """With the rule taken out of the statements that begin turns, the judge says so."""
    name, alias = ("BEGIN_BY_ID", "seen") if how == "sent" else ("CLAIM", "s")
    rule = f"greatest({alias}.memory_from, {alias}.window_from)"
    statement = getattr(turns, name).text
    assert rule in statement, "the rule stands there in other words now"
    world = new_world()
    actions = Actions(world)
    session_id = filled(actions)
    actions.prune(world.other, session_id)
    world.look()
    assert world.promises.seen.sessions[session_id].shown_from > 1
    monkeypatch.setattr(turns, name, text(statement.replace(rule, f"{alias}.memory_from")))

    with pytest.raises(AssertionError, match=r"Voucher\(number=1, .*, not \["):
        say(actions, session_id, how)

    world.leave()


def due(actions: Actions) -> UUID:
    """Make a session of which a summary is to be made."""
    session_id = actions.new_session()
    actions.world.look()
    while not actions.world.promises.seen.sessions[session_id].summary_due:
        say(actions, session_id, "sent", plan="a")
        actions.world.look()
    return session_id


def test_a_summary_whose_session_goes_meanwhile_is_counted_at_any_moment(
    new_world: Callable[[], World],
) -> None:
    """What its model was asked is paid for, and stands in the sums of days when it is over."""
    world = new_world()
    actions = Actions(world)
    counted = []
    for point in range(4):
        session_id = due(actions)
        before = world.promises.seen.model_calls

        def delete(session_id: UUID = session_id) -> None:
            actions.delete(world.other, session_id)
            world.look()

        course = Course(freezes_at=point, meanwhile=delete)
        with world.course(course, None, None):
            summarising.summarise(world, world.main, session_id, course=course)
        world.look()
        counted.append(world.promises.seen.model_calls - before)
    assert 1 in counted
    world.raise_problems()
    world.leave()


def test_a_call_that_nobody_made_is_seen_in_the_sums(new_world: Callable[[], World]) -> None:
    world = new_world()
    actions = Actions(world)
    due(actions)
    world.change("UPDATE daily_usage SET calls = calls + 1 WHERE user_id = %s", (world.user,))

    with pytest.raises(AssertionError, match="usage is 1 calls off"):
        world.look()

    world.leave()
