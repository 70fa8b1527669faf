"""A streaming process is killed anywhere, and others tell its reader the turn whole."""

from __future__ import annotations

import asyncio
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import pytest

from parley.events.log import EventLog
from parley_client.events import MessageDelta, TurnCancelled, TurnEvent
from parley_testing.doorbells import DoorbellQueue
from parley_testing.fault_outcome import Outcome, asked_again, in_flight
from parley_testing.fault_scenarios import lines
from parley_testing.fault_stage import Play, Point, Stage, counted, some_of_each
from parley_testing.fault_streams import Reader, Theatre, shown, written
from parley_testing.fork_server import Child
from parley_testing.waiting import HANG_SECONDS, wait_for

STORES = ["sqlite", "dynamodb"]
SAID = ["Let me see. ", "And one more. ", "Milk and bread are noted."]
AT_ONCE = 2
SEED = 6
MOST_ROUNDS = 20
"""How often kills are tried again that came too late, which they do on a busy machine."""

Way = Callable[[Theatre, Play, Child], Child | None]


def by_the_doorbell(theatre: Theatre, play: Play, other: Child) -> Child:
    """A worker carries the turn on while its reader follows elsewhere."""
    return theatre.work(play)


def by_the_recovery(theatre: Theatre, play: Play, other: Child) -> None:
    """Do what a worker does with a session that the recovery rings for."""
    asyncio.run(play.parts.head_runner.carry_on(play.session_id, seconds=20))


def by_the_next_attempt(theatre: Theatre, play: Play, other: Child) -> None:
    """Send the same from elsewhere, and read it to its end there."""
    Reader(play.user, other).send(play.session_id, theatre.stage.scenario.text, "k")


WAYS: tuple[Way, ...] = (by_the_doorbell, by_the_next_attempt, by_the_recovery)


@dataclass(frozen=True)
class Whole:
    """An undisturbed turn: what it passes, what it comes to, and how many events tell it."""

    points: list[Point]
    outcome: Outcome
    events: int


@pytest.fixture
def new_theatre(
    new_stage: Callable[..., Stage], log: EventLog, queue: DoorbellQueue
) -> Callable[[str], Theatre]:
    """Makes the theatre for a scenario, by its name."""
    return lambda name: Theatre(new_stage(name, events=log), queue)


@pytest.mark.parametrize(
    ("place", "every"), [("sqlite", 1), ("dynamodb", 2)], indirect=["place"], ids=STORES
)
def test_a_stream_that_is_killed_at_any_point_is_told_whole(
    new_theatre: Callable[[str], Theatre], every: int
) -> None:
    theatre = new_theatre("streaming")
    whole = undisturbed(theatre)
    points = some_of_each(whole.points)[::every]

    def broken(number: int) -> int | None:
        play, way = theatre.stage.play(), WAYS[number % len(WAYS)]
        with theatre.serving(play, points[number]) as victim:
            return made_whole(theatre, play, victim, way, whole, lambda _: None)

    told = at_once(broken, len(points))
    # What is told together with what varies, and so does how often there is something to tell.
    assert told.count(None) < len(points) / 4
    report("points", told)


@pytest.mark.parametrize(
    ("place", "kills"), [("sqlite", 40), ("dynamodb", 15)], indirect=["place"], ids=STORES
)
def test_a_stream_that_is_killed_at_any_moment_is_told_whole(
    new_theatre: Callable[[str], Theatre], kills: int
) -> None:
    theatre = new_theatre("streaming")
    whole = undisturbed(theatre)
    chance = random.Random(SEED)
    moments = [
        (chance.randint(1, whole.events - 2), chance.uniform(0, 0.01))
        for _ in range(kills * MOST_ROUNDS)
    ]

    def broken(number: int) -> int | None:
        play, way = theatre.stage.play(), WAYS[number % len(WAYS)]
        event, seconds = moments[number]
        with theatre.serving(play) as victim:

            def kill(heard: int) -> None:
                if heard == event:
                    time.sleep(seconds)
                    victim.kill()

            return made_whole(theatre, play, victim, way, whole, kill)

    def broken_from(first: int, number: int) -> int | None:
        return broken(first + number)

    told: list[int | None] = []
    # None: all was on its way when the kill came, so nothing was broken off.
    while len(told) - told.count(None) <= kills * 3 / 4 and len(told) < len(moments):
        told += at_once(partial(broken_from, len(told)), kills)
    assert len(told) - told.count(None) > kills * 3 / 4
    report("moments", told)


@pytest.mark.parametrize("place", STORES, indirect=True)
def test_an_end_that_is_made_up_is_the_one_that_is_written_later(
    new_theatre: Callable[[str], Theatre],
) -> None:
    theatre = new_theatre("streaming")
    play = theatre.stage.play()
    ended = ("after TurnRepository.complete", 1)
    with (
        ThreadPoolExecutor(1) as pool,
        theatre.serving(play, ended, signal.SIGSTOP) as stopped,
        theatre.serving(play) as other,
    ):
        sent = Reader(play.user, stopped)
        told = pool.submit(sent.send, play.session_id, theatre.stage.scenario.text, "k")
        assert stopped.wait() == {"stopped": signal.SIGSTOP}

        made_up = Reader(play.user, other).follow(play.session_id, play.turn_id)
        assert theatre.last_event(play) == "message.delta"
        stopped.go_on()

        assert shown(told.result()) == shown(made_up)
        wait_for(lambda: theatre.last_event(play) == "turn.completed")
        later = Reader(play.user, other).follow(play.session_id, play.turn_id)
    assert shown(later) == shown(made_up)
    assert written(made_up) == SAID


