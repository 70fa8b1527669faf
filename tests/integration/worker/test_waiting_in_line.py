"""Who waits for a turn that others carry out: until when, and what is answered then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from parley.repository.approvals import Asked, decide, pause
from parley.repository.begin import PACE_TURNS
from parley.repository.database import Database
from parley.repository.turns import Begun, RunningTurn, TurnRepository, Usage
from parley.timing import GATEWAY_SECONDS
from parley_testing.account.wake_queue import ReceivedWakeups
from parley_testing.api.handlers import Answer, Api
from parley_testing.stores.asking import asking
from parley_testing.stores.talk import begin, request, say

Work = Callable[..., None]

KEY = {"Idempotency-Key": "key"}


class Begins:
    """Counts begin statements; one that waits for what will not come asks for ever."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, *arguments: Any, **named: Any) -> Begun:
        self.count += 1
        assert self.count < 9, "it is still waited for"
        return self.begin(*arguments, **named)

    begin = staticmethod(TurnRepository.begin)


@pytest.fixture
def begins(monkeypatch: pytest.MonkeyPatch) -> Begins:
    """Counts the begin statements from now on."""
    begins = Begins()
    monkeypatch.setattr(
        TurnRepository, "begin", lambda *arguments, **named: begins(*arguments, **named)
    )
    return begins


@pytest.fixture
def session_id(api: Api) -> str:
    return api.new_session()


@pytest.fixture
def running(turns: TurnRepository, session_id: str) -> RunningTurn:
    """A turn that another process carries out, and does not end."""
    return begin(turns, request("alice", session_id, "hello", key="k"))


def send(api: Api, session_id: str, text: str = "hello", **parts: Any) -> Answer:
    body = {"text": text, "on_conflict": parts.pop("on_conflict", "reject")}
    return api("POST", f"/sessions/{session_id}/messages", body, **parts)


def took(sql: psycopg.Connection, session_id: str, *seconds: float) -> None:
    """Let the session's completed turns have taken so long, the last named last."""
    for number, each in enumerate(seconds, 1):
        changed = sql.execute(
            "UPDATE turns SET started_at = ended_at - make_interval(secs => %s)"
            " WHERE session_id = %s AND number = %s AND status = 'completed'",
            (each, session_id, number),
        )
        assert changed.rowcount == 1


@pytest.mark.parametrize("enqueue", [False, True])
def test_nobody_waits_for_another_s_turn_when_the_gateway_has_hung_up(
    api: Api,
    session_id: str,
    begins: Begins,
    sql: psycopg.Connection,
    enqueue: bool,
) -> None:
    first = send(api, session_id, "hi", headers=KEY)
    sql.execute(
        "UPDATE turns SET status = 'running', ended_at = NULL,"
        " lease_expires_at = now() + interval '40 seconds'"
    )
    begins.count = 0

    answer = send(
        api,
        session_id,
        "hi",
        headers=KEY,
        age=GATEWAY_SECONDS,
        seconds=300,
        on_conflict="enqueue" if enqueue else "reject",
    )

    assert begins.count == 1
    turn_id = first.json["turn"]["id"]
    if enqueue:
        assert (answer.status, answer.json["turn"]["id"]) == (202, turn_id)
    else:
        assert (answer.status, answer.json["code"]) == (504, "turn_timeout")
        assert answer.json["turn_id"] == turn_id


def test_a_turn_that_waits_is_accepted_when_the_gateway_is_about_to_hang_up(
    api: Api,
    session_id: str,
    running: RunningTurn,
    begins: Begins,
    queue: ReceivedWakeups,
    work: Work,
    turns: TurnRepository,
) -> None:
    sent = {"headers": KEY, "on_conflict": "enqueue"}

    answer = send(api, session_id, "add milk", age=GATEWAY_SECONDS - 2, seconds=300, **sent)

    assert answer.status == 202
    assert set(answer.json) == {"turn", "user_message", "approvals"}
    assert (answer.json["turn"]["status"], answer.json["turn"]["number"]) == ("queued", 2)
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["location"].endswith(answer.json["turn"]["id"])
    assert "preference-applied" not in answer.headers
    assert queue.waiting()["visible"] == 1
    assert turns.release(running)
    queue.deliver(work)
    again = send(api, session_id, "add milk", **sent)
    assert (again.status, again.json["turn"]["id"]) == (201, answer.json["turn"]["id"])
    assert again.json["reply"]["content"]


