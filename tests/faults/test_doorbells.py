"""Doorbells come twice, late, in any order, never, or to workers that die: turns run once each."""

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
from parley_testing.doorbells import DoorbellQueue
from parley_testing.fault_functions import settings_of
from parley_testing.fault_house import House, NewHouse
from parley_testing.fault_outcome import Outcome, asked_again, in_flight
from parley_testing.fault_parts import Place
from parley_testing.fault_scenarios import NEXT, STREAMING, lines
from parley_testing.fault_stage import Play, Point, Stage, counted, some_of_each
from parley_testing.handlers import Context, load_function, rest_event
from parley_testing.scripted_model import ScriptedProvider, in_order
from parley_testing.waiting import wait_for

STORES = ["sqlite", "dynamodb"]
KILLED = {"killed": signal.SIGKILL}
AT_ONCE = {"parley.turns.ringing.CRASH_SECONDS": 0}
"""A doorbell comes at once in case of a crash, not in a minute: then it is there to be seen."""
CLAIMED = "after TurnRepository.claim_head"
MESSAGES, SENDERS, WORKERS = 20, 4, 2
COMMITTED = ("after the commit of add_task", 1)


@pytest.fixture
def environment(
    place: Place, queue: DoorbellQueue, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """The settings of this process's functions."""
    for name, value in (settings_of(place, patience=1) | queue.settings).items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> ScriptedProvider:
    """The model of this process's functions."""
    model = ScriptedProvider(in_order())
    monkeypatch.setattr(provider, "model_provider", lambda settings: model)
    return model


@pytest.fixture
def new_house(
    environment: pytest.MonkeyPatch,
    model: ScriptedProvider,
    new_stage: Callable[..., Stage],
    log: EventLog,
    queue: DoorbellQueue,
) -> Iterator[NewHouse]:
    """Makes the house for a scenario, by its name."""
    worker = load_function("worker")
    bell = queue.doorbell()
    yield lambda name: House(new_stage(name, events=log, doorbell=bell), queue, worker, model)
    worker.parts.database.close()


@pytest.mark.parametrize(
    ("place", "every"), [("sqlite", 1), ("dynamodb", 4)], indirect=["place"], ids=STORES
)
def test_a_worker_that_is_killed_anywhere_leaves_a_doorbell_to_another(
    new_house: NewHouse, every: int
) -> None:
    house = new_house("tools")
    points, whole = undisturbed(house)
    broken = some_of_each(points)[::every]

    assert (CLAIMED, 1) in points
    killed = awaited = again = 0
    for point in broken:
        play = house.play()
        victim, record = house.start(play, point, tuned=AT_ONCE)
        ended = victim.wait()
        if ended == {"exited": 0}:  # what is told together varies, and so what is passed
            house.queue.delete(record)
        else:
            assert ended == KILLED, point
            killed += 1
            held = play.expire()
            # Whatever it had taken, somebody looks within a minute.
            if house.queue.waiting()["visible"]:
                awaited += 1
            else:  # it was killed before: what Lambda did not see answered comes again
                assert not held, point
                assert CLAIMED not in lines(victim.points), point
                house.queue.come_back(record)
        house.deliver(play)

        assert play.outcome() == whole, point
        calls = asked_again(play.asked)
        assert calls <= in_flight(lines(victim.points)) <= 1, point
        again += calls
    assert killed > len(broken) * 3 / 4
    assert 0 < awaited <= killed
    print(f"workers: {killed} kills, {awaited} awaited, {again} model calls repeated")


def undisturbed(house: House, *next_texts: str) -> tuple[list[Point], Outcome]:
    """Answer all doorbells; give what the first worker passed, and what came of it."""
    play = house.play(*next_texts)
    worker, record = house.start(play)
    assert worker.wait() == {"exited": 0}
    assert worker.result() == {"told": [None]}
    house.queue.delete(record)
    house.deliver(play)
    whole = play.outcome()
    assert {turn[1] for turn in whole.turns} == {"completed"}
    assert whole.tasks == [[title] for title in house.stage.scenario.effects]
    return counted(lines(worker.points)), whole


def test_a_worker_that_must_stop_lets_go_and_rings_even_if_killed_meanwhile(
    new_house: NewHouse, sql: psycopg.Connection
) -> None:
    house = new_house("faltering")
    points = [
        None,
        ("before TurnRepository.release", 1),
        ("after TurnRepository.release", 1),
        ("before SqsDoorbell.ring", 1),
        ("after SqsDoorbell.ring", 1),
    ]
    started = []
    for point in points:
        play = house.play()
        started.append((play, point, *house.start(play, point, seconds=house.margin_seconds + 3)))
    for play, point, worker, _ in started:
        assert worker.wait() == (KILLED if point else {"exited": 0}), point
        if point == ("before TurnRepository.release", 1):
            assert play.expire()
    rung = house.queue.receive()
    rang = [play for play, point, *_ in started if point in (None, ("after SqsDoorbell.ring", 1))]
    assert sorted(each["body"] for each in rung) == sorted(str(play.session_id) for play in rang)
    for play, _, _, record in started:
        house.queue.come_back(rung.pop() if play in rang else record)

    house.deliver(play, STREAMING.script(play.asked_file))

    for play, point, *_ in started:
        outcome = play.outcome()
        assert [turn[1] for turn in outcome.turns] == ["completed"] * 2, point
        assert outcome.tasks == [["bread"], ["milk"]], point
        attempts = sql.execute(
            "SELECT attempt, crashes FROM turns WHERE session_id = %s ORDER BY number",
            [play.session_id],
        ).fetchall()
        crashed = point == ("before TurnRepository.release", 1)
        assert attempts == [(2, int(crashed)), (1, 0)], point


def test_a_turn_longer_than_its_lease_is_looked_at_until_it_is_over(new_house: NewHouse) -> None:
    house = new_house("faltering")
    play = house.play()
    renewed = AT_ONCE | {"parley.turns.lease.RENEW_SECONDS": 0.3}
    victim, _ = house.start(play, ("after TurnRepository.renew", 2), tuned=renewed)
    assert victim.wait() == KILLED
    (back,) = house.queue.receive()
    before = play.rows()

    house.answer(play, {"Records": [back]})  # too early: its lease runs still

    assert play.rows() == before
    house.queue.delete(back)
    assert house.queue.waiting() == {"visible": 0, "delayed": 1}  # for when that is over
    play.expire()
    again = house.queue.record(str(play.session_id))
    house.answer(play, {"Records": [again]}, STREAMING.script(play.asked_file))
    house.deliver(play)
    assert [turn[1] for turn in play.outcome().turns] == ["completed"] * 2
    assert play.outcome().tasks == [["bread"], ["milk"]]


@pytest.mark.parametrize("place", STORES, indirect=True)
def test_doorbells_for_a_turn_that_runs_elsewhere_change_nothing(new_house: NewHouse) -> None:
    house = new_house("tools")
    _, whole = undisturbed(house)
    play = house.play()
    running, record = house.start(play, COMMITTED, signal.SIGSTOP)
    assert running.wait() == {"stopped": signal.SIGSTOP}
    before, asked = play.rows(), play.asked
    for _ in range(2):
        house.queue.send(str(play.session_id))

    assert house.deliver(play) == 2

    assert (play.rows(), play.asked) == (before, asked)
    running.go_on()
    assert running.wait() == {"exited": 0}
    house.queue.delete(record)
    house.deliver(play)
    assert play.outcome() == whole


@pytest.mark.parametrize(
    ("place", "seeds"), [("sqlite", 8), ("dynamodb", 2)], indirect=["place"], ids=STORES
)
def test_whatever_becomes_of_doorbells_each_turn_runs_once_and_in_its_order(
    new_house: NewHouse, sql: psycopg.Connection, seeds: int
) -> None:
    house = new_house("tools")
    texts = [f"{NEXT} {n}" for n in range(3)]
    _, whole = undisturbed(house, *texts)

    fates = {"lost": 0, "once": 0, "twice": 0, "late": 0, "poisoned": 0, "recovered": 0}
    for seed in range(seeds):
        storm(house, texts, sql, random.Random(seed), whole, fates)

    assert all(fates.values()), fates
    print(json.dumps(fates))


def storm(
    house: House,
    texts: list[str],
    sql: psycopg.Connection,
    chance: random.Random,
    whole: Outcome,
    fates: dict[str, int],
) -> None:
    """Queue turns on several sessions, and deal with doorbells as chance has it."""
    plays = {str(play.session_id): play for play in (house.play(*texts) for _ in range(3))}
    for body in [*plays, *plays, "no doorbell", str(new_id())]:
        house.queue.send(body)
    some = next(iter(plays.values()))
    late, there = [], house.queue.receive()
    while sql.execute("SELECT FROM turns WHERE ended_at IS NULL").rowcount:
        there += house.queue.receive()
        if not there:  # the last that was to bring a turn is lost
            fates["recovered"] += 1
            recover(some, sql)
            continue
        record = there.pop(chance.randrange(len(there)))
        house.queue.delete(record)
        event, play = {"Records": [record]}, plays.get(record["body"], some)
        if record["body"] == "no doorbell":
            fates["poisoned"] += 1
            with pytest.raises(ValueError, match="not a session's id"):
                house.answer(play, event)
            continue
        fate = chance.choice(["lost", "once", "twice", "late"])
        fates[fate] += 1
        if fate == "late":
            late.append(event)
        for _ in range({"once": 1, "twice": 2}.get(fate, 0)):
            house.answer(play, event)
    for event in late:
        house.answer(some, event)

    for play in plays.values():
        assert play.outcome() == whole
        ended = sql.execute(
            "SELECT number FROM turns WHERE session_id = %s AND attempt = 1 ORDER BY ended_at",
            [play.session_id],
        )
        assert [number for (number,) in ended] == [1, 2, 3, 4]


def recover(play: Play, sql: psycopg.Connection) -> None:
    """Let a minute pass, and do what the scheduled recovery and its worker do."""
    sql.execute(
        "UPDATE turns SET created_at = created_at - interval '2 minutes' WHERE status = 'queued'"
    )
    asyncio.run(play.recover())


@pytest.mark.parametrize("place", STORES, indirect=True)
def test_messages_from_all_sides_are_answered_in_the_accepted_order_by_racing_workers(
    new_house: NewHouse, sql: psycopg.Connection, tmp_path: Path
) -> None:
    house = new_house("tools")
    play = house.stage.play()
    path = f"/sessions/{play.session_id}/messages"
    events = [
        rest_event(
            "POST",
            path,
            {"text": f"{NEXT} {n}", "on_conflict": "enqueue"},
            user=play.user,
            headers={"Prefer": "respond-async", "Content-Type": "application/json"},
        )
        for n in range(MESSAGES)
    ]
    until = tmp_path / "over"
    workers = [
        house.invoke(play, "worker", [], queue=house.queue.url, until=str(until))
        for _ in range(WORKERS)
    ]
    senders = [house.invoke(play, "messages", events[n::SENDERS]) for n in range(SENDERS)]

    try:
        assert [sender.wait() for sender in senders] == [{"exited": 0}] * SENDERS
        open_turns = "SELECT FROM turns WHERE ended_at IS NULL"
        wait_for(lambda: not sql.execute(open_turns).rowcount)
    finally:
        until.touch()

    assert [worker.wait() for worker in workers] == [{"exited": 0}] * WORKERS
    answers = [answer for worker in workers for answer in worker.result()["told"]]
    assert len(answers) > MESSAGES  # most doorbells came to both
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
    stored = house.stage.store.read_newest(conversation_key(play.user, play.session_id), None)
    remembered = {turn.number: turn.memory.items[0]["content"] for turn in stored if turn.memory}
    assert remembered == said
    assert sorted(play.asked) == sorted(f"default/{text}/0" for text in said.values())


def test_what_is_accepted_while_the_queue_is_down_is_carried_on_by_the_recovery(
    new_house: NewHouse,
    environment: pytest.MonkeyPatch,
    sql: psycopg.Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    play = new_house("tools").stage.play()
    environment.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1")
    messages = load_function("messages")
    event = rest_event(
        "POST",
        f"/sessions/{play.session_id}/messages",
        {"text": NEXT},
        user=play.user,
        headers={"Prefer": "respond-async", "Content-Type": "application/json"},
    )

    answer = messages.handler(event, Context())
    messages.parts.database.close()

    assert answer["statusCode"] == 202
    assert "no worker was rung for; the recovery looks" in caplog.messages
    recover(play, sql)
    assert [turn[:2] for turn in play.outcome().turns] == [[1, "completed"]]