@pytest.mark.parametrize("place", STORES, indirect=True)
def test_a_wish_to_cancel_a_stream_outlives_who_had_it(
    new_theatre: Callable[[str], Theatre],
) -> None:
    theatre = new_theatre("faltering")
    points, whole = cancelled(theatre)

    def broken(number: int) -> None:
        # Killed before the first statement it has wished nothing yet.
        point, way = points[number + 1], CANCELLING[number % len(CANCELLING)]
        play = theatre.stage.play()
        with falling_silent(theatre, play) as told, theatre.serving(play) as other:
            canceller = play.start_cancelling(at=point)
            assert canceller.wait() == {"killed": signal.SIGKILL}, point
            worker = way(theatre, play, other) if play.expire() else None
            see_cancelled(play, told, other)
        assert worker is None or worker.wait() == {"exited": 0}
        assert play.outcome() == whole, (point, way.__name__)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(broken, range(len(points) - 1)))
    print(f"cancelling: {len(points) - 1} kills")


@pytest.mark.parametrize("place", STORES, indirect=True)
def test_a_cancelled_end_that_is_made_up_is_the_one_that_is_written_later(
    new_theatre: Callable[[str], Theatre],
) -> None:
    theatre = new_theatre("faltering")
    play = theatre.stage.play()
    with falling_silent(theatre, play) as told, theatre.serving(play) as other:
        canceller = play.start_cancelling(("after TurnRepository.stop", 1), signal.SIGSTOP)
        assert canceller.wait() == {"stopped": signal.SIGSTOP}

        see_cancelled(play, told, other)
        assert theatre.last_event(play) == "message.delta"
        canceller.go_on()

        assert canceller.wait() == {"exited": 0}
        assert theatre.last_event(play) == "turn.cancelled"
        see_cancelled(play, told, other)


def cancelled(theatre: Theatre) -> tuple[list[Point], Outcome]:
    """Cancel a stream undisturbed; give the points that were passed and what came of it."""
    play = theatre.stage.play()
    with falling_silent(theatre, play) as told, theatre.serving(play) as other:
        canceller = play.start_cancelling()
        assert canceller.wait() == {"exited": 0}
        assert canceller.result() == {"outcome": "cancelled"}
        see_cancelled(play, told, other)
    return counted(lines(canceller.points)), play.outcome()


@contextmanager
def falling_silent(theatre: Theatre, play: Play) -> Iterator[Future[list[TurnEvent]]]:
    """Stream a turn to a reader until its model says no more."""
    silent = threading.Event()

    def heard(_: int) -> None:
        last = reader.events[-1]
        if isinstance(last, MessageDelta) and last.text.endswith("and "):
            silent.set()

    with (
        ThreadPoolExecutor(1) as pool,
        theatre.serving(play, tuned={"parley.turns.lease.RENEW_SECONDS": 1}) as stream,
    ):
        reader = Reader(play.user, stream, heard=heard)
        told = pool.submit(reader.send, play.session_id, theatre.stage.scenario.text, "k")
        assert silent.wait(HANG_SECONDS)
        yield told


def see_cancelled(play: Play, told: Future[list[TurnEvent]], other: Child) -> None:
    """See that the reader was told so in the end, and that the model was left alone."""
    events = told.result(HANG_SECONDS)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert written(events) == SAID[:2]
    last = events[-1]
    assert isinstance(last, TurnCancelled)
    assert last.interrupted
    again = Reader(play.user, other).follow(play.session_id, play.turn_id)
    assert shown(again) == shown(events)
    wait_for(lambda: "left alone" in play.asked)
    assert asked_again(play.asked) == 0


def by_cancelling_again(theatre: Theatre, play: Play, other: Child) -> None:
    asyncio.run(play.cancel())


CANCELLING: tuple[Way, ...] = (*WAYS, by_cancelling_again)


def undisturbed(theatre: Theatre) -> Whole:
    play = theatre.stage.play()
    with theatre.serving(play) as child:
        reader = Reader(play.user, child)
        events = reader.send(play.session_id, theatre.stage.scenario.text, "k")
        points = counted(lines(child.points))
    assert written(events) == SAID
    outcome = play.outcome()
    assert outcome.tasks == [["bread"], ["milk"]]
    return Whole(points, outcome, len(events))


def at_once(broken: Callable[[int], int | None], count: int) -> list[int | None]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(broken, range(count)))


def report(of: str, told: Sequence[int | None]) -> None:
    again = [calls for calls in told if calls is not None]
    print(f"{of}: {len(again)} kills, {sum(again)} model calls repeated")


def made_whole(
    theatre: Theatre,
    play: Play,
    victim: Child,
    way: Way,
    whole: Whole,
    heard: Callable[[int], object],
) -> int | None:
    """Read a turn whose process is killed, have it carried on, and see that all is well.

    Returns:
        How many model calls were made again; None if the reader had all before the kill.
    """
    workers: list[Child] = []
    with theatre.serving(play) as other:

        def lost() -> Child:
            assert victim.wait() == {"killed": signal.SIGKILL}
            if reader.losses == 1 and play.expire() and (child := way(theatre, play, other)):
                workers.append(child)
            return other

        reader = Reader(play.user, victim, heard=heard, lost=lost)
        events = reader.send(play.session_id, theatre.stage.scenario.text, "k")
        again = Reader(play.user, other).follow(play.session_id, play.turn_id)
    for worker in workers:
        assert worker.wait() == {"exited": 0}
        assert worker.result() == {"told": [None]}

    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert written(events) == SAID
    assert events[-1].type == "turn.completed"
    assert shown(again) == shown(events)
    assert play.outcome() == whole.outcome
    assert not [line for line in play.asked if line.startswith("malformed")]
    calls = asked_again(play.asked)
    assert calls <= in_flight(lines(victim.points)) <= 1
    return calls if reader.losses else None
