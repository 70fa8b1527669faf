"""Memory statistics, clearing and pruning."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from parley.repository.turns import TurnRepository
from parley_testing.api.handlers import Api
from parley_testing.api.problems import problem, wrong_fields
from parley_testing.stores.talk import begin, request
from parley_testing.stores.user_data import memory_of


def say(api: Api, session_id: str, text: str) -> str:
    """Send a message and give what the agent replied."""
    answer = api("POST", f"/sessions/{session_id}/messages", {"text": text})
    assert answer.status == 201, answer
    reply: str = answer.json["reply"]["content"]
    return reply.removeprefix("[offline model] ")


def count(api: Api, session_id: str) -> dict[str, Any]:
    answer = api("GET", f"/sessions/{session_id}/memory")
    assert answer.status == 200, answer
    counted: dict[str, Any] = answer.json
    return counted


def turn_numbers(path: Path) -> list[int]:
    return sorted(row[1] for row in memory_of(path, "alice")["turns"])


def test_a_new_session_has_no_memory(api: Api) -> None:
    no_usage = {
        "model_calls": 0,
        "input_tokens": 0,
        "cached_tokens": 0,
        "output_tokens": 0,
        "reasoning_tokens": 0,
        "cost_usd": "0",
        "calls_without_tokens": 0,
        "calls_without_cost": 0,
    }
    nothing = {
        **{"turns": 0, "items": 0, "bytes": 0, "last_activity_at": None},
        **{"summary": None, "summary_pending": False, "summary_usage": no_usage},
    }

    assert count(api, api.new_session()) == nothing


def test_the_figures_count_turns_items_and_bytes(api: Api, tmp_path: Path) -> None:
    session_id, other = api.new_session(), api.new_session()
    say(api, other, "add bread")
    say(api, session_id, "add milk")  # the user's words, the call, its output, the reply
    say(api, session_id, "help")  # the user's words, the reply

    counted = count(api, session_id)

    assert (counted["turns"], counted["items"]) == (2, 6)
    assert 0 < counted["bytes"] < (tmp_path / "memory.db").stat().st_size
    assert counted["last_activity_at"].endswith("Z")
    age = datetime.now(UTC) - datetime.fromisoformat(counted["last_activity_at"])
    assert abs(age) < timedelta(minutes=1)


def test_the_agent_knows_that_task_until_memory_is_cleared(api: Api) -> None:
    remembering, forgetting = api.new_session(), api.new_session()
    for session_id in (remembering, forgetting):
        say(api, session_id, "add milk")

    assert api("DELETE", f"/sessions/{forgetting}/memory").status == 204

    assert say(api, remembering, "done that") == "Done: “milk”."
    assert say(api, forgetting, "done that") == "I do not know which task you mean."


def test_clearing_removes_memory_and_leaves_the_transcript(api: Api, tmp_path: Path) -> None:
    session_id = api.new_session()
    say(api, session_id, "add milk")
    transcript = api("GET", f"/sessions/{session_id}/messages").json

    api("DELETE", f"/sessions/{session_id}/memory")

    assert turn_numbers(tmp_path / "memory.db") == []
    assert count(api, session_id)["turns"] == 0
    assert api("GET", f"/sessions/{session_id}/messages").json == transcript
    assert len(transcript["items"]) == 2


def test_what_is_said_after_clearing_is_remembered(api: Api) -> None:
    session_id = api.new_session()
    say(api, session_id, "add milk")
    api("DELETE", f"/sessions/{session_id}/memory")
    say(api, session_id, "add bread")

    assert count(api, session_id)["turns"] == 1
    assert say(api, session_id, "done that") == "Done: “bread”."


def test_memory_can_be_cleared_again(api: Api) -> None:
    session_id = api.new_session()
    say(api, session_id, "add milk")

    answers = [api("DELETE", f"/sessions/{session_id}/memory") for _ in range(2)]

    assert [(answer.status, answer.body) for answer in answers] == [(204, ""), (204, "")]


def test_what_is_cleared_stays_forgotten_though_the_store_brings_it_back(
    api: Api, tmp_path: Path
) -> None:
    session_id = api.new_session()
    say(api, session_id, "add milk")
    (conversation,) = {row[0] for row in memory_of(tmp_path / "memory.db", "alice")["turns"]}
    store = api.function("sessions").parts.store
    (late,) = store.read_newest(conversation, 1)
    api("DELETE", f"/sessions/{session_id}/memory")
    store.finish(conversation, late.turn, 1, late.memory)  # a process that died slowly writes late

    assert count(api, session_id)["turns"] == 0
    assert say(api, session_id, "done that") == "I do not know which task you mean."


def test_clearing_leaves_a_turn_that_runs_its_own(
    api: Api, turns: TurnRepository, tmp_path: Path
) -> None:
    session_id = api.new_session()
    say(api, session_id, "add milk")
    (conversation,) = {row[0] for row in memory_of(tmp_path / "memory.db", "alice")["turns"]}
    running = begin(turns, request("alice", session_id))
    store = api.function("sessions").parts.store
    store.record(conversation, running.key, running.attempt, "0", {"output": []})

    api("DELETE", f"/sessions/{session_id}/memory")

    assert turn_numbers(tmp_path / "memory.db") == [running.number]


def test_pruning_removes_whole_turns_that_the_agent_is_not_shown(
    api: Api, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.setenv("AGENT_SESSION_MAX_MESSAGES", "4")
    session_id = api.new_session()
    for _ in range(5):
        say(api, session_id, "help")  # two items each: the agent is shown two turns
    assert turn_numbers(tmp_path / "memory.db") == [3, 4, 5]  # the fourth turn moved the window

    pruned = api("POST", f"/sessions/{session_id}/memory/prune")

    # The next turn would have moved it: three turns are too many, and one is left.
    assert (pruned.status, pruned.json) == (200, {"turns": 2})
    assert turn_numbers(tmp_path / "memory.db") == [5]
    assert count(api, session_id)["turns"] == 1
    assert api("POST", f"/sessions/{session_id}/memory/prune").json == {"turns": 0}


def test_the_agent_remembers_the_same_after_pruning(
    api: Api, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("AGENT_SESSION_MAX_MESSAGES", "6")
    session_id = api.new_session()
    for text in ("help", "help", "help", "add milk", "help"):
        say(api, session_id, text)

    api("POST", f"/sessions/{session_id}/memory/prune")

    assert say(api, session_id, "done that") == "Done: “milk”."


def test_pruning_a_short_memory_removes_nothing(api: Api, sql: psycopg.Connection) -> None:
    session_id = api.new_session()
    assert api("POST", f"/sessions/{session_id}/memory/prune").json == {"turns": 0}
    say(api, session_id, "add milk")

    assert api("POST", f"/sessions/{session_id}/memory/prune").json == {"turns": 0}
    assert count(api, session_id)["turns"] == 1


def test_pruning_leaves_turns_that_are_open(
    api: Api, turns: TurnRepository, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.setenv("AGENT_SESSION_MAX_MESSAGES", "2")
    session_id = api.new_session()
    for _ in range(4):
        say(api, session_id, "help")
    running = begin(turns, request("alice", session_id))
    store = api.function("sessions").parts.store
    (conversation,) = {row[0] for row in memory_of(tmp_path / "memory.db", "alice")["turns"]}
    store.record(conversation, running.key, running.attempt, "0", {"output": []})

    api("POST", f"/sessions/{session_id}/memory/prune")

    assert turn_numbers(tmp_path / "memory.db")[-2:] == [4, running.number]


def test_memory_of_a_session_that_is_not_there_is_not_found(api: Api) -> None:
    nobodys = "/sessions/01939d5c-2c00-7000-8000-0000000000ff/memory"

    for method, path in (("GET", nobodys), ("DELETE", nobodys), ("POST", f"{nobodys}/prune")):
        problem(api(method, path), 404, "not_found")
        bad = path.replace("01939d5c", "x")
        assert wrong_fields(api(method, bad)) == ["session_id"]


def test_memory_that_cannot_be_reached_is_a_problem_and_clearing_still_forgets(
    api: Api, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    session_id = api.new_session()
    say(api, session_id, "add milk")
    environment.setenv("AGENT_SESSION_DB_PATH", str(tmp_path))  # a folder is no database
    broken = Api()
    path = f"/sessions/{session_id}/memory"

    for method, name in (("GET", path), ("POST", f"{path}/prune"), ("DELETE", path)):
        answer = broken(method, name)
        problem(answer, 503, "store_unavailable")
        assert int(answer.headers["retry-after"]) > 0
    broken.close()

    assert say(api, session_id, "done that") == "I do not know which task you mean."
