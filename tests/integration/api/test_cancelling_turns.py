"""The route that cancels a turn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from parley.errors import StoreUnavailable
from parley.fingerprints import fingerprint
from parley.memory.sqlite import SqliteStore
from parley.repository.turns import TurnRepository
from parley_testing.api.handlers import Answer, Api
from parley_testing.api.problems import problem
from parley_testing.stores.talk import begin, queue, request, say


def cancel(api: Api, session_id: str, turn_id: object, user: str = "alice") -> Answer:
    return api("POST", f"/sessions/{session_id}/turns/{turn_id}/cancel", user=user)


def test_a_running_turn_is_cancelled_and_shown_as_such(api: Api, turns: TurnRepository) -> None:
    session_id = api.new_session()
    turn = begin(turns, request("alice", session_id))

    answer = cancel(api, session_id, turn.id)

    assert (answer.status, answer.json["outcome"]) == (200, "cancelled")
    shown = api("GET", f"/sessions/{session_id}/turns/{turn.id}").json
    assert shown.pop("steps") == []
    assert answer.json == shown | {"outcome": "cancelled"}
    assert shown["turn"]["status"] == "cancelled"
    assert shown["turn"]["error"] == {"code": "turn_cancelled", "detail": "The turn was cancelled."}
    assert shown["reply"] is None


def test_again_it_says_so(api: Api, turns: TurnRepository) -> None:
    session_id = api.new_session()
    turn = begin(turns, request("alice", session_id))
    first = cancel(api, session_id, turn.id)

    again = cancel(api, session_id, turn.id)

    assert again.status == 200
    assert again.json == first.json | {"outcome": "already_cancelled"}


def test_a_turn_that_has_completed_says_that_it_is_too_late(
    api: Api, turns: TurnRepository
) -> None:
    session_id = api.new_session()
    turn = say(turns, request("alice", session_id))

    answer = cancel(api, session_id, turn.id)

    assert (answer.status, answer.json["outcome"]) == (200, "too_late")
    assert answer.json["reply"]["content"] == "hello yourself"


def test_a_queued_turn_is_cancelled_before_it_begins_and_memory_stays_closed(
    api: Api, turns: TurnRepository, tmp_path: Path
) -> None:
    session_id = api.new_session()
    waits = queue(turns, request("alice", session_id))

    answer = cancel(api, session_id, waits.turn_id)

    assert (answer.status, answer.json["turn"]["status"]) == (200, "cancelled")
    assert answer.json["turn"]["started_at"] is None
    assert not (tmp_path / "memory.db").exists()


def test_the_session_goes_on_at_once(api: Api, turns: TurnRepository) -> None:
    session_id = api.new_session()
    turn = begin(turns, request("alice", session_id))
    cancel(api, session_id, turn.id)

    answer = api("POST", f"/sessions/{session_id}/messages", {"text": "add milk"})

    assert answer.status == 201
    assert answer.json["turn"]["number"] == turn.number + 1


def test_an_ended_sessions_turn_can_be_cancelled_too(api: Api, turns: TurnRepository) -> None:
    session_id = api.new_session()
    turn = begin(turns, request("alice", session_id))
    api("PATCH", f"/sessions/{session_id}", {"status": "ended"})

    assert cancel(api, session_id, turn.id).json["outcome"] == "cancelled"


def test_who_sends_its_key_again_is_told_that_it_was_cancelled(
    api: Api, turns: TurnRepository
) -> None:
    session_id, text = api.new_session(), "add milk"
    # As the route itself would begin it.
    said = fingerprint("message", session_id=UUID(session_id), text=text)
    asked = replace(request("alice", session_id, text, key="k"), fingerprint=said)
    turn = begin(turns, asked)
    assert cancel(api, session_id, turn.id).json["outcome"] == "cancelled"
    path, key = f"/sessions/{session_id}/messages", {"Idempotency-Key": "k"}

    again = api("POST", path, {"text": text}, headers=key)

    told = problem(again, 409, "turn_cancelled")
    assert (told["turn_id"], told["session_id"]) == (str(turn.id), session_id)
    assert told["detail"] == "The turn was cancelled."


def test_a_stranger_finds_nothing_and_changes_nothing(api: Api, turns: TurnRepository) -> None:
    session_id = api.new_session()
    turn = begin(turns, request("alice", session_id))

    problem(cancel(api, session_id, turn.id, user="bob"), 404, "not_found")
    problem(cancel(api, api.new_session(user="bob"), turn.id, user="bob"), 404, "not_found")

    assert turns.renew(turn)


def test_a_store_that_is_down_is_said_and_the_next_request_cancels(
    api: Api, turns: TurnRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = api.new_session()
    turn = begin(turns, request("alice", session_id))
    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "claim", _down)
        problem(cancel(api, session_id, turn.id), 503, "store_unavailable")

    assert cancel(api, session_id, turn.id).json["outcome"] == "cancelled"


def _down(*_: object) -> None:
    raise StoreUnavailable("agent-session store", "down")
