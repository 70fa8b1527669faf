"""`Prefer: respond-async` and `on_conflict`: what is accepted, and what is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley.repository.begin import MAX_QUEUED
from parley.repository.turns import Begun, TurnRepository, Usage
from parley_testing.account.wake_queue import ReceivedWakeups
from parley_testing.api.handlers import Answer, Api, Context, rest_event
from parley_testing.stores.talk import begin, request

Work = Callable[..., None]


def post(
    api: Api,
    path: str,
    text: str = "add milk",
    *,
    prefer: str | None = "respond-async",
    key: str | None = None,
    **body: Any,
) -> Answer:
    headers = {"Prefer": prefer, "Idempotency-Key": key}
    given = {name: value for name, value in headers.items() if value is not None}
    return api("POST", path, {"text": text, **body}, headers=given)


def messages(session_id: str) -> str:
    return f"/sessions/{session_id}/messages"


def test_a_message_is_accepted_and_answered_by_the_worker(
    api: Api, queue: ReceivedWakeups, work: Work
) -> None:
    session_id = api.new_session()

    accepted = post(api, messages(session_id))

    assert accepted.status == 202
    assert set(accepted.json) == {"turn", "user_message", "approvals"}
    assert (accepted.json["turn"]["status"], accepted.json["turn"]["number"]) == ("queued", 1)
    assert accepted.json["user_message"]["content"] == "add milk"
    assert accepted.headers["preference-applied"] == "respond-async"
    assert "idempotent-replayed" not in accepted.headers
    assert queue.waiting() == {"visible": 1, "delayed": 0}
    assert queue.deliver(work) == 1
    turn = api("GET", accepted.headers["location"]).json
    assert (turn["turn"]["id"], turn["turn"]["status"]) == (
        accepted.json["turn"]["id"],
        "completed",
    )
    assert turn["reply"]["content"]


def test_a_first_message_is_accepted_with_its_session(
    api: Api, queue: ReceivedWakeups, work: Work
) -> None:
    accepted = post(api, "/messages", session_name="groceries", agent="todo")

    session_id = accepted.json["turn"]["session_id"]
    turn_id = accepted.json["turn"]["id"]
    assert accepted.status == 202
    assert accepted.headers["location"] == f"/sessions/{session_id}/turns/{turn_id}"
    queue.deliver(work)
    assert api("GET", accepted.headers["location"]).json["turn"]["status"] == "completed"
    assert api("GET", f"/sessions/{session_id}").json["name"] == "groceries"


def test_the_same_key_gives_the_same_turn_in_every_mode(
    api: Api, queue: ReceivedWakeups, work: Work, sql: psycopg.Connection
) -> None:
    path = messages(api.new_session())
    first = post(api, path, key="k")

    waiting = post(api, path, key="k", on_conflict="enqueue")
    queue.deliver(work)
    over = post(api, path, key="k")
    waited = post(api, path, key="k", prefer=None)

    assert [answer.status for answer in (waiting, over, waited)] == [202, 202, 201]
    for answer in (waiting, over, waited):
        assert answer.json["turn"]["id"] == first.json["turn"]["id"]
        assert answer.headers["idempotent-replayed"] == "true"
        assert answer.headers["location"] == first.headers["location"]
    assert waiting.json == first.json
    assert over.json["turn"]["status"] == "completed"
    assert "preference-applied" not in waited.headers
    assert sql.execute("SELECT count(*), max(attempt) FROM turns").fetchone() == (1, 1)
    assert queue.waiting()["visible"] == 0  # what is over needs no wake-up


def test_a_lost_wakeup_is_woken_again_by_who_asks_again(
    api: Api, queue: ReceivedWakeups, work: Work
) -> None:
    path = messages(api.new_session())
    first = post(api, path, key="k")
    queue.receive()  # and is never heard of again

    post(api, path, key="k")

    assert queue.deliver(work) == 1
    assert api("GET", first.headers["location"]).json["turn"]["status"] == "completed"


@pytest.mark.parametrize("values", [["respond-async, wait=5"], ["wait=5", "respond-async"]])
def test_other_preferences_may_stand_beside_it(api: Api, values: list[str]) -> None:
    event = rest_event("POST", messages(api.new_session()), {"text": "hello"})
    event["headers"] = {"prefer": values[-1]}
    event["multiValueHeaders"] = {"prefer": values}

    answer = Answer(api.function("messages").handler(event, Context()))

    assert answer.status == 202


def test_a_key_of_another_message_is_refused(api: Api, queue: ReceivedWakeups) -> None:
    path = messages(api.new_session())
    post(api, path, "add milk", key="k")

    answer = post(api, path, "add eggs", key="k")

    assert (answer.status, answer.json["code"]) == (422, "idempotency_key_reused")
    assert queue.waiting()["visible"] == 1


@pytest.mark.parametrize("prefer", [None, "respond-async"])
@pytest.mark.parametrize("body", [{}, {"on_conflict": "reject"}])
def test_while_another_turn_is_open_a_message_is_refused(
    api: Api,
    queue: ReceivedWakeups,
    turns: TurnRepository,
    prefer: str | None,
    body: dict[str, str],
) -> None:
    session_id = api.new_session()
    turn = begin(turns, request("alice", session_id))

    answer = post(api, messages(session_id), prefer=prefer, **body)

    assert (answer.status, answer.json["code"]) == (409, "turn_in_progress")
    assert answer.json["turn_id"] == str(turn.id)
    assert queue.waiting()["visible"] == 0


def test_or_waits_if_that_is_wanted(
    api: Api, queue: ReceivedWakeups, turns: TurnRepository
) -> None:
    session_id = api.new_session()
    begin(turns, request("alice", session_id))

    answers = [post(api, messages(session_id), on_conflict="enqueue") for _ in range(MAX_QUEUED)]
    full = post(api, messages(session_id), on_conflict="enqueue")

    assert [answer.json["turn"]["number"] for answer in answers] == list(range(2, MAX_QUEUED + 2))
    assert (full.status, full.json["code"]) == (409, "queue_full")
    assert queue.waiting()["visible"] == MAX_QUEUED


def test_who_waits_for_a_reply_may_wait_behind_others(
    api: Api, queue: ReceivedWakeups, turns: TurnRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = api.new_session()
    before = begin(turns, request("alice", session_id))
    begun, outcomes = TurnRepository.begin, []

    def watched(*arguments: Any, **named: Any) -> Begun:
        answer = begun(*arguments, **named)
        outcomes.append(answer.outcome)
        if outcomes == ["queued"]:  # now the turn before it ends, and a worker comes
            assert turns.complete(before, "hi", Usage(), None)
            turn = turns.claim_head(UUID(session_id)).turn
            assert turn is not None
            assert turns.complete(turn, "added", Usage(), None)
        return answer

    monkeypatch.setattr(TurnRepository, "begin", watched)

    answer = post(api, messages(session_id), prefer=None, on_conflict="enqueue")

    assert answer.status == 201
    assert (answer.json["turn"]["number"], answer.json["reply"]["content"]) == (2, "added")
    assert outcomes == ["queued", "prior"]
    assert queue.waiting()["visible"] == 1


def test_a_session_that_is_not_active_accepts_nothing(api: Api, queue: ReceivedWakeups) -> None:
    session_id = api.new_session()
    api("PATCH", f"/sessions/{session_id}", {"status": "ended"})

    answer = post(api, messages(session_id), on_conflict="enqueue")

    assert (answer.status, answer.json["code"]) == (409, "session_not_active")
    assert queue.waiting()["visible"] == 0


@pytest.mark.parametrize("value", ["", "wait", None, 1])
def test_what_to_do_on_a_conflict_is_one_of_two_words(api: Api, value: Any) -> None:
    answer = post(api, messages(api.new_session()), on_conflict=value)

    assert (answer.status, answer.json["code"]) == (422, "invalid_field")
    assert answer.json["errors"][0]["field"] == "on_conflict"


def test_a_queue_that_is_down_loses_nothing(
    api: Api, environment: pytest.MonkeyPatch, sql: psycopg.Connection
) -> None:
    environment.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1")

    accepted = post(api, messages(api.new_session()))

    assert accepted.status == 202
    row = sql.execute("SELECT id, status FROM turns").fetchone()
    assert row == (UUID(accepted.json["turn"]["id"]), "queued")
