"""Wake-ups come twice, late, in any order, never, or to workers that die: turns run once each."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from parley.agents import provider
from parley.events.log import EventLog
from parley.ids import conversation_key, new_id
from parley_testing.account.wake_queue import ReceivedWakeups
from parley_testing.api.handlers import Context, load_function, rest_event
from parley_testing.models.scripted import ScriptedProvider, in_order
from parley_testing.run.at_length import AT_LENGTH, times
from parley_testing.scenarios.functions import settings_of
from parley_testing.scenarios.outcome import Outcome, asked_again, in_flight
from parley_testing.scenarios.parts import Place
from parley_testing.scenarios.setup import Point, ScenarioRun, Setup, counted, some_of_each
from parley_testing.scenarios.turns import NEXT, STREAMING, lines
from parley_testing.scenarios.where_to_kill import kills
from parley_testing.scenarios.workers import NewWorkerSetup, WorkerSetup
from parley_testing.waiting import HANG_SECONDS, wait_for

STORES = ["sqlite", "dynamodb"]
KILLED = {"killed": signal.SIGKILL}
AT_ONCE = {"parley.timing.CRASH_SECONDS": 0}
"""A wake-up comes at once in case of a crash, not in a minute: then it is there to be seen."""
CLAIMED = "after TurnRepository.claim_head"
MESSAGES, SENDERS, WORKERS = 20, 4, 2
COMMITTED = ("after the commit of add_task", 1)


@pytest.fixture
def environment(
    place: Place, queue: ReceivedWakeups, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """The settings of this process's functions."""
    for name, value in (settings_of(place, patience=HANG_SECONDS) | queue.settings).items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> ScriptedProvider:
    """The model of this process's functions."""
    model = ScriptedProvider(in_order())
    monkeypatch.setattr(provider, "model_provider", lambda settings: model)
    return model


@pytest.fixture
def new_worker_setup(
    environment: pytest.MonkeyPatch,
    model: ScriptedProvider,
    new_setup: Callable[..., Setup],
    log: EventLog,
    queue: ReceivedWakeups,
) -> Iterator[NewWorkerSetup]:
    """Make the setup of a scenario, by its name."""
    worker = load_function("worker")
    wakeup = queue.wake_queue()
    yield lambda name: WorkerSetup(
        new_setup(name, events=log, wake_queue=wakeup), queue, worker, model
    )
    worker.parts.database.close()


@pytest.mark.parametrize(
    ("place", "one_in"), [("sqlite", 1), ("dynamodb", 4)], indirect=["place"], ids=STORES
)
def test_a_worker_that_is_killed_anywhere_leaves_a_wakeup_to_another(
    new_worker_setup: NewWorkerSetup, one_in: int
) -> None:
    worker_setup = new_worker_setup("tools")
    points, whole = undisturbed(worker_setup)
    broken = kills("worker", some_of_each(points) if AT_LENGTH else points, one_in=one_in)

    assert (CLAIMED, 1) in points
    killed = awaited = again = 0
    for point in broken:
        played = worker_setup.start_run()
        victim, record = worker_setup.start(played, point, tuned=AT_ONCE)
        ended = victim.wait()
        if ended == {"exited": 0}:  # what is told together varies, and so what is passed
            worker_setup.queue.delete(record)
        else:
            assert ended == KILLED, point
            asyncio.run(played.hung_up(victim))
            killed += 1
            held = played.expire()
            # Whatever it had taken, somebody looks within a minute.
            if worker_setup.queue.waiting()["visible"]:
                awaited += 1
            else:  # it was killed before: what Lambda did not see answered comes again
                assert not held, point
                assert CLAIMED not in lines(victim.points), point
                worker_setup.queue.come_back(record)
        worker_setup.deliver(played)

        assert played.outcome() == whole, point
        calls = asked_again(played.asked)
        assert calls <= in_flight(lines(victim.points)) <= 1, point
        again += calls
    assert killed > min(len(broken) * 3 / 4, len(broken) - 2)
    assert 0 < awaited <= killed
    print(f"workers: {killed} kills, {awaited} awaited, {again} model calls repeated")


def undisturbed(worker_setup: WorkerSetup, *next_texts: str) -> tuple[list[Point], Outcome]:
    """Answer all wake-ups; give what the first worker passed, and what came of it."""
    played = worker_setup.start_run(*next_texts)
    worker, record = worker_setup.start(played)
    assert worker.wait() == {"exited": 0}
    assert worker.result() == {"told": [None]}
    worker_setup.queue.delete(record)
    worker_setup.deliver(played)
    whole = played.outcome()
    assert {turn[1] for turn in whole.turns} == {"completed"}
    assert whole.tasks == [[title] for title in worker_setup.setup.scenario.effects]
    return counted(lines(worker.points)), whole


