"""The worker makes summaries, when no turn of the session waits."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest

from parley.agents.offline import OfflineModel
from parley.errors import StoreUnavailable
from parley.ids import SUMMARY_NUMBER, conversation_key
from parley.memory.sqlite import SqliteStore
from parley.repository.turns import TurnRepository
from parley.runner.summary_prompt import INSTRUCTIONS
from parley_testing.account.wake_queue import ReceivedWakeups
from parley_testing.api.handlers import Api
from parley_testing.stores.talk import request

Work = Callable[..., None]


@pytest.fixture
def environment(environment: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    environment.setenv("MEMORY_SUMMARY", "on")
    environment.setenv("AGENT_SESSION_MAX_MESSAGES", "4")
    return environment


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the agent's model is given, call by call."""
    inputs: list[Any] = []
    answer = OfflineModel.get_response

    async def noted(self: Any, instructions: Any, input: Any, *rest: Any, **named: Any) -> Any:
        if instructions != INSTRUCTIONS:
            inputs.append([item.get("content") for item in input])
        return await answer(self, instructions, input, *rest, **named)

    monkeypatch.setattr(OfflineModel, "get_response", noted)
    return inputs


def say(api: Api, session_id: str, *texts: str) -> None:
    for text in texts:
        answer = api("POST", f"/sessions/{session_id}/messages", {"text": text}, user="alice")
        assert answer.status == 201, answer


def queue_turn(turns: TurnRepository, session_id: str) -> None:
    begun = turns.begin(request("alice", session_id, "five"), queue=True, enqueue=True)
    assert begun.outcome == "queued"


def died(*_: Any) -> None:
    raise KeyboardInterrupt


def away(*_: Any, **__: Any) -> None:
    raise StoreUnavailable("postgres", "away")


def test_the_step_of_a_window_has_the_worker_summarise(
    api: Api, queue: ReceivedWakeups, work: Work, given: list[Any]
) -> None:
    session_id = api.new_session(agent="assistant")
    say(api, session_id, "I am Ada", "two", "three", "four")

    queue.deliver(work)

    say(api, session_id, "five")
    assert "I am Ada" in given[-1][0]
    assert given[-1][-1] == "five"


def test_a_turn_that_waits_comes_first(
    api: Api,
    queue: ReceivedWakeups,
    work: Work,
    given: list[Any],
    sql: psycopg.Connection,
    turns: TurnRepository,
) -> None:
    session_id = api.new_session(agent="assistant")
    say(api, session_id, "I am Ada", "two", "three", "four")
    queue_turn(turns, session_id)

    queue.deliver(work)

    assert given[-1][-1] == "five"
    assert sql.execute("SELECT summary_to > 0 FROM sessions").fetchone() == (True,)


def test_a_worker_that_dies_is_followed_by_another(
    api: Api,
    queue: ReceivedWakeups,
    work: Work,
    worker: Any,
    sql: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    memory: SqliteStore,
) -> None:
    session_id = api.new_session(agent="assistant")
    say(api, session_id, "I am Ada", "two", "three", "four")
    (wakeup,) = [each for each in queue.receive() if each["body"] == session_id]
    with monkeypatch.context() as patch:
        patch.setattr(type(worker.summariser.summaries), "keep", died)
        with pytest.raises(KeyboardInterrupt):
            work({"Records": [wakeup]})
    sql.execute("UPDATE sessions SET summarising_until = now() - interval '1 second'")
    queue.come_back(wakeup)

    queue.deliver(work)

    found = sql.execute("SELECT summary_to > 0, summary_calls FROM sessions").fetchone()
    assert found == (True, 1)
    newest = memory.read_newest(conversation_key("alice", UUID(session_id)), None)
    assert newest[0].number == SUMMARY_NUMBER


def test_one_that_cannot_be_looked_at_is_looked_at_again(
    api: Api,
    queue: ReceivedWakeups,
    work: Work,
    worker: Any,
    sql: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session_id = api.new_session(agent="assistant")
    say(api, session_id, "I am Ada", "two", "three", "four")
    (wakeup,) = [each for each in queue.receive() if each["body"] == session_id]
    with monkeypatch.context() as patch:
        patch.setattr(type(worker.summariser.summaries), "take", away)
        with pytest.raises(StoreUnavailable):
            work({"Records": [wakeup]})
    queue.come_back(wakeup)

    queue.deliver(work)

    assert sql.execute("SELECT summary_to > 0 FROM sessions").fetchone() == (True,)


def test_what_memory_shows_of_it(api: Api, queue: ReceivedWakeups, work: Work) -> None:
    session_id = api.new_session(agent="assistant")
    say(api, session_id, "I am Ada", "two", "three", "four")
    pending = api("GET", f"/sessions/{session_id}/memory", user="alice").json
    queue.deliver(work)

    shown = api("GET", f"/sessions/{session_id}/memory", user="alice").json

    assert (pending["summary"], pending["summary_pending"]) == (None, True)
    assert (shown["turns"], shown["summary_pending"]) == (pending["turns"], False)
    assert "I am Ada" in shown["summary"]["text"]
    assert shown["summary"]["to_turn"] >= 1
    assert shown["summary"]["made_at"].endswith("Z")
    assert shown["summary_usage"]["model_calls"] == 1
    assert api("GET", f"/sessions/{session_id}/memory", user="mallory").status == 404


def test_clearing_takes_it_along(api: Api, queue: ReceivedWakeups, work: Work) -> None:
    session_id = api.new_session(agent="assistant")
    say(api, session_id, "I am Ada", "two", "three", "four")
    queue.deliver(work)

    assert api("DELETE", f"/sessions/{session_id}/memory", user="alice").status == 204

    shown = api("GET", f"/sessions/{session_id}/memory", user="alice").json
    assert (shown["summary"], shown["summary_pending"]) == (None, False)


def test_it_is_exported_and_erased(
    api: Api, queue: ReceivedWakeups, work: Work, memory: SqliteStore
) -> None:
    session_id = api.new_session(agent="assistant")
    say(api, session_id, "I am Ada", "two", "three", "four")
    queue.deliver(work)
    admin = "parley:admin"

    exported = api("GET", "/admin/users/alice/export", user="root", scopes=admin)
    erased = api("DELETE", "/admin/users/alice", user="root", scopes=admin)

    records = [json.loads(line) for line in exported.body.splitlines()]
    (summary,) = [each for each in records if each["type"] == "summary"]
    assert (summary["session_id"], "I am Ada" in summary["text"]) == (session_id, True)
    told = [each["turn_number"] for each in records if each["type"] == "memory"]
    assert told == sorted(told, reverse=True)
    assert len(told) < 4
    assert erased.json["done"]
    assert memory.weigh(conversation_key("alice", UUID(session_id))).turns == 0
