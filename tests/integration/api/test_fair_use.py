"""What a user is told who has reached a limit, in each way to ask."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from parley_testing.api.handlers import Api


def is_refused(answer: Any, limit: str) -> bool:
    """Tell whether it is a refusal that names the limit."""
    status = 429 if limit == "user_turns_per_minute" else 409
    told = answer.json
    assert (answer.status, told["code"], told["limit"]) == (status, "limit_reached", limit), told
    seconds = int(answer.headers["retry-after"]) if status == 429 else 1
    return 1 <= seconds <= 60


@pytest.mark.parametrize("limit", ["user_turns_per_minute", "user_max_open_turns"])
@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/messages", {}),
        ("/messages", {"Prefer": "respond-async"}),
        ("/sessions/{id}/messages", {}),
        ("/sessions/{id}/messages", {"Prefer": "respond-async"}),
    ],
    ids=["first", "first in the background", "waited for", "background"],
)
def test_a_message_is_refused_with_the_limit_and_leaves_nothing(
    environment: pytest.MonkeyPatch,
    api: Api,
    sql: psycopg.Connection,
    limit: str,
    path: str,
    headers: dict[str, str],
) -> None:
    environment.setenv(limit.upper(), "1")
    session = api("POST", "/sessions", {}).json["id"]
    first = api("POST", "/messages", {"text": "hi"}, headers={"Prefer": "respond-async"})
    assert first.status == 202

    refused = api("POST", path.format(id=session), {"text": "hello"}, headers=headers)

    assert is_refused(refused, limit)
    assert sql.execute("SELECT count(*) FROM turns").fetchone() == (1,)
    assert sql.execute("SELECT count(*) FROM messages").fetchone() == (1,)
    assert sql.execute("SELECT count(*) FROM sessions").fetchone() == (2,)
    bobs = api("POST", "/messages", {"text": "hi"}, headers=headers, user="bob")
    assert bobs.status in (201, 202)


def test_a_message_that_had_begun_its_turn_is_answered_again(
    environment: pytest.MonkeyPatch, api: Api
) -> None:
    environment.setenv("USER_TURNS_PER_MINUTE", "1")
    keyed = {"Idempotency-Key": "k"}
    first = api("POST", "/messages", {"text": "hi"}, headers=keyed)

    again = api("POST", "/messages", {"text": "hi"}, headers=keyed)

    assert first.status == again.status == 201
    assert again.json == first.json


def test_sessions_are_refused_when_there_are_enough(
    environment: pytest.MonkeyPatch, api: Api
) -> None:
    environment.setenv("USER_MAX_SESSIONS", "2")
    keyed = {"Idempotency-Key": "k"}
    made = api("POST", "/sessions", {"name": "a"}, headers=keyed)
    api("POST", "/sessions", {"name": "b"})

    assert is_refused(api("POST", "/sessions", {"name": "c"}), "user_max_sessions")
    assert is_refused(api("POST", "/messages", {"text": "hi"}), "user_max_sessions")
    # What is there is found.
    assert api("POST", "/sessions", {"name": "a"}, headers=keyed).json == made.json
    assert api("POST", "/sessions", {"name": "b"}).status == 200
    assert api("POST", "/messages", {"text": "hi", "session_name": "b"}).status == 201
    assert api("POST", "/sessions", {"name": "c"}, user="bob").status == 201
    # And one that goes makes room.
    assert api("DELETE", f"/sessions/{made.json['id']}").status == 204
    assert api("POST", "/sessions", {"name": "c"}).status == 201


def test_metadata_is_refused_when_there_is_enough(
    environment: pytest.MonkeyPatch, api: Api
) -> None:
    environment.setenv("USER_MAX_METADATA_BYTES", "100")
    half = {"label": "x" * 30}
    first, second = (api("POST", "/sessions", {"metadata": half}).json["id"] for _ in range(2))
    limit = "user_max_metadata_bytes"

    assert is_refused(api("POST", "/sessions", {"metadata": half}), limit)
    assert is_refused(api("POST", "/messages", {"text": "hi", "metadata": half}), limit)
    more = {"metadata": {"label": "x" * 90}}
    assert is_refused(api("PATCH", f"/sessions/{first}", more), limit)
    assert api("GET", f"/sessions/{first}").json["metadata"] == half
    # What has no more than before is taken, and makes room.
    assert api("PATCH", f"/sessions/{second}", {"metadata": half, "name": "b"}).status == 200
    assert api("PATCH", f"/sessions/{second}", {"metadata": {}}).status == 200
    assert api("PATCH", f"/sessions/{first}", {"metadata": {"label": "x" * 80}}).status == 200
    assert api("POST", "/sessions", {}).status == 201


def test_metadata_that_had_become_too_much_may_become_less(
    environment: pytest.MonkeyPatch, api: Api
) -> None:
    session = api("POST", "/sessions", {"metadata": {"label": "x" * 200}}).json["id"]
    api.close()
    environment.setenv("USER_MAX_METADATA_BYTES", "100")

    less = api("PATCH", f"/sessions/{session}", {"metadata": {"label": "x" * 150}})

    assert less.status == 200


def test_an_escalated_session_says_so_whatever_its_metadata(
    environment: pytest.MonkeyPatch, api: Api, sql: psycopg.Connection
) -> None:
    environment.setenv("USER_MAX_METADATA_BYTES", "100")
    session = api("POST", "/sessions", {}).json["id"]
    sql.execute("UPDATE sessions SET status = 'escalated'")

    refused = api(
        "PATCH", f"/sessions/{session}", {"status": "active", "metadata": {"a": "x" * 200}}
    )

    assert refused.json["code"] == "session_escalated"
