"""A streaming process is killed anywhere, and others tell its reader the turn whole."""

from __future__ import annotations

import asyncio
import random
import re
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
from parley_testing.account.wake_queue import ReceivedWakeups
from parley_testing.run.at_length import AT_LENGTH, times
from parley_testing.scenarios.fork_server import Child
from parley_testing.scenarios.outcome import Outcome, asked_again, in_flight
from parley_testing.scenarios.setup import Point, ScenarioRun, Setup, counted, some_of_each
from parley_testing.scenarios.streams import Reader, Theatre, shown, written
from parley_testing.scenarios.turns import lines
from parley_testing.scenarios.where_to_kill import kills
from parley_testing.waiting import HANG_SECONDS, wait_for

STORES = ["sqlite", "dynamodb"]
SAID = ["Let me see. ", "And one more. ", "Milk and bread are noted."]
AT_ONCE = 2
SEED = 6
MOST_ROUNDS = 20
"""How often kills are tried again that came too late, which they do on a busy machine."""

Way = Callable[[Theatre, ScenarioRun, Child], Child | None]


def by_the_wakeup(theatre: Theatre, played: ScenarioRun, other: Child) -> Child:
    """A worker carries the turn on while its reader follows elsewhere."""
    return theatre.work(played)


def by_the_recovery(theatre: Theatre, played: ScenarioRun, other: Child) -> None:
    """Do what a worker does with a session that the recovery wakes a worker for."""
    carrying_on = played.parts.session_worker.run_next(played.session_id, seconds=HANG_SECONDS)
    asyncio.run(carrying_on)


def by_the_next_attempt(theatre: Theatre, played: ScenarioRun, other: Child) -> None:
    """Send the same from elsewhere, and read it to its end there."""
    Reader(played.user, other).send(played.session_id, theatre.setup.scenario.text, "k")


WAYS: tuple[Way, ...] = (by_the_wakeup, by_the_next_attempt, by_the_recovery)


@dataclass(frozen=True)
class Whole:
    """An undisturbed turn: what it passes, what it comes to, and how many events tell it."""

    points: list[Point]
    outcome: Outcome
    events: int


@pytest.fixture
def new_theatre(
    new_setup: Callable[..., Setup], log: EventLog, queue: ReceivedWakeups
) -> Callable[[str], Theatre]:
    """Makes the theatre for a scenario, by its name."""
    return lambda name: Theatre(new_setup(name, events=log), queue)


@pytest.mark.parametrize(
    ("place", "one_in"), [("sqlite", 1), ("dynamodb", 2)], indirect=["place"], ids=STORES
)
def test_a_stream_that_is_killed_at_any_point_is_told_whole(
    new_theatre: Callable[[str], Theatre], one_in: int
) -> None:
    theatre = new_theatre("streaming")
    whole = undisturbed(theatre)
    passed = some_of_each(whole.points) if AT_LENGTH else whole.points
    points = kills("streaming", passed, one_in=one_in)

    def broken(number: int) -> int | None:
        (name, passing), way = points[number], WAYS[number % len(WAYS)]
        told: int | None = None
        # What is told together with what varies, and so does how often there is something to tell:
        # a process that does not come to it so often is killed at one of the times that it does.
        while told is None and passing:
            played = theatre.setup.start_run()
            with theatre.serving(played, (name, passing)) as victim:
                told = made_whole(theatre, played, victim, way, whole, lambda _: None)
            passing //= 2
        return told

    told = at_once(broken, len(points))
    assert told.count(None) < max(len(points) / 4, 2)
    report("points", told)