def test_a_worker_that_must_stop_lets_go_and_wakes_even_if_killed_meanwhile(
    new_worker_setup: NewWorkerSetup, sql: psycopg.Connection
) -> None:
    worker_setup = new_worker_setup("faltering")
    points = [
        None,
        ("before TurnRepository.release", 1),
        ("after TurnRepository.release", 1),
        ("before SqsWakeQueue.wake", 1),
        ("after SqsWakeQueue.wake", 1),
    ]
    # All wake-ups are taken before any worker begins, since each of those wakes for the next.
    taken = []
    for point in points:
        played = worker_setup.start_run()
        (record,) = worker_setup.queue.receive()
        taken.append((played, point, record))
    seconds = worker_setup.margin_seconds + 3
    started = [
        (
            played,
            point,
            worker_setup.invoke(played, "worker", [{"Records": [record]}], point, seconds=seconds),
            record,
        )
        for played, point, record in taken
    ]
    for played, point, worker, _ in started:
        assert worker.wait() == (KILLED if point else {"exited": 0}), point
        if point == ("before TurnRepository.release", 1):
            assert played.expire()
    woken = worker_setup.queue.receive()
    woke = [
        played for played, point, *_ in started if point in (None, ("after SqsWakeQueue.wake", 1))
    ]
    assert sorted(each["body"] for each in woken) == sorted(
        str(played.session_id) for played in woke
    )
    for played, _, _, record in started:
        worker_setup.queue.come_back(woken.pop() if played in woke else record)

    worker_setup.deliver(played, STREAMING.script(played.asked_file))

    for played, point, *_ in started:
        outcome = played.outcome()
        assert [turn[1] for turn in outcome.turns] == ["completed"] * 2, point
        assert outcome.tasks == [["bread"], ["milk"]], point
        attempts = sql.execute(
            "SELECT attempt, crashes FROM turns WHERE session_id = %s ORDER BY number",
            [played.session_id],
        ).fetchall()
        crashed = point == ("before TurnRepository.release", 1)
        assert attempts == [(2, int(crashed)), (1, 0)], point


def test_a_turn_longer_than_its_lease_is_looked_at_until_it_is_over(
    new_worker_setup: NewWorkerSetup,
) -> None:
    worker_setup = new_worker_setup("faltering")
    played = worker_setup.start_run()
    renewed = AT_ONCE | {"parley.turns.lease.RENEW_SECONDS": 0.3}
    victim, _ = worker_setup.start(played, ("after TurnRepository.renew", 2), tuned=renewed)
    assert victim.wait() == KILLED
    asyncio.run(played.hung_up(victim))
    (back,) = worker_setup.queue.receive()
    before = played.rows()

    worker_setup.answer(played, {"Records": [back]})  # too early: its lease runs still

    assert played.rows() == before
    worker_setup.queue.delete(back)
    assert worker_setup.queue.waiting() == {"visible": 0, "delayed": 1}  # for when that is over
    played.expire()
    again = worker_setup.queue.record(str(played.session_id))
    worker_setup.answer(played, {"Records": [again]}, STREAMING.script(played.asked_file))
    worker_setup.deliver(played)
    assert [turn[1] for turn in played.outcome().turns] == ["completed"] * 2
    assert played.outcome().tasks == [["bread"], ["milk"]]


@pytest.mark.in_turns
@pytest.mark.parametrize("place", STORES, indirect=True)
def test_wakeups_for_a_turn_that_runs_elsewhere_change_nothing(
    new_worker_setup: NewWorkerSetup,
) -> None:
    worker_setup = new_worker_setup("tools")
    _, whole = undisturbed(worker_setup)
    played = worker_setup.start_run()
    running, record = worker_setup.start(played, COMMITTED, signal.SIGSTOP)
    assert running.wait() == {"stopped": signal.SIGSTOP}
    before, asked = played.rows(), played.asked
    for _ in range(2):
        worker_setup.queue.send(str(played.session_id))

    assert worker_setup.deliver(played) == 2

    assert (played.rows(), played.asked) == (before, asked)
    running.go_on()
    assert running.wait() == {"exited": 0}
    worker_setup.queue.delete(record)
    worker_setup.deliver(played)
    assert played.outcome() == whole


@pytest.mark.in_turns
@pytest.mark.parametrize("place", STORES, indirect=True)
def test_whatever_becomes_of_wakeups_each_turn_runs_once_and_in_its_order(
    new_worker_setup: NewWorkerSetup, place: Place, sql: psycopg.Connection
) -> None:
    seeds = times(enough=2, full=8) if place.sqlite is not None else 2
    worker_setup = new_worker_setup("tools")
    texts = [f"{NEXT} {n}" for n in range(3)]
    _, whole = undisturbed(worker_setup, *texts)

    fates = {"lost": 0, "once": 0, "twice": 0, "late": 0, "poisoned": 0, "recovered": 0}
    for seed in range(seeds):
        storm(worker_setup, texts, sql, random.Random(seed), whole, fates)

    assert all(fates.values()), fates
    print(json.dumps(fates))