def test_the_place_in_the_line_tells_at_once_that_it_cannot_be_done_in_time(
    api: Api,
    session_id: str,
    begins: Begins,
    turns: TurnRepository,
    queue: ReceivedWakeups,
    sql: psycopg.Connection,
) -> None:
    for number in range(3):
        say(turns, request("alice", session_id, f"before {number}"))
    took(sql, session_id, 60, 15, 90)
    begin(turns, request("alice", session_id))
    begins.count = 0

    answers = []
    for text in ("second", "third"):
        # Who is first in the line may be answered in 15 seconds, so its gateway hangs up earlier.
        age = GATEWAY_SECONDS - 14 if text == "second" else 0
        answers.append(send(api, session_id, text, on_conflict="enqueue", seconds=300, age=age))

    assert [answer.status for answer in answers] == [202, 202]
    assert [answer.headers["retry-after"] for answer in answers] == ["15", "30"]
    assert begins.count == 2
    assert queue.waiting()["visible"] == 2


def test_nobody_waits_behind_a_turn_that_waits_for_a_decision(
    api: Api,
    session_id: str,
    begins: Begins,
    turns: TurnRepository,
    database: Database,
    queue: ReceivedWakeups,
    work: Work,
) -> None:
    asked = asking(database, session_id, Asked("call_1", "todo", "refund", "{}"))
    begins.count = 0
    sent = {"headers": KEY, "on_conflict": "enqueue", "seconds": 300}

    answer = send(api, session_id, "add milk", **sent)

    assert begins.count == 1
    assert (answer.status, answer.json["turn"]["status"]) == (202, "queued")
    assert answer.headers["location"].endswith(answer.json["turn"]["id"])
    assert "retry-after" not in answer.headers
    decide(database, asked, "rejected", by="alice", anybody=False)
    going_on = turns.claim_head(asked.session_id).turn
    assert going_on is not None
    assert turns.complete(going_on, "done", Usage(), None)
    queue.deliver(work)
    again = send(api, session_id, "add milk", **sent)
    assert (again.status, again.json["turn"]["id"]) == (201, answer.json["turn"]["id"])


def test_who_waits_in_line_is_answered_when_a_turn_before_begins_to_wait_for_somebody(
    api: Api,
    session_id: str,
    running: RunningTurn,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = TurnRepository.begin
    times: list[Begun] = []

    def pausing(*arguments: Any, **named: Any) -> Begun:
        times.append(begun(*arguments, **named))
        assert len(times) < 9, "it is still waited for"
        if len(times) == 1:
            assert pause(database, running, [Asked("c", "a", "pay", "{}")], expires_in=9, spent=0)
        return times[-1]

    monkeypatch.setattr(TurnRepository, "begin", pausing)

    answer = send(api, session_id, "another", on_conflict="enqueue", seconds=300)

    assert (answer.status, len(times)) == (202, 2)
    assert "retry-after" not in answer.headers


def test_only_the_last_turns_tell_how_long_one_takes(
    api: Api, session_id: str, turns: TurnRepository, sql: psycopg.Connection
) -> None:
    for number in range(PACE_TURNS + 1):
        say(turns, request("alice", session_id, f"before {number}"))
    took(sql, session_id, 1, *[70] * PACE_TURNS)
    begin(turns, request("alice", session_id))

    answer = send(api, session_id, "another", on_conflict="enqueue", seconds=300)

    # A minute, though it takes longer: the next ones may be faster.
    assert (answer.status, answer.headers["retry-after"]) == (202, "60")


def test_a_turn_that_is_over_meanwhile_is_answered(
    api: Api,
    session_id: str,
    running: RunningTurn,
    turns: TurnRepository,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = TurnRepository.begin

    def overtaken(*arguments: Any, **named: Any) -> Begun:
        answer = begun(*arguments, **named)
        assert turns.complete(running, "hi", Usage(), None)
        turn = turns.claim_head(running.session_id).turn
        assert turn is not None
        assert turns.complete(turn, "added", Usage(), None)
        return answer

    monkeypatch.setattr(TurnRepository, "begin", overtaken)

    answer = send(api, session_id, "another", on_conflict="enqueue", age=GATEWAY_SECONDS)

    assert (answer.status, answer.json["reply"]["content"]) == (201, "added")