@pytest.mark.parametrize(
    ("place", "tries"),
    [("sqlite", times(enough=4, full=40)), ("dynamodb", times(enough=2, full=15))],
    indirect=["place"],
    ids=STORES,
)
def test_a_stream_that_is_killed_at_any_moment_is_told_whole(
    new_theatre: Callable[[str], Theatre], tries: int
) -> None:
    theatre = new_theatre("streaming")
    whole = undisturbed(theatre)
    chance = random.Random(SEED)
    moments = [
        (chance.randint(1, whole.events - 2), chance.uniform(0, 0.01))
        for _ in range(tries * MOST_ROUNDS)
    ]

    def broken(number: int) -> int | None:
        played, way = theatre.setup.start_run(), WAYS[number % len(WAYS)]
        event, seconds = moments[number]
        with theatre.serving(played) as victim:

            def kill(heard: int) -> None:
                if heard == event:
                    time.sleep(seconds)
                    victim.kill()

            return made_whole(theatre, played, victim, way, whole, kill)

    def broken_from(first: int, number: int) -> int | None:
        return broken(first + number)

    told: list[int | None] = []
    # None: all was on its way when the kill came, so nothing was broken off.
    while len(told) - told.count(None) <= tries * 3 / 4 and len(told) < len(moments):
        told += at_once(partial(broken_from, len(told)), tries)
    assert len(told) - told.count(None) > tries * 3 / 4
    report("moments", told)


@pytest.mark.in_turns
@pytest.mark.parametrize("place", STORES, indirect=True)
def test_what_was_not_written_yet_when_the_memory_was_done_is_told(
    new_theatre: Callable[[str], Theatre],
) -> None:
    theatre = new_theatre("streaming")
    whole = undisturbed(theatre)
    (done,) = [each for each in whole.points if re.fullmatch(r"after \w+Store.finish", each[0])]
    # All that comes behind the first text waits to be written until the run is over.
    gathering = {"parley.events.writer.GATHER_SECONDS": HANG_SECONDS}
    for way in (by_the_wakeup, by_the_recovery):
        played = theatre.setup.start_run()
        with theatre.serving(played, done, tuned=gathering) as victim:
            assert made_whole(theatre, played, victim, way, whole, lambda _: None) == 0


@pytest.mark.in_turns
@pytest.mark.parametrize("place", STORES, indirect=True)
def test_an_end_that_is_made_up_is_the_one_that_is_written_later(
    new_theatre: Callable[[str], Theatre],
) -> None:
    theatre = new_theatre("streaming")
    played = theatre.setup.start_run()
    ended = ("after TurnRepository.complete", 1)
    with (
        ThreadPoolExecutor(1) as pool,
        theatre.serving(played, ended, signal.SIGSTOP) as stopped,
        theatre.serving(played) as other,
    ):
        sent = Reader(played.user, stopped)
        told = pool.submit(sent.send, played.session_id, theatre.setup.scenario.text, "k")
        assert stopped.wait() == {"stopped": signal.SIGSTOP}

        made_up = Reader(played.user, other).follow(played.session_id, played.turn_id)
        assert theatre.last_event(played) == "message.delta"
        stopped.go_on()

        assert shown(told.result()) == shown(made_up)
        wait_for(lambda: theatre.last_event(played) == "turn.completed")
        later = Reader(played.user, other).follow(played.session_id, played.turn_id)
    assert shown(later) == shown(made_up)
    assert written(made_up) == SAID


@pytest.mark.parametrize("place", STORES, indirect=True)
def test_a_wish_to_cancel_a_stream_outlives_who_had_it(
    new_theatre: Callable[[str], Theatre],
) -> None:
    theatre = new_theatre("faltering")
    passed, whole = cancelled(theatre)
    # Killed before the first statement it has wished nothing yet.
    points = kills("cancelling a stream", passed[1:])

    def broken(number: int) -> None:
        point, way = points[number], CANCELLING[number % len(CANCELLING)]
        played = theatre.setup.start_run()
        with falling_silent(theatre, played) as told, theatre.serving(played) as other:
            canceller = played.start_cancelling(at=point)
            assert canceller.wait() == {"killed": signal.SIGKILL}, point
            worker = way(theatre, played, other) if played.expire() else None
            see_cancelled(played, told, other)
        assert worker is None or worker.wait() == {"exited": 0}
        assert played.outcome() == whole, (point, way.__name__)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(broken, range(len(points))))
    print(f"cancelling: {len(points)} kills")