def storm(
    worker_setup: WorkerSetup,
    texts: list[str],
    sql: psycopg.Connection,
    chance: random.Random,
    whole: Outcome,
    fates: dict[str, int],
) -> None:
    """Queue turns on several sessions, and deal with wake-ups as chance has it."""
    plays = {
        str(played.session_id): played
        for played in (worker_setup.start_run(*texts) for _ in range(3))
    }
    for body in [*plays, *plays, "no wake-up", str(new_id())]:
        worker_setup.queue.send(body)
    some = next(iter(plays.values()))
    late, there = [], worker_setup.queue.receive()
    while sql.execute("SELECT FROM turns WHERE ended_at IS NULL").rowcount:
        there += worker_setup.queue.receive()
        if not there:  # the last that was to bring a turn is lost
            fates["recovered"] += 1
            recover(some, sql)
            continue
        record = there.pop(chance.randrange(len(there)))
        worker_setup.queue.delete(record)
        event, played = {"Records": [record]}, plays.get(record["body"], some)
        if record["body"] == "no wake-up":
            fates["poisoned"] += 1
            with pytest.raises(ValueError, match="not a session's id"):
                worker_setup.answer(played, event)
            continue
        fate = chance.choice(["lost", "once", "twice", "late"])
        fates[fate] += 1
        if fate == "late":
            late.append(event)
        for _ in range({"once": 1, "twice": 2}.get(fate, 0)):
            worker_setup.answer(played, event)
    for event in late:
        worker_setup.answer(some, event)

    for played in plays.values():
        assert played.outcome() == whole
        ended = sql.execute(
            "SELECT number FROM turns WHERE session_id = %s AND attempt = 1 ORDER BY ended_at",
            [played.session_id],
        )
        assert [number for (number,) in ended] == [1, 2, 3, 4]


def recover(played: ScenarioRun, sql: psycopg.Connection) -> None:
    """Let a minute pass, and do what the scheduled recovery and its worker do."""
    sql.execute(
        "UPDATE turns SET created_at = created_at - interval '2 minutes' WHERE status = 'queued'"
    )
    asyncio.run(played.recover())


@pytest.mark.in_turns
@pytest.mark.parametrize("place", STORES, indirect=True)
def test_messages_from_all_sides_are_answered_in_the_accepted_order_by_racing_workers(
    new_worker_setup: NewWorkerSetup, sql: psycopg.Connection, tmp_path: Path
) -> None:
    worker_setup = new_worker_setup("tools")
    played = worker_setup.setup.start_run()
    path = f"/sessions/{played.session_id}/messages"
    events = [
        rest_event(
            "POST",
            path,
            {"text": f"{NEXT} {n}", "on_conflict": "enqueue"},
            user=played.user,
            headers={"Prefer": "respond-async", "Content-Type": "application/json"},
        )
        for n in range(MESSAGES)
    ]
    until = tmp_path / "over"
    workers = [
        worker_setup.invoke(played, "worker", [], queue=worker_setup.queue.url, until=str(until))
        for _ in range(WORKERS)
    ]
    senders = [worker_setup.invoke(played, "messages", events[n::SENDERS]) for n in range(SENDERS)]

    try:
        assert [sender.wait() for sender in senders] == [{"exited": 0}] * SENDERS
        open_turns = "SELECT FROM turns WHERE ended_at IS NULL"
        wait_for(lambda: not sql.execute(open_turns).rowcount)
    finally:
        until.touch()

    assert [worker.wait() for worker in workers] == [{"exited": 0}] * WORKERS
    answers = [answer for worker in workers for answer in worker.result()["told"]]
    assert len(answers) > MESSAGES  # most wake-ups came to both
    assert set(answers) == {None}
    accepted = [answer for sender in senders for answer in sender.result()["told"]]
    assert [answer["statusCode"] for answer in accepted] == [202] * MESSAGES
    turns = [json.loads(answer["body"]) for answer in accepted]
    said = {turn["turn"]["number"]: turn["user_message"]["content"] for turn in turns}
    assert sorted(said) == list(range(1, MESSAGES + 1))
    ended = sql.execute(
        "SELECT t.number, m.content FROM turns t JOIN messages m ON m.turn_id = t.id"
        " AND m.role = 'assistant' WHERE t.attempt = 1 ORDER BY t.ended_at"
    ).fetchall()
    assert ended == [(number, "Nothing else.") for number in sorted(said)]
    stored = worker_setup.setup.store.read_newest(
        conversation_key(played.user, played.session_id), None
    )
    remembered = {turn.number: turn.memory.items[0]["content"] for turn in stored if turn.memory}
    assert remembered == said
    assert sorted(played.asked) == sorted(f"default/{text}/0" for text in said.values())


def test_what_is_accepted_while_the_queue_is_down_is_carried_on_by_the_recovery(
    new_worker_setup: NewWorkerSetup,
    environment: pytest.MonkeyPatch,
    sql: psycopg.Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    played = new_worker_setup("tools").setup.start_run()
    environment.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1")
    messages = load_function("messages")
    event = rest_event(
        "POST",
        f"/sessions/{played.session_id}/messages",
        {"text": NEXT},
        user=played.user,
        headers={"Prefer": "respond-async", "Content-Type": "application/json"},
    )

    answer = messages.handler(event, Context())
    messages.parts.database.close()

    assert answer["statusCode"] == 202
    assert "no worker was woken; the recovery looks" in caplog.messages
    recover(played, sql)
    assert [turn[:2] for turn in played.outcome().turns] == [[1, "completed"]]