@pytest.mark.in_turns
@pytest.mark.parametrize("place", STORES, indirect=True)
def test_a_cancelled_end_that_is_made_up_is_the_one_that_is_written_later(
    new_theatre: Callable[[str], Theatre],
) -> None:
    theatre = new_theatre("faltering")
    played = theatre.setup.start_run()
    with falling_silent(theatre, played) as told, theatre.serving(played) as other:
        canceller = played.start_cancelling(("after TurnRepository.stop", 1), signal.SIGSTOP)
        assert canceller.wait() == {"stopped": signal.SIGSTOP}

        see_cancelled(played, told, other)
        assert theatre.last_event(played) == "message.delta"
        canceller.go_on()

        assert canceller.wait() == {"exited": 0}
        assert theatre.last_event(played) == "turn.cancelled"
        see_cancelled(played, told, other)


def cancelled(theatre: Theatre) -> tuple[list[Point], Outcome]:
    """Cancel a stream undisturbed; give the points that were passed and what came of it."""
    played = theatre.setup.start_run()
    with falling_silent(theatre, played) as told, theatre.serving(played) as other:
        canceller = played.start_cancelling()
        assert canceller.wait() == {"exited": 0}
        assert canceller.result() == {"outcome": "cancelled"}
        see_cancelled(played, told, other)
    return counted(lines(canceller.points)), played.outcome()


@contextmanager
def falling_silent(theatre: Theatre, played: ScenarioRun) -> Iterator[Future[list[TurnEvent]]]:
    """Stream a turn to a reader until its model says no more."""
    silent = threading.Event()

    def heard(_: int) -> None:
        last = reader.events[-1]
        if isinstance(last, MessageDelta) and last.text.endswith("and "):
            silent.set()

    with (
        ThreadPoolExecutor(1) as pool,
        theatre.serving(played, tuned={"parley.turns.lease.RENEW_SECONDS": 1}) as stream,
    ):
        reader = Reader(played.user, stream, heard=heard)
        told = pool.submit(reader.send, played.session_id, theatre.setup.scenario.text, "k")
        assert silent.wait(HANG_SECONDS)
        yield told


def see_cancelled(played: ScenarioRun, told: Future[list[TurnEvent]], other: Child) -> None:
    """See that the reader was told so in the end, and that the model was left alone."""
    events = told.result(HANG_SECONDS)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert written(events) == SAID[:2]
    last = events[-1]
    assert isinstance(last, TurnCancelled)
    assert last.interrupted
    again = Reader(played.user, other).follow(played.session_id, played.turn_id)
    assert shown(again) == shown(events)
    wait_for(lambda: "left alone" in played.asked)
    assert asked_again(played.asked) == 0


def by_cancelling_again(theatre: Theatre, played: ScenarioRun, other: Child) -> None:
    asyncio.run(played.cancel())


CANCELLING: tuple[Way, ...] = (*WAYS, by_cancelling_again)


def undisturbed(theatre: Theatre) -> Whole:
    played = theatre.setup.start_run()
    with theatre.serving(played) as child:
        reader = Reader(played.user, child)
        events = reader.send(played.session_id, theatre.setup.scenario.text, "k")
        points = counted(lines(child.points))
    assert written(events) == SAID
    outcome = played.outcome()
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
    played: ScenarioRun,
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
    with theatre.serving(played) as other:

        def lost() -> Child:
            assert victim.wait() == {"killed": signal.SIGKILL}
            if reader.losses == 1 and played.expire() and (child := way(theatre, played, other)):
                workers.append(child)
            return other

        reader = Reader(played.user, victim, heard=heard, lost=lost)
        events = reader.send(played.session_id, theatre.setup.scenario.text, "k")
        again = Reader(played.user, other).follow(played.session_id, played.turn_id)
    for worker in workers:
        assert worker.wait() == {"exited": 0}
        assert worker.result() == {"told": [None]}

    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert written(events) == SAID
    assert events[-1].type == "turn.completed"
    assert shown(again) == shown(events)
    assert played.outcome() == whole.outcome
    assert not [line for line in played.asked if line.startswith("malformed")]
    calls = asked_again(played.asked)
    assert calls <= in_flight(lines(victim.points)) <= 1
    return calls if reader.losses else None
